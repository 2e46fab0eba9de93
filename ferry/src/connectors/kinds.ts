/** What each kind of store declares; no driver is loaded for it. */
import { valueOf } from '../batch/valueof.ts'
import { FerryError, nearest } from '../errors.ts'
import type { Kind } from './connector.ts'
import { cosmosKind } from './cosmos/settings.ts'
import { duckdbKind } from './duckdb/settings.ts'
import { filesKind } from './files/settings.ts'
import { mysqlKind } from './mysql/settings.ts'
import { postgresKind } from './postgres/settings.ts'
import { sqliteKind } from './sqlite/settings.ts'

export const KINDS: Kind[] = [postgresKind, mysqlKind, sqliteKind, duckdbKind, cosmosKind, filesKind]
const BY_NAME = Object.fromEntries(KINDS.map(k => [k.kind, k]))

/** A kind by its name, where there is one. */
export const findKind = (name: string): Kind | undefined => valueOf(BY_NAME, name)

/** The same. Throws FERRY-2003 naming the nearest one. */
export function kindOf(name: string): Kind {
  const kind = findKind(name)
  if (kind) return kind
  const names = KINDS.map(k => k.kind)
  const near = nearest(name, names)
  throw new FerryError('FERRY-2003', `there is no connector "${name}"${near ? `: did you mean "${near}"?` : ''}`, {
    hint: `Connectors: ${names.join(', ')}.`,
  })
}
