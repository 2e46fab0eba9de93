/** Jobs that run behind others: each behind one that exists, and none behind itself, directly or through others. */
import type { Kysely } from 'kysely'
import { FerryError } from '../errors.ts'
import { peekJob } from '../job/kept.ts'
import type { Schema } from './schema.ts'

/**
 * Keeps everybody else from changing a job, and those that it is to run behind, until the transaction ends. Throws
 * FERRY-1007 where one of those is not there, FERRY-1003 for a circle: its jobs would run without end.
 */
export async function requireOrder(tx: Kysely<Schema>, name: string, definition: string): Promise<void> {
  const behind = peekJob(definition).triggers.filter(t => t.after !== undefined)
  // In one order, so that two that wait for each other's jobs do not wait for each other.
  for (const job of [...new Set([name, ...behind.map(t => t.after!)])].sort()) {
    const { numUpdatedRows } = await tx.updateTable('job').set({ name: job }).where('name', '=', job).executeTakeFirst()
    const trigger = behind.find(t => t.after === job)
    if (numUpdatedRows > 0n || !trigger) continue
    throw new FerryError('FERRY-1007', `trigger ${trigger.name}: there is no job "${job}"`)
  }
  if (behind.length > 0) await refuseCircle(tx, name, definition)
}

async function refuseCircle(tx: Kysely<Schema>, name: string, definition: string): Promise<void> {
  const rows = await tx.selectFrom('job').select(['name', 'definition']).where('name', '!=', name).execute()
  const afterOf = new Map(rows.map(r => [r.name, formersOf(r.definition)]))
  const ways = formersOf(definition).map(former => [name, former])
  const seen = new Set<string>()
  for (let way = ways.pop(); way; way = ways.pop()) {
    const last = way.at(-1)!
    if (last === name) {
      throw new FerryError('FERRY-1003', `these jobs would run each behind the other, without end: ${way.join(', ')}`, {
        faults: [{ path: 'triggers', message: `run behind each other, without end: ${way.join(', ')}` }],
      })
    }
    if (seen.has(last)) continue
    seen.add(last)
    for (const former of afterOf.get(last) ?? []) ways.push([...way, former])
  }
}

const formersOf = (definition: string) => peekJob(definition).triggers.flatMap(t => t.after ?? [])

/** Throws FERRY-1009 where other jobs run behind it: they would wait for ever. */
export async function requireNobodyBehind(db: Kysely<Schema>, name: string): Promise<void> {
  const rows = await db.selectFrom('job').select(['name', 'definition']).where('name', '!=', name).execute()
  const behind = rows.filter(r => formersOf(r.definition).includes(name))
  if (behind.length === 0) return
  const some = behind.slice(0, 10).map(r => r.name)
  throw new FerryError('FERRY-1009', `${behind.length} jobs run behind ${name}: ${some.join(', ')}`)
}
