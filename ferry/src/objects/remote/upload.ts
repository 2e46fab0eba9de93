/** Stages one object: bytes are gathered into parts, which are stored some at a time. */
import { FerryError } from '../../errors.ts'
import type { ObjectWriter } from '../staging.ts'
import { told } from './answers.ts'
import { isTransient, isUnreachable, pause } from './reader.ts'
import type { ObjectService, Reveal, Staged } from './service.ts'

/** Attempts to store one part. */
const ATTEMPTS = 8
/** Attempts if the host is unknown or refuses connections. */
const ATTEMPTS_TO_REACH = 4

/** Memory for parts, shared by all writers of a store. Buffers are used again: fresh ones would stay with the process. */
export class PartBuffers {
  private readonly most: number
  private readonly free: Buffer[] = []
  private inFlight = 0
  private readonly waiting: (() => void)[] = []

  /** `most`: parts that are stored at one time. */
  constructor(most: number) {
    this.most = most
  }

  take(bytes: number): Buffer {
    const found = this.free.findIndex(b => b.length === bytes)
    return found < 0 ? Buffer.allocUnsafeSlow(bytes) : this.free.splice(found, 1)[0]!
  }

  give(buffer: Buffer): void {
    if (this.free.length < this.most) this.free.push(buffer)
  }

  /** Resolves when one more part may be stored. The caller calls `leave`. */
  async enter(): Promise<void> {
    if (this.inFlight < this.most) this.inFlight++
    else await new Promise<void>(resolve => this.waiting.push(resolve))
  }

  leave(): void {
    const next = this.waiting.shift()
    if (next) next()
    else this.inFlight--
  }
}

export class Upload implements ObjectWriter {
  private readonly service: ObjectService
  private readonly buffers: PartBuffers
  private readonly key: string
  readonly id: string
  private readonly parts: string[] = []
  private readonly storing = new Set<Promise<void>>()
  private failure: { error: unknown } | undefined
  private readonly stop = new AbortController()
  private buffer: Buffer | undefined
  private filled = 0
  private size = 0
  private part = 0
  /** Called when all is stored. */
  private readonly onStored: (staged: Staged) => void

  private constructor(
    service: ObjectService,
    buffers: PartBuffers,
    { key, id }: { key: string; id: string },
    onStored: (staged: Staged) => void,
  ) {
    this.service = service
    this.buffers = buffers
    this.key = key
    this.id = id
    this.onStored = onStored
  }

  /** `by` and `about`: what will be recorded with the object: see `Reveal`. */
  static async begin(
    service: ObjectService,
    buffers: PartBuffers,
    { key, ...recorded }: { key: string } & Pick<Reveal, 'by' | 'about'>,
    onStored: (staged: Staged) => void,
  ): Promise<Upload> {
    const id = await retried(service, key, () => service.stage(key, recorded))
    return new Upload(service, buffers, { key, id }, onStored)
  }

  async write(data: Buffer, release?: () => void): Promise<void> {
    for (let at = 0; at < data.length; ) {
      if (this.failure) throw this.failure.error
      this.buffer ??= this.buffers.take(this.service.partSize(this.part + 1))
      const taken = data.copy(this.buffer, this.filled, at)
      at += taken
      this.filled += taken
      if (this.filled === this.buffer.length) await this.store()
    }
    release?.()
  }

  /** Begins to store what is gathered, as soon as there is room for it. */
  private async store(): Promise<void> {
    const buffer = this.buffer!
    const bytes = buffer.subarray(0, this.filled)
    this.buffer = undefined
    this.filled = 0
    this.size += bytes.length
    const part = ++this.part
    if (part > this.service.mostParts) {
      throw new FerryError('FERRY-3006', `${this.key}: an object has at most ${this.service.mostParts} parts`, {
        hint: 'Write several: write: { bytesPerFile: 50GB }.',
      })
    }
    await this.buffers.enter()
    const { key, id } = this
    const work = retried(this.service, key, () => this.service.putPart({ key, id }, part, bytes), this.stop.signal)
      .then(
        identity => {
          this.parts[part - 1] = identity
        },
        error => {
          this.failure ??= { error }
        },
      )
      .finally(() => {
        this.buffers.leave()
        this.buffers.give(buffer)
        this.storing.delete(work)
      })
    this.storing.add(work)
  }

  async finish(): Promise<void> {
    // An empty object has one empty part.
    if (this.filled > 0 || this.part === 0) {
      this.buffer ??= Buffer.alloc(0)
      await this.store()
    }
    await Promise.all(this.storing)
    if (this.failure) throw this.failure.error
    const { key, id } = this
    if (this.service.seal) await retried(this.service, key, async () => this.service.seal!({ key, id }))
    this.onStored({ key: this.key, id: this.id, parts: this.parts, size: this.size })
  }

  async abandon(): Promise<void> {
    this.stop.abort()
    await Promise.all(this.storing)
    if (this.buffer) this.buffers.give(this.buffer)
    this.buffer = undefined
    await this.service.drop({ key: this.key, id: this.id }).catch(() => undefined)
  }
}

/** Repeats a request that failed for a moment. Throws the error as one of Ferry's. */
export async function retried<T>(
  service: Pick<ObjectService, 'explain' | 'secrets'>,
  key: string,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work()
    } catch (error) {
      if (error instanceof FerryError) throw error
      const most = isUnreachable(error) ? ATTEMPTS_TO_REACH : ATTEMPTS
      if (failures >= most || !isTransient(error) || signal?.aborted) throw told(service, error, key)
      await pause(failures, signal)
    }
  }
}
