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

/** Installs a toolchain of Debian's; ends in CI where it cannot be had. */
function toolchain(name, program, ...check) {
  const isThere = () => spawnSync(program, check, { stdio: 'ignore' }).status === 0
  const there = debian(name, isThere)
  if (!there && process.env.CI) {
    console.error(`${program} is missing: CI has to test this client`)
    process.exit(1)
  }
  return there
}

console.log('cosmos-local with the clients that people have')
const clients = {
  python: () => toolchain('python3-venv', 'python3', '-c', 'import venv, ensurepip'),
  java: () => toolchain('openjdk-17-jdk-headless', 'javac', '-version') && toolchain('maven', 'mvn', '--version'),
  go: () => toolchain('golang-go', 'go', 'version'),
}
const present = Object.keys(clients).filter(name => clients[name]())
if (present.length > 0) {
  const files = present.map(name => join('test', 'clients', `${name}.test.ts`))
  run('npx', ['vitest', 'run', '--config', join('test', 'clients', 'vitest.config.ts'), ...files])
}

if (present.includes('python')) {
  console.log('Random files, beside the readers of Python')
  // DuckDB keeps 0 and -0 of a column as one now and then: docs/exactness.md.
  const known = ['--except', 'Float to float']
  run(process.execPath, [join(root, 'test', 'torture', 'fuzz', 'main.ts'), '--cases', '30', '--seed', '1', ...known])
}

console.log('Stores of objects: Amazon S3, Google Cloud Storage, SFTP')
const servers = ['github.com/versity/versitygw/cmd/versitygw@v1.8.0', 'github.com/fsouza/fake-gcs-server@v1.56.1']
const folder = join(root, 'node_modules', '.go')
const sshd = () => existsSync('/usr/sbin/sshd')
const installed = module => {
  if (existsSync(join(folder, module.split('/').at(-1).split('@')[0]))) return true
  console.log(`installs ${module}`)
  const env = { ...process.env, GOBIN: folder }
  return spawnSync('go', ['install', module], { cwd: root, env, stdio: 'inherit' }).status === 0
}
// Debian's own Go is too old for them on some releases.
const [, minor = '0'] = /go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '') ?? []
const isNew = Number(minor) >= 25
if (isNew && servers.every(installed) && debian('openssh-server', sshd)) {
  run('npx', ['vitest', 'run', '--config', join('test', 'objects', 'vitest.config.ts')])
} else if (process.env.CI && isNew) {
  console.error('A server of these cannot be had: CI has to test these stores')
  process.exit(1)
} else console.log('skipped: they need Go 1.25 or newer, and openssh-server')

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
