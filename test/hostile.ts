/** Files, stores and requests of somebody who means to stop the server. */
import { execFileSync } from 'node:child_process'
import { createWriteStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { expect, onTestFinished } from 'vitest'
import { makeSource, type TestServer } from './server.ts'

/** Fills a folder that the server may use. */
export async function makeHostile(folder: string): Promise<void> {
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
  writeFileSync(join(folder, 'good.csv'), 'a,b\n1,2\n')
  writeFileSync(join(folder, 'wide.csv'), `${Array.from({ length: 300_000 }, (_, i) => `c${i}`).join(',')}\n`)
  writeFileSync(join(folder, `${'a'.repeat(200)}.csv`), 'a\n1\n')
  execFileSync('mkfifo', [join(folder, 'pipe.csv'), join(folder, 'pipe.db')])
  const many = new DatabaseSync(join(folder, 'many.db'))
  many.exec('BEGIN')
  for (let i = 0; i < 3000; i++) many.exec(`CREATE TABLE t${i} (id INTEGER PRIMARY KEY)`)
  many.exec(`CREATE TABLE w (${Array.from({ length: 1900 }, (_, i) => `c${i} TEXT`).join(', ')})`)
  for (let i = 0; i < 100; i++)
    many.exec(`INSERT INTO w VALUES (${Array.from({ length: 1900 }, () => `'${'x'.repeat(300)}'`)})`)
  many.exec('COMMIT')
  many.close()
}

/** Keeps connections and jobs with the files of the folder: an administrator does. */
export async function keepHostile(server: TestServer, folder: string): Promise<void> {
  const places = {
    files: folder,
    ...Object.fromEntries(['endless', 'locked', 'pipe', 'many'].map(n => [n, `sqlite:${join(folder, `${n}.db`)}`])),
  }
  for (const [name, locator] of Object.entries(places)) {
    expect((await server.call('PUT', `/connections/${name}`, { locator })).status).toBe(200)
  }
  const jobs: [name: string, connection: string, tables: unknown[]][] = [
    ['good', 'files', [{ from: 'good.csv', to: 'good' }]],
    ['endless', 'endless', [{ from: 'v', to: 'endless' }]],
    ['locked', 'locked', [{ from: 't', to: 'locked' }]],
    ['bomb', 'files', [{ from: 'bomb.csv.gz', to: 'bomb' }]],
    ['wide', 'files', [{ from: 'wide.csv', to: 'wide' }]],
    ['many', 'many', ['t*']],
    [
      'long',
      'many',
      Array.from({ length: 4000 }, (_, i) => ({ from: `t${i}`, to: `long_name_of_a_table_${i}`, where: 'id > 1' })),
    ],
  ]
  for (const [name, connection, tables] of jobs) {
    const to = `sqlite:${join(folder, `to-${name}.db`)}`
    const made = await server.call('POST', '/jobs', { name, source: { connection }, destination: to, tables })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
  }
}

export type Call = readonly [method: string, path: string, body?: unknown]

/** What is asked for with it. */
export function hostileCalls(folder: string): Call[] {
  const job = (edit: object) => ({
    name: 'h',
    source: { connection: 'files' },
    destination: 'sqlite:x.db',
    tables: ['a'],
    ...edit,
  })
  const preview = (name: string, object: string) =>
    ['GET', `/connections/${name}/preview?object=${encodeURIComponent(object)}`] as const
  const rare = Array.from({ length: 100 }, (_, i) => ({
    name: `s${i}`,
    cron: `0 ${i % 60} 0 29W 2 +SUN`,
    timeZone: 'Europe/Berlin',
  }))
  return [
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
    preview('many', 'w'),
    ['GET', '/connections/many/objects?limit=10000'],
    ['PUT', '/jobs/good/schedules', rare],
    ['GET', '/jobs/good/schedules'],
    ['POST', '/schedules/times', rare[0]],
    ['GET', '/jobs/long/yaml'],
    ['GET', '/runs/long/yaml'],
    ['GET', '/runs/long'],
    ...['good', 'endless', 'locked', 'bomb', 'wide', 'many', 'long'].flatMap((name): Call[] => [
      ['POST', `/jobs/${name}/runs`],
      ['POST', `/jobs/${name}/plan`],
      ['POST', `/runs/${name}/cancel`],
      ['POST', `/runs/${name}/retry`],
      ['POST', `/jobs/${name}/reset`, {}],
      ['GET', `/runs/${name}/tables`],
      ['GET', `/runs/${name}/errors?limit=1000`],
    ]),
    ['POST', '/jobs/good/runs', { tables: Array.from({ length: 9900 }, (_, i) => `${'x'.repeat(80)}${i}`) }],
    ['POST', '/jobs/good/reset', { tables: Array.from({ length: 9900 }, (_, i) => `${'x'.repeat(80)}${i}`) }],
  ]
}
