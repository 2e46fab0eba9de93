/**
 * Request units a second: a copy takes what it may and no more, partition by partition, since each has its own share.
 *
 * With a budget the share is known. Without one it begins with what the container is given, where that can be asked for,
 * and follows the service's answers: less at once when it refuses, a little more as long as it does not.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Mutex } from '../mutex.ts'

/** A refusal lowers the rate to this part of it; at most so often, since one shortage refuses several requests. */
const LESS = 0.9
const LESS_EVERY_MS = 200
/** If one rejection follows another within this time, another client uses the container: the rate falls faster. */
const AGAIN_WITHIN_MS = 2500
const LESS_AGAIN = 0.7
/**
 * Without refusals the rate grows with the cube of time, as TCP CUBIC does (RFC 9438): fast to near where it was refused
 * last, slowly there, and ever faster beyond, since a shortage that is over must not be remembered for long.
 */
const GROWTH = 0.0004
/** Others take units too: the service's word for when there are some is too early, by twice as much each time. */
const LATEST = 16
/** And it is this long at least: what a partition has again after a moment, others have taken after the next. */
const LEAST_MS = 25
/** What was served is looked at over windows of this length. */
const WINDOW_MS = 500
/** A request costs at most what the rate gives in this time, so that a refusal concerns little. */
const REQUEST_MS = 30
/** How far requests may run ahead of the rate, in milliseconds. */
const AHEAD_MS = 100
/** A little below what is given: clocks and charges are not exact. */
const MARGIN = 0.97
const LEAST = 20

export interface ThroughputOptions {
  /** RU/s that the copy may take in all. */
  budget?: number | undefined
  /** RU/s of the container; undefined if the service does not say. */
  provisioned?: number | undefined
}

export class Throughput {
  private readonly options: ThroughputOptions
  private readonly partitions = new Map<string, PartitionRate>()

  constructor(options: ThroughputOptions) {
    this.options = options
  }

  /** The rate of one of so many partitions. */
  of(partition: string, count: number): PartitionRate {
    let rate = this.partitions.get(partition)
    if (!rate) {
      const { budget, provisioned } = this.options
      const total = budget ?? (provisioned === undefined ? undefined : provisioned * MARGIN)
      rate = new PartitionRate(total === undefined ? undefined : total / count, budget !== undefined)
      this.partitions.set(partition, rate)
    }
    return rate
  }

  /** Milliseconds that the longest of refused partitions has yet to wait. */
  heldMs(): number {
    return Math.max(0, ...[...this.partitions.values()].map(p => p.heldMs()))
  }

  /** Waits until units may be spent; gives back the function to call with the outcome. */
  async spend(partition: string, count: number, estimate: number, signal?: AbortSignal) {
    const rate = this.of(partition, count)
    await rate.take(estimate, signal)
    return (actual: number, retryAfterMs: number | undefined) => {
      rate.settle(estimate, actual)
      if (retryAfterMs === undefined) rate.served()
      else rate.lower(retryAfterMs)
    }
  }
}

class PartitionRate {
  /** Units a second; unlimited until the first refusal where nothing is known. */
  private perSecond: number
  private readonly most: number
  private readonly fixed: boolean
  /** When what was taken so far is paid for. */
  private paidAt = 0
  private lowered = 0
  /** How much longer to wait than the service asks for. */
  private patience = 1
  /** The rate that was refused last. */
  private refusedAt = Infinity
  private readonly mutex = new Mutex()
  /** Seconds from the last refusal until the rate is again where it was refused. */
  private plateau = 0
  /** Units served in this window and in the one before. */
  private units = 0
  private before: number | undefined
  private since = performance.now()

  constructor(perSecond: number | undefined, fixed: boolean) {
    this.perSecond = perSecond ?? Infinity
    this.most = this.perSecond
    this.fixed = fixed
  }

  /** How many units one request should cost at most. */
  get perRequest(): number {
    return (this.perSecond * REQUEST_MS) / 1000
  }

  /** Waits for the units. One waits at a time, the others behind it, so that a refusal holds all of them back. */
  async take(units: number, signal?: AbortSignal): Promise<void> {
    if (this.perSecond === Infinity && this.paidAt <= performance.now()) return
    const done = await this.mutex.take()
    try {
      this.raise()
      for (let wait = this.wait(); wait > 0; wait = this.wait()) {
        signal?.throwIfAborted()
        await sleep(wait, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted())
      }
      if (this.perSecond === Infinity) return
      const start = Math.max(this.paidAt, performance.now() - AHEAD_MS)
      this.paidAt = start + (units / this.perSecond) * 1000
    } finally {
      done()
    }
  }

  /** Milliseconds until what was taken so far is paid for. */
  private wait(): number {
    return this.paidAt - performance.now()
  }

  /** Milliseconds until the next request, if the service rejected the last one. */
  heldMs(): number {
    return this.patience > 1 ? this.wait() : 0
  }

  /** What a request has cost in truth. */
  settle(estimate: number, actual: number): void {
    this.turn()
    this.units += actual
    if (this.perSecond !== Infinity) this.paidAt += ((actual - estimate) / this.perSecond) * 1000
  }

  /** A request was served whole. */
  served(): void {
    this.patience = 1
  }

  /** Less from now on, and nothing until the service has units again. */
  lower(retryAfterMs: number): void {
    const now = performance.now()
    this.patience = Math.min(LATEST, this.patience * 2)
    this.paidAt = Math.max(this.paidAt, now + Math.max(retryAfterMs, LEAST_MS) * this.patience)
    if (this.fixed || now - this.lowered < LESS_EVERY_MS) return
    const before = this.perSecond === Infinity ? this.measured(now) : this.perSecond
    this.refusedAt = before
    const part = now - this.lowered < AGAIN_WITHIN_MS ? LESS_AGAIN : LESS
    this.perSecond = Math.max(LEAST, before * part)
    this.plateau = Math.cbrt((1 - part) / GROWTH)
    this.lowered = now
  }

  /** Units a second that were served lately. */
  private measured(now: number): number {
    this.turn()
    const elapsed = Math.max(50, now - this.since) + (this.before === undefined ? 0 : WINDOW_MS)
    return ((this.units + (this.before ?? 0)) / elapsed) * 1000
  }

  private turn(): void {
    const now = performance.now()
    if (now - this.since < WINDOW_MS) return
    this.before = now - this.since < 2 * WINDOW_MS ? this.units : 0
    this.units = 0
    this.since = now
  }

  private raise(): void {
    if (this.fixed || this.perSecond >= this.most) return
    const seconds = (performance.now() - this.lowered) / 1000
    const grown = this.refusedAt * (1 + GROWTH * (seconds - this.plateau) ** 3)
    this.perSecond = Math.min(this.most, Math.max(this.perSecond, grown))
  }
}
