import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['ferry/src/**/*.test.ts', 'cosmos-local/src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: [
      'test/torture/**',
      'test/vercel/**',
      'test/mariadb/**',
      'test/browser/**',
      'test/clients/**',
      '**/node_modules/**',
    ],
    globalSetup: ['test/servers/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two cores: more files at once only makes each wait for the same PostgreSQL.
    maxWorkers: 2,
  },
})
