/** The copies that bring rows to the engine of a data flow and from it. */
import { createHash } from 'node:crypto'
import type { Statements } from '../../contract/capabilities.ts'
import type { Names } from '../../contract/names.ts'
import { sourcesOf } from '../../dataflow/plan.ts'
import type { Flow } from '../../dataflow/relation.ts'
import { sinkTable, sourceTable } from '../../dataflow/run.ts'
import { flowFault } from '../../dataflow/scope.ts'
import type { Statement } from '../../dataflow/script/tree.ts'
import type { PlannedSink, Way } from '../../dataflow/sink.ts'
import { isOn, property, setting, texts } from '../../dataflow/transformations/args.ts'
import { FerryError } from '../../errors.ts'
import { checkJob } from '../../job/read.ts'
import type { CopyJob, EndpointSpec } from '../../job/schema.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { isObject, type ValueObject } from '../../pipelines/expressions/values.ts'
import type { Reference } from '../../pipelines/model.ts'
import { filesIn, kindsOf, type Surroundings, withStore } from './context.ts'
import { type CopyOf, copyJobOf } from './copyjob.ts'
import type { DataFlow, FlowCall } from './dataflows.ts'
import { type Dataset, datasetFrom, datasetOf } from './datasets.ts'
import { type Feed, partOf } from './feeds.ts'
import { inlineDataset } from './inline.ts'
import { Settings } from './settings.ts'

export interface Moving {
  around: Surroundings
  flow: DataFlow
  call: FlowCall
  /** What datasets see of the pipeline. */
  scope: Scope
  /** What its settings are asked with. */
  flowing: Flow
  /** The database file of the engine. */
  file: string
  /** What the names of its copies begin with. */
  prefix: string
  /** What sources read of change feeds. */
  feeds?: readonly Feed[]
}

/** The copies that bring the rows of the sources, at most so many of each; none for a source that has no files and may have none. */
export async function stagesOf(moving: Moving, most?: number): Promise<CopyJob[]> {
  const { flow, around } = moving
  const kindOf = await kindsOf(around)
  const jobs: CopyJob[] = []
  for (const { name, statement } of sourcesOf(flow.script)) {
    const source = datasetFor(moving, name)
    const properties: ValueObject = {
      source: sourceProperties(moving, statement, source),
      sink: { type: 'Engine', tableOption: 'autoCreate' },
    }
    const sink = engineTable(moving, sourceTable(name))
    const job = await copyJobOf({
      ...common(moving, kindOf),
      name: `${moving.prefix}-from-${name}`,
      source,
      sink,
      properties,
    })
    if (await isEmpty(moving, statement, { job, source })) continue
    // The tables of the engine are its own.
    const read = documentReads(moving, statement, source)
    jobs.push(
      changed(job, table => ({
        update: 'overwrite',
        ...(most === undefined ? {} : { limit: most }),
        read: { ...table.read, ...read },
      })),
    )
  }
  return jobs
}

/** True if a source of files has none, and says that it may: `ignoreNoFilesFound`. */
async function isEmpty(
  { around, flowing }: Moving,
  statement: Statement,
  { job, source }: { job: CopyJob; source: Dataset },
): Promise<boolean> {
  const [table] = job.tables
  if (source.at.kind !== 'files' || !isOn(statement, 'ignoreNoFilesFound', flowing) || typeof table !== 'object')
    return false
  const found = await filesIn(around)(job.source, table.from!, table.read ?? {})
  return found.length === 0
}

/** The sources that no copy was made for. */
export function emptyIn({ flow, prefix }: Moving, jobs: readonly CopyJob[]): string[] {
  const staged = new Set(jobs.map(job => sourceOf(job, prefix)))
  return sourcesOf(flow.script).flatMap(({ name }) => (staged.has(name) ? [] : [name]))
}

/** The source that a copy is of. */
export const sourceOf = (job: CopyJob, prefix: string): string => job.name.slice(`${prefix}-from-`.length)

/** A copy to a sink, and what it needs around it. */
export interface Delivery {
  job: CopyJob
  /** Statements of the sink's store before its first copy, and behind it. */
  around?: { endpoint: EndpointSpec; before: string[]; after: string[] }
}

/** The copies that bring the sinks what they get, in the order in which they are written. Throws FERRY-7006. */
export async function deliveriesOf(moving: Moving, sinks: readonly PlannedSink[]): Promise<Delivery[]> {
  const kindOf = await kindsOf(moving.around)
  const deliveries: Delivery[] = []
  for (const planned of sinks) {
    const dataset = datasetFor(moving, planned.name)
    const tables = await tablesOf(moving.around, planned, dataset)
    const { file, rows } = planned
    const { at } = dataset
    if (file !== undefined) requireWithin(file, `partitionFileNames of the sink ${planned.name}`)
    const sink = at.kind === 'files' && file !== undefined ? { ...dataset, at: { ...at, file } } : dataset
    for (const [i, { way }] of rows.entries()) {
      const isMerge = way === 'upsert' && at.kind === 'table'
      const changes =
        (way === 'update' || way === 'delete') && tables ? changeOf(moving, planned, way, tables) : undefined
      if (way !== 'insert' && at.kind !== 'table' && at.kind !== 'documents') {
        throw new FerryError(
          'FERRY-7006',
          `the sink ${planned.name}: files get rows by insert alone, and ${way} is asked for`,
        )
      }
      const properties: ValueObject = {
        source: { type: 'Engine' },
        sink: {
          type: 'Engine',
          ...(planned.recreate ? { tableOption: 'autoCreate' } : {}),
          ...(isMerge ? { writeBehavior: 'upsert', upsertSettings: { keys: planned.keys } } : {}),
        },
      }
      const job = await copyJobOf({
        ...common(moving, kindOf),
        name: `${moving.prefix}-to-${planned.name}${rows.length > 1 ? `-${way}` : ''}`,
        source: engineTable(moving, sinkTable(planned.name, way)),
        sink: changes ? { ...sink, at: { kind: 'table', object: changes.table } } : sink,
        properties,
      })
      const place = { isFirst: i === 0, isLast: i === rows.length - 1 }
      const own = at.kind === 'documents' ? documentsOf(planned, way, place) : tableOf(planned, place, changes)
      const done = changed(job, table => ({
        ...own,
        ...(own.write ? { write: { ...table.write, ...own.write } } : {}),
      }))
      deliveries.push({
        job: done,
        ...(tables ? aroundOf(planned, tables, { isFirst: i === 0, changes }) : {}),
      })
    }
  }
  return deliveries
}

/** The table of a sink, with what its store says in its own words. */
interface SinkTable {
  endpoint: EndpointSpec
  names: Names
  object: string
  statements: Statements
}

/** Undefined for a sink whose copy needs nothing around it. Throws FERRY-7001, FERRY-7006. */
async function tablesOf(
  around: Surroundings,
  { name, rows, recreate }: PlannedSink,
  { at, endpoint }: Dataset,
): Promise<SinkTable | undefined> {
  if (at.kind !== 'table' || !(recreate || rows.some(r => r.way === 'update' || r.way === 'delete'))) return undefined
  const { object } = at
  if (object === undefined) throw new FerryError('FERRY-7001', `the dataset of the sink ${name} names no table`)
  return withStore(around, endpoint, async ({ label, names, statements }) => {
    if (statements) return { endpoint, names, object, statements }
    throw new FerryError(
      'FERRY-7006',
      `the sink ${name} updates, deletes or makes anew, and ${label} executes no statements`,
    )
  })
}

/** What is executed in the store of a table before the copy and behind it. */
function aroundOf(
  { recreate, truncate }: PlannedSink,
  { endpoint, object, statements }: SinkTable,
  { isFirst, changes }: { isFirst: boolean; changes: Change | undefined },
): Pick<Delivery, 'around'> {
  const target = statements.table(object)
  const before = [
    ...(isFirst && recreate ? [`DROP TABLE IF EXISTS ${target}`] : []),
    ...(isFirst && truncate && changes ? [`DELETE FROM ${target}`] : []),
    ...(changes?.before ?? []),
  ]
  if (before.length === 0) return {}
  return { around: { endpoint, before, after: changes?.after ?? [] } }
}

interface Place {
  isFirst: boolean
  isLast: boolean
}

type Own = { write?: Record<string, unknown> } & Record<string, unknown>

function tableOf(
  { recreate, truncate, before, after }: PlannedSink,
  { isFirst, isLast }: Place,
  changes?: Change,
): Own {
  const behind = [...(changes?.statements ?? []), ...(isLast ? after : [])]
  return {
    // A table that is made anew is gone when its copy begins; that of changes is emptied before it.
    ...(isFirst && truncate && !recreate && !changes ? { update: 'overwrite' } : {}),
    ...(isFirst && before.length > 0 ? { before } : {}),
    ...(behind.length > 0 ? { after: behind } : {}),
  }
}

const OPERATIONS: Record<Way, string> = { insert: 'insert', upsert: 'upsert', update: 'replace', delete: 'delete' }

function documentsOf(planned: PlannedSink, way: Way, { isFirst }: Place): Own {
  const { recreate, truncate, partitionKey, throughput, budget, before, after } = planned
  return {
    update: way === 'insert' ? 'append' : 'merge',
    ...(truncate ? { truncate } : {}),
    ...(before.length > 0 ? { before } : {}),
    ...(after.length > 0 ? { after } : {}),
    write: {
      operation: OPERATIONS[way],
      ...(recreate && isFirst ? { recreate } : {}),
      ...(partitionKey === undefined ? {} : { partitionKey }),
      ...(throughput === undefined || !recreate ? {} : { throughput }),
      ...(budget === undefined ? {} : { throughputBudget: budget }),
    },
  }
}

interface Change {
  /** The table beside that of the sink that gets the rows. */
  table: string
  before: string[]
  statements: string[]
  after: string[]
}

/** Rows that are updated or deleted go into a table of their own first, and from there in one statement. */
function changeOf(
  { prefix }: Moving,
  { name, columns, keys }: PlannedSink,
  way: 'update' | 'delete',
  { names, object, statements }: SinkTable,
): Change {
  const { quote } = statements
  const print = createHash('sha256').update(name).digest('hex').slice(0, 8)
  const { schema } = names.parts(object)
  const own = `ferry_${prefix.replace('-', '_')}_${print}_${way}`
  const table = schema === '' ? own : `${names.part(schema)}.${own}`
  const [target, stage] = [statements.table(object), statements.table(table)]
  const [into, from] = [
    { name: target, as: 't' as const },
    { name: stage, as: 's' as const },
  ]
  const match = keys.map(key => `t.${quote(key)} = s.${quote(key)}`).join(' AND ')
  const others = columns.filter(c => !keys.includes(c.name)).map(c => quote(c.name))
  const set = others.map(column => ({ column, value: `s.${column}` }))
  const list = columns.map(c => quote(c.name)).join(', ')
  // A row that is its keys alone has nothing to be changed.
  const updates = set.length > 0 ? [statements.update(into, set, from, match)] : []
  return {
    table,
    before: [`DROP TABLE IF EXISTS ${stage}`, `CREATE TABLE ${stage} AS SELECT ${list} FROM ${target} WHERE 1 = 0`],
    statements: way === 'delete' ? [statements.remove(into, from, match)] : updates,
    after: [`DROP TABLE IF EXISTS ${stage}`],
  }
}

/** Throws FERRY-7001 for a path that leads out of its container. */
function requireWithin(path: string, what: string): void {
  if (!path.startsWith('/') && !path.split(/[\\/]/).includes('..')) return
  throw new FerryError('FERRY-7001', `${what}: ${JSON.stringify(path)} leads out of the folder`)
}

const common = ({ around }: Moving, kindOf: CopyOf['kindOf']) => ({ kindOf, list: filesIn(around) })

type Table = Exclude<CopyJob['tables'][number], string>

function changed(job: CopyJob, change: (table: Table) => Partial<Table> | object): CopyJob {
  return checkJob({
    ...job,
    tables: job.tables.map(table => (typeof table === 'string' ? table : { ...table, ...change(table) })),
  })
}

export function datasetFor({ around, flow, call, scope, flowing }: Moving, stream: string): Dataset {
  const service = flow.inline.get(stream)
  if (service) {
    const statement = flow.script.statements.find(s => s.output === stream)!
    const artifact = { name: stream, properties: inlineDataset(statement, service, flowing) }
    return datasetFrom(around.factory, around.redirects, artifact, {}, scope)
  }
  const reference = flow.datasets.get(stream)!
  const given = call.datasetParameters[stream]
  const parameters = { ...(reference.parameters ?? {}), ...(isObject(given) ? given : {}) }
  return datasetOf(around.factory, around.redirects, { ...reference, parameters } as Reference, scope)
}

/** A table of the engine, as a dataset. */
function engineTable({ around, file }: Moving, object: string): Dataset {
  const service = {
    name: 'engine',
    type: 'Engine',
    properties: new Settings('engine', {}, around.factory),
    redirect: undefined,
  }
  return {
    name: object,
    type: 'Engine',
    service,
    endpoint: { kind: 'duckdb', path: file },
    at: { kind: 'table', object },
    properties: {},
  }
}

/** How a source is read, with the names that a Copy has for it. Throws FERRY-7006. */
function sourceProperties({ flowing }: Moving, statement: Statement, { at, name }: Dataset): ValueObject {
  const query = setting(statement, 'query', flowing)
  const found: ValueObject = { type: 'Engine', ...(query === undefined || query === '' ? {} : { query }) }
  const pageSize = setting(statement, 'pageSize', flowing)
  if (at.kind === 'documents' && pageSize !== undefined) found.pageSize = BigInt(pageSize)
  if (at.kind === 'documents' && property(statement, 'preferredRegions') !== undefined) {
    found.preferredRegions = texts(statement, 'preferredRegions', flowing).filter(region => region !== '')
  }
  const url = setting(statement, 'rowUrlColumn', flowing)
  const skipped = setting(statement, 'skipLines', flowing)
  if (skipped !== undefined && !/^\d{1,6}$/.test(skipped))
    throw flowFault(statement, `skipLines has to be a number of lines, and is ${skipped}`)
  if (skipped !== undefined)
    found.formatSettings = { type: 'DelimitedTextReadSettings', skipLineCount: BigInt(skipped) }
  if (url !== undefined) found.additionalColumns = [{ name: url, value: '$$FILEPATH' }]
  if (property(statement, 'wildcardPaths') === undefined) return found
  const paths = texts(statement, 'wildcardPaths', flowing)
  if (at.kind !== 'files' || paths.length !== 1) {
    throw new FerryError(
      'FERRY-7006',
      `dataset ${name}: a source has one of wildcardPaths here, and ${paths.length} are given`,
    )
  }
  const [path] = paths as [string]
  requireWithin(path, `wildcardPaths of dataset ${name}`)
  const cut = path.lastIndexOf('/')
  found.storeSettings = {
    recursive: false,
    ...(cut < 0 ? {} : { wildcardFolderPath: path.slice(0, cut) }),
    wildcardFileName: path.slice(cut + 1),
  }
  return found
}

/** Options of Cosmos DB that a Copy does not have. */
function documentReads({ flowing, feeds = [] }: Moving, statement: Statement, { at }: Dataset) {
  const budget = Number(setting(statement, 'throughput', flowing) ?? 0)
  if (at.kind !== 'documents') return {}
  const changes = partOf(feeds, statement.output)
  return {
    ...(changes === undefined ? {} : { changes }),
    ...(isOn(statement, 'systemColumns', flowing) ? { systemProperties: true } : {}),
    ...(budget > 0 ? { throughputBudget: budget } : {}),
  }
}
