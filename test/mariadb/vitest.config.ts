import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** What needs a MariaDB: `npm run test:servers`. */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, '..', '..'),
    include: [
      'test/mariadb/**/*.test.ts',
      'ferry/src/contract/conformance/pairs.test.ts',
      'ferry/src/connectors/mysql/conformance.test.ts',
      'test/adf/dataflow.test.ts',
      'test/cdc.test.ts',
      'test/long/crash.test.ts',
      'test/incremental.test.ts',
    ],
    globalSetup: ['test/servers/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
})
