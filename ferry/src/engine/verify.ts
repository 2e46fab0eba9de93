/**
 * Whether both sides hold the same rows: counts and order-independent checksums in buckets by key, then the keys that
 * differ. Inside the stores where both are of one kind, else over canonical values as Ferry reads them.
 */
import { hash } from 'node:crypto'
import { canonicalJson, nestedToJson } from '../batch/json.ts'
import { formatText, withoutTrailingZeros } from '../batch/text.ts'
import type { LogicalType, Row, Value } from '../batch/types.ts'
import type { ReadRequest } from '../contract/read.ts'
import { DOCUMENT, type MappedColumn } from '../contract/schema.ts'
import type { Checksums, SourceSession, SourceTable } from '../contract/source.ts'
import type { Store } from '../contract/store.ts'
import { RowError } from '../errors.ts'
import { asItIs } from './columns.ts'
import { rowMapper } from './rows.ts'
import type { TablePlan } from './tableplan.ts'

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
  /** Whether all that the source holds is at the destination, and nothing else: what is not compared is not equal. */
  equal: boolean
  /** Whether the rows differ in what was compared. */
  differs: boolean
  /** Columns and members of the source, and columns of the destination, that the job does not copy. */
  notCompared: string[]
  /** The first differing keys; `missing` at the destination, `extra` there, or `changed`. */
  differences: { key: string; kind: 'missing' | 'extra' | 'changed' }[]
  /** Rows of the source that cannot be carried over, so that the job skips them; the first ones, each with its reason. */
  skipped: { count: number; rows: string[] }
  /** Whether there are more than those listed. */
  more: boolean
}

/** Compares a table with its copy. `most` bounds the listed keys. */
export async function verifyTable(
  sessions: { source: SourceSession; destination: SourceSession },
  plan: TablePlan,
  destination: ReadRequest,
  most: number,
): Promise<Verification> {
  const { columns } = plan.write
  const keys = plan.write.keys.map(k => columns.findIndex(c => c.name === k)).filter(at => at >= 0)
  const source = await sessions.source.table(plan.read)
  const copy = await sessions.destination.table(destination)
  const target = { columns, keys, buckets: BUCKETS }
  const inSource = source.checksums?.(target)
  const inCopy = copy.checksums?.(target)
  const method = inSource && inCopy && inSource.by === inCopy.by ? 'stores' : 'rows'
  const skipped = { count: 0, rows: [] as string[] }
  const skip = (reason: string) => {
    skipped.count++
    if (skipped.rows.length < most) skipped.rows.push(reason)
  }
  const bad = plan.onRowError === 'skip' ? skip : undefined
  const left = method === 'stores' ? inSource! : new RowChecksums(source, plan.read.columns, keys, bad)
  const right = method === 'stores' ? inCopy! : new RowChecksums(copy, destination.columns, keys)
  const [a, b] = await both(left.buckets(), right.buckets())
  const { count: notCarried } = skipped
  const differing = [...new Set([...a.keys(), ...b.keys()])].filter(bucket => {
    const [one, other] = [a.get(bucket), b.get(bucket)]
    return one?.rows !== other?.rows || one?.sum !== other?.sum
  })
  const count = (sums: typeof a) => [...sums.values()].reduce((n, s) => n + s.rows, 0)
  const found = differing.length === 0 ? { differences: [], more: false } : await compare(left, right, differing, most)
  return {
    from: plan.from,
    to: plan.to,
    method,
    sourceRows: count(a) + notCarried,
    destinationRows: count(b),
    equal: differing.length + notCarried === 0,
    differs: differing.length + notCarried > 0,
    skipped: { count: notCarried, rows: skipped.rows.slice(0, Math.min(most, notCarried)) },
    notCompared: (source.passedOver?.() ?? []).sort(),
    ...found,
  }
}

/** Both results, or the first error once both have ended, so that neither keeps reading. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  return [first.value, second.value]
}

/** Checksums over canonical values as Ferry reads them. */
class RowChecksums implements Checksums {
  private readonly table: SourceTable
  private readonly columns: MappedColumn[]
  private readonly keys: number[]
  private readonly isDocument: boolean
  private readonly skip: ((reason: string) => void) | undefined

  /** Calls `skip` with the reason for a row that cannot be converted; without `skip` such a row ends the comparison. */
  constructor(table: SourceTable, columns: MappedColumn[], keys: number[], skip?: (reason: string) => void) {
    this.skip = skip
    this.table = table
    this.columns = columns
    this.keys = keys
    this.isDocument = columns[0]?.name === DOCUMENT
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
        for (const { place, reason } of batch.rejected ?? []) this.skip?.(`${place}: ${reason}`)
        for (const row of batch.rows) {
          const mapped = this.mapped(map, row)
          if (mapped) yield this.digest(mapped, texts)
        }
      }
    }
  }

  private mapped(map: (row: Row) => Row, row: Row): Row | undefined {
    try {
      return map(row)
    } catch (error) {
      if (!this.skip || !(error instanceof RowError)) throw error
      const { rowColumns } = this.table
      const parts = this.keys.flatMap(at => {
        const i = rowColumns.findIndex(c => c.name === this.columns[at]!.from)
        return i < 0 || row[i] === null ? [] : [`${rowColumns[i]!.name} ${formatText(row[i]!, rowColumns[i]!.type)}`]
      })
      this.skip([...parts, error.message].join(': '))
      return undefined
    }
  }

  private digest(row: Row, texts: ((value: Value) => string)[]) {
    let all = ''
    const parts: string[] = new Array(row.length)
    for (let i = 0; i < row.length; i++) {
      parts[i] = texts[i]!(row[i]!)
      // The length before each text distinguishes ("a", "bc") from ("ab", "c").
      all += `${parts[i]!.length}:${parts[i]}`
    }
    const digest = hash('md5', all, 'buffer')
    const id = this.isDocument ? idOf(row[0] as string) : undefined
    if (id !== undefined) return { key: id, bucket: hash('md5', id, 'buffer').readUInt16LE(0) % BUCKETS, digest }
    if (this.keys.length === 0) return { key: all, bucket: digest.readUInt16LE(0) % BUCKETS, digest }
    const key = this.keys.map(i => parts[i]!.slice(1)).join(', ')
    return { key, bucket: hash('md5', key, 'buffer').readUInt16LE(0) % BUCKETS, digest }
  }

  /** Checksums are wrapping sums of each row's digest, in four words. */
  async buckets(): Promise<Map<number, { rows: number; sum: string }>> {
    const counts = new Uint32Array(BUCKETS)
    const words = new Uint32Array(BUCKETS * 4)
    for await (const { bucket, digest } of this.digests()) {
      counts[bucket]!++
      for (let i = 0; i < 4; i++) words[bucket * 4 + i]! += digest.readUInt32LE(i * 4)
    }
    const sums = new Map<number, { rows: number; sum: string }>()
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const sum = words.subarray(bucket * 4, bucket * 4 + 4).join()
      if (counts[bucket]! > 0) sums.set(bucket, { rows: counts[bucket]!, sum })
    }
    return sums
  }

  async *rowsIn(buckets: number[], most: number): AsyncGenerator<{ key: string; sum: string }> {
    const wanted = new Set(buckets)
    let left = most
    for await (const { key, bucket, digest } of this.digests()) {
      if (!wanted.has(bucket)) continue
      if (left-- === 0) return
      yield { key, sum: digest.toString('base64') }
    }
  }
}

/** The id of a document, where it has one. */
function idOf(document: string): string | undefined {
  const { id } = JSON.parse(document) as { id?: unknown }
  return typeof id === 'string' ? id : undefined
}

/** The keys that differ in some buckets. */
async function compare(left: Checksums, right: Checksums, differing: number[], most: number) {
  // Of very many differing buckets a few show what is wrong.
  const some = differing.slice(0, 64)
  const [a, b] = await both(gather(left, some), gather(right, some))
  const differences: Verification['differences'] = []
  for (const [key, sum] of a) {
    const other = b.get(key)
    if (other === undefined) differences.push({ key, kind: 'missing' })
    else if (other !== sum) differences.push({ key, kind: 'changed' })
  }
  for (const key of b.keys()) if (!a.has(key)) differences.push({ key, kind: 'extra' })
  const complete = Math.max(a.size, b.size) < MOST_KEYS && some.length === differing.length
  return { differences: differences.slice(0, most), more: differences.length > most || !complete }
}

/** Key to checksums, since a key may occur more than once. */
async function gather(side: Checksums, buckets: number[]): Promise<Map<string, string>> {
  const rows = new Map<string, string[]>()
  for await (const { key, sum } of side.rowsIn(buckets, MOST_KEYS)) {
    const before = rows.get(key)
    if (before) before.push(sum)
    else rows.set(key, [sum])
  }
  return new Map([...rows].map(([key, sums]) => [key, sums.sort().join(' ')]))
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
        // JSON has no infinities, but this text is only compared.
        return canonicalJson(nestedToJson(value, type, 'string'))
      default:
        return formatText(value, type)
    }
  }
  return value => (value === null ? '0' : `1${text(value)}`)
}

/** How the destination of a plan is read back: its columns under the types that they were written as. */
export function readBack(plan: TablePlan, store: Store): ReadRequest {
  const { write } = plan
  return {
    object: write.object,
    options: store.readBack?.(write) ?? {},
    columns: write.columns.map(asItIs),
    splitBytes: 256_000_000,
    skipBadRows: false,
  }
}
