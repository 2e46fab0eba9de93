/** Parquet files as a source, through DuckDB. */

import { type DuckDBType, VARCHAR } from '@duckdb/node-api'
import { z } from 'zod'
import type { Batch, CsvDialect, DuckdbQuery } from '../batch/encoding.ts'
import type { Column } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest, ReadOptions as SplitRead } from '../contract/read.ts'
import { FILE_PATH, type TableColumn, type TableInfo } from '../contract/schema.ts'
import type { ChecksumTarget, SourceTable, StoreChecksums } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { type Duckdb, quoteName, quotePath, quoteText, translate } from '../duckdb/engine.ts'
import {
  checksums,
  csvDialect,
  type Relation,
  readRelation,
  refuses,
  refuseWords,
  rowColumns,
} from '../duckdb/relation.ts'
import { FerryError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import { each } from '../objects/each.ts'
import type { ByteRange } from '../objects/store.ts'
import { bytesOf, type FileSet, fingerprintOf, headIn } from './bytes.ts'
import { FileColumns, partitionColumns } from './filecolumns.ts'
import type { ReadOptions } from './options.ts'
import { columnsOf, faultsOf, footerOf, nativesOf, parquet, rowGroupsOf } from './parquetfooter.ts'

export interface ParquetFiles {
  info: TableInfo
  set: FileSet
  /** The keys of the files, each with the path of a local file that has its footer, at least. */
  paths: Map<string, string>
  columns: Relation['columns']
  /** By the folders of the files. */
  partitions: Relation['columns']
  /** Of files that lack some of the columns: which. */
  lacking: Map<string, string[]>
  /** Whether they are made of many row groups of fewer rows than DuckDB works on at a time. */
  tiny: boolean
}

/** The columns of files, from their footers. Throws FERRY-3013 if they differ and `drift` does not allow it. */
export async function describeParquet(
  set: FileSet,
  db: Duckdb,
  drift: 'freeze' | 'evolve' | 'ignore',
  options: ReadOptions,
): Promise<ParquetFiles> {
  try {
    const paths = new Map<string, string>()
    for (const head of set.files) paths.set(head.key, '')
    await each(set.files, async head => {
      const { path } = await set.store.localFile(head, () => footerOf(set.store, head))
      paths.set(head.key, path)
    })
    const columnsIn = (key: string) => columnsOf(db, paths.get(key)!, key)
    const [first, ...others] = [...paths.keys()]
    const columns = await columnsIn(first!)
    const lacking = new Map<string, string[]>()
    for (const path of others) {
      const own = await columnsIn(path)
      const refuse = (what: string) =>
        new FerryError('FERRY-3013', `${path} ${what}`, {
          hint: 'Set `drift: evolve` to take the columns of all files, or `drift: ignore` for those of the first one.',
        })
      for (const column of own) {
        const known = columns.find(c => c.name.toLowerCase() === column.name.toLowerCase())
        if (known && known.name !== column.name) {
          throw new FerryError('FERRY-3013', `${path} has a column ${column.name}, and ${first} ${known.name}`, {
            hint: 'Copy these files as two tables, or write them with one name.',
          })
        }
        if (known && String(known.native) !== String(column.native)) {
          throw new FerryError(
            'FERRY-3013',
            `${path}: ${column.name} is ${column.native}, and ${known.native} in ${first}`,
            {
              hint: 'Copy these files as two tables, or write them with one type.',
            },
          )
        }
        if (known || drift === 'ignore') continue
        if (drift === 'freeze') throw refuse(`has a column ${column.name} that ${first} has not`)
        columns.push(column)
      }
      const missing = columns.find(c => !own.some(o => o.name === c.name))
      if (missing && drift !== 'evolve') throw refuse(`has no column ${missing.name}, which ${first} has`)
    }
    for (const path of drift === 'evolve' ? paths.keys() : []) {
      const own = new Set((await columnsIn(path)).map(c => c.name))
      const missing = columns.filter(c => !own.has(c.name)).map(c => c.name)
      if (missing.length > 0) lacking.set(path, missing)
    }
    const list = `[${[...paths.values()].map(quotePath).join(', ')}]`
    const [count] = await db.all(
      `SELECT sum(num_rows)::DOUBLE AS rows, sum(num_row_groups)::DOUBLE AS groups FROM parquet_file_metadata(${list})`,
    )
    const unreadable = new Map<string, TableColumn['unreadable']>()
    const cut = new Set<string>()
    const partitions = partitionColumns(set, options, columns)
    const natives = await nativesOf(db, partitions)
    for (const path of paths.values()) {
      const faults = await faultsOf(db, path, options.nanoseconds === 'cut')
      for (const [name, fault] of faults.unreadable) unreadable.set(name, fault)
      for (const name of faults.cut) cut.add(name)
    }
    const info: TableInfo = {
      object: set.name,
      columns: [
        ...columns.map(c => {
          const fault = unreadable.get(c.name)
          return { name: c.name, type: c.type, nullable: true, ...(fault ? { unreadable: fault } : {}) }
        }),
        ...partitions,
      ],
      ...(cut.size > 0 ? { guesses: [`${[...cut].join(', ')} to microseconds: what is finer is cut`] } : {}),
      primaryKey: [],
      bytes: bytesOf(set)!,
      rows: Number(count?.rows ?? 0),
    }
    const tiny = Number(count?.groups ?? 0) > 100 && info.rows! < Number(count!.groups) * VECTOR_ROWS
    const apart = partitions.map((p, i) => ({ ...p, native: natives[i]! }))
    return { info, set, paths, columns, partitions: apart, lacking, tiny }
  } catch (error) {
    throw translate(error, set.name)
  }
}

/** Rows of a row group as DuckDB and most writers make them: splits are cut at their multiples. */
const GROUP_ROWS = 122_880
/** Rows that DuckDB works on at a time. */
const VECTOR_ROWS = 2048
/** How much larger rows are than their Parquet bytes, about. */
const EXPANSION = 3

/** The column of DuckDB with the number of a row in its file. */
const ROW_NUMBER = 'file_row_number'

const piece = z.object({
  paths: z.array(z.string()),
  /** Row numbers within the file, the last one excluded. */
  from: z.number().exactOptional(),
  to: z.number().exactOptional(),
})
type Piece = z.output<typeof piece>
const pieces = new KeptForm('split of Parquet files', piece)

export class ParquetSourceTable implements SourceTable {
  readonly rowColumns: Column[]
  private readonly files: ParquetFiles
  private readonly request: ReadRequest
  private readonly db: () => Promise<Duckdb>
  private readonly fileColumns: FileColumns

  constructor(files: ParquetFiles, request: ReadRequest, db: () => Promise<Duckdb>) {
    this.files = files
    this.request = request
    this.db = db
    this.fileColumns = new FileColumns(files.set, files.partitions, request)
    this.rowColumns = rowColumns(this.whole, request.columns)
  }

  /** The files with these keys as a relation of DuckDB; `path` is the local file of the only one, if it is not that of the footer. */
  private relation(keys: string[], { option, path }: { option?: string; path?: string } = {}): Relation {
    const { lacking, paths, partitions, columns: own } = this.files
    const [key] = keys
    const isOne = keys.length === 1
    const added = this.fileColumns.columns.map(
      c => partitions.find(p => p.name === c.name) ?? { ...c, native: VARCHAR as DuckDBType },
    )
    const columns = [...own, ...added]
    // Of one file its path and its folders are constants.
    const options = [...(!isOne && this.namesFile ? [`filename = '${FILE_PATH}'`] : []), ...(option ? [option] : [])]
    if (lacking.size > 0 && !isOne) options.push('union_by_name = true')
    const sql = parquet(isOne && path !== undefined ? [path] : keys.map(k => paths.get(k)!), options.join(', '))
    const missing = isOne ? (lacking.get(key!) ?? []) : []
    const texts = isOne ? this.fileColumns.textsOf(key!) : []
    const constants = [
      ...missing.map(name => `NULL::${own.find(c => c.name === name)!.native} AS ${quoteName(name)}`),
      ...added.flatMap(({ name, native }, i) => {
        // Of several files DuckDB itself names each; what their folders say is read file by file.
        if (!isOne && name === FILE_PATH) return []
        const text = texts[i] ?? null
        return [`${text === null ? 'NULL' : quoteText(text)}::${native} AS ${quoteName(name)}`]
      }),
    ]
    const relation = constants.length === 0 ? sql : `(SELECT *, ${constants.join(', ')} FROM ${sql})`
    // Many threads hold back each row group on its own until those before it are written: of tiny ones, megabytes for a row.
    const setup = this.files.tiny ? ['SET threads = 1'] : []
    return { sql: relation, setup, teardown: setup.map(() => 'RESET threads'), columns }
  }

  private get namesFile(): boolean {
    return this.fileColumns.columns.some(c => c.name === FILE_PATH)
  }

  /** True if files are read one by one: bytes are fetched as they are needed, or rows have what the folders of their file say. */
  private get isApart(): boolean {
    return !this.isHere || this.fileColumns.columns.some(c => c.name !== FILE_PATH)
  }

  /** True if the files are local ones: DuckDB reads them where they are. */
  private get isHere(): boolean {
    return this.files.set.store.fileAt !== undefined
  }

  /** All files. */
  private get whole(): Relation {
    return this.relation([...this.files.paths.keys()])
  }

  /** Throws where the filter is none, is more than one statement, or has a parameter, which nothing fills. */
  async refuseFilter(): Promise<void> {
    if (this.request.where !== undefined) {
      await refuseWords(await this.db(), this.whole, this.request, this.files.set.name)
    }
  }

  refuses(offer: Offer): string | undefined {
    return refuses(this.whole, this.request.columns, offer)
  }

  csvDialect(): CsvDialect {
    return csvDialect()
  }

  /** Places are rows of a file: they hold as long as it is the same. */
  async fingerprint(): Promise<string | undefined> {
    return fingerprintOf(this.files.set)
  }

  /** Ranges of rows within each file: DuckDB reads only the row groups that they touch. A query takes all at once, if they are here. */
  async splits(offer: Offer): Promise<Split[]> {
    const { paths } = this.files
    if (this.request.limit !== undefined || (offer.encoding === 'duckdb-sql' && !this.isApart)) {
      return [this.split(0, { paths: [...paths.keys()] }, this.files.info.rows ?? 0)]
    }
    const db = await this.db()
    // Rows are counted by a column of DuckDB's own, which a file may have, too.
    const isCut = !this.files.columns.some(c => c.name.toLowerCase() === ROW_NUMBER)
    const splits: Split[] = []
    for (const [key, path] of paths) {
      const [count] = await db.all(
        `SELECT num_rows::DOUBLE AS rows, file_size_bytes::DOUBLE AS bytes FROM parquet_file_metadata(${quotePath(path)})`,
      )
      const { rows, bytes } = count as { rows: number; bytes: number }
      const each =
        Math.max(1, Math.round((this.request.splitBytes * rows) / (bytes * EXPANSION * GROUP_ROWS))) * GROUP_ROWS
      if (!isCut || rows <= each * 1.5) splits.push(this.split(splits.length, { paths: [key] }, rows))
      else {
        // What is not here is fetched by row groups, each of them once.
        const ends = this.isHere ? [] : (await rowGroupsOf(db, path)).map(group => group.to)
        for (let from = 0; from < rows; ) {
          const to = ends.find(end => end >= from + each || end === rows) ?? from + each
          splits.push(this.split(splits.length, { paths: [key], from, to }, Math.min(to, rows) - from))
          from = to
        }
      }
    }
    return splits
  }

  checksums(target: ChecksumTarget): StoreChecksums | undefined {
    if (this.isApart) return undefined
    const open = async () => (await this.db()).sibling()
    return checksums(open, this.whole, this.request, target)
  }

  private split(id: number, piece: Piece, rows: number): Split {
    const { info } = this.files
    const range = piece.from === undefined ? '' : ` rows ${piece.from} to ${piece.to! - 1}`
    const label = piece.paths.length === 1 ? `${piece.paths[0]}${range}` : `${piece.paths.length} files`
    const bytes = Math.round(((info.bytes ?? 0) * rows) / Math.max(1, info.rows ?? 1))
    return { id, label, spec: pieces.write(piece), rows, bytes }
  }

  async *read(split: Split, { offer, signal }: SplitRead): AsyncGenerator<Batch> {
    const piece = pieces.read(split.spec)
    if (!this.isApart) {
      yield* this.readHere(piece, this.request, { offer, signal, place: split.label })
      return
    }
    let left = this.request.limit
    for (const key of piece.paths) {
      if (left !== undefined && left <= 0) return
      const { path, release } = await this.files.set.store.localFile(headIn(this.files.set, key), () =>
        this.ranges(key, piece),
      )
      const request = left === undefined ? this.request : { ...this.request, limit: left }
      try {
        for await (const batch of this.readHere({ ...piece, paths: [key] }, request, {
          offer,
          signal,
          place: key,
          path,
        })) {
          if (left !== undefined && batch.kind === 'rows') left -= batch.rows.length
          yield batch
        }
      } finally {
        await release()
      }
    }
  }

  async lend(offer: Offer): Promise<DuckdbQuery | undefined> {
    if (this.isApart || this.files.tiny || this.request.limit !== undefined) return undefined
    const { signal } = new AbortController()
    const place = this.files.set.name
    for await (const batch of this.readHere({ paths: [...this.files.paths.keys()] }, this.request, {
      offer,
      signal,
      place,
    })) {
      return batch.kind === 'query' ? batch.query : undefined
    }
    return undefined
  }

  /** The bytes of a file that a piece of it needs. */
  private async ranges(key: string, { from = 0, to = Infinity }: Piece): Promise<ByteRange[]> {
    const { set, paths } = this.files
    // A filter may read what no row has.
    if (this.request.where !== undefined) return [{ start: 0 }]
    const groups = await rowGroupsOf(await this.db(), paths.get(key)!)
    const wanted = new Set(this.request.columns.map(c => c.from))
    const chunks = groups
      .filter(group => group.to > from && group.from < to)
      .flatMap(group => group.columns.filter(c => wanted.has(c.name)))
    return [...(await footerOf(set.store, headIn(set, key))), ...chunks]
  }

  private async *readHere(
    piece: Piece,
    request: ReadRequest,
    { path, ...options }: { offer: Offer; signal: AbortSignal; place: string; path?: string },
  ): AsyncGenerator<Batch> {
    const open = async () => (await this.db()).sibling()
    const at = path === undefined ? {} : { path }
    if (piece.from === undefined) {
      yield* readRelation(open, this.relation(piece.paths, at), request, options)
      return
    }
    const numbered = this.relation(piece.paths, { ...at, option: `${ROW_NUMBER} = true` })
    const condition = `${ROW_NUMBER} >= ${piece.from} AND ${ROW_NUMBER} < ${piece.to}`
    yield* readRelation(open, numbered, request, { ...options, condition })
  }
}
