/**
 * Which columns can pass between two PostgreSQL-speaking ends as COPY bytes, and the expression that makes them so.
 * A cast is pushed into the source's query only where it is exact; everything else is left to the rows encoding.
 */
import { fit } from '../../batch/convert.ts'
import type { LogicalType } from '../../batch/types.ts'
import type { Encoding, Offer } from '../../contract/encodings.ts'
import type { MappedColumn } from '../../contract/schema.ts'
import type { PostgresColumn } from './catalog.ts'
import { quoteName, quoteText } from './client.ts'
import { bare, isKnown, OTHER_BUILT_INS } from './types.ts'

/** Whether rows travel in the protocol's own messages, from one server's COPY to another's. */
export function isFramed(offer: Offer): boolean {
  return offer.encoding === 'pg-copy-binary' || offer.encoding === 'pg-copy-text'
}

/** The type whose binary form a column's values have: enums are text, domains their base. */
export function wireType(column: { native: string; base: string; typeKind: string }): string {
  if (column.typeKind === 'e') return 'text'
  return bare(column.base)
}

/** Types whose `::text` is Ferry's canonical text: their cast to text may run in the source. */
const TEXT_CASTS = new Set(['bool', 'int', 'decimal', 'numeric', 'date', 'time', 'timestamp', 'uuid', 'binary', 'utf8'])

/** Why a column cannot be given with this wire type, or undefined where it can. `as is` asks for canonical text. */
export function refusesWire(
  column: MappedColumn,
  source: PostgresColumn | undefined,
  wire: string,
  encoding: Encoding,
): string | undefined {
  if (column.checked) return `${column.name}: each value must be checked`
  if (!source) return undefined
  const have = wireType(source)
  if (wire === 'as is') return sameKind(column.sourceType, column.type) || exact(column) ? undefined : needsRows(column)
  if (have === wire) {
    const builtin = isKnown(source.base) || source.typeKind === 'e' || OTHER_BUILT_INS.has(have)
    if (encoding === 'pg-copy-binary' && !builtin) return `${column.name} (${source.native}) has no common binary form`
    return undefined
  }
  if (textLike(have) && textLike(wire)) return undefined
  return exact(column) && isKnown(wire) ? undefined : needsRows(column)
}

function needsRows(column: MappedColumn): string {
  return `${column.name}: the conversion needs Ferry's own`
}

function sameKind(a: LogicalType, b: LogicalType): boolean {
  return fit(a, b) === 'same'
}

function exact(column: MappedColumn): boolean {
  const relation = fit(column.sourceType, column.type)
  if (relation === 'same') return true
  if (relation !== 'wider') return false
  if (column.type.kind === 'utf8') return TEXT_CASTS.has(column.sourceType.kind)
  return column.type.kind !== 'json' || column.sourceType.kind === 'json'
}

function textLike(wire: string): boolean {
  return wire === 'text' || wire === 'character varying'
}

/** The SQL expression that gives a column's value in its wire type. */
export function wireExpression(
  column: MappedColumn,
  source: PostgresColumn | undefined,
  wire: string,
  encoding: Encoding,
): string {
  if (!source) {
    if (column.constant === undefined) return `NULL::${wire === 'as is' ? 'text' : wire}`
    return `${quoteText(column.constant)}::${wire === 'as is' ? 'text' : wire}`
  }
  const name = quoteName(source.name)
  let expression = name
  if (wire === 'as is') {
    // CSV holds canonical text: PostgreSQL's own output would be `t` and `f`.
    if (column.type.kind === 'bool' || column.sourceType.kind === 'bool') expression = `${name}::text`
  } else if (wireType(source) !== wire) expression = `${name}::${wire}`
  else if (encoding === 'pg-copy-binary' && source.typeKind === 'e') expression = `${name}::text`
  if (column.default === undefined) return expression
  const fallback = quoteText(column.default)
  return wire === 'as is' && expression === name
    ? `coalesce(${name}, ${fallback}::${source.native})`
    : `coalesce(${expression}, ${fallback}::${wire === 'as is' ? 'text' : wire})`
}
