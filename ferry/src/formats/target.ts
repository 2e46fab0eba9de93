import type { Checkpoint } from '../batch/encoding.ts'
import type { WriteRequest } from '../contract/write.ts'
import type { ObjectWriter, StagedFile } from '../objects/staging.ts'
import type { Compression, Format } from './options.ts'

/** The form of files that are written. */
export interface Output {
  format: Format
  compression: Compression | 'snappy'
  delimiter: string
  header: boolean
  nullText: string
  quote: string
  escape: string
  quoteAll: boolean
  rowEnd: '\n' | '\r\n'
  nan: 'refuse' | 'null' | 'string'
  rowsPerFile?: number
  bytesPerFile?: number
  /** Columns whose values are the names of folders. */
  partitionBy?: string[]
}

/** What writers need of the files that they write. */
export interface FilesTarget {
  readonly request: WriteRequest
  readonly output: Output
  /** The file, or the folder: messages name it. */
  readonly target: string
}

/** The files of one split: parts are 1, 2, 3 ... */
export interface Parts {
  /** How many there are already: those of an earlier process, up to the checkpoint that the split is resumed from. */
  readonly staged: number
  create(part: number, folder?: string): Promise<ObjectWriter>
  /** Only if files can be staged. */
  createFile(part: number, folder?: string): Promise<StagedFile>
  /** Records that there are so many finished parts at a checkpoint, or at the end. */
  reached(checkpoint: Checkpoint | undefined, parts: number): Promise<void>
}
