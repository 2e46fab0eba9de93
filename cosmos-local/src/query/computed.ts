/** Computed properties: values that a container's definition derives from each item, for queries alone. */
import { badRequest } from '../errors.ts'
import type { Json, JsonObject } from '../json.ts'
import { compileQuery } from './evaluate.ts'
import { parseQuery } from './parse.ts'
import { withComputed } from './values.ts'

export interface ComputedProperty {
  name: string
  /** `SELECT VALUE LOWER(c.name) FROM c`. */
  query: string
}

const MOST_PROPERTIES = 20
/** Functions whose value is not the item's. */
const CHANGING = /\b(?:GetCurrent\w+|Rand)\s*\(/i

/**
 * The computed properties of a definition; none where it has none. Throws 400 for what none can be.
 *
 * Source: https://learn.microsoft.com/azure/cosmos-db/nosql/query/computed-properties
 */
export function parseComputed(given: Json | undefined): ComputedProperty[] {
  if (given === undefined || given === null) return []
  if (!Array.isArray(given)) throw invalid('computedProperties is no list')
  if (given.length > MOST_PROPERTIES) throw invalid(`a container has at most ${MOST_PROPERTIES} computed properties`)
  const names = new Set<string>()
  return given.map(entry => {
    const { name, query } = (entry ?? {}) as JsonObject
    if (typeof name !== 'string' || name === '' || name.startsWith('_') || name === 'id') {
      throw invalid(`${JSON.stringify(name)} is no name of a computed property`)
    }
    if (names.has(name)) throw invalid(`two computed properties are called ${name}`)
    names.add(name)
    if (typeof query !== 'string') throw invalid(`the computed property ${name} has no query`)
    checkQuery(name, query)
    return { name, query }
  })
}

function checkQuery(name: string, text: string): void {
  const query = parseQuery(text)
  const others =
    query.where ?? query.top ?? query.offset ?? query.groupBy[0] ?? query.orderBy[0] ?? (query.distinct || undefined)
  const source = query.from.length === 1 ? query.from[0]! : undefined
  if (query.select.form !== 'value' || others !== undefined || source?.of?.kind !== 'name' || source.each) {
    throw invalid(`the query of ${name} is to be SELECT VALUE ... FROM c, and nothing else`)
  }
  if (CHANGING.test(text)) throw invalid(`the query of ${name} uses a function whose value changes`)
}

function invalid(why: string) {
  return badRequest(`One of the specified inputs is invalid: ${why}`)
}

/**
 * Adds the computed properties to documents that a query reads. `c.name` finds the computed value, also where an item
 * has a property of that name; `SELECT *` gives the item's own.
 */
export function computing(properties: ComputedProperty[]): (document: JsonObject) => JsonObject {
  const compiled = properties.map(({ name, query }) => ({ name, run: compileQuery(parseQuery(query), {}) }))
  return document => {
    const values = compiled.map(({ name, run }) => [name, run([{ names: { ROOT: document } }])[0]] as const)
    return withComputed(document, Object.fromEntries(values))
  }
}
