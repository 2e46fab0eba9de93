import { defineConfig } from 'vitest/config'

/** What is tried often: `npm test`. */
export default defineConfig({
  test: {
    include: ['ferry/src/**/*.test.ts', 'cosmos-local/src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: [
      'test/long/**',
      'test/torture/**',
      'test/wrong/**',
      'test/vercel/**',
      'test/mariadb/**',
      'test/objects/**',
      'test/clients/**',
      'test/browser/**',
      '**/node_modules/**',
    ],
    globalSetup: ['test/servers/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two cores, and one more that works while another waits.
    maxWorkers: 3,
  },
})
