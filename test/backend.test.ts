/** Commands with and without a server: the same answers. */
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { makeSource, startServer } from './server.ts'
import { ferry, temporaryFolder } from './support.ts'

function jobFile(folder: string, name = 'job', more = ''): string {
  const db = new DatabaseSync(join(folder, `${name}.db`))
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)')
  db.close()
  const path = join(folder, `${name}.yaml`)
  writeFileSync(
    path,
    `name: ${name}\nsource: sqlite:${folder}/${name}.db\ndestination: sqlite:${folder}/out.db\ntables: [t]\nupdate: merge\n${more}`,
  )
  return path
}

const json = (text: string) => JSON.parse(text) as Record<string, never>

describe('commands', () => {
  it('keep and start a job at the server that works with the same state, and see the same as in the state', async () => {
    const folder = temporaryFolder()
    const server = await startServer({ folder, env: { FERRY_TOKEN: '' } })
    const options = { home: server.home, cwd: folder }
    const path = jobFile(folder)
    const kept = await ferry(['create', path, '--json'], options)
    expect(json(kept.stdout)).toMatchObject({ name: 'job', definition: { update: 'merge' } })
    expect((await ferry(['create', path], options)).stderr).toContain('FERRY-1008')
    expect((await ferry(['create', path, '--replace'], options)).stdout).toContain('job saved')
    const done = await ferry(['start', 'job', '--wait', '--json'], options)
    expect(done.code, done.stderr).toBe(0)
    expect(json(done.stdout)).toMatchObject({ state: 'completed', rowsCopied: 2, invokedBy: 'manual' })
    // The server knows who asked.
    const audit = await server.call<{ who: string; action: string }[]>('GET', '/audit')
    expect(audit.body.map(e => e.action)).toContain('POST /api/v1/jobs/:name/runs')
    const atServer = await Promise.all(
      ['list', 'runs', 'show'].map(c => ferry([c, ...(c === 'show' ? ['job'] : []), '--json'], options)),
    )
    server.kill('SIGTERM')
    await server.gone
    const inState = await Promise.all(
      ['list', 'runs', 'show'].map(c => ferry([c, ...(c === 'show' ? ['job'] : []), '--json'], options)),
    )
    expect(inState.map(r => json(r.stdout))).toEqual(atServer.map(r => json(r.stdout)))
  })

  it('reach a server elsewhere with its address and a token', async () => {
    const folder = temporaryFolder()
    const server = await startServer({ folder })
    const elsewhere = join(temporaryFolder(), 'home')
    const env = { FERRY_SERVER: server.url, FERRY_TOKEN: server.token }
    const options = { home: elsewhere, cwd: folder, env }
    await ferry(['create', jobFile(folder)], options)
    expect((await ferry(['start', 'job', '--wait'], options)).stderr).toContain('completed: 2 rows')
    expect(json((await ferry(['list', '--json'], options)).stdout)).toMatchObject([{ name: 'job' }])
    const wrong = { ...options, env: { ...env, FERRY_TOKEN: 'wrong' } }
    expect((await ferry(['list'], wrong)).stderr).toContain('FERRY-6001')
    expect((await ferry(['list'], { ...options, env: { ...env, FERRY_TOKEN: '' } })).stderr).toContain(
      'Set FERRY_TOKEN',
    )
    const gone = { ...options, env: { ...env, FERRY_SERVER: 'http://127.0.0.1:1' } }
    expect((await ferry(['list'], gone)).stderr).toContain('FERRY-6006')
    const { body } = await server.call<{ token: string }>('POST', '/tokens', { name: 'v', role: 'viewer' })
    const viewer = { ...options, env: { ...env, FERRY_TOKEN: body.token } }
    expect((await ferry(['start', 'job'], viewer)).stderr).toContain('FERRY-6002')
    expect((await ferry(['show', 'nothing'], options)).stderr).toContain('FERRY-1007')
  })

  it('are not misled by what a server that was killed has left, though its process id is in use again', async () => {
    const home = join(temporaryFolder(), 'home')
    expect((await ferry(['list'], { home })).code).toBe(0)
    const left = { url: 'http://127.0.0.1:1', pid: process.pid, started: 'long ago' }
    writeFileSync(join(home, 'server.json'), JSON.stringify(left))
    writeFileSync(join(home, 'token'), 'a token')
    expect((await ferry(['list'], { home })).stdout).toContain('No jobs yet')
  })

  it('work without a server: what is asked for waits for a worker, in its folders', async () => {
    const folder = temporaryFolder()
    const options = { home: join(temporaryFolder(), 'home'), cwd: folder }
    await ferry(['create', jobFile(folder)], options)
    expect((await ferry(['start', 'job'], options)).stdout).toContain('nobody is at work here')
    const worked = await ferry(['worker', '--once'], options)
    expect(worked.code, worked.stderr).toBe(0)
    expect(json((await ferry(['show', 'job', '--json'], options)).stdout)).toMatchObject({ state: 'completed' })
    expect((await ferry(['worker', '--once'], options)).code).toBe(0)
    await ferry(['start', 'job'], options)
    const elsewhere = await ferry(['worker', '--once', '--folder', temporaryFolder()], options)
    expect(elsewhere.stderr).toContain('FERRY-2006')
    expect(json((await ferry(['show', 'job', '--json'], options)).stdout)).toMatchObject({ state: 'failed' })
    expect((await ferry(['start', 'nothing'], options)).stderr).toContain('FERRY-1007')
  })

  it('make, list and remove tokens', async () => {
    const options = { home: join(temporaryFolder(), 'home') }
    const made = json((await ferry(['tokens', 'add', 'ci', '--role', 'operator', '--json'], options)).stdout)
    expect(made).toMatchObject({ name: 'ci', role: 'operator', token: expect.stringMatching(/^ferry_/) })
    expect((await ferry(['tokens', 'add', 'ci'], options)).stderr).toContain('FERRY-1008')
    expect((await ferry(['tokens', 'add', 'x', '--role', 'king'], options)).code).toBe(2)
    expect((await ferry(['tokens'], options)).stdout).toMatch(/ci\s+operator.*never/)
    expect((await ferry(['tokens', 'remove', 'ci'], options)).code).toBe(0)
    expect((await ferry(['tokens', 'remove', 'ci'], options)).stderr).toContain('FERRY-1007')
  })

  it('doctor finds what is wrong, and says what to do', async () => {
    const folder = temporaryFolder()
    const options = { home: join(folder, 'home'), cwd: folder }
    jobFile(folder)
    await ferry(['connections', 'add', 'good', `sqlite:${join(folder, 'job.db')}`], options)
    const well = await ferry(['doctor'], options)
    expect(well.code, well.stdout).toBe(0)
    expect(well.stdout).toContain('ok   connection good: SQLite')
    await ferry(['connections', 'add', 'bad', 'postgres://u@127.0.0.1:1/d'], options)
    chmodSync(options.home, 0o755)
    const ill = await ferry(['doctor', '--json'], options)
    expect(ill.code).toBe(1)
    const failed = (JSON.parse(ill.stdout) as { what: string; ok: boolean; hint?: string }[]).filter(f => !f.ok)
    expect(failed.map(f => f.what)).toEqual(['home', 'connection bad'])
    expect(failed[0]!.hint).toContain('chmod 700')
  })

  it('a port that is taken is told', async () => {
    const server = await startServer()
    const port = new URL(server.url).port
    const second = await ferry(['serve', '--port', port, '--folder', temporaryFolder()], {
      home: join(temporaryFolder(), 'home'),
    })
    expect(second.code).toBe(1)
    expect(second.stderr).toContain('FERRY-6007')
  })
})

it('jobs that are kept run, are planned, verified and deleted by their name', async () => {
  const folder = temporaryFolder()
  const home = join(temporaryFolder(), 'home')
  makeSource(folder, 3)
  const file = join(folder, 'j.yaml')
  writeFileSync(file, 'name: j\nsource: sqlite:source.db\ndestination: sqlite:x.db\ntables: [items]\n')
  const at = (...words: string[]) => ferry(words, { home, cwd: folder })
  expect((await at('create', file)).code).toBe(0)
  expect((await at('create', file)).stderr).toContain('--replace')
  expect((await at('plan', 'j')).stdout).toContain('items')
  expect(await at('run', 'j')).toMatchObject({ code: 0 })
  expect((await at('verify', 'j')).stdout).toContain('equal')
  expect((await at('run', 'k')).stderr).toContain('neither a file nor a kept job')
  expect((await at('delete', 'j')).code).toBe(0)
  expect((await at('run', 'j')).code).not.toBe(0)
  expect((await at('delete', 'j')).stderr).toContain('FERRY-1007')
})
