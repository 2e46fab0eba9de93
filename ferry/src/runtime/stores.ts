/** The stores of a job: named connections looked up, variables put in, connectors loaded. */
import type { Kysely } from 'kysely'
import type { Store } from '../connectors/connector.ts'
import { loadConnector } from '../connectors/registry.ts'
import type { Sessions } from '../engine/plan.ts'
import { isReference, isSecret, type Locator, parseLocator, withoutPassword } from '../job/locator.ts'
import { type Variables, withVariables } from '../job/read.ts'
import type { CopyJob, EndpointSpec } from '../job/schema.ts'
import { withVaultSecrets } from '../secrets/keyvault.ts'
import { findConnection } from '../state/connections.ts'
import type { State } from '../state/database.ts'
import type { Schema } from '../state/schema.ts'

/** What an endpoint of a job stands for, variables put in. */
export async function resolveEndpoint(
  spec: EndpointSpec,
  db: Kysely<Schema> | undefined,
  variables: Variables,
): Promise<Locator> {
  if (typeof spec === 'string') {
    const locator = parseLocator(withVariables(spec, variables))
    // A job's endpoint is the store itself; of files that is the folder.
    if (locator.kind !== 'files' || locator.object === '-') return locator
    return { kind: 'files', settings: { folder: locator.object } }
  }
  if ('connection' in spec && db) {
    const found = await findConnection(db, withVariables(spec.connection as string, variables))
    return { kind: found.kind, settings: withVariables(found.settings, variables) }
  }
  const { kind, ...settings } = withVariables(spec, variables) as { kind: string }
  return { kind, settings }
}

export async function openStore(locator: Locator): Promise<Store> {
  return (await loadConnector(locator.kind)).open(await withVaultSecrets(locator.settings))
}

/** Both stores of a job. */
export interface Stores {
  source: Store
  destination: Store
}

export async function openStores(job: CopyJob, state: State | undefined, variables: Variables): Promise<Stores> {
  const source = await openStore(await resolveEndpoint(job.source, state?.db, variables))
  const destination = await openStore(await resolveEndpoint(job.destination, state?.db, variables))
  return { source, destination }
}

export async function closeStores(stores: Stores): Promise<void> {
  await stores.source.close()
  await stores.destination.close()
}

export async function openSessions(stores: Stores, identity: { run: string; job: string }): Promise<Sessions> {
  const [source, sink] = await Promise.all([stores.source.source(), stores.destination.sink(identity)])
  return { sourceStore: stores.source, destinationStore: stores.destination, source, sink }
}

export async function closeSessions(sessions: Sessions): Promise<void> {
  await sessions.source.close()
  await sessions.sink.close()
}

/** The job as the state keeps it: no password in it, neither in a locator nor in settings. */
export function withoutSecrets(job: CopyJob): CopyJob {
  const clean = (endpoint: EndpointSpec): EndpointSpec => {
    if (typeof endpoint === 'string') return withoutPassword(endpoint)
    const entries = Object.entries(endpoint).map(([k, v]) => {
      const secret = isSecret(k) && typeof v === 'string' && !isReference(v)
      return [k, secret ? '***' : v]
    })
    return Object.fromEntries(entries) as EndpointSpec
  }
  return { ...job, source: clean(job.source), destination: clean(job.destination) }
}
