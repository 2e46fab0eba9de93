/** Rows into a store and out of it, through its sink and its source alone. */
import { converter, fit } from '../../batch/convert.ts'
import { canonicalJson } from '../../batch/json.ts'
import { formatText } from '../../batch/text.ts'
import type { Column, LogicalType, Row, Value } from '../../batch/types.ts'
import { asItIs } from '../../engine/columns.ts'
import { unshared } from '../../runtime/hold.ts'
import type { MappedColumn } from '../schema.ts'
import type { Store } from '../store.ts'

/** The canonical text of a value: equal texts are equal values. */
export function shown(value: Value, type: LogicalType): string {
  if (value === null) return 'null'
  if (type.kind === 'json') return canonicalJson((value as string).trim())
  if (type.kind === 'list' || type.kind === 'struct' || type.kind === 'map')
    return JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : Object.is(v, -0) ? '-0' : v))
  return formatText(value, type)
}

/** The mapping that writes columns into a new object of a store. */
export function mappingInto(
  store: Store,
  object: string,
  options: Record<string, unknown>,
  columns: Column[],
): MappedColumn[] {
  return columns.map(c => {
    const made = store.created(c, 'test', { object, options })
    return {
      name: c.name,
      from: c.name,
      sourceType: c.type,
      type: made.type,
      native: made.native,
      nullable: true,
      checked: fit(c.type, made.type) === 'narrower',
    }
  })
}

/** Writes rows into a new object of a store, through its sink alone. */
export async function writeRows(
  store: Store,
  object: string,
  options: Record<string, unknown>,
  columns: Column[],
  rows: Row[],
  keys: string[] = [],
): Promise<MappedColumn[]> {
  const mapped = mappingInto(store, object, options, columns)
  const session = await store.sink(unshared(`w${Date.now()}${Math.random().toString(36).slice(2, 6)}`, 'test'))
  try {
    const table = await session.table({
      object,
      options,
      ordinal: 0,
      columns: mapped,
      keys,
      update: 'overwrite',
      truncate: false,
      before: [],
      after: [],
      skipBadRows: false,
    })
    await table.prepare({ splits: new Map(), published: false })
    const writer = await table.open({ id: 0, label: 'all', spec: '' }, { encoding: 'rows' })
    try {
      const converters = mapped.map(c => converter(c.sourceType, c.type))
      const out = rows.map(row => row.map((value, i) => converters[i]?.(value) ?? value))
      await writer.write({ kind: 'rows', rows: out, bytes: 0 })
      await writer.commit(undefined, { rows: rows.length, bytes: 0 })
    } catch (error) {
      await writer.abort()
      await table.discard()
      throw error
    }
    await table.publish()
    await table.forget()
  } finally {
    await session.close()
  }
  return mapped
}

/** All rows of an object under the given types, through the store's source alone. */
export async function readRows(
  store: Store,
  object: string,
  options: Record<string, unknown>,
  columns: { name: string; type: Column['type'] }[],
): Promise<Row[]> {
  const session = await store.source()
  try {
    const table = await session.table({
      object,
      options: { ...options, ...store.readBack?.({ options, columns: columns.map(asItIs) }) },
      columns: columns.map(asItIs),
      splitBytes: 64_000_000,
      skipBadRows: false,
    })
    const order = columns.map(c => table.rowColumns.findIndex(r => r.name === c.name))
    const offer = { encoding: 'rows' } as const
    const rows: Row[] = []
    for (const split of await table.splits(offer)) {
      for await (const batch of table.read(split, { offer, signal: new AbortController().signal })) {
        if (batch.kind === 'rows') for (const row of batch.rows) rows.push(order.map(i => row[i]!))
      }
    }
    return rows
  } finally {
    await session.close()
  }
}
