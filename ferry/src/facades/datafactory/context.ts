/** What activities that move data have in common: the factory, what it is redirected to, and stores that are opened and closed. */
import type { Store } from '../../contract/store.ts'
import { FerryError } from '../../errors.ts'
import type { EndpointSpec } from '../../job/schema.ts'
import type { ActivityContext } from '../../pipelines/activity.ts'
import { ActivityFailure } from '../../pipelines/errors.ts'
import type { Reference } from '../../pipelines/model.ts'
import type { Policy } from '../../policy.ts'
import type { Copier } from '../../runtime/copier.ts'
import { kindsAt, openStore, resolveEndpoint } from '../../runtime/stores.ts'
import type { State } from '../../state/database.ts'
import type { Factory } from './artifacts.ts'
import type { CopyOf } from './copyjob.ts'
import { type Dataset, datasetOf } from './datasets.ts'
import type { KindOf } from './files.ts'
import type { Redirects } from './redirects.ts'

export interface Surroundings {
  factory: Factory
  redirects: Redirects
  state: State
  policy: Policy
}

/** The same for what runs: with processes that copy. */
export interface Running extends Surroundings {
  copier: Copier
  /** The address that receives answers to webhooks; undefined without a server. */
  callbacks?: string | undefined
}

/** The dataset that a property of an activity refers to. Throws FERRY-7001. */
export function datasetAt(
  { factory, redirects }: Surroundings,
  context: ActivityContext,
  reference: unknown,
  what: string,
): Dataset {
  if (typeof reference !== 'object' || reference === null || !('referenceName' in reference)) {
    throw new FerryError('FERRY-7001', `activity ${context.activity.name} has no ${what}`)
  }
  return datasetOf(factory, redirects, reference as Reference, context.scope)
}

/** Opens a store for a piece of work, and closes it. */
export async function withStore<T>(
  { state, policy }: Surroundings,
  endpoint: EndpointSpec,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await openStore(await resolveEndpoint(endpoint, state, policy), policy)
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

const MOST_FILES = 20_000

/** Lists the files that a name or a pattern means: names relative to the store, sorted. Throws FERRY-7006. */
export function filesIn(around: Surroundings): CopyOf['list'] {
  return (endpoint, name, read) =>
    withStore(around, endpoint, async ({ folders }) => {
      const names: string[] = []
      const from = typeof read.modifiedFrom === 'string' ? Date.parse(read.modifiedFrom) : -Infinity
      const before = typeof read.modifiedBefore === 'string' ? Date.parse(read.modifiedBefore) : Infinity
      for await (const page of folders!.files(name, read.recursive === true)) {
        for (const file of page) if (file.modified >= from && file.modified < before) names.push(file.name)
        if (names.length > MOST_FILES) {
          throw new ActivityFailure(
            'FERRY-7006',
            `${name} means more than ${MOST_FILES} files, each of which would become a file: copy them in parts`,
          )
        }
      }
      return names.sort()
    })
}

/** The kinds of stores, with named connections looked up once. */
export async function kindsOf({ state }: Pick<Surroundings, 'state'>): Promise<KindOf> {
  const kinds = await kindsAt(state.db)
  return endpoint => kinds(endpoint)?.kind
}
