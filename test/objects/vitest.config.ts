import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Stores of objects on servers that do not come with `npm install`. */
export default defineConfig({
  test: {
    root: join(import.meta.dirname, '..', '..'),
    include: ['test/objects/*.test.ts'],
    globalSetup: ['test/servers/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
})
