/** PostgreSQL's types and Ferry's logical types, both ways. */

import * as t from '../../batch/types.ts'
import { valueOf } from '../../batch/valueof.ts'

/** Types by the name that `format_type` gives, without a modifier. */
const LOGICAL: Record<string, t.LogicalType> = {
  boolean: t.bool,
  smallint: t.int16,
  integer: t.int32,
  bigint: t.int64,
  oid: { kind: 'int', bits: 32, signed: false },
  real: t.float32,
  'double precision': t.float64,
  numeric: t.numeric,
  text: t.utf8,
  'character varying': t.utf8,
  character: t.utf8,
  bytea: t.binary,
  uuid: t.uuid,
  date: t.date,
  'time without time zone': t.time,
  'timestamp without time zone': t.timestamp,
  'timestamp with time zone': t.timestamptz,
  interval: t.interval,
  json: t.json,
  jsonb: t.jsonb,
}

/** Object ids of the types that arrays in the binary format name as their element. */
export const OIDS: Record<string, number> = {
  boolean: 16,
  bytea: 17,
  bigint: 20,
  smallint: 21,
  integer: 23,
  text: 25,
  json: 114,
  real: 700,
  'double precision': 701,
  character: 1042,
  'character varying': 1043,
  date: 1082,
  'time without time zone': 1083,
  'timestamp without time zone': 1114,
  'timestamp with time zone': 1184,
  interval: 1186,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
}

/** A type's name without its modifier: `numeric(10,2)[]` -> `numeric[]`, `timestamp(3) with time zone` -> without (3). */
export function bare(native: string): string {
  return native.replace(/\(\d+(,-?\d+)?\)/, '')
}

/** Whether the name is a type that Ferry reads and writes in the binary format itself. */
export function isKnown(native: string): boolean {
  const name = bare(native)
  return name in LOGICAL || (name.endsWith('[]') && name.slice(0, -2) in OIDS)
}

/** Built-in types without a logical counterpart: their text goes everywhere, their binary form between PostgreSQLs. */
export const OTHER_BUILT_INS = new Set([
  'inet',
  'cidr',
  'macaddr',
  'macaddr8',
  'bit',
  'bit varying',
  'money',
  'point',
  'line',
  'lseg',
  'box',
  'path',
  'polygon',
  'circle',
  'tsvector',
  'tsquery',
  'xml',
  'int4range',
  'int8range',
  'numrange',
  'tsrange',
  'tstzrange',
  'daterange',
  'int4multirange',
  'int8multirange',
  'nummultirange',
  'tsmultirange',
  'tstzmultirange',
  'datemultirange',
  'pg_lsn',
  'time with time zone',
  'name',
  'jsonpath',
])

/** Whether every PostgreSQL has the type, so that a created table can have the source's own. */
export function isBuiltIn(native: string): boolean {
  const name = bare(native).replace(/(\[\])+$/, '')
  return name in LOGICAL || OTHER_BUILT_INS.has(name)
}

/** The logical type of a native one; types without a counterpart (inet, ranges, enums, ...) travel as their text. */
export function toLogical(native: string): t.LogicalType {
  if (native.endsWith('[]')) {
    const item = native.slice(0, -2)
    return isKnown(item) ? { kind: 'list', item: toLogical(item) } : t.utf8
  }
  const modifier = /\((\d+)(?:,(-?\d+))?\)/.exec(native)
  const name = bare(native)
  if (name === 'numeric' && modifier) {
    const scale = Number(modifier[2] ?? 0)
    // A negative scale or one beyond the precision has no counterpart: the unbounded type holds it exactly.
    const precision = Number(modifier[1])
    return scale < 0 || scale > precision ? t.numeric : { kind: 'decimal', precision, scale }
  }
  if ((name === 'character varying' || name === 'character') && modifier) {
    return { kind: 'utf8', length: Number(modifier[1]) }
  }
  const type = valueOf(LOGICAL, name) ?? t.utf8
  return t.isTime(type) && modifier && Number(modifier[1]) < 6 ? { ...type, digits: Number(modifier[1]) } : type
}

/** The native type that automatic table creation gives a logical one. */
export function toNative(type: t.LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'boolean'
    case 'int': {
      const bits = type.signed ? type.bits : type.bits * 2
      return bits <= 16 ? 'smallint' : bits <= 32 ? 'integer' : bits <= 64 ? 'bigint' : 'numeric(20,0)'
    }
    case 'float':
      return type.bits === 32 ? 'real' : 'double precision'
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`
    case 'numeric':
      return 'numeric'
    case 'utf8':
      return type.length === undefined ? 'text' : `character varying(${type.length})`
    case 'binary':
      return 'bytea'
    case 'time':
      return 'time without time zone'
    case 'timestamp':
      return type.zone ? 'timestamp with time zone' : 'timestamp without time zone'
    case 'list':
      return ['list', 'struct', 'map', 'json'].includes(type.item.kind) ? 'json' : `${toNative(type.item)}[]`
    case 'struct':
    case 'map':
      return 'json'
    default:
      return type.kind
  }
}
