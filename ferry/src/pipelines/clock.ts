/** Time and chance as one activity sees them: the same for a process that goes on with it. */
import { createHash } from 'node:crypto'
import type { Clock } from './expressions/evaluate.ts'

/** `now` stays while an activity's expressions are evaluated; ids follow from its key. */
export function clockOf(seed: string, now: number): Clock {
  let count = 0
  const bytes = () => createHash('sha256').update(`${seed}/${now}/${count++}`).digest()
  return {
    now,
    uuid: () => {
      const id = bytes().subarray(0, 16)
      id[6] = (id[6]! & 0x0f) | 0x40
      id[8] = (id[8]! & 0x3f) | 0x80
      const digits = id.toString('hex')
      return [
        digits.slice(0, 8),
        digits.slice(8, 12),
        digits.slice(12, 16),
        digits.slice(16, 20),
        digits.slice(20),
      ].join('-')
    },
    // 48 bits of a hash below a span: the bias is at most span / 2^48.
    below: span => BigInt(bytes().readUIntBE(0, 6)) % span,
  }
}
