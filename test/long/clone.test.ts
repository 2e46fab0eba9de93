/** A stranger's first minute: the repository cloned into an empty folder, the README's commands typed. */
import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { root, temporaryFolder, until } from '../support.ts'

describe('a fresh clone', () => {
  it('runs npm start, then the commands that the README shows', { timeout: 600_000 }, async () => {
    const folder = join(temporaryFolder(), 'ferry')
    execFileSync('git', ['clone', '--quiet', root, folder])
    // What is being worked on is tested, not only what is committed.
    const changed = execFileSync('git', ['ls-files', '--modified', '--others', '--exclude-standard', '-z'], {
      cwd: root,
      encoding: 'utf8',
    })
    for (const file of new Set(changed.split('\0').filter(Boolean))) {
      if (existsSync(join(root, file))) execFileSync('cp', ['--parents', file, folder], { cwd: root })
    }
    const environment: NodeJS.ProcessEnv = { ...process.env, CI: '1' }
    delete environment.FERRY_HOME
    // The machine's own Node comes first, not that of the checkout that tests.
    const paths = environment.PATH!.split(delimiter).filter(path => !path.includes('node_modules'))
    environment.PATH = paths.join(delimiter)
    // npm start installs and builds by itself, as the first command, and opens the server.
    const started = await openedBy('npm', ['start'], { cwd: folder, env: { ...environment, FERRY_PORT: '0' } })
    expect(started.out()).toContain('Made sample/shop.db')
    const [, url, token] = /Open +(http:\S+)\/#token=(\S+)/.exec(started.out())!
    const call = async (method: string, path: string, body?: unknown) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const answer = await fetch(`${url}/api/v1${path}`, {
        method,
        headers,
        ...(body ? { body: JSON.stringify(body) } : {}),
      })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    }
    const page = await fetch(`${url}/`, { headers: { accept: 'text/html' } })
    expect(await page.text()).toContain('<title>Ferry</title>')
    expect((await call('GET', '/jobs')).body).toMatchObject({ total: 0 })
    for (const [name, from, to] of [
      ['shop', 'shop', 'warehouse'],
      ['container', 'account', 'account'],
    ]) {
      const tables = name === 'shop' ? ['*'] : [{ from: 'orders', to: 'orders-by-status' }]
      const ends = { source: { connection: from }, destination: { connection: to } }
      expect((await call('POST', '/jobs', { name, ...ends, update: 'merge', tables })).status).toBe(201)
      expect((await call('POST', `/jobs/${name}/runs`, {})).status).toBe(202)
      await until(async () => (await call('GET', `/runs/${name}`)).body.state === 'completed', `${name} to be copied`)
    }
    await started.stop()
    const tour = spawnSync('npm', ['run', 'tour'], { cwd: folder, env: environment, encoding: 'utf8' })
    expect(tour.status, tour.stderr).toBe(0)
    expect(tour.stdout, 'nothing is installed twice').not.toContain('Installing')
    expect(tour.stdout).toContain('events -> events: equal')
    expect(tour.stderr).toContain('completed: 209,000 rows')
    expect(tour.stdout).toContain('What to try next')
    const readme = spawnSync('npx', ['ferry', 'copy', 'sample/shop.db#orders', 'orders.csv'], {
      cwd: folder,
      env: { ...environment, FERRY_HOME: join(folder, 'home') },
      encoding: 'utf8',
    })
    expect(readme.status, readme.stderr).toBe(0)
    expect(existsSync(join(folder, 'orders.csv'))).toBe(true)
  })
})

/** Starts a command that opens a server, and waits until it has. */
async function openedBy(command: string, args: string[], options: SpawnOptions) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let text = ''
  let ended = false
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', data => {
      text += data
    })
  }
  const gone = new Promise<void>(resolve => {
    child.once('exit', () => {
      ended = true
      resolve()
    })
  })
  const stop = async () => {
    // npm, the script, and what that has started.
    if (!ended) process.kill(-child.pid!, 'SIGTERM')
    await gone
  }
  onTestFinished(stop)
  await until(() => ended || /#token=\S+\n/.test(text), 'the server to be open', 400_000)
  expect(ended, text).toBe(false)
  return { out: () => text, stop }
}
