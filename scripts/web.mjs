// Builds the web UI when its sources are newer than what was built. Like install.mjs it is plain JavaScript that Node 18
// understands: behind a first install the shell still knows the machine's own Node.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const built = join(root, 'ferry', 'dist', 'web', 'index.html')
const sources = readdirSync(join(root, 'web', 'src'), { recursive: true }).map(name => join('web', 'src', String(name)))
sources.push('web/index.html', 'web/vite.config.ts', 'package-lock.json')
const newest = Math.max(...sources.map(path => statSync(join(root, path)).mtimeMs))

if (!existsSync(built) || statSync(built).mtimeMs < newest) {
  console.log('Building the web UI (only when it has changed) ...')
  const own = join(root, 'node_modules', 'node', 'bin', 'node')
  const node = existsSync(own) ? own : process.execPath
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  const { status } = spawnSync(node, [vite, 'build', 'web'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
