/** CSV, JSON Lines and JSON arrays, written as text. */
import type { Transform } from 'node:stream'
import { createGzip, createZstdCompress } from 'node:zlib'
import { csvEncoder, csvHeader } from '../batch/csv.ts'
import type { Batch, Checkpoint } from '../batch/encoding.ts'
import { toJson } from '../batch/json.ts'
import type { Row } from '../batch/types.ts'
import { DOCUMENT } from '../contract/schema.ts'
import type { CommitResult, Refused, SplitWriter } from '../contract/sink.ts'
import { RowError } from '../errors.ts'
import type { ObjectWriter } from '../objects/staging.ts'
import { drained } from '../streams.ts'
import type { FilesTarget, Output, Parts } from './target.ts'

type RowText = (row: Row, first: boolean) => string

export class TextWriter implements SplitWriter {
  private readonly table: FilesTarget
  private readonly output: Output
  private readonly parts: Parts
  private readonly text: RowText
  private file: OutputFile | undefined
  private part: number
  private rowsInFile = 0
  /** Since the last commit. */
  private bytesWritten = 0

  constructor(table: FilesTarget, parts: Parts) {
    this.table = table
    this.output = table.output
    this.parts = parts
    this.part = parts.staged
    this.text = rowText(table)
  }

  async write(batch: Batch): Promise<Refused[]> {
    if (batch.kind === 'bytes') {
      const file = await this.current()
      await file.write(batch.data, batch.release)
      return []
    }
    return batch.kind === 'rows' ? this.writeRows(batch.rows) : []
  }

  private async writeRows(rows: Row[]): Promise<Refused[]> {
    const refused: Refused[] = []
    let pieces: string[] = []
    let size = 0
    let file = await this.current()
    const flush = async () => {
      if (pieces.length > 0) await file.writeText(pieces.join(''))
      pieces = []
      size = 0
    }
    for (let i = 0; i < rows.length; i++) {
      let text: string
      try {
        text = this.text(rows[i]!, this.rowsInFile === 0)
      } catch (error) {
        if (!(error instanceof RowError)) throw error
        if (!this.table.request.skipBadRows) {
          error.index = i
          throw error
        }
        refused.push({ index: i, error })
        continue
      }
      pieces.push(text)
      size += text.length
      this.rowsInFile++
      const full =
        (this.output.rowsPerFile !== undefined && this.rowsInFile >= this.output.rowsPerFile) ||
        (this.output.bytesPerFile !== undefined && file.bytes + size >= this.output.bytesPerFile)
      if (size > 1 << 18 || full) await flush()
      if (full) {
        await this.finishFile()
        if (i < rows.length - 1) file = await this.current()
      }
    }
    if (pieces.length > 0) await flush()
    return refused
  }

  private async current(): Promise<OutputFile> {
    if (this.file) return this.file
    this.part++
    this.rowsInFile = 0
    this.file = new OutputFile(await this.parts.create(this.part), this.output.compression)
    const names = this.table.request.columns.map(c => c.name)
    if (this.output.format === 'csv' && this.output.header) {
      await this.file.write(Buffer.from(csvHeader(names, dialectOf(this.output), this.output)))
    }
    return this.file
  }

  private async finishFile(): Promise<void> {
    const { file } = this
    if (!file) return
    if (this.output.format === 'json') await file.write(Buffer.from(this.rowsInFile === 0 ? '[]\n' : '\n]\n'))
    await file.finish()
    this.bytesWritten += file.bytes
    this.file = undefined
  }

  async commit(checkpoint: Checkpoint | undefined): Promise<CommitResult> {
    // An empty table is a file too: its header, or an empty array.
    if (this.part === 0) await this.current()
    await this.finishFile()
    await this.parts.reached(checkpoint, this.part)
    const { bytesWritten } = this
    this.bytesWritten = 0
    return { bytesWritten }
  }

  async abort(): Promise<void> {
    await this.file?.abandon()
    this.file = undefined
  }
}

function dialectOf(output: Output) {
  const { delimiter, quote, escape, nullText } = output
  return { delimiter, quote, escape, nullText, encoding: 'utf-8' }
}

function rowText(table: FilesTarget): RowText {
  const { columns } = table.request
  const named = <T>(i: number, work: () => T): T => {
    try {
      return work()
    } catch (error) {
      if (!(error instanceof RowError)) throw error
      throw new RowError(error.code, `column ${columns[i]!.name}: ${error.message}`, columns[i]!.name)
    }
  }
  if (table.output.format === 'csv') {
    const types = columns.map(c => c.type)
    const names = columns.map(c => c.name)
    const encode = csvEncoder(types, dialectOf(table.output), names, table.output)
    return row => {
      for (let i = 0; i < row.length; i++) {
        const value = row[i]
        if (typeof value === 'string' && !value.isWellFormed()) {
          named(i, () => {
            throw new RowError('FERRY-4001', 'the text has half a surrogate pair')
          })
        }
      }
      return encode([row])
    }
  }
  const names = columns.map(c => `${JSON.stringify(c.name)}:`)
  const isDocument = columns.length === 1 && columns[0]!.name === DOCUMENT
  const object = (row: Row) =>
    isDocument
      ? oneLine(row[0] as string)
      : `{${row.map((value, i) => names[i] + named(i, () => oneLine(toJson(value, columns[i]!.type, table.output.nan)))).join(',')}}`
  if (table.output.format === 'jsonl') return row => `${object(row)}\n`
  return (row, first) => `${first ? '[\n' : ',\n'}${object(row)}`
}

/** A json value may have line feeds between its tokens, which a line of JSON Lines must not have. */
function oneLine(text: string): string {
  return text.includes('\n') ? text.replace(/\s*\n\s*/g, ' ') : text
}

/** A file being written, with compression. */
class OutputFile {
  /** Before compression. */
  bytes = 0
  private readonly writer: ObjectWriter
  private readonly compressor: Transform | undefined
  private pumping: Promise<void> | undefined
  private failure: unknown
  private scratch = Buffer.alloc(0)

  constructor(writer: ObjectWriter, compression: Output['compression']) {
    this.writer = writer
    const compressor = compression === 'gzip' ? createGzip() : compression === 'zstd' ? createZstdCompress() : undefined
    this.compressor = compressor
    if (!compressor) return
    compressor.on('error', () => {})
    this.pumping = pump(compressor, writer).catch(error => {
      this.failure = error
      compressor.destroy()
    })
  }

  /** Writes a text. The same memory serves the next one if the bytes are no longer needed then. */
  async writeText(text: string): Promise<void> {
    const bytes = Buffer.byteLength(text)
    const memory = this.scratch.length < bytes ? Buffer.allocUnsafeSlow(bytes) : this.scratch
    this.scratch = Buffer.alloc(0)
    await this.write(memory.subarray(0, memory.write(text)), () => {
      this.scratch = memory
    })
  }

  /** Writes bytes; `release` is called when they are no longer needed. */
  async write(data: Buffer, release?: () => void): Promise<void> {
    this.bytes += data.length
    if (!this.compressor) return this.writer.write(data, release)
    if (this.failure) throw this.failure
    if (this.compressor.write(data, release)) return
    await drained(this.compressor)
    if (this.failure) throw this.failure
  }

  async finish(): Promise<void> {
    if (this.compressor) {
      this.compressor.end()
      await this.pumping
      if (this.failure) throw this.failure
    }
    await this.writer.finish()
  }

  async abandon(): Promise<void> {
    this.compressor?.destroy()
    await this.pumping?.catch(() => undefined)
    await this.writer.abandon()
  }
}

async function pump(from: Transform, to: ObjectWriter): Promise<void> {
  for await (const chunk of from) await to.write(chunk as Buffer)
}
