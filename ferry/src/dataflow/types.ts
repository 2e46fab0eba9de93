/** Types of data flows, and what the engine calls them. */
import { FerryError } from '../errors.ts'
import type { TypeNode } from './script/tree.ts'

type SimpleKind =
  | 'string'
  | 'boolean'
  | 'byte'
  | 'short'
  | 'integer'
  | 'long'
  | 'float'
  | 'double'
  | 'date'
  | 'timestamp'
  | 'binary'

export type FlowType =
  | { kind: SimpleKind }
  | { kind: 'decimal'; precision: number; scale: number }
  | { kind: 'array'; of: FlowType }
  | { kind: 'struct'; fields: Field[] }
  | { kind: 'map'; key: FlowType; value: FlowType }
  /** Of a null, and of a column whose type is not known. */
  | { kind: 'any' }

export interface Field {
  name: string
  type: FlowType
}

export const simple = <K extends SimpleKind | 'any'>(kind: K): { kind: K } => ({ kind })

export const STRING: FlowType = simple('string')
export const BOOLEAN: FlowType = simple('boolean')
export const INTEGER: FlowType = simple('integer')
export const LONG: FlowType = simple('long')
export const DOUBLE: FlowType = simple('double')
export const DATE: FlowType = simple('date')
export const TIMESTAMP: FlowType = simple('timestamp')
export const ANY: FlowType = simple('any')
export const arrayOf = (of: FlowType): FlowType => ({ kind: 'array', of })

/** Types without parameters, by the names that scripts have for them. */
export const NAMES: Record<string, FlowType> = {
  string: STRING,
  boolean: BOOLEAN,
  byte: simple('byte'),
  short: simple('short'),
  integer: INTEGER,
  long: LONG,
  float: simple('float'),
  double: DOUBLE,
  date: DATE,
  timestamp: TIMESTAMP,
  binary: simple('binary'),
  any: ANY,
}

/** Throws FERRY-7002 for a type that there is not. */
export function typeOf(node: TypeNode): FlowType {
  switch (node.kind) {
    case 'array':
      return arrayOf(typeOf(node.of))
    case 'map':
      return { kind: 'map', key: typeOf(node.key), value: typeOf(node.value) }
    case 'struct':
      return { kind: 'struct', fields: node.fields.map(f => ({ name: f.name, type: typeOf(f.type) })) }
    case 'simple': {
      if (node.name === 'decimal') {
        const [precision = 10, scale = 0] = node.arguments
        if (precision < 1 || precision > 38 || scale > precision)
          throw new FerryError('FERRY-7002', `there is no type decimal(${precision},${scale})`)
        return { kind: 'decimal', precision, scale }
      }
      const found = Object.hasOwn(NAMES, node.name) ? NAMES[node.name] : undefined
      if (found) return found
      throw new FerryError(
        'FERRY-7002',
        `there is no type ${node.name}: there are ${Object.keys(NAMES).join(', ')}, decimal`,
      )
    }
  }
}

export const INTEGRALS = ['byte', 'short', 'integer', 'long']
const NUMBERS = [...INTEGRALS, 'float', 'double', 'decimal']
export const isIntegral = ({ kind }: FlowType) => INTEGRALS.includes(kind)
export const isNumber = ({ kind }: FlowType) => NUMBERS.includes(kind)
export const isMoment = ({ kind }: FlowType) => kind === 'date' || kind === 'timestamp'

/** As `type` of a pattern is compared with: `type == 'complex'`. */
export function nameOf(type: FlowType): string {
  return type.kind === 'struct' ? 'complex' : type.kind
}

/** As a script writes it. */
export function shownType(type: FlowType): string {
  switch (type.kind) {
    case 'decimal':
      return `decimal(${type.precision},${type.scale})`
    case 'array':
      return `${shownType(type.of)}[]`
    case 'map':
      return `[${shownType(type.key)}, ${shownType(type.value)}]`
    case 'struct':
      return `(${type.fields.map(f => `${f.name} as ${shownType(f.type)}`).join(', ')})`
    default:
      return type.kind
  }
}

const SQL: Record<string, string> = {
  string: 'VARCHAR',
  boolean: 'BOOLEAN',
  byte: 'TINYINT',
  short: 'SMALLINT',
  integer: 'INTEGER',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  date: 'DATE',
  timestamp: 'TIMESTAMP',
  binary: 'BLOB',
  any: 'VARCHAR',
}

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`
export const literal = (text: string) => `'${text.replaceAll("'", "''")}'`

/** As DuckDB writes it. */
export function sqlType(type: FlowType): string {
  switch (type.kind) {
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`
    case 'array':
      return `${sqlType(type.of)}[]`
    case 'map':
      return `MAP(${sqlType(type.key)}, ${sqlType(type.value)})`
    case 'struct':
      return `STRUCT(${type.fields.map(f => `${quoted(f.name)} ${sqlType(f.type)}`).join(', ')})`
    default:
      return SQL[type.kind]!
  }
}

/** A type of DuckDB, as `DESCRIBE` names it. */
export function fromSqlType(text: string): FlowType {
  const found = new SqlType(text).read()
  return found
}

const FROM: Record<string, FlowType> = {
  VARCHAR: STRING,
  BOOLEAN,
  TINYINT: simple('byte'),
  UTINYINT: simple('short'),
  SMALLINT: simple('short'),
  USMALLINT: INTEGER,
  INTEGER,
  UINTEGER: LONG,
  BIGINT: LONG,
  UBIGINT: { kind: 'decimal', precision: 20, scale: 0 },
  HUGEINT: { kind: 'decimal', precision: 38, scale: 0 },
  FLOAT: simple('float'),
  DOUBLE,
  DATE,
  TIMESTAMP,
  TIMESTAMP_NS: TIMESTAMP,
  TIMESTAMP_MS: TIMESTAMP,
  TIMESTAMP_S: TIMESTAMP,
  'TIMESTAMP WITH TIME ZONE': TIMESTAMP,
  BLOB: simple('binary'),
}

class SqlType {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  read(): FlowType {
    let type: FlowType
    const rest = this.text.slice(this.at)
    const decimal = /^DECIMAL\((\d+),(\d+)\)/.exec(rest)
    if (decimal) {
      this.at += decimal[0].length
      type = { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) }
    } else if (rest.startsWith('STRUCT(')) {
      this.at += 7
      const fields: Field[] = []
      for (let first = true; first || this.text[this.at] === ','; first = false) {
        if (!first) this.at += 2
        const name = /^(?:"((?:[^"]|"")*)"|([^ ]+)) /.exec(this.text.slice(this.at))!
        this.at += name[0].length
        fields.push({ name: name[1]?.replaceAll('""', '"') ?? name[2]!, type: this.read() })
      }
      this.at++
      type = { kind: 'struct', fields }
    } else if (rest.startsWith('MAP(')) {
      this.at += 4
      const key = this.read()
      this.at += 2
      const value = this.read()
      this.at++
      type = { kind: 'map', key, value }
    } else {
      const name = /^(?:TIMESTAMP WITH TIME ZONE|TIME WITH TIME ZONE|[A-Z_]+)/.exec(rest)?.[0] ?? rest
      this.at += name.length
      type = FROM[name] ?? STRING
    }
    for (
      let array = /^\[\d*\]/.exec(this.text.slice(this.at));
      array;
      array = /^\[\d*\]/.exec(this.text.slice(this.at))
    ) {
      this.at += array[0].length
      type = arrayOf(type)
    }
    return type
  }
}

/** The type that two values have together. Throws FERRY-7003. */
export function common(a: FlowType, b: FlowType, what: string): FlowType {
  if (a.kind === 'any') return b
  if (b.kind === 'any') return a
  if (isNumber(a) && isNumber(b)) return wider(a, b)
  if (isMoment(a) && isMoment(b)) return a.kind === b.kind ? a : TIMESTAMP
  if (a.kind === b.kind) {
    if (a.kind === 'array' && b.kind === 'array') return arrayOf(common(a.of, b.of, what))
    if (a.kind === 'struct' && b.kind === 'struct') {
      const others = b.fields.filter(f => !a.fields.some(own => own.name === f.name))
      const own = a.fields.map(f => {
        const same = b.fields.find(other => other.name === f.name)
        return same ? { name: f.name, type: common(f.type, same.type, what) } : f
      })
      return { kind: 'struct', fields: [...own, ...others] }
    }
    return a
  }
  throw new FerryError('FERRY-7003', `${what}: ${shownType(a)} and ${shownType(b)} have no type in common`)
}

const MOST_DIGITS = 38

/** As Spark bounds decimals: digits before the point are kept, those behind it down to six. */
export function bounded(precision: number, scale: number): { kind: 'decimal'; precision: number; scale: number } {
  if (precision <= MOST_DIGITS) return { kind: 'decimal', precision, scale }
  const whole = precision - scale
  return { kind: 'decimal', precision: MOST_DIGITS, scale: Math.max(MOST_DIGITS - whole, Math.min(scale, 6)) }
}

const DIGITS: Record<string, number> = { byte: 3, short: 5, integer: 10, long: 19 }

/** The wider one of two types of numbers. */
export function wider(a: FlowType, b: FlowType): FlowType {
  if (a.kind === 'decimal' || b.kind === 'decimal') {
    if (a.kind === 'double' || b.kind === 'double' || a.kind === 'float' || b.kind === 'float') return DOUBLE
    const [x, y] = [a, b].map(t => (t.kind === 'decimal' ? t : { precision: DIGITS[t.kind]!, scale: 0 })) as {
      precision: number
      scale: number
    }[]
    const scale = Math.max(x!.scale, y!.scale)
    const whole = Math.max(x!.precision - x!.scale, y!.precision - y!.scale)
    return bounded(whole + scale, scale)
  }
  const rank = [...INTEGRALS, 'float', 'double']
  // A long has more digits than a float.
  if ((a.kind === 'float' && b.kind === 'long') || (a.kind === 'long' && b.kind === 'float')) return DOUBLE
  return rank.indexOf(a.kind) >= rank.indexOf(b.kind) ? a : b
}
