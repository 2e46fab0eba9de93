/**
 * Documentation that follows from the code: `node scripts/docs.ts` writes it, a test checks that it is up to date.
 * In a README the parts between `<!-- made: NAME -->` and `<!-- end -->` are made here; the rest is written by hand.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { type LogicalType, parseType, typeName } from '../ferry/src/batch/types.ts'
import { settingsSchema as azureblobSettings } from '../ferry/src/connectors/azureblob/settings.ts'
import * as cosmosOptions from '../ferry/src/connectors/cosmos/options.ts'
import { settingsSchema as cosmosSettings } from '../ferry/src/connectors/cosmos/settings.ts'
import { settingsSchema as duckdbSettings } from '../ferry/src/connectors/duckdb/settings.ts'
import { settingsSchema as filesSettings } from '../ferry/src/connectors/files/settings.ts'
import { settingsSchema as gcsSettings } from '../ferry/src/connectors/gcs/settings.ts'
import { settingsSchema as httpSettings } from '../ferry/src/connectors/http/settings.ts'
import { settingsSchema as mysqlSettings } from '../ferry/src/connectors/mysql/settings.ts'
import * as mysqlTypes from '../ferry/src/connectors/mysql/types.ts'
import { settingsSchema as postgresSettings } from '../ferry/src/connectors/postgres/settings.ts'
import * as postgresTypes from '../ferry/src/connectors/postgres/types.ts'
import { settingsSchema as s3Settings } from '../ferry/src/connectors/s3/settings.ts'
import { settingsSchema as sftpSettings } from '../ferry/src/connectors/sftp/settings.ts'
import { settingsSchema as sqliteSettings } from '../ferry/src/connectors/sqlite/settings.ts'
import * as sqliteTypes from '../ferry/src/connectors/sqlite/types.ts'
import { ABSENT, FUNCTION_NAMES } from '../ferry/src/dataflow/functions/registry.ts'
import { KNOWN, NOT_HERE } from '../ferry/src/dataflow/properties.ts'
import * as duckdbTypes from '../ferry/src/duckdb/logical.ts'
import { ERRORS } from '../ferry/src/errors.ts'
import { DATASET_TYPES } from '../ferry/src/facades/datafactory/datasets.ts'
import { REDIRECTED, STORES } from '../ferry/src/facades/datafactory/linkedservices.ts'
import { ACTIVITY_TYPES } from '../ferry/src/facades/datafactory/program.ts'
import {
  COPY,
  READ_FORMAT,
  READ_STORE,
  REST_SINK,
  REST_SOURCE,
  SINK,
  SOURCE,
  WRITE_FORMAT,
  WRITE_STORE,
} from '../ferry/src/facades/datafactory/properties.ts'
import { readSchema, writeSchema } from '../ferry/src/formats/options.ts'
import { scheduleSchema, triggerSchema } from '../ferry/src/job/schedules.ts'
import { jobSchema } from '../ferry/src/job/schema.ts'
import { TABLE_DEFAULTS } from '../ferry/src/job/tables.ts'
import { FUNCTIONS } from '../ferry/src/pipelines/expressions/functions.ts'

const root = join(import.meta.dirname, '..')

/** The logical types that the type tables show. */
const SHOWN = [
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint32',
  'uint64',
  'float32',
  'float64',
  'decimal(10,2)',
  'decimal(50,10)',
  'decimal',
  'utf8',
  'utf8(20)',
  'json',
  'uuid',
  'binary',
  'date',
  'time',
  'timestamp[ms]',
  'timestamp[us]',
  'timestamp[ns]',
  'timestamp[us, tz]',
  'interval',
  'list<int32>',
  'struct<a: int32>',
  'map<utf8, int64>',
]

const cell = (text: string) => text.replaceAll('|', '\\|')

function table(headings: string[], rows: string[][]): string {
  const lines = [headings, headings.map(() => '---'), ...rows]
  return lines.map(row => `| ${row.map(cell).join(' | ')} |`).join('\n')
}

/** Name, values and meaning of each key of a zod object. */
function options(schema: z.ZodObject, defaults: Record<string, unknown> = {}): string {
  const rows = Object.entries(schema.shape).map(([name, field]) => {
    const { values, fallback } = describe(field as unknown as Described)
    return [
      `\`${name}\``,
      values,
      name in defaults ? `\`${JSON.stringify(defaults[name])}\`` : fallback,
      (field as unknown as Described).description ?? inner(field as unknown as Described)?.description ?? '',
    ]
  })
  return table(['name', 'values', 'default', 'meaning'], rows)
}

interface Described {
  description?: string
  def: {
    type: string
    innerType?: Described
    defaultValue?: unknown
    entries?: Record<string, string>
    options?: Described[]
    in?: Described
    values?: unknown[]
    element?: Described
  }
}

function inner(field: Described): Described | undefined {
  return field.def.innerType
}

function describe(field: Described): { values: string; fallback: string } {
  if (field.def.type === 'default') {
    return { ...describe(field.def.innerType!), fallback: `\`${JSON.stringify(field.def.defaultValue)}\`` }
  }
  if (field.def.type === 'optional') return { ...describe(field.def.innerType!), fallback: '' }
  if (field.def.type === 'enum')
    return {
      values: Object.values(field.def.entries!)
        .map(v => `\`${v}\``)
        .join(', '),
      fallback: '',
    }
  if (field.def.type === 'union')
    return { values: field.def.options!.map(o => describe(o).values).join(' or '), fallback: '' }
  if (field.def.type === 'array') return { values: `list of ${describe(field.def.element!).values}`, fallback: '' }
  if (field.def.type === 'literal') return { values: field.def.values!.map(v => `\`${v}\``).join(', '), fallback: '' }
  const plain = { record: 'map', object: 'map', string: 'text' }
  return { values: plain[field.def.type as keyof typeof plain] ?? field.def.type, fallback: '' }
}

function types(native: (type: LogicalType) => string, held: (type: LogicalType) => LogicalType): string {
  const rows = SHOWN.map(name => {
    const type = parseType(name)!
    const back = held(type)
    return [name, `\`${native(type)}\``, typeName(back) === typeName(type) ? '' : typeName(back)]
  })
  return table(['logical type', 'created as', 'read back as'], rows)
}

function errors(): string {
  const groups: Record<string, string> = {
    1: 'The job and its words',
    2: 'Connections',
    3: 'The plan',
    4: 'The data',
    5: 'Runs and state',
    6: 'The server',
    7: 'Pipelines',
    9: 'Anything else',
  }
  const parts = [
    '# Errors',
    '',
    'Every error has a code, says where it happened (table, column, key, line) and what to do. With `--json` the code, message and hint come as an object. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 paused or cancelled.',
  ]
  let group = ''
  for (const [code, [meaning, advice]] of Object.entries(ERRORS)) {
    if (code[6] !== group) {
      group = code[6]!
      parts.push('', `## ${groups[group]}`)
    }
    parts.push('', `### ${code}`, '', `${meaning}. ${advice}`)
  }
  return `${parts.join('\n')}\n`
}

const code = (names: Iterable<string>) => [...names].map(name => `\`${name}\``).join(', ')

/** What of Data Factory runs. */
function dataFactory(): string {
  const functions = [...FUNCTIONS.values()].map(f => f.name).sort()
  const properties = [
    COPY,
    SOURCE,
    REST_SOURCE,
    READ_STORE,
    READ_FORMAT,
    SINK,
    REST_SINK,
    WRITE_STORE,
    WRITE_FORMAT,
  ].map(({ what, names }) => [what, code(names.filter(name => name !== 'type'))])
  return table(
    ['what', 'which'],
    [
      ['activities', code(ACTIVITY_TYPES)],
      ['linked services', code([...STORES, 'RestService', 'AzureKeyVault'].sort())],
      ['linked services that need a redirect', code([...REDIRECTED].sort())],
      ['datasets', code(DATASET_TYPES)],
      ['functions', code(functions)],
      ...properties.map(([what, names]) => [`properties of ${what === 'copy' ? 'a Copy' : `a ${what}`}`, names!]),
    ],
  )
}

/** What of data flows runs. */
function dataFlows(): string {
  return table(
    ['what', 'which'],
    [
      ...Object.entries(KNOWN).map(([kind, { names }]) => [`\`${kind}\``, names.length === 0 ? '' : code(names)]),
      ['functions', code(FUNCTION_NAMES)],
      ['functions that do not run here', code(ABSENT)],
      ['transformations that do not run here', code(Object.keys(NOT_HERE))],
    ],
  )
}

const settings = (schema: z.ZodObject) => options(schema)

/** All made parts by file: the whole file, or its parts by name. */
const MADE: Record<string, string | Record<string, string>> = {
  'docs/errors.md': errors(),
  'docs/adf.md': { supported: dataFactory() },
  'docs/dataflows.md': { supported: dataFlows() },
  'docs/job-file.md': { keys: options(jobSchema as unknown as z.ZodObject, TABLE_DEFAULTS) },
  'docs/schedules.md': {
    schedules: options(scheduleSchema as unknown as z.ZodObject),
    triggers: options(triggerSchema as unknown as z.ZodObject),
  },
  'ferry/src/connectors/postgres/README.md': {
    settings: settings(postgresSettings),
    types: types(postgresTypes.toNative, t => postgresTypes.toLogical(postgresTypes.toNative(t))),
  },
  'ferry/src/connectors/mysql/README.md': {
    settings: settings(mysqlSettings),
    types: types(mysqlTypes.toNative, t => mysqlTypes.toLogical(mysqlTypes.toNative(t))),
  },
  'ferry/src/connectors/sqlite/README.md': {
    settings: settings(sqliteSettings),
    types: types(sqliteTypes.toNative, t => sqliteTypes.toLogical(sqliteTypes.toNative(t))),
  },
  'ferry/src/connectors/duckdb/README.md': {
    settings: settings(duckdbSettings),
    types: types(duckdbTypes.toNative, duckdbTypes.held),
  },
  'ferry/src/connectors/cosmos/README.md': {
    settings: settings(cosmosSettings),
    read: options(cosmosOptions.readSchema),
    write: options(cosmosOptions.writeSchema),
  },
  'ferry/src/connectors/files/README.md': {
    settings: settings(filesSettings),
    read: options(readSchema),
    write: options(writeSchema),
    types: types(t => duckdbTypes.toNative(duckdbTypes.heldByParquet(t)), duckdbTypes.heldByParquet),
  },
  'ferry/src/connectors/azureblob/README.md': { settings: settings(azureblobSettings) },
  'ferry/src/connectors/gcs/README.md': { settings: settings(gcsSettings) },
  'ferry/src/connectors/http/README.md': { settings: settings(httpSettings) },
  'ferry/src/connectors/s3/README.md': { settings: settings(s3Settings) },
  'ferry/src/connectors/sftp/README.md': { settings: settings(sftpSettings) },
}

/** The files as they should be. */
export function madeFiles(): { path: string; text: string }[] {
  return Object.entries(MADE).map(([path, made]) => {
    if (typeof made === 'string') return { path, text: made }
    let text = readFileSync(join(root, path), 'utf8')
    for (const [name, part] of Object.entries(made)) {
      const pattern = new RegExp(`(<!-- made: ${name} -->\n)[\\s\\S]*?(<!-- end -->)`)
      if (!pattern.test(text)) throw new Error(`${path} has no part "${name}"`)
      text = text.replace(pattern, (_, before: string, after: string) => `${before}${part}\n${after}`)
    }
    return { path, text }
  })
}

if (process.argv[1] === import.meta.filename) {
  for (const { path, text } of madeFiles()) writeFileSync(join(root, path), text)
}
