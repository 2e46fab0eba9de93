// Installs the dependencies when the lockfile has changed since the last time. It runs before `npm start` and
// `npm test` on whatever Node the machine has, so it is plain JavaScript that Node 18 understands.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const stamp = join(root, 'node_modules', '.installed-lockfile')
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')

/** How often it is told how far the installation is. */
const TELL_MS = 5000

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.log('Installing dependencies (only when the lockfile has changed) ...')
  const npm = process.env.npm_execpath
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  const child = npm
    ? spawn(process.execPath, [npm, ...args], { cwd: root, stdio: 'inherit' })
    : spawn('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  const began = Date.now()
  const all = packages(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))
  const telling = setInterval(() => {
    const there = all.filter(path => existsSync(join(root, path, 'package.json'))).length
    console.log(`  ${Math.round((Date.now() - began) / 1000)} s: ${there} of ${all.length} packages`)
  }, TELL_MS)
  const status = await new Promise(resolve => {
    child.once('exit', code => resolve(code ?? 1))
    child.once('error', () => resolve(1))
  })
  clearInterval(telling)
  if (status !== 0) {
    console.error('npm ci failed: see above. Ferry needs the npm registry once, to install.')
    process.exit(status)
  }
  writeFileSync(stamp, wanted)
}

/** The packages of a lockfile that this system takes. */
function packages(lock) {
  const fits = (given, own) => given === undefined || given.includes(own)
  return Object.entries(lock.packages)
    .filter(([path, { link, os, cpu, libc }]) => {
      const isOther = !fits(os, process.platform) || !fits(cpu, process.arch) || (libc && !libc.includes('glibc'))
      return path.includes('node_modules/') && !link && !isOther
    })
    .map(([path]) => path)
}
