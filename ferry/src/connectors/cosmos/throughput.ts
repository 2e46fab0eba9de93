/**
 * Request units a second: a copy takes what it may and no more, partition by partition, since each has its own share.
 *
 * With a budget the share is known. Without one it begins with what the container is given, where that can be asked for,
 * and follows the service's answers: less at once when it refuses, a little more as long as it does not.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** After a refusal the rate is this part of what was served lately; at most so often. */
const LESS = 0.94
const LESS_EVERY_MS = 300
/** Without refusals the rate grows by this part of its most, so often. */
const MORE = 0.004
const MORE_EVERY_MS = 500
/** What was served is looked at over windows of this length. */
const WINDOW_MS = 500
/** A request costs at most what the rate gives in this time, so that a refusal concerns little. */
const REQUEST_MS = 100
/** How far requests may run ahead of the rate, in milliseconds. */
const AHEAD_MS = 100
/** A little below what is given: clocks and charges are not exact. */
const MARGIN = 0.97
const LEAST = 20

export interface ThroughputOptions {
  /** RU/s that the copy may take in all. */
  budget?: number | undefined
  /** RU/s that the container is given; undefined where nobody says. */
  provisioned?: number | undefined
}

export class Throughput {
  /** Requests that were sent, and those that were refused for want of units. */
  requests = 0
  refused = 0
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

  /** Waits until units may be spent; gives back what is told of the outcome. */
  async spend(partition: string, count: number, estimate: number, signal?: AbortSignal) {
    const rate = this.of(partition, count)
    await rate.take(estimate, signal)
    this.requests++
    return (actual: number, wasRefused: boolean) => {
      rate.settle(estimate, actual)
      if (!wasRefused) return
      this.refused++
      rate.lower()
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
  private raised = performance.now()
  /** Units served in this window and in the one before. */
  private served = 0
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

  async take(units: number, signal?: AbortSignal): Promise<void> {
    this.raise()
    if (this.perSecond === Infinity) return
    const now = performance.now()
    const start = Math.max(this.paidAt, now - AHEAD_MS)
    this.paidAt = start + (units / this.perSecond) * 1000
    if (start > now) await sleep(start - now, undefined, signal ? { signal } : {}).catch(() => undefined)
  }

  /** What a request has cost in truth. */
  settle(estimate: number, actual: number): void {
    this.turn()
    this.served += actual
    if (this.perSecond !== Infinity) this.paidAt += ((actual - estimate) / this.perSecond) * 1000
  }

  lower(): void {
    const now = performance.now()
    if (this.fixed || now - this.lowered < LESS_EVERY_MS) return
    this.turn()
    const elapsed = Math.max(1, now - this.since) + (this.before === undefined ? 0 : WINDOW_MS)
    const measured = ((this.served + (this.before ?? 0)) / elapsed) * 1000
    // A window in which little was sent says little: never less than half at once.
    const low = this.perSecond === Infinity ? LEAST : this.perSecond / 2
    this.perSecond = Math.max(LEAST, low, Math.min(this.perSecond, measured) * LESS)
    this.lowered = now
    this.raised = now
  }

  private turn(): void {
    const now = performance.now()
    if (now - this.since < WINDOW_MS) return
    this.before = now - this.since < 2 * WINDOW_MS ? this.served : 0
    this.served = 0
    this.since = now
  }

  private raise(): void {
    const now = performance.now()
    if (this.fixed || this.perSecond === Infinity || now - this.raised < MORE_EVERY_MS) return
    const most = this.most === Infinity ? Infinity : this.most
    const step = (most === Infinity ? this.perSecond : most) * MORE
    this.perSecond = Math.min(most, this.perSecond + step)
    this.raised = now
  }
}
