/**
 * MySQL's and MariaDB's column types and Ferry's logical types.
 *
 * Source: https://mariadb.com/kb/en/data-types/ and https://dev.mysql.com/doc/refman/8.4/en/data-types.html
 */
import * as t from '../../batch/types.ts'

/** What marks a `datetime` column as holding instants, in UTC: the comment that Ferry gives it. */
export const UTC = 'UTC'

const INT_BITS = { tinyint: 8, smallint: 16, mediumint: 32, int: 32, bigint: 64 } as const

/** The logical type of a column type as `information_schema` writes it, such as `decimal(10,2) unsigned`. */
export function toLogical(native: string, tinyInt1: 'bool' | 'int' = 'bool'): t.LogicalType {
  const word = /^[a-z0-9_]+/i.exec(native)?.[0].toLowerCase() ?? ''
  const numbers = /\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)/.exec(native)
  const first = numbers ? Number(numbers[1]) : undefined
  const signed = !/unsigned|zerofill/i.test(native)
  switch (word) {
    case 'tinyint':
    case 'smallint':
    case 'mediumint':
    case 'int':
    case 'bigint':
      if (word === 'tinyint' && first === 1 && signed && tinyInt1 === 'bool') return t.bool
      return { kind: 'int', bits: INT_BITS[word], signed }
    case 'year':
      return t.int16
    case 'bit':
      if (first === undefined || first === 1) return t.bool
      return { kind: 'int', bits: first <= 8 ? 8 : first <= 16 ? 16 : first <= 32 ? 32 : 64, signed: false }
    case 'decimal':
      return { kind: 'decimal', precision: first ?? 10, scale: Number(numbers?.[2] ?? 0) }
    case 'float':
      return t.float32
    case 'double':
      return t.float64
    case 'date':
      return t.date
    case 'time':
      return withDigits({ kind: 'interval' }, first ?? 0, 6)
    case 'datetime':
    case 'timestamp': {
      const zone = word === 'timestamp' || native.includes(`COMMENT '${UTC}'`)
      const digits = first ?? 0
      return withDigits({ kind: 'timestamp', zone, unit: digits <= 3 ? 'ms' : 'us' }, digits, digits <= 3 ? 3 : 6)
    }
    case 'char':
    case 'varchar':
      return { kind: 'utf8', length: first }
    case 'json':
      return t.json
    case 'uuid':
      return t.uuid
    case 'binary':
    case 'varbinary':
    case 'tinyblob':
    case 'blob':
    case 'mediumblob':
    case 'longblob':
      return t.binary
    default:
      return isGeometry(native) ? t.binary : t.utf8
  }
}

function withDigits(type: t.TimeType, digits: number, all: number): t.TimeType {
  return digits < all ? { ...type, digits } : type
}

const GEOMETRY = /^(geometry|point|linestring|polygon|multi\w+|geometrycollection|geomcollection)\b/i

export function isGeometry(native: string): boolean {
  return GEOMETRY.test(native)
}

/** The column type that automatic table creation gives a logical one. */
export function toNative(type: t.LogicalType): string {
  switch (type.kind) {
    case 'bool':
      return 'tinyint(1)'
    case 'int': {
      const word = { 8: 'tinyint', 16: 'smallint', 32: 'int', 64: 'bigint' }[type.bits]
      return type.signed ? word : `${word} unsigned`
    }
    case 'float':
      return type.bits === 32 ? 'float' : 'double'
    case 'decimal':
      return type.precision <= 65 && type.scale <= 30 ? `decimal(${type.precision},${type.scale})` : 'longtext'
    case 'numeric':
      return 'decimal(65,30)'
    case 'utf8':
      return type.length !== undefined && type.length <= 16_383 ? `varchar(${Math.max(1, type.length)})` : 'longtext'
    case 'uuid':
      return 'char(36)'
    case 'binary':
      return 'longblob'
    case 'date':
      return 'date'
    case 'time':
      return 'time(6)'
    case 'timestamp': {
      const word = `datetime(${type.unit === 'ms' ? 3 : 6})`
      // TIMESTAMP ends in 2038: instants are stored in UTC, and marked as such.
      return type.zone ? `${word} COMMENT '${UTC}'` : word
    }
    case 'interval':
      return 'varchar(64)'
    default:
      return 'json'
  }
}
