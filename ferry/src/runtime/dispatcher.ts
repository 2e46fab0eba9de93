/**
 * Gives the runs that wait to processes of their own, so many at a time: a copy takes neither the server's processor time
 * nor, when it dies, the server with it. A process whose server is gone puts its run back into the queue and ends.
 */

import { type ChildProcess, fork } from 'node:child_process'
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { letWait, memoryOf, programPath } from '../program.ts'
import type { State } from '../state/database.ts'
import { deathsOf, diedTooOften, JOBS, MOST_DEATHS, queueNow } from '../state/queue.ts'
import { finishRun, type Lease } from '../state/runs.ts'
import type { Schema } from '../state/schema.ts'
import type { Log } from '../telemetry/log.ts'
import { errorInfo } from './report.ts'

/** Runs come behind the server, and before looks. */
const NICE = 5
/** How often the queue is looked at, besides when this process itself puts something in. */
const LOOK_MS = 500
/** How often the memory of the workers is looked at. */
const WATCH_MS = 250
/** How long runs have to put their splits down when the server ends. */
const STOP_MS = 30_000
/** How long the next start waits at the most when workers do not even begin. */
const MOST_WAIT_MS = 30_000

interface Worker {
  child: ChildProcess
  /** What it executes; undefined before it has taken a run. */
  lease: Lease | undefined
  /** Bytes of memory that it was ended for. */
  tookTooMuch: number | undefined
  gone: Promise<void>
}

export class Dispatcher {
  private readonly state: State
  private readonly log: Log
  private readonly policy: Policy
  private readonly most: number
  private readonly mostMemory: number
  private readonly workers = new Set<Worker>()
  private timer: NodeJS.Timeout | undefined
  private watch: NodeJS.Timeout | undefined
  private looking: Promise<void> | undefined
  private stopped = false
  /** Workers that died before they took a run: the next ones wait longer and longer. */
  private failedStarts = 0
  /** By this process's monotonic clock. */
  private notBefore = 0

  /** At most `most` runs are at work at one time, each with so many bytes of memory. */
  constructor(state: State, log: Log, policy: Policy, most: number, mostMemory: number) {
    this.state = state
    this.log = log
    this.policy = policy
    this.most = most
    this.mostMemory = mostMemory
  }

  start(): void {
    this.timer = setInterval(() => this.look(), LOOK_MS)
    this.watch = setInterval(() => this.endLarge(), WATCH_MS)
    this.look()
  }

  /** How many runs are at work here. */
  get atWork(): number {
    return this.workers.size
  }

  /** Looks at the queue now. */
  look(): void {
    if (this.looking || this.stopped) return
    this.looking = this.startWaiting()
      .catch(error => this.log.error({ err: error }, 'the queue cannot be read'))
      .finally(() => {
        this.looking = undefined
      })
  }

  private async startWaiting(): Promise<void> {
    if (performance.now() < this.notBefore) return
    const { atWork, waiting } = await queueNow(this.state.db, JOBS)
    // Those that have just been started have not taken theirs yet.
    const starting = [...this.workers].filter(w => w.lease === undefined).length
    const room = this.most - Math.max(atWork + starting, this.workers.size)
    for (let i = 0; i < Math.min(waiting.length - starting, room); i++) this.startWorker()
  }

  private startWorker(): void {
    const { FERRY_TOKEN: _, ...own } = process.env
    const env = this.policy.forChild(own)
    const args = ['worker', '--once', '--most', String(this.most), '--log-level', this.log.level]
    const child = fork(programPath(), args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    letWait(child, NICE)
    const worker: Worker = {
      child,
      lease: undefined,
      tookTooMuch: undefined,
      gone: new Promise(resolve => child.once('exit', () => resolve())),
    }
    this.workers.add(worker)
    child.on('message', message => {
      worker.lease = (message as { claimed: Lease }).claimed
    })
    child.on('error', error => this.log.error({ err: error }, 'a worker cannot be started'))
    child.once('exit', (code, signal) => {
      this.workers.delete(worker)
      if (this.stopped) return
      const died = code !== 0
      if (died) this.log.warn({ run: worker.lease?.run, code, signal }, 'a worker died')
      this.failedStarts = died && worker.lease === undefined ? this.failedStarts + 1 : 0
      this.notBefore =
        performance.now() + (this.failedStarts > 0 ? Math.min(MOST_WAIT_MS, LOOK_MS * 2 ** this.failedStarts) : 0)
      const { lease, tookTooMuch } = worker
      if (!died || !lease) return this.look()
      const giveUp =
        tookTooMuch === undefined
          ? this.giveUpDying(lease, signal ?? `exit code ${code}`)
          : endUnlessCancelled(this.state.db, lease, tooLarge(tookTooMuch, this.mostMemory))
      giveUp
        .catch(error => this.log.error({ err: error, run: lease.run }, 'the run cannot be given up'))
        .finally(() => this.look())
    })
  }

  /** A store that announces gigabytes, or a value of that size, takes no memory from the others. */
  private async endLarge(): Promise<void> {
    for (const worker of this.workers) {
      // A worker that has not taken a run yet is not ended: there is no run that could say why.
      if (worker.lease === undefined || worker.tookTooMuch !== undefined) continue
      const bytes = await memoryOf(worker.child.pid)
      if (bytes <= this.mostMemory) continue
      worker.tookTooMuch = bytes
      worker.child.kill('SIGKILL')
    }
  }

  /** A run whose processes die again and again is not tried for ever; what another server has taken is that server's. */
  private async giveUpDying(lease: Lease, how: string): Promise<void> {
    const { db } = this.state
    const row = await db.selectFrom('run').selectAll().where('id', '=', lease.run).executeTakeFirst()
    if (!row || row.epoch !== lease.epoch || deathsOf(row) < MOST_DEATHS) return
    await endUnlessCancelled(db, lease, diedTooOften(row.id, deathsOf(row), how))
  }

  /** Ends the workers; their runs are resumed when a worker starts again. */
  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    clearInterval(this.watch)
    await this.looking
    for (const { child } of this.workers) child.kill('SIGTERM')
    const late = setTimeout(() => {
      for (const { child } of this.workers) child.kill('SIGKILL')
    }, STOP_MS)
    await Promise.all([...this.workers].map(w => w.gone))
    clearTimeout(late)
  }
}

/** What was to be cancelled is given up by the next worker, which removes what it left. */
async function endUnlessCancelled(db: Kysely<Schema>, lease: Lease, error: FerryError): Promise<void> {
  await finishRun(db, lease, 'failed', { error: errorInfo(error), unless: 'cancel' })
}

/** FERRY-5014. */
export function tooLarge(bytes: number, most: number): FerryError {
  const megabytes = (n: number) => `${Math.round(n / 1e6)} MB`
  return new FerryError('FERRY-5014', `its process had ${megabytes(bytes)} of memory, and may have ${megabytes(most)}`)
}
