/** Runs a flow: its sources lie in a database file of the engine, and what its sinks get is put beside them. */
import { Duckdb, translate } from '../duckdb/engine.ts'
import { didYouMean, FerryError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { flowing, type Plan, type PlannedStep, type PlanRequest, planFlow, sourcesOf } from './plan.ts'
import type { PlannedSink, Way } from './sink.ts'
import type { Stored, StoredColumn } from './source.ts'
import { isOn } from './transformations/args.ts'
import { type FlowType, fromSqlType, quoted, STRING, sqlType } from './types.ts'

/** Bytes that the engine takes before it spills to disk: with Node and a copy beside it a flow stays below 512 MB. */
const MEMORY = '256MB'

/** What a source was read into. */
export const sourceTable = (source: string) => `source ${source}`
/** The rows that a sink gets in one way. */
export const sinkTable = (sink: string, way: Way) => `sink ${sink} ${way}`
/** It is there when all sinks have their rows. */
const DONE = '"ferry done"'

export interface FlowRequest extends Omit<PlanRequest, 'stored'> {
  /** The database file. */
  file: string
  policy: Policy
  /** Sources that have no rows, and no table yet. */
  empty?: readonly string[]
  /** Queries of sources that lie elsewhere and are read there. */
  lent?: ReadonlyMap<string, string>
  /** Called when all is worked out, before it holds: throws where what was read elsewhere has changed meanwhile. */
  requireSame?: () => Promise<void>
  signal?: AbortSignal
}

export interface FlowEnd {
  plan: Plan
  /** Rows by source, and by the table of a sink. */
  counts: Map<string, number>
}

/** Works out all sinks, at once or not at all. A flow that was worked out before is not again. Throws FERRY-4001 and others. */
export async function runFlow(request: FlowRequest): Promise<FlowEnd> {
  return withEngine(request, async engine => {
    const plan = await planned(engine, request)
    const done = await engine.all(`SELECT 1 FROM duckdb_tables() WHERE table_name = 'ferry done'`)
    if (done.length === 0) await work(engine, plan, request)
    const counts = new Map<string, number>()
    const tables = [
      ...sourcesOf(request.script).map(s => sourceTable(s.name)),
      ...plan.sinks.flatMap(s => s.rows.map(({ way }) => sinkTable(s.name, way))),
    ]
    for (const table of tables) counts.set(table, await countOf(engine, quoted(table)))
    for (const { source, rows } of await engine.all(`SELECT source, rows FROM main.${DONE}`)) {
      counts.set(String(source), Number(rows))
    }
    return { plan, counts }
  })
}

/** The queries of a flow by what its sources really have, and the first rows of a stream as objects of JSON. Throws FERRY-7007. */
export async function previewFlow(
  request: FlowRequest & { stream?: string | undefined; most: number },
): Promise<{ plan: Plan; rows: Record<string, unknown>[] }> {
  return withEngine(request, async engine => {
    const plan = await planned(engine, request)
    if (request.stream === undefined) return { plan, rows: [] }
    const { id, stream, relation } = stepNamed(plan, request.stream)
    const list = relation.columns.map(c => `${c.id} := ${c.id}`).join(', ')
    const rows = await engine.all(
      `${withOf(plan, [stream], new Set())} SELECT CAST(to_json(struct_pack(${list})) AS VARCHAR) AS row FROM ${id} LIMIT ${request.most}`,
    )
    return { plan, rows: rows.map(r => rowOf(String(r.row))) }
  })
}

/** What JSON or JavaScript has no number for is a text. */
function rowOf(text: string): Record<string, unknown> {
  const tokens = /"(?:[^"\\]|\\.)*"|NaN|-?Infinity|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
  return JSON.parse(text.replace(tokens, token => (token.startsWith('"') || isPlain(token) ? token : `"${token}"`)))
}

const isPlain = (token: string): boolean => {
  if (/[NI]/.test(token)) return false
  const digits = token
    .replace(/[eE].*$/, '')
    .replace(/\D/g, '')
    .replace(/^0+/, '')
  return digits.length <= 15 || /[eE]/.test(token) || String(Number(token)) === token
}

/** The stream of a step, or what a sink reads. Throws FERRY-7007 with the nearest name. */
function stepNamed({ steps, sinks }: Plan, stream: string): PlannedStep {
  const read = sinks.find(s => s.name === stream)?.input ?? stream
  const found = steps.find(s => s.stream === read)
  if (found) return found
  const names = [...steps.map(s => s.stream), ...sinks.map(s => s.name)]
  throw new FerryError('FERRY-7007', `the data flow has no stream ${stream}${didYouMean(stream, names)}`, {
    hint: `There are: ${names.join(', ')}`,
  })
}

async function withEngine<T>({ file, policy, signal }: FlowRequest, work: (engine: Duckdb) => Promise<T>): Promise<T> {
  const engine = await Duckdb.openAt(policy, file)
  const stop = () => engine.interrupt()
  signal?.addEventListener('abort', stop)
  try {
    await engine.run(`SET memory_limit = '${MEMORY}'`)
    return await work(engine)
  } catch (error) {
    const told = translate(error, 'the data flow')
    if (told === error) throw error
    throw new FerryError(told.code, told.message, {
      cause: error,
      hint: 'Look at the SQL and at the first rows of its streams: docs/dataflows.md.',
    })
  } finally {
    signal?.removeEventListener('abort', stop)
    await engine.close()
  }
}

async function countOf(engine: Duckdb, table: string): Promise<number> {
  const [row] = await engine.all(`SELECT count(*) AS n FROM main.${table}`)
  return Number(row!.n)
}

/** Tables of sources without rows, with the columns of their projections. */
async function makeEmpty(engine: Duckdb, { script, empty = [] }: FlowRequest): Promise<void> {
  for (const { name, declared } of sourcesOf(script)) {
    if (!empty.includes(name)) continue
    const columns = declared.columns.map(c => `${quoted(c.name)} ${sqlType(c.type)}`)
    const all = columns.length > 0 ? columns : ['"no columns" INTEGER']
    await engine.run(`CREATE TABLE IF NOT EXISTS main.${quoted(sourceTable(name))} (${all.join(', ')})`)
  }
}

/** Where sources lie that are read elsewhere: views, by their names. Those that were read already have a table. */
async function makeLent(engine: Duckdb, { lent = new Map() }: FlowRequest): Promise<Map<string, string>> {
  const kept = new Set((await engine.all('SELECT table_name AS name FROM duckdb_tables()')).map(r => r.name))
  const views = new Map<string, string>()
  for (const [source, sql] of lent) {
    const name = sourceTable(source)
    if (kept.has(name)) continue
    const view = `temp.main.${quoted(name)}`
    await engine.run(`CREATE TEMP VIEW ${quoted(name)} AS ${sql}`)
    views.set(source, view)
  }
  return views
}

/** The queries by what the sources really have. */
async function planned(engine: Duckdb, request: FlowRequest): Promise<Plan> {
  await makeEmpty(engine, request)
  const views = await makeLent(engine, request)
  return planFlow({ ...request, stored: await storedIn(engine, request, views) })
}

async function storedIn(
  engine: Duckdb,
  request: FlowRequest,
  views: ReadonlyMap<string, string>,
): Promise<Map<string, Stored>> {
  const flow = flowing(request)
  const found = new Map<string, Stored>()
  for (const { name: source, statement } of sourcesOf(request.script)) {
    const table = views.get(source) ?? `main.${quoted(sourceTable(source))}`
    const rows = await engine.all(`DESCRIBE ${table}`)
    const columns = rows.map((r): StoredColumn => {
      const own = String(r.column_type)
      const type = fromSqlType(own)
      return { name: String(r.column_name), type, isCast: sqlType(type) !== own }
    })
    const infers = isOn(statement, 'inferDriftedColumnTypes', flow)
    const inferred = infers ? await inferredIn(engine, table, columns) : undefined
    found.set(source, { table, columns, ...(inferred ? { inferred } : {}) })
  }
  return found
}

/** Types from the narrowest; a column is of the first one that all its values have. */
const INFERRED: FlowType['kind'][] = ['integer', 'long', 'double', 'boolean', 'date', 'timestamp']
const TESTS: Record<string, (id: string) => string> = {
  integer: id => `regexp_full_match(${id}, '[+-]?\\d+') AND TRY_CAST(${id} AS INTEGER) IS NOT NULL`,
  long: id => `regexp_full_match(${id}, '[+-]?\\d+') AND TRY_CAST(${id} AS BIGINT) IS NOT NULL`,
  double: id => `TRY_CAST(${id} AS DOUBLE) IS NOT NULL`,
  boolean: id => `lower(${id}) IN ('true', 'false')`,
  date: id => `regexp_full_match(${id}, '\\d{4}-\\d{2}-\\d{2}') AND TRY_CAST(${id} AS DATE) IS NOT NULL`,
  timestamp: id => `regexp_matches(${id}, '^\\d{4}-\\d{2}-\\d{2}[T ]') AND TRY_CAST(${id} AS TIMESTAMP) IS NOT NULL`,
}

async function inferredIn(
  engine: Duckdb,
  table: string,
  columns: readonly StoredColumn[],
): Promise<Map<string, FlowType>> {
  const texts = columns.filter(c => c.type.kind === 'string')
  const found = new Map<string, FlowType>()
  if (texts.length === 0) return found
  const tests = texts.flatMap((c, i) =>
    INFERRED.map(
      kind => `coalesce(bool_and(${TESTS[kind]!(`CAST(${quoted(c.name)} AS VARCHAR)`)}), false) AS "${i} ${kind}"`,
    ),
  )
  const [row] = await engine.all(`SELECT ${tests.join(', ')} FROM ${table}`)
  texts.forEach((c, i) => {
    const kind = INFERRED.find(k => row![`${i} ${k}`] === true)
    found.set(c.name, kind === undefined ? STRING : ({ kind } as FlowType))
  })
  return found
}

async function work(engine: Duckdb, plan: Plan, { lent = new Map(), requireSame }: FlowRequest): Promise<void> {
  const kept = new Set<string>()
  await engine.run('BEGIN')
  for (const step of plan.steps) {
    // What several read is worked out once: all of them see the same rows.
    if (!step.isShared || step.kind === 'source') continue
    const from = withOf(plan, step.inputs, kept)
    await engine.run(`CREATE TEMP TABLE ${step.id} AS ${from} ${step.sql}`)
    kept.add(step.stream)
  }
  for (const sink of plan.sinks) {
    for (const { way, sql } of sink.rows) {
      const table = quoted(sinkTable(sink.name, way))
      await engine.run(`CREATE TABLE main.${table} AS ${withOf(plan, [sink.input, ...sink.caches], kept)} ${sql}`)
      if (way !== 'insert') await requireOnce(engine, sink, table)
    }
  }
  await engine.run(`CREATE TABLE main.${DONE} (source VARCHAR, rows BIGINT)`)
  // What lies elsewhere may be gone when the sinks are written: of it the columns stay, and how many rows there were.
  for (const source of lent.keys()) {
    const table = quoted(sourceTable(source))
    await engine.run(`INSERT INTO main.${DONE} SELECT '${sourceTable(source)}', count(*) FROM temp.main.${table}`)
    await engine.run(`CREATE TABLE main.${table} AS SELECT * FROM temp.main.${table} LIMIT 0`)
  }
  await requireSame?.()
  await engine.run('COMMIT')
}

/** Throws FERRY-4001 if two rows have the same key: which of them is written last would be unknown. */
async function requireOnce(engine: Duckdb, sink: PlannedSink, table: string): Promise<void> {
  const keys = sink.keys.map(quoted).join(', ')
  const [twice] = await engine.all(
    `SELECT CAST(to_json(struct_pack(${sink.keys.map(k => `${quoted(k)} := ${quoted(k)}`).join(', ')})) AS VARCHAR) AS key FROM main.${table} GROUP BY ${keys} HAVING count(*) > 1 LIMIT 1`,
  )
  if (!twice) return
  throw new FerryError(
    'FERRY-4001',
    `the sink ${sink.name} gets several rows with the key ${String(twice.key)}, and one can be written`,
  )
}

/** The queries that streams are made of, but those that are kept. */
function withOf(plan: Plan, streams: readonly string[], kept: ReadonlySet<string>): string {
  const needed = new Set<string>()
  for (const left = [...streams]; left.length > 0; ) {
    const next = left.pop()!
    if (needed.has(next) || kept.has(next)) continue
    needed.add(next)
    left.push(...plan.steps.find(s => s.stream === next)!.inputs)
  }
  // What several read is worked out once.
  const how = (s: PlannedStep) => (s.isShared && s.kind !== 'source' ? 'MATERIALIZED ' : '')
  const parts = plan.steps.filter(s => needed.has(s.stream)).map(s => `${s.id} AS ${how(s)}(${s.sql})`)
  return parts.length === 0 ? '' : `WITH ${parts.join(',\n')}`
}
