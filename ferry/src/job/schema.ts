/** The copy job: what a job file may say, checked by one zod schema. */
import { z } from 'zod'
import { scheduleSchema, triggerSchema } from './schedules.ts'

/** Names and words; statements may be longer. */
const text = z.string().min(1).max(4000)
/** No store's statement holds a NUL character: some end there in silence. */
export const statement = z
  .string()
  .min(1)
  .max(200_000)
  .refine(words => !words.includes('\0'), { message: 'a NUL character is in it' })
const scalar = z.union([z.string().max(100_000), z.number(), z.boolean()])

/** Either a named connection, a locator, or a kind with its settings. */
const endpoint = z.union([
  text,
  z.strictObject({ connection: text }),
  z.looseObject({ kind: text }).describe('A connector kind with its settings'),
])

const format = z.string().min(1).max(200)
const culture = z.string().min(2).max(40)

const columnTarget = z.union([
  text,
  z.strictObject({
    to: text.optional().describe('Name at the destination'),
    type: text.optional().describe('Logical type at the destination, e.g. `decimal(10,2)`'),
    default: scalar.optional().describe('Value in place of null'),
    parse: z
      .strictObject({ type: text.optional(), format: format.optional(), culture: culture.optional() })
      .optional()
      .describe('How texts of the source say a date, a time or a number: `{ format: dd.MM.yyyy, culture: de-DE }`'),
    print: z
      .strictObject({ format: format.optional(), culture: culture.optional() })
      .optional()
      .describe('How a date, a time or a number becomes a text'),
  }),
])

const constant = z.union([scalar, z.strictObject({ value: scalar, type: text.optional() })])

/** Settings of how a table is copied: for one table, or under `defaults` for all. */
const tableSettings = {
  update: z.enum(['append', 'overwrite', 'merge']).describe('How rows are written at the destination'),
  keys: z.array(text).min(1).max(1000).describe('Merge keys; the primary key where omitted'),
  tracking: z
    .enum(['watermark', 'cdc'])
    .describe('How an incremental copy finds changes: by a column that grows, or from the log of the store'),
  incrementalColumn: text.describe('Column that grows with every change; each run copies what is beyond the last one'),
  mergeKind: z
    .enum(['scd1', 'scd2'])
    .describe('`scd2` keeps every version of a row, in `valid_from`, `valid_to`, `is_current`; `scd1` the last one'),
  deletes: z
    .enum(['apply', 'mark', 'ignore'])
    .describe('What becomes of rows that the log says were deleted: deleted too, marked in `_deleted_at`, or kept'),
  audit: z
    .union([
      z.boolean(),
      z.strictObject({
        run: text.optional(),
        job: text.optional(),
        loadedAt: text.optional(),
        source: text.optional(),
      }),
    ])
    .describe(
      'Columns that say which run of which job wrote a row, when, and from where: `true`, or names of their own',
    ),
  overlap: z
    .union([z.number().positive(), text])
    .describe('How far before the last value an incremental copy reads again: `10 min`, or an amount such as `1000`'),
  columns: z
    .record(text, columnTarget)
    .describe('Source column -> destination name, or { to, type, default }; only these'),
  constants: z.record(text, constant).describe('Destination column -> the same value in every row'),
  texts: z
    .strictObject({
      timestamp: format.optional(),
      timestamptz: format.optional(),
      date: format.optional(),
      time: format.optional(),
      interval: format.optional(),
      culture: culture.optional(),
      print: z.boolean().optional(),
    })
    .describe(
      'Formats and culture where one side of a column is text, as `{ date: dd/MM/yyyy, culture: en-GB }`; `print`: new columns become texts',
    ),
  casing: z.enum(['asIs', 'lower', 'upper', 'snake']).describe('Spelling of destination column names'),
  where: statement.describe("Filter in the source's own language"),
  limit: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).describe('At most so many rows'),
  create: z.enum(['ifMissing', 'never']).describe('Whether a missing destination table is created'),
  drift: z
    .enum(['freeze', 'evolve', 'ignore'])
    .describe(
      'When the columns of the source change: stop and name the change, change the destination too, or leave it as it is',
    ),
  truncate: z.boolean().describe('Empty the destination before a full copy'),
  narrowing: z.enum(['refuse', 'check']).describe('`check`: values into a narrower type, each one checked'),
  onRowError: z.enum(['fail', 'skip']).describe('What happens to a row that cannot be copied'),
  before: z
    .union([statement, z.array(statement).max(1000)])
    .describe('SQL at the destination, once, before the first row'),
  after: z
    .union([statement, z.array(statement).max(1000)])
    .describe('SQL at the destination, once, after the last row'),
  splitSize: z.union([z.number().positive(), text]).describe('About how much one split holds, e.g. `64MB`'),
  read: z.record(text, z.unknown()).describe("The source connector's own options: format, header, delimiter, ..."),
  write: z.record(text, z.unknown()).describe("The destination connector's own options: format, compression, ..."),
}

const settings = z.strictObject(tableSettings).partial()

const tableSchema = z
  .strictObject({
    from: text.optional().describe('Source object; `*` and `?` match many'),
    query: statement.optional().describe('A query as the source'),
    to: text.optional().describe('Destination object; {schema} and {table} stand for the source name'),
    ...settings.shape,
  })
  .refine(t => (t.from === undefined) !== (t.query === undefined), { message: 'a table has either `from` or `query`' })
  .refine(t => t.query === undefined || t.to !== undefined, { message: 'a `query` needs `to`' })

/** A list whose members have names of their own. */
function named<T extends z.ZodType<{ name: string }>>(item: T) {
  return z
    .array(item)
    .max(100)
    .refine(all => new Set(all.map(i => i.name)).size === all.length, 'two have one name')
    .default([])
}

export const jobSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'letters, digits, dot, dash and underscore, at most 100')
      .describe('Unique name of the job'),
    description: z.string().max(10_000).optional(),
    tags: z
      .record(text, z.string().max(4000))
      .optional()
      .describe('Names of your own, such as a team; other systems keep theirs here'),
    source: endpoint.describe('Where rows come from'),
    destination: endpoint.describe('Where rows go to'),
    mode: z.enum(['full', 'incremental', 'online']).default('full'),
    ...settings.shape,
    defaults: settings.optional().describe('Settings for all tables; a table overrides them'),
    tables: z
      .array(z.union([text, tableSchema]))
      .min(1)
      .max(20_000),
    include: z
      .literal('views')
      .optional()
      .describe('`views`: patterns match views too; a view that is named is copied anyway'),
    exclude: z.array(text).max(1000).default([]).describe('Patterns of objects that are not copied'),
    limits: z
      .strictObject({
        parallel: z.number().int().min(1).max(64).optional().describe('Splits at work at one time'),
        rowsPerSecond: z.number().positive().max(1e15).optional(),
        bytesPerSecond: z.union([z.number().positive(), text]).optional().describe('e.g. `20MB`'),
      })
      .default({})
      .describe('How fast the job may go: parallel, rowsPerSecond, bytesPerSecond'),
    schedules: named(scheduleSchema).describe('When a server runs the job by the clock'),
    triggers: named(triggerSchema).describe('What makes a server run the job: files, a call, another job'),
  })
  .refine(job => !job.triggers.some(t => t.after === job.name), {
    message: 'a job that runs behind itself never ends',
    path: ['triggers'],
  })

export type CopyJob = z.output<typeof jobSchema>
export type TableSettings = z.output<typeof settings>
export type TableEntry = z.output<typeof tableSchema>
export type EndpointSpec = z.output<typeof endpoint>
