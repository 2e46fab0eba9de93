/** Retries with growing waits up to a limit, and reports why requests wait. */
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a request is retried while the service is busy or unavailable. */
const PATIENCE_MS = 120_000
const FIRST_MS = 20
const LONGEST_MS = 5000

export interface Wait {
  why: string
  /** Milliseconds since 1970. */
  since: number
}

export class Patience {
  private readonly waits: Map<symbol, Wait>
  private readonly name = Symbol()
  private since: number | undefined
  private attempt = 0

  /** `waits` holds what is waited for, as long as it is. */
  constructor(waits: Map<symbol, Wait>) {
    this.waits = waits
  }

  /** Whether it was tried for so long that it is not tried again. */
  get isOver(): boolean {
    return this.since !== undefined && Date.now() - this.since > PATIENCE_MS
  }

  /** Waits before the next try, as long as the service asks for. Throws if it is aborted. */
  async wait(why: string, ms: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    this.since ??= Date.now()
    this.waits.set(this.name, { why, since: this.since })
    const time = ms ?? Math.min(LONGEST_MS, FIRST_MS * 2 ** this.attempt++)
    await sleep(time, undefined, signal ? { signal } : {}).catch(() => {
      this.done()
      signal?.throwIfAborted()
    })
  }

  /** There was an answer, or there will be none: nothing is waited for any more. */
  done(): void {
    this.since = undefined
    this.attempt = 0
    this.waits.delete(this.name)
  }
}
