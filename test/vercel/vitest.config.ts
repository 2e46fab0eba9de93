import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: join(import.meta.dirname, '..', '..'),
  test: { include: ['test/vercel/*.test.ts'], testTimeout: 60_000 },
})
