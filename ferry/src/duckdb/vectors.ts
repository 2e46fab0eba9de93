/** Rows to DuckDB's data chunks and back, value by value and exact. */
import {
  DuckDBBlobValue,
  type DuckDBDataChunk,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBIntervalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  type DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  type DuckDBType,
  DuckDBUUIDValue,
  type DuckDBValue,
  DuckDBTypeId as Id,
} from '@duckdb/node-api'
import { quoteShort } from '../batch/quote.ts'
import { intInRange } from '../batch/text.ts'
import { compact } from '../batch/time.ts'
import type { Interval, LogicalType, Row, Value } from '../batch/types.ts'
import { RowError } from '../errors.ts'

type NotNull = Exclude<Value, null>
const INT64_MAX = 9223372036854775807n
const DAYS_INFINITY = 2147483647

/** The rows of a chunk under their logical types. */
export function rowsOf(chunk: DuckDBDataChunk, types: DuckDBType[]): Row[] {
  const count = chunk.rowCount
  const rows: Row[] = Array.from({ length: count }, () => new Array(types.length))
  for (let column = 0; column < types.length; column++) {
    const read = valueReader(types[column]!)
    const values = chunk.getColumnValues(column)
    for (let i = 0; i < count; i++) {
      const value = values[i]!
      rows[i]![column] = value === null ? null : read(value)
    }
  }
  return rows
}

function valueReader(type: DuckDBType): (value: DuckDBValue) => Value {
  switch (type.typeId) {
    case Id.BIGINT:
    case Id.UBIGINT:
      return v => compact(v as bigint)
    case Id.HUGEINT:
    case Id.UHUGEINT:
      return String
    case Id.DECIMAL:
      return v => (v as DuckDBDecimalValue).toString()
    case Id.BLOB:
      return v => Buffer.from((v as DuckDBBlobValue).bytes)
    case Id.DATE:
      return v => {
        const { days } = v as DuckDBDateValue
        return days === DAYS_INFINITY ? Infinity : days === -DAYS_INFINITY ? -Infinity : days
      }
    case Id.TIME:
      return v => Number((v as DuckDBTimeValue).micros)
    case Id.TIMESTAMP:
    case Id.TIMESTAMP_TZ:
      return v => instant((v as DuckDBTimestampValue).micros)
    case Id.TIMESTAMP_MS:
      return v => instant((v as DuckDBTimestampMillisecondsValue).millis)
    case Id.TIMESTAMP_S:
      return v => {
        const { seconds } = v as DuckDBTimestampSecondsValue
        const value = instant(seconds)
        return Number.isFinite(value) ? compact(seconds * 1000n) : value
      }
    case Id.TIMESTAMP_NS:
      return v => instant((v as DuckDBTimestampNanosecondsValue).nanos)
    case Id.INTERVAL:
      return v => {
        const { months, days, micros } = v as DuckDBIntervalValue
        return { months, days, micros: compact(micros) }
      }
    case Id.UUID:
      return v => (v as DuckDBUUIDValue).toString()
    case Id.LIST: {
      const item = valueReader((type as { valueType: DuckDBType } & DuckDBType).valueType)
      return v => (v as DuckDBListValue).items.map(i => (i === null ? null : item(i)))
    }
    case Id.STRUCT: {
      const { entryNames, entryTypes } = type as {
        entryNames: readonly string[]
        entryTypes: readonly DuckDBType[]
      } & DuckDBType
      const readers = entryTypes.map(valueReader)
      return v =>
        entryNames.map((name, i) => {
          const entry = (v as DuckDBStructValue).entries[name]
          return entry === null || entry === undefined ? null : readers[i]!(entry)
        })
    }
    case Id.MAP: {
      const { keyType, valueType } = type as { keyType: DuckDBType; valueType: DuckDBType } & DuckDBType
      const key = valueReader(keyType)
      const value = valueReader(valueType)
      return v => (v as DuckDBMapValue).entries.map(e => [key(e.key), e.value === null ? null : value(e.value)])
    }
    default:
      return v => (typeof v === 'object' && v !== null ? String(v) : (v as Value))
  }
}

function instant(units: bigint): number | bigint {
  return units === INT64_MAX ? Infinity : units === -INT64_MAX ? -Infinity : compact(units)
}

const halfPair = () => new RowError('FERRY-4001', 'the text has half a surrogate pair')

/** Whether JSON that is known to be valid has an escape for half a surrogate pair: written again, only such stay escaped. */
function hasHalfPair(text: string): boolean {
  return /\\u[dD][89a-fA-F]/.test(text) && /\\ud[89a-f]/.test(JSON.stringify(JSON.parse(text)))
}

/** Mutex values of a logical type into those that DuckDB's chunks take; throws a RowError for what does not fit. */
export function valueWriter(type: LogicalType, finite: boolean): (value: NotNull) => DuckDBValue {
  switch (type.kind) {
    case 'bool':
    case 'float':
      return v => v as DuckDBValue
    case 'json':
      return v => {
        const text = v as string
        // DuckDB keeps such JSON, and cannot read it any more.
        if (!text.isWellFormed() || hasHalfPair(text)) throw halfPair()
        return text
      }
    case 'utf8':
    case 'numeric':
      return v => {
        if (!(v as string).isWellFormed()) throw halfPair()
        return v as string
      }
    case 'int':
      return type.bits === 64 ? v => BigInt(v as number | bigint) : v => Number(intInRange(v as number, type))
    case 'decimal': {
      const { precision, scale } = type
      return v => {
        const text = v as string
        if (/[NI]/.test(text)) throw new RowError('FERRY-4001', `${text} does not fit a decimal(${precision},${scale})`)
        return new DuckDBDecimalValue(BigInt(text.replace('.', '')), precision, scale)
      }
    }
    case 'binary':
      return v => new DuckDBBlobValue(v as Uint8Array)
    case 'date':
      return v => {
        const days = v as number
        if (Number.isFinite(days)) return new DuckDBDateValue(days)
        if (finite) throw infinite()
        return new DuckDBDateValue(days > 0 ? DAYS_INFINITY : -DAYS_INFINITY)
      }
    case 'time':
      return v => new DuckDBTimeValue(BigInt(v as number))
    case 'timestamp':
      return v => {
        if (finite && !Number.isFinite(Number(v))) throw infinite()
        const units = v === Infinity ? INT64_MAX : v === -Infinity ? -INT64_MAX : BigInt(v as number | bigint)
        if (units < -INT64_MAX || units > INT64_MAX) throw new RowError('FERRY-4001', 'the timestamp is out of range')
        if (type.zone) return new DuckDBTimestampTZValue(units)
        if (type.unit === 'ms') return new DuckDBTimestampMillisecondsValue(units)
        return type.unit === 'us' ? new DuckDBTimestampValue(units) : new DuckDBTimestampNanosecondsValue(units)
      }
    case 'interval':
      return v => {
        const { months, days, micros } = v as Interval
        return new DuckDBIntervalValue(months, days, BigInt(micros))
      }
    case 'uuid':
      return v => uuidValue(v as string)
    case 'list': {
      const item = valueWriter(type.item, finite)
      return v => new DuckDBListValue((v as Value[]).map(i => (i === null ? null : item(i))))
    }
    case 'struct': {
      const fields = type.fields.map(f => ({ name: f.name, write: valueWriter(f.type, finite) }))
      return v =>
        new DuckDBStructValue(
          Object.fromEntries(
            fields.map(({ name, write }, i) => {
              const value = (v as Value[])[i] ?? null
              return [name, value === null ? null : write(value)]
            }),
          ),
        )
    }
    case 'map': {
      const key = valueWriter(type.key, finite)
      const value = valueWriter(type.value, finite)
      return v =>
        new DuckDBMapValue(
          (v as [NotNull, Value][]).map(([k, x]) => ({ key: key(k), value: x === null ? null : value(x) })),
        )
    }
  }
}

function uuidValue(text: string): DuckDBUUIDValue {
  const digits = text.replaceAll('-', '')
  if (!/^[0-9a-f]{32}$/.test(digits)) throw new RowError('FERRY-4001', `${quoteShort(text)} is not a uuid`)
  return DuckDBUUIDValue.fromUint128(BigInt(`0x${digits}`))
}

function infinite(): RowError {
  return new RowError('FERRY-4001', 'Parquet has no infinite dates and timestamps')
}
