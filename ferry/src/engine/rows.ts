/** The mapping applied to rows: the engine's part of it, where neither store could do it by itself. */
import { type Converter, converter } from '../batch/convert.ts'
import { formConverter } from '../batch/forms.ts'
import { parseText } from '../batch/text.ts'
import type { Column, Row, Value } from '../batch/types.ts'
import type { MappedColumn } from '../contract/schema.ts'
import { RowError } from '../errors.ts'

/** Maps one row; throws a RowError that names the column. */
export type RowMapper = (row: Row) => Row

/** The mapper from rows as read to rows as written; undefined where they are the same. */
export function rowMapper(read: Column[], columns: MappedColumn[]): RowMapper | undefined {
  const steps = columns.map(column => {
    const at = column.from === undefined ? -1 : read.findIndex(c => c.name === column.from)
    const convert = at < 0 ? undefined : converterOf(read[at]!, column)
    const constant: Value = column.constant === undefined ? null : parseText(column.constant, column.type)
    const fallback: Value = column.default === undefined ? null : parseText(column.default, column.type)
    return { name: column.name, at, convert, constant, fallback }
  })
  const same = steps.length === read.length && steps.every((s, i) => s.at === i && !s.convert && s.fallback === null)
  if (same) return undefined
  return row => steps.map(step => (step.at < 0 ? step.constant : mapValue(row[step.at]!, step)))
}

function converterOf({ type }: Column, { texts, type: to }: MappedColumn): Converter | undefined {
  return texts ? formConverter(type, texts, to) : converter(type, to)
}

function mapValue(value: Value, step: { name: string; convert: Converter | undefined; fallback: Value }): Value {
  if (value === null) return step.fallback
  if (!step.convert) return value
  try {
    return step.convert(value)
  } catch (error) {
    if (!(error instanceof RowError)) throw error
    throw new RowError(error.code, `column ${step.name}: ${error.message}`, step.name)
  }
}
