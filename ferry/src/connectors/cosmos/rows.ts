/** Rows of documents as they come from the service. */
import { members } from '../../batch/json.ts'
import type { Column, Row } from '../../batch/types.ts'
import type { ReadRequest } from '../../contract/read.ts'
import { RowError } from '../../errors.ts'
import { type DocumentReader, unwound } from '../../formats/documents.ts'
import { ownText } from './documents.ts'
import type { CosmosReadOptions } from './options.ts'

/** The columns of the rows that a table gives: what its mapping reads. */
export function wantedColumns(request: ReadRequest): Column[] {
  const wanted = new Map(request.columns.flatMap(c => (c.from === undefined ? [] : [[c.from, c.sourceType] as const])))
  return [...wanted].map(([name, type]) => ({ name, type, nullable: true }))
}

/** The rows of documents as they come from the service. Throws a RowError that names document and column. */
export function rowsOf(documents: string[], reader: DocumentReader, options: CosmosReadOptions): Row[] {
  const { unwind, systemProperties } = options
  const texts = systemProperties ? documents : documents.map(ownText)
  return (unwind === undefined ? texts : texts.flatMap(text => unwound(text, unwind))).map((text, index) => {
    try {
      return reader.row(text)
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      const id = new Map(members(text)).get('id') ?? `number ${index}`
      throw new RowError(error.code, `document ${id}, ${error.column}: ${error.message}`, error.column, {
        hint: error.hint,
      })
    }
  })
}
