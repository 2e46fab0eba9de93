/** Vitest's global setup: one PostgreSQL for all test files; each makes databases of its own in it. */
import type { TestProject } from 'vitest/node'
import { startPostgres } from './postgres.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresPort: number
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres({ fsync: 'off' })
  project.provide('postgresPort', server.port)
  return server.stop
}
