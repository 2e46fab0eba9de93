// Builds the web UI when its sources are newer than what was built. It runs behind install.mjs, on Ferry's own Node.
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const built = join(root, 'ferry', 'dist', 'web', 'index.html')
const sources = ['web/src/**/*.*', 'web/index.html', 'web/vite.config.ts', 'package-lock.json']
const newest = Math.max(...globSync(sources, { cwd: root }).map(path => statSync(join(root, path)).mtimeMs))

if (!existsSync(built) || statSync(built).mtimeMs < newest) {
  console.log('Building the web UI (only when it has changed) ...')
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const { status } = spawnSync(process.execPath, [vite, 'build', 'web'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
