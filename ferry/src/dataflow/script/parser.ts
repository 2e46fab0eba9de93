/** Reads a data flow script. */
import type { FerryError } from '../../errors.ts'
import { faultAt, type Place, type Token, tokensOf } from './tokens.ts'
import type { Argument, Expression, Script, Statement, StreamName, TypeNode } from './tree.ts'

const MOST_DEPTH = 200

/** From the weakest to the strongest. */
const LEVELS: string[][] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!=', '===', '<=>'],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
]

/** Throws FERRY-7002 with line and column. */
export function parseScript(text: string): Script {
  return new Parser(tokensOf(text)).script()
}

/** One expression alone. Throws FERRY-7002. */
export function parseExpression(text: string): Expression {
  const parser = new Parser(tokensOf(text))
  const found = parser.expression()
  parser.end()
  return found
}

class Parser {
  private readonly tokens: Token[]
  private at = 0
  private depth = 0

  constructor(tokens: Token[]) {
    this.tokens = tokens
  }

  private get next(): Token {
    return this.tokens[this.at]!
  }

  private is(text: string): boolean {
    return this.next.kind === 'symbol' && this.next.text === text
  }

  private take(text: string): boolean {
    if (!this.is(text)) return false
    this.at++
    return true
  }

  private require(text: string): void {
    if (!this.take(text)) throw this.fault(`${text} is expected here`)
  }

  private name(what: string): string {
    const { kind, text, form } = this.next
    if (kind !== 'name' && !(kind === 'text' && form === "'")) throw this.fault(`${what} is expected here`)
    this.at++
    return text
  }

  private fault(
    message: string,
    { line, column, kind, text }: Pick<Token, 'line' | 'column' | 'kind' | 'text'> = this.next,
  ): FerryError {
    const found = kind === 'end' ? text : JSON.stringify(text)
    return faultAt({ line, column }, `${message}, and ${found} is found`)
  }

  private get place(): Place {
    const { line, column } = this.next
    return { line, column }
  }

  end(): void {
    if (this.next.kind !== 'end') throw this.fault('the end is expected here')
  }

  script(): Script {
    const parameters = this.parameters()
    const statements: Statement[] = []
    while (this.next.kind !== 'end') statements.push(this.statement())
    return { parameters, statements }
  }

  private parameters(): Script['parameters'] {
    const found: Script['parameters'] = []
    const following = this.tokens[this.at + 1]
    if (this.next.kind !== 'name' || this.next.text !== 'parameters' || following?.text !== '{') return found
    this.at += 2
    while (!this.take('}')) {
      const name = this.name('the name of a parameter')
      this.requireWord('as')
      const type = this.type()
      let byDefault: Expression | undefined
      if (this.take('(')) {
        byDefault = this.expression()
        this.require(')')
      }
      found.push({ name, type, ...(byDefault ? { default: byDefault } : {}) })
      if (!this.is('}')) this.require(',')
    }
    return found
  }

  private requireWord(word: string): void {
    if (this.next.kind !== 'name' || this.next.text !== word || this.next.form)
      throw this.fault(`${word} is expected here`)
    this.at++
  }

  private statement(): Statement {
    const { place } = this
    const inputs: StreamName[] = []
    // Streams stand before the transformation, whose name is followed by a parenthesis.
    while (
      !(
        this.next.kind === 'name' &&
        this.tokens[this.at + 1]?.text === '(' &&
        this.tokens[this.at + 1]?.kind === 'symbol'
      )
    ) {
      const name = this.name('a stream or a transformation')
      const branch = this.take('@') ? this.name('the branch of a split') : undefined
      inputs.push({ name, ...(branch === undefined ? {} : { branch }) })
      if (!this.take(',') && this.next.kind !== 'name') throw this.fault('a transformation is expected here')
    }
    const kind = this.name('a transformation')
    this.require('(')
    const args = this.args()
    this.require('~>')
    const output = this.name('the name of the stream')
    const branches: string[] = []
    if (
      this.take('@(') ||
      (this.is('@') && this.tokens[this.at + 1]?.text === '(' && this.at++ >= 0 && this.take('('))
    ) {
      do branches.push(this.name('the name of a branch'))
      while (this.take(','))
      this.require(')')
    }
    return { ...place, inputs, kind, args, output, branches }
  }

  /** Arguments up to the closing parenthesis; the opening one is already read. */
  private args(): Argument[] {
    const args: Argument[] = []
    if (this.take(')')) return args
    do args.push(this.argument())
    while (this.take(','))
    this.require(')')
    return args
  }

  private argument(): Argument {
    const { place } = this
    // A property without a value: `partitionKey: ,`.
    const of = this.expression()
    if (of.kind === 'name' && this.take(':')) {
      const isEmpty = this.is(',') || this.is(')')
      return { kind: 'property', ...place, name: of.name, value: isEmpty ? undefined : this.expression() }
    }
    if (this.take('=')) return { kind: 'assignment', to: of, value: this.expression() }
    if (this.next.kind === 'name' && this.next.text === 'as' && !this.next.form) {
      this.at++
      const type = this.type()
      const formats: Expression[] = []
      // How its texts are written: `as date 'dd/MM/yyyy'`, or in parentheses.
      if (this.tokens[this.at]!.kind === 'text') formats.push(this.primary())
      else if (this.take('(')) {
        do formats.push(this.expression())
        while (this.take(','))
        this.require(')')
      }
      return { kind: 'column', of, type, formats }
    }
    return { kind: 'value', value: of }
  }

  type(): TypeNode {
    let type: TypeNode
    if (this.take('(')) {
      const fields: { name: string; type: TypeNode }[] = []
      while (!this.take(')')) {
        const name = this.name('the name of a field')
        this.requireWord('as')
        fields.push({ name, type: this.type() })
        // The format of a field is passed over: texts of nested fields are read by their types.
        if (this.take('(')) while (!this.take(')')) this.at++
        if (!this.is(')')) this.require(',')
      }
      type = { kind: 'struct', fields }
    } else if (this.take('[')) {
      const key = this.type()
      this.require(',')
      const value = this.type()
      this.require(']')
      type = { kind: 'map', key, value }
    } else {
      const name = this.name('a type')
      const numbers: number[] = []
      if (name === 'decimal' && this.take('(')) {
        do numbers.push(this.whole())
        while (this.take(','))
        this.require(')')
      }
      type = { kind: 'simple', name, arguments: numbers }
    }
    while (this.is('[') && this.tokens[this.at + 1]?.text === ']') {
      this.at += 2
      type = { kind: 'array', of: type }
    }
    return type
  }

  private whole(): number {
    const { kind, text } = this.next
    if (kind !== 'number' || !/^\d{1,4}$/.test(text)) throw this.fault('a whole number is expected here')
    this.at++
    return Number(text)
  }

  expression(level = 0): Expression {
    if (++this.depth > MOST_DEPTH) throw this.fault(`expressions lie more than ${MOST_DEPTH} deep in one another`)
    try {
      if (level === LEVELS.length) return this.unary()
      let left = this.expression(level + 1)
      for (;;) {
        const { kind, text } = this.next
        if (kind !== 'symbol' || !LEVELS[level]!.includes(text)) return left
        const { place } = this
        this.at++
        left = { kind: 'binary', ...place, operator: text, left, right: this.expression(level + 1) }
      }
    } finally {
      this.depth--
    }
  }

  private unary(): Expression {
    const { place } = this
    if (this.take('-')) return { kind: 'unary', ...place, operator: '-', of: this.deeper(() => this.unary()) }
    if (this.take('!')) return { kind: 'unary', ...place, operator: '!', of: this.deeper(() => this.unary()) }
    return this.postfix()
  }

  private deeper(read: () => Expression): Expression {
    if (++this.depth > MOST_DEPTH) throw this.fault(`expressions lie more than ${MOST_DEPTH} deep in one another`)
    try {
      return read()
    } finally {
      this.depth--
    }
  }

  private postfix(): Expression {
    let of = this.primary()
    for (;;) {
      const { place } = this
      if (this.take('.')) of = { kind: 'member', ...place, of, name: this.name('a member') }
      else if (this.is('[') && this.tokens[this.at + 1]?.text !== ']') {
        this.at++
        const index = this.expression()
        this.require(']')
        of = { kind: 'index', ...place, of, index }
      } else if (this.take('?')) of = { kind: 'typed', ...place, of, type: this.type() }
      else return of
    }
  }

  private primary(): Expression {
    const { kind, text, form } = this.next
    const { place } = this
    switch (kind) {
      case 'name':
        this.at++
        return this.named(text, place)
      case 'text':
        this.at++
        return { kind: 'text', ...place, value: text, quote: form! }
      case 'number':
        this.at++
        return { kind: 'number', ...place, text, ...(form ? { suffix: form } : {}) }
      case 'parameter':
        this.at++
        return { kind: 'parameter', ...place, name: text }
      case 'pattern':
        this.at++
        return { kind: 'pattern', ...place, name: text }
      case 'item':
        this.at++
        return { kind: 'item', ...place, name: text }
      case 'symbol':
        return this.bracketed(place)
      default:
        throw this.fault('an expression is expected here')
    }
  }

  private named(name: string, place: Place): Expression {
    if (this.take('(')) return { kind: 'call', ...place, name, args: this.args() }
    if (this.is('@') && this.tokens[this.at + 1]?.kind === 'name') {
      this.at++
      return { kind: 'origin', ...place, stream: name, name: this.name('a column') }
    }
    if (this.is('#')) {
      this.at++
      const method = this.name('lookup, mlookup, output or outputs')
      this.require('(')
      return { kind: 'cached', ...place, sink: name, name: method, args: this.args() }
    }
    return { kind: 'name', ...place, name }
  }

  private bracketed(place: Place): Expression {
    if (this.take('(')) {
      const of = this.expression()
      this.require(')')
      return of
    }
    if (this.take('@(')) return { kind: 'struct', ...place, args: this.args() }
    if (this.take('[')) {
      if (this.take(']')) return { kind: 'array', ...place, items: [] }
      const first = this.expression()
      if (this.take('->')) {
        const entries = [{ key: first, value: this.expression() }]
        while (this.take(',')) {
          const key = this.expression()
          this.require('->')
          entries.push({ key, value: this.expression() })
        }
        this.require(']')
        return { kind: 'map', ...place, entries }
      }
      const items = [first]
      while (this.take(',')) items.push(this.expression())
      this.require(']')
      return { kind: 'array', ...place, items }
    }
    // `{}` is an empty name: the columns of a pivot are then named by their values alone.
    if (this.is('{') && this.tokens[this.at + 1]?.text === '}') {
      this.at += 2
      return { kind: 'name', ...place, name: '' }
    }
    throw this.fault('an expression is expected here')
  }
}
