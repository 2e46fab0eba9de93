/** Other jobs that write what a job would write: each of them is right, and what is in the table in the end is chance. */

import { loadConnector } from '../connectors/registry.ts'
import type { Store } from '../contract/store.ts'
import type { TablePlan } from '../engine/tableplan.ts'
import { type PeekedJob, peekJob } from '../job/kept.ts'
import type { EndpointSpec } from '../job/schema.ts'
import { type Access, resolveEndpoint } from './stores.ts'

export interface Clash {
  table: string
  message: string
}

/** Which of a job's tables other jobs of the state write too. Nothing is asked of their stores. */
export async function clashesOf(
  { state, policy }: Access,
  job: string,
  tables: Pick<TablePlan, 'from' | 'to'>[],
  destination: Store,
): Promise<Clash[]> {
  const own = new Map(tables.map(t => [destination.names.key(t.to), t]))
  const others = await state.db.selectFrom('job').select(['name', 'definition']).where('name', '!=', job).execute()
  const place = destination.place
  const isHere = new Map<string, boolean>()
  const clashes: Clash[] = []
  for (const { name, definition } of others) {
    const other = peekJob(definition)
    const said = JSON.stringify(other.destination)
    if (other.destination === undefined || isHere.get(said) === false) continue
    const keys = await unconnected({ state, policy }, other.destination, async store => {
      isHere.set(said, store.place === place)
      return isHere.get(said) ? writtenBy({ state, policy }, name, other, store) : new Set<string>()
    })
    if (keys === undefined) isHere.set(said, false)
    for (const key of keys ?? []) {
      const table = own.get(key)
      if (table) clashes.push({ table: table.from, message: `job ${name} writes ${table.to} too` })
    }
  }
  return clashes
}

/** Asks a store what it knows of itself; undefined if its settings need secrets for that, or are gone. */
async function unconnected<T>(
  { state, policy }: Access,
  endpoint: EndpointSpec,
  ask: (store: Store) => Promise<T>,
): Promise<T | undefined> {
  let store: Store
  try {
    const { kind, settings } = await resolveEndpoint(endpoint, state, policy)
    store = (await loadConnector(kind)).open(settings, policy)
  } catch {
    return undefined
  }
  try {
    return await ask(store)
  } finally {
    await store.close()
  }
}

/** The keys of the objects that a job writes at its destination: those of its newest run, and those that it names. */
async function writtenBy(
  { state, policy }: Access,
  name: string,
  job: PeekedJob,
  destination: Store,
): Promise<Set<string>> {
  const rows = await state.db
    .selectFrom('run_table')
    .select('destination')
    .where('run', '=', eb => eb.selectFrom('run').select('id').where('job', '=', name).orderBy('id', 'desc').limit(1))
    .execute()
  const said =
    job.source &&
    (await unconnected({ state, policy }, job.source, async source =>
      job.tables.flatMap(entry => {
        const { from, to } = typeof entry === 'string' ? { from: entry, to: undefined } : entry
        return to ?? (from === undefined ? [] : destination.names.defaultObject(source.names.parts(from), {}))
      }),
    ))
  return new Set([...rows.map(r => r.destination), ...(said ?? [])].map(object => destination.names.key(object)))
}
