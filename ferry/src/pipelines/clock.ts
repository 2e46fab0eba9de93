/** Time and chance as one activity sees them: the same for a process that goes on with it. */
import { createHash } from 'node:crypto'
import { uuidOf } from '../uuid.ts'
import type { Clock } from './expressions/evaluate.ts'

/** `now` stays while an activity's expressions are evaluated; ids follow from its key. */
export function clockOf(seed: string, now: number): Clock {
  let count = 0
  const bytes = () => createHash('sha256').update(`${seed}/${now}/${count++}`).digest()
  return {
    now,
    uuid: () => uuidOf(bytes().subarray(0, 16), 4),
    // 48 bits of a hash below a span: the bias is at most span / 2^48.
    below: span => BigInt(bytes().readUIntBE(0, 6)) % span,
  }
}
