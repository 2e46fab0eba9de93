/**
 * Changes of one table folded to what comes of them: of each key the last state. All sinks apply changes through this,
 * so that many changes of a row cost as much as one, and order matters only within it.
 */
import type { Change, RowBatch } from '../../batch/encoding.ts'
import type { Row, Value } from '../../batch/types.ts'

/** What a table is to be after some changes. The parts are applied in this order. */
export interface NetChanges {
  /** Whether all rows that were there before go. */
  cleared: boolean
  /** Rows that go; only their keys are sure. */
  deletes: Row[]
  /** When each of them was deleted, in microseconds since 1970; undefined if the log does not say. */
  deletedAt: (number | undefined)[]
  /** Rows of which the log has only some values. */
  partial: PartialRow[]
  /** Rows that are written as a whole, over what is there. */
  writes: Row[]
  /** When the last of the changes happened, in microseconds since 1970; undefined if the log does not say. */
  at: number | undefined
}

export interface PartialRow {
  row: Row
  /** Positions of the values that stay as they are at the destination. */
  unchanged: readonly number[]
  /** The row that holds them there under its former key, where the key changed. */
  before: Row | undefined
}

interface Entry {
  row: Row
  deleted: boolean
  unchanged: readonly number[] | undefined
  before: Row | undefined
  time: number | undefined
}

export class ChangeFold {
  private readonly keys: number[]
  private readonly entries = new Map<unknown, Entry>()
  private cleared = false
  private at: number | undefined

  /** `keys` are the positions of the key columns in a row. */
  constructor(keys: number[]) {
    this.keys = keys
  }

  /** How many rows the changes come to. */
  get size(): number {
    return this.entries.size
  }

  get isEmpty(): boolean {
    return this.entries.size === 0 && !this.cleared
  }

  /** Adds a batch; rows without changes are states of a snapshot. */
  addBatch({ rows, changes, unchanged, before, times }: RowBatch): void {
    for (let i = 0; i < rows.length; i++) {
      this.add(rows[i]!, changes?.[i] ?? 'replace', {
        unchanged: unchanged?.[i],
        before: before?.[i],
        time: times?.[i],
      })
    }
    this.at = times?.at(-1) ?? this.at
  }

  add(
    row: Row,
    change: Change,
    { unchanged, before, time }: { unchanged?: readonly number[]; before?: Row; time?: number } = {},
  ): void {
    if (change === 'clear') {
      this.entries.clear()
      this.cleared = true
      return
    }
    const key = this.keyOf(row)
    if (change === 'delete') {
      this.put(key, { row, deleted: true, unchanged: undefined, before: undefined, time })
      return
    }
    const former = before === undefined ? undefined : this.keyOf(before)
    const moved = former !== undefined && former !== key
    const held = this.entries.get(moved ? former : key)
    const entry: Entry = { row, deleted: false, unchanged, before: moved && unchanged ? before : undefined, time }
    if (unchanged && held && !held.deleted) fill(entry, held)
    if (moved) this.put(former, { row: before!, deleted: true, unchanged: undefined, before: undefined, time })
    this.put(key, entry)
  }

  /** The last state of a row is moved to the end, so that rows which it depends on come before it. */
  private put(key: unknown, entry: Entry): void {
    this.entries.delete(key)
    this.entries.set(key, entry)
  }

  /** What has come of the changes; from here on new ones are gathered. */
  take(): NetChanges {
    const net: NetChanges = { cleared: this.cleared, deletes: [], deletedAt: [], partial: [], writes: [], at: this.at }
    for (const { row, deleted, unchanged, before, time } of this.entries.values()) {
      if (deleted) {
        net.deletes.push(row)
        net.deletedAt.push(time)
      } else if (unchanged && unchanged.length > 0) net.partial.push({ row, unchanged, before })
      else net.writes.push(row)
    }
    this.entries.clear()
    this.cleared = false
    return net
  }

  private keyOf(row: Row): unknown {
    if (this.keys.length === 1) return plain(row[this.keys[0]!]!)
    return JSON.stringify(this.keys.map(at => plain(row[at]!)))
  }
}

/** Fills the values that a row lacks from the state before it; those that this lacks, too, stay missing. */
function fill(entry: Entry, held: Entry): void {
  const open: number[] = []
  for (const at of entry.unchanged!) {
    if (held.unchanged?.includes(at)) open.push(at)
    else entry.row[at] = held.row[at]!
  }
  entry.unchanged = open.length > 0 ? open : undefined
  entry.before = open.length > 0 ? (held.before ?? entry.before) : undefined
}

function plain(value: Value): unknown {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (typeof value === 'bigint') return String(value)
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value
}
