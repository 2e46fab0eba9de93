/** DuckDB's types and Ferry's logical types, both ways. */
import {
  type DuckDBDecimalType,
  type DuckDBListType,
  type DuckDBMapType,
  type DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId as Id,
} from '@duckdb/node-api'
import * as t from '../batch/types.ts'

const int = (bits: 8 | 16 | 32 | 64, signed: boolean): t.LogicalType => ({ kind: 'int', bits, signed })
const timestamp = (unit: t.TimeUnit, zone = false): t.LogicalType => ({ kind: 'timestamp', unit, zone })

const LOGICAL: Partial<Record<Id, t.LogicalType>> = {
  [Id.BOOLEAN]: t.bool,
  [Id.TINYINT]: int(8, true),
  [Id.SMALLINT]: int(16, true),
  [Id.INTEGER]: int(32, true),
  [Id.BIGINT]: int(64, true),
  [Id.UTINYINT]: int(8, false),
  [Id.USMALLINT]: int(16, false),
  [Id.UINTEGER]: int(32, false),
  [Id.UBIGINT]: int(64, false),
  [Id.HUGEINT]: t.numeric,
  [Id.UHUGEINT]: t.numeric,
  [Id.FLOAT]: t.float32,
  [Id.DOUBLE]: t.float64,
  [Id.BLOB]: t.binary,
  [Id.DATE]: t.date,
  [Id.TIME]: t.time,
  [Id.TIMESTAMP]: timestamp('us'),
  [Id.TIMESTAMP_S]: timestamp('ms'),
  [Id.TIMESTAMP_MS]: timestamp('ms'),
  [Id.TIMESTAMP_NS]: timestamp('ns'),
  [Id.TIMESTAMP_TZ]: timestamp('us', true),
  [Id.INTERVAL]: t.interval,
  [Id.UUID]: t.uuid,
}

/** The logical type of a DuckDB one; types without a counterpart (enum, bit, union, ...) travel as their text. */
export function toLogical(type: DuckDBType): t.LogicalType {
  switch (type.typeId) {
    case Id.DECIMAL: {
      const { width, scale } = type as DuckDBDecimalType
      return { kind: 'decimal', precision: width, scale }
    }
    case Id.VARCHAR:
      return type.alias === 'JSON' ? t.json : t.utf8
    case Id.LIST:
      return { kind: 'list', item: toLogical((type as DuckDBListType).valueType) }
    case Id.STRUCT: {
      const { entryNames, entryTypes } = type as DuckDBStructType
      return { kind: 'struct', fields: entryNames.map((name, i) => ({ name, type: toLogical(entryTypes[i]!) })) }
    }
    case Id.MAP: {
      const { keyType, valueType } = type as DuckDBMapType
      return { kind: 'map', key: toLogical(keyType), value: toLogical(valueType) }
    }
    default:
      return LOGICAL[type.typeId] ?? t.utf8
  }
}

/** Whether values of the type are read as they are; others are cast to text in the query. */
export function isKnown(type: DuckDBType): boolean {
  return type.typeId === Id.VARCHAR || toLogical(type).kind !== 'utf8'
}

/** The DuckDB type that holds a logical one. */
export function toNative(type: t.LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'BOOLEAN'
    case 'int':
      return `${type.signed ? '' : 'U'}${{ 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }[type.bits]}`
    case 'float':
      return type.bits === 32 ? 'FLOAT' : 'DOUBLE'
    case 'decimal':
      return type.precision <= 38 ? `DECIMAL(${type.precision},${type.scale})` : 'VARCHAR'
    case 'numeric':
    case 'utf8':
      return 'VARCHAR'
    case 'binary':
      return 'BLOB'
    case 'timestamp':
      if (type.zone) return 'TIMESTAMP WITH TIME ZONE'
      return { ms: 'TIMESTAMP_MS', us: 'TIMESTAMP', ns: 'TIMESTAMP_NS' }[type.unit]
    case 'list':
      return `${toNative(type.item)}[]`
    case 'struct':
      return `STRUCT(${type.fields.map(f => `"${f.name.replaceAll('"', '""')}" ${toNative(f.type)}`).join(', ')})`
    case 'map':
      return `MAP(${toNative(type.key)}, ${toNative(type.value)})`
    default:
      return type.kind.toUpperCase()
  }
}

/** The logical type that a column holds when it is made by {@link toNative}. */
export function held(type: t.LogicalType): t.LogicalType {
  switch (type.kind) {
    case 'numeric':
      return t.utf8
    case 'decimal':
      return type.precision <= 38 ? type : t.utf8
    case 'utf8':
      return t.utf8
    case 'timestamp':
      return type.zone ? timestamp('us', true) : type
    case 'list':
      return { kind: 'list', item: held(type.item) }
    case 'struct':
      return { kind: 'struct', fields: type.fields.map(f => ({ name: f.name, type: held(f.type) })) }
    case 'map':
      return { kind: 'map', key: held(type.key), value: held(type.value) }
    default:
      return type
  }
}

/** The same for Parquet, whose intervals keep milliseconds only: they are written as ISO 8601 text. */
export function heldByParquet(type: t.LogicalType): t.LogicalType {
  switch (type.kind) {
    case 'interval':
      return t.utf8
    case 'timestamp':
      // DuckDB reads milliseconds back as microseconds.
      return type.unit === 'ms' ? timestamp('us', type.zone) : held(type)
    case 'list':
      return { kind: 'list', item: heldByParquet(type.item) }
    case 'struct':
      return { kind: 'struct', fields: type.fields.map(f => ({ name: f.name, type: heldByParquet(f.type) })) }
    case 'map':
      return { kind: 'map', key: heldByParquet(type.key), value: heldByParquet(type.value) }
    default:
      return held(type)
  }
}
