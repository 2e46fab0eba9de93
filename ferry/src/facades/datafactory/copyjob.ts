/** A copy activity as a copy job. */
import { basename, dirname } from 'node:path'
import { FerryError } from '../../errors.ts'
import { checkJob } from '../../job/read.ts'
import type { CopyJob, TableEntry } from '../../job/schema.ts'
import { isObject, type ValueObject } from '../../pipelines/expressions/values.ts'
import { requireBoolean, requireInteger, requireList, requireObject } from '../../pipelines/resolve.ts'
import { addedColumns, withAdded } from './additional.ts'
import type { Dataset, FilesPlace, TablePlace } from './datasets.ts'
import {
  endingOf,
  join,
  type KindOf,
  literal,
  momentAt,
  optional,
  placedAt,
  readOptionsOf,
  sourceObject,
  writeOptionsOf,
} from './files.ts'
import {
  COPY,
  READ_FORMAT,
  READ_STORE,
  requireKnownProperties,
  sinkNames,
  sourceNames,
  WRITE_FORMAT,
  WRITE_STORE,
} from './properties.ts'
import { type Mapping, mappingOf } from './translator.ts'

export interface CopyOf {
  /** The name of the job. */
  name: string
  source: Dataset
  sink: Dataset
  /** `typeProperties` of the activity, evaluated. */
  properties: ValueObject
  kindOf: KindOf
  /** The file that what a service gives was written to, an object a line. */
  spooled?: string | undefined
  /** The file that what a service is to get is written to, an object a line. */
  outgoing?: string | undefined
  /** The files that `fileListPath` of the source names, from the folder of its dataset. */
  listed?: readonly string[] | undefined
  /** The names of the files that a name or a pattern means, relative to the store. */
  list(endpoint: CopyJob['source'], name: string, read: Record<string, unknown>): Promise<string[]>
}

/** Old names of sources and sinks that lead to the same stores. */
const QUERY_NAMES = ['query', 'sqlReaderQuery', 'oracleReaderQuery', 'sourceQuery']

/** The query of a source; undefined where the source is a table. */
export const queryOf = (source: ValueObject): string | undefined =>
  QUERY_NAMES.map(name => optional(source[name])).find(query => query !== undefined)

/** A job has no more parallel readers than this, whatever `parallelCopies` says. */
const MOST_PARALLEL = 64

/** The job of a copy activity. Throws FERRY-7001, FERRY-7003, FERRY-7006 for what cannot be the same here. */
export async function copyJobOf(copy: CopyOf): Promise<CopyJob> {
  const { source, sink, properties } = copy
  const from = requireObject(properties.source, 'source')
  const to = requireObject(properties.sink, 'sink')
  requireKnownProperties(properties, COPY)
  requireSource(from)
  requireSink(to)
  const isBinary = isFiles(source) && source.at.format === 'binary'
  if (isBinary && sink.at.kind === 'rest') throw new FerryError('FERRY-7006', 'files as they are do not go to REST')
  if (isFiles(sink) && (sink.at.format === 'binary') !== isBinary) {
    throw new FerryError(
      'FERRY-7006',
      `a binary dataset is copied to a binary one alone: ${source.name} -> ${sink.name}`,
    )
  }
  const read = readOf(copy, from)
  const write = writeOf(copy, to)
  const tables = isBinary ? [binary(copy, read, write, to)] : await tabular(copy, read, write, to)
  const skip = properties.enableSkipIncompatibleRow
  const parallel = properties.parallelCopies
  return checkJob({
    name: copy.name,
    source: read.endpoint,
    destination: write.endpoint,
    mode: 'full',
    tables,
    ...(skip !== undefined && requireBoolean(skip, 'enableSkipIncompatibleRow') ? { onRowError: 'skip' } : {}),
    ...(parallel === undefined || parallel === null
      ? {}
      : { limits: { parallel: Math.min(MOST_PARALLEL, requireInteger(parallel, 'parallelCopies', 1, 100_000)) } }),
  })
}

/** Throws FERRY-7006 if a source has a property that is not known here. */
export function requireSource(from: ValueObject): void {
  if (optional(from.sqlReaderStoredProcedureName) !== undefined) {
    throw new FerryError('FERRY-7006', 'a stored procedure is no source here: write its statement as the query')
  }
  requireKnownProperties(from, sourceNames(from))
  requireKnownProperties(from.storeSettings, READ_STORE)
  requireKnownProperties(from.formatSettings, READ_FORMAT)
}

/** The same for a sink. */
function requireSink(to: ValueObject): void {
  for (const procedure of ['sqlWriterStoredProcedureName', 'storedProcedureTableTypeParameterName']) {
    if (optional(to[procedure]) !== undefined) {
      throw new FerryError(
        'FERRY-7006',
        'a stored procedure is no sink of a copy here: copy into a table, and call it behind',
      )
    }
  }
  requireKnownProperties(to, sinkNames(to))
  requireKnownProperties(to.storeSettings, WRITE_STORE)
  requireKnownProperties(to.formatSettings, WRITE_FORMAT)
}

type OfFiles = Dataset & { at: FilesPlace }
const isFiles = (dataset: Dataset): dataset is OfFiles => dataset.at.kind === 'files'

interface Side {
  endpoint: CopyJob['source']
  /** The object of a table, or the pattern of files; undefined where a query is the source, or files are named by the copy. */
  object: string | undefined
  query?: string | undefined
  options: Record<string, unknown>
  /** Where files of the dataset's container begin. */
  root: string
  recursive: boolean
}

function readOf({ source, kindOf, spooled, listed }: CopyOf, from: ValueObject): Side {
  if (spooled !== undefined) {
    const endpoint = { kind: 'files', folder: dirname(spooled) }
    return { endpoint, object: basename(spooled), options: { format: 'jsonl' }, root: '', recursive: false }
  }
  if (isFiles(source)) return readFiles(source, from, kindOf, listed)
  const { at, name } = source
  if (at.kind === 'rest') throw new FerryError('FERRY-7006', `dataset ${name}: REST is read by a Copy alone`)
  const query = queryOf(from)
  const table = at as TablePlace
  if (at.kind === 'documents') return readDocuments(source, table, from, query)
  if (query === undefined && table.object === undefined) {
    throw new FerryError('FERRY-7001', `dataset ${name} names no table, and the source has no query`)
  }
  return {
    endpoint: source.endpoint,
    object: query === undefined ? table.object : undefined,
    query,
    options: {},
    root: '',
    recursive: false,
  }
}

function readDocuments(source: Dataset, { object }: TablePlace, from: ValueObject, query: string | undefined): Side {
  const { endpoint, name } = source
  if (object === undefined) throw new FerryError('FERRY-7001', `dataset ${name} names no collection`)
  const regions = from.preferredRegions
  const isInline = typeof endpoint === 'object' && 'kind' in endpoint
  return {
    endpoint:
      regions !== undefined && regions !== null && isInline
        ? {
            ...endpoint,
            preferredRegions: requireList(regions, 'preferredRegions').map(String),
            unknownRegions: 'ignore',
          }
        : endpoint,
    object,
    root: '',
    recursive: false,
    options: documentOptionsOf(from, query),
  }
}

/** How the documents of a collection are read. */
export function documentOptionsOf({ detectDatetime, pageSize }: ValueObject, query: string | undefined) {
  return {
    ...(query === undefined ? {} : { query }),
    ...(pageSize === undefined || pageSize === null
      ? {}
      : { pageSize: requireInteger(pageSize, 'pageSize', -1, 10_000) }),
    ...(detectDatetime === undefined ? {} : { detectDatetime: requireBoolean(detectDatetime, 'detectDatetime') }),
  }
}

function readFiles(source: OfFiles, from: ValueObject, kindOf: KindOf, listed?: readonly string[]): Side {
  const { endpoint, root } = placedAt(source.endpoint, source.at, kindOf)
  const store = isObject(from.storeSettings) ? from.storeSettings : { recursive: from.recursive ?? true }
  const { object, recursive } = sourceObject(source.at, root, store, listed)
  const options: Record<string, unknown> = { ...readOptionsOf(source), ...skippedLines(source.at, from) }
  if (source.at.format === 'csv') options.infer = false
  if (recursive && source.at.format !== 'binary') options.recursive = true
  for (const [name, own] of [
    ['modifiedDatetimeStart', 'modifiedFrom'],
    ['modifiedDatetimeEnd', 'modifiedBefore'],
  ] as const) {
    const moment = momentAt(store[name], name)
    if (moment !== undefined) options[own] = moment
  }
  if (
    store.enablePartitionDiscovery !== undefined &&
    requireBoolean(store.enablePartitionDiscovery, 'enablePartitionDiscovery')
  ) {
    options.partitions = true
    const given = optional(store.partitionRootPath)?.replace(/^\/+|\/+$/g, '')
    // It is absolute: its first folder is the container.
    const below = given?.split('/').slice(source.at.container === undefined ? 0 : 1)
    if (below !== undefined) options.partitionRoot = join(root, ...below) || '.'
  }
  return { endpoint, object, options, root, recursive }
}

/** Lines before the records of delimited text. */
export function skippedLines({ format }: FilesPlace, { formatSettings }: ValueObject): { skipLines?: number } {
  const given = isObject(formatSettings) ? formatSettings.skipLineCount : undefined
  if (format !== 'csv' || given === undefined || given === null) return {}
  return { skipLines: requireInteger(given, 'skipLineCount', 0, 100_000) }
}

function writeOf({ sink, kindOf, outgoing }: CopyOf, to: ValueObject): Side {
  if (isFiles(sink)) {
    const { endpoint, root } = placedAt(sink.endpoint, sink.at, kindOf)
    const format = isObject(to.formatSettings) ? to.formatSettings : {}
    const { file, folder } = sink.at
    const object = file === undefined ? undefined : join(root, folder, file)
    return { endpoint, object, options: writeOptionsOf(sink, format), root: join(root, folder), recursive: false }
  }
  const { at, name } = sink
  if (at.kind === 'rest') {
    const endpoint = { kind: 'files', folder: dirname(outgoing!) }
    return { endpoint, object: basename(outgoing!), options: { format: 'jsonl' }, root: '', recursive: false }
  }
  const { object } = at as TablePlace
  if (object === undefined)
    throw new FerryError('FERRY-7001', `dataset ${name} names no ${at.kind === 'documents' ? 'collection' : 'table'}`)
  return { endpoint: sink.endpoint, object, options: {}, root: '', recursive: false }
}

/** Files as they are. */
function binary({ source, sink, properties }: CopyOf, read: Side, write: Side, to: ValueObject): TableEntry | object {
  const from = requireObject(properties.source, 'source')
  const store = isObject(from.storeSettings) ? from.storeSettings : {}
  const behavior = behaviorOf(to)
  const moves =
    store.deleteFilesAfterCompletion !== undefined &&
    requireBoolean(store.deleteFilesAfterCompletion, 'deleteFilesAfterCompletion')
  const isOne = (source.at as FilesPlace).file !== undefined && !/[*?]/.test(read.object!)
  const target = write.object ?? `${write.root === '' ? '.' : write.root}/`
  if (write.object !== undefined && !isOne && behavior !== 'MergeFiles') {
    throw new FerryError(
      'FERRY-7006',
      `dataset ${sink.name} names one file, and dataset ${source.name} may mean many`,
      {
        hint: 'Leave fileName of the sink out, or set copyBehavior to MergeFiles.',
      },
    )
  }
  // Without `recursive` a folder is the files directly in it.
  const object = !read.recursive && read.object!.endsWith('/') ? `${read.object!}*` : read.object!
  return {
    from: object,
    to: target,
    update: 'overwrite',
    read: { ...read.options, ...(behavior === 'FlattenHierarchy' ? { hierarchy: 'flatten' } : {}) },
    write: {
      ...write.options,
      ...(behavior === 'MergeFiles' ? { merge: true } : {}),
      ...(moves ? { deleteAfter: true } : {}),
    },
  }
}

function behaviorOf(to: ValueObject): string {
  const store = isObject(to.storeSettings) ? to.storeSettings : to
  const behavior = optional(store.copyBehavior) ?? 'PreserveHierarchy'
  if (['PreserveHierarchy', 'FlattenHierarchy', 'MergeFiles'].includes(behavior)) return behavior
  throw new FerryError(
    'FERRY-7001',
    `copyBehavior has to be PreserveHierarchy, FlattenHierarchy or MergeFiles, and is ${behavior}`,
  )
}

async function tabular(copy: CopyOf, read: Side, write: Side, to: ValueObject): Promise<object[]> {
  const { source, sink, properties } = copy
  const sourceIsUnnamed = isFiles(source) && source.at.format === 'csv' && read.options.header === false
  const sinkIsUnnamed = isFiles(sink) && sink.at.format === 'csv' && write.options.header === false
  const mapping = mappingOf(properties.translator, {
    sourceIsUnnamed,
    sinkIsUnnamed,
    sinkNests: sink.at.kind === 'documents' || sink.at.kind === 'rest',
  })
  const from = requireObject(properties.source, 'source')
  const added = addedColumns(from.additionalColumns)
  const { columns, constants, path } = withAdded(mapping.columns, added)
  const types =
    (isFiles(source) || copy.spooled !== undefined) && Object.keys(mapping.sourceTypes).length > 0
      ? { types: mapping.sourceTypes }
      : {}
  const before = optional(to.preCopyScript)
  const texts = mapping.texts && textsFor(sink, mapping.texts)
  const settings = {
    ...updateOf(sink, to),
    ...(columns === undefined ? {} : { columns }),
    ...(texts === undefined ? {} : { texts }),
    ...(Object.keys(constants).length > 0 ? { constants } : {}),
    ...(path === undefined ? {} : { audit: { source: path } }),
    ...(before === undefined ? {} : { before }),
    narrowing: 'check',
    // What a file or a document has more than its first ones is left out, as Data Factory does.
    ...(columns === undefined ? {} : { drift: 'ignore' }),
    read: { ...read.options, ...types, ...(mapping.unwind === undefined ? {} : { unwind: mapping.unwind }) },
    write: write.options,
  }
  if (!isFiles(sink)) return [{ ...named(read), to: write.object, ...settings }]
  if (write.object !== undefined) return [{ ...named(read), to: write.object, ...settings, update: 'overwrite' }]
  return intoFolder(copy, read, write, to, settings)
}

/** How the sink has texts: what CSV gets is text; of JSON dates are where they have a format, and numbers never. */
function textsFor(sink: Dataset, texts: NonNullable<Mapping['texts']>): Mapping['texts'] {
  if (!isFiles(sink) || sink.at.format === 'parquet') return texts
  if (sink.at.format === 'csv') return { ...texts, print: true }
  const { culture, ...formats } = texts
  const all = Object.values(formats).filter(f => typeof f === 'string')
  if (all.length === 0) return undefined
  if (culture !== undefined && all.some(f => /M{3}|d{3}|t|[/:]/.test(f))) {
    throw new FerryError(
      'FERRY-7006',
      `dates of the culture ${culture} are not written into JSON here: numbers there have none`,
    )
  }
  return { ...formats, print: true }
}

const named = ({ object, query }: Side) => (query === undefined ? { from: object } : { query })

/** Files that the sink names itself: one for each file of the source, or as many as the copy makes. */
async function intoFolder(copy: CopyOf, read: Side, write: Side, to: ValueObject, settings: object): Promise<object[]> {
  const { source, sink } = copy
  const format = isObject(to.formatSettings) ? to.formatSettings : {}
  const behavior = behaviorOf(to)
  const ending = endingOf(sink.at as FilesPlace, write.options, format)
  const prefix = optional(format.fileNamePrefix)
  if (isFiles(source) && behavior === 'MergeFiles') {
    return [{ ...named(read), to: join(write.root, `${copy.name}.${ending}`), ...settings, update: 'overwrite' }]
  }
  if (!isFiles(source) || (write.options.rowsPerFile !== undefined && prefix !== undefined)) {
    return [{ ...named(read), to: `${write.root === '' ? '.' : write.root}/`, ...settings, update: 'append' }]
  }
  const files = await copy.list(read.endpoint, read.object!, read.options)
  if (files.length === 0) throw new FerryError('FERRY-3001', `there is no file ${read.object} (dataset ${source.name})`)
  const base = baseOf(read.object!)
  const same = source.at.format === (sink.at as FilesPlace).format
  return files.map(file => {
    const relative = file.startsWith(base) ? file.slice(base.length) : file
    const kept = behavior === 'FlattenHierarchy' ? relative.replaceAll('/', '_') : relative
    // The name of a file stays; only its ending is that of the format.
    const target =
      same && format.fileExtension === undefined ? kept : `${kept.replace(/(\.[^./]+)?(\.gz)?$/i, '')}.${ending}`
    return { from: literal(file), to: join(write.root, target), ...settings, update: 'overwrite' }
  })
}

/** The folder that the paths of files are relative to: what comes before the first pattern. */
function baseOf(object: string): string {
  const at = object.search(/[*?{](?!\])/)
  const head = at < 0 ? object : object.slice(0, at)
  return head.slice(0, head.lastIndexOf('/') + 1).replace(/\[([*?{[])\]/g, '$1')
}

function updateOf(sink: Dataset, to: ValueObject): Record<string, unknown> {
  const behavior = (optional(to.writeBehavior) ?? 'insert').toLowerCase()
  if (sink.at.kind === 'documents') return behavior === 'upsert' ? { update: 'merge' } : { update: 'append' }
  if (sink.at.kind === 'rest') return { update: 'overwrite' }
  if (sink.at.kind !== 'table') return {}
  const create = optional(to.tableOption)?.toLowerCase() === 'autocreate' ? {} : { create: 'never' }
  const method = (optional(to.writeMethod) ?? '').toLowerCase()
  if (behavior === 'upsert' || method === 'upsert') {
    const settings = isObject(to.upsertSettings) ? to.upsertSettings : {}
    const keys =
      settings.keys === undefined || settings.keys === null
        ? []
        : requireList(settings.keys, 'upsertSettings.keys').map(String)
    return { update: 'merge', ...create, ...(keys.length > 0 ? { keys } : {}) }
  }
  if (behavior !== 'insert')
    throw new FerryError('FERRY-7006', `writeBehavior ${behavior} is not known here: insert and upsert are`)
  return { update: 'append', ...create }
}
