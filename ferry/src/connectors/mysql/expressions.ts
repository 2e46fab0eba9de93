/** How columns are selected: expressions that give every type as a text without loss. */
import { fit } from '../../batch/convert.ts'
import type { Offer } from '../../contract/encodings.ts'
import type { MappedColumn } from '../../contract/schema.ts'
import type { MysqlColumn } from './catalog.ts'
import { quoteName, quoteText } from './client.ts'
import type { MysqlSettings } from './settings.ts'
import { isGeometry } from './types.ts'

/** The expression for the rows encoding. */
export function rowExpression({ name, native, type }: MysqlColumn): string {
  const column = quoteName(name)
  if (isGeometry(native)) return `ST_AsBinary(${column})`
  if (/^(bit|year)/i.test(native)) return `(${column} + 0)`
  // A float's own text has six digits.
  return type.kind === 'float' && type.bits === 32 ? `(${column} + 0e0)` : column
}

/** The expression whose text can be put into CSV as it is. */
export function csvExpression(column: MappedColumn, source: MysqlColumn | undefined, settings: MysqlSettings): string {
  const { constant } = column
  if (!source) return constant === undefined ? 'NULL' : quoteText(constant)
  let expression = rowExpression(source)
  if (source.type.kind === 'binary') expression = `CONCAT('\\\\x', HEX(${expression}))`
  const name = quoteName(source.name)
  if (settings.zeroDates === 'null' && (source.type.kind === 'date' || source.type.kind === 'timestamp')) {
    expression = `IF(MONTH(${name}) = 0 OR DAYOFMONTH(${name}) = 0, NULL, ${expression})`
  }
  return column.default === undefined ? expression : `COALESCE(${expression}, ${quoteText(column.default)})`
}

/** Whether the column's text may hold commas, quotes and line ends. */
export function isQuoted(column: MappedColumn, source: MysqlColumn | undefined): boolean {
  return !source || column.default !== undefined || ['utf8', 'json', 'uuid'].includes(source.type.kind)
}

/** Why a column cannot travel as CSV to this reader, or undefined where it can. */
export function refusesCsv(
  column: MappedColumn,
  source: MysqlColumn | undefined,
  offer: Offer & { encoding: 'csv' },
): string | undefined {
  if (column.checked) return `${column.name}: each value must be checked`
  if (!source) return undefined
  const { sourceType: from, type: to } = column
  const relation = fit(from, to)
  const kept = relation === 'same' || (relation === 'wider' && (to.kind !== 'utf8' || from.kind === 'utf8'))
  if (!kept || (to.kind === 'json' && from.kind !== 'json')) return `${column.name}: the conversion needs Ferry's own`
  // A reader that refuses misfits reads these texts of the server as they are; others need the canonical one.
  const own = ['bool', 'float', 'timestamp', 'interval', 'binary'].includes(from.kind)
  return own && offer.misfits !== 'refused' ? `${column.name} has a text of its own` : undefined
}
