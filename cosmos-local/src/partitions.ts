/** The physical partitions of a container: ranges of the key space, which split. */
import { badRequest, partitionGone } from './errors.ts'
import { KEY_SPACE_END, type KeyDefinition, keyAt } from './hash.ts'
import type { Store } from './store.ts'

export interface Partition {
  id: number
  low: string
  high: string
  parents: number[]
}

interface PartitionRow {
  id: number
  low: string
  high: string
  parents: string
  gone: number
}

export class Partitions {
  private readonly store: Store
  private readonly container: number
  private live: Partition[] = []
  private readonly gone = new Set<number>()

  constructor(store: Store, container: number) {
    this.store = store
    this.container = container
    const rows = store.all<PartitionRow>('SELECT * FROM partitions WHERE container = ? ORDER BY low', container)
    for (const row of rows) {
      if (row.gone) this.gone.add(row.id)
      else this.live.push({ id: row.id, low: row.low, high: row.high, parents: JSON.parse(row.parents) as number[] })
    }
  }

  /** Lays out so many partitions of about equal size. */
  static lay(store: Store, container: number, count: number, definition: KeyDefinition): void {
    for (let i = 0; i < count; i++) {
      const low = i === 0 ? '' : keyAt(i / count, definition)
      const high = i === count - 1 ? KEY_SPACE_END : keyAt((i + 1) / count, definition)
      store.run('INSERT INTO partitions VALUES (?, ?, ?, ?, ?, 0)', container, i, low, high, '[]')
    }
  }

  get all(): readonly Partition[] {
    return this.live
  }

  /** The partition of an effective key. */
  of(epk: string): Partition {
    let from = 0
    let to = this.live.length - 1
    while (from < to) {
      const middle = (from + to + 1) >> 1
      if (this.live[middle]!.low <= epk) from = middle
      else to = middle - 1
    }
    return this.live[from]!
  }

  /** A partition by the id that a request names. Throws 410/1002 when it was split. */
  named(id: string): Partition {
    const number = Number(id)
    const found = this.live.find(p => p.id === number)
    if (found) return found
    if (this.gone.has(number)) throw partitionGone()
    throw badRequest(`There is no partition key range ${id}`)
  }

  /** Those that overlap a range. */
  overlapping(low: string, high: string): Partition[] {
    return this.live.filter(p => p.low < high && low < p.high)
  }

  /** Splits a partition at about its middle item, or at its middle where it has few. */
  split(id: number): Partition[] {
    const { store, container } = this
    const parent = this.live.find(p => p.id === id)
    if (!parent) throw badRequest(`There is no partition ${id}`)
    const middle = this.middle(parent)
    const next = Math.max(...this.live.map(p => p.id), ...this.gone) + 1
    const parents = [...parent.parents, id]
    const children: Partition[] = [
      { id: next, low: parent.low, high: middle, parents },
      { id: next + 1, low: middle, high: parent.high, parents },
    ]
    store.transaction(() => {
      store.run('UPDATE partitions SET gone = 1 WHERE container = ? AND id = ?', container, id)
      for (const child of children) {
        store.run(
          'INSERT INTO partitions VALUES (?, ?, ?, ?, ?, 0)',
          container,
          child.id,
          child.low,
          child.high,
          JSON.stringify(child.parents),
        )
        for (const table of ['items', 'changes']) {
          store.run(
            `UPDATE ${table} SET part = ? WHERE container = ? AND part = ? AND epk >= ? AND epk < ?`,
            child.id,
            container,
            id,
            child.low,
            child.high,
          )
        }
      }
    })
    this.gone.add(id)
    this.live = [...this.live.filter(p => p.id !== id), ...children].sort((a, b) => (a.low < b.low ? -1 : 1))
    return children
  }

  private middle(parent: Partition): string {
    const row = this.store.get<{ epk: string }>(
      `SELECT epk FROM items WHERE container = ?1 AND part = ?2 ORDER BY epk LIMIT 1
       OFFSET (SELECT count(*) / 2 FROM items WHERE container = ?1 AND part = ?2)`,
      this.container,
      parent.id,
    )
    if (row && row.epk > parent.low) return row.epk
    const digits = 8
    const number = (key: string) => Number.parseInt(key.slice(0, digits).padEnd(digits, '0'), 16)
    // Hashes end at 3F...: beyond that there is nothing to cut.
    const top = parent.high === KEY_SPACE_END ? 0x40000000 : number(parent.high)
    return Math.floor((number(parent.low) + top) / 2)
      .toString(16)
      .padStart(digits, '0')
      .toUpperCase()
      .padEnd(32, '0')
  }
}
