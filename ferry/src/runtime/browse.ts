/** Looking into a store: what answers, what objects there are, their columns and first rows. Nothing is changed. */
import { formatText } from '../batch/text.ts'
import { typeName } from '../batch/types.ts'
import type { MappedColumn, ObjectSpec, TableInfo } from '../contract/schema.ts'
import type { SourceSession } from '../contract/source.ts'
import type { Store } from '../contract/store.ts'
import { didYouMean, FerryError } from '../errors.ts'
import type { GrowthView, ObjectView, PreviewView } from './schemas.ts'

/** So many columns are shown at most. */
const MOST_COLUMNS = 5000
/** A value is shown up to here. */
const MOST_TEXT = 200
/** Characters of all values, and of all names of columns, that are shown. */
const MOST_SHOWN = 2_000_000

export async function describeObject(store: Store, spec: ObjectSpec): Promise<ObjectView> {
  const info = await described(store, spec)
  return {
    object: info.object,
    columns: info.columns
      .filter(c => !c.onRequest)
      .map(c => ({
        name: c.name,
        type: typeName(c.type),
        nullable: c.nullable,
        key: info.primaryKey.includes(c.name),
        indexed: c.indexed ?? null,
      })),
    rows: info.rows ?? null,
    bytes: info.bytes ?? null,
  }
}

async function described(store: Store, spec: ObjectSpec): Promise<TableInfo> {
  const info = await store.describe(spec)
  const names = info?.columns.reduce((n, c) => n + c.name.length, 0) ?? 0
  if (names > MOST_SHOWN) {
    throw new FerryError(
      'FERRY-3003',
      `the names of the columns of ${spec.object} have ${names} characters: too many to be shown`,
    )
  }
  if (info && info.columns.length > MOST_COLUMNS) {
    throw new FerryError(
      'FERRY-3003',
      `${spec.object} has ${info.columns.length} columns: up to ${MOST_COLUMNS} are shown`,
    )
  }
  if (info) return info
  const near = didYouMean(spec.object, await store.objects().catch(() => []))
  throw new FerryError('FERRY-3001', `${store.label} has no ${spec.object}${near}`)
}

/** The first rows of an object, as texts. */
export async function previewObject(store: Store, spec: ObjectSpec, most: number): Promise<PreviewView> {
  const info = await described(store, spec)
  const columns = info.columns.filter(c => !c.onRequest)
  const session = await store.source()
  try {
    const rows = await firstRows(session, spec, columns, most)
    return { columns: columns.map(c => ({ name: c.name, type: typeName(c.type) })), rows }
  } finally {
    await session.close()
  }
}

/** What an incremental copy by a column would read at first. Throws FERRY-3002 and FERRY-3012 where it cannot be one. */
export async function growthOf(store: Store, spec: ObjectSpec, column: string): Promise<GrowthView> {
  const info = await described(store, spec)
  const session = await store.source()
  try {
    if (!session.increment) throw new FerryError('FERRY-3012', `${store.label} does not copy by a column that grows`)
    const request = { ...spec, columns: asTheyAre(info.columns), splitBytes: 1_000_000, skipBadRows: false }
    const since = { keys: info.primaryKey, others: [], column, again: true }
    const { range, notes } = await session.increment(request, since)
    return { range, notes }
  } finally {
    await session.close()
  }
}

function asTheyAre(columns: TableInfo['columns']): MappedColumn[] {
  return columns.map(c => ({
    name: c.name,
    from: c.name,
    sourceType: c.type,
    sourceNative: c.native,
    type: c.type,
    nullable: true,
    checked: false,
  }))
}

async function firstRows(session: SourceSession, spec: ObjectSpec, columns: TableInfo['columns'], most: number) {
  const table = await session.table({
    ...spec,
    columns: asTheyAre(columns),
    limit: most,
    splitBytes: 1_000_000,
    skipBadRows: true,
  })
  const offer = { encoding: 'rows' } as const
  const order = columns.map(c => table.rowColumns.findIndex(r => r.name === c.name))
  const stop = new AbortController()
  const rows: (string | null)[][] = []
  let shown = 0
  for (const split of await table.splits(offer)) {
    for await (const batch of table.read(split, { offer, signal: stop.signal })) {
      if (batch.kind !== 'rows') continue
      for (const row of batch.rows) {
        if (rows.length === most) return rows
        rows.push(
          order.map(i => {
            const value = row[i]
            if (value === null || value === undefined) return null
            const text = formatText(value, table.rowColumns[i]!.type)
            shown += Math.min(text.length, MOST_TEXT)
            return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text
          }),
        )
        // Of very wide rows fewer are shown.
        if (shown > MOST_SHOWN) return rows
      }
    }
  }
  return rows
}
