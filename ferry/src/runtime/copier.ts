/**
 * Copies in processes of their own, for a process that has many of them to do: each process executes one at a time, and the next
 * one when it is done. A copy takes neither the memory of its neighbours, nor do two of them wait for one another where a
 * driver blocks.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { FerryError } from '../errors.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import { memoryOf, programPath } from '../program.ts'
import { tooLarge } from './dispatcher.ts'
import type { RunReport } from './report.ts'

const WATCH_MS = 250

/** What a process is sent, and what it answers. */
export type Order = { job: CopyJob; values: Record<string, string> } | { stop: true }
export type Answer =
  | { ready: true }
  | { started: string }
  | { report: RunReport }
  | { error: { code: FerryError['code']; message: string; hint: string } }

export interface CopyRequest {
  job: CopyJob
  signal: AbortSignal
  onStart: (run: string) => void
}

export interface Copier {
  /** Executes a job. Throws why it could not begin; what fails later is in the report. */
  run(request: CopyRequest): Promise<RunReport>
  close(): Promise<void>
}

/** Executes copies in at most `most` processes at a time. */
export class CopierPool implements Copier {
  private readonly policy: Policy
  private readonly most: number
  private readonly idle: ChildProcess[] = []
  private readonly all = new Set<ChildProcess>()
  private readonly waiting: (() => void)[] = []
  private busy = 0

  private readonly environment: NodeJS.ProcessEnv
  private readonly mostMemory: number

  /** `environment` is that of the processes: it says where the state is. `mostMemory`: bytes that each may have. */
  constructor(
    policy: Policy,
    most: number,
    { environment = process.env, mostMemory = Infinity }: { environment?: NodeJS.ProcessEnv; mostMemory?: number } = {},
  ) {
    this.policy = policy
    this.most = most
    this.environment = environment
    this.mostMemory = mostMemory
  }

  async run(request: CopyRequest): Promise<RunReport> {
    while (this.busy >= this.most) await new Promise<void>(resolve => this.waiting.push(resolve))
    this.busy++
    try {
      request.signal.throwIfAborted()
      const child = this.idle.pop() ?? this.start()
      const report = await this.execute(child, request)
      if (child.connected) this.idle.push(child)
      return report
    } finally {
      this.busy--
      this.waiting.shift()?.()
    }
  }

  private start(): ChildProcess {
    const child = fork(programPath(), ['copier'], {
      env: this.policy.forChild(this.environment),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.all.add(child)
    child.once('exit', () => {
      this.all.delete(child)
      const at = this.idle.indexOf(child)
      if (at >= 0) this.idle.splice(at, 1)
    })
    // Without a copy it keeps nobody from ending.
    child.unref()
    child.channel?.unref()
    return child
  }

  private execute(child: ChildProcess, { job, signal, onStart }: CopyRequest): Promise<RunReport> {
    child.ref()
    child.channel?.ref()
    return new Promise<RunReport>((resolve, reject) => {
      const onStop = () => child.send({ stop: true } satisfies Order)
      const onMessage = (answer: Answer) => {
        if ('started' in answer) onStart(answer.started)
        else if ('report' in answer) end(() => resolve(answer.report))
        else if ('error' in answer) {
          const { code, message, hint } = answer.error
          end(() => reject(new FerryError(code, message, { hint })))
        }
      }
      let taken: number | undefined
      const watch = setInterval(async () => {
        const bytes = await memoryOf(child.pid)
        if (bytes <= this.mostMemory) return
        taken = bytes
        child.kill('SIGKILL')
      }, WATCH_MS)
      watch.unref()
      const onExit = (code: number | null, killed: NodeJS.Signals | null) => {
        if (taken !== undefined) return end(() => reject(tooLarge(taken!, this.mostMemory)))
        const how = killed ?? `exit code ${code}`
        end(() => reject(new FerryError('FERRY-5012', `the process of the copy ${job.name} has ended: ${how}`)))
      }
      const end = (settle: () => void) => {
        clearInterval(watch)
        signal.removeEventListener('abort', onStop)
        child.off('message', onMessage)
        child.off('exit', onExit)
        child.unref()
        child.channel?.unref()
        settle()
      }
      child.on('message', onMessage)
      child.once('exit', onExit)
      signal.addEventListener('abort', onStop, { once: true })
      child.send({ job, values: this.policy.values } satisfies Order)
    })
  }

  async close(): Promise<void> {
    const gone = [...this.all].map(child => new Promise<void>(resolve => child.once('exit', () => resolve())))
    for (const child of this.all) {
      child.ref()
      child.disconnect()
    }
    await Promise.all(gone)
  }
}
