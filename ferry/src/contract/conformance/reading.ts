/** Copies out of a store: all rows, once each, wherever reading was interrupted. */
import { expect, it } from 'vitest'
import { policy } from '../../../../test/support.ts'
import type { Batch } from '../../batch/encoding.ts'
import { parseType, type Row } from '../../batch/types.ts'
import { asItIs } from '../../engine/columns.ts'
import { runJob } from '../../runtime/run.ts'
import { verifyJob } from '../../runtime/verify.ts'
import { ROWS } from '../encodings.ts'
import { writeRows } from './rows.ts'
import {
  aliasOf,
  COLUMNS,
  completed,
  database,
  ID,
  into,
  jobOf,
  newState,
  numbered,
  open,
  type Place,
  rowsOf,
  type Subject,
  source,
} from './subject.ts'

/** Bytes of the texts of a table of which no store reads all rows at once. */
const LONG = 200_000
const MANY = 60

export function reading({ kind, make, filter = 'n < 10' }: Subject): void {
  const { abilities } = kind
  /** A place with `count` rows in the object `copy`. */
  const filled = async (count: number): Promise<Place> => {
    const place = await make()
    await completed(await newState(), into(place, source(count).endpoint, abilities.update[0]!))
    return place
  }
  const out = (place: Place, back: object, table: object = {}) =>
    jobOf({
      source: place.endpoint,
      destination: back,
      update: 'overwrite',
      read: place.read ?? {},
      tables: [{ from: place.object('copy'), to: 'back', columns: { id: 'id', n: 'n' }, ...table }],
    })
  const rowsIn = ({ db }: ReturnType<typeof database>) =>
    db
      .prepare('SELECT id, n FROM back')
      .all()
      .map(r => `${r.id} ${r.n}`)
      .sort()

  it.each(['64MB', '4kB'])('gives what it was given, in splits of %s', async splitSize => {
    const place = await filled(3000)
    const back = database()
    await completed(await newState(), out(place, back.endpoint, { splitSize }))
    expect(rowsIn(back)).toEqual(numbered(0, 3000))
  })

  it('is compared with another store, and with itself', async () => {
    const place = await filled(3000)
    const state = await newState()
    const back = database()
    const job = out(place, back.endpoint)
    await completed(state, job)
    const [equal] = await verifyJob(job, state, policy, { most: 10 })
    expect(equal).toMatchObject({ sourceRows: 3000, destinationRows: 3000, equal: true })
    back.db.exec(`UPDATE back SET n = -1 WHERE id = 'r77'`)
    const [differs] = await verifyJob(job, state, policy, { most: 10 })
    expect(differs!.equal).toBe(false)

    const store = await open(place)
    const own = (name: string) => ({
      ...out(place, place.endpoint, { to: place.object(name), keys: ['id'] }),
      update: abilities.update[0]!,
      write: place.write ?? {},
    })
    for (const [name, rows] of [
      ['same', rowsOf(0, 3000)],
      ['altered', [...rowsOf(0, 1500), ...rowsOf(1500, 1501, 7), ...rowsOf(1501, 3000)]],
      ['fewer', rowsOf(1, 3000)],
    ] as const) {
      await writeRows(store, place.object(name), place.write ?? {}, COLUMNS, rows as Row[], ['id'])
      const [result] = await verifyJob(own(name), state, policy, { most: 10 })
      expect(result, name).toMatchObject({
        sourceRows: 3000,
        destinationRows: rows.length,
        equal: name === 'same',
      })
    }
  })

  it('gives the rest behind each of its checkpoints', async () => {
    const place = await make()
    const store = await open(place)
    const columns = [ID, { name: 'long', type: parseType('utf8')!, nullable: true }]
    const rows = Array.from({ length: MANY }, (_, i): Row => [`r${i}`, String(i).padEnd(LONG, 'é')])
    await writeRows(store, place.object('long'), place.write ?? {}, columns, rows, ['id'])
    const session = await store.source()
    try {
      const object = place.object('long')
      const mapped = columns.map(asItIs)
      const table = await session.table({
        object,
        options: { ...place.read, ...store.readBack?.({ options: place.write ?? {}, columns: mapped }) },
        columns: mapped,
        splitBytes: 64_000_000,
        skipBadRows: false,
      })
      const at = table.rowColumns.findIndex(c => c.name === 'id')
      const idsOf = (batch: Batch) => (batch.kind === 'rows' ? batch.rows.map(row => String(row[at])) : [])
      const read = (split: Parameters<typeof table.read>[0], more: object) =>
        table.read(split, { offer: ROWS, signal: new AbortController().signal, ...more })
      const all: string[] = []
      for (const split of await table.splits(ROWS)) {
        const ids: string[] = []
        const places: [checkpoint: string, read: number][] = []
        for await (const batch of read(split, {})) {
          ids.push(...idsOf(batch))
          if (batch.kind !== 'query' && batch.checkpoint !== undefined) places.push([batch.checkpoint, ids.length])
        }
        all.push(...ids)
        for (const [from, before] of places.slice(0, 5)) {
          const rest: string[] = []
          for await (const batch of read(split, { from })) rest.push(...idsOf(batch))
          expect(rest.sort(), `behind ${from}`).toEqual(ids.slice(before).sort())
        }
      }
      expect(all.sort()).toEqual(rows.map(row => String(row[0])).sort())
    } finally {
      await session.close()
    }
  })

  it('gives so many rows at most, where a job says so', async () => {
    const place = await filled(100)
    const back = database()
    const job = out(place, back.endpoint, { limit: 7, splitSize: '1kB' })
    expect(await completed(await newState(), job)).toMatchObject({ rowsCopied: 7 })
    expect(new Set(rowsIn(back)).size).toBe(7)
  })

  it('gives what a filter holds for, or refuses it', async () => {
    const place = await filled(100)
    const back = database()
    const report = await runJob({ policy, state: await newState(), job: out(place, back.endpoint, { where: filter }) })
    if (report.status === 'completed') expect(rowsIn(back)).toEqual(numbered(0, 10))
    else expect(report.errors).toMatchObject([{ code: expect.stringMatching(/^FERRY-30(06|16)$/) }])
  })

  it('is the same place before and after there is anything in it, however it is named', async () => {
    const place = await make()
    const before = (await open(place)).place
    await completed(await newState(), into(place, source(3).endpoint, abilities.update[0]!))
    const store = await open(place)
    expect(store.place).toBe(before)
    const alias = aliasOf(place.endpoint)
    if (!alias) return
    const other = await open({ endpoint: alias })
    const idOf = (s: typeof store) => `${s.place} ${s.names.key(place.object('copy'))}`
    expect(idOf(other)).toBe(idOf(store))
  })

  it('refuses a query where it has none', async () => {
    const place = await filled(3)
    if (abilities.queries) return
    const job = jobOf({
      source: place.endpoint,
      destination: database().endpoint,
      tables: [{ query: 'SELECT 1', to: 'q' }],
    })
    expect(await runJob({ policy, state: await newState(), job })).toMatchObject({ errors: [{ code: 'FERRY-3006' }] })
  })
}
