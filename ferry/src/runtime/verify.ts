/** Verifying a job: each table as the plan would copy it, against what the destination holds. */
import { DOCUMENT } from '../contract/schema.ts'
import type { SourceSession } from '../contract/source.ts'
import type { Store } from '../contract/store.ts'
import { DELETED_AT, planTable, VERSION_COLUMNS } from '../engine/plan.ts'
import type { TablePlan } from '../engine/tableplan.ts'
import { readBack, type Verification, verifyTable } from '../engine/verify.ts'
import type { CopyJob } from '../job/schema.ts'
import type { TableSpec } from '../job/tables.ts'
import type { Policy } from '../policy.ts'
import type { State } from '../state/database.ts'
import { unshared } from './hold.ts'
import { tablesOf } from './plan.ts'
import { closeSessions, closeStores, openSessions, openStores } from './stores.ts'

/** Columns of both sides that the job does not copy; Ferry's own at the destination are of no source. */
async function columnsLeftOut(source: Store, { read, write }: TablePlan): Promise<string[]> {
  const there = await source.describe(read)
  const copied = new Set(read.columns.map(c => c.from))
  const written = new Set(write.columns.map(c => c.name))
  const isOwn = (name: string) => name.startsWith('_ferry_') || name === DELETED_AT || VERSION_COLUMNS.includes(name)
  const left = (there?.columns ?? []).filter(c => !c.onRequest && !copied.has(c.name))
  const extra = (write.existing?.columns ?? []).filter(c => !written.has(c.name) && !isOwn(c.name))
  const whole = read.columns[0]?.name === DOCUMENT
  return whole ? [] : [...left.map(c => c.name), ...extra.map(c => `${c.name} of the destination`)]
}

export async function verifyJob(
  job: CopyJob,
  state: State | undefined,
  policy: Policy,
  options: { only?: string[]; most: number; onTable?: (name: string, position: number, of: number) => void },
): Promise<Verification[]> {
  const stores = await openStores(job, state, policy)
  const results: Verification[] = []
  try {
    const sessions = await openSessions(stores, unshared('verify', job.name))
    let destination: SourceSession | undefined
    try {
      destination = await stores.destination.source()
      const specs = await tablesOf(job, stores, options.only)
      for (const [ordinal, spec] of specs.entries()) {
        options.onTable?.(spec.from, ordinal + 1, specs.length)
        // The source has neither Ferry's own columns nor the deleted rows that the destination keeps.
        const plain: TableSpec = { ...spec, audit: {}, deletes: 'apply', mergeKind: 'scd1', truncate: false }
        const identity = { run: 'verify', job: job.name }
        const { plan } = await planTable(sessions, plain, ordinal, { identity, rowsOnly: false, onlyReads: true })
        const sides = { source: sessions.source, destination }
        const back = readBack(plan, stores.destination)
        const kept =
          spec.mergeKind === 'scd2' ? 'is_current' : spec.deletes === 'mark' ? `${DELETED_AT} IS NULL` : undefined
        const there = kept === undefined ? back : { ...back, where: kept }
        const result = await verifyTable(sides, plan, there, options.most)
        const notCompared = [...new Set([...(await columnsLeftOut(stores.source, plan)), ...result.notCompared])]
        results.push({ ...result, notCompared, equal: result.equal && notCompared.length === 0 })
      }
    } finally {
      await destination?.close()
      await closeSessions(sessions)
    }
  } finally {
    await closeStores(stores)
  }
  return results
}
