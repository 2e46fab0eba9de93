/** How texts are written that a type is guessed from: read under the type they keep their form. */
import { RowError } from '../errors.ts'
import { quoteShort } from './quote.ts'
import { type LogicalType, typeName } from './types.ts'

export const INT = /^(0|-?[1-9]\d*)$/
export const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const DATE = /^\d{4}-\d\d-\d\d$/
export const TIMESTAMP = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:?\d\d)?)?$/
export const ZONE = /(Z|[+-]\d\d(:?\d\d)?)$/

/** Whether a text is written as those were that its type was guessed from: read under the type it keeps its form. */
export function isOfGuess(text: string, type: LogicalType): boolean {
  switch (type.kind) {
    case 'int':
      return INT.test(text)
    case 'float':
    case 'numeric':
      return NUMBER.test(text)
    case 'bool':
      return text === 'true' || text === 'false'
    case 'date':
      return DATE.test(text)
    case 'timestamp':
      return TIMESTAMP.test(text) && ZONE.test(text.slice(19)) === type.zone
    case 'uuid':
      return UUID.test(text)
    default:
      return true
  }
}

/** A text that is not as those were that the type was guessed from: under the type it would lose a part of its form. */
export function notAsGuessed(text: string, type: LogicalType): RowError {
  const name = typeName(type)
  return new RowError(
    'FERRY-4001',
    `${quoteShort(text)} is not as the values before it, which are ${name}`,
    undefined,
    {
      hint: `Say what the column is: read: { types: { COLUMN: utf8 } }, or ${name} to take it so all the same.`,
    },
  )
}
