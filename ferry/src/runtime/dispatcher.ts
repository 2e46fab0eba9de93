/**
 * Gives the runs that wait to processes of their own, so many at a time: a copy takes neither the server's processor time
 * nor, when it dies, the server with it. A process whose server is gone puts its run back into the queue and ends.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FerryError } from '../errors.ts'
import type { State } from '../state/database.ts'
import { JOBS, queueNow } from '../state/queue.ts'
import { finishRun } from '../state/runs.ts'
import type { Log } from '../telemetry/log.ts'
import { errorInfo } from './report.ts'

/** How often the queue is looked at, besides when this process itself puts something in. */
const LOOK_MS = 500
/** How long runs have to put their splits down when the server ends. */
const STOP_MS = 30_000
/** A run whose process dies so often is not tried again. */
const MOST_DEATHS = 3

/** How long the next start waits at the most when workers do not even begin. */
const MOST_WAIT_MS = 30_000

interface Worker {
  child: ChildProcess
  run: string | undefined
  gone: Promise<void>
}

export class Dispatcher {
  private readonly state: State
  private readonly log: Log
  private readonly most: number
  private readonly workers = new Set<Worker>()
  private readonly deaths = new Map<string, number>()
  private timer: NodeJS.Timeout | undefined
  private looking: Promise<void> | undefined
  private stopped = false
  /** Workers that died before they took a run: the next ones wait longer and longer. */
  private failedStarts = 0
  private notBefore = 0

  /** At most `most` runs are at work at one time. */
  constructor(state: State, log: Log, most: number) {
    this.state = state
    this.log = log
    this.most = most
  }

  start(): void {
    this.timer = setInterval(() => this.look(), LOOK_MS)
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
    if (Date.now() < this.notBefore) return
    const { atWork, waiting } = await queueNow(this.state.db, JOBS)
    // Those that have just been started have not taken theirs yet.
    const starting = [...this.workers].filter(w => w.run === undefined).length
    const room = this.most - Math.max(atWork + starting, this.workers.size)
    for (let i = 0; i < Math.min(waiting.length - starting, room); i++) this.startWorker()
  }

  private startWorker(): void {
    const { FERRY_TOKEN: _, ...env } = process.env
    const args = ['worker', '--once', '--most', String(this.most), '--log-level', this.log.level]
    const child = fork(programPath(), args, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const worker: Worker = { child, run: undefined, gone: new Promise(resolve => child.once('exit', () => resolve())) }
    this.workers.add(worker)
    child.on('message', message => {
      worker.run = (message as { claimed: string }).claimed
    })
    child.on('error', error => this.log.error({ err: error }, 'a worker cannot be started'))
    child.once('exit', (code, signal) => {
      this.workers.delete(worker)
      if (this.stopped) return
      const died = code !== 0
      if (died) this.log.warn({ run: worker.run, code, signal }, 'a worker died')
      this.failedStarts = died && worker.run === undefined ? this.failedStarts + 1 : 0
      this.notBefore =
        Date.now() + (this.failedStarts > 0 ? Math.min(MOST_WAIT_MS, LOOK_MS * 2 ** this.failedStarts) : 0)
      if (died && worker.run !== undefined) this.countDeath(worker.run, signal ?? `exit code ${code}`)
      else if (worker.run !== undefined) this.deaths.delete(worker.run)
      this.look()
    })
  }

  private countDeath(run: string, how: string): void {
    const deaths = (this.deaths.get(run) ?? 0) + 1
    this.deaths.set(run, deaths)
    if (deaths < MOST_DEATHS) return
    this.deaths.delete(run)
    const error = new FerryError('FERRY-5012', `the process that executed the run died ${deaths} times: ${how}`)
    this.giveUp(run, error).catch(e => this.log.error({ err: e, run }, 'the run cannot be given up'))
  }

  private async giveUp(run: string, error: FerryError): Promise<void> {
    const row = await this.state.db.selectFrom('run').select('epoch').where('id', '=', run).executeTakeFirst()
    if (row) await finishRun(this.state.db, { run, epoch: row.epoch }, 'failed', { error: errorInfo(error) })
  }

  /** Ends the workers; their runs go on when somebody works again. */
  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    await this.looking
    for (const { child } of this.workers) child.kill('SIGTERM')
    const late = setTimeout(() => {
      for (const { child } of this.workers) child.kill('SIGKILL')
    }, STOP_MS)
    await Promise.all([...this.workers].map(w => w.gone))
    clearTimeout(late)
  }
}

/** The program itself, from the sources or from what is installed. */
export function programPath(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const path = join(folder, 'bin', 'ferry.js')
    if (existsSync(path)) return path
    if (folder === dirname(folder)) throw new Error('bin/ferry.js is gone')
  }
}
