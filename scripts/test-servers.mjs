// Tests against servers that do not come with `npm install`: what they need is installed here first.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

function run(command, args, cwd = root) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) process.exit(status ?? 1)
}

console.log('Azure Cosmos DB: an account that nobody here wrote')
run('npm', ['ci', '--no-workspaces', '--no-audit', '--no-fund'], join(root, 'test', 'vercel'))
run('npx', ['vitest', 'run', '--config', join('test', 'vercel', 'vitest.config.ts')])

/** Installs a package of Debian; says whether it is there afterwards. */
function debian(name, isThere) {
  if (isThere()) return true
  const isRoot = process.getuid?.() === 0
  if (!isRoot || spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.log(`skipped: it is not here, and only root on Debian can install it (${name})`)
    return false
  }
  run('apt-get', ['update', '-qq'])
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name])
  return true
}

console.log('The web UI in Chromium')
const chromium = () => ['/usr/bin/chromium', process.env.CHROMIUM ?? ''].some(path => existsSync(path))
if (debian('chromium', chromium)) {
  run(process.execPath, [join(root, 'scripts', 'web.mjs')])
  run('npx', ['vitest', 'run', '--config', join('test', 'browser', 'vitest.config.ts')])
}

console.log('MariaDB')
// Debian keeps servers where not everybody looks for programs.
process.env.PATH += ':/usr/sbin'
const mariadb = () => spawnSync('mariadbd', ['--version'], { stdio: 'ignore' }).status === 0
if (debian('mariadb-server', mariadb)) {
  process.env.FERRY_SERVERS = 'mariadb'
  run('npx', ['vitest', 'run', '--config', join('test', 'mariadb', 'vitest.config.ts')])
}
