/**
 * SQLite's declared types and Ferry's logical types. SQLite gives a column an affinity from its declared type
 * (https://www.sqlite.org/datatype3.html); a column whose values must stay text gets a declared type with TEXT in it,
 * since SQLite would turn digits under NUMERIC affinity into doubles.
 */
import * as t from '../../batch/types.ts'

export type Affinity = 'integer' | 'text' | 'blob' | 'real' | 'numeric'

/** The affinity that SQLite gives a declared type. */
export function affinity(declared: string): Affinity {
  const type = declared.toUpperCase()
  if (type.includes('INT')) return 'integer'
  if (/CHAR|CLOB|TEXT/.test(type)) return 'text'
  if (type === '' || type.includes('BLOB')) return 'blob'
  return /REAL|FLOA|DOUB/.test(type) ? 'real' : 'numeric'
}

/** The logical type of a declared one. */
export function toLogical(declared: string): t.LogicalType {
  const type = declared.toUpperCase().trim()
  const word = type
    .replace(/\(.*\)/, '')
    .replace(/ TEXT$/, '')
    .trim()
  const bounds = /\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)/.exec(type)
  switch (word) {
    // In a STRICT table such a column holds whatever comes, as it comes.
    case 'ANY':
      return t.utf8
    case 'BOOLEAN':
    case 'BOOL':
      return t.bool
    case 'DATE':
      return t.date
    case 'TIME':
      return t.time
    case 'DATETIME':
    case 'TIMESTAMP':
      return t.timestamp
    case 'TIMESTAMPTZ':
      return t.timestamptz
    case 'TIMESTAMP_NS':
      return { kind: 'timestamp', zone: false, unit: 'ns' }
    case 'TIMESTAMPTZ_NS':
      return { kind: 'timestamp', zone: true, unit: 'ns' }
    case 'DURATION':
      return t.interval
    case 'UUID':
      return t.uuid
    case 'JSON':
    case 'JSONB':
      return t.json
    case 'FLOAT32':
      return t.float32
    case 'UNSIGNED BIG INT':
    case 'UINT64':
      return { kind: 'int', bits: 64, signed: false }
    case 'DECIMAL':
    case 'NUMERIC':
      return bounds ? { kind: 'decimal', precision: Number(bounds[1]), scale: Number(bounds[2] ?? 0) } : t.numeric
    case 'INT8':
    case 'TINYINT':
      return { kind: 'int', bits: 8, signed: true }
    case 'SMALLINT':
    case 'INT16':
      return t.int16
    case 'INT32':
      return t.int32
    case 'VARCHAR':
    case 'CHARACTER VARYING':
      return bounds ? { kind: 'utf8', length: Number(bounds[1]) } : t.utf8
  }
  switch (affinity(type)) {
    case 'integer':
      return t.int64
    case 'real':
      return t.float64
    case 'blob':
      return type === '' ? t.utf8 : t.binary
    case 'numeric':
      return t.numeric
    case 'text':
      return t.utf8
  }
}

/** The declared type that automatic table creation gives a logical one. */
export function toNative(type: t.LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'BOOLEAN'
    case 'int':
      if (!type.signed && type.bits === 64) return 'UINT64'
      return type.signed && type.bits < 64 ? `INT${type.bits}` : 'INTEGER'
    case 'float':
      return type.bits === 32 ? 'FLOAT32' : 'REAL'
    case 'decimal':
      return `DECIMAL TEXT(${type.precision},${type.scale})`
    case 'numeric':
      return 'DECIMAL TEXT'
    case 'utf8':
      return type.length === undefined ? 'TEXT' : `VARCHAR(${type.length})`
    case 'binary':
      return 'BLOB'
    case 'interval':
      return 'DURATION TEXT'
    case 'timestamp': {
      const name = type.zone ? 'TIMESTAMPTZ' : 'TIMESTAMP'
      return type.unit === 'ns' ? `${name}_NS TEXT` : `${name} TEXT`
    }
    case 'list':
    case 'struct':
    case 'map':
      return 'JSON TEXT'
    default:
      return `${type.kind.toUpperCase()} TEXT`
  }
}
