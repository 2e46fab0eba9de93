/** The files that `fileListPath` of a source names. */
import { FerryError } from '../../errors.ts'
import { isObject, parseValue, type ValueObject } from '../../pipelines/expressions/values.ts'
import { jsonRows } from '../../runtime/rows.ts'
import { kindsOf, type Surroundings, withStore } from './context.ts'
import type { Dataset } from './datasets.ts'
import { join, literal, optional, placedAt } from './files.ts'

const MOST_FILES = 10_000
const MOST_BYTES = 1_000_000
/** A line as one field. */
const LINES = { format: 'csv', header: false, infer: false, quote: '', delimiter: '\u0001', names: ['file'] }

/** A line for each file, from the folder of its dataset; undefined without a list. Throws FERRY-3001, FERRY-7006. */
export async function listedFiles(
  around: Surroundings,
  { at, endpoint }: Dataset,
  { source }: ValueObject,
): Promise<string[] | undefined> {
  const store = isObject(source) && isObject(source.storeSettings) ? source.storeSettings : {}
  const list = optional(store.fileListPath)
  if (list === undefined || at.kind !== 'files') return undefined
  const [container = '', ...rest] = list.replace(/^\/+/, '').split('/')
  const place = placedAt(endpoint, { container }, await kindsOf(around))
  const object = literal(join(place.root, ...rest))
  const found = await withStore(around, place.endpoint, opened =>
    jsonRows(opened, { object, options: LINES }, { most: MOST_FILES, bytes: MOST_BYTES }),
  )
  if (found.more) throw new FerryError('FERRY-7006', `the list ${list} has more than ${MOST_FILES} files`)
  return found.rows.map(row => String((parseValue(row) as ValueObject).file ?? '').trim()).filter(file => file !== '')
}
