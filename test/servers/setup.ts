/**
 * Vitest's global setup: one PostgreSQL for all test files, and a MariaDB where `FERRY_SERVERS` asks for it; each test
 * makes databases of its own in them. Commands that tests start are what a user installs: built, and not the sources.
 */
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { install } from '../../scripts/installed.ts'
import { startMariadb } from './mariadb.ts'
import { startPostgres } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresPort: number
    /** 0 where there is none. */
    mariadbPort: number
  }
}

/** Folders of tests are in memory where there is enough: a database of PostgreSQL is made in a tenth of the time. */
function inMemory(): void {
  const memory = '/dev/shm'
  const least = 6e9
  if (!existsSync(memory)) return
  const { bavail, bsize } = statfsSync(memory)
  if (bavail * bsize > least && process.availableMemory() > least) process.env.TMPDIR ??= memory
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  inMemory()
  const folder = mkdtempSync(join(tmpdir(), 'ferry-installed-'))
  // Some tests are another user.
  chmodSync(folder, 0o755)
  process.env.TEST_PROGRAM = await install(folder)
  const postgres = await startPostgres({ fsync: 'off' })
  project.provide('postgresPort', postgres.port)
  const wanted = process.env.FERRY_SERVERS?.includes('mariadb') === true
  const mariadb = wanted ? await startMariadb({ 'innodb-flush-log-at-trx-commit': '0', 'sync-binlog': '0' }) : undefined
  project.provide('mariadbPort', mariadb?.port ?? 0)
  return async () => {
    await postgres.stop()
    await mariadb?.stop()
    rmSync(folder, { recursive: true })
  }
}
