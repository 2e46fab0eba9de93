import { once } from 'node:events'
import type { Writable } from 'node:stream'

/** Waits until a stream takes more, or is closed: one that fails never drains. */
export async function drained(stream: Writable): Promise<void> {
  const waiting = new AbortController()
  const { signal } = waiting
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(() => undefined)
  waiting.abort()
}
