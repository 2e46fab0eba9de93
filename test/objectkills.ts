/** Copies into a store of objects that are killed again and again: each row is there once, and nothing else is. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { newestRun } from './crash.ts'
import { randomOf } from './seed.ts'
import { startFerry, temporaryFolder, until } from './support.ts'

const ROWS = 40_000

/** What a test knows of a kind of store beside its connection. */
export interface ObjectPlace {
  endpoint: Record<string, unknown>
  /** The names of everything that is there, hidden or not; and what is staged and not revealed. */
  everything: () => Promise<string[]>
}

/** Kills a copy into a folder, and one into a single object, so many times together. */
export async function killUploads(place: ObjectPlace, kills: number, seed: number): Promise<void> {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const source = new DatabaseSync(join(folder, 'shop.db'))
  source.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, part INTEGER)')
  source.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS})
    INSERT INTO t SELECT i, 'name ' || i || ' ' || hex(randomblob(20)), i % 3 FROM n`)
  const random = randomOf(seed)
  let hits = 0
  for (const [round, to, write] of [
    ['a', 'out/', { format: 'csv', rowsPerFile: 1000 }],
    ['b', 'whole.csv', {}],
    ['c', 'out/', { format: 'csv', rowsPerFile: 3000 }],
    ['d', 'parts/', { format: 'csv', partitionBy: ['part'], rowsPerFile: 2000 }],
  ] as const) {
    const job = {
      name: `kills-${round}`,
      source: { kind: 'sqlite', path: join(folder, 'shop.db') },
      destination: place.endpoint,
      update: 'overwrite',
      limits: { parallel: 2, rowsPerSecond: 15_000 },
      tables: [{ from: 't', to, write }],
    }
    const path = join(folder, `${round}.json`)
    writeFileSync(path, JSON.stringify(job))
    for (let hit = 0; hit < kills / 4; ) {
      const running = startFerry(['run', path, '--quiet'], { home })
      const ended = { done: false }
      running.done.then(() => {
        ended.done = true
      })
      await until(async () => ended.done || (await newestRun(home))?.state === 'running', 'a run')
      // It takes a third of a second until it reads and writes.
      await setTimeout(200 + random() * 1500)
      if (!ended.done) {
        hit++
        hits++
      }
      running.kill('SIGKILL')
      await running.done
    }
    for (;;) {
      const { code, stderr } = await startFerry(['run', path, '--quiet'], { home }).done
      expect(code, stderr).toBe(0)
      if ((await newestRun(home))?.state === 'completed') break
    }
    const back = join(folder, `${round}.db`)
    const { code, stderr } = await startFerry(['run', '--quiet', writeBack(folder, place, to, back)], { home }).done
    expect(code, stderr).toBe(0)
    const copied = new DatabaseSync(back)
    const rows = copied.prepare('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM t').get()
    expect({ ...rows }, `rows of ${to}`).toEqual({ n: ROWS, ids: ROWS })
    copied.exec(`ATTACH '${join(folder, 'shop.db')}' AS s`)
    const wrong = copied
      .prepare('SELECT count(*) AS n FROM t JOIN s.t AS o ON o.id = t.id WHERE o.name <> t.name OR o.part <> t.part')
      .get()
    expect({ ...wrong }).toEqual({ n: 0 })
    copied.close()
    const hidden = (await place.everything()).filter(name => /\.ferry-/.test(name))
    expect(hidden, `what is left of ${to}`).toEqual([])
  }
  console.log(`${hits} kills hit a running copy`)
}

/** A job that copies what is there back into a new database. */
function writeBack(folder: string, place: ObjectPlace, from: string, path: string): string {
  const job = join(folder, 'back.json')
  const source = place.endpoint
  const folders = from === 'parts/' ? { recursive: true, partitions: true } : {}
  const read = { format: 'csv', types: { id: 'int64', name: 'utf8', part: 'int64' }, ...folders }
  const tables = [{ from, to: 't', read }]
  const name = `back-${path.slice(-4, -3)}`
  writeFileSync(job, JSON.stringify({ name, source, destination: { kind: 'sqlite', path }, update: 'append', tables }))
  return job
}
