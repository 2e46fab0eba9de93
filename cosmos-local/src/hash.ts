/**
 * Effective partition keys: the position of a document in the container's key space, as upper-case hex text that compares
 * in the order of the ranges. Clients compute them too, to send a bulk request to the right partition.
 */

/** A partition key's component; undefined where the document has no such property. */
export type KeyValue = string | number | boolean | null | undefined

export interface KeyDefinition {
  paths: string[]
  kind?: 'Hash' | 'MultiHash' | 'Range'
  version?: number
}

/** The end of the key space, excluded; the beginning is the empty text. */
export const KEY_SPACE_END = 'FF'

const UNDEFINED = 0x00
const NULL = 0x01
const FALSE = 0x02
const TRUE = 0x03
const NUMBER = 0x05
const STRING = 0x08

/** The effective partition key. A key of fewer components than the definition is the beginning of those that extend it. */
export function effectiveKey(values: KeyValue[], definition: KeyDefinition): string {
  if (definition.kind === 'MultiHash') return values.map(value => hash2([value])).join('')
  return definition.version === 2 ? hash2(values) : hash1(values[0])
}

/** The key at a fraction of the space that hashes fill: where partitions of equal size meet. */
export function keyAt(fraction: number, definition: KeyDefinition): string {
  if (definition.version === 2 || definition.kind === 'MultiHash') {
    const value = Math.round(fraction * 0x40000000)
    return value.toString(16).padStart(8, '0').toUpperCase().padEnd(32, '0')
  }
  return orderedNumber(Math.round(fraction * 0x100000000))
    .toString('hex')
    .toUpperCase()
}

function hash2(values: KeyValue[]): string {
  const bytes = Buffer.concat(values.map(value => hashedBytes(value, 0xff)))
  const out = murmur128(bytes)
  out[0]! &= 0x3f
  return out.toString('hex').toUpperCase()
}

/** Version 1: a 32-bit hash of the value, then the value itself, both in the order-keeping binary form. */
function hash1(value: KeyValue): string {
  const short = typeof value === 'string' ? value.slice(0, 100) : value
  const hash = murmur32(hashedBytes(short, 0x00))
  return Buffer.concat([orderedNumber(hash), orderedBytes(short)])
    .toString('hex')
    .toUpperCase()
}

function hashedBytes(value: KeyValue, end: number): Buffer {
  if (typeof value === 'string') {
    const text = Buffer.from(value)
    const bytes = Buffer.allocUnsafe(text.length + 2)
    bytes[0] = STRING
    text.copy(bytes, 1)
    bytes[bytes.length - 1] = end
    return bytes
  }
  if (typeof value === 'number') {
    const bytes = Buffer.allocUnsafe(9)
    bytes[0] = NUMBER
    bytes.writeDoubleLE(value, 1)
    return bytes
  }
  return Buffer.from([simplePrefix(value)])
}

function simplePrefix(value: boolean | null | undefined): number {
  return value === undefined ? UNDEFINED : value === null ? NULL : value ? TRUE : FALSE
}

function orderedBytes(value: KeyValue): Buffer {
  if (typeof value === 'number') return orderedNumber(value)
  if (typeof value !== 'string') return Buffer.from([simplePrefix(value)])
  const text = Buffer.from(value)
  const whole = value.length <= 100
  const kept = whole ? text : text.subarray(0, 101)
  const bytes = [STRING]
  for (const byte of kept) bytes.push(byte < 0xff ? byte + 1 : byte)
  if (whole) bytes.push(UNDEFINED)
  return Buffer.from(bytes)
}

/** A double as bytes that compare in its order: eight bits, then seven at a time with a mark that more follow. */
function orderedNumber(value: number): Buffer {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const sign = 1n << 63n
  let payload = BigInt.asUintN(64, bits < sign ? bits ^ sign : ~bits + 1n)
  const bytes = [NUMBER, Number(payload >> 56n)]
  payload = BigInt.asUintN(64, payload << 8n)
  let next = 0
  let first = true
  do {
    if (!first && next !== 0) bytes.push(next)
    first = false
    next = Number(payload >> 56n) | 1
    payload = BigInt.asUintN(64, payload << 7n)
  } while (payload !== 0n)
  if ((next & 0xfe) !== 0) bytes.push(next & 0xfe)
  return Buffer.from(bytes)
}

function murmur32(bytes: Buffer): number {
  const blocks = bytes.length & ~3
  const scramble = (k: number) => {
    const m = Math.imul(k, 0xcc9e2d51)
    return Math.imul((m << 15) | (m >>> 17), 0x1b873593)
  }
  let h = 0
  for (let i = 0; i < blocks; i += 4) {
    h ^= scramble(bytes.readInt32LE(i))
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  let k = 0
  for (let i = bytes.length - 1; i >= blocks; i--) k = (k << 8) | bytes[i]!
  if (bytes.length > blocks) h ^= scramble(k)
  h ^= bytes.length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

// 64-bit arithmetic on pairs of 32-bit halves: a BigInt for each step would cost ten times as much. The result of the
// last operation is in these two.
let high = 0
let low = 0

function multiply(ah: number, al: number, bh: number, bl: number): void {
  const a0 = al & 0xffff
  const a1 = al >>> 16
  const b0 = bl & 0xffff
  const b1 = bl >>> 16
  const p = a0 * b0
  const m = a0 * b1 + (p >>> 16)
  const n = a1 * b0 + (m & 0xffff)
  low = ((n & 0xffff) << 16) | (p & 0xffff)
  high = (a1 * b1 + (m >>> 16) + (n >>> 16) + Math.imul(ah, bl) + Math.imul(al, bh)) | 0
}

function add(ah: number, al: number, bh: number, bl: number): void {
  const sum = (al >>> 0) + (bl >>> 0)
  low = sum | 0
  high = (ah + bh + (sum > 0xffffffff ? 1 : 0)) | 0
}

function rotate(h: number, l: number, bits: number): void {
  if (bits >= 32) [h, l] = [l, h]
  const by = bits & 31
  high = by === 0 ? h : (h << by) | (l >>> (32 - by))
  low = by === 0 ? l : (l << by) | (h >>> (32 - by))
}

/** Scrambles a block's half: times one constant, rotated, times another. */
function scramble(h: number, l: number, first: boolean): void {
  if (first) {
    multiply(h, l, 0x87c37b91, 0x114253d5)
    rotate(high, low, 31)
    multiply(high, low, 0x4cf5ad43, 0x2745937f)
  } else {
    multiply(h, l, 0x4cf5ad43, 0x2745937f)
    rotate(high, low, 33)
    multiply(high, low, 0x87c37b91, 0x114253d5)
  }
}

function finish(h: number, l: number): void {
  // A shift by 33 leaves nothing but one bit less of the high half.
  multiply(h, l ^ (h >>> 1), 0xff51afd7, 0xed558ccd)
  multiply(high, low ^ (high >>> 1), 0xc4ceb9fe, 0x1a85ec53)
  low ^= high >>> 1
}

const tail = Buffer.alloc(16)

/** MurmurHash3 x64 128, its sixteen bytes from last to first. */
function murmur128(bytes: Buffer): Buffer {
  let h1h = 0
  let h1l = 0
  let h2h = 0
  let h2l = 0
  const blocks = bytes.length & ~15
  for (let i = 0; i < blocks; i += 16) {
    scramble(bytes.readInt32LE(i + 4), bytes.readInt32LE(i), true)
    rotate(h1h ^ high, h1l ^ low, 27)
    add(high, low, h2h, h2l)
    multiply(high, low, 0, 5)
    add(high, low, 0, 0x52dce729)
    h1h = high
    h1l = low
    scramble(bytes.readInt32LE(i + 12), bytes.readInt32LE(i + 8), false)
    rotate(h2h ^ high, h2l ^ low, 31)
    add(high, low, h1h, h1l)
    multiply(high, low, 0, 5)
    add(high, low, 0, 0x38495ab5)
    h2h = high
    h2l = low
  }
  tail.fill(0)
  bytes.copy(tail, 0, blocks)
  if (bytes.length - blocks > 8) {
    scramble(tail.readInt32LE(12), tail.readInt32LE(8), false)
    h2h ^= high
    h2l ^= low
  }
  if (bytes.length > blocks) {
    scramble(tail.readInt32LE(4), tail.readInt32LE(0), true)
    h1h ^= high
    h1l ^= low
  }
  h1l ^= bytes.length
  h2l ^= bytes.length
  add(h1h, h1l, h2h, h2l)
  h1h = high
  h1l = low
  add(h2h, h2l, h1h, h1l)
  h2h = high
  h2l = low
  finish(h1h, h1l)
  h1h = high
  h1l = low
  finish(h2h, h2l)
  h2h = high
  h2l = low
  add(h1h, h1l, h2h, h2l)
  h1h = high
  h1l = low
  add(h2h, h2l, h1h, h1l)
  const out = Buffer.allocUnsafe(16)
  out.writeInt32BE(high, 0)
  out.writeInt32BE(low, 4)
  out.writeInt32BE(h1h, 8)
  out.writeInt32BE(h1l, 12)
  return out
}
