/** Memory of wide rows. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const WIDE_ROW = 500_000
const COLLECT_EVERY = 64_000_000

/**
 * Values of megabytes are garbage as soon as they are written, but V8 lets the heap grow by a multiple before it looks:
 * a copy of such rows would take twice the memory of any other. Collecting every so many bytes costs about 3 % of its
 * time.
 */
export class WideRows {
  private bytes = 0
  private collect: (() => void) | undefined

  /** Told of each batch of rows that was written. */
  passed(rows: number, bytes: number): void {
    if (bytes < rows * WIDE_ROW) return
    this.bytes += bytes
    if (this.bytes < COLLECT_EVERY) return
    this.bytes = 0
    this.collect ??= collector()
    this.collect()
  }
}

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
