/** One user with a token does not stop the server: whatever is looked at, it answers the others and stays small. */
import { execFileSync } from 'node:child_process'
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import { expect, it, onTestFinished } from 'vitest'
import { makeSource, startServer } from '../server.ts'
import { temporaryFolder } from '../support.ts'

const MOST_WAIT_MS = 2000
const MOST_MEMORY = 300_000_000

it('a hostile corpus neither stops it nor makes it large', { timeout: 300_000 }, async () => {
  const folder = temporaryFolder()
  makeSource(folder, 3)
  // A view without an end, a file that is locked, a line of gigabytes, a header without measure, a pipe.
  const endless = new DatabaseSync(join(folder, 'endless.db'))
  endless.exec(
    `CREATE VIEW v AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT count(*) AS n FROM r`,
  )
  endless.close()
  const locked = new DatabaseSync(join(folder, 'locked.db'))
  locked.exec('CREATE TABLE t (a); BEGIN EXCLUSIVE')
  onTestFinished(() => locked.close())
  const chunk = Buffer.alloc(1 << 20, 'x')
  const line = Readable.from(
    (function* () {
      for (let i = 0; i < 1500; i++) yield chunk
    })(),
  )
  await pipeline(line, createGzip(), createWriteStream(join(folder, 'bomb.csv.gz')))
  writeFileSync(join(folder, 'wide.csv'), `${Array.from({ length: 300_000 }, (_, i) => `c${i}`).join(',')}\n`)
  writeFileSync(join(folder, `${'a'.repeat(200)}.csv`), 'a\n1\n')
  execFileSync('mkfifo', [join(folder, 'pipe.csv'), join(folder, 'pipe.db')])
  const server = await startServer({ folder })
  for (const [name, locator] of Object.entries({
    files: folder,
    endless: `sqlite:${join(folder, 'endless.db')}`,
    locked: `sqlite:${join(folder, 'locked.db')}`,
    pipe: `sqlite:${join(folder, 'pipe.db')}`,
  })) {
    expect((await server.call('PUT', `/connections/${name}`, { locator })).status).toBe(200)
  }
  const job = (edit: object) => ({
    name: 'h',
    source: { connection: 'files' },
    destination: 'sqlite:x.db',
    tables: ['a'],
    ...edit,
  })
  const preview = (name: string, object: string) =>
    ['GET', `/connections/${name}/preview?object=${encodeURIComponent(object)}`] as const
  const calls: (readonly [string, string, unknown?])[] = [
    preview('files', '{a,b}'.repeat(16)),
    preview('files', '*a'.repeat(6) + '*'.repeat(20)),
    preview('files', '**/**/**/**/*'),
    preview('files', '[.][.]/*'),
    preview('files', 'bomb.csv.gz'),
    preview('files', 'wide.csv'),
    preview('files', 'pipe.csv'),
    preview('pipe', 't'),
    preview('endless', 'v'),
    preview('locked', 't'),
    ['GET', '/connections/files/objects'],
    ['POST', '/plan', job({ tables: ['*a'.repeat(50)], source: `sqlite:${join(folder, 'source.db')}` })],
    ['POST', '/jobs', job({ tables: Array.from({ length: 200_000 }, (_, i) => `t${i}`) })],
    ['POST', '/jobs', Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['POST', '/jobs', Array.from({ length: 40_000 }, (_, i) => `k${i}: 1`).join('\n')],
    ['POST', '/jobs', '['.repeat(100_000)],
    ['POST', '/jobs', job({ schedules: [{ name: 's', every: '99999999999999999 d' }] })],
    ['POST', '/jobs', job({ limits: { rowsPerSecond: 1e308 } })],
    ['POST', '/jobs', job({ splitSize: '1e999 MB' })],
    ['GET', `/runs?limit=99999999999999999999`],
    ['GET', `/audit?before=1e400`],
    ['GET', '/jobs'],
  ]
  let slowest = 0
  let largest = 0
  let done = false
  const watching = (async () => {
    while (!done) {
      const began = performance.now()
      const { status } = await server.call('GET', '/!healthz')
      expect(status).toBe(200)
      slowest = Math.max(slowest, performance.now() - began)
      const pages = Number(readFileSync(`/proc/${server.pid}/statm`, 'utf8').split(' ')[1])
      largest = Math.max(largest, pages * 4096)
      // What is measured is the server, and not how much is asked of it.
      await setTimeout(20)
    }
  })()
  const answers = await Promise.all(
    calls.map(async ([method, path, body]) => ({
      call: `${method} ${path.slice(0, 80)}`,
      ...(await server.call(method, path, body)),
    })),
  )
  done = true
  await watching
  for (const { call, status, body } of answers) {
    expect(status, `${call}: ${JSON.stringify(body).slice(0, 300)}`).toBeLessThan(500)
  }
  const codes = answers.map(a => (a.body as { code?: string }).code)
  expect(codes.filter(c => c === 'FERRY-9000')).toEqual([])
  expect(slowest).toBeLessThan(MOST_WAIT_MS)
  expect(largest).toBeLessThan(MOST_MEMORY)
  console.log(`hostile corpus: healthz within ${Math.round(slowest)} ms, ${Math.round(largest / 1e6)} MB`)
  server.kill('SIGTERM')
  expect(await server.gone).toBe(0)
})
