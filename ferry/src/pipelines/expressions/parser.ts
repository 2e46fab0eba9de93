/**
 * The expression language of Data Factory. A string that begins with `@` is an expression; `@{...}` in a string is a part of a
 * text; `@@` at the beginning stands for `@`, `@@{` for `@{`.
 */
import { FerryError } from '../../errors.ts'
import { isInt64, type Value } from './values.ts'

export type Expression =
  | { kind: 'literal'; value: Value; at: number }
  | { kind: 'call'; name: string; args: Expression[]; at: number }
  | { kind: 'member'; of: Expression; name: string; optional: boolean; at: number }
  | { kind: 'index'; of: Expression; index: Expression; optional: boolean; at: number }

/** What a string of an artifact is: a text as it stands, one expression, or a text with expressions in it. */
export type Template =
  | { kind: 'text'; text: string }
  | { kind: 'expression'; expression: Expression; source: string }
  | { kind: 'parts'; parts: (string | Expression)[]; source: string }

/** Characters of one string with expressions; Data Factory allows 8,192. */
const MOST_SOURCE = 200_000
/** How deep calls and indexes may lie in one another. */
const MOST_DEPTH = 200

/** Parses a string of an artifact. Throws FERRY-7002 with the position of the fault, from 1. */
export function parseTemplate(source: string): Template {
  if (!source.includes('@')) return { kind: 'text', text: source }
  if (source.length > MOST_SOURCE) {
    throw new FerryError('FERRY-7002', `an expression has more than ${MOST_SOURCE.toLocaleString('en-US')} characters`)
  }
  if (source.startsWith('@') && !source.startsWith('@{') && !source.startsWith('@@')) {
    return { kind: 'expression', expression: parseExpression(source, 1), source }
  }
  return parseParts(source)
}

function parseParts(source: string): Template {
  const parts: (string | Expression)[] = []
  let text = ''
  let at = 0
  if (source.startsWith('@@') && source[2] !== '{') {
    text = '@'
    at = 2
  }
  while (at < source.length) {
    if (source.startsWith('@@{', at)) {
      text += '@{'
      at += 3
    } else if (source.startsWith('@{', at)) {
      const parser = new Parser(source, at + 2)
      const expression = parser.expression(0)
      parser.take('}')
      if (text !== '') parts.push(text)
      text = ''
      parts.push(expression)
      at = parser.at
    } else {
      const next = source.indexOf('@', at + 1)
      const end = next < 0 ? source.length : next
      text += source.slice(at, end)
      at = end
    }
  }
  if (parts.length === 0) return { kind: 'text', text }
  if (text !== '') parts.push(text)
  return { kind: 'parts', parts, source }
}

/** Parses an expression that begins at `from` and reaches to the end of the source. Throws FERRY-7002. */
export function parseExpression(source: string, from = 0): Expression {
  const parser = new Parser(source, from)
  const expression = parser.expression(0)
  parser.requireEnd()
  return expression
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
const MEMBER = /[\p{L}_$#@][\p{L}\p{N}_$#@-]*/uy
const NUMBER = /[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|\.\d+)/y
const SPACE = /\s*/y

class Parser {
  private readonly source: string
  at: number

  constructor(source: string, at: number) {
    this.source = source
    this.at = at
  }

  expression(depth: number): Expression {
    if (depth > MOST_DEPTH) throw this.fault(`expressions lie more than ${MOST_DEPTH} deep in one another`)
    let expression = this.primary(depth)
    for (;;) {
      this.skipSpace()
      const at = this.at
      const optional = this.source[at] === '?' && /[.[]/.test(this.source[at + 1] ?? '')
      const sign = this.source[optional ? at + 1 : at]
      if (sign === '.') {
        this.at = at + (optional ? 2 : 1)
        this.skipSpace()
        const name = this.match(MEMBER)
        if (name === undefined) throw this.fault('the name of a property is missing after "."')
        expression = { kind: 'member', of: expression, name, optional, at }
      } else if (sign === '[') {
        this.at = at + (optional ? 2 : 1)
        const index = this.expression(depth + 1)
        this.take(']')
        expression = { kind: 'index', of: expression, index, optional, at }
      } else return expression
    }
  }

  private primary(depth: number): Expression {
    this.skipSpace()
    const { at, source } = this
    if (source[at] === "'") return { kind: 'literal', value: this.text(), at }
    const digits = this.match(NUMBER)
    if (digits !== undefined) return { kind: 'literal', value: this.number(digits, at), at }
    const name = this.match(NAME)
    if (name === undefined) {
      throw this.fault(at >= source.length ? 'the expression ends too early' : `${shown(source[at]!)} is unexpected`)
    }
    this.skipSpace()
    if (source[this.at] === '(') return { kind: 'call', name, args: this.args(depth), at }
    const literal = LITERALS.get(name.toLowerCase())
    if (literal !== undefined) return { kind: 'literal', value: literal, at }
    throw this.fault(`${name} is no function call: texts need single quotes, functions parentheses`, at)
  }

  private args(depth: number): Expression[] {
    this.take('(')
    const args: Expression[] = []
    this.skipSpace()
    if (this.source[this.at] === ')') {
      this.at++
      return args
    }
    for (;;) {
      args.push(this.expression(depth + 1))
      this.skipSpace()
      if (this.source[this.at] === ',') this.at++
      else {
        this.take(')', '"," or ")"')
        return args
      }
    }
  }

  private text(): string {
    const begin = this.at
    let text = ''
    for (let at = begin + 1; ; ) {
      const end = this.source.indexOf("'", at)
      if (end < 0) throw this.fault('the text that begins here has no closing quote', begin)
      text += this.source.slice(at, end)
      this.at = end + 1
      if (this.source[end + 1] !== "'") return text
      text += "'"
      at = end + 2
    }
  }

  private number(digits: string, at: number): Value {
    if (/[.eE]/.test(digits)) return Number(digits)
    const integer = BigInt(digits.replace(/^\+/, ''))
    if (isInt64(integer)) return integer
    throw this.fault(`${digits} is no integer of 64 bits`, at)
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at
    const [found] = pattern.exec(this.source) ?? []
    if (found !== undefined) this.at += found.length
    return found
  }

  private skipSpace(): void {
    this.match(SPACE)
  }

  take(sign: string, what = `"${sign}"`): void {
    this.skipSpace()
    if (this.source[this.at] === sign) this.at++
    else throw this.fault(`${what} is expected`)
  }

  requireEnd(): void {
    this.skipSpace()
    if (this.at < this.source.length)
      throw this.fault(`${shown(this.source[this.at]!)} follows the end of the expression`)
  }

  private fault(message: string, at = this.at): FerryError {
    return new FerryError('FERRY-7002', `${placeIn(this.source, at)}: ${message}`)
  }
}

const LITERALS = new Map<string, Value>([
  ['true', true],
  ['false', false],
  ['null', null],
])

const shown = (character: string) => (character === '"' ? 'a double quote' : `"${character}"`)

/** `@concat('a', , 'b') (position 13)`, with the source shortened around the position. */
export function placeIn(source: string, at: number): string {
  const begin = source.length > 160 ? Math.max(0, at - 70) : 0
  const end = Math.min(source.length, begin + 160)
  const text = `${begin > 0 ? '…' : ''}${source.slice(begin, end)}${end < source.length ? '…' : ''}`
  return `${text} (position ${at + 1})`
}

/** An expression as text that is parsed to the same. */
export function printExpression(e: Expression): string {
  switch (e.kind) {
    case 'literal':
      return printLiteral(e.value)
    case 'call':
      return `${e.name}(${e.args.map(printExpression).join(', ')})`
    case 'member':
      return `${printExpression(e.of)}${e.optional ? '?' : ''}.${e.name}`
    case 'index':
      return `${printExpression(e.of)}${e.optional ? '?' : ''}[${printExpression(e.index)}]`
  }
}

function printLiteral(value: Value): string {
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (typeof value === 'number') {
    const text = String(value)
    return /[.e]/.test(text) ? text : `${text}.0`
  }
  return String(value)
}

/** All expressions of a template, each before those within it, in the order of the text. */
export function expressionsIn(template: Template): Expression[] {
  const found: Expression[] = []
  const walk = (e: Expression): void => {
    found.push(e)
    if (e.kind === 'call') {
      e.args.forEach(walk)
    } else if (e.kind !== 'literal') {
      walk(e.of)
      if (e.kind === 'index') walk(e.index)
    }
  }
  if (template.kind === 'expression') walk(template.expression)
  if (template.kind === 'parts') for (const part of template.parts) if (typeof part !== 'string') walk(part)
  return found
}

/** The calls in a template, in the order of the text. */
export const callsIn = (template: Template) => expressionsIn(template).filter(e => e.kind === 'call')
