/**
 * What is kept of many files in 24 bytes each: 16 bytes of a hash of the key, by which they are sorted, and 8 of a hash of the
 * state. Of a million files two keys have the same mark once in 10^26 cases.
 */
import { hash } from 'node:crypto'
import type { ObjectHead } from '../objects/store.ts'

const KEY = 16
const BYTES = 24
const EACH = 10_000

/** What has the mark, and the bytes of it: used again by the next call. */
const scratch = { key: Buffer.alloc(32), state: Buffer.alloc(32) }

/** Valid until the next call. */
export function keyMark(key: string): Buffer {
  scratch.key.write(hash('sha256', key, 'binary'), 0, 32, 'latin1')
  return scratch.key.subarray(0, KEY)
}

/** Changes whenever the file does. Valid until the next call. */
export function stateMark({ modified, size, version }: Pick<ObjectHead, 'modified' | 'size' | 'version'>): Buffer {
  scratch.state.write(hash('sha256', `${modified} ${size} ${version ?? ''}`, 'binary'), 0, 32, 'latin1')
  return scratch.state.subarray(0, BYTES - KEY)
}

export class Marks {
  /** Sorted. */
  private sorted: Buffer
  /** In the order in which they came, so many in each of the buffers. */
  private readonly added: Buffer[] = []
  private count = 0

  /** `text`: what `write` gave back. */
  constructor(text?: string) {
    this.sorted = text === undefined ? Buffer.alloc(0) : Buffer.from(text, 'base64')
  }

  get size(): number {
    return this.sorted.length / BYTES + this.count
  }

  /** Whether a key is there that was not added since. */
  has(key: Buffer): boolean {
    return this.find(key) !== undefined
  }

  /** Keeps the state of a key; false if it was known. No key is given twice. */
  set(key: Buffer, state: Buffer): boolean {
    const found = this.find(key)
    if (found !== undefined) return replaced(this.sorted, found, state)
    const at = this.count++
    if (at % EACH === 0) this.added.push(Buffer.allocUnsafeSlow(EACH * BYTES))
    const buffer = this.added.at(-1)!
    key.copy(buffer, (at % EACH) * BYTES)
    state.copy(buffer, (at % EACH) * BYTES + KEY)
    return true
  }

  /** Where a key is in `sorted`. */
  private find(key: Buffer): number | undefined {
    let [low, high] = [0, this.sorted.length / BYTES]
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = key.compare(this.sorted, middle * BYTES, middle * BYTES + KEY)
      if (order === 0) return middle * BYTES
      if (order < 0) high = middle
      else low = middle + 1
    }
    return undefined
  }

  write(): string {
    const { count, sorted } = this
    const added = Buffer.concat(this.added, count * BYTES)
    this.added.length = 0
    this.count = 0
    const order = new Uint32Array(count).map((_, i) => i * BYTES)
    order.sort((a, b) => added.readUInt32BE(a) - added.readUInt32BE(b) || added.compare(added, b, b + KEY, a, a + KEY))
    const all = Buffer.allocUnsafe(sorted.length + count * BYTES)
    let [from, to] = [0, 0]
    for (const at of order) {
      // Marks that are sorted already are copied together up to the place of the next one.
      let end = from
      while (end < sorted.length && sorted.compare(added, at, at + KEY, end, end + KEY) < 0) end += BYTES
      to += sorted.copy(all, to, from, end)
      to += added.copy(all, to, at, at + BYTES)
      from = end
    }
    sorted.copy(all, to, from)
    this.sorted = all
    return all.toString('base64')
  }
}

/** False if the state was the same. */
function replaced(marks: Buffer, at: number, state: Buffer): boolean {
  if (state.compare(marks, at + KEY, at + BYTES) === 0) return false
  state.copy(marks, at + KEY)
  return true
}
