// Tests against servers that do not come with `npm install`: what they need is installed here first.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')

function run(command, args, cwd = root) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) process.exit(status ?? 1)
}

console.log('Azure Cosmos DB: an account that nobody here wrote')
run('npm', ['ci', '--no-workspaces', '--no-audit', '--no-fund'], join(root, 'test', 'vercel'))
run('npx', ['vitest', 'run', '--config', join('test', 'vercel', 'vitest.config.ts')])

console.log('MariaDB')
// Debian keeps servers where not everybody looks for programs.
process.env.PATH += ':/usr/sbin'
if (spawnSync('mariadbd', ['--version'], { stdio: 'ignore' }).status !== 0) {
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.log('skipped: there is no mariadbd here, and only root on Debian can install one (mariadb-server)')
    process.exit(0)
  }
  run('apt-get', ['update', '-qq'])
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'mariadb-server'])
}
process.env.FERRY_SERVERS = 'mariadb'
run('npx', ['vitest', 'run', '--config', join('test', 'mariadb', 'vitest.config.ts')])
