/** Faults on purpose, for tests of what clients make of them. */

export type Operation = 'read' | 'write' | 'batch' | 'query' | 'feed' | 'metadata'

export interface Fault {
  /** Which requests it meets; all where omitted. */
  operation?: Operation | Operation[]
  /** How likely a request meets it, from 0 to 1. */
  probability?: number
  /** How many requests it meets before it is over. */
  times?: number
  /** Waits so long before the request is served. */
  latencyMs?: number
  /** Answers so, instead of serving the request. */
  status?: number
  substatus?: number
  retryAfterMs?: number
  /** Cuts the connection before the request is served, or when it is served and the answer is due. */
  drop?: 'before' | 'after'
  /** A page of the change feed begins so many changes too early. */
  duplicates?: number
}

export class Faults {
  private readonly faults: Fault[] = []
  private readonly random: () => number

  constructor(random: () => number = Math.random) {
    this.random = random
  }

  /** Adds a fault; the result takes it away again. */
  inject(fault: Fault): () => void {
    const own = { ...fault }
    this.faults.push(own)
    return () => {
      const at = this.faults.indexOf(own)
      if (at >= 0) this.faults.splice(at, 1)
    }
  }

  clear(): void {
    this.faults.length = 0
  }

  /** The faults that a request meets. */
  meeting(operation: Operation): Fault[] {
    if (this.faults.length === 0) return []
    return this.faults.filter(fault => {
      const wanted = fault.operation
      if (wanted !== undefined && wanted !== operation && !wanted.includes(operation)) return false
      if (fault.probability !== undefined && this.random() >= fault.probability) return false
      if (fault.times === undefined) return true
      if (fault.times <= 0) return false
      fault.times--
      return true
    })
  }
}
