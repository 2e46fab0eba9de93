/** The stores of a job: named connections looked up, variables put in, connectors loaded. */
import type { Kysely } from 'kysely'
import { findKind, loadConnector } from '../connectors/registry.ts'
import { isReference, isSecret, withoutPassword } from '../connectors/settings.ts'
import type { Store } from '../contract/store.ts'
import type { RunIdentity } from '../contract/write.ts'
import type { Sessions } from '../engine/tableplan.ts'
import type { KindAt } from '../job/check.ts'
import { type Locator, parseLocator, parseStore } from '../job/locator.ts'
import { withVariables } from '../job/read.ts'
import type { CopyJob, EndpointSpec } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import { withVaultSecrets } from '../secrets/keyvault.ts'
import { findConnection, listConnections } from '../state/connections.ts'
import type { State } from '../state/database.ts'
import type { Schema } from '../state/schema.ts'
import { withSecrets } from '../state/secrets.ts'

/** What stores are opened with: named connections of a state, and what may be used of this machine. */
export interface Access {
  state: State
  policy: Policy
}

/** The store of an endpoint of a job, with variables replaced. */
export async function resolveEndpoint(spec: EndpointSpec, state: State | undefined, policy: Policy): Promise<Locator> {
  if (typeof spec === 'string') return parseStore(withVariables(spec, policy))
  if ('connection' in spec && state) {
    const found = await findConnection(state.db, withVariables(spec.connection as string, policy))
    return {
      kind: found.kind,
      settings: await withSecrets(state, { ...found, settings: withVariables(found.settings, policy) }),
    }
  }
  const { kind, ...settings } = withVariables(spec, policy) as { kind: string }
  return { kind, settings }
}

/** The kinds of stores that endpoints of jobs name, as far as that is known. */
export async function kindsAt(db: Kysely<Schema>): Promise<KindAt> {
  const named = new Map((await listConnections(db)).map(c => [c.name, c.kind]))
  return endpoint => {
    if (typeof endpoint === 'string') return findKind(kindNamedBy(endpoint))
    const { kind, connection } = (endpoint ?? {}) as { kind?: unknown; connection?: unknown }
    return findKind(String(kind ?? named.get(String(connection))))
  }
}

function kindNamedBy(locator: string): string {
  try {
    return parseLocator(locator).kind
  } catch {
    return ''
  }
}

export async function openStore(locator: Locator, policy: Policy): Promise<Store> {
  return (await loadConnector(locator.kind)).open(await withVaultSecrets(locator.settings, policy), policy)
}

/** Both stores of a job. */
export interface Stores {
  source: Store
  destination: Store
}

export async function openStores(job: CopyJob, state: State | undefined, policy: Policy): Promise<Stores> {
  const [source, destination] = await bothOpen(
    (async () => openStore(await resolveEndpoint(job.source, state, policy), policy))(),
    (async () => openStore(await resolveEndpoint(job.destination, state, policy), policy))(),
  )
  return { source, destination }
}

export async function closeStores(stores: Stores): Promise<void> {
  await closeAll([stores.source, stores.destination])
}

interface Closable {
  close(): Promise<void>
}

/** Both, or neither: what opened beside one that failed would keep its connection, and the process. */
async function bothOpen<A extends Closable, B extends Closable>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b])
  if (first.status === 'fulfilled' && second.status === 'fulfilled') return [first.value, second.value]
  await closeAll([first, second].flatMap(s => (s.status === 'fulfilled' ? [s.value] : [])))
  throw (first.status === 'rejected' ? first : (second as PromiseRejectedResult)).reason
}

/** Closes each of them, whatever becomes of the others. */
async function closeAll(all: Closable[]): Promise<void> {
  const ended = await Promise.allSettled(all.map(one => one.close()))
  for (const end of ended) if (end.status === 'rejected') throw end.reason
}

export async function openSessions(stores: Stores, identity: RunIdentity): Promise<Sessions> {
  const [source, sink] = await bothOpen(stores.source.source(), stores.destination.sink(identity))
  return { sourceStore: stores.source, destinationStore: stores.destination, source, sink }
}

export async function closeSessions(sessions: Sessions): Promise<void> {
  await closeAll([sessions.source, sessions.sink])
}

/** The job as the state keeps it: no password in it, neither in a locator nor in settings. */
export function withoutSecrets(job: CopyJob): CopyJob {
  const clean = (endpoint: EndpointSpec): EndpointSpec => {
    if (typeof endpoint === 'string') return withoutPassword(endpoint)
    const { kind } = endpoint as Record<string, unknown>
    const entries = Object.entries(endpoint).map(([k, v]) => {
      const secret = k !== 'kind' && kind !== undefined && isSecret(String(kind), k) && !isReference(v)
      return [k, secret ? '***' : v]
    })
    return Object.fromEntries(entries) as EndpointSpec
  }
  return { ...job, source: clean(job.source), destination: clean(job.destination) }
}
