/**
 * Vitest's global setup: one PostgreSQL for all test files, and a MariaDB where `FERRY_SERVERS` asks for it; each test
 * makes databases of its own in them.
 */
import type { TestProject } from 'vitest/node'
import { startMariadb } from './mariadb.ts'
import { startPostgres } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresPort: number
    /** 0 where there is none. */
    mariadbPort: number
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startPostgres({ fsync: 'off' })
  project.provide('postgresPort', postgres.port)
  const wanted = process.env.FERRY_SERVERS?.includes('mariadb') === true
  const mariadb = wanted ? await startMariadb({ 'innodb-flush-log-at-trx-commit': '0', 'sync-binlog': '0' }) : undefined
  project.provide('mariadbPort', mariadb?.port ?? 0)
  return async () => {
    await postgres.stop()
    await mariadb?.stop()
  }
}
