/** Blobs that arrive where a trigger waits for them: found by listing the container. */
import { FerryError } from '../../errors.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import type { Seen } from '../../state/arrivals.ts'
import type { Factory } from './artifacts.ts'
import { kindsOf, type Surroundings, withStore } from './context.ts'
import { join, literal, placedAt } from './files.ts'
import { endpointOf, serviceOf } from './linkedservices.ts'
import type { Redirects } from './redirects.ts'
import type { TriggerOf } from './triggers.ts'

type Blobs = Extract<TriggerOf, { kind: 'blobs' }>

/** The blobs that a trigger is for, as they are now, by their names in its container. */
export async function arrivedBlobs(around: Surroundings, trigger: Blobs): Promise<Seen[]> {
  const { factory, redirects } = around
  const { begins, ends, container, ignoresEmpty } = trigger
  const service = serviceOf(factory, redirects, { referenceName: serviceFor(factory, redirects, trigger) }, NO_SCOPE)
  const { endpoint, root } = placedAt(endpointOf(service), { container }, await kindsOf(around))
  return withStore(around, endpoint, async store => {
    if (!store.folders) throw new FerryError('FERRY-7006', `${store.label} has no files that could arrive`)
    const folder = join(root, begins.slice(0, Math.max(0, begins.lastIndexOf('/'))))
    const found: Seen[] = []
    for await (const page of store.folders.files(folder === '' ? './' : `${literal(folder)}/`, true)) {
      for (const { name, size, modified } of page) {
        const own = root === '' ? name : name.slice(root.length + 1)
        if (!own.startsWith(begins) || !own.endsWith(ends) || (ignoresEmpty && size === 0)) continue
        found.push({ path: own, fingerprint: `${size}-${modified}` })
      }
    }
    return found
  })
}

const NO_SCOPE: Scope = { functions: new Map() }

/** The linked service of the account that a trigger watches. Throws FERRY-7006 where none is known to be its. */
export function serviceFor(factory: Factory, redirects: Redirects, { account }: Pick<Blobs, 'account'>): string {
  const given = redirects.storageAccounts.get(account.toLowerCase())
  if (given !== undefined) return given
  const found = factory.artifacts.find(
    a => a.category === 'linkedService' && accountOf(a.properties) === account.toLowerCase(),
  )
  if (found) return found.name
  throw new FerryError('FERRY-7006', `no linked service is known to be of the storage account ${account}`, {
    hint: `Name it in the file of redirects: storageAccounts: { ${account}: LINKED_SERVICE }.`,
  })
}

/** The storage account of a linked service, in lower case; undefined if it does not show it. */
function accountOf(properties: Record<string, unknown>): string | undefined {
  const { serviceEndpoint, url, connectionString, sasUri } = (properties.typeProperties ?? {}) as Record<
    string,
    unknown
  >
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  const named = /(?:^|;)\s*AccountName\s*=\s*([^;]+)/i.exec(text(connectionString))?.[1]
  const host = [serviceEndpoint, url, sasUri].map(text).find(v => v.startsWith('http'))
  return (named ?? (host && URL.parse(host)?.hostname.split('.')[0]))?.trim().toLowerCase()
}
