import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { type Column, type LogicalType, typeName, utf8 } from '../../batch/types.ts'
import { allowedPath, allowedWithin, isAllowed, isAllowedWithin, requireNoServer } from '../../confinement.ts'
import type { Increment, ReadRequest, Since } from '../../contract/read.ts'
import { FILE_PATH, type Naming, type ObjectName, type ObjectSpec, type TableInfo } from '../../contract/schema.ts'
import type { SinkSession, SinkTable } from '../../contract/sink.ts'
import type { SourceSession, SourceTable } from '../../contract/source.ts'
import type { Connector, Store } from '../../contract/store.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import type { Duckdb } from '../../duckdb/engine.ts'
import { heldByParquet, toNative } from '../../duckdb/logical.ts'
import { FerryError } from '../../errors.ts'
import { find } from '../../glob.ts'
import { placeOfPath, stem } from '../names.ts'
import { type FileSet, STDIN } from './bytes.ts'
import { CsvSourceTable, describeCsv } from './csv.ts'
import { newFiles, partOf } from './increment.ts'
import { describeJson, JsonSourceTable } from './json.ts'
import { formatOf, KNOWN_FILES, readOptions, writeOptions } from './options.ts'
import { filesKind } from './settings.ts'
import { FilesSinkTable } from './sink.ts'

/** Files: CSV, JSON Lines, JSON arrays, Parquet; plain, gzip, zstd; `-` is standard input and output. */
export const files: Connector = { ...filesKind, open: settings => new FilesStore(filesKind.check(settings)) }

const ENDINGS = { none: '', gzip: '.gz', zstd: '.zst', snappy: '' }

class FilesStore implements Store {
  readonly kind = 'files'
  readonly abilities = filesKind.abilities
  readonly takesOptions = true
  readonly label: string
  private readonly folder: string
  private duckdb: Promise<Duckdb> | undefined

  constructor(folder: string) {
    this.folder = folder
    this.label = `files:${folder}`
  }

  resolve(name: string): string {
    if (name === STDIN) {
      requireNoServer('standard input and output')
      return name
    }
    const path = isAbsolute(name) ? name : join(this.folder, name)
    return this.folder === '.' ? allowedPath(path) : allowedWithin(this.folder, path)
  }

  /** A locator has no folder, and names a path. */
  private readonly isSeen = (path: string): boolean =>
    this.folder === '.' ? isAllowed(path) : isAllowedWithin(this.folder, path)

  missing(object: string): FerryError {
    return new FerryError('FERRY-3001', `there is no file ${object} (${this.label})`, {
      hint: 'Check the path; relative paths start from the folder of the connection, else from here.',
    })
  }

  /** Text formats do not keep what was written: the words of the job are given to the reader, and nothing is guessed. */
  readBack({ options, columns }: Pick<WriteRequest, 'options' | 'columns'>): Record<string, unknown> {
    const { format, compression, delimiter, header = true, nullText } = options
    const given = Object.entries({ format, delimiter, header, nullText }).filter(([, value]) => value !== undefined)
    const types = Object.fromEntries(columns.map(c => [c.name, typeName(c.type)]))
    const packed = compression === 'gzip' || compression === 'zstd' ? { compression } : {}
    return { encoding: 'utf-8', ...Object.fromEntries(given), ...packed, types }
  }

  /** Folders are told apart by the full paths of what is in them. */
  get place(): string {
    return 'files'
  }

  async test(): Promise<string> {
    await access(allowedPath(this.folder), constants.R_OK).catch(error => {
      throw new FerryError('FERRY-2001', `${this.folder}: ${error.message}`)
    })
    return `folder ${this.folder}`
  }

  async objects(): Promise<string[]> {
    const folder = allowedPath(resolve(this.folder))
    const all = await find(KNOWN_FILES, folder, this.isSeen)
    return all.map(path => relative(folder, path)).sort()
  }

  readonly arrivals = { find: (pattern: string) => this.arrived(pattern) }

  private async arrived(pattern: string): Promise<{ path: string; fingerprint: string }[]> {
    const set = await this.find(pattern)
    const found = (set?.paths ?? []).map(async path => {
      const { size, mtimeNs } = await stat(path, { bigint: true })
      return { path, fingerprint: `${size}-${mtimeNs}` }
    })
    return Promise.all(found)
  }

  async describe(spec: ObjectSpec): Promise<TableInfo | undefined> {
    if (spec.query !== undefined)
      throw new FerryError('FERRY-3001', 'files have no queries: use a .duckdb file as the source')
    const set = await this.find(spec.object)
    if (!set) return undefined
    const { info } = await this.reader(set, spec)
    if (info.columns.some(c => c.name === FILE_PATH)) {
      throw new FerryError('FERRY-3015', `${spec.object}: its column ${FILE_PATH} has the name of Ferry's own`)
    }
    return {
      ...info,
      parts: set.paths,
      columns: [...info.columns, { name: FILE_PATH, type: utf8, nullable: false, onRequest: true }],
    }
  }

  private async find(object: string): Promise<FileSet | undefined> {
    const path = this.resolve(object)
    if (path === STDIN) return { object, paths: [STDIN], sizes: new Map(), bytes: 0, prints: [] }
    const paths: string[] = []
    const single = await stat(path).catch(() => undefined)
    if (single?.isFile()) paths.push(path)
    else {
      // The name of a folder is no pattern, that of the connection neither.
      paths.push(
        ...(await (single?.isDirectory() ? find('*', path, this.isSeen) : find(object, this.folder, this.isSeen))),
      )
    }
    const sized = await Promise.all(paths.map(async p => ({ path: p, info: await stat(p, { bigint: true }) })))
    const isHidden = (p: string) => /(^|[/\\])\.(?!\.?([/\\]|$))/.test(relative(this.folder, p))
    const usable = sized.filter(f => f.info.isFile() && !isHidden(f.path)).sort((a, b) => (a.path < b.path ? -1 : 1))
    if (usable.length === 0) return undefined
    const sizes = new Map(usable.map(f => [f.path, Number(f.info.size)]))
    return {
      object,
      paths: usable.map(f => f.path),
      sizes,
      bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
      prints: usable.map(f => `${f.path} ${f.info.size} ${f.info.mtimeNs}`),
    }
  }

  private async reader(set: FileSet, spec: ObjectSpec) {
    const options = readOptions(spec.options)
    const format = formatOf(set.paths[0]!, options)
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

  /** Files are written anew, whatever stands there. */
  async existing(): Promise<undefined> {
    return undefined
  }

  readonly documents = {
    takes: ({ object, options }: ObjectSpec) => ['jsonl', 'json'].includes(formatOf(object, writeOptions(options))),
  }

  created(column: Column, _kind: string, target: ObjectSpec): { type: LogicalType; native: string } {
    // Text formats hold every type as its text.
    if (formatOf(target.object, writeOptions(target.options)) !== 'parquet') return { type: column.type, native: '' }
    const type = heldByParquet(column.type)
    return { type, native: toNative(type) }
  }

  defaultObject({ table }: ObjectName, options: Record<string, unknown>): string {
    const { format = 'parquet', compression = 'none' } = writeOptions(options)
    return `${this.namePart(table)}.${format}${format === 'parquet' ? '' : ENDINGS[compression]}`
  }

  nameParts(object: string): ObjectName {
    const parts = /^(?:(.*)[/\\])?([^/\\]*)$/.exec(object)!
    return { schema: parts[1] ?? '', table: stem(parts[2]!) }
  }

  /** No separator, and nothing hidden. */
  namePart(text: string): string {
    return text.replace(/[/\\\0%]|^\.+/g, encodeURIComponent).replace(/^\.+/, dots => '%2E'.repeat(dots.length))
  }

  objectKey(object: string): string {
    return object === STDIN ? object : placeOfPath(resolve(this.folder, object))
  }

  naming(target: ObjectSpec): Naming {
    // DuckDB writes Parquet.
    if (formatOf(target.object, writeOptions(target.options)) === 'parquet') return { foldsCase: true }
    const isJson = ['json', 'jsonl'].includes(formatOf(target.object, writeOptions(target.options)))
    return { foldsCase: false, mayBeEmpty: isJson }
  }

  async source(): Promise<SourceSession> {
    return {
      table: async (request: ReadRequest): Promise<SourceTable> => {
        const set = await this.find(request.object)
        if (!set) throw new FerryError('FERRY-3001', `there is no file ${request.object}`)
        return (await this.reader(partOf(set, request), request)).open(request)
      },
      increment: async (request: ReadRequest, since: Since): Promise<Increment> => {
        if (since.column !== undefined || since.overlap) {
          throw new FerryError('FERRY-3012', 'files are new or not: they have no column to find changes by', {
            hint: 'Leave incrementalColumn and overlap out.',
          })
        }
        const set = await this.find(request.object)
        return newFiles(set?.paths ?? [], request, since.after)
      },
      close: async () => {},
    }
  }

  async sink(run: RunIdentity): Promise<SinkSession> {
    return {
      table: async (request: WriteRequest): Promise<SinkTable> =>
        new FilesSinkTable(run, request, this.resolve(request.object), writeOptions(request.options)),
      close: async () => {},
    }
  }

  /** One DuckDB for all that this store reads with it, so that its memory limit holds for all together. */
  private db(): Promise<Duckdb> {
    this.duckdb ??= import('../../duckdb/engine.ts').then(engine => engine.Duckdb.open())
    return this.duckdb
  }

  async close(): Promise<void> {
    const db = await this.duckdb?.catch(() => undefined)
    this.duckdb = undefined
    await db?.close()
  }
}
