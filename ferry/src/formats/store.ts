import { createHash } from 'node:crypto'
import { type Column, type LogicalType, typeName, utf8 } from '../batch/types.ts'
import type { FileView } from '../contract/capabilities.ts'
import type { Names } from '../contract/names.ts'
import type { Increment, ReadRequest, Since } from '../contract/read.ts'
import { FILE_PATH, type ObjectSpec, type TableInfo } from '../contract/schema.ts'
import type { SinkSession, SinkTable } from '../contract/sink.ts'
import type { SourceSession, SourceTable } from '../contract/source.ts'
import type { Abilities, Kind, Store } from '../contract/store.ts'
import type { RunIdentity, WriteRequest } from '../contract/write.ts'
import type { Duckdb } from '../duckdb/engine.ts'
import { heldByParquet, toNative } from '../duckdb/logical.ts'
import { FerryError } from '../errors.ts'
import { tidily } from '../objects/garbage.ts'
import { findAll, type ObjectHead, type ObjectStore } from '../objects/store.ts'
import type { Policy } from '../policy.ts'
import { BinarySourceTable, describeFiles } from './binary.ts'
import { binarySink } from './binarysink.ts'
import type { FileSet } from './bytes.ts'
import { CsvSourceTable, describeCsv } from './csv.ts'
import { filesOf, listed, newFiles } from './increment.ts'
import { describeJson, JsonSourceTable } from './json.ts'
import { endingOf, formatOf, fromName, KNOWN_FILES, readOptions, stem, writeOptions } from './options.ts'
import { FilesSinkTable } from './sink.ts'

/** A pattern that matches more files is not counted to its end. */
const MOST_COUNTED = 100_000

/** Tables as files of a store of objects: CSV, JSON Lines, JSON arrays, Parquet; plain, gzip, zstd. */
export class FilesStore implements Store {
  readonly kind: string
  readonly abilities: Abilities
  readonly takesOptions = true
  private readonly store: ObjectStore
  private readonly policy: Policy
  private duckdb: Promise<Duckdb> | undefined
  /** The files whose columns were looked at, each as it was then, by object and options. */
  private readonly planned = new Map<string, Map<string, string>>()

  constructor({ kind, abilities }: Kind, store: ObjectStore, policy: Policy) {
    this.kind = kind
    this.abilities = abilities
    this.store = store
    this.policy = policy
  }

  get label(): string {
    return this.store.label
  }

  get place(): string {
    return this.store.place
  }

  missing(object: string): FerryError {
    return new FerryError('FERRY-3001', `there is no file ${object} (${this.label})`, {
      hint: 'Check the path; relative paths start from the folder of the connection, else from here.',
    })
  }

  /** Text formats do not keep what was written: the words of the job are given to the reader, and nothing is guessed. */
  readBack({ options, columns }: Pick<WriteRequest, 'options' | 'columns'>): Record<string, unknown> {
    const { format, compression, delimiter, header = true, nullText, merge, partitionBy } = options
    if (format === 'binary') {
      if (!merge) return { format }
      throw new FerryError('FERRY-3006', 'files that are merged into one cannot be compared with what they were')
    }
    const given = Object.entries({ format, delimiter, header, nullText }).filter(([, value]) => value !== undefined)
    const types = Object.fromEntries(columns.map(c => [c.name, typeName(c.type)]))
    const packed = compression === 'gzip' || compression === 'zstd' ? { compression } : {}
    const folders = partitionBy === undefined ? {} : { recursive: true, partitions: true }
    return { encoding: 'utf-8', ...Object.fromEntries(given), ...packed, ...folders, types }
  }

  test(): Promise<string> {
    return this.store.test()
  }

  objects(): Promise<string[]> {
    return this.store.names(KNOWN_FILES)
  }

  readonly arrivals = {
    find: async (pattern: string) => {
      const found = await findAll(this.store, pattern)
      return found.map(({ key, size, modified, version }) => ({
        path: key,
        fingerprint: version ?? `${size}-${modified}`,
      }))
    },
  }

  readonly folders = {
    listed: async (most: number) => {
      if (this.store.siblings) return this.store.siblings(most)
      throw new FerryError('FERRY-1003', `${this.label} lists no others beside it`)
    },
    list: async (folder: string, most: number) => {
      const found = await this.store.folderAt?.(folder, most)
      if (!found) throw new FerryError('FERRY-1003', `${this.label} lists no files`)
      return { folders: found.folders, files: found.objects.map(o => this.viewOf(o)), more: found.more }
    },
    file: async (name: string) => {
      const head = await this.only(name)
      return head && this.viewOf(head)
    },
    files: (name: string, deep: boolean) => this.views(name, deep),
    md5: async (name: string) => {
      const head = await this.only(name)
      if (!head) return undefined
      const hash = createHash('md5')
      for await (const chunk of this.store.readRange(head, { start: 0 })) hash.update(chunk as Buffer)
      return hash.digest('base64')
    },
    removeEmpty: async (folder: string) => this.store.removeEmpty?.(folder),
    remove: async (file: FileView) => {
      const head = await this.only(file.name)
      return (
        head !== undefined &&
        head.size === file.size &&
        this.viewOf(head).modified === file.modified &&
        this.store.remove(head)
      )
    },
    matching: async (pattern: string, most: number) => {
      let [files, bytes] = [0, 0]
      const names: string[] = []
      for await (const page of (await this.store.list(pattern)).pages) {
        for (const { key, size } of page) {
          files++
          bytes += size ?? 0
          if (names.length < most) names.push(this.store.nameOf(key))
        }
        if (files >= MOST_COUNTED) return { files, bytes, names, atLeast: true }
      }
      return { files, bytes, names: names.sort(), atLeast: false }
    },
  }

  private viewOf({ key, size, modified }: ObjectHead): FileView {
    return { name: this.store.nameOf(key), size: size ?? 0, modified: Number(modified / 1_000_000n) }
  }

  private async *views(name: string, deep: boolean): AsyncGenerator<FileView[]> {
    const { pages } = await listed(this.store, name, { recursive: deep })
    for await (const page of pages) yield page.map(head => this.viewOf(head))
  }

  /** The one object of a name; undefined if there is none, or if it is a folder. */
  private async only(name: string): Promise<ObjectHead | undefined> {
    const found = await this.store.list(name)
    if (!found.single) return undefined
    for await (const page of found.pages) if (page[0]) return page[0]
    return undefined
  }

  async describe(spec: ObjectSpec): Promise<TableInfo | undefined> {
    if (spec.query !== undefined)
      throw new FerryError('FERRY-3001', 'files have no queries: use a .duckdb file as the source')
    if (isBinary(spec)) return describeFiles(await listed(this.store, spec.object, spec.options), spec.object)
    const set = await filesOf(this.store, spec)
    if (!set) return undefined
    const { files } = set
    this.planned.set(nameOf(spec), new Map(files.map(f => [f.key, stateOf(f)])))
    const { info } = await this.reader(set, spec)
    if (info.columns.some(c => c.name === FILE_PATH)) {
      throw new FerryError('FERRY-3015', `${spec.object}: its column ${FILE_PATH} has the name of Ferry's own`)
    }
    return {
      ...info,
      parts: set.files.map(f => f.key),
      columns: [...info.columns, { name: FILE_PATH, type: utf8, nullable: false, onRequest: true }],
    }
  }

  private async reader(set: FileSet, spec: ObjectSpec) {
    const options = readOptions(spec.options)
    // Marks such as `_SUCCESS` are empty, and of no format.
    const first = set.files.find(f => f.size !== 0 || fromName(f.key).format !== undefined) ?? set.files[0]!
    const format = formatOf(first.key, options)
    switch (format) {
      case 'csv': {
        const described = await describeCsv(set, options)
        return { info: described.info, open: async (request: ReadRequest) => new CsvSourceTable(described, request) }
      }
      case 'jsonl':
      case 'json': {
        const described = await describeJson(set, options, format, spec.drift === 'evolve')
        return { info: described.info, open: async (request: ReadRequest) => new JsonSourceTable(described, request) }
      }
      case 'binary':
        throw new FerryError('FERRY-9000', 'files as they are have no reader')
      case 'parquet': {
        // DuckDB is loaded only where it takes part.
        const { describeParquet, ParquetSourceTable } = await import('./parquet.ts')
        const described = await describeParquet(set, await this.db(), spec.drift ?? 'freeze', options)
        const open = async (request: ReadRequest) => {
          const table = new ParquetSourceTable(described, request, () => this.db())
          await table.refuseFilter()
          return table
        }
        return { info: described.info, open }
      }
    }
  }

  /** Throws FERRY-5005 for a file that is another one than when its columns were looked at. */
  private requirePlanned({ files }: FileSet, request: ObjectSpec): void {
    const planned = this.planned.get(nameOf(request))
    const changed = files.find(f => planned?.has(f.key) && planned.get(f.key) !== stateOf(f))
    if (!changed) return
    throw new FerryError('FERRY-5005', `${changed.key} was changed after the run was planned`, {
      hint: 'Run again: the file is then read as it is now.',
    })
  }

  /** Files are always written anew. */
  async existing(): Promise<undefined> {
    return undefined
  }

  readonly documents = {
    // Whole documents have no columns that folders could be named by.
    takes: ({ object, options }: ObjectSpec) =>
      options.partitionBy === undefined && ['jsonl', 'json'].includes(formatOf(object, writeOptions(options))),
  }

  created(column: Column, _kind: string, target: ObjectSpec): { type: LogicalType; native: string } {
    // Text formats hold every type as its text.
    if (formatOf(target.object, writeOptions(target.options)) !== 'parquet') return { type: column.type, native: '' }
    const type = heldByParquet(column.type)
    return { type, native: toNative(type) }
  }

  readonly names: Names = {
    defaultObject: ({ table }, options) => {
      const { format = 'parquet', compression = 'none' } = writeOptions(options)
      if (format === 'binary') return `${this.names.part(table)}/`
      return `${this.names.part(table)}.${endingOf(format, compression)}`
    },
    parts: object => {
      const parts = /^(?:(.*)[/\\])?([^/\\]*)$/.exec(object)!
      return { schema: parts[1] ?? '', table: stem(parts[2]!) }
    },
    /** No separator, and nothing hidden. */
    part: text => text.replace(/[/\\\0%]|^\.+/g, encodeURIComponent).replace(/^\.+/, dots => '%2E'.repeat(dots.length)),
    key: object => this.store.identityOf(object),
    columns: target => {
      // DuckDB writes Parquet.
      if (formatOf(target.object, writeOptions(target.options)) === 'parquet') return { foldsCase: true }
      const isJson = ['json', 'jsonl'].includes(formatOf(target.object, writeOptions(target.options)))
      return { foldsCase: false, mayBeEmpty: isJson }
    },
  }

  async source(): Promise<SourceSession> {
    return {
      table: async (request: ReadRequest): Promise<SourceTable> => {
        if (isBinary(request)) return new BinarySourceTable(this.store, request, readOptions(request.options))
        const set = await filesOf(this.store, request)
        if (!set) throw new FerryError('FERRY-3001', `there is no file ${request.object}`)
        this.requirePlanned(set, request)
        return (await this.reader(set, request)).open(request)
      },
      increment: async (request: ReadRequest, since: Since): Promise<Increment> => {
        if (since.column !== undefined || since.overlap) {
          throw new FerryError('FERRY-3012', 'files are new or not: they have no column to find changes by', {
            hint: 'Leave incrementalColumn and overlap out.',
          })
        }
        const { pages } = await listed(this.store, request.object, request.options)
        return tidily(() => newFiles(pages, request, since.after), 'listing')
      },
      close: async () => {},
    }
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return {
      table: async (request: WriteRequest): Promise<SinkTable> => {
        const options = writeOptions(request.options)
        if (options.format === 'binary') return binarySink(run, request, this.store, options)
        return new FilesSinkTable(run, request, this.store, options, this.policy)
      },
      close: async () => {},
    }
  }

  /** One DuckDB for all that this store reads with it, so that its memory limit holds for all together. */
  private db(): Promise<Duckdb> {
    this.duckdb ??= import('../duckdb/engine.ts').then(engine => engine.Duckdb.open(this.policy))
    return this.duckdb
  }

  async close(): Promise<void> {
    const db = await this.duckdb?.catch(() => undefined)
    this.duckdb = undefined
    await db?.close()
    await this.store.close()
  }
}

const nameOf = ({ object, options }: ObjectSpec): string => JSON.stringify([object, options])
const stateOf = ({ size, modified, version }: ObjectHead): string => `${size} ${version ?? modified}`

const isBinary = ({ options }: ObjectSpec): boolean => options.format === 'binary'
