/** The web UI: built into the package, served by the server. */
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  logLevel: 'warn',
  plugins: [react()],
  build: {
    outDir: '../ferry/dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // Everything is a file of its own: the policy of the page allows nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1500,
  },
  // `npm run dev` beside a running server.
  server: { proxy: { '/api': 'http://127.0.0.1:7070' } },
})
