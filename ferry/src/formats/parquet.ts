/** Parquet files as a source, through DuckDB. */

import { VARCHAR } from '@duckdb/node-api'
import { z } from 'zod'
import type { Batch, CsvDialect } from '../batch/encoding.ts'
import { type Column, utf8 } from '../batch/types.ts'
import type { Offer } from '../contract/encodings.ts'
import type { ReadRequest, ReadOptions as SplitRead } from '../contract/read.ts'
import { FILE_PATH, type TableColumn, type TableInfo } from '../contract/schema.ts'
import type { ChecksumTarget, SourceTable, StoreChecksums } from '../contract/source.ts'
import type { Split } from '../contract/split.ts'
import { type Duckdb, quoteName, quotePath, translate } from '../duckdb/engine.ts'
import {
  checksums,
  csvDialect,
  type Relation,
  readRelation,
  refuses,
  refuseWords,
  rowColumns,
} from '../duckdb/relation.ts'
import { toLogical } from '../duckdb/types.ts'
import { FerryError } from '../errors.ts'
import { KeptForm } from '../kept.ts'
import { bytesOf, type FileSet, fingerprintOf } from './bytes.ts'
import type { ReadOptions } from './options.ts'

export interface ParquetFiles {
  info: TableInfo
  set: FileSet
  /** The keys of the files, each with the path of a local file that has its bytes. */
  paths: Map<string, string>
  columns: Relation['columns']
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
    for (const head of set.files) paths.set(head.key, await set.store.localFile(head))
    const columnsIn = (key: string) => columnsOf(db, paths.get(key)!)
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
    for (const path of paths.values()) {
      const faults = await faultsOf(db, path, options.nanoseconds === 'cut')
      for (const [name, fault] of faults.unreadable) unreadable.set(name, fault)
      for (const name of faults.cut) cut.add(name)
    }
    const info: TableInfo = {
      object: set.name,
      columns: columns.map(c => {
        const fault = unreadable.get(c.name)
        return { name: c.name, type: c.type, nullable: true, ...(fault ? { unreadable: fault } : {}) }
      }),
      ...(cut.size > 0 ? { guesses: [`${[...cut].join(', ')} to microseconds: what is finer is cut`] } : {}),
      primaryKey: [],
      bytes: bytesOf(set)!,
      rows: Number(count?.rows ?? 0),
    }
    const tiny = Number(count?.groups ?? 0) > 100 && info.rows! < Number(count!.groups) * VECTOR_ROWS
    return { info, set, paths, columns, lacking, tiny }
  } catch (error) {
    throw translate(error, set.name)
  }
}

/** The columns of a file that DuckDB would alter or cut on reading, by the footer; parts of nested columns, too. */
async function faultsOf(db: Duckdb, path: string, cutsNanoseconds: boolean) {
  const rows = await db.all(
    `SELECT name, type, precision, logical_type AS logical, num_children AS children FROM parquet_schema(${quotePath(path)})`,
  )
  const unreadable = new Map<string, NonNullable<TableColumn['unreadable']>>()
  const cut: string[] = []
  // The parts of a column follow it; their numbers of children give the depth.
  let at = 1
  const walk = (column: string) => {
    const { type, precision, logical, children } = rows[at++]!
    const isNano = /NANOS=NanoSeconds/.test(String(logical)) && /isAdjustedToUTC=1/.test(String(logical))
    if (Number(precision ?? 0) > 38) {
      const hint = 'Leave it out (`columns`), or write it as text or with at most 38 digits.'
      unreadable.set(column, { why: `has a decimal of ${precision} digits`, hint })
    } else if (isNano && /^TimestampType/.test(String(logical)) && !cutsNanoseconds) {
      const hint = 'Write it in microseconds, or set read: { nanoseconds: cut } (ferry copy: --nanoseconds cut).'
      unreadable.set(column, { why: 'holds instants in nanoseconds, which are read to microseconds only', hint })
    } else if (type === 'INT96' || isNano) cut.push(column)
    for (let i = 0; i < Number(children ?? 0); i++) walk(column)
  }
  while (at < rows.length) walk(String(rows[at]!.name))
  return { unreadable, cut }
}

async function columnsOf(db: Duckdb, path: string): Promise<Relation['columns']> {
  const result = await db.run(`SELECT * FROM ${parquet([path])} LIMIT 0`)
  const types = result.columnTypes()
  return result
    .columnNames()
    .map((name, i) => ({ name, type: toLogical(types[i]!), native: types[i]!, nullable: true }))
}

/** Folders named `key=value` are not columns: the columns of a file are those of its footer. */
function parquet(paths: string[], option = ''): string {
  const options = ['hive_partitioning = false', ...(option === '' ? [] : [option])].join(', ')
  return `read_parquet([${paths.map(quotePath).join(', ')}], ${options})`
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

  constructor(files: ParquetFiles, request: ReadRequest, db: () => Promise<Duckdb>) {
    this.files = files
    this.request = request
    this.db = db
    this.rowColumns = rowColumns(this.whole, request.columns)
  }

  /** The files with these keys as a relation of DuckDB. */
  private relation(keys: string[], ...option: string[]): Relation {
    const named = this.request.columns.some(c => c.from === FILE_PATH)
    const columns = named
      ? [...this.files.columns, { name: FILE_PATH, type: utf8, native: VARCHAR, nullable: false }]
      : this.files.columns
    const options = [...(named ? [`filename = '${FILE_PATH}'`] : []), ...option]
    const { lacking } = this.files
    if (lacking.size > 0 && keys.length > 1) options.push('union_by_name = true')
    const sql = parquet(
      keys.map(key => this.files.paths.get(key)!),
      options.join(', '),
    )
    const missing = keys.length === 1 ? (lacking.get(keys[0]!) ?? []) : []
    const natives = missing.map(name => `NULL::${columns.find(c => c.name === name)!.native} AS ${quoteName(name)}`)
    const relation = natives.length === 0 ? sql : `(SELECT *, ${natives.join(', ')} FROM ${sql})`
    // Many threads hold back each row group on its own until those before it are written: of tiny ones, megabytes for a row.
    const setup = this.files.tiny ? ['SET threads = 1'] : []
    return { sql: relation, setup, teardown: setup.map(() => 'RESET threads'), columns }
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

  /** Ranges of rows within each file: DuckDB reads only the row groups that they touch. A query takes all at once. */
  async splits(offer: Offer): Promise<Split[]> {
    const { paths } = this.files
    if (offer.encoding === 'duckdb-sql' || this.request.limit !== undefined) {
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
        for (let from = 0; from < rows; from += each) {
          splits.push(this.split(splits.length, { paths: [key], from, to: from + each }, Math.min(each, rows - from)))
        }
      }
    }
    return splits
  }

  checksums(target: ChecksumTarget): StoreChecksums | undefined {
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
    const whole = piece.from === undefined
    const relation = this.relation(piece.paths)
    const options = { offer, signal, place: split.label }
    const open = async () => (await this.db()).sibling()
    if (whole) yield* readRelation(open, relation, this.request, options)
    else {
      const numbered = this.relation(piece.paths, `${ROW_NUMBER} = true`)
      const condition = `${ROW_NUMBER} >= ${piece.from} AND ${ROW_NUMBER} < ${piece.to}`
      yield* readRelation(open, numbered, this.request, { ...options, condition })
    }
  }
}
