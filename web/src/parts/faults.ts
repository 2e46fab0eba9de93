/** The faults of single settings, each shown beside its field and only there. */
import { type Fault, Problem } from '../api.ts'

/** What is wrong with a setting, by its place; undefined where it is right. */
export type FaultAt = (path: string) => string | undefined

export const noFault: FaultAt = () => undefined

/** The faults that an error names, for a form that has a field for each place of which `has` is true. */
export function faultsOf(error: unknown, has: (path: string) => boolean): { at: FaultAt; isBeside: boolean } {
  const faults = error instanceof Problem ? error.faults : []
  // Faults without a field are shown together.
  const isBeside = faults.length > 0 && faults.every(f => has(f.path))
  return { at: isBeside ? faultAt(faults) : noFault, isBeside }
}

export function faultAt(faults: Fault[]): FaultAt {
  return path => {
    const told = faults.filter(f => f.path === path || f.path.startsWith(`${path}.`))
    if (told.length === 0) return undefined
    return told.map(f => (f.path === path ? f.message : `${f.path.slice(path.length + 1)}: ${f.message}`)).join('; ')
  }
}

/** The same within a part of the whole. */
export const within =
  (at: FaultAt, part: string): FaultAt =>
  path =>
    at(path === '' ? part : `${part}.${path}`)

/** The property of a `Field` that shows it. */
export const shown = (fault: string | undefined) => (fault === undefined ? {} : { validationMessage: fault })
