/** Checks that no two tables of a job share a destination, and that none is its own source. */
import type { TableInfo } from '../contract/schema.ts'
import type { Store } from '../contract/store.ts'
import { FerryError } from '../errors.ts'

/** Both objects of a table. */
interface Pair {
  from: string
  to: string
}

/** Throws FERRY-1005 where two tables would be one at the destination, as `Dup` and `dup` are for some stores. */
export function requireDistinctDestinations(plans: Pair[], destination: Store): void {
  const seen = new Map<string, Pair>()
  for (const plan of plans) {
    const key = destination.names.key(plan.to)
    const other = seen.get(key)
    if (other) {
      const where = other.to === plan.to ? plan.to : `${plan.to}, which is ${other.to} for ${destination.label}`
      throw new FerryError('FERRY-1005', `${other.from} and ${plan.from} both go to ${where}`)
    }
    seen.set(key, plan)
  }
}

/**
 * Throws FERRY-3017 where a table would be copied into itself, or the destination cannot be written while it is read.
 * `source` is undefined of a query: what that reads is not known.
 */
export function requireNotIntoItself(
  stores: { from: Store; to: Store },
  source: TableInfo | undefined,
  target: string,
  { onlyReads = false }: { onlyReads?: boolean | undefined } = {},
): void {
  const { from, to } = stores
  if (from.kind !== to.kind || from.place !== to.place) return
  const key = to.names.key(target)
  // A file may be in the folder that it is copied into.
  const own = source && [source.object, ...(source.parts ?? [])].find(o => isWithin(from.names.key(o), key))
  const isBelow = source?.deep === true && isWithin(key, from.names.key(source.object))
  if (own !== undefined || isBelow) {
    throw new FerryError('FERRY-3017', `${source!.object} would be copied into itself: ${target} is at the same place`)
  }
  const why = onlyReads ? undefined : to.refusesReading?.()
  if (why !== undefined) throw new FerryError('FERRY-3017', `${to.label} cannot be copied into itself: ${why}`)
}

function isWithin(object: string, target: string): boolean {
  // Standard input and output.
  if (target === '-') return false
  return object === target || (target.startsWith('/') && object.startsWith(`${target.replace(/\/$/, '')}/`))
}

/** Throws FERRY-1003 for options of objects that a store has none of. */
export function requireOptions(store: Store, options: Record<string, unknown>, which: 'read' | 'write'): void {
  const [first] = Object.keys(options)
  if (first === undefined || store.takesOptions) return
  throw new FerryError('FERRY-1003', `${which}.${first}: tables of ${store.kind} have no such option`, {
    hint: `\`${which}\` is for files and containers.`,
  })
}
