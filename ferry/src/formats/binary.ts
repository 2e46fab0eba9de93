/**
 * Files as they are. A file is a row: its path below the folder that is copied, its size, when it was changed, and its content.
 * Between stores of files the content is not in the row: a file is copied from store to store, by the service itself if it can.
 */
import { createHash, hash } from 'node:crypto'
import { z } from 'zod'
import type { Batch, RowBatch } from '../batch/encoding.ts'
import { binary, type Column, int64, type Row, timestamptz, utf8 } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadOptions, ReadRequest } from '../contract/read.ts'
import type { TableColumn, TableInfo } from '../contract/schema.ts'
import type { ChecksumTarget, SourceTable, StoreChecksums } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { FerryError, RowError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import type { Found, ObjectHead, ObjectStore, SourceFile } from '../objects/store.ts'
import { gathered } from '../streams.ts'
import { listed, partOf } from './increment.ts'
import type { ReadOptions as FileOptions } from './options.ts'

declare module '../contract/encodings.ts' {
  interface Offers {
    /** Rows as `rows` have them, with files in the place of their content. */
    files: { encoding: 'files' }
  }
}

declare module '../batch/encoding.ts' {
  interface RowBatch {
    /** Of the form `files`: the file of each row. */
    files?: SourceFile[]
  }
}

export const FILES: Offer = { encoding: 'files' }
export const FILES_ENCODING = { files: z.object({ encoding: z.literal('files') }) }

const COLUMNS: Column[] = [
  { name: 'path', type: utf8, nullable: false },
  { name: 'size', type: int64, nullable: false },
  { name: 'modified', type: timestamptz, nullable: false },
  { name: 'content', type: binary, nullable: false },
]
/** A file whose content is a value of a row. */
const MOST_CONTENT = 256 << 20
const SPLIT_FILES = 1000
const BATCH_FILES = 128
const BATCH_BYTES = 64 << 20

/** Path, key, size, modification time in nanoseconds since 1970, and version. */
const entry = z.tuple([z.string(), z.string(), z.number(), z.string(), z.string().nullable()])
type Entry = z.output<typeof entry>
const entries = new KeptForm('files of a split', z.array(entry))

/** Undefined if there are no files. */
export async function describeFiles(found: Found, name: string): Promise<TableInfo | undefined> {
  for await (const page of found.pages) {
    if (page.length === 0) continue
    if (page[0]!.size === undefined) throw new FerryError('FERRY-3006', 'standard input is no file that has a name')
    return { object: name, columns: COLUMNS as TableColumn[], primaryKey: ['path'], deep: !found.single }
  }
  return undefined
}

export class BinarySourceTable implements SourceTable {
  readonly rowColumns = COLUMNS
  private readonly store: ObjectStore
  private readonly request: ReadRequest
  private readonly flattens: boolean
  private readonly withContent: boolean
  /** True if the name is that of one file. */
  private isSingle = false

  constructor(store: ObjectStore, request: ReadRequest, { hierarchy }: FileOptions) {
    this.store = store
    this.request = request
    this.flattens = hierarchy === 'flatten'
    this.withContent = request.columns.some(c => c.from === 'content')
    if (request.where !== undefined) {
      throw new FerryError('FERRY-3006', 'files have no filter: name those to copy by a pattern')
    }
  }

  refuses({ encoding }: Offer): string | undefined {
    if (encoding === 'rows') return undefined
    if (encoding !== 'files') return 'files as they are have no such form'
    const { columns } = this.request
    const isSame =
      columns.length === COLUMNS.length && columns.every((c, i) => c.from === COLUMNS[i]!.name && !c.checked)
    return isSame ? undefined : 'the columns are not path, size, modified and content'
  }

  /** Each split names its files. */
  async fingerprint(): Promise<undefined> {
    return undefined
  }

  private async *entries(): AsyncGenerator<Entry> {
    const { base, pages, single } = await listed(this.store, this.request.object, this.request.options)
    this.isSingle = single
    let left = this.request.limit ?? Infinity
    for await (const page of partOf(pages, this.request)) {
      for (const { key, size, modified, version } of page) {
        if (left-- <= 0) return
        if (!key.startsWith(base)) throw new FerryError('FERRY-9000', `${key} is not below ${base}`)
        const below = slashed(key.slice(base.length))
        const path = single ? baseOf(below) : below
        yield [this.flattens ? flat(path) : path, key, size!, String(modified), version ?? null]
      }
    }
  }

  async splits(): Promise<Split[]> {
    const splits: Split[] = []
    let all: Entry[] = []
    let bytes = 0
    const end = () => {
      const label = `${all[0]![0]} ...`
      splits.push({ id: splits.length, label, spec: entries.write(all), rows: all.length, bytes })
      all = []
      bytes = 0
    }
    const most = Math.max(this.request.splitBytes, 256 << 20)
    for await (const one of this.entries()) {
      all.push(one)
      bytes += one[2]
      if (all.length >= SPLIT_FILES || bytes >= most) end()
    }
    if (all.length > 0) end()
    return splits
  }

  async *read(
    split: Split,
    { offer, from, signal }: Pick<ReadOptions, 'offer' | 'from' | 'signal'>,
  ): AsyncGenerator<Batch> {
    const all = entries.read(split.spec)
    const asFiles = offer.encoding === 'files'
    for (let at = Number(from ?? 0); at < all.length; ) {
      const batch = {
        kind: 'rows' as const,
        rows: [] as Row[],
        bytes: 0,
        rejected: [] as NonNullable<RowBatch['rejected']>,
      }
      const files: SourceFile[] = []
      while (at < all.length && batch.rows.length < BATCH_FILES && batch.bytes < BATCH_BYTES) {
        const one = all[at++]!
        const [path, , size, modified] = one
        const file = this.fileOf(one)
        const row: Row = [path, BigInt(size), BigInt(modified) / 1000n, null]
        if (asFiles) files.push(file)
        else if (this.withContent) {
          const content = await this.content(file, path, signal)
          if (!(content instanceof RowError)) row[3] = content
          else if (this.request.skipBadRows) {
            batch.rejected.push({ place: path, reason: content.message, column: 'content' })
            continue
          } else throw content
        }
        batch.rows.push(row)
        batch.bytes += size
      }
      yield { ...batch, ...(asFiles ? { files } : {}), checkpoint: String(at) }
    }
  }

  private fileOf([, key, size, modified, version]: Entry): SourceFile {
    const head: ObjectHead = { key, size, modified: BigInt(modified), ...(version === null ? {} : { version }) }
    return { store: this.store, head }
  }

  private async content({ head }: SourceFile, path: string, signal: AbortSignal): Promise<Buffer | RowError> {
    if (head.size! > MOST_CONTENT) {
      const error = new RowError(
        'FERRY-4008',
        `${path}: ${head.size} bytes are more than a value may have here`,
        'content',
        {
          hint: 'Leave the column `content` out, or copy files into files: write: { format: binary }.',
        },
      )
      error.isPlaced = true
      return error
    }
    const bytes = await gathered(this.store.readRange(head, { start: 0 }, { signal }))
    await this.store.requireSame?.(head)
    return bytes
  }

  /** Over paths and contents: times are the destination's own. One file may have another name there. */
  checksums({ columns, buckets }: ChecksumTarget): StoreChecksums | undefined {
    if (columns.length !== COLUMNS.length || columns.some((c, i) => c.name !== COLUMNS[i]!.name)) return undefined
    const nameOf = (path: string) => (this.isSingle ? '' : path)
    const bucketOf = (path: string) => hash('sha256', nameOf(path), 'buffer').readUInt32LE(0) & (buckets - 1)
    const sumOf = async (one: Entry) => {
      const { head } = this.fileOf(one)
      const sum = createHash('sha256').update(JSON.stringify([nameOf(one[0]), one[2]]))
      for await (const chunk of this.store.readRange(head, { start: 0 }, { chunk: 1 << 20 }))
        sum.update(chunk as Buffer)
      return sum.digest('hex').slice(0, 32)
    }
    const all = () => this.entries()
    return {
      by: 'sha256 of files',
      buckets: async () => {
        const found = new Map<number, { rows: number; sum: bigint }>()
        await sums(all(), sumOf, (one, sum) => {
          const bucket = bucketOf(one[0])
          const before = found.get(bucket) ?? { rows: 0, sum: 0n }
          found.set(bucket, { rows: before.rows + 1, sum: BigInt.asUintN(128, before.sum + BigInt(`0x${sum}`)) })
        })
        return new Map([...found].map(([bucket, { rows, sum }]) => [bucket, { rows, sum: sum.toString(16) }]))
      },
      rowsIn: async function* (chosen: number[], most: number) {
        const meant = new Set(chosen)
        let left = most
        for await (const one of all()) {
          if (!meant.has(bucketOf(one[0]))) continue
          if (left-- <= 0) return
          yield { key: JSON.stringify(nameOf(one[0]) || one[0]), sum: await sumOf(one) }
        }
      },
    }
  }
}

const AT_ONCE = 8

/** Sums of all entries, some at a time. */
async function sums(
  all: AsyncGenerator<Entry>,
  sumOf: (one: Entry) => Promise<string>,
  take: (one: Entry, sum: string) => void,
): Promise<void> {
  const lane = async () => {
    for (let next = await all.next(); !next.done; next = await all.next()) take(next.value, await sumOf(next.value))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

/** A name in one folder for a path in many: different ones for different paths. */
function flat(path: string): string {
  const [, name, ending = ''] = /^(.*?)(\.[^.]*)?$/s.exec(baseOf(path))!
  const mark = `-${hash('sha256', path, 'hex').slice(0, 10)}`
  // A name has 255 bytes at most.
  let short = name!
  while (Buffer.byteLength(short) + Buffer.byteLength(ending) + mark.length > 250 && short !== '') {
    short = [...short].slice(0, -1).join('')
  }
  return `${short}${mark}${ending}`
}

/** Elsewhere a backslash is a character of a name. */
const slashed = (path: string): string => (process.platform === 'win32' ? path.replaceAll('\\', '/') : path)

const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
