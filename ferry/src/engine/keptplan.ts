/**
 * The plan of a table as the state stores it. What connectors add to tables and columns is stored unchanged: the
 * schema checks only what the engine needs.
 */
import { z } from 'zod'
import { logicalType } from '../batch/typeschema.ts'
import { encodingSchema } from '../connectors/registry.ts'
import type { Offer } from '../contract/encodings.ts'
import { KeptForm } from '../kept.ts'
import type { TablePlan } from './tableplan.ts'

const names = z.array(z.string())
const options = z.record(z.string(), z.unknown())

const textForm = z.object({ format: z.string().exactOptional(), culture: z.string().exactOptional() })

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
  texts: z
    .object({ as: logicalType, parse: textForm.exactOptional(), print: textForm.exactOptional() })
    .exactOptional(),
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

/** The form in which rows travel, by the schema of whom it belongs to. */
const offer = z.looseObject({ encoding: z.string() }).superRefine((value, context) => {
  const schema = encodingSchema(value.encoding)
  if (!schema) context.addIssue({ code: 'custom', path: ['encoding'], message: `no store knows ${value.encoding}` })
  for (const { path, message } of schema?.safeParse(value).error?.issues ?? []) {
    context.addIssue({ code: 'custom', path, message })
  }
}) as unknown as z.ZodType<Offer>

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
  places: z.object({ from: z.string(), to: z.string() }).exactOptional(),
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

/** Version 1 named the store that reads the fields of CSV, and not what becomes of those that do not fit. */
const MISFITS: Record<string, string> = { postgres: 'refused', duckdb: 'rounded', none: 'kept' }

function withMisfits(old: unknown): unknown {
  const { offer, ...plan } = old as { offer: { encoding: string; parser?: string } }
  const { parser, ...rest } = offer
  return { ...plan, offer: parser === undefined ? rest : { ...rest, misfits: MISFITS[parser] } }
}

export const tablePlans = new KeptForm<TablePlan>('plan of a table', tablePlan, [old => old, withMisfits])
