/** Random choices that follow from a seed alone. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = (seed * 2654435761) >>> 0
    for (let i = 0; i < 4; i++) this.next()
  }

  /** A number from 0 to 1, the latter excluded: mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** An integer of a range, both ends included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)]!
  }

  /** So many different items at most. */
  some<T>(items: readonly T[], most: number): T[] {
    const left = [...items]
    return Array.from(
      { length: Math.min(most, left.length) },
      () => left.splice(this.integer(0, left.length - 1), 1)[0]!,
    )
  }
}
