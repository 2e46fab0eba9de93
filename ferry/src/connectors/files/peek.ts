/** Standard input, looked at before it is read: what was looked at comes again. */
import { readBytes, STDIN } from './bytes.ts'

export class Peeked {
  private static instance: Peeked | undefined
  private readonly source: AsyncGenerator<Buffer>
  private readonly seen: Buffer[] = []
  private ended = false

  private constructor() {
    this.source = readBytes({ path: STDIN, compression: 'none', encoding: 'utf-8' }, { start: 0 })
  }

  /** There is one standard input, whoever asks. */
  static stdin(): Peeked {
    Peeked.instance ??= new Peeked()
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
