/** The published program: sources and pure JavaScript libraries in a few files, so that it starts at once. */
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  logLevel: 'warn',
  build: {
    ssr: true,
    rollupOptions: {
      // The thread of the state is started by its file.
      input: { main: 'src/cli/main.ts', 'state-thread': 'src/state/thread.ts' },
    },
    outDir: 'dist',
    emptyOutDir: true,
    target: 'node24',
    minify: false,
    sourcemap: true,
  },
  ssr: {
    noExternal: true,
    // Native code stays in its package; pg asks for its native twin only when told to.
    // The server's plugins read files of their own, and pino starts threads from its.
    external: [
      '@duckdb/node-api',
      'pg-native',
      // It has native code that is used where it could be built.
      'ssh2',
      'fastify',
      'pino',
      'prom-client',
      '@fastify/cookie',
      '@fastify/helmet',
      '@fastify/rate-limit',
      '@fastify/static',
      '@fastify/swagger',
      '@fastify/swagger-ui',
    ],
  },
})
