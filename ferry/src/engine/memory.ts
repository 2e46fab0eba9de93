/** Memory of rows in flight. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const COLLECT_EVERY = 64_000_000
/** Rows wider than this leave several copies of themselves behind, each beyond what V8 collects in passing. */
const WIDE = 250_000
const COLLECT_WIDE_EVERY = 8_000_000

/**
 * Rows are garbage as soon as they are written, but V8 lets the heap grow by a multiple before it looks, the more the
 * longer a copy takes and the wider its rows are. Collecting every so many bytes keeps memory flat and costs 1 to 3 % of
 * the time of a copy in the rows encoding.
 */
export class RowGarbage {
  private bytes = 0
  private collect: (() => void) | undefined

  /** Told of each batch of rows that was written. */
  passed(bytes: number, rows: number): void {
    this.bytes += bytes
    if (this.bytes < (bytes > rows * WIDE ? COLLECT_WIDE_EVERY : COLLECT_EVERY)) return
    this.bytes = 0
    this.collect ??= collector()
    this.collect()
  }
}

function collector(): () => void {
  // The space for young values has found its size by now; V8 would keep enlarging it, to 100 MB if there is much memory.
  setFlagsFromString('--semi-space-growth-factor=1')
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
