/** What a request's path names, and what of it is signed. Clients name resources by their names or by their ids. */
import type { Account } from './account.ts'
import type { SignedRequest } from './auth.ts'
import { notFound } from './errors.ts'
import type { Request } from './protocol.ts'

/** Length of a database's resource id: four bytes in base64. */
const DATABASE_RID_LENGTH = 8

/**
 * The resource that a path names. `resources` are the texts of which a client signs one: the path of names; of a path
 * by resource ids, the last id alone, which the protocol lower-cases (some clients leave it as it is).
 *
 * Source: https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
 */
export function signedPart({ method, path, headers }: Request): SignedRequest {
  const { resourceType, named } = signedResource(path)
  const last = named.at(-1) ?? ''
  // Offers have no names.
  const byId = resourceType === 'offers' || isByRid(path)
  return {
    method,
    resourceType,
    resources: byId ? [last.toLowerCase(), last, named.join('/')] : [named.join('/')],
    date: headers['x-ms-date'] ?? headers.date,
    authorization: headers.authorization,
  }
}

function signedResource(path: string[]): { resourceType: string; named: string[] } {
  // An operation on a container is signed as the container: `dbs/d/colls/c/operations/partitionkeydelete`.
  if (path[4] === 'operations') return { resourceType: 'colls', named: path.slice(0, 4) }
  if (path.length % 2 === 0) return { resourceType: path.at(-2) ?? '', named: path }
  return { resourceType: path.at(-1)!, named: path[0] === 'offers' ? [] : path.slice(0, -1) }
}

/** True for a path by resource ids. Clients distinguish the two kinds by this form of the database's id, too. */
function isByRid(path: string[]): boolean {
  const id = path[1]
  if (path[0] !== 'dbs' || id?.length !== DATABASE_RID_LENGTH || !id.endsWith('==')) return false
  return /^[A-Za-z0-9+-]{6}==$/.test(id)
}

/**
 * The path with names in place of resource ids. A database whose name looks like a resource id is found by its name.
 * Throws 404 for an id that the account does not have.
 */
export function namedPath(account: Account, path: string[]): string[] {
  if (!isByRid(path)) return path
  const databases = account.databases()
  if (databases.some(d => d.id === path[1])) return path
  const database = databases.find(d => d.rid === path[1])
  if (!database) throw notFound()
  const named = [...path]
  named[1] = database.id
  if (path[2] !== 'colls' || path[3] === undefined) return named
  const container = account.containersOf(database.id).find(c => c.rid === path[3])
  if (!container) throw notFound()
  named[3] = container.definition.id
  if (path[4] === 'docs' && path[5] !== undefined) {
    const id = container.idOf(path[5])
    if (id === undefined) throw notFound('Entity with the specified id does not exist in the system.')
    named[5] = id
  }
  return named
}
