/**
 * A state in SQLite beside the thread of a server: who waits for a file that another process writes to, or for a slow disk,
 * does not block others. See docs/decisions/0009.
 */
import { Worker } from 'node:worker_threads'
import type { Kysely } from 'kysely'
import { type ErrorCode, FerryError } from '../errors.ts'
import { threadPath } from '../program.ts'
import { type Link, type Result, throughLinks } from './links.ts'
import type { Schema } from './schema.ts'
import type { Answered, Asked, Fault } from './thread.ts'

/** One may wait for its turn to write while the other one reads. */
const CONNECTIONS = 2

export function openSqliteBeside(path: string): Kysely<Schema> {
  return throughLinks(() => new Thread(path), CONNECTIONS)
}

class Thread implements Link {
  private readonly worker: Worker
  private readonly waiting = new Map<number, PromiseWithResolvers<Result>>()
  private nextId = 1
  private broken: Error | undefined

  constructor(path: string) {
    this.worker = new Worker(threadPath(), { workerData: path, resourceLimits: { maxYoungGenerationSizeMb: 4 } })
    this.worker.on('message', (answered: Answered) => this.answered(answered))
    this.worker.on('error', error => {
      this.broken = error as Error
      for (const one of this.waiting.values()) one.reject(error)
      this.waiting.clear()
    })
  }

  async run(sql: string, parameters: readonly unknown[]): Promise<Result> {
    if (this.broken) throw this.broken
    const id = this.nextId++
    const end = Promise.withResolvers<Result>()
    this.waiting.set(id, end)
    this.worker.postMessage({ id, sql, parameters } satisfies Asked)
    return end.promise
  }

  private answered(answered: Answered): void {
    const one = this.waiting.get(answered.id)
    this.waiting.delete(answered.id)
    if ('error' in answered) one?.reject(errorOf(answered.error))
    else one?.resolve(answered.result)
  }

  async close(): Promise<void> {
    if (this.broken) return
    const gone = new Promise(resolve => this.worker.once('exit', resolve))
    this.worker.postMessage('close')
    await gone
  }
}

function errorOf({ message, hint, ...rest }: Fault): Error {
  if (hint !== undefined) return new FerryError(rest.code as ErrorCode, message, { hint })
  return Object.assign(new Error(message), rest)
}
