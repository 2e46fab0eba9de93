/**
 * Where the copies of a source's documents are. A document is known by its id and partition key at the source; under
 * another partition key it moves when it changes, and two documents may want one place.
 */
import type { KeyValue } from 'cosmos-local/hash'
import type { Change } from '../../batch/encoding.ts'
import type { Bulk } from './bulk.ts'
import type { CosmosContainer } from './container.ts'
import { identityOf, identityText } from './documents.ts'

export interface Copy {
  id: string
  key: KeyValue[]
  identity: string
}

/** Ids in one query. */
const AT_ONCE = 100

export class Copies {
  private readonly container: CosmosContainer
  private readonly bulk: Bulk
  private readonly identity: string[][]
  /** The components of the key that the identity contains; the others follow from the rest of the document. */
  private readonly fixed: boolean[]
  /** True if the identity contains the key, so that a changed document keeps its partition. */
  readonly areInPlace: boolean
  /** Whether two documents of the source may want one id and partition key. */
  readonly mayMeet: boolean

  constructor(container: CosmosContainer, bulk: Bulk, identity: string[][]) {
    this.container = container
    this.bulk = bulk
    this.identity = identity
    const known = new Set(identity.map(path => JSON.stringify(path)))
    const places = new Set([['id'], ...container.keyPaths].map(path => JSON.stringify(path)))
    this.fixed = container.keyPaths.map(path => known.has(JSON.stringify(path)))
    this.areInPlace = this.fixed.every(Boolean)
    this.mayMeet = ![...known].every(path => places.has(path))
  }

  identityOf(document: Record<string, unknown>): string {
    return identityOf(document, this.identity)
  }

  /** An identity in words: `customer "c1"`. */
  describe(identity: string): string {
    const values = JSON.parse(identity) as { v?: unknown }[]
    const named = this.identity.map((path, i) => `${path.join('.')} ${JSON.stringify(values[i]!.v) ?? 'missing'}`)
    return named.slice(this.identity.length > 1 ? 1 : 0).join(', ')
  }

  /** Whether a changed document may have a copy in another place, or its place may be another's. */
  mayBeElsewhere(change: Change, key: KeyValue[], several: boolean): boolean {
    if (change === 'create') return false
    if (this.mayMeet) return true
    if (this.areInPlace) return false
    // A document that was deleted by a single change was in the partition of that change, if the change has all of the key.
    return change === 'replace' || several || key.some((value, i) => value === undefined && !this.fixed[i])
  }

  /** All items with one of some ids. */
  async find(ids: string[]): Promise<Copy[]> {
    const { keyPaths } = this.container
    const column = (path: string[]) => `c${path.map(step => `[${JSON.stringify(step)}]`).join('')}`
    const columns = [
      'c.id',
      ...keyPaths.map((path, i) => `${column(path)} AS k${i}`),
      ...this.identity.map((path, i) => `${column(path)} AS i${i}`),
    ]
    const found = await itemsOf(this.bulk, columns.join(', '), ids)
    return found
      .map(text => JSON.parse(text) as Found)
      .map(item => ({
        id: item.id,
        key: keyPaths.map((_, i) => item[`k${i}`] as KeyValue),
        identity: identityText(this.identity.map((_, i) => item[`i${i}`])),
      }))
  }
}

type Found = Record<string, unknown> & { id: string }

/** The texts of all documents with one of some ids, whatever their partition key. */
export function documentsOf(bulk: Bulk, ids: string[]): Promise<string[]> {
  return itemsOf(bulk, '*', ids)
}

async function itemsOf(bulk: Bulk, what: string, ids: string[]): Promise<string[]> {
  const found: string[] = []
  const unique = [...new Set(ids)]
  for (let from = 0; from < unique.length; from += AT_ONCE) {
    const parameters = unique.slice(from, from + AT_ONCE).map((value, i) => ({ name: `@id${i}`, value }))
    const query = `SELECT ${what} FROM c WHERE c.id IN (${parameters.map(p => p.name).join(', ')})`
    for (const text of await bulk.query(query, parameters)) found.push(text)
  }
  return found
}
