/** What is new since an earlier copy. */
import { expect, it } from 'vitest'
import { policy } from '../../../../test/support.ts'
import { asItIs } from '../../engine/columns.ts'
import { runJob } from '../../runtime/run.ts'
import { ROWS } from '../encodings.ts'
import {
  COLUMNS,
  completed,
  database,
  into,
  jobOf,
  newState,
  open,
  type Place,
  type Subject,
  source,
} from './subject.ts'

export function increments({ kind, make }: Subject): void {
  const { abilities } = kind
  /** How rows are added to an object that is there. */
  const adding = abilities.update.includes('merge') ? 'merge' : 'append'
  const fill = async (place: Place, from: { endpoint: object }, more: { name?: string; job?: object } = {}) =>
    completed(await newState(), into(place, from.endpoint, abilities.writesApart ? 'overwrite' : adding, more))

  /** Copies what is new into a database of SQLite. */
  async function follower(place: Place, update: 'append' | 'merge', more: object = {}) {
    const state = await newState()
    const back = database()
    const tracked = abilities.knowsNew ? {} : { incrementalColumn: 'n' }
    const job = jobOf({
      source: place.endpoint,
      destination: back.endpoint,
      mode: 'incremental',
      update,
      read: place.read ?? {},
      tables: [
        {
          from: place.all ?? place.object('copy'),
          to: 'back',
          keys: ['id'],
          columns: { id: 'id', n: 'n' },
          ...tracked,
          ...more,
        },
      ],
    })
    const ids = () =>
      back.db
        .prepare('SELECT id FROM back ORDER BY id')
        .all()
        .map(row => row.id)
    return { copy: () => completed(state, job), run: () => runJob({ policy, state, job }), ids, db: back.db }
  }

  it('is told, and is copied once', async () => {
    const place = await make()
    const from = source(100)
    await fill(place, from)
    const { copy, db } = await follower(place, 'append')
    expect(await copy()).toMatchObject({ rowsCopied: 100 })
    expect(await copy()).toMatchObject({ rowsCopied: 0 })
    from.db.exec('DELETE FROM t')
    from.add(100, 130)
    await fill(place, from, abilities.arrivals ? { name: 'more' } : {})
    expect(await copy()).toMatchObject({ rowsCopied: 30 })
    expect(db.prepare('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM back').get()).toMatchObject({
      n: 130,
      ids: 130,
    })
  })

  if (abilities.knowsNew) return

  /** Puts rows of an id and a number into the place. */
  async function put(place: Place, ...rows: [string, number | null][]) {
    const { db, endpoint } = source(0)
    for (const row of rows) db.prepare('INSERT INTO t VALUES (?, ?)').run(...row)
    await fill(place, { endpoint })
  }

  it('has an end: what comes behind the plan is of the next copy', async () => {
    const place = await make()
    await put(place, ['a', 1], ['b', 2])
    const store = await open(place)
    const request = {
      object: place.object('copy'),
      options: place.read ?? {},
      columns: COLUMNS.map(asItIs),
      splitBytes: 64_000_000,
      skipBadRows: false,
    }
    const ids = async (after: string | undefined, meanwhile: () => Promise<void>) => {
      const session = await store.source()
      const since = { keys: ['id'], others: [], column: 'n', again: false, ...(after === undefined ? {} : { after }) }
      const { read, position } = await session.increment!(request, since)
      // A process that resumes later opens its source again.
      await session.close()
      await meanwhile()
      const later = await store.source()
      try {
        const table = await later.table(read)
        const at = table.rowColumns.findIndex(c => c.name === 'id')
        const found: unknown[] = []
        for (const split of await table.splits(ROWS)) {
          for await (const batch of table.read(split, { offer: ROWS, signal: new AbortController().signal })) {
            if (batch.kind === 'rows') found.push(...batch.rows.map(row => row[at]))
          }
        }
        return { position, ids: found.sort() }
      } finally {
        await later.close()
      }
    }
    const first = await ids(undefined, () => put(place, ['c', 3]))
    expect(first.ids).toEqual(['a', 'b'])
    const second = await ids(first.position, () => put(place, ['d', 4]))
    expect(second.ids).toEqual(['c'])
    expect((await ids(second.position, async () => {})).ids).toEqual(['d'])
  })

  it('has rows that come later with the last value, where copies are merged', async () => {
    const place = await make()
    await put(place, ['a', 1], ['b', 2])
    const { copy, ids } = await follower(place, 'merge')
    await copy()
    await put(place, ['c', 2])
    await copy()
    expect(ids()).toEqual(['a', 'b', 'c'])
    await put(place, ['d', 2], ['e', 3])
    await copy()
    expect(ids()).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('has the rows without a value in the first copy', async () => {
    const place = await make()
    await put(place, ['a', 1], ['b', null])
    const { copy, ids } = await follower(place, 'append')
    expect(await copy()).toMatchObject({ rowsCopied: 2 })
    expect(ids()).toEqual(['a', 'b'])
  })

  it('has rows without a value only', async () => {
    const place = await make()
    await put(place, ['a', null])
    const { copy, ids } = await follower(place, 'append')
    await copy()
    await put(place, ['b', 5])
    await copy()
    expect(ids()).toEqual(['a', 'b'])
  })

  it('reads an overlap again, or refuses it', async () => {
    const place = await make()
    await put(place, ['a', 10], ['b', 100])
    const { run, copy, ids } = await follower(place, 'merge', { overlap: 20 })
    const first = await run()
    if (first.status === 'failed') {
      expect(first.errors).toMatchObject([{ code: 'FERRY-3012' }])
      return
    }
    await put(place, ['c', 85], ['d', 101])
    await copy()
    expect(ids()).toEqual(['a', 'b', 'c', 'd'])
  })
}
