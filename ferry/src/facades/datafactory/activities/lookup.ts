import { FerryError } from '../../../errors.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { isObject, parseValue, type ValueObject } from '../../../pipelines/expressions/values.ts'
import { requireBoolean, requireObject } from '../../../pipelines/resolve.ts'
import { jsonRows } from '../../../runtime/rows.ts'
import { datasetAt, kindsOf, type Surroundings, withStore } from '../context.ts'
import { documentOptionsOf, queryOf, requireSource, skippedLines } from '../copyjob.ts'
import type { Dataset, FilesPlace } from '../datasets.ts'
import { type KindOf, optional, placedAt, readOptionsOf, sourceObject } from '../files.ts'

/** Data Factory gives no more either. */
const MOST_ROWS = 5000
const MOST_BYTES = 4_000_000

export function lookupActivity(around: Surroundings): ActivityKind {
  return { type: 'Lookup', isOutside: true, run: context => lookup(around, context) }
}

async function lookup(around: Surroundings, context: ActivityContext): Promise<ValueObject> {
  const { typeProperties } = context.activity
  const dataset = datasetAt(around, context, typeProperties.dataset, 'dataset')
  const source = requireObject(context.property('source'), 'source')
  requireSource(source)
  const onlyFirst =
    typeProperties.firstRowOnly === undefined || requireBoolean(context.property('firstRowOnly'), 'firstRowOnly')
  const query = queryOf(source)
  context.told({ dataset: dataset.name, source })
  const { at } = dataset
  if (at.kind === 'rest') throw new FerryError('FERRY-7006', 'a Lookup of REST does not run here: use a Web activity')
  const { endpoint, object, options } =
    at.kind === 'files'
      ? filesOf(dataset, at, source, await kindsOf(around))
      : {
          endpoint: dataset.endpoint,
          object: at.object,
          options: at.kind === 'documents' ? documentOptionsOf(source, query) : {},
        }
  const isQuery = query !== undefined && at.kind === 'table'
  if (object === undefined && !isQuery)
    throw new FerryError('FERRY-7001', `dataset ${dataset.name} names no table, and the source has no query`)
  const found = await withStore(around, endpoint, store =>
    jsonRows(
      store,
      { object: object ?? 'query', options, ...(isQuery ? { query } : {}) },
      { most: onlyFirst ? 1 : MOST_ROWS, bytes: MOST_BYTES },
    ),
  )
  const rows = found.rows.map(row => withNames(parseValue(row) as ValueObject, options))
  if (onlyFirst) return rows[0] === undefined ? {} : { firstRow: rows[0] }
  if (found.more) {
    throw new FerryError('FERRY-7008', `the Lookup finds more than ${MOST_ROWS} rows`, {
      hint: 'Read fewer: write a query, or use a Copy.',
    })
  }
  return { count: BigInt(rows.length), value: rows }
}

/** Columns without names are called `Prop_0`, `Prop_1` ... in Data Factory. */
function withNames(row: ValueObject, { header }: Record<string, unknown>): ValueObject {
  if (header !== false) return row
  return Object.fromEntries(Object.values(row).map((value, i) => [`Prop_${i}`, value]))
}

/** The files that a dataset means, and how they are read: CSV as text. */
export function filesOf(dataset: Dataset, at: FilesPlace, source: ValueObject, kinds: KindOf) {
  const place = placedAt(dataset.endpoint, at, kinds)
  const store = isObject(source.storeSettings) ? source.storeSettings : {}
  if (optional(store.fileListPath) !== undefined) {
    throw new FerryError('FERRY-7006', `dataset ${dataset.name}: a list of files is read by a Copy alone`)
  }
  const { object, recursive } = sourceObject(at, place.root, store)
  const read = readOptionsOf(dataset)
  const text = at.format === 'csv' ? { infer: false } : {}
  return {
    endpoint: place.endpoint,
    object,
    options: { ...read, ...text, ...skippedLines(at, source), ...(recursive ? { recursive: true } : {}) },
  }
}
