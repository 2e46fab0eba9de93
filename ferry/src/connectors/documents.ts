/** Documents as rows, for the stores that hold them. */
import { fromJson, members } from '../batch/json.ts'
import type { Column, Row } from '../batch/types.ts'
import { RowError } from '../errors.ts'
import { DOCUMENT } from './connector.ts'

/** The row of a document: the whole text, or a member for each column. Throws a RowError that names the column. */
export function documentRow(text: string, columns: Column[]): Row {
  if (columns[0]?.name === DOCUMENT) return [text]
  const found = new Map(members(text))
  return columns.map(({ name, type }) => {
    const member = found.get(name)
    try {
      return member === undefined || member === 'null' ? null : fromJson(member, type)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, error.message, name)
    }
  })
}
