/** Compares the columns in a store's log with those that a copy was planned with. */
import { parseText } from '../../batch/text.ts'
import type { Value } from '../../batch/types.ts'
import type { ReadRequest } from '../../contract/read.ts'
import type { TableColumn } from '../../contract/schema.ts'
import { FerryError, NewColumns } from '../../errors.ts'

/** Throws FERRY-3013 where the log has columns that the source did not have when the copy was planned. */
export function requireKnown(table: string, logged: string[], known: TableColumn[], drift: ReadRequest['drift']): void {
  if (drift === 'ignore') return
  const names = logged.filter(name => !known.some(c => c.name === name))
  if (names.length === 0) return
  throw new NewColumns(table, names, {
    hint:
      drift === 'evolve'
        ? 'Run the job again: they are added to the destination, and the copy goes on where it stopped.'
        : 'Set `drift: evolve` to add them, `drift: ignore` to leave them out, or name the columns that are copied.',
  })
}

/**
 * What a column holds in rows of the log that are older than the column: the default that it was added with. Throws
 * FERRY-3012 for one that the source computes: the log does not have its values.
 */
export function missingValue(column: TableColumn): Value {
  if (column.generated) throw new FerryError('FERRY-3012', `the log does not tell the generated column ${column.name}`)
  return column.missing === undefined ? null : parseText(column.missing, column.type)
}
