/** Sinks of a flow: which rows they get in which way, and under which names. */
import { MARK } from './compile.ts'
import { type Step, scopeOf, selected } from './relation.ts'
import { type Column, flowFault } from './scope.ts'
import { isOn, property, requireInputs, setting, texts } from './transformations/args.ts'
import { mapped } from './transformations/columns.ts'
import { quoted } from './types.ts'

export type Way = 'insert' | 'upsert' | 'update' | 'delete'

export interface PlannedSink {
  name: string
  input: string
  /** The caches that its columns look up. */
  caches: string[]
  columns: Column[]
  /** Rows by how they are written; ways that are not here have none. */
  rows: { way: Way; sql: string }[]
  keys: string[]
  /** Sinks with a lower number are written first. */
  order: number
  recreate: boolean
  truncate: boolean
  before: string[]
  after: string[]
  /** One file by this name. */
  file: string | undefined
  /** The path of a new container's partition key. */
  partitionKey: string | undefined
  /** RU/s of a new container, and those that writing may take. */
  throughput: number | undefined
  budget: number | undefined
}

const WAYS: { way: Way; property: string; byDefault: boolean }[] = [
  { way: 'insert', property: 'insertable', byDefault: true },
  { way: 'upsert', property: 'upsertable', byDefault: false },
  { way: 'update', property: 'updateable', byDefault: false },
  { way: 'delete', property: 'deletable', byDefault: false },
]

/** Throws FERRY-7003, FERRY-7006. */
export function sinkOf(step: Step): PlannedSink {
  const { statement, inputs, flow } = step
  requireInputs(statement, inputs, 1)
  const [from] = inputs
  const { output: name } = statement
  const given = mapped(step, scopeOf(from!, flow))
  if (given.length === 0) throw flowFault(statement, `the sink ${name} gets no column`)
  const { sql: select, columns } = selected(name, given, `FROM ${from!.id}`)
  const cased = columns.find(c => c.id !== quoted(c.name))
  if (cased) {
    throw flowFault(
      statement,
      `the sink ${name} gets columns whose names differ from ${cased.name} in case alone: rename one by a select`,
    )
  }
  const allowed = WAYS.filter(w => (property(statement, w.property) ? isOn(statement, w.property, flow) : w.byDefault))
  if (allowed.length === 0)
    throw flowFault(statement, `the sink ${name} takes no row: none of insertable and the others is true`)
  const keys = texts(statement, 'keys', flow)
  const changes = allowed.filter(w => w.way !== 'insert')
  if (changes.length > 0 && !from!.hasMark) {
    throw flowFault(
      statement,
      `the sink ${name} is ${changes.map(w => w.property).join(' and ')}, and no alterRow before it says which rows are`,
    )
  }
  if (changes.length > 0 && keys.length === 0)
    throw flowFault(statement, `the sink ${name} is ${changes[0]!.property}, and has no keys`)
  for (const key of keys) requireKey(key, columns, step)
  const rows = from!.hasMark
    ? allowed.map(({ way }) => ({ way, sql: `${select} WHERE ${MARK} = '${way}'` }))
    : [{ way: 'insert' as const, sql: select }]
  const files = texts(statement, 'partitionFileNames', flow)
  if (files.length > 1)
    throw flowFault(statement, `the sink ${name} names ${files.length} files: one, or none, is written here`)
  return {
    name,
    input: from!.name,
    caches: [],
    columns,
    rows,
    keys,
    order: Number(setting(statement, 'saveOrder', flow) ?? 0),
    recreate: isOn(statement, 'recreate', flow),
    truncate: isOn(statement, 'truncate', flow),
    before: texts(statement, 'preSQLs', flow),
    after: texts(statement, 'postSQLs', flow),
    file: files[0],
    partitionKey: texts(statement, 'partitionKey', flow)[0],
    throughput: numberAt('throughput', step),
    budget: numberAt('writeThroughputBudget', step),
  }
}

/** A number that is set; none where it is 0 or less. */
function numberAt(name: string, { statement, flow }: Step): number | undefined {
  const written = setting(statement, name, flow)
  const value = Number(written)
  if (written === undefined || written === 'null' || value <= 0) return undefined
  if (Number.isFinite(value)) return value
  throw flowFault(statement, `${name} has to be a number, and is ${written}`)
}

function requireKey(key: string, columns: readonly Column[], { statement }: Step): void {
  if (columns.some(c => c.name === key)) return
  const names = columns.map(c => c.name).join(', ')
  throw flowFault(
    statement,
    `the sink ${statement.output} has no column ${key}, which is one of its keys: it has ${names}`,
  )
}
