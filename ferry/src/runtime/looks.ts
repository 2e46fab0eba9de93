/**
 * What a server asks of stores for a caller who waits: whether they answer, what is in them, what a job would do. Each is
 * plain data, since it is done in a process of its own: scouts.ts.
 */
import { stringify } from 'yaml'
import type { Folders, FolderView } from '../contract/capabilities.ts'
import type { ObjectSpec } from '../contract/schema.ts'
import type { Store } from '../contract/store.ts'
import { FerryError } from '../errors.ts'
import type { Locator } from '../job/locator.ts'
import { parseJob } from '../job/read.ts'
import { type CopyJob, type EndpointSpec, jobSchema } from '../job/schema.ts'
import { findRun } from '../state/runs.ts'
import { describeObject, growthOf, previewObject } from './browse.ts'
import { discardRun, resetJob } from './discard.ts'
import { planJob } from './plan.ts'
import { type RetryReport, retryRun } from './retry.ts'
import type { GrowthView, ObjectView, PlanView, PreviewView } from './schemas.ts'
import { type Access, kindsAt, openStore, resolveEndpoint } from './stores.ts'

/** A store: settings that are resolved already, or an endpoint as jobs say it. */
export type Place = { locator: Locator } | { endpoint: EndpointSpec }

export interface Looks {
  test: { ask: { at: Place }; answer: string }
  objects: { ask: { at: Place; search: string; limit: number }; answer: { objects: string[]; total: number } }
  listed: { ask: { at: Place; limit: number }; answer: string[] }
  folder: { ask: { at: Place; folder: string; limit: number }; answer: FolderView }
  matching: {
    ask: { at: Place; pattern: string; limit: number }
    answer: Awaited<ReturnType<Folders['matching']>>
  }
  columns: { ask: { at: Place; spec: ObjectSpec }; answer: ObjectView }
  preview: { ask: { at: Place; spec: ObjectSpec; limit: number }; answer: PreviewView }
  growth: { ask: { at: Place; spec: ObjectSpec; column: string }; answer: GrowthView }
  arrivals: { ask: { at: Place; pattern: string }; answer: { path: string; fingerprint: string }[] }
  parse: { ask: { text: string }; answer: CopyJob }
  yaml: { ask: { definition: object }; answer: string }
  plan: { ask: { job: CopyJob }; answer: PlanView }
  reset: { ask: { job: string; only: string[] }; answer: { run: string | undefined; tables: string[] } }
  discard: { ask: { run: string }; answer: null }
  retry: { ask: { run: string }; answer: RetryReport }
}
/** The most characters of all names in a list. */
const MOST_NAMES = 1_000_000

export type LookName = keyof Looks

/** How long each look may take. */
export const PATIENCE_MS: Record<LookName, number> = {
  test: 30_000,
  objects: 30_000,
  listed: 30_000,
  folder: 30_000,
  matching: 60_000,
  columns: 30_000,
  preview: 30_000,
  growth: 30_000,
  arrivals: 30_000,
  parse: 30_000,
  yaml: 30_000,
  plan: 60_000,
  reset: 120_000,
  discard: 120_000,
  retry: 120_000,
}

/** Does one look in this process. */
export async function look<N extends LookName>(
  from: Access,
  name: N,
  ask: Looks[N]['ask'],
): Promise<Looks[N]['answer']> {
  return (DO[name] as Look<N>)(from, ask)
}

type Look<N extends LookName> = (from: Access, ask: Looks[N]['ask']) => Promise<Looks[N]['answer']>

const DO: { [N in LookName]: Look<N> } = {
  test: (from, { at }) => within(from, at, store => store.test()),
  objects: (from, { at, search, limit }) =>
    within(from, at, async store => {
      const wanted = search.toLowerCase()
      const found = (await store.objects()).filter(o => o.toLowerCase().includes(wanted))
      let room = MOST_NAMES
      const shown = found.slice(0, limit).filter(name => {
        room -= name.length
        return room >= 0
      })
      return { objects: shown, total: found.length }
    }),
  listed: (from, { at, limit }) =>
    within(from, at, async store => {
      const { listed } = foldersOf(store)
      if (listed) return listed(limit)
      throw new FerryError('FERRY-1003', `${store.label} lists no others beside it`)
    }),
  folder: (from, { at, folder, limit }) => within(from, at, store => foldersOf(store).list(folder, limit)),
  matching: (from, { at, pattern, limit }) => within(from, at, store => foldersOf(store).matching(pattern, limit)),
  columns: (from, { at, spec }) => within(from, at, store => describeObject(store, spec)),
  preview: (from, { at, spec, limit }) => within(from, at, store => previewObject(store, spec, limit)),
  growth: (from, { at, spec, column }) => within(from, at, store => growthOf(store, spec, column)),
  arrivals: (from, { at, pattern }) =>
    within(from, at, async store => {
      if (store.arrivals) return await store.arrivals.find(pattern)
      throw new FerryError('FERRY-1003', `${store.label} has no files that could arrive`)
    }),
  parse: async ({ state, policy }, { text }) => parseJob(text, 'job', policy, await kindsAt(state.db)),
  yaml: async (_, { definition }) => stringify(definition),
  plan: (from, { job }) => planView(from, jobSchema.parse(job)),
  reset: ({ state, policy }, { job, only }) => resetJob(state, job, policy, only.length > 0 ? only : undefined),
  discard: async ({ state, policy }, { run }) => {
    await discardRun(state, await findRun(state.db, run), policy)
    return null
  },
  retry: ({ state, policy }, { run }) => retryRun(state, run, policy),
}

function foldersOf(store: Store): Folders {
  if (store.folders) return store.folders
  throw new FerryError('FERRY-1003', `${store.label} has no folders`)
}

async function within<T>({ state, policy }: Access, at: Place, work: (store: Store) => Promise<T>): Promise<T> {
  const locator = 'locator' in at ? at.locator : await resolveEndpoint(at.endpoint, state, policy)
  const store = await openStore(locator, policy)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

async function planView({ state, policy }: Access, job: CopyJob): Promise<PlanView> {
  const { tables, problems, clashes } = await planJob(job, state, policy)
  return {
    clashes,
    tables: tables.map(t => ({
      from: t.from,
      to: t.to,
      update: t.write.update,
      load: t.increment?.range ?? null,
      encoding: t.increment?.isEmpty ? 'none' : t.offer.encoding,
      passedOver: t.passedOver,
      replaces: t.replaces ?? null,
      splits: t.splits,
      rows: t.rows ?? null,
      guarantee: t.guarantee,
      create: t.write.existing === undefined,
      columns: t.read.columns.map(c => ({
        from: c.from ?? null,
        to: c.name,
        fromType: c.sourceNative ?? c.sourceType.kind,
        toType: c.native || c.type.kind,
      })),
      statements: t.statements,
      guesses: t.guesses ?? [],
      notes: t.notes,
    })),
    problems: problems.map(({ error, table }) => ({
      code: error.code,
      message: error.message,
      hint: error.hint,
      faults: error.faults,
      table,
    })),
  }
}
