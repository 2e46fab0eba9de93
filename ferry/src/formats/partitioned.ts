/** Rows that go into folders by their values: `year=2026/month=7/`. */
import type { Batch, Checkpoint } from '../batch/encoding.ts'
import { formatText } from '../batch/text.ts'
import type { Row } from '../batch/types.ts'
import type { MappedColumn } from '../contract/schema.ts'
import type { CommitResult, Refused, SplitWriter } from '../contract/sink.ts'
import type { WriteRequest } from '../contract/write.ts'
import { FerryError, RowError } from '../errors.ts'
import { NULL_FOLDER } from './filecolumns.ts'
import type { FilesTarget, Output, Parts } from './target.ts'
import { TextWriter } from './textwriter.ts'

/** The folder of a row, below the target. */
export type FolderOf = (row: Row) => string

/** Files that are open at one time; the one that was written longest ago is finished for another one. */
const MOST_OPEN = 64
/** Rows wait longer for their commit than elsewhere: each commit ends a file in each folder. */
export const PATIENCE = { ms: 30_000, bytes: 256_000_000 }

/** What a name of a folder cannot hold, or what reading it would take for something else. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are meant
const SPECIAL = /[\u0000-\u001f"#%'*/:=?\\{}[\]^<>|\u007f]/g
const LONGEST = 200

/** Undefined if rows are in no partitions. Throws FERRY-3002, FERRY-3006. */
export function folderNames({ partitionBy }: Output, { columns, object }: WriteRequest): FolderOf | undefined {
  if (!partitionBy) return undefined
  const chosen = partitionBy.map(name => {
    const at = columns.findIndex(c => c.name === name)
    if (at < 0) {
      throw new FerryError('FERRY-3002', `write.partitionBy: no column ${name} is copied into ${object}`, {
        hint: `Its columns: ${columns.map(c => c.name).join(', ')}.`,
      })
    }
    const { type } = columns[at]!
    if (['binary', 'json', 'list', 'struct', 'map', 'interval', 'float'].includes(type.kind)) {
      throw new FerryError('FERRY-3006', `write.partitionBy: ${name} is ${type.kind}, whose values name no folders`)
    }
    // A folder whose name begins with a dot would be hidden.
    return { name: escaped(name).replace(/^\./, '%2E'), column: name, at, type }
  })
  if (chosen.length === columns.length) {
    throw new FerryError('FERRY-3006', `write.partitionBy: ${object} would have no columns besides`)
  }
  if (!/[/\\]$/.test(object)) {
    throw new FerryError('FERRY-3006', `${object}: partitions are folders in a folder: end it with a slash`)
  }
  return row =>
    chosen
      .map(({ name, column, at, type }) => {
        const value = row[at]!
        const text = value === null ? NULL_FOLDER : escaped(formatText(value, type))
        if (value !== null && text === NULL_FOLDER) {
          throw new RowError('FERRY-4001', `${text} as a value is the folder of rows without one`, column)
        }
        const folder = `${name}=${text}`
        if (Buffer.byteLength(folder) <= LONGEST) return folder
        throw new RowError('FERRY-4001', `the value is too long for the name of a folder: ${LONGEST} bytes`, column)
      })
      .join('/')
}

function escaped(text: string): string {
  return text.replace(SPECIAL, char => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/** The positions of the columns that are in files. */
export const insidePositions = ({ request, output }: Pick<FilesTarget, 'request' | 'output'>): number[] =>
  request.columns.flatMap((c, i) => (output.partitionBy?.includes(c.name) ? [] : [i]))

/** Text files in partitions: a writer for each folder that rows came for since the last commit. */
export class PartitionedWriter implements SplitWriter {
  readonly patience = PATIENCE
  private readonly target: FilesTarget
  private readonly folderOf: FolderOf
  private readonly parts: Parts
  private readonly inside: number[]
  /** The one that was written last is the last one. */
  private readonly writers = new Map<string, TextWriter>()
  private count: number
  private bytesWritten = 0

  constructor(target: FilesTarget, folderOf: FolderOf, parts: Parts) {
    this.inside = insidePositions(target)
    const columns: MappedColumn[] = this.inside.map(i => target.request.columns[i]!)
    this.target = { target: target.target, output: target.output, request: { ...target.request, columns } }
    this.folderOf = folderOf
    this.parts = parts
    this.count = parts.staged
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'partitions are made of rows')
    const refused: Refused[] = []
    const groups = new Map<string, { rows: Row[]; at: number[] }>()
    const { skipBadRows } = this.target.request
    for (const [i, row] of batch.rows.entries()) {
      try {
        const folder = this.folderOf(row)
        const group = groups.get(folder) ?? { rows: [], at: [] }
        groups.set(folder, group)
        group.rows.push(this.inside.map(at => row[at]!))
        group.at.push(i)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        error.index = i
        if (!skipBadRows) throw error
        refused.push({ index: i, error })
      }
    }
    for (const [folder, { rows, at }] of groups) {
      const writer = await this.writerOf(folder)
      try {
        const bad = await writer.write({ kind: 'rows', rows, bytes: 0 })
        refused.push(...bad.map(({ index, error }) => ({ index: at[index]!, error })))
      } catch (error) {
        if (error instanceof RowError && error.index !== undefined) error.index = at[error.index]
        throw error
      }
    }
    return refused
  }

  private async writerOf(folder: string): Promise<TextWriter> {
    const known = this.writers.get(folder)
    this.writers.delete(folder)
    if (!known && this.writers.size >= MOST_OPEN) {
      const [oldest] = this.writers
      await this.end(...oldest!)
    }
    const create = () => this.parts.create(++this.count, folder)
    const parts: Parts = { ...this.parts, staged: 0, create, reached: async () => {} }
    const writer = known ?? new TextWriter(this.target, parts)
    this.writers.set(folder, writer)
    return writer
  }

  private async end(folder: string, writer: TextWriter): Promise<void> {
    const { bytesWritten = 0 } = await writer.commit(undefined)
    this.bytesWritten += bytesWritten
    this.writers.delete(folder)
  }

  async commit(checkpoint: Checkpoint | undefined): Promise<CommitResult> {
    for (const [folder, writer] of [...this.writers]) await this.end(folder, writer)
    await this.parts.reached(checkpoint, this.count)
    const { bytesWritten } = this
    this.bytesWritten = 0
    return { bytesWritten }
  }

  async abort(): Promise<void> {
    for (const writer of this.writers.values()) await writer.abort()
    this.writers.clear()
  }
}
