/** The connectors, each loaded only when it is used: `ferry --version` loads no driver. */
import type { Connector } from './connector.ts'
import { kindOf } from './kinds.ts'

const LOADERS: Record<string, () => Promise<Connector>> = {
  postgres: async () => (await import('./postgres/connector.ts')).postgres,
  mysql: async () => (await import('./mysql/connector.ts')).mysql,
  sqlite: async () => (await import('./sqlite/connector.ts')).sqlite,
  duckdb: async () => (await import('./duckdb/connector.ts')).duckdb,
  cosmos: async () => (await import('./cosmos/connector.ts')).cosmos,
  files: async () => (await import('./files/connector.ts')).files,
}

/** Loads a connector by kind. Throws FERRY-2003 naming the nearest kind. */
export async function loadConnector(kind: string): Promise<Connector> {
  return LOADERS[kindOf(kind).kind]!()
}
