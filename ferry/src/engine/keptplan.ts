/**
 * The plan of a table as it lies in the state. What connectors add to tables and columns of their own is kept as it is: the
 * schema says what the engine needs of it.
 */
import { z } from 'zod'
import type { LogicalType } from '../batch/types.ts'
import { KeptForm } from '../kept.ts'
import type { TablePlan } from './plan.ts'

const digits = z.number().exactOptional()
const logicalType: z.ZodType<LogicalType> = z.lazy(() =>
  z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('bool') }),
    z.object({ kind: z.literal('int'), bits: z.literal([8, 16, 32, 64]), signed: z.boolean() }),
    z.object({ kind: z.literal('float'), bits: z.literal([32, 64]) }),
    z.object({ kind: z.literal('decimal'), precision: z.number(), scale: z.number() }),
    z.object({ kind: z.literal('numeric') }),
    z.object({ kind: z.literal('utf8'), length: z.number().exactOptional() }),
    z.object({ kind: z.literal('json'), once: z.boolean().exactOptional() }),
    z.object({ kind: z.literal('uuid') }),
    z.object({ kind: z.literal('binary') }),
    z.object({ kind: z.literal('date') }),
    z.object({ kind: z.literal('time'), digits }),
    z.object({ kind: z.literal('timestamp'), zone: z.boolean(), unit: z.enum(['ms', 'us', 'ns']), digits }),
    z.object({ kind: z.literal('interval'), digits }),
    z.object({ kind: z.literal('list'), item: logicalType }),
    z.object({ kind: z.literal('struct'), fields: z.array(z.object({ name: z.string(), type: logicalType })) }),
    z.object({ kind: z.literal('map'), key: logicalType, value: logicalType }),
  ]),
)

const names = z.array(z.string())
const options = z.record(z.string(), z.unknown())

const mappedColumn = z.looseObject({
  name: z.string(),
  from: z.string().exactOptional(),
  sourceType: logicalType,
  sourceNative: z.string().exactOptional(),
  constant: z.string().exactOptional(),
  default: z.string().exactOptional(),
  type: logicalType,
  native: z.string().exactOptional(),
  nullable: z.boolean(),
  checked: z.boolean(),
  filled: z
    .discriminatedUnion('by', [
      z.object({ by: z.literal('numbers') }),
      z.object({ by: z.literal('text'), text: z.string() }),
      z.object({ by: z.literal('sql'), sql: z.string() }),
    ])
    .exactOptional(),
  guessed: z.boolean().exactOptional(),
})

const tableInfo = z.looseObject({
  object: z.string(),
  columns: z.array(z.looseObject({ name: z.string(), type: logicalType, nullable: z.boolean() })),
  primaryKey: names,
})

const readRequest = z.looseObject({
  object: z.string(),
  query: z.string().exactOptional(),
  options,
  drift: z.enum(['freeze', 'evolve', 'ignore']).exactOptional(),
  columns: z.array(mappedColumn),
  where: z.string().exactOptional(),
  limit: z.number().exactOptional(),
  splitBytes: z.number(),
  skipBadRows: z.boolean(),
  part: z.string().exactOptional(),
  known: names.exactOptional(),
  log: z.string().exactOptional(),
  online: z.object({ splits: z.number() }).exactOptional(),
})

const writeRequest = z.looseObject({
  object: z.string(),
  options,
  ordinal: z.number(),
  columns: z.array(mappedColumn),
  existing: tableInfo.exactOptional(),
  keys: names,
  update: z.enum(['append', 'overwrite', 'merge']),
  truncate: z.boolean(),
  before: names,
  after: names,
  skipBadRows: z.boolean(),
})

const dialect = z.looseObject({
  delimiter: z.string(),
  quote: z.string(),
  escape: z.string(),
  nullText: z.string(),
  encoding: z.string(),
})

const offer = z.discriminatedUnion('encoding', [
  z.object({ encoding: z.literal(['pg-copy-binary', 'pg-copy-text']), wire: names }),
  z.object({
    encoding: z.literal('csv'),
    types: z.array(logicalType),
    wire: names.exactOptional(),
    dialect: z.union([dialect, z.literal('any')]),
    parser: z.enum(['postgres', 'duckdb', 'none']),
  }),
  z.object({ encoding: z.literal('duckdb-sql'), types: z.array(logicalType) }),
  z.object({ encoding: z.literal('rows') }),
])

const tablePlan = z.looseObject({
  ordinal: z.number(),
  from: z.string(),
  to: z.string(),
  read: readRequest,
  write: writeRequest,
  offer,
  passedOver: names,
  guarantee: z.string(),
  statements: names,
  notes: names,
  replaces: z.string().exactOptional(),
  guesses: names.exactOptional(),
  rows: z.number().exactOptional(),
  bytes: z.number().exactOptional(),
  onRowError: z.enum(['fail', 'skip']),
  shape: z.string().exactOptional(),
  fingerprint: z.string().exactOptional(),
  increment: z
    .looseObject({
      load: z.enum(['first', 'reset', 'changes']),
      range: z.string(),
      isEmpty: z.boolean(),
      position: z.object({ tracked: z.string(), value: z.string() }),
    })
    .exactOptional(),
})

export const tablePlans = new KeptForm<TablePlan>('plan of a table', tablePlan)
