/** The files connector's own options, under `read` and `write` of a table. */

import { z } from 'zod'
import { valueOf } from '../batch/valueof.ts'
import { checkOptions } from '../contract/settings.ts'
import { FerryError } from '../errors.ts'
import { parseSize, sizeOf } from '../size.ts'

export type Format = 'csv' | 'jsonl' | 'json' | 'parquet' | 'binary'
export type Compression = 'none' | 'gzip' | 'zstd'

const delimiter = z
  .string()
  .length(1)
  .refine(d => !/[\r\n"\0]/.test(d), 'must be a character that stands between fields')

const format = z
  .enum(['csv', 'tsv', 'jsonl', 'json', 'parquet', 'binary'])
  .optional()
  .describe('Where the name does not tell it; `binary`: files as they are, unread')

export const readSchema = z
  .strictObject({
    format,
    compression: z
      .enum(['none', 'gzip', 'zstd'])
      .optional()
      .describe('Where the name does not tell it (`.gz`, `.zst`)'),
    encoding: z
      .string()
      .max(40)
      .optional()
      .describe(
        'Character encoding of text files, for example `latin1`; by the first bytes where omitted, else `utf-8`',
      ),
    delimiter: delimiter.optional().describe('CSV: found out where omitted'),
    quote: z.string().max(1).default('"').describe('CSV: empty for none'),
    escape: z
      .string()
      .max(1)
      .optional()
      .describe('CSV: what stands before a quote inside quotes; the quote where omitted'),
    header: z.boolean().optional().describe('CSV: whether the first record names the columns; found out where omitted'),
    skipLines: z
      .number()
      .int()
      .min(0)
      .max(100_000)
      .default(0)
      .describe('CSV: lines at the beginning of each file that are no records; empty ones are not counted'),
    names: z.array(z.string().min(1)).optional().describe('CSV: names of the columns, in place of those of the header'),
    nullText: z.string().default('').describe('CSV: unquoted text that stands for null'),
    infer: z.boolean().default(true).describe('CSV: whether types are found out; otherwise columns are text'),
    sample: z.number().int().positive().default(10_000).describe('Records that types are found out from'),
    recursive: z.boolean().default(false).describe('Whether the name of a folder means all files below it'),
    modifiedFrom: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('Only files that were changed at this moment or after it: `2026-01-31T00:00:00Z`'),
    modifiedBefore: z.iso.datetime({ offset: true }).optional().describe('Only files that were changed before it'),
    partitions: z
      .boolean()
      .default(false)
      .describe('Whether names of folders such as `year=2026` are columns of the rows in them'),
    partitionRoot: z
      .string()
      .min(1)
      .max(2000)
      .optional()
      .describe('The folder below which names of folders are columns; what is read where omitted'),
    detectDatetime: z
      .boolean()
      .default(true)
      .describe('JSON: whether texts such as `2024-01-31T08:00:00Z` become instants in a table'),
    unwind: z
      .string()
      .min(1)
      .optional()
      .describe('JSON: path of an array: a row for each of its elements, as `lines` of an order'),
    hierarchy: z
      .enum(['preserve', 'flatten'])
      .default('preserve')
      .describe('Binary: whether files keep their folders, or come into one, each with a hash of its path in its name'),
    nanoseconds: z
      .enum(['refuse', 'cut'])
      .default('refuse')
      .describe('Parquet: whether instants in nanoseconds may be cut to microseconds'),
    types: z
      .record(z.string(), z.string())
      .optional()
      .describe('Logical types of columns that should not be found out'),
  })
  .refine(o => o.quote === '' || o.quote !== o.delimiter, {
    path: ['quote'],
    message: 'must be another character than the delimiter',
  })

export const writeSchema = z.strictObject({
  format,
  compression: z
    .enum(['none', 'gzip', 'zstd', 'snappy'])
    .optional()
    .describe('Where the name does not tell it; Parquet: snappy where omitted'),
  delimiter: delimiter.optional().describe('CSV: comma; tab for `tsv`'),
  header: z.boolean().default(true).describe('CSV: whether the first record names the columns'),
  nullText: z.string().default('').describe('CSV: what stands for null'),
  quote: z.string().max(1).default('"').describe('CSV: empty for none; a text that needs quotes is then rejected'),
  escape: z
    .string()
    .max(1)
    .optional()
    .describe('CSV: what stands before a quote inside quotes; the quote where omitted'),
  quoteAll: z.boolean().default(false).describe('CSV: whether every text is in quotes'),
  rowEnd: z.enum(['\n', '\r\n']).default('\n').describe('CSV: what ends a record'),
  nan: z
    .enum(['refuse', 'null', 'string'])
    .default('refuse')
    .describe('JSON: what becomes of NaN and the infinities, which JSON has no numbers for'),
  partitionBy: z
    .array(z.string().min(1))
    .min(1)
    .max(8)
    .optional()
    .describe('A folder: columns whose values name folders in it, `year=2026/month=7/`, and which are in no file'),
  merge: z.boolean().default(false).describe('Binary: one file of all, one after the other'),
  deleteAfter: z.boolean().default(false).describe('Binary: remove each file at the source when its copy is stored'),
  rowsPerFile: z.number().int().positive().optional().describe('Begin a new file after so many rows'),
  bytesPerFile: z
    .union([z.number().positive(), z.string()])
    .refine(size => parseSize(size), 'is not a size such as 64MB')
    .optional()
    .describe('Begin a new file after about so many bytes, before compression'),
})

export type ReadOptions = z.output<typeof readSchema>

export type WriteOptions = z.output<typeof writeSchema>

export function readOptions(options: Record<string, unknown>): ReadOptions {
  return checkOptions(readSchema, options, 'read')
}

export function writeOptions(options: Record<string, unknown>): WriteOptions & { bytes?: number } {
  const checked = checkOptions(writeSchema, options, 'write')
  if (checked.bytesPerFile === undefined) return checked
  return { ...checked, bytes: sizeOf(checked.bytesPerFile, 'write.bytesPerFile') }
}

const EXTENSIONS: Record<string, Format> = {
  csv: 'csv',
  tsv: 'csv',
  txt: 'csv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  parquet: 'parquet',
  pq: 'parquet',
}

/** The pattern of files with a known ending. Parquet compresses its own parts, text is compressed as a whole. */
export const KNOWN_FILES = `**/*.{${Object.entries(EXTENSIONS)
  .flatMap(([e, format]) => (format === 'parquet' ? [e] : [e, `${e}.gz`, `${e}.zst`]))
  .join(',')}}`

/** Format and compression by a file's name: `orders.csv.gz`. */
export function fromName(name: string): { format?: Format; compression: Compression; delimiter?: string } {
  const found = byEnding(name)
  // What follows a name in an address is not of it.
  return found.format === undefined && name.includes('?') ? byEnding(name.replace(/\?.*$/s, '')) : found
}

function byEnding(name: string): { format?: Format; compression: Compression; delimiter?: string } {
  const parts = name.toLowerCase().split('.').slice(1)
  const last = parts.at(-1)
  const compression: Compression = last === 'gz' ? 'gzip' : last === 'zst' || last === 'zstd' ? 'zstd' : 'none'
  const extension = compression === 'none' ? last : parts.at(-2)
  const format = extension === undefined ? undefined : valueOf(EXTENSIONS, extension)
  return {
    compression,
    format,
    ...(extension === 'tsv' ? { delimiter: '\t' } : {}),
  }
}

const ENDINGS = { none: '', gzip: '.gz', zstd: '.zst', snappy: '' }

/** The ending of a file's name for format and compression: `csv.gz`. Parquet compresses its own parts. */
export function endingOf(format: string, compression: Compression | 'snappy'): string {
  return `${format}${format === 'parquet' ? '' : ENDINGS[compression]}`
}

/** A file's name without the ending for its format: `orders.csv.gz` and `orders` are both `orders`; `*` is left out. */
export function stem(file: string): string {
  const ending = new RegExp(`\\.(${Object.keys(EXTENSIONS).join('|')})(\\.(gz|zst|zstd))?$`, 'i')
  const path = ending.test(file) ? file : file.replace(/\?.*$/s, '')
  const bare = path.replace(ending, '').replace(/[*?]/g, '')
  return bare === '' ? 'files' : bare
}

/** The format by the options, else by the name. Throws FERRY-2003 if neither determines it. */
export function formatOf(name: string, options: { format?: string | undefined }): Format {
  const named = options.format === 'tsv' ? 'csv' : (options.format as Format | undefined)
  const format = named ?? fromName(name).format
  if (format) return format
  throw new FerryError('FERRY-2003', `${name}: the name does not tell the format`, {
    hint: 'Say it: format csv, jsonl, json, parquet or binary (ferry copy: --format, --to-format).',
  })
}
