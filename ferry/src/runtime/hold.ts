/** This process's hold on a run, as those who write to the destination see it. */
import type { Kysely } from 'kysely'
import type { RunIdentity } from '../contract/write.ts'
import { type Lease, requireHeld } from '../state/runs.ts'
import type { Schema } from '../state/schema.ts'

/** A hold that was confirmed within this time cannot have been lost: another process waits for longer. */
const SURE_MS = 10_000

export class Hold implements RunIdentity {
  readonly run: string
  readonly job: string
  readonly epoch: number
  private readonly db: Kysely<Schema>
  private readonly lease: Lease
  private sureAt: { monotonic: number; wall: number } | undefined

  constructor(db: Kysely<Schema>, lease: Lease, job: string) {
    this.db = db
    this.lease = lease
    this.run = lease.run
    this.epoch = lease.epoch
    this.job = job
  }

  async confirm(): Promise<void> {
    const asked = now()
    await requireHeld(this.db, this.lease)
    this.sureAt = asked
  }

  async holds(): Promise<void> {
    // A process that was stopped has a late monotonic clock, a machine that slept a late wall clock.
    const { monotonic, wall } = now()
    const at = this.sureAt
    if (!at || monotonic - at.monotonic > SURE_MS || Math.abs(wall - at.wall) > SURE_MS) await this.confirm()
  }
}

const now = () => ({ monotonic: performance.now(), wall: Date.now() })

/** A run that only looks: of a plan, a comparison, a test. Nobody else has it. */
export function unshared(run: string, job: string): RunIdentity {
  return { run, job, epoch: 1, confirm: async () => {}, holds: async () => {} }
}
