import type { WriteRequest } from '../contract/write.ts'
import type { Compression, Format } from './options.ts'

/** The form of files that are written. */
export interface Output {
  format: Format
  compression: Compression | 'snappy'
  delimiter: string
  header: boolean
  nullText: string
  nan: 'refuse' | 'null' | 'string'
  rowsPerFile?: number
  bytesPerFile?: number
}

/** What writers need of the files that they write. */
export interface FilesTarget {
  readonly request: WriteRequest
  readonly output: Output
  /** The file, or the folder: messages name it. */
  readonly target: string
}
