import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: join(import.meta.dirname, '..', '..'),
  // Installing may take minutes the first time.
  test: { include: ['test/clients/*.test.ts'], testTimeout: 600_000, hookTimeout: 600_000, fileParallelism: false },
})
