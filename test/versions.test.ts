/** Versions of rows: whatever order they come in, and however often, the table says the same. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { Change, RowBatch } from '../ferry/src/batch/encoding.ts'
import { bool, int32, type Row, timestamptz, utf8 } from '../ferry/src/batch/types.ts'
import { loadConnector } from '../ferry/src/connectors/registry.ts'
import type { MappedColumn } from '../ferry/src/contract/schema.ts'
import type { WriteRequest } from '../ferry/src/contract/write.ts'
import { unshared } from '../ferry/src/runtime/hold.ts'
import { randomOf, seedOf } from './seed.ts'
import { policy, temporaryFolder } from './support.ts'

const seed = seedOf('versions')
const SECOND = 1_000_000
const BEGIN = 1_700_000_000 * SECOND

interface Event {
  key: number
  value: string
  change: Change
  second: number
}

/** A table of versions, written by its sink alone; each group of events is a commit. */
async function written(groups: Event[][]): Promise<string[]> {
  const path = join(temporaryFolder(), 'versions.db')
  const store = (await loadConnector('sqlite')).open({ path }, policy)
  const column = (name: string, type: MappedColumn['type'], nullable = false): MappedColumn => ({
    name,
    from: name,
    sourceType: type,
    type,
    nullable,
    checked: false,
  })
  const columns = [
    column('id', int32),
    column('v', utf8, true),
    column('valid_from', timestamptz),
    column('valid_to', timestamptz, true),
    column('is_current', bool),
  ]
  const own = ['valid_from', 'valid_to', 'is_current']
  const request: WriteRequest = {
    object: 't',
    options: {},
    ordinal: 0,
    columns,
    keys: ['id', 'valid_from'],
    update: 'merge',
    truncate: false,
    before: [],
    after: [],
    skipBadRows: false,
    follows: { deletes: 'apply', deletedAt: '_deleted_at', log: true },
    history: { keys: ['id'], from: 'valid_from', to: 'valid_to', current: 'is_current', apart: own },
  }
  const session = await store.sink(unshared('r1', 'versions'))
  const table = await session.table(request)
  await table.prepare({ splits: new Map(), published: false })
  const writer = await table.changes!.open({ replays: true })
  for (const [i, group] of groups.entries()) {
    const batch: RowBatch = {
      kind: 'rows',
      rows: group.map((e): Row => [e.key, e.value, null, null, true]),
      changes: group.map(e => e.change),
      times: group.map(e => BEGIN + e.second * SECOND),
      bytes: 0,
    }
    await writer.write(batch)
    await writer.commit(`c${i}`, { rows: group.length, bytes: 0 })
  }
  await session.close()
  const db = new DatabaseSync(path, { readOnly: true })
  const rows = db.prepare('SELECT * FROM t ORDER BY id, valid_from').all()
  db.close()
  return rows.map(r => Object.values(r).join('|'))
}

/** What the table is to say: each version ends where the next event of its row is. */
function expected(events: Event[]): string[] {
  const text = (second: number) =>
    `${new Date((BEGIN / SECOND + second) * 1000).toISOString().slice(0, 19).replace('T', ' ')}+00`
  const sorted = [...events].sort((a, b) => a.second - b.second)
  return sorted
    .flatMap((event, i) => {
      if (event.change === 'delete') return []
      const next = sorted.slice(i + 1).find(e => e.key === event.key)
      const end = next ? text(next.second) : ''
      return [`${event.key}|${event.value}|${text(event.second)}|${end}|${next ? 0 : 1}`]
    })
    .sort()
}

/** Events in the order of their times, each second one of them. */
function events(random: () => number, deletes: boolean): Event[] {
  const there = new Set<number>()
  return Array.from({ length: 60 }, (_, second): Event => {
    const key = Math.floor(random() * 5)
    const goes = deletes && there.has(key) && random() < 0.3
    if (goes) there.delete(key)
    else there.add(key)
    return { key, value: `v${second}`, change: goes ? 'delete' : 'replace', second }
  })
}

function groupsOf(all: Event[], random: () => number): Event[][] {
  const groups: Event[][] = []
  for (let at = 0; at < all.length; ) {
    const size = 1 + Math.floor(random() * 9)
    groups.push(all.slice(at, at + size))
    at += size
  }
  return groups
}

describe('versions of rows', () => {
  it.each([1, 2, 3, 4])('are the same in whatever order they come (%i)', async n => {
    const random = randomOf(seed + n)
    const all = events(random, false)
    const shuffled = [...all].sort((a, b) => a.value.length - b.value.length || random() - 0.5)
    expect((await written(groupsOf(shuffled, random))).sort()).toEqual(expected(all))
  })

  it.each([1, 2, 3, 4])('are the same when a part of the log comes again (%i)', async n => {
    const random = randomOf(seed + n)
    const all = events(random, true)
    const groups = groupsOf(all, random)
    const back = Math.floor(random() * groups.length)
    const again = [...groups, ...groups.slice(back), ...groups.slice(Math.floor(back / 2))]
    expect((await written(again)).sort()).toEqual(expected(all))
  })
})
