/** Reads an object to its end, whatever breaks on the way: the stream is opened again at the byte where it broke. */
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { FerryError } from '../../errors.ts'
import type { ByteRange, ObjectHead } from '../store.ts'
import { told } from './answers.ts'
import { ObjectChanged, type ObjectService, type RemoteHead } from './service.ts'

/** Attempts without a byte of progress. */
const ATTEMPTS = 8
const STALL_MS = 60_000
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 10_000

/** Part of an object that is fetched ahead by a request of its own. */
const AHEAD_BYTES = 8 << 20
/** What is read of an object before anything is fetched ahead. */
const FIRST_BYTES = 1 << 20
/** Requests at one time for one reader: one stream is limited by the distance to the store, not by its bandwidth. */
const AHEAD = 3

/** What reading needs of a service. */
export type SectionReader = Pick<ObjectService, 'read' | 'explain' | 'secrets'> & {
  /** Without a byte for so long a body is broken, in milliseconds: 60 seconds if omitted. */
  readonly stallMs?: number
  /** A key as messages name it. */
  nameOf?(key: string): string
}

interface Section {
  start: number
  end: number
}

/** The bytes of a range of an object, of which the head has a version. Fails with FERRY-5005 if the object changes. */
export function readSection(
  service: SectionReader,
  { key, version, size }: ObjectHead,
  { start, end: last = Infinity }: ByteRange,
  signal: AbortSignal | undefined,
): Readable {
  const end = Math.min(last, size!)
  if (end <= start) return Readable.from([])
  const head = { key, version: version! }
  const stop = new AbortController()
  const ended = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const bytes = end - start <= 2 * AHEAD_BYTES ? once : ahead
  const stream = Readable.from(bytes(service, head, { start, end }, ended), {
    objectMode: false,
    highWaterMark: 1 << 20,
  })
  // What was read to its end has nothing to stop: an abort costs more than a request.
  return stream.once('close', () => {
    if (!stream.readableEnded) stop.abort()
  })
}

/** One request for all, and another one for what is left when it breaks. */
async function* once(
  service: SectionReader,
  { key, version }: Pick<RemoteHead, 'key' | 'version'>,
  { start, end }: Section,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let at = start
  let failures = 0
  while (at < end) {
    signal.throwIfAborted()
    const before = at
    try {
      const stream = await service.read(key, at, end, { version, signal })
      try {
        for await (const bytes of flowing(stream, service.stallMs ?? STALL_MS)) {
          at += bytes.length
          if (at > end)
            throw new FerryError(
              'FERRY-2007',
              `${service.nameOf?.(key) ?? key}: the store sent more bytes than were asked for`,
            )
          yield bytes
        }
      } finally {
        stream.destroy()
      }
      // A body that ends early without an error is as broken as one with an error.
      if (at < end) throw new Error(`the answer ended after ${at - before} of ${end - before} bytes`)
    } catch (error) {
      if (signal.aborted || error instanceof FerryError) throw error
      if (error instanceof ObjectChanged) throw changed(service.nameOf?.(key) ?? key)
      failures = at > before ? 1 : failures + 1
      if (failures >= ATTEMPTS || !isTransient(error)) throw told(service, error, key)
      await pause(failures, signal)
    }
  }
}

/** The chunks of a stream; fails where none comes for too long. Who reads may take its time. */
async function* flowing(stream: Readable, stallMs: number): AsyncGenerator<Buffer> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  for (;;) {
    const timer = globalThis.setTimeout(
      () => stream.destroy(new Error(`no byte came for ${stallMs / 1000} s`)),
      stallMs,
    )
    const { value, done } = await chunks.next().finally(() => clearTimeout(timer))
    if (done) return
    yield value
  }
}

/** Parts of the section, some at a time, given back in their order. */
async function* ahead(
  service: SectionReader,
  head: Pick<RemoteHead, 'key' | 'version'>,
  { start, end }: Section,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  // Who looks at the beginning alone costs no more than that.
  let next = start + FIRST_BYTES
  yield* once(service, head, { start, end: next }, signal)
  const waiting: Promise<Buffer[]>[] = []
  const fetch = () => {
    const section = { start: next, end: Math.min(end, next + AHEAD_BYTES) }
    next = section.end
    const part = gather(once(service, head, section, signal))
    // Awaited in its turn.
    part.catch(() => {})
    waiting.push(part)
  }
  while (waiting.length < AHEAD && next < end) fetch()
  while (waiting.length > 0) {
    const part = await waiting.shift()!
    if (next < end) fetch()
    yield* part
  }
}

async function gather(bytes: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return chunks
}

/** FERRY-5005. */
function changed(key: string): FerryError {
  return new FerryError('FERRY-5005', `${key} was changed or removed while it was read`, {
    hint: 'Run again: the object is then read as it is now. Let writers use new names, and rename when an object is whole.',
  })
}

/** Damage on the way, and bodies that came too slowly, which services call faults of the request. */
const PASSING = /^(RequestTimeout|BadDigest|Md5Mismatch|Crc64Mismatch|IncompleteBody|XAmzContentSHA256Mismatch)$/

/** True for what passes: broken connections, throttling, errors of the server. Refusals are final. */
export function isTransient(error: unknown): boolean {
  const e = error as {
    name?: string
    $metadata?: { httpStatusCode?: number }
    statusCode?: number
    status?: number
    code?: unknown
  }
  const status = e.$metadata?.httpStatusCode ?? e.statusCode ?? e.status
  // The numbers of SFTP are answers, and no broken connections.
  if (status === undefined) return typeof e.code !== 'number'
  if (status < 400 || PASSING.test(e.name ?? '') || PASSING.test(String(e.code))) return true
  return status === 408 || status === 429 || status >= 500
}

/** True if the host is unknown or refuses connections: such requests are retried a few times only. */
export function isUnreachable(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } }
  return [code, cause?.code].some(c => ['ENOTFOUND', 'ECONNREFUSED', 'REQUEST_SEND_ERROR'].includes(String(c)))
}

/** Waits before the next attempt, longer each time, at random so that not all readers ask at one moment. */
export async function pause(failures: number, signal: AbortSignal | undefined): Promise<void> {
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1))
  await setTimeout(wait * (0.5 + Math.random() / 2), undefined, signal ? { signal } : {})
}
