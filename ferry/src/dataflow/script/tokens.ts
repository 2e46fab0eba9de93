/** The words of a data flow script. */
import { FerryError } from '../../errors.ts'

export interface Place {
  /** From 1. */
  line: number
  column: number
}

export type Token = Place & {
  kind: 'name' | 'text' | 'number' | 'parameter' | 'pattern' | 'item' | 'symbol' | 'end'
  /** A name without braces, a text without quotes, a symbol as it is. */
  text: string
  /** Of a text: how it was quoted. Of a number: its suffix. */
  form?: string
}

/** Longer ones first. */
const SYMBOLS = [
  ...['~>', '->', '===', '==', '<=>', '<=', '>=', '<<', '>>', '!=', '&&', '||', '@('],
  ...[
    '@',
    '#',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '=',
    '<',
    '>',
    '!',
    '+',
    '-',
    '*',
    '/',
    '%',
    '^',
    '&',
    '|',
    '?',
    '.',
  ],
]

const MOST_CHARACTERS = 5_000_000

/** Throws FERRY-7002 with line and column. */
export function tokensOf(script: string): Token[] {
  if (script.length > MOST_CHARACTERS) {
    throw new FerryError('FERRY-7002', `a data flow script has at most ${MOST_CHARACTERS} characters`)
  }
  const tokens: Token[] = []
  let at = 0
  let line = 1
  let lineStart = 0
  const place = (): Place => ({ line, column: at - lineStart + 1 })
  const fault = (message: string) => faultAt(place(), message)
  const pass = (end: number) => {
    for (; at < end; at++) {
      if (script[at] === '\n') {
        line++
        lineStart = at + 1
      }
    }
  }
  const add = (kind: Token['kind'], text: string, end: number, form?: string) => {
    tokens.push({ kind, text, ...place(), ...(form === undefined ? {} : { form }) })
    pass(end)
  }
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at
    return pattern.exec(script)
  }
  while (at < script.length) {
    const space = match(/(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y)
    if (space) {
      pass(at + space[0].length)
      continue
    }
    const c = script[at]!
    if (script.startsWith('/*', at)) throw fault('the comment does not end')
    const number = match(/0x[0-9a-fA-F]+|(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)([lLsSfFdD](?![\w]))?/y)
    if (number && /\d/.test(c)) {
      const suffix = number[1]?.toUpperCase()
      add('number', suffix ? number[0].slice(0, -1) : number[0], at + number[0].length, suffix)
      continue
    }
    const name = match(/[\p{L}_][\p{L}\p{N}_]*/uy)
    if (name) {
      add('name', name[0], at + name[0].length)
      continue
    }
    const pattern = match(/\$\$|\$\d+/y)
    if (pattern) {
      add('pattern', pattern[0], at + pattern[0].length)
      continue
    }
    const parameter = match(/\$(?:\{([^}\n]+)\}|([\p{L}_][\p{L}\p{N}_]*))/uy)
    if (parameter) {
      add('parameter', parameter[1] ?? parameter[2]!, at + parameter[0].length)
      continue
    }
    const item = match(/#(item|index|acc|result|key|value)(?:_?(\d+))?/y)
    if (item && tokens.at(-1)?.kind !== 'name') {
      add('item', item[0].slice(1), at + item[0].length)
      continue
    }
    // The parameters of a flow are no name.
    const isHead = tokens.length === 1 && tokens[0]!.text === 'parameters'
    if (c === '{' && !isHead) {
      const braced = match(/\{((?:[^{}\\\n]|\\.)+)\}/y)
      if (braced) {
        add('name', braced[1]!.replace(/\\(.)/g, '$1'), at + braced[0].length, '{')
        continue
      }
    }
    if (c === "'" || c === '"' || c === '`') {
      const text = match(
        c === '`' ? /`((?:[^`\\]|\\[\s\S])*)`/y : c === "'" ? /'((?:[^'\\]|\\[\s\S])*)'/y : /"((?:[^"\\]|\\[\s\S])*)"/y,
      )
      if (!text) throw fault('the text does not end')
      add('text', c === '`' ? text[1]!.replaceAll('\\`', '`') : unescaped(text[1]!), at + text[0].length, c)
      continue
    }
    const symbol = SYMBOLS.find(s => script.startsWith(s, at))
    if (symbol === undefined) throw fault(`${JSON.stringify(c)} is not known here`)
    add('symbol', symbol, at + symbol.length)
  }
  tokens.push({ kind: 'end', text: 'the end of the script', ...place() })
  return tokens
}

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' }

function unescaped(text: string): string {
  return text.replace(/\\u([0-9a-fA-F]{4})|\\([\s\S])/g, (_, code: string | undefined, one: string | undefined) =>
    code === undefined ? (ESCAPES[one!] ?? one!) : String.fromCharCode(Number.parseInt(code, 16)),
  )
}

export function faultAt({ line, column }: Place, message: string): FerryError {
  return new FerryError('FERRY-7002', `line ${line}, column ${column}: ${message}`)
}
