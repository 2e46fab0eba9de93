/** The DuckDB types that hold logical ones. Needs no driver, so that planning loads none. */
import * as t from '../batch/types.ts'

const timestamp = (unit: t.TimeUnit, zone = false): t.LogicalType => ({ kind: 'timestamp', unit, zone })

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
