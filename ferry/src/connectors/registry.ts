/** The kinds of stores there are, each loaded only when it is used: `ferry --version` loads no driver. */
import { valueOf } from '../batch/valueof.ts'
import { FerryError, nearest } from '../errors.ts'
import type { Connector } from './connector.ts'

const LOADERS: Record<string, () => Promise<Connector>> = {
  postgres: async () => (await import('./postgres/connector.ts')).postgres,
  mysql: async () => (await import('./mysql/connector.ts')).mysql,
  sqlite: async () => (await import('./sqlite/connector.ts')).sqlite,
  duckdb: async () => (await import('./duckdb/connector.ts')).duckdb,
  cosmos: async () => (await import('./cosmos/connector.ts')).cosmos,
  files: async () => (await import('./files/connector.ts')).files,
}

export const KINDS = Object.keys(LOADERS)

/** Loads a connector by kind. Throws FERRY-2003 naming the nearest kind. */
export async function loadConnector(kind: string): Promise<Connector> {
  const load = valueOf(LOADERS, kind)
  if (load) return load()
  const near = nearest(kind, KINDS)
  throw new FerryError('FERRY-2003', `there is no connector "${kind}"${near ? `: did you mean "${near}"?` : ''}`, {
    hint: `Connectors: ${KINDS.join(', ')}.`,
  })
}
