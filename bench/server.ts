/**
 * `npm run bench:server`: how fast lists and panels answer over a long history (50 jobs, one of them with 1,000 tables and
 * the others with 20, 100,000 runs), while 100 browsers listen and a run is at work; and how soon they hear of it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { pendingRun } from '../ferry/src/state/claims.ts'
import { openState } from '../ferry/src/state/database.ts'
import { createJob } from '../ferry/src/state/jobs.ts'
import { installed, keep } from './timing.ts'

const JOBS = 50
const TABLES = 20
const MANY = 1000
const RUNS = 100_000
const LISTENERS = 100
const ROUNDS = 200
const TOKEN = 'bench'

const nameOf = (i: number) => `job-${String(i).padStart(2, '0')}`
const tablesOf = (i: number) => Array.from({ length: i === 0 ? MANY : TABLES }, (_, t) => `public.table_${t}`)

/** A state with a past: every run has its tables, but those of the oldest ones are few. */
async function fillState(home: string, source: string): Promise<void> {
  const state = await openState({ FERRY_HOME: home })
  const { db } = state
  const definitions = Array.from({ length: JOBS }, (_, i) =>
    JSON.stringify(
      jobSchema.parse({
        name: nameOf(i),
        source: `sqlite:${source}`,
        destination: `sqlite:${source}.copy.db`,
        update: 'merge',
        tables: tablesOf(i),
        schedules: [{ name: 'nightly', daily: ['06:00'], timeZone: 'Europe/Berlin', enabled: i % 2 === 0 }],
      }),
    ),
  )
  for (const [i, definition] of definitions.entries()) await createJob(db, nameOf(i), definition)
  const start = Date.now() - RUNS * 60_000
  const states = ['completed', 'completed', 'completed', 'cancelled', 'completed', 'completed', 'completed'] as const
  const small = definitions.map((d, i) => (i === 0 ? d.slice(0, 2000) : d))
  for (let from = 0; from < RUNS; from += 500) {
    const rows = Array.from({ length: 500 }, (_, n) => {
      const at = new Date(start + (from + n) * 60_000)
      const job = (from + n) % JOBS
      const iso = at.toISOString()
      const id = `${iso.replace(/[-:]/g, '').replace('Z', '')}-${(n % 65536).toString(16).padStart(4, '0')}`
      // Only runs that are looked at need a definition that can be read.
      const definition = from + n >= RUNS - JOBS ? definitions[job]! : small[job]!
      const counts = { rows_read: 1000 * n, rows_copied: 1000 * n, bytes_read: 64_000 * n, bytes_written: 64_000 * n }
      return {
        ...pendingRun(id, { job: nameOf(job), definition, queue: null, now: at.getTime() }),
        ...counts,
        tables: job === 0 ? MANY : TABLES,
        tables_done: job === 0 ? MANY : TABLES,
        state: states[n % states.length]!,
        created_at: iso,
        started_at: iso,
        ended_at: new Date(at.getTime() + 30_000).toISOString(),
        changed_at: at.getTime() + 30_000,
      }
    })
    await db.transaction().execute(async tx => {
      for (let i = 0; i < rows.length; i += 100)
        await tx
          .insertInto('run')
          .values(rows.slice(i, i + 100))
          .execute()
      const tables = rows.flatMap(run =>
        run.job === nameOf(0) && from < RUNS - 500
          ? []
          : Array.from({ length: run.tables }, (_, ordinal) => ({
              run: run.id,
              ordinal,
              source: `public.table_${ordinal}`,
              destination: `table_${ordinal}`,
              state: 'completed' as const,
              plan: '{}',
              rows_read: 1000,
              rows_copied: 1000,
              rows_skipped: 0,
              bytes_read: 64_000,
              bytes_written: 64_000,
              total_rows: 1000,
              started_at: run.started_at,
              ended_at: run.ended_at,
              error: null,
              encoding: 'rows',
            })),
      )
      for (let i = 0; i < tables.length; i += 1000) {
        await tx
          .insertInto('run_table')
          .values(tables.slice(i, i + 1000))
          .execute()
      }
    })
  }
  for (let i = 0; i < JOBS; i++) {
    const totals = tablesOf(i).map(t => ({
      job: nameOf(i),
      source: t,
      destination: t.slice(7),
      runs: 2000,
      failures: 3,
      rows_read: 2_000_000,
      rows_copied: 2_000_000,
      rows_skipped: 0,
      bytes_read: 128_000_000,
      bytes_written: 128_000_000,
      last_run: 'r',
      last_at: new Date().toISOString(),
    }))
    await db.insertInto('table_total').values(totals).execute()
  }
  await state.close()
}

async function start(command: string, folder: string): Promise<{ url: string; child: ChildProcess }> {
  const words = command.split(' ')
  const args = [...words.slice(1), 'serve', '--port', '0', '--folder', join(folder, 'data'), '--log-level', 'warn']
  const child = spawn(words[0]!, args, {
    env: { ...process.env, FERRY_TOKEN: TOKEN },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const found = /listens at (\S+)/.exec(text)?.[1]
      if (found) resolve(found)
    })
    child.once('exit', code => reject(new Error(`the server ended with ${code}`)))
  })
  return { url, child }
}

const percentile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-server-'))
try {
  const command = await installed(folder)
  mkdirSync(join(folder, 'data'))
  const source = join(folder, 'data', 'source.db')
  const db = new DatabaseSync(source)
  db.exec('BEGIN; CREATE TABLE work (id INTEGER PRIMARY KEY, text TEXT)')
  const insert = db.prepare('INSERT INTO work VALUES (?, ?)')
  for (let i = 0; i < 500_000; i++) insert.run(i, `row ${i}`)
  db.exec('COMMIT')
  db.close()
  console.log(`filling the history: ${RUNS.toLocaleString('en-US')} runs`)
  await fillState(process.env.FERRY_HOME!, source)
  const { url, child } = await start(command, folder)
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const get = async (path: string) => {
    const answer = await fetch(`${url}/api/v1${path}`, { headers })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return text
  }
  // Those who listen, and when each of them hears of a change.
  const stop = new AbortController()
  const heard: Map<string, number>[] = []
  const listening = Array.from({ length: LISTENERS }, async () => {
    const own = new Map<string, number>()
    heard.push(own)
    const answer = await fetch(`${url}/api/v1/events`, { headers, signal: stop.signal })
    let rest = ''
    for await (const chunk of answer.body!) {
      rest += Buffer.from(chunk).toString()
      const events = rest.split('\n\n')
      rest = events.pop()!
      for (const event of events) {
        const data = /^data: (.*)$/m.exec(event)?.[1]
        if (!data) continue
        const run = JSON.parse(data) as { id: string; state: string }
        const key = `${run.id} ${run.state}`
        if (!own.has(key)) own.set(key, performance.now())
      }
    }
  })
  for (const one of listening) one.catch(() => undefined)
  const work = {
    name: 'work',
    source: `sqlite:${source}`,
    destination: `sqlite:${source}.copy.db`,
    update: 'overwrite',
    tables: ['work'],
    limits: { rowsPerSecond: 15_000 },
  }
  await fetch(`${url}/api/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(work) })
  const { runs } = JSON.parse(await get(`/runs?job=${nameOf(0)}&limit=1`)) as { runs: { id: string }[] }
  const panel = runs[0]!.id
  const asked = performance.now()
  const begun = await fetch(`${url}/api/v1/jobs/work/runs`, { method: 'POST', headers, body: '{}' })
  const { run } = (await begun.json()) as { run: string }
  const paths: Record<string, string> = {
    'list of jobs': '/jobs',
    'run history of a job': `/runs?job=${nameOf(7)}&limit=100`,
    'monitor, newest runs': '/runs?limit=100',
    'monitor, by state': '/runs?state=cancelled&limit=100',
    'monitor, counts': '/summary',
    'panel, the run': `/runs/${panel}`,
    'panel, its 1,000 tables': `/runs/${panel}/tables`,
    'totals of 1,000 tables': `/jobs/${nameOf(0)}/totals`,
  }
  const took: Record<string, number[]> = {}
  for (let round = 0; round < ROUNDS; round++) {
    for (const [what, path] of Object.entries(paths)) {
      const began = performance.now()
      await get(path)
      took[what] ??= []
      took[what].push(performance.now() - began)
    }
  }
  const told = heard.flatMap(h => h.get(`${run} running`) ?? [])
  if (told.length < LISTENERS) throw new Error(`only ${told.length} of ${LISTENERS} listeners heard of the run`)
  stop.abort()
  child.kill('SIGTERM')
  const rows = Object.entries(took).map(
    ([what, values]) =>
      `| ${what} | ${percentile(values, 0.5).toFixed(1)} ms | ${percentile(values, 0.95).toFixed(1)} ms |`,
  )
  const spread = Math.max(...told) - Math.min(...told)
  const result = [
    `${JOBS} jobs (one of ${MANY.toLocaleString('en-US')} tables, the others of ${TABLES}), ${RUNS.toLocaleString('en-US')} runs in a SQLite state, while ${LISTENERS} listen to live events and a run is at work; ${ROUNDS} calls of each; 2 processors, Node ${process.versions.node}.`,
    '',
    '| | median | 95 % |',
    '|---|---|---|',
    ...rows,
    '',
    `All ${LISTENERS} heard that a run is at work within ${spread.toFixed(0)} ms of each other, ${(Math.max(...told) - asked).toFixed(0)} ms after it was asked for (the start of its process included).`,
  ].join('\n')
  console.log(result)
  keep('server', result)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
