/** The logical types of DuckDB's types, as its driver names them. */
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
