/** The state's rules, on SQLite and on PostgreSQL alike. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { STATES, temporaryFolder, until, withState } from '../../../test/support.ts'
import * as claims from './claims.ts'
import { migrate } from './database.ts'
import { forgetAudit, forgetRuns, readAudit, writeAudit } from './history.ts'
import { createJob, findJob, updateJob } from './jobs.ts'
import { MIGRATIONS } from './migrations.ts'
import { hostName, isAlive, LEASE_MS } from './owner.ts'
import { completeTable, positionsOf } from './positions.ts'
import * as queue from './queue.ts'
import * as runs from './runs.ts'
import { saveSkipped } from './skipped.ts'
import { saveProgress, saveSplits, splitsOf } from './splits.ts'
import { openSqlite } from './sqlite.ts'
import { databaseNow } from './time.ts'
import { totalsOf } from './totals.ts'

const fresh = { fresh: false, abandon: async () => {} }

describe.each(Object.entries(STATES))('%s', (_, place) => {
  it('gives a job one run at a time, and a finished one makes room', async () => {
    await withState(await place(), async ({ db }) => {
      const first = await claims.claimRun(db, 'j', '{}', fresh)
      await expect(claims.claimRun(db, 'j', '{}', fresh)).rejects.toMatchObject({ code: 'FERRY-5001' })
      await runs.finishRun(db, first.lease, 'completed')
      const second = await claims.claimRun(db, 'j', '{}', fresh)
      expect(second.resumed).toBe(false)
      expect(second.lease.run).not.toBe(first.lease.run)
    })
  })

  it('hands a failed run on, and refuses what its former owner writes late', async () => {
    await withState(await place(), async ({ db }) => {
      const first = await claims.claimRun(db, 'j', '{}', fresh)
      await runs.finishRun(db, first.lease, 'failed', { error: { code: 'FERRY-2005', message: 'm', hint: 'h' } })
      const second = await claims.claimRun(db, 'j', '{}', fresh)
      expect(second).toMatchObject({ resumed: true, lease: { run: first.lease.run, epoch: 2 } })
      await expect(runs.setState(db, first.lease, 'completed')).rejects.toMatchObject({ code: 'FERRY-5004' })
      await runs.setState(db, second.lease, 'running')
    })
  })

  it('takes over from a process that is gone, not from one that lives elsewhere', async () => {
    await withState(await place(), async ({ db }) => {
      const { lease } = await claims.claimRun(db, 'j', '{}', fresh)
      const owner = (values: object) => db.updateTable('run').set(values).where('id', '=', lease.run).execute()
      await owner({ owner_host: 'elsewhere', heartbeat_at: Date.now() })
      await expect(claims.claimRun(db, 'j', '{}', fresh)).rejects.toMatchObject({ code: 'FERRY-5001' })
      await owner({ heartbeat_at: Date.now() - LEASE_MS - 1 })
      expect(await claims.claimRun(db, 'j', '{}', fresh)).toMatchObject({ resumed: true })
      // A process id that was given out again belongs to another process.
      await owner({ owner_pid: process.ppid, owner_started: 'long ago' })
      expect(await claims.claimRun(db, 'j', '{}', fresh)).toMatchObject({ resumed: true })
    })
  })

  it('refuses whatever a process writes that has lost the run', async () => {
    await withState(await place(), async ({ db }) => {
      const first = await claims.claimRun(db, 'j', '{}', fresh)
      await db.updateTable('run').set({ owner_host: 'elsewhere', heartbeat_at: 0 }).execute()
      const second = await claims.claimRun(db, 'j', '{}', fresh)
      const counts = {
        state: 'running',
        rows_read: 1,
        rows_copied: 1,
        rows_skipped: 0,
        bytes_read: 1,
        bytes_written: 1,
      } as const
      const row = { run: first.lease.run, ordinal: 0, source: 's', destination: 'd', plan: '{}', ...counts }
      const table = { ...row, total_rows: null, started_at: null, ended_at: null, error: null, encoding: 'rows' }
      await runs.saveTable(db, second.lease, table)
      const at = { checkpoint: undefined, rows: 1, bytes: 1 }
      const split = { id: 0, label: '', spec: '' }
      const position = { job: 'j', source: 's', destination: 'd', tracked: '{}', value: '1' }
      const late: Record<string, (lease: runs.Lease) => Promise<void>> = {
        'the table': lease => runs.saveTable(db, lease, { ...table, rows_read: 99 }),
        counts: lease => runs.saveCounts(db, lease, new Map([[0, { ...counts, rows_read: 99, started_at: null }]])),
        splits: lease => saveSplits(db, lease, 0, [split], { feed: false }),
        progress: lease => saveProgress(db, lease, 0, 0, at, undefined),
        'the end of a table': lease => completeTable(db, lease, { ...table, rows_read: 99 }, position),
        sums: lease => runs.saveWaiting(db, lease, 'late'),
        'a sign of life': lease => runs.heartbeat(db, lease),
        'the end': lease => runs.finishRun(db, lease, 'failed').then(() => undefined),
      }
      for (const [what, write] of Object.entries(late)) {
        await expect(write(first.lease), what).rejects.toMatchObject({ code: 'FERRY-5004' })
      }
      expect((await runs.runTables(db, first.lease.run))[0]).toMatchObject({ rows_read: 1 })
      expect(await positionsOf(db, 'j')).toEqual([])
      for (const [what, write] of Object.entries(late)) await expect(write(second.lease), what).resolves.toBeUndefined()
    })
  })

  it('believes no heartbeat from the future: it was written before the clock went back', async () => {
    await withState(await place(), async ({ db }) => {
      const { lease } = await claims.claimRun(db, 'j', '{}', fresh)
      const now = await databaseNow(db)
      const owner = { owner_host: 'elsewhere' }
      await db
        .updateTable('run')
        .set({ ...owner, heartbeat_at: now + 3_600_000 })
        .execute()
      expect(await claims.claimRun(db, 'j', '{}', fresh)).toMatchObject({ resumed: true, lease: { run: lease.run } })
    })
  })

  it('gives ids that grow, whatever the clock says', async () => {
    await withState(await place(), async ({ db }) => {
      const first = await claims.claimRun(db, 'j', '{}', fresh)
      await runs.finishRun(db, first.lease, 'completed')
      // A run of a day on which the clock was wrong.
      const { id: _, ...row } = first.row
      await db
        .insertInto('run')
        .values({ ...row, id: '20991231T235959.999-0000', state: 'completed' })
        .execute()
      const second = await claims.claimRun(db, 'j', '{}', fresh)
      expect(second.lease.run > '20991231T235959.999-0000').toBe(true)
      expect((await runs.findRun(db, 'j')).id).toBe(second.lease.run)
    })
  })

  it('counts the processes in a row that died with a run, wherever they were', async () => {
    await withState(await place(), async ({ db }) => {
      await createJob(db, 'j', '{}')
      await queue.askForRun(db, 'j', { by: 'manual', overlap: 'skip' })
      const died = async () => {
        const claimed = await queue.claimQueued(db, queue.JOBS, 5)
        await db.updateTable('run').set({ owner_host: 'elsewhere', heartbeat_at: 0, taken_at: 0 }).execute()
        return claimed!.row.deaths
      }
      expect([await died(), await died(), await died(), await died()]).toEqual([0, 1, 2, 3])
      const last = await queue.claimQueued(db, queue.JOBS, 5)
      await runs.finishRun(db, last!.lease, 'paused')
      expect((await runs.findRun(db, 'j')).deaths).toBe(0)
    })
  })

  it('gives up a run whose job was edited, after cleaning up', async () => {
    await withState(await place(), async ({ db }) => {
      const first = await claims.claimRun(db, 'j', '{"a":1}', fresh)
      await runs.finishRun(db, first.lease, 'paused')
      const abandoned: string[] = []
      const second = await claims.claimRun(db, 'j', '{"a":2}', {
        fresh: false,
        abandon: async row => {
          abandoned.push(row.id)
        },
      })
      expect(abandoned).toEqual([first.lease.run])
      expect(second.resumed).toBe(false)
      expect((await runs.findRun(db, first.lease.run)).state).toBe('cancelled')
    })
  })

  it('keeps wishes until the run sees them', async () => {
    await withState(await place(), async ({ db }) => {
      const { lease } = await claims.claimRun(db, 'j', '{}', fresh)
      await runs.setState(db, lease, 'running')
      await runs.wishFor(db, 'j', 'pause')
      expect(await runs.readWish(db, lease)).toBe('pause')
      await runs.finishRun(db, lease, 'paused')
      await expect(runs.wishFor(db, 'j', 'pause')).rejects.toMatchObject({ code: 'FERRY-5006' })
      await expect(runs.wishFor(db, 'nothing', 'pause')).rejects.toMatchObject({ code: 'FERRY-1007' })
    })
  })

  it('loses no wish to cancel, whatever becomes of the process that should have heard it', async () => {
    await withState(await place(), async ({ db }) => {
      await createJob(db, 'j', '{}')
      const ask = () => queue.askForRun(db, 'j', { by: 'manual', overlap: 'skip' })
      const dies = (run: string) =>
        db
          .updateTable('run')
          .set({ owner_pid: 1 << 22 })
          .where('id', '=', run)
          .execute()
      await ask()
      const first = await queue.claimQueued(db, queue.JOBS, 2)
      const { run } = first!.lease
      await runs.setState(db, first!.lease, 'planning')
      await runs.wishFor(db, 'j', 'cancel')
      // Who puts the run down at this very moment is told, and does not take the wish away.
      expect(await runs.finishRun(db, first!.lease, 'paused', { unless: 'cancel' })).toBe(false)
      expect(await runs.findRun(db, run)).toMatchObject({ state: 'planning', wish: 'cancel' })
      // Who dies leaves it to the next one; a person who starts the job means a new run.
      await dies(run)
      const second = await queue.claimQueued(db, queue.JOBS, 2)
      expect(second).toMatchObject({ lease: { run } })
      expect(await runs.readWish(db, second!.lease)).toBe('cancel')
      await dies(run)
      const claimed = await claims.claimRun(db, 'j', '{}', { fresh: false, abandon: async () => {} })
      expect(claimed.resumed).toBe(false)
      expect(await runs.findRun(db, run)).toMatchObject({ state: 'cancelled' })
      // One that waits to be cancelled does not stand in the way of a new one.
      await runs.finishRun(db, claimed.lease, 'paused', { unless: 'cancel' })
      await runs.wishFor(db, 'j', 'cancel')
      expect(await ask()).toMatchObject({ outcome: 'queued' })
      // What a person resumes is wanted again.
      const resumed = await queue.resumeQueued(db, claimed.lease.run)
      expect(resumed.wish).toBeNull()
    })
  })

  it('keeps thousands of splits, all or none', async () => {
    await withState(await place(), async ({ db }) => {
      const { lease } = await claims.claimRun(db, 'j', '{}', fresh)
      const split = (id: number) => ({ id, label: 'l', spec: 's', rows: 2 ** 40 })
      const ranges = Array.from({ length: 4000 }, (_, id) => split(id))
      await saveSplits(db, lease, 0, ranges, { feed: true })
      const end = { checkpoint: undefined, rows: 2 ** 40, bytes: 5 }
      await saveProgress(db, lease, 0, 7, end, undefined)
      await saveProgress(db, lease, 0, 'feed', { checkpoint: 'here', rows: 1, bytes: 1 }, undefined)
      const kept = await splitsOf(db, lease.run, 0)
      expect(kept?.ranges).toHaveLength(4000)
      expect([...kept!.committed.keys()]).toEqual(['feed', 7])
      expect(kept?.committed.get(7)).toEqual(end)
    })
  })

  it("leaves a run as it was, and nobody's, where what it left cannot be removed", async () => {
    await withState(await place(), async ({ db }) => {
      for (const state of ['paused', 'failed'] as const) {
        const { lease } = await claims.claimRun(db, state, '{}', fresh)
        await runs.finishRun(db, lease, state)
        const failing = claims.giveUp(db, state, async () => {
          throw new Error('the store is away')
        })
        await expect(failing).rejects.toThrow('the store is away')
        const row = await runs.findRun(db, lease.run)
        expect(row).toMatchObject({ state, owner_pid: null })
        expect(isAlive(row, await databaseNow(db))).toBe(false)
        expect(await claims.giveUp(db, state, async () => {})).toBe(lease.run)
        expect(await runs.findRun(db, lease.run)).toMatchObject(
          state === 'failed' ? { state, given_up: 1 } : { state: 'cancelled', given_up: 0 },
        )
      }
    })
  })

  it('tells every edit of a job from the one before, also within a millisecond', async () => {
    await withState(await place(), async ({ db }) => {
      await createJob(db, 'j', '{}')
      const versions = [(await findJob(db, 'j')).updated_at]
      for (let i = 0; i < 50; i++) {
        await updateJob(db, 'j', JSON.stringify({ i }))
        versions.push((await findJob(db, 'j')).updated_at)
      }
      expect(new Set(versions).size).toBe(51)
      expect(versions).toEqual([...versions].sort())
      // At one time too: each is one of its own.
      await Promise.all(Array.from({ length: 20 }, (_, i) => updateJob(db, 'j', JSON.stringify({ at: i }))))
      await expect(updateJob(db, 'j', '{}', versions.at(-1)!)).rejects.toMatchObject({ code: 'FERRY-6008' })
    })
  })

  it('forgets copies of the command line with their last run, but not one that begins at this moment', async () => {
    await withState(await place(), async ({ db }) => {
      const begin = async (job: string, updatedDaysAgo: number) => {
        const claimed = await claims.claimRun(db, job, '{}', { ...fresh, oneOff: true })
        const long = new Date(Date.now() - updatedDaysAgo * 86_400_000).toISOString()
        await db.updateTable('job').set({ updated_at: long }).where('name', '=', job).execute()
        return claimed
      }
      const { lease } = await begin('old', 9)
      const table = {
        run: lease.run,
        ordinal: 0,
        source: 's',
        destination: 'd',
        state: 'completed',
        plan: '{}',
      } as const
      const counts = { rows_read: 5, rows_copied: 5, rows_skipped: 0, bytes_read: 9, bytes_written: 9 }
      const rest = { total_rows: null, started_at: null, ended_at: null, error: null, encoding: 'rows' }
      await runs.saveTable(db, lease, { ...table, ...counts, ...rest })
      await runs.finishRun(db, lease, 'completed')
      const ended_at = new Date(Date.now() - 9 * 86_400_000).toISOString()
      await db.updateTable('run').set({ ended_at }).where('id', '=', lease.run).execute()
      // Its job is there, its run is not yet.
      const { lease: next } = await begin('beginning', 0)
      await db.deleteFrom('run').where('id', '=', next.run).execute()
      await forgetRuns(db, new Date(Date.now() - 7 * 86_400_000))
      expect(await db.selectFrom('job').select('name').execute()).toEqual([{ name: 'beginning' }])
      for (const left of ['run', 'run_table', 'table_total'] as const) {
        expect(await db.selectFrom(left).selectAll().execute(), left).toEqual([])
      }
      const attempts = await db.selectFrom('attempt').select('run').execute()
      expect(attempts).toEqual([{ run: next.run }])
    })
  })

  it('forgets runs that ended long ago, but of each job its newest one and what its tables have come to', async () => {
    await withState(await place(), async ({ db }) => {
      const run = async (job: string, endedDaysAgo: number) => {
        const { lease } = await claims.claimRun(db, job, '{}', fresh)
        const table = {
          run: lease.run,
          ordinal: 0,
          source: 's',
          destination: 'd',
          state: 'completed',
          plan: '{}',
        } as const
        const counts = { rows_read: 5, rows_copied: 5, rows_skipped: 0, bytes_read: 9, bytes_written: 9 }
        const rest = { total_rows: null, started_at: null, ended_at: null, error: null, encoding: 'rows' }
        await runs.saveTable(db, lease, { ...table, ...counts, ...rest })
        const row = { table: 's', place: 'id 1', reason: 'too long' }
        await saveSkipped(db, lease, { ordinal: 0, split: 0, from: undefined }, [row])
        // Named twice.
        await runs.saveTable(db, lease, { ...table, ...counts, ...rest, ordinal: 1 })
        await runs.finishRun(db, lease, 'completed')
        const ended_at = new Date(Date.now() - endedDaysAgo * 86_400_000).toISOString()
        await db.updateTable('run').set({ ended_at }).where('id', '=', lease.run).execute()
        return lease.run
      }
      const old = [await run('j', 100), await run('j', 95)]
      const kept = [await run('j', 10), await run('only one', 200)]
      const before = new Date(Date.now() - 90 * 86_400_000)
      expect(await forgetRuns(db, before)).toBe(2)
      const skipped = await db.selectFrom('skipped').select('run').distinct().execute()
      expect(skipped.map(s => s.run).sort()).toEqual([...kept].sort())
      const left = await db.selectFrom('run').select('id').execute()
      expect(left.map(r => r.id).sort()).toEqual(kept.sort())
      expect(await runs.runTables(db, old[0]!)).toEqual([])
      expect(await totalsOf(db, 'j')).toMatchObject([{ runs: 3, rows_copied: 30, failures: 0 }])
      await writeAudit(db, { who: 'a', role: 'admin', address: '::1', action: 'POST /x', object: '', outcome: '200' })
      await forgetAudit(db, before)
      expect(await readAudit(db, 10)).toHaveLength(1)
      await forgetAudit(db, new Date(Date.now() + 1000))
      expect(await readAudit(db, 10)).toEqual([])
    })
  })

  it('gives a run that waits to one worker, and at most so many at a time', async () => {
    await withState(await place(), async ({ db }) => {
      for (const name of ['a', 'b', 'c']) {
        await createJob(db, name, '{}')
        await queue.askForRun(db, name, { by: 'manual', overlap: 'skip' })
      }
      expect(await queue.askForRun(db, 'a', { by: 'manual', overlap: 'skip' })).toMatchObject({ outcome: 'running' })
      const first = await queue.claimQueued(db, queue.JOBS, 2)
      const second = await queue.claimQueued(db, queue.JOBS, 2)
      expect([first?.row.job, second?.row.job]).toEqual(['a', 'b'])
      expect(await queue.claimQueued(db, queue.JOBS, 2)).toBeUndefined()
      expect(await queue.queueNow(db, queue.JOBS)).toMatchObject({ atWork: 2, waiting: [{ job: 'c' }] })
      await runs.finishRun(db, first!.lease, 'failed')
      expect(await queue.claimQueued(db, queue.JOBS, 2)).toMatchObject({ row: { job: 'c' }, resumed: false })
      // What has failed goes on, an edited job begins anew.
      expect(await queue.askForRun(db, 'a', { by: 'manual', overlap: 'skip' })).toMatchObject({
        outcome: 'resumed',
        row: { id: first!.row.id },
      })
      await updateJob(db, 'b', '{"tables":[]}')
      await runs.finishRun(db, second!.lease, 'paused')
      expect(await queue.askForRun(db, 'b', { by: 'manual', overlap: 'skip' })).toMatchObject({ outcome: 'queued' })
    })
  })
})

it('brings a state of every older version up to date', async () => {
  for (const version of Object.keys(MIGRATIONS)) {
    const home = temporaryFolder()
    const old = openSqlite(join(home, 'state.db'))
    await migrate(old, home, version)
    const row = { name: 'kept', definition: '{}', created_at: 'a', updated_at: 'b' }
    await old
      .insertInto('job')
      .values(row as never)
      .execute()
    await old.destroy()
    await withState({ FERRY_HOME: home }, async ({ db }) => {
      expect(await db.selectFrom('job').select('name').execute()).toEqual([{ name: 'kept' }])
      expect(await db.selectFrom('connection').selectAll().execute()).toEqual([])
    })
  }
})

it.runIf(process.platform === 'linux')(
  'a process that has ended is gone, also before its parent has asked for it',
  async () => {
    // The second `sleep` asks for no child.
    const parent = spawn('sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
    onTestFinished(() => void parent.kill())
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(line.toString())
    await until(() => readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '), 'the child has ended')
    const row = { owner_pid: pid, owner_host: hostName(), owner_started: '', heartbeat_at: Date.now() }
    expect(isAlive(row, Date.now())).toBe(false)
  },
)
