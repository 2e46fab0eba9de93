/**
 * Zstandard streams of any number of frames, as `cat a.zst b.zst` and parallel compressors make them. Node's decompressor
 * reads the first frame and ignores what follows, so that the frames are separated here (RFC 8878).
 */
import { pipeline, Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'

const MAGIC = 0xfd2fb528
/** 0x184D2A50 to 0x184D2A5F. */
const isSkippable = (magic: number) => (magic & 0xfffffff0) >>> 0 === 0x184d2a50

/** The decompressed bytes. Throws an error with a code of zlib for what is cut off, or is no frame. */
export async function* unzstd(raw: AsyncIterable<Buffer>, chunkSize: number): AsyncGenerator<Buffer> {
  const input = new Input(raw)
  while (await input.has(1)) {
    if (!(await input.has(4))) throw broken('the file ends within the mark of a frame')
    const magic = input.held.readUInt32LE(0)
    if (isSkippable(magic)) {
      if (!(await input.has(8))) throw broken('the file ends within a frame')
      const size = input.held.readUInt32LE(4)
      input.take(8)
      let skipped = 0
      for await (const piece of input.pieces(size)) skipped += piece.length
      if (skipped < size) throw broken('the file ends within a frame')
    } else if (magic === MAGIC) {
      const frame = Readable.from(frameOf(input), { objectMode: false })
      yield* pipeline(frame, createZstdDecompress({ chunkSize }), () => {}) as AsyncIterable<Buffer>
    } else throw broken('what follows a frame is none')
  }
}

/** The bytes of the next frame; fewer if the file ends within it. */
async function* frameOf(input: Input): AsyncGenerator<Buffer> {
  if (!(await input.has(5))) return
  const descriptor = input.held[4]!
  const isSingle = (descriptor & 0x20) !== 0
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!
  yield* input.pieces(5 + (isSingle ? 0 : 1) + dictionaryBytes + sizeBytes)
  for (;;) {
    if (!(await input.has(3))) return
    const header = input.held.readUIntLE(0, 3)
    const isRepeat = ((header >> 1) & 3) === 1
    yield* input.pieces(3 + (isRepeat ? 1 : header >> 3))
    if (header & 1) break
  }
  if (descriptor & 4) yield* input.pieces(4)
}

/** Bytes that can be looked at before they are taken. */
class Input {
  held: Buffer = Buffer.alloc(0)
  private readonly source: AsyncIterator<Buffer>

  constructor(raw: AsyncIterable<Buffer>) {
    this.source = raw[Symbol.asyncIterator]()
  }

  /** True if at least so many bytes are held, or could be read. */
  async has(count: number): Promise<boolean> {
    while (this.held.length < count) {
      const { done, value } = await this.source.next()
      if (done) return false
      this.held = this.held.length === 0 ? value : Buffer.concat([this.held, value])
    }
    return true
  }

  take(count: number): Buffer {
    const taken = this.held.subarray(0, count)
    this.held = this.held.subarray(count)
    return taken
  }

  async *pieces(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0; ) {
      if (!(await this.has(1))) return
      const piece = this.take(Math.min(left, this.held.length))
      left -= piece.length
      yield piece
    }
  }
}

function broken(message: string): Error {
  return Object.assign(new Error(message), { code: 'Z_DATA_ERROR' })
}
