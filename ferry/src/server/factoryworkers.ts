/**
 * The processes that fire the triggers of factories and execute their runs: one for each factory that has something to do. A
 * factory is a stranger's program: its process may end for whatever reason, and the server goes on.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { Policy } from '../policy.ts'
import { letWait, memoryOf, programPath } from '../program.ts'
import type { State } from '../state/database.ts'
import { busyFactories } from '../state/factories.ts'
import { countDeaths, endPipeline } from '../state/pipelines.ts'
import { MOST_DEATHS } from '../state/queue.ts'
import type { Log } from '../telemetry/log.ts'

const NICE = 5
const LOOK_MS = 1000
const STOP_MS = 30_000
const MOST_WAIT_MS = 60_000
/** A process that has lived so long has not failed at its start. */
const LIVED_MS = 30_000
const LEAST_MS = 5000

interface Failing {
  times: number
  /** By this process's monotonic clock. */
  notBefore: number
}

export class FactoryWorkers {
  private readonly state: State
  private readonly log: Log
  private readonly policy: Policy
  private readonly mostMemory: number
  /** Where answers to webhooks come in. */
  private url = ''
  private readonly workers = new Map<string, ChildProcess>()
  private readonly failing = new Map<string, Failing>()
  private timer: NodeJS.Timeout | undefined
  private looking: Promise<void> | undefined
  private stopped = false

  constructor(state: State, log: Log, policy: Policy, mostMemory: number) {
    this.state = state
    this.log = log
    this.policy = policy
    this.mostMemory = mostMemory
  }

  start(url: string): void {
    this.url = url
    this.timer = setInterval(() => this.look(), LOOK_MS)
    this.look()
  }

  /** Looks now for factories that have something to do. */
  look(): void {
    if (this.looking || this.stopped) return
    this.looking = this.startBusy()
      .catch(error => this.log.error({ err: error }, 'factories cannot be looked at'))
      .finally(() => {
        this.looking = undefined
      })
  }

  private async startBusy(): Promise<void> {
    for (const name of await busyFactories(this.state.db)) {
      if (this.workers.has(name) || this.stopped) continue
      if ((this.failing.get(name)?.notBefore ?? 0) > performance.now()) continue
      this.startWorker(name)
    }
    for (const [factory, child] of this.workers) {
      const bytes = await memoryOf(child.pid)
      if (bytes <= this.mostMemory) continue
      this.log.error({ factory, bytes }, 'the process of a factory takes too much memory, and is ended')
      child.kill('SIGKILL')
    }
  }

  private startWorker(name: string): void {
    const { FERRY_TOKEN: _, ...own } = process.env
    const words = ['--callbacks', this.url, '--copy-memory', String(this.mostMemory), '--log-level', this.log.level]
    const args = ['factory-worker', ...words, '--', name]
    const child = fork(programPath(), args, {
      env: this.policy.forChild(own),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    letWait(child, NICE)
    this.workers.set(name, child)
    const startedAt = performance.now()
    child.on('error', error => this.log.error({ err: error, factory: name }, 'a factory cannot be started'))
    child.once('exit', (code, signal) => {
      this.workers.delete(name)
      if (this.stopped) return
      const lived = performance.now() - startedAt
      // One that has nothing to do stays for a while: an end at once is none.
      if (code === 0 && lived > LEAST_MS) {
        this.failing.delete(name)
        // What came while it ended has not been seen by it.
        return this.look()
      }
      this.giveUpDying(child.pid).catch(error => this.log.error({ err: error }, 'runs cannot be given up'))
      const times = lived > LIVED_MS ? 1 : (this.failing.get(name)?.times ?? 0) + 1
      const wait = Math.min(MOST_WAIT_MS, 1000 * 2 ** times)
      this.failing.set(name, { times, notBefore: performance.now() + wait })
      this.log.warn(
        { factory: name, code, signal },
        `the process of a factory died; the next one begins in ${wait / 1000} s`,
      )
    })
  }

  /** Runs whose processes die again and again are not tried for ever. */
  private async giveUpDying(pid: number | undefined): Promise<void> {
    if (pid === undefined) return
    const { db } = this.state
    for (const { id, epoch, deaths } of await countDeaths(db, pid, MOST_DEATHS)) {
      const message = `its process has died ${deaths} times: it may take more memory than there is for it`
      const error = { errorCode: 'FERRY-5012', message, failureType: 'UserError', target: '' }
      const failure = JSON.stringify({ activity: '', error, message })
      await endPipeline(db, { run: id, epoch }, { state: 'Failed', error: failure, return_value: null })
    }
  }

  /** Ends the processes; their runs are gone on with when a server starts again. */
  async stop(): Promise<void> {
    this.stopped = true
    clearInterval(this.timer)
    await this.looking
    const children = [...this.workers.values()]
    const gone = children.map(child => new Promise<void>(resolve => child.once('exit', () => resolve())))
    for (const child of children) child.kill('SIGTERM')
    const late = setTimeout(() => {
      for (const child of children) child.kill('SIGKILL')
    }, STOP_MS)
    await Promise.all(gone)
    clearTimeout(late)
  }
}
