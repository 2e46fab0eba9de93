/** Request units a second: each physical partition has its share, and refuses what comes beyond it. */
import { tooManyRequests } from './errors.ts'

export class Throttle {
  private readonly buckets = new Map<string, { left: number; at: number }>()
  private readonly clock: () => number

  /** `clock` gives milliseconds. */
  constructor(clock: () => number = () => performance.now()) {
    this.clock = clock
  }

  /** Lets a request in while its partition has units left. Throws 429/3200 with the time to wait. */
  admit(partition: string, perSecond: number): void {
    const bucket = this.refill(partition, perSecond)
    if (bucket.left > 0) return
    throw tooManyRequests(Math.max(1, Math.ceil(((1 - bucket.left) / perSecond) * 1000)))
  }

  /** Takes what a request has cost; a large one leaves a debt that later ones wait for. */
  charge(partition: string, perSecond: number, units: number): void {
    this.refill(partition, perSecond).left -= units
  }

  private refill(partition: string, perSecond: number) {
    const now = this.clock()
    let bucket = this.buckets.get(partition)
    if (!bucket) {
      bucket = { left: perSecond, at: now }
      this.buckets.set(partition, bucket)
    }
    bucket.left = Math.min(perSecond, bucket.left + ((now - bucket.at) / 1000) * perSecond)
    bucket.at = now
    return bucket
  }
}
