/** Who cancels is heard whatever the stores do, and the server is not held up by them. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { type Problem, serverWithSkipped, startServer } from '../server.ts'
import { temporaryFolder } from '../support.ts'

describe('cancel', () => {
  it('is heard while a run is planned, of stores that answer at once', { timeout: 120_000 }, async () => {
    const folder = temporaryFolder()
    const db = new DatabaseSync(join(folder, 'source.db'))
    db.exec('BEGIN')
    for (let i = 0; i < 2000; i++) db.exec(`CREATE TABLE t${i} (id INTEGER PRIMARY KEY); INSERT INTO t${i} VALUES (1)`)
    db.exec('COMMIT')
    db.close()
    const server = await startServer({ folder })
    const definition = {
      name: 'job',
      source: `sqlite:${join(folder, 'source.db')}`,
      destination: `sqlite:${join(folder, 'target.db')}`,
      tables: ['t*'],
    }
    await server.call('POST', '/jobs', definition)
    await server.call('POST', '/jobs/job/runs')
    await server.waitFor('job', 'planning')
    expect((await server.call('POST', '/runs/job/cancel')).status).toBe(202)
    const run = await server.waitFor('job', 'cancelled', 'completed', 'failed')
    expect(run).toMatchObject({ state: 'cancelled', rowsCopied: 0 })
    // The next run is a new one.
    const started = await server.call<{ outcome: string }>('POST', '/jobs/job/runs')
    expect(started.body.outcome).toBe('queued')
  })

  it('and retry of a run look into stores outside the server', { timeout: 120_000 }, async () => {
    const { server, target, run } = await serverWithSkipped(
      5,
      `id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'item 3'), changed INTEGER`,
    )
    expect(run).toMatchObject({ rowsCopied: 4, rowsSkipped: 1 })
    const skipped = await server.call<{ total: number; rows: unknown[] }>('GET', '/runs/job/errors')
    expect(skipped.body).toMatchObject({ total: 1, rows: [{ row: { values: { id: '3' } } }] })
    // Another writer holds the file: whoever opens it waits.
    target.exec('BEGIN EXCLUSIVE')
    const retried = server.call<Problem>('POST', '/runs/job/retry')
    let longest = 0
    let done = false
    retried.finally(() => {
      done = true
    })
    while (!done) {
      const began = performance.now()
      expect((await server.call('GET', '/!healthz')).status).toBe(200)
      longest = Math.max(longest, performance.now() - began)
    }
    expect((await retried).status).toBe(422)
    expect((await retried).body.detail).toMatch(/locked/)
    expect(longest).toBeLessThan(2000)
    target.exec('ROLLBACK; DROP TABLE items; CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, changed INTEGER)')
    const again = await server.call('POST', '/runs/job/retry')
    expect(again).toMatchObject({ status: 200, body: { tables: [{ tried: 1, copied: 1, left: 0 }] } })
  })
})
