/**
 * Whether both sides hold the same rows: counts and order-independent checksums in buckets by key, then the keys that
 * differ. Inside the stores where both are of one kind, else over canonical values as Ferry reads them.
 */
import { hash } from 'node:crypto'
import { elements, members } from '../batch/json.ts'
import { formatText, normalDecimal } from '../batch/text.ts'
import { type LogicalType, type Row, typeName, type Value } from '../batch/types.ts'
import type { MappedColumn, ReadRequest, SourceSession, SourceTable } from '../connectors/connector.ts'
import type { TablePlan } from './plan.ts'
import { rowMapper } from './rows.ts'

const BUCKETS = 4096
/** Keys of differing buckets that are held at one time. */
const MOST_KEYS = 200_000

export interface Verification {
  from: string
  to: string
  /** `stores`: computed inside them; `rows`: over values read from both. */
  method: 'stores' | 'rows'
  sourceRows: number
  destinationRows: number
  equal: boolean
  /** The first differing keys; `missing` at the destination, `extra` there, or `changed`. */
  differences: { key: string; kind: 'missing' | 'extra' | 'changed' }[]
  /** Whether there are more than those listed. */
  more: boolean
}

/** Compares a table with its copy. `most` bounds the listed keys. */
export async function verifyTable(
  sessions: { source: SourceSession; destination: SourceSession; sameKind: boolean },
  plan: TablePlan,
  destination: ReadRequest,
  most: number,
): Promise<Verification> {
  const { columns, keys } = plan.write
  const keyAt = keys.map(k => columns.findIndex(c => c.name === k))
  const left = new Side(await sessions.source.table(plan.read), plan.read.columns, keyAt)
  const right = new Side(await sessions.destination.table(destination), destination.columns, keyAt)
  const base = { from: plan.from, to: plan.to }
  const wires = columns.map(c => (c.native ?? '').replace(/\(.*\)/, ''))
  if (sessions.sameKind && left.table.checksums && right.table.checksums && wires.every(w => w !== '')) {
    const [a, b] = await Promise.all([
      left.table.checksums(wires, keyAt, BUCKETS),
      right.table.checksums(wires, keyAt, BUCKETS),
    ])
    if (a && b) {
      const count = (sums: Map<number, string>) => [...sums.values()].reduce((n, s) => n + Number(s.split(':')[0]), 0)
      const equal = a.size === b.size && [...a].every(([bucket, sums]) => b.get(bucket) === sums)
      const counts = { method: 'stores' as const, sourceRows: count(a), destinationRows: count(b) }
      if (equal) return { ...base, ...counts, equal, differences: [], more: false }
    }
  }
  const a = await left.sums()
  const b = await right.sums()
  const differing = new Set<number>()
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    if (a.differs(b, bucket)) differing.add(bucket)
  }
  const counts = { method: 'rows' as const, sourceRows: a.rows, destinationRows: b.rows }
  if (differing.size === 0) return { ...base, ...counts, equal: true, differences: [], more: false }
  const { differences, more } = await compareKeys(left, right, differing, most)
  return { ...base, ...counts, equal: false, differences, more }
}

/** Checksums by bucket: wrapping sums of each row's digest, in four words. */
class Sums {
  rows = 0
  private readonly counts = new Uint32Array(BUCKETS)
  private readonly words = new Uint32Array(BUCKETS * 4)

  add(bucket: number, digest: Buffer): void {
    this.rows++
    this.counts[bucket]!++
    for (let i = 0; i < 4; i++) this.words[bucket * 4 + i]! += digest.readUInt32LE(i * 4)
  }

  differs(other: Sums, bucket: number): boolean {
    if (this.counts[bucket] !== other.counts[bucket]) return true
    for (let i = bucket * 4; i < bucket * 4 + 4; i++) if (this.words[i] !== other.words[i]) return true
    return false
  }
}

class Side {
  readonly table: SourceTable
  private readonly columns: MappedColumn[]
  private readonly keyAt: number[]

  constructor(table: SourceTable, columns: MappedColumn[], keyAt: number[]) {
    this.table = table
    this.columns = columns
    this.keyAt = keyAt
  }

  /** Every row with its key's text, its bucket and its digest. */
  private async *digests(): AsyncGenerator<{ key: string; bucket: number; digest: Buffer }> {
    const map = rowMapper(this.table.rowColumns, this.columns) ?? (row => row)
    const texts = this.columns.map(c => canonical(c.type))
    const offer = { encoding: 'rows' } as const
    const { signal } = new AbortController()
    for (const split of await this.table.splits(offer)) {
      for await (const batch of this.table.read(split, { offer, signal })) {
        if (batch.kind !== 'rows') continue
        for (const row of batch.rows) yield this.digest(map(row), texts)
      }
    }
  }

  private digest(row: Row, texts: ((value: Value) => string)[]) {
    let all = ''
    const parts: string[] = new Array(row.length)
    for (let i = 0; i < row.length; i++) {
      parts[i] = texts[i]!(row[i]!)
      // The length before each text keeps ("a", "bc") apart from ("ab", "c").
      all += `${parts[i]!.length}:${parts[i]}`
    }
    const digest = hash('md5', all, 'buffer')
    if (this.keyAt.length === 0) return { key: all, bucket: digest.readUInt16LE(0) % BUCKETS, digest }
    const key = this.keyAt.map(i => parts[i]!.slice(1)).join(', ')
    return { key, bucket: hash('md5', key, 'buffer').readUInt16LE(0) % BUCKETS, digest }
  }

  async sums(): Promise<Sums> {
    const sums = new Sums()
    for await (const { bucket, digest } of this.digests()) sums.add(bucket, digest)
    return sums
  }

  /** The rows of some buckets: key to digests, since a key may stand more than once. */
  async rowsIn(buckets: Set<number>): Promise<{ rows: Map<string, string>; complete: boolean }> {
    const rows = new Map<string, string>()
    for await (const { key, bucket, digest } of this.digests()) {
      if (!buckets.has(bucket)) continue
      const before = rows.get(key)
      const text = digest.toString('base64')
      rows.set(key, before === undefined ? text : [...before.split(' '), text].sort().join(' '))
      if (rows.size >= MOST_KEYS) return { rows, complete: false }
    }
    return { rows, complete: true }
  }
}

async function compareKeys(left: Side, right: Side, differing: Set<number>, most: number) {
  // Of very many differing buckets a few show what is wrong.
  const some = differing.size > 64 ? new Set([...differing].slice(0, 64)) : differing
  const a = await left.rowsIn(some)
  const b = await right.rowsIn(some)
  const differences: Verification['differences'] = []
  for (const [key, digest] of a.rows) {
    const other = b.rows.get(key)
    if (other === undefined) differences.push({ key, kind: 'missing' })
    else if (other !== digest) differences.push({ key, kind: 'changed' })
  }
  for (const key of b.rows.keys()) if (!a.rows.has(key)) differences.push({ key, kind: 'extra' })
  const more = differences.length > most || some.size < differing.size || !a.complete || !b.complete
  return { differences: differences.slice(0, most), more }
}

/** A value's text for comparing: the same for values that are equal, whatever store they come from. */
function canonical(type: LogicalType): (value: Value) => string {
  const text = (value: Exclude<Value, null>): string => {
    switch (type.kind) {
      case 'json':
        return canonicalJson((value as string).trim())
      case 'numeric':
        return withoutTrailingZeros(value as string)
      case 'list':
      case 'struct':
      case 'map':
        return canonicalJson(formatText(value, type))
      default:
        return formatText(value, type)
    }
  }
  return value => (value === null ? '0' : `1${text(value)}`)
}

/** JSON without white space, keys sorted, numbers in plain digits: as jsonb and json of the same value both become. */
export function canonicalJson(text: string): string {
  const first = text[0]
  if (first === '{') {
    const sorted = new Map(members(text).map(([k, v]) => [k, canonicalJson(v)]))
    return `{${[...sorted]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => `${JSON.stringify(k)}:${v}`)
      .join(',')}}`
  }
  if (first === '[') return `[${elements(text).map(canonicalJson).join(',')}]`
  if (first === '"') return JSON.stringify(JSON.parse(text))
  return /^[-\d]/.test(text) ? withoutTrailingZeros(normalDecimal(text) ?? text) : text
}

function withoutTrailingZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** How the destination of a plan is read back: its columns under the types that they were written as. */
export function readBack(plan: TablePlan, kind: string): ReadRequest {
  const { write } = plan
  const columns: MappedColumn[] = write.columns.map(c => ({
    name: c.name,
    from: c.name,
    sourceType: c.type,
    type: c.type,
    nullable: true,
    checked: false,
    ...(c.native === undefined ? {} : { native: c.native, sourceNative: c.native }),
  }))
  return {
    object: write.object,
    options: kind === 'files' ? fileOptions(plan) : {},
    columns,
    splitBytes: 256_000_000,
    skipBadRows: false,
  }
}

/** Text formats do not keep types: the plan's are given to the reader. */
function fileOptions(plan: TablePlan): Record<string, unknown> {
  const { format, compression, delimiter, header, nullText } = plan.write.options
  const given = Object.entries({ format, delimiter, header, nullText }).filter(([, value]) => value !== undefined)
  const types = Object.fromEntries(plan.write.columns.map(c => [c.name, typeName(c.type)]))
  const packed = compression === 'gzip' || compression === 'zstd' ? { compression } : {}
  return { ...Object.fromEntries(given), ...packed, types }
}
