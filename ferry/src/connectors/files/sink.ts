import { existsSync } from 'node:fs'
import { link, mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { FERRY_CSV } from '../../batch/encoding.ts'
import { jsonNullNotes } from '../../batch/json.ts'
import { type Offer, ROWS } from '../../contract/encodings.ts'
import type { SinkTable, SplitWriter } from '../../contract/sink.ts'
import type { Committed, Split } from '../../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../../contract/write.ts'
import { hasPipes } from '../../duckdb/pipe.ts'
import { FerryError } from '../../errors.ts'
import { STDIN } from './bytes.ts'
import { translate } from './errors.ts'
import { formatOf, fromName, type writeOptions } from './options.ts'
import type { FilesTarget, Output } from './target.ts'
import { TextWriter } from './textwriter.ts'

/**
 * Files at the destination. One file is written under a temporary name and renamed when it is whole; a folder is
 * filled in a hidden folder beside it, whose files are moved at the end. Names follow from run and split, so that a
 * split that is written again replaces its own files.
 */
export class FilesSinkTable implements SinkTable, FilesTarget {
  readonly plan
  readonly unit: 'split' | 'table'
  readonly lanes: number
  readonly request: WriteRequest
  readonly output: Output
  /** The file, or the folder. */
  readonly target: string
  private readonly run: RunIdentity
  private readonly isFolder: boolean

  constructor(run: RunIdentity, request: WriteRequest, path: string, options: ReturnType<typeof writeOptions>) {
    this.run = run
    this.request = request
    // `.` has no name that files could begin with.
    this.target = path === STDIN ? path : resolve(path)
    const named = fromName(basename(path))
    const format = formatOf(path, options)
    this.output = {
      format,
      compression: options.compression ?? (format === 'parquet' ? 'snappy' : named.compression),
      delimiter: options.delimiter ?? named.delimiter ?? (options.format === 'tsv' ? '\t' : ','),
      header: options.header,
      nullText: options.nullText,
      nan: options.nan,
      ...(options.rowsPerFile === undefined ? {} : { rowsPerFile: options.rowsPerFile }),
      ...(options.bytes === undefined ? {} : { bytesPerFile: options.bytes }),
    }
    const { nullText, delimiter } = this.output
    const isMark = /["\r\n]/.test(nullText) || (format === 'csv' && nullText.includes(delimiter))
    if (isMark) {
      throw new FerryError(
        'FERRY-1003',
        'write.nullText: a quote, a delimiter or the end of a line would be read as one',
      )
    }
    if (format !== 'parquet' && this.output.compression === 'snappy') {
      throw new FerryError('FERRY-1003', 'write.compression: snappy is for Parquet')
    }
    if (request.update === 'merge') {
      throw new FerryError('FERRY-3006', 'files cannot be merged into: use overwrite, or append into a folder')
    }
    if (request.before.length + request.after.length > 0) {
      throw new FerryError('FERRY-3006', 'files run no SQL: `before` and `after` need a database')
    }
    this.isFolder = path !== STDIN && (/[/\\]$/.test(path) || this.rotates)
    if (request.adds && !this.isFolder && !this.isStdout) {
      throw new FerryError('FERRY-3006', `${request.object}: what is new would replace the file with what is there`, {
        hint: `Copy into a folder, where each run adds files: to: ${request.object.replace(/\.[^/]*$/, '')}/ with write: { format: ${format} }.`,
      })
    }
    this.unit = this.isFolder ? 'split' : 'table'
    // Splits are written as they come, whole rows at a time; one lane keeps the order of the splits.
    this.lanes = this.isFolder ? 16 : 4
    this.plan = { statements: [`-- ${this.describe()}`], guarantee: this.guarantee(), notes: this.notes() }
  }

  get isStdout(): boolean {
    return this.request.object === STDIN
  }

  get rotates(): boolean {
    return this.output.rowsPerFile !== undefined || this.output.bytesPerFile !== undefined
  }

  private describe(): string {
    const { format, compression } = this.output
    const form = `${format}${compression === 'none' ? '' : `, ${compression}`}`
    if (this.isStdout) return `standard output (${form})`
    return this.isFolder ? `files ${join(this.target, this.partName(0, 1))} ... (${form})` : `${this.target} (${form})`
  }

  private guarantee(): string {
    if (this.isStdout) return 'at most once: what went to standard output cannot be taken back'
    return this.isFolder
      ? 'exactly once: files are moved into the folder when all are whole'
      : 'exactly once: the file appears whole, by a rename'
  }

  private notes(): string[] {
    const isJson = ['json', 'jsonl'].includes(this.output.format)
    return [
      ...(this.isFolder || this.isStdout ? [] : ['the file is replaced as a whole, if it is there']),
      ...(isJson ? jsonNullNotes(this.request.columns) : []),
    ]
  }

  get offers(): Offer[] {
    // Rows that may be skipped are looked at one by one; files that are cut by rows or bytes are written from rows.
    if (this.request.skipBadRows || this.rotates) return [ROWS]
    const types = this.request.columns.map(c => c.type)
    const { format, delimiter, nullText } = this.output
    const hasText = types.every(t => !['list', 'struct', 'map'].includes(t.kind))
    if (format === 'csv') {
      const isCommon = delimiter === ',' && nullText === ''
      return isCommon && hasText ? [{ encoding: 'csv', types, dialect: FERRY_CSV, misfits: 'kept' }, ROWS] : [ROWS]
    }
    if (format !== 'parquet') return [ROWS]
    const query: Offer = { encoding: 'duckdb-sql', types }
    if (!hasPipes || !hasText) return [query, ROWS]
    return [query, { encoding: 'csv', types, dialect: FERRY_CSV, misfits: 'rounded' }, ROWS]
  }

  /** The name of what the run keeps beside its target while it works. */
  private get hidden(): string {
    return `.${basename(this.target)}.ferry-${this.run.run}-${this.request.ordinal}`
  }

  /**
   * The hidden folder where files are until they are whole. Each process that takes the run has one of its own, so that one
   * that was stopped and goes on writes and moves nothing any more: its folder is gone.
   */
  private get work(): string {
    return join(dirname(this.target), `${this.hidden}-${this.run.epoch}`)
  }

  private get marker(): string {
    return join(dirname(this.target), `${this.hidden}.done`)
  }

  /** Folders of processes that had the run before, the last one first. */
  private async formerWork(): Promise<string[]> {
    const folder = dirname(this.target)
    const names = await readdir(folder).catch(error => {
      if (error.code === 'ENOENT') return [] as string[]
      throw translate(error, folder)
    })
    const epochOf = (name: string) => Number(/-(\d+)$/.exec(name)![1])
    return names
      .filter(name => name.startsWith(`${this.hidden}-`) && epochOf(name) < this.run.epoch)
      .sort((a, b) => epochOf(b) - epochOf(a))
      .map(name => join(folder, name))
  }

  partName(split: number, part: number): string {
    const { format, compression } = this.output
    const ending = format === 'parquet' || compression === 'none' ? '' : compression === 'gzip' ? '.gz' : '.zst'
    return `${this.splitPrefix(split)}${String(part).padStart(4, '0')}.${format}${ending}`
  }

  /** What the names of a run's files begin with, and those of one of its splits. */
  private get runPrefix(): string {
    return `${basename(this.target)}-${this.run.run.replace(/[^A-Za-z0-9]/g, '')}-`
  }

  private splitPrefix(split: number): string {
    return `${this.runPrefix}${String(split).padStart(5, '0')}-`
  }

  async prepare(known: Committed): Promise<Committed> {
    if (this.isStdout) return { splits: new Map(), published: false }
    try {
      return await this.takeOver(known)
    } catch (error) {
      throw translate(error, this.target)
    }
  }

  async committed({ splits }: Committed): Promise<Committed> {
    await this.run.confirm()
    return { splits, published: existsSync(this.marker) || (this.replaces && (await this.isMoved())) }
  }

  /** True if files of earlier copies are removed when this one is published. */
  private get replaces(): boolean {
    return this.request.update === 'overwrite' || this.request.truncate
  }

  /** True if all files of this run are in the folder: those of earlier copies may be gone. */
  private async isMoved(): Promise<boolean> {
    if (existsSync(this.marker)) return true
    const moved = (await this.visible()).some(name => this.isOwn(name))
    if (!moved) return false
    const waiting = await Promise.all(
      [this.work, ...(await this.formerWork())].map(path => readdir(path).catch(() => [])),
    )
    return waiting.flat().length === 0
  }

  /** Takes the folder of the process that had the run before away from it, or makes a new one. */
  private async takeOver(known: Committed): Promise<Committed> {
    if (existsSync(this.marker)) return { splits: known.splits, published: true }
    const [last, ...others] = await this.formerWork()
    if (last && !this.isFolder && (await isSameFile(join(last, basename(this.target)), this.target))) {
      await writeFile(this.marker, '', { flush: true })
      for (const path of [last, ...others]) await rm(path, { recursive: true, force: true })
      return { splits: known.splits, published: true }
    }
    // A single file is written anew as a whole.
    if (last && this.isFolder) await rename(last, this.work)
    else if (last) others.push(last)
    for (const path of others) await rm(path, { recursive: true, force: true })
    const goesOn = this.isFolder && existsSync(this.work)
    await mkdir(this.work, { recursive: true })
    // Whoever has lost the run and comes late finds it out here, before anything is written.
    await this.run.confirm().catch(async error => {
      if (error instanceof FerryError && error.code === 'FERRY-5004')
        await rm(this.work, { recursive: true, force: true })
      throw error
    })
    return { splits: goesOn ? known.splits : new Map(), published: false }
  }

  async open(split: Split, offer: Offer): Promise<SplitWriter> {
    const name = basename(this.target)
    const place = (part: number) => join(this.work, this.isFolder ? this.partName(split.id, part) : name)
    if (this.isFolder) await this.removeParts(split.id)
    if (this.output.format === 'parquet') {
      const { ParquetWriter } = await import('./parquetwriter.ts')
      return ParquetWriter.open(this, offer, place)
    }
    return new TextWriter(this, place)
  }

  /** Files of a split that was broken off. */
  private async removeParts(split: number): Promise<void> {
    const prefix = this.splitPrefix(split)
    for (const name of await readdir(this.work)) {
      if (name.startsWith(prefix)) await rm(join(this.work, name))
    }
  }

  async publish(): Promise<void> {
    if (this.isStdout) return
    try {
      await this.run.confirm()
      if (this.isFolder) await this.publishFolder()
      else await this.publishFile()
      await syncFolder(dirname(this.target))
    } catch (error) {
      throw translate(error, this.target)
    }
  }

  private async publishFile(): Promise<void> {
    const whole = join(this.work, basename(this.target))
    if (this.request.update === 'append') {
      // Nothing was there when the run was planned: what has come since is not replaced.
      await link(whole, this.target).catch(async error => {
        if (error.code !== 'EEXIST') return rename(whole, this.target)
        if (await isSameFile(whole, this.target)) return
        throw new FerryError('FERRY-3006', `${this.request.object} has come into being since the run was planned`, {
          hint: 'Use update: overwrite, or copy to another name.',
        })
      })
      // The next process must know this file as its own.
      await writeFile(this.marker, '', { flush: true })
    } else await rename(whole, this.target)
    await rm(this.work, { recursive: true, force: true })
  }

  private async publishFolder(): Promise<void> {
    await mkdir(this.target, { recursive: true })
    const fresh = new Set(await readdir(this.work))
    // New files first, old ones last: a reader may see both for a moment, but never none.
    for (const name of fresh) await rename(join(this.work, name), join(this.target, name))
    if (this.replaces) await this.removeEarlier()
    await syncFolder(this.target)
    await writeFile(this.marker, '', { flush: true })
    await rm(this.work, { recursive: true, force: true })
  }

  /** Removes the files of earlier copies. */
  private async removeEarlier(): Promise<void> {
    const earlier = (await this.visible()).filter(name => !this.isOwn(name) && isMade(name))
    for (const name of earlier) await rm(join(this.target, name))
  }

  /** What the folder holds; nothing where it is yet to be made. */
  private async visible(): Promise<string[]> {
    const names = await readdir(this.target).catch(error => {
      if (error.code === 'ENOENT') return [] as string[]
      throw translate(error, this.target)
    })
    return names.filter(name => !name.startsWith('.'))
  }

  /** Throws FERRY-3018 where a folder that is to be replaced, or a file that is added to, holds what is not Ferry's. */
  async requireRoom(): Promise<string | undefined> {
    const { object, update, truncate } = this.request
    if (this.isStdout) return undefined
    const found = await stat(this.target).catch(() => undefined)
    if (!this.isFolder) {
      if (found?.isDirectory()) {
        throw new FerryError('FERRY-3018', `${object} is a folder`, {
          hint: `Write ${object}/ to add files to it, or the name of a file in it.`,
        })
      }
      if (found && update === 'append') {
        throw new FerryError('FERRY-3006', `${object} is there, and a file cannot be added to`, {
          hint: `Use update: overwrite, or copy into a folder, where each run adds files: to: ${object.replace(/\.[^/]*$/, '')}/`,
        })
      }
      return found && `the file ${object}`
    }
    if (update !== 'overwrite' && !truncate) return undefined
    const there = await this.visible()
    const foreign = there.find(name => !isMade(name))
    if (foreign === undefined) {
      return there.length === 0 ? undefined : `${there.length} files of earlier copies in ${object}`
    }
    throw new FerryError('FERRY-3018', `${object} holds ${foreign}, which no copy has made: it would be deleted`, {
      hint: 'Copy into a folder of its own, or with update: append.',
    })
  }

  /** Whether a file of the folder was made by this run: moved already, when publishing was broken off. */
  private isOwn(name: string): boolean {
    return name.startsWith(this.runPrefix)
  }

  async forget(): Promise<void> {
    await rm(this.marker, { force: true })
  }

  /**
   * Also removes files that are in the folder already. Where publishing has begun to remove those of earlier copies it is
   * completed instead: else nothing would be left.
   */
  async discard(): Promise<boolean> {
    const remains = this.isFolder ? this.replaces && (await this.isMoved()) : existsSync(this.marker)
    if (this.isFolder && remains) await this.removeEarlier()
    else if (this.isFolder) {
      const moved = (await this.visible()).filter(name => this.isOwn(name))
      for (const name of moved) await rm(join(this.target, name))
    }
    for (const path of [this.work, ...(await this.formerWork())]) await rm(path, { recursive: true, force: true })
    await rm(this.marker, { force: true })
    return remains
  }
}

/** Whether a name is one that {@link FilesSinkTable.partName} gives, in whatever run. */
function isMade(name: string): boolean {
  return /-\d{8}T\d{9}[0-9a-f]{4}-\d{5,}-\d{4,}\.[a-z]+(\.gz|\.zst)?$/.test(name)
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map(path => stat(path, { bigint: true }).catch(() => undefined)))
  return one !== undefined && other !== undefined && one.ino === other.ino && one.dev === other.dev
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
