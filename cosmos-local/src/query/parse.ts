/** Reads the SQL of Azure Cosmos DB for NoSQL. */
import { badRequest } from '../errors.ts'
import type { Expression, Query, Source } from './ast.ts'

interface Token {
  kind: 'word' | 'number' | 'text' | 'parameter' | 'sign' | 'end'
  text: string
  start: number
  end: number
}

const TOKEN =
  /\s+|--[^\n]*|\/\*[\s\S]*?\*\/|(?<number>0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?<parameter>@\w+)|(?<word>[A-Za-z_]\w*)|(?<sign>>>>|<<|>>|<=|>=|<>|!=|\?\?|\|\||&&|[-+*/%=<>.,:?()[\]{}&|^~!])/y

const RESERVED = new Set(
  'SELECT FROM WHERE GROUP ORDER BY JOIN IN AND OR NOT BETWEEN LIKE ESCAPE AS TOP DISTINCT VALUE OFFSET LIMIT EXISTS ARRAY ASC DESC'.split(
    ' ',
  ),
)

/** Loosest first. */
const LEVELS: string[][] = [
  ['??'],
  ['OR'],
  ['AND'],
  ['|'],
  ['^'],
  ['&'],
  ['=', '!=', '<>'],
  ['<', '>', '<=', '>='],
  ['<<', '>>', '>>>'],
  ['||'],
  ['+', '-'],
  ['*', '/', '%'],
]
const AND = LEVELS.findIndex(words => words.includes('AND'))
const COMPARISON = LEVELS.findIndex(words => words.includes('<'))

export function parseQuery(text: string): Query {
  const parser = new Parser(text)
  const query = parser.query()
  parser.end()
  return query
}

export function parseExpression(text: string): Expression {
  const parser = new Parser(text)
  const expression = parser.expression()
  parser.end()
  return expression
}

class Parser {
  private readonly text: string
  private readonly tokens: Token[] = []
  private at = 0

  constructor(text: string) {
    this.text = text
    TOKEN.lastIndex = 0
    while (TOKEN.lastIndex < text.length) {
      const start = TOKEN.lastIndex
      const match = TOKEN.exec(text)
      if (!match) throw syntaxError(text, start)
      const kind = Object.keys(match.groups!).find(name => match.groups![name] !== undefined)
      if (kind) this.tokens.push({ kind: kind as Token['kind'], text: match[0], start, end: TOKEN.lastIndex })
    }
    this.tokens.push({ kind: 'end', text: '', start: text.length, end: text.length })
  }

  private get token(): Token {
    return this.tokens[this.at]!
  }

  private get last(): number {
    return this.tokens[this.at - 1]?.end ?? 0
  }

  private is(...words: string[]): boolean {
    return words.every((word, i) => {
      const token = this.tokens[this.at + i]
      return (
        token !== undefined && (token.kind === 'word' || token.kind === 'sign') && token.text.toUpperCase() === word
      )
    })
  }

  private take(...words: string[]): boolean {
    if (!this.is(...words)) return false
    this.at += words.length
    return true
  }

  private expect(word: string): void {
    if (!this.take(word)) throw syntaxError(this.text, this.token.start)
  }

  end(): void {
    if (this.token.kind !== 'end') throw syntaxError(this.text, this.token.start)
  }

  query(): Query {
    this.expect('SELECT')
    const distinct = this.take('DISTINCT')
    const top = this.take('TOP') ? this.primary() : undefined
    const start = this.token.start
    const select = this.select()
    const selectEnd = this.last
    const clause = <T>(words: string[], work: () => T, none: T): { value: T; range: [number, number] } => {
      if (!this.take(...words)) return { value: none, range: [this.last, this.last] }
      const from = this.token.start
      return { value: work(), range: [from, this.last] }
    }
    const from = clause(['FROM'], () => this.sources(), [] as Source[])
    const where = clause(['WHERE'], () => this.expression() as Expression | undefined, undefined)
    const groupBy = clause(['GROUP', 'BY'], () => this.list(() => this.expression()), [] as Expression[])
    const orderBy = clause(['ORDER', 'BY'], () => this.list(() => this.order()), [] as Query['orderBy'])
    if (groupBy.value.length > 0 && orderBy.value.length > 0) {
      throw badRequest("'ORDER BY' is not supported in presence of 'GROUP BY'.")
    }
    let offset: Expression | undefined
    let limit: Expression | undefined
    if (this.take('OFFSET')) {
      offset = this.primary()
      this.expect('LIMIT')
      limit = this.primary()
    }
    return {
      distinct,
      top,
      select,
      from: from.value,
      where: where.value,
      groupBy: groupBy.value,
      orderBy: orderBy.value,
      offset,
      limit,
      text: { select: [start, selectEnd], from: from.range, where: where.range, groupBy: groupBy.range },
    }
  }

  private select(): Query['select'] {
    if (this.take('*')) return { form: 'star' }
    if (this.take('VALUE')) return { form: 'value', of: this.expression() }
    let unnamed = 0
    const items = this.list(() => {
      const of = this.expression()
      if (this.take('AS')) return { of, alias: this.name() }
      if (this.token.kind === 'word' && !RESERVED.has(this.token.text.toUpperCase())) return { of, alias: this.name() }
      const alias =
        of.kind === 'name'
          ? of.name
          : of.kind === 'member' && of.name.kind === 'constant' && typeof of.name.value === 'string'
            ? of.name.value
            : `$${++unnamed}`
      return { of, alias }
    })
    return { form: 'list', items }
  }

  private order(): Query['orderBy'][number] {
    const of = this.expression()
    const descending = this.take('DESC')
    if (!descending) this.take('ASC')
    return { of, descending }
  }

  private sources(): Source[] {
    const sources = [this.source()]
    while (this.take('JOIN')) sources.push(this.source())
    return sources
  }

  private source(): Source {
    if (this.token.kind === 'word' && this.tokens[this.at + 1]?.text.toUpperCase() === 'IN') {
      const alias = this.name()
      this.expect('IN')
      return { of: this.postfix(), alias, each: true }
    }
    const of = this.postfix()
    const named = this.take('AS') || (this.token.kind === 'word' && !RESERVED.has(this.token.text.toUpperCase()))
    const own =
      of.kind === 'name' ? of.name : of.kind === 'member' && of.name.kind === 'constant' ? String(of.name.value) : ''
    return { of, alias: named ? this.name() : own, each: false }
  }

  private list<T>(item: () => T): T[] {
    const items = [item()]
    while (this.take(',')) items.push(item())
    return items
  }

  private name(): string {
    if (this.token.kind !== 'word') throw syntaxError(this.text, this.token.start)
    return this.tokens[this.at++]!.text
  }

  expression(): Expression {
    const start = this.token.start
    const condition = this.level(0)
    if (!this.take('?')) return condition
    const yes = this.expression()
    this.expect(':')
    const no = this.expression()
    return { kind: 'choice', condition, yes, no, start, end: this.last }
  }

  private level(n: number): Expression {
    if (n === LEVELS.length) return this.unary()
    const start = this.token.start
    let left = n === AND ? this.negation(n + 1) : this.level(n + 1)
    for (;;) {
      const operator = LEVELS[n]!.find(word => this.is(word))
      if (operator !== undefined) {
        this.at++
        const right = n === AND ? this.negation(n + 1) : this.level(n + 1)
        left = { kind: 'binary', operator, left, right, start, end: this.last }
      } else if (n === COMPARISON && this.isTest()) left = this.test(left, start)
      else return left
    }
  }

  /** NOT binds looser than comparisons. */
  private negation(n: number): Expression {
    const start = this.token.start
    if (!this.take('NOT')) return this.level(n)
    return { kind: 'unary', operator: 'NOT', of: this.negation(n), start, end: this.last }
  }

  private isTest(): boolean {
    const offset = this.is('NOT') ? 1 : 0
    const word = this.tokens[this.at + offset]?.text.toUpperCase()
    return word === 'IN' || word === 'BETWEEN' || word === 'LIKE'
  }

  private test(of: Expression, start: number): Expression {
    const not = this.take('NOT')
    if (this.take('IN')) {
      this.expect('(')
      const list = this.list(() => this.expression())
      this.expect(')')
      return { kind: 'in', of, list, not, start, end: this.last }
    }
    if (this.take('BETWEEN')) {
      const low = this.level(8)
      this.expect('AND')
      const high = this.level(8)
      return { kind: 'between', of, low, high, not, start, end: this.last }
    }
    this.expect('LIKE')
    const pattern = this.level(8)
    const escape = this.take('ESCAPE') ? this.primary() : undefined
    return { kind: 'like', of, pattern, escape, not, start, end: this.last }
  }

  private unary(): Expression {
    const start = this.token.start
    for (const operator of ['-', '+', '~', '!']) {
      if (this.take(operator)) return { kind: 'unary', operator, of: this.unary(), start, end: this.last }
    }
    if (this.is('NOT') && !this.isTest()) {
      this.at++
      return { kind: 'unary', operator: 'NOT', of: this.unary(), start, end: this.last }
    }
    return this.postfix()
  }

  private postfix(): Expression {
    const start = this.token.start
    let of = this.primary()
    for (;;) {
      if (this.take('.')) {
        const nameStart = this.token.start
        const name: Expression = { kind: 'constant', value: this.name(), start: nameStart, end: this.last }
        of = { kind: 'member', of, name, start, end: this.last }
      } else if (this.take('[')) {
        const name = this.expression()
        this.expect(']')
        of = { kind: 'member', of, name, start, end: this.last }
      } else return of
    }
  }

  private primary(): Expression {
    const { kind, text, start } = this.token
    const constant = (value: null | boolean | number | string | undefined): Expression => {
      this.at++
      return { kind: 'constant', value, start, end: this.last }
    }
    if (kind === 'number') return constant(Number(text))
    if (kind === 'text') return constant(unquote(text))
    if (kind === 'parameter') {
      this.at++
      return { kind: 'parameter', name: text, start, end: this.last }
    }
    if (this.take('(')) return this.parenthesis(start)
    if (this.take('[')) {
      const items = this.is(']') ? [] : this.list(() => this.expression())
      this.expect(']')
      return { kind: 'array', items, start, end: this.last }
    }
    if (this.take('{')) return this.object(start)
    if (kind !== 'word') throw syntaxError(this.text, start)
    switch (text.toUpperCase()) {
      case 'TRUE':
        return constant(true)
      case 'FALSE':
        return constant(false)
      case 'NULL':
        return constant(null)
      case 'UNDEFINED':
        return constant(undefined)
      case 'EXISTS':
        this.at++
        return this.subquery('exists', start)
      case 'ARRAY':
        if (this.tokens[this.at + 1]?.text === '(') {
          this.at++
          return this.subquery('array', start)
        }
    }
    return this.word(start)
  }

  private word(start: number): Expression {
    let name = this.name()
    if (name.toLowerCase() === 'udf' && this.take('.')) name = `udf.${this.name()}`
    if (!this.take('(')) return { kind: 'name', name, start, end: this.last }
    const arguments_ = this.is(')') ? [] : this.list(() => this.expression())
    this.expect(')')
    const known = name.startsWith('udf.') ? name : name.toUpperCase()
    return { kind: 'call', name: known, arguments: arguments_, start, end: this.last }
  }

  private parenthesis(start: number): Expression {
    if (this.is('SELECT')) {
      const query = this.query()
      this.expect(')')
      return { kind: 'subquery', form: 'value', query, start, end: this.last }
    }
    const inner = this.expression()
    this.expect(')')
    return { ...inner, start, end: this.last }
  }

  private subquery(form: 'array' | 'exists', start: number): Expression {
    this.expect('(')
    const query = this.query()
    this.expect(')')
    return { kind: 'subquery', form, query, start, end: this.last }
  }

  private object(start: number): Expression {
    const members: { name: string; value: Expression }[] = []
    if (!this.is('}')) {
      do {
        const name = this.token.kind === 'text' ? unquote(this.tokens[this.at++]!.text) : this.name()
        this.expect(':')
        members.push({ name, value: this.expression() })
      } while (this.take(','))
    }
    this.expect('}')
    return { kind: 'object', members, start, end: this.last }
  }
}

function unquote(text: string): string {
  return text.slice(1, -1).replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_, code: string | undefined, character: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    return { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }[character] ?? character
  })
}

function syntaxError(text: string, at: number) {
  const near = text.slice(at, at + 20)
  return badRequest(`Syntax error, incorrect syntax near '${near}' at ${at}.`)
}
