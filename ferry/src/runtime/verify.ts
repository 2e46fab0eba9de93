/** Verifying a job: each table as the plan would copy it, against what the destination holds. */
import { planTable } from '../engine/plan.ts'
import { readBack, type Verification, verifyTable } from '../engine/verify.ts'
import type { Variables } from '../job/read.ts'
import type { CopyJob } from '../job/schema.ts'
import type { State } from '../state/database.ts'
import { tablesOf } from './plan.ts'
import { closeSessions, closeStores, openSessions, openStores } from './stores.ts'

export async function verifyJob(
  job: CopyJob,
  state: State | undefined,
  variables: Variables,
  options: { only?: string[]; most: number },
): Promise<Verification[]> {
  const stores = await openStores(job, state, variables)
  const results: Verification[] = []
  try {
    const sessions = await openSessions(stores, { run: 'verify', job: job.name })
    try {
      const destination = await stores.destination.source()
      const sameKind = stores.source.kind === stores.destination.kind
      for (const [ordinal, spec] of (await tablesOf(job, variables, stores.source, options.only)).entries()) {
        const { plan } = await planTable(sessions, spec, ordinal, { rowsOnly: false })
        const sides = { source: sessions.source, destination, sameKind }
        results.push(await verifyTable(sides, plan, readBack(plan, stores.destination.kind), options.most))
      }
      await destination.close()
    } finally {
      await closeSessions(sessions)
    }
  } finally {
    await closeStores(stores)
  }
  return results
}
