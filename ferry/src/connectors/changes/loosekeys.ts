/**
 * Keys that a destination compares more loosely than they are written, as `a` and `A` under some collations. Rows are
 * matched by the bytes of their keys; a key that the destination takes for another one is refused.
 */

import type { WriteRequest } from '../../contract/write.ts'
import { RowError } from '../../errors.ts'
import type { ChangeDialect, ChangeTable } from './changetable.ts'

/** The keys of the rows that the destination compares loosely. */
export function looseKeys({ keys, history, existing }: Pick<WriteRequest, 'keys' | 'history' | 'existing'>): string[] {
  const loose = new Set(existing?.columns.flatMap(c => (c.loose ? [c.name] : [])))
  return (history?.keys ?? keys).filter(key => loose.has(key))
}

/** That a row of the live table `t` and a staged one `s` have one key. `theirs` names a staged key otherwise. */
export function matchKeys(
  keys: string[],
  loose: string[],
  { quote, dialect }: { quote(name: string): string; dialect: Pick<ChangeDialect, 'exact'> },
  { live = 't', theirs = (key: string) => key }: { live?: string; theirs?: (key: string) => string } = {},
): string {
  const pairs = keys.map(key => ({ key, a: `${live}.${quote(key)}`, b: `s.${quote(theirs(key))}` }))
  return [
    ...pairs.map(({ a, b }) => `${a} = ${b}`),
    ...pairs.flatMap(({ key, a, b }) => (loose.includes(key) ? [dialect.exact(a, b)] : [])),
  ].join(' AND ')
}

/** Throws FERRY-4005 where a staged row has gone into one whose key is written otherwise. */
export async function requireOwnKeys(
  table: Pick<ChangeTable, 'live' | 'quote' | 'first'> & { dialect: Pick<ChangeDialect, 'exact'> },
  request: WriteRequest,
  stage: string,
  where = '1 = 1',
): Promise<void> {
  const loose = looseKeys(request)
  if (loose.length === 0) return
  const keys = request.history?.keys ?? request.keys
  const { quote, live } = table
  const shown = loose.map((key, i) => `s.${quote(key)} AS ours${i}, t.${quote(key)} AS theirs${i}`)
  const found = await table.first(
    `SELECT ${shown.join(', ')} FROM ${stage} AS s JOIN ${live} AS t ON ${matchKeys(keys, [], table)}
     WHERE ${where} AND NOT EXISTS (SELECT 1 FROM ${live} AS u WHERE ${matchKeys(keys, loose, table, { live: 'u' })}) LIMIT 1`,
  )
  if (!found) return
  const at = loose.findIndex((_, i) => found[`ours${i}`] !== found[`theirs${i}`])
  throw oneKey(request.object, loose[at]!, found[`ours${at}`], found[`theirs${at}`])
}

export function oneKey(object: string, column: string, ours: unknown, theirs: unknown): RowError {
  const message = `${object}: the key ${column} ${JSON.stringify(ours)} is ${JSON.stringify(theirs)} for the destination, which has it`
  return new RowError('FERRY-4005', message, column, {
    hint: 'Let the column compare texts as they are written (another collation or type), or make the keys one at the source.',
  })
}

/** What `plan` reports about such keys. */
export function looseNotes(request: WriteRequest): string[] {
  const loose = request.update === 'merge' ? looseKeys(request) : []
  if (loose.length === 0) return []
  return [`keys that differ only in what ${loose.join(', ')} does not tell apart, as upper and lower case, end the run`]
}
