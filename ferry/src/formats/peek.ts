/** Standard input, looked at before it is read: what was looked at comes again. */
import { readBytes, type TextFile } from './bytes.ts'

export class Peeked {
  private static instance: Peeked | undefined
  private readonly source: AsyncGenerator<Buffer>
  private readonly seen: Buffer[] = []
  private ended = false

  private constructor(file: TextFile) {
    this.source = readBytes(file, { start: 0 })
  }

  /** For standard input, which all callers share; undefined for other files. */
  static at(file: TextFile): Peeked | undefined {
    if (!file.isStream) return undefined
    Peeked.instance ??= new Peeked(file)
    return Peeked.instance
  }

  /** The first bytes, at least so many unless there are fewer. */
  async sample(bytes: number): Promise<Buffer> {
    let size = this.seen.reduce((n, b) => n + b.length, 0)
    while (size < bytes && !this.ended) {
      const { value, done } = await this.source.next()
      if (done) this.ended = true
      else {
        this.seen.push(value)
        size += value.length
      }
    }
    return Buffer.concat(this.seen)
  }

  /** Everything from the beginning; can be read once. */
  async *rest(): AsyncGenerator<Buffer> {
    yield* this.seen.splice(0)
    if (!this.ended) yield* this.source
  }
}
