/** Rate limits and the number of splits at work. */
import { setTimeout } from 'node:timers/promises'

/** The longest time that a timer takes, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1

/** Lets so many units a second pass, in bursts of at most a second's worth. */
export class RateLimit {
  private readonly perSecond: number
  private allowance: number
  private last: number

  constructor(perSecond: number) {
    this.perSecond = perSecond
    this.allowance = perSecond
    this.last = performance.now()
  }

  /** Waits until the units are paid for; a batch larger than the allowance goes into debt and is waited off. */
  async take(units: number, signal: AbortSignal): Promise<void> {
    const now = performance.now()
    this.allowance = Math.min(this.perSecond, this.allowance + ((now - this.last) / 1000) * this.perSecond)
    this.last = now
    this.allowance -= units
    if (this.allowance >= 0) return
    const until = now + (-this.allowance / this.perSecond) * 1000
    // A timer beyond its longest time would end at once.
    for (let left = until - now; left > 0 && !signal.aborted; left = until - performance.now()) {
      await setTimeout(Math.min(left, LONGEST_MS), undefined, { signal }).catch(() => undefined)
    }
  }
}

/** At most so many at a time, of one who takes them and of all; who finds none left is refused. */
export class Shares {
  private readonly ofOne: number
  private readonly ofAll: number
  private readonly taken = new Map<string, number>()
  private all = 0

  constructor(ofOne: number, ofAll: number) {
    this.ofOne = ofOne
    this.ofAll = ofAll
  }

  /** Takes one for a name: returns the release function, or how many others block it. */
  take(name: string): (() => void) | number {
    const own = this.taken.get(name) ?? 0
    if (own >= this.ofOne) return own
    if (this.all >= this.ofAll) return this.all
    this.all++
    this.taken.set(name, own + 1)
    return () => {
      this.all--
      const left = this.taken.get(name)! - 1
      if (left === 0) this.taken.delete(name)
      else this.taken.set(name, left)
    }
  }
}

/** At most so many at a time; others wait in order. */
export class Slots {
  private free: number
  private readonly count: number
  private readonly waiting: (() => void)[] = []

  constructor(count: number) {
    this.free = count
    this.count = count
  }

  /** True if no work is running. */
  get isIdle(): boolean {
    return this.free === this.count
  }

  /** How many wait for their turn. */
  get queued(): number {
    return this.waiting.length
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.take()
    try {
      return await work()
    } finally {
      release()
    }
  }

  /** Takes one; gives back what releases it. */
  async take(): Promise<() => void> {
    if (this.free > 0) this.free--
    else await new Promise<void>(resolve => this.waiting.push(resolve))
    return () => {
      const next = this.waiting.shift()
      if (next) next()
      else this.free++
    }
  }
}
