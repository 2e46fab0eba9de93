import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** What needs a browser: `npm run test:servers`. */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, '..', '..'),
    include: ['test/browser/**/*.test.ts'],
    globalSetup: ['test/servers/setup.ts'],
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // One browser at a time on two cores.
    maxWorkers: 1,
  },
})
