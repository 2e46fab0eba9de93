/** Rows of a store as JSON: for activities that look something up. */
import { toJson } from '../batch/json.ts'
import { DOCUMENT, type ObjectSpec } from '../contract/schema.ts'
import type { Store } from '../contract/store.ts'
import { asItIs } from '../engine/columns.ts'
import { FerryError } from '../errors.ts'

export interface JsonRows {
  /** One JSON object each. */
  rows: string[]
  /** True if there are more. */
  more: boolean
}

/**
 * The first rows of an object or of a query as JSON objects: documents as they are, rows by the names of their columns. Throws
 * FERRY-3001, and FERRY-7008 where they have more than `bytes` together.
 */
export async function jsonRows(
  store: Store,
  spec: ObjectSpec,
  { most, bytes }: { most: number; bytes: number },
): Promise<JsonRows> {
  const info = await store.describe(spec)
  if (!info) throw store.missing?.(spec.object) ?? new FerryError('FERRY-3001', `${store.label} has no ${spec.object}`)
  const isDocument = info.documents !== undefined
  const shape = isDocument
    ? [{ name: DOCUMENT, type: { kind: 'json' } as const }]
    : info.columns.filter(c => !c.onRequest)
  const session = await store.source()
  try {
    const table = await session.table({
      ...spec,
      columns: shape.map(asItIs),
      limit: most + 1,
      splitBytes: 1_000_000_000,
      skipBadRows: false,
    })
    const offer = { encoding: 'rows' } as const
    const order = shape.map(c => table.rowColumns.findIndex(r => r.name === c.name))
    const names = shape.map(c => JSON.stringify(c.name))
    const stop = new AbortController()
    const rows: string[] = []
    let size = 0
    for (const split of await table.splits(offer)) {
      for await (const batch of table.read(split, { offer, signal: stop.signal })) {
        if (batch.kind !== 'rows') continue
        for (const row of batch.rows) {
          if (rows.length === most) return { rows, more: true }
          const text = isDocument
            ? String(row[0])
            : `{${order.map((at, i) => `${names[i]}:${row[at] === null ? 'null' : toJson(row[at]!, table.rowColumns[at]!.type, 'string')}`).join(',')}}`
          size += Buffer.byteLength(text)
          if (size > bytes) {
            throw new FerryError('FERRY-7008', `the rows have more than ${(bytes / 1_000_000).toFixed(0)} MB`, {
              hint: 'Read fewer rows or columns: write a query.',
            })
          }
          rows.push(text)
        }
      }
    }
    return { rows, more: false }
  } finally {
    await session.close()
  }
}
