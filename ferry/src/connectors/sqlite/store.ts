/** Values as SQLite keeps them without altering them. */
import { formatText, significantDigits } from '../../batch/text.ts'
import { type LogicalType, typeName, type Value } from '../../batch/types.ts'
import { RowError } from '../../errors.ts'
import { affinity } from './types.ts'

export type Stored = null | number | bigint | string | Uint8Array

/** A value as SQLite stores it without altering it; throws a RowError for what SQLite cannot hold. */
export function storer(type: LogicalType, native: string): (value: Exclude<Value, null>) => Stored {
  switch (type.kind) {
    case 'bool':
      return value => (value ? 1 : 0)
    case 'int':
      if (type.signed || type.bits < 64) return value => value as number | bigint
      return value => {
        if ((value as number | bigint) > 9223372036854775807n) {
          throw new RowError('FERRY-4001', `${value} is beyond SQLite's 64-bit integers`)
        }
        return value as number | bigint
      }
    case 'float':
      return value => {
        if (Number.isNaN(value)) throw new RowError('FERRY-4001', 'SQLite has no NaN: it would store NULL')
        if (Object.is(value, -0)) throw new RowError('FERRY-4001', 'SQLite has no -0: it would store 0')
        return value as number
      }
    case 'binary':
      return value => value as Uint8Array
    case 'decimal':
    case 'numeric':
      if (affinity(native) === 'text') return value => value as string
      return value => {
        // Under NUMERIC affinity SQLite keeps 15 significant digits.
        if (significantDigits(value as string) > 15 || /[NI]/.test(value as string)) {
          throw new RowError('FERRY-4001', `${value} does not fit a ${native} column: SQLite would round it`)
        }
        return value as string
      }
    case 'utf8':
    case 'json':
      if (affinity(native) === 'text' || affinity(native) === 'blob') return text
      return value => {
        if (/^\s*[-+.\d]/.test(value as string)) {
          throw new RowError('FERRY-4001', `a ${native} column would turn ${typeName(type)} text into a number`)
        }
        return text(value)
      }
    default:
      return value => formatText(value, type)
  }
}

function text(value: Exclude<Value, null>): string {
  const s = value as string
  if (!s.isWellFormed()) throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
  return s
}
