/** A table that DuckDB reads where it lies, in place of a copy of it. */
import { planTable } from '../engine/plan.ts'
import { FerryError } from '../errors.ts'
import type { CopyJob } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import type { State } from '../state/database.ts'
import { unshared } from './hold.ts'
import { planOptions, tablesOf } from './plan.ts'
import { closeSessions, closeStores, openSessions, openStores } from './stores.ts'

export interface Lent {
  /** The query whose rows a copy would have written. */
  sql: string
  /** Throws FERRY-5005 if what it reads is not what it was. */
  requireSame(): Promise<void>
}

/** What the only table of a job into DuckDB is read by; undefined where it has to be copied. Throws what planning it throws. */
export async function lendTable(job: CopyJob, state: State, policy: Policy): Promise<Lent | undefined> {
  const look = () => lookAt(job, state, policy)
  const found = await look()
  if (!found) return undefined
  return {
    sql: found.sql,
    requireSame: async () => {
      if ((await look())?.print === found.print) return
      throw new FerryError('FERRY-5005', `${found.from} was changed while it was read`)
    },
  }
}

async function lookAt(job: CopyJob, state: State, policy: Policy) {
  const stores = await openStores(job, state, policy)
  try {
    const sessions = await openSessions(stores, unshared('plan', job.name))
    try {
      const [spec, ...others] = await tablesOf(job, stores)
      if (!spec || others.length > 0) return undefined
      const table = await planTable(sessions, spec, 0, planOptions(job, stores, { count: 1, kept: [], run: 'plan' }))
      if (!('source' in table) || table.plan.offer.encoding !== 'duckdb-sql') return undefined
      const query = await table.source.lend?.(table.plan.offer)
      const print = await table.source.fingerprint()
      // What a query wants to be set up holds for its own connection alone.
      if (!query || print === undefined || query.setup.length > 0) return undefined
      return { sql: query.sql, print, from: spec.from }
    } finally {
      await closeSessions(sessions)
    }
  } finally {
    await closeStores(stores)
  }
}
