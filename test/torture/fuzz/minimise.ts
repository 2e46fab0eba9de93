/** The smallest part of a case that still fails in the same way. */
import { type Case, partsOf, withParts } from './case.ts'

/** Leaves out halves, quarters and single parts of the case for as long as `fails` holds. */
export async function minimise(c: Case, fails: (smaller: Case) => Promise<boolean>): Promise<Case> {
  let kept = Array.from({ length: partsOf(c) }, (_, i) => i)
  let size = Math.ceil(kept.length / 2)
  let tries = 0
  while (size >= 1) {
    let removed = false
    for (let at = 0; at < kept.length && kept.length > 1 && tries < 60; ) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)]
      tries++
      if (fewer.length > 0 && (await fails(withParts(c, new Set(fewer))))) {
        kept = fewer
        removed = true
      } else at += size
    }
    if (size === 1 && !removed) break
    size = size === 1 ? 1 : Math.ceil(size / 2)
    if (tries >= 60) break
  }
  return withParts(c, new Set(kept))
}
