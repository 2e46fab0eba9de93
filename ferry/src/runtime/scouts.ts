/**
 * Looks into stores and strangers' files, each in a process beside the server: whatever such a file or store does, the
 * server goes on. A look has limits of time and memory; beyond them its process is ended.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { Slots } from '../engine/limits.ts'
import { type Fault, FerryError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { letWait, memoryOf, programPath } from '../program.ts'
import type { Log } from '../telemetry/log.ts'

/** How many look at one time, for all and for one who asks; and how many wait for them. */
const MOST = 4
const MOST_OF_ONE = 2
const MOST_WAITING = 60
/** How long a look may last after its caller has gone. */
const GRACE_MS = 1000
const GONE = 'nobody waits for it any more'
/** What a scout may take: memory in bytes, looked at so often; seconds of processor time. */
const MOST_MEMORY = 900_000_000
const WATCH_MS = 100
const MOST_SECONDS = 300
const MOST_HEAP_MB = 400
/** One that has done so many looks, or holds so much afterwards, is not asked again. */
const MOST_LOOKS = 200
const RETIRE_MEMORY = 250_000_000
/** Looks come behind the server and its runs. */
const NICE = 10
/** Longest wait for a free process. */
const IDLE_MS = 60_000

/** What a scout answers. */
export type ScoutAnswer =
  | { id: number; answer: unknown }
  | { id: number; error: { code: string; message: string; hint: string; faults: Fault[] } }

/** Who asks for a look; `signal` ends the look when the caller has gone. */
export interface Asker {
  by: string
  signal?: AbortSignal
  /** Does what is waited for, while others may work in its place. */
  aside?: <T>(work: () => Promise<T>) => Promise<T>
}

interface Scout {
  child: ChildProcess
  looks: number
  idle: NodeJS.Timeout | undefined
}

/** Looks by their names: what each is asked, and what it answers. */
export type LookTable<L> = { [N in keyof L]: { ask: unknown; answer: unknown } }

export class Scouts<L extends LookTable<L>> {
  private readonly log: Log
  private readonly policy: Policy
  private readonly patience: Record<keyof L, number>
  private readonly free: Scout[] = []
  private readonly all = new Set<Scout>()
  private readonly slots = new Slots(MOST)
  /** Of each who asks: whose stores hang keeps a place for the others. */
  private readonly own = new Map<string, Slots>()
  private nextId = 1
  private stopped = false

  /** `policy` limits what scouts may open; `patience`: how long each look may take, in milliseconds. */
  constructor(log: Log, policy: Policy, patience: Record<keyof L, number>) {
    this.log = log
    this.policy = policy
    this.patience = patience
  }

  /**
   * Has a scout look. Throws what the look throws; FERRY-2001 where it takes too long, FERRY-4008 too much memory,
   * FERRY-6005 where too many wait.
   */
  async ask<N extends keyof L>(
    name: N,
    ask: L[N]['ask'],
    { by, signal, aside = work => work() }: Asker,
  ): Promise<L[N]['answer']> {
    const own = this.own.get(by) ?? new Slots(MOST_OF_ONE)
    if (own.queued >= MOST_WAITING || this.slots.queued >= MOST_WAITING) {
      throw new FerryError('FERRY-6005', 'too many look into stores at this moment', { hint: 'Try again in a moment.' })
    }
    this.own.set(by, own)
    try {
      return await aside(() =>
        own.use(() =>
          this.slots.use(() => {
            // Who has gone away while waiting costs no process.
            if (signal?.aborted) throw new FerryError('FERRY-2001', GONE)
            return this.send(this.free.pop() ?? this.start(), name, ask, signal)
          }),
        ),
      )
    } finally {
      if (own.isIdle) this.own.delete(by)
    }
  }

  private start(): Scout {
    const { FERRY_TOKEN: _, ...own } = process.env
    const env = this.policy.forChild(own)
    const words = [`--max-old-space-size=${MOST_HEAP_MB}`, programPath(), 'scout']
    const options = { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] as ('ignore' | 'inherit' | 'ipc')[] }
    // One whose server is gone, and that hangs in a stranger's file, ends by itself.
    const child =
      process.platform === 'win32'
        ? spawn(process.execPath, words, options)
        : spawn('/bin/sh', ['-c', `ulimit -t ${MOST_SECONDS}; exec "$0" "$@"`, process.execPath, ...words], options)
    letWait(child, NICE)
    const scout: Scout = { child, looks: 0, idle: undefined }
    this.all.add(scout)
    child.once('exit', () => this.forget(scout))
    child.once('error', error => {
      this.log.error({ err: error }, 'a scout cannot be started')
      this.forget(scout)
    })
    return scout
  }

  private forget(scout: Scout): void {
    clearTimeout(scout.idle)
    this.all.delete(scout)
    const at = this.free.indexOf(scout)
    if (at >= 0) this.free.splice(at, 1)
  }

  private async send<N extends keyof L>(
    scout: Scout,
    name: N,
    ask: L[N]['ask'],
    signal: AbortSignal | undefined,
  ): Promise<L[N]['answer']> {
    const { child } = scout
    clearTimeout(scout.idle)
    const id = this.nextId++
    const end = Promise.withResolvers<L[N]['answer']>()
    const kill = (why: FerryError) => {
      child.kill('SIGKILL')
      end.reject(why)
    }
    const onMessage = (answer: ScoutAnswer) => {
      if (answer.id !== id) return
      if ('answer' in answer) end.resolve(answer.answer as L[N]['answer'])
      else end.reject(new FerryError(answer.error.code as never, answer.error.message, answer.error))
    }
    const onExit = () => end.reject(tooMuch())
    // A process that ends soon is awaited: starting another one costs more.
    const onAbort = () => {
      grace = setTimeout(() => kill(new FerryError('FERRY-2001', GONE)), GRACE_MS)
    }
    let grace: NodeJS.Timeout | undefined
    const seconds = this.patience[name] / 1000
    const late = setTimeout(
      () => kill(new FerryError('FERRY-2001', `it has not answered in ${seconds} s`)),
      this.patience[name],
    )
    const watch = setInterval(async () => {
      if ((await memoryOf(child.pid)) > MOST_MEMORY) kill(tooMuch())
    }, WATCH_MS)
    child.on('message', onMessage)
    child.once('exit', onExit)
    child.once('error', onExit)
    signal?.addEventListener('abort', onAbort, { once: true })
    child.send({ id, name, ask }, error => {
      if (error) end.reject(error)
    })
    try {
      return await end.promise
    } finally {
      clearTimeout(late)
      clearTimeout(grace)
      clearInterval(watch)
      child.off('message', onMessage)
      child.off('exit', onExit)
      child.off('error', onExit)
      signal?.removeEventListener('abort', onAbort)
      await this.keep(scout)
    }
  }

  /** Lets a scout wait for the next look, or go. */
  private async keep(scout: Scout): Promise<void> {
    const { child } = scout
    const isTired = ++scout.looks >= MOST_LOOKS || (await memoryOf(child.pid)) > RETIRE_MEMORY
    if (child.killed || !child.connected || isTired || this.stopped) {
      child.kill('SIGKILL')
      return
    }
    scout.idle = setTimeout(() => child.kill('SIGKILL'), IDLE_MS)
    scout.idle.unref()
    this.free.push(scout)
  }

  stop(): void {
    this.stopped = true
    for (const { child } of this.all) child.kill('SIGKILL')
  }
}

function tooMuch(): FerryError {
  return new FerryError('FERRY-4008', 'it takes more memory or time than a look into a store may', {
    hint: 'A copy has more: run the job. Or look at a part of it, by a query or another file.',
  })
}
