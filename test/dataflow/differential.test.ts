/** Random expressions over random rows: what the engine gives, beside an evaluator that knows nothing but the rules. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { compile } from '../../ferry/src/dataflow/compile.ts'
import { scopeOf } from '../../ferry/src/dataflow/relation.ts'
import { parseExpression } from '../../ferry/src/dataflow/script/parser.ts'
import { BOOLEAN, type FlowType, INTEGER, LONG, STRING } from '../../ferry/src/dataflow/types.ts'
import { Duckdb } from '../../ferry/src/duckdb/engine.ts'
import { randomOf, seedOf } from '../seed.ts'
import { policy } from '../support.ts'

type Kind = 'integer' | 'string' | 'boolean'
type Known = number | string | boolean | null
type Row = Record<string, Known>

/** An expression as a text, and what it is of a row. */
interface Made {
  text: string
  of: (row: Row) => Known
}

const ROWS = 40
const EXPRESSIONS = 1500

const TEXTS = [null, '', 'a', 'Bc', 'größe', ' x ', 'aXbXc', "it's", '100%', '-7']
const COLUMNS: Record<Kind, string[]> = { integer: ['i', 'j'], string: ['s', 't'], boolean: ['b', 'c'] }

/** A function that is null where one of its arguments is. */
const strict =
  (of: (...values: never[]) => Known) =>
  (...values: Known[]): Known =>
    values.includes(null) ? null : of(...(values as never[]))

type Maker = [gives: Kind, takes: Kind[], text: (...args: string[]) => string, of: (...values: Known[]) => Known]

const chars = (s: string) => [...s]
const MAKERS: Maker[] = [
  ['integer', ['integer', 'integer'], (a, b) => `(${a} + ${b})`, strict((a: number, b: number) => a + b)],
  ['integer', ['integer', 'integer'], (a, b) => `(${a} - ${b})`, strict((a: number, b: number) => a - b)],
  [
    'integer',
    ['integer', 'integer'],
    (a, b) => `(${a} % ${b})`,
    strict((a: number, b: number) => (b === 0 ? null : (a % b) + 0)),
  ],
  [
    'integer',
    ['integer', 'integer'],
    (a, b) => `(${a} / ${b})`,
    strict((a: number, b: number) => (b === 0 ? null : quotient(a, b))),
  ],
  ['integer', ['integer'], a => `abs(${a})`, strict((a: number) => Math.abs(a))],
  ['integer', ['integer'], a => `-(${a})`, strict((a: number) => 0 - a)],
  ['integer', ['string'], s => `length(${s})`, strict((s: string) => chars(s).length)],
  ['integer', ['string', 'string'], (s, t) => `instr(${s}, ${t})`, strict((s: string, t: string) => s.indexOf(t) + 1)],
  [
    'integer',
    ['boolean', 'integer', 'integer'],
    (b, x, y) => `iif(${b}, ${x}, ${y})`,
    (b, x, y) => (b === true ? x! : y!),
  ],
  ['integer', ['integer', 'integer'], (x, y) => `coalesce(${x}, ${y})`, (x, y) => x ?? y!],
  [
    'integer',
    ['integer', 'integer'],
    (x, y) => `greatest(${x}, ${y})`,
    (x, y) => (x === null ? y! : y === null ? x! : Math.max(x as number, y as number)),
  ],
  [
    'integer',
    ['string'],
    s => `toInteger(${s})`,
    strict((s: string) => (/^\s*[+-]?\d+\s*$/.test(s) ? Number(s) : null)),
  ],
  ['string', ['string', 'string'], (s, t) => `(${s} + ${t})`, strict((s: string, t: string) => s + t)],
  ['string', ['string'], s => `lower(${s})`, strict((s: string) => s.toLowerCase())],
  ['string', ['string'], s => `reverse(${s})`, strict((s: string) => chars(s).reverse().join(''))],
  ['string', ['string'], s => `trim(${s})`, strict((s: string) => s.replace(/^ +| +$/g, ''))],
  [
    'string',
    ['string', 'string', 'string'],
    (s, a, b) => `replace(${s}, ${a}, ${b})`,
    strict((s: string, a: string, b: string) => (a === '' ? s : s.split(a).join(b))),
  ],
  [
    'string',
    ['string', 'integer'],
    (s, n) => `left(${s}, abs(${n}))`,
    strict((s: string, n: number) => chars(s).slice(0, Math.abs(n)).join('')),
  ],
  ['string', ['integer'], n => `toString(${n})`, strict((n: number) => String(n))],
  [
    'string',
    ['boolean', 'string', 'string'],
    (b, x, y) => `case(${b}, ${x}, ${y})`,
    (b, x, y) => (b === true ? x! : y!),
  ],
  [
    'string',
    ['string', 'string', 'string'],
    (by, x, y) => `concatWS(${by}, ${x}, ${y})`,
    (by, x, y) => (by === null ? null : [x, y].filter(v => v !== null).join(by as string)),
  ],
  ['boolean', ['integer', 'integer'], (a, b) => `(${a} < ${b})`, strict((a: number, b: number) => a < b)],
  ['boolean', ['integer', 'integer'], (a, b) => `(${a} == ${b})`, strict((a: number, b: number) => a === b)],
  ['boolean', ['string', 'string'], (a, b) => `(${a} != ${b})`, strict((a: string, b: string) => a !== b)],
  ['boolean', ['string', 'string'], (a, b) => `(${a} === ${b})`, (a, b) => a === b],
  [
    'boolean',
    ['string', 'string'],
    (a, b) => `startsWith(${a}, ${b})`,
    strict((a: string, b: string) => a.startsWith(b)),
  ],
  [
    'boolean',
    ['boolean', 'boolean'],
    (a, b) => `(${a} && ${b})`,
    (a, b) => (a === false || b === false ? false : a === null || b === null ? null : true),
  ],
  [
    'boolean',
    ['boolean', 'boolean'],
    (a, b) => `(${a} || ${b})`,
    (a, b) => (a === true || b === true ? true : a === null || b === null ? null : false),
  ],
  ['boolean', ['boolean'], a => `!(${a})`, strict((a: boolean) => !a)],
  ['boolean', ['integer'], a => `isNull(${a})`, a => a === null],
  [
    'boolean',
    ['string', 'string', 'string'],
    (a, b, c) => `in([${b}, ${c}], ${a})`,
    (a, b, c) => (a === null ? null : a === b || a === c),
  ],
]

const quotient = (a: number, b: number) => Math.sign(a) * Math.sign(b) * Math.floor(Math.abs(a) / Math.abs(b)) + 0

let engine: Duckdb
beforeAll(async () => {
  engine = await Duckdb.open(policy)
})
afterAll(() => engine.close())

it('random expressions give what the rules say', { timeout: 120_000 }, async () => {
  const random = randomOf(seedOf('data flow expressions'))
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  const rows = Array.from({ length: ROWS }, (): Row => {
    const whole = () => pick([null, 0, 1, -1, 2, 7, -13, 100])
    const flag = () => pick([null, true, false])
    return { i: whole(), j: whole(), s: pick(TEXTS), t: pick(TEXTS), b: flag(), c: flag() }
  })
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
  const shown = (v: Known) => (v === null ? 'NULL' : typeof v === 'string' ? quoted(v) : String(v))
  const values = rows.map(r => `(${Object.values(r).map(shown).join(', ')})`)
  await engine.run(
    `CREATE TABLE rows AS SELECT i::INTEGER AS i, j::INTEGER AS j, s::VARCHAR AS s, t::VARCHAR AS t, b::BOOLEAN AS b, c::BOOLEAN AS c, n FROM (SELECT *, row_number() OVER () AS n FROM (VALUES ${values.join(', ')}) v(i, j, s, t, b, c))`,
  )
  const constant = (kind: Kind): Made => {
    const value =
      kind === 'integer'
        ? pick([0, 1, 3, 12])
        : kind === 'boolean'
          ? pick([true, false])
          : pick(TEXTS.filter(t => t !== null))
    const text =
      typeof value === 'string'
        ? `'${value.replaceAll("'", "\\'")}'`
        : kind === 'boolean'
          ? `${value}()`
          : String(value)
    return { text, of: () => value }
  }
  const make = (kind: Kind, depth: number): Made => {
    if (depth === 0 || random() < 0.15) {
      if (random() < 0.25) return constant(kind)
      const name = pick(COLUMNS[kind])
      return { text: name, of: row => row[name]! }
    }
    const [, takes, text, of] = pick(MAKERS.filter(m => m[0] === kind))
    const args = takes.map(t => make(t, depth - 1))
    return { text: text(...args.map(a => a.text)), of: row => of(...args.map(a => a.of(row))) }
  }
  const types: [string, FlowType][] = [
    ['i', INTEGER],
    ['j', INTEGER],
    ['s', STRING],
    ['t', STRING],
    ['b', BOOLEAN],
    ['c', BOOLEAN],
  ]
  const columns = types.map(([name, type]) => ({ name, type, id: `"${name}"`, streams: ['s1'] }))
  const scope = scopeOf({ columns }, { parameters: new Map(), startedAt: '', note: () => {} })
  for (let n = 0; n < EXPRESSIONS; n++) {
    const kind = pick(['integer', 'string', 'boolean'] as const)
    const made = make(kind, 1 + Math.floor(random() * 4))
    const { sql, type } = compile(parseExpression(made.text), scope)
    expect([kind, ...(kind === 'integer' ? [LONG.kind] : [])], made.text).toContain(type.kind)
    const found = await engine.all(`SELECT ${sql} AS v FROM rows ORDER BY n`)
    const got = found.map(r => (typeof r.v === 'bigint' ? Number(r.v) : r.v))
    expect(got, made.text).toEqual(rows.map(row => made.of(row)))
  }
})
