import { once } from 'node:events'
import type { Writable } from 'node:stream'

/** Waits until a stream takes more, or is closed: one that fails never drains. */
export async function drained(stream: Writable): Promise<void> {
  const waiting = new AbortController()
  const { signal } = waiting
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(() => undefined)
  waiting.abort()
}

/** All bytes of a stream of them. */
export async function gathered(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}
