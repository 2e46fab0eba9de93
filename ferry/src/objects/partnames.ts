/** Names of the objects that runs write into a folder: they follow from run, split and part. */
import { FerryError } from '../errors.ts'

/** `ending` has no dot at its beginning: `csv.gz`. */
export class PartNames {
  /** What the names of all objects of the run begin with. */
  readonly prefix: string
  private readonly ending: string

  constructor(folder: string, run: string, ending: string) {
    this.prefix = `${folder}-${bare(run)}-`
    this.ending = ending
  }

  of(split: number, part: number): string {
    return `${this.ofSplit(split)}${String(part).padStart(4, '0')}.${this.ending}`
  }

  /** What the names of one split begin with. */
  ofSplit(split: number): string {
    return `${this.prefix}${String(split).padStart(5, '0')}-`
  }

  /** True if an object was written by this run. */
  isOwn(name: string): boolean {
    return baseOf(name).startsWith(this.prefix)
  }
}

const MADE = /-(\d{8}T\d{9}[0-9a-f]{4})-\d{5,}-\d{4,}\.[a-z]+(\.gz|\.zst)?$/

/** True if a name is one that a run gives. */
export const isMade = (name: string): boolean => MADE.test(name)

/**
 * Of names that appeared while a run published: those of runs that began earlier, which it replaces. Two runs that overwrite one
 * folder at once must not both stay: the later one does. Throws FERRY-5007 for names of a later run.
 */
export function overtaken(names: string[], own: string, place: string): string[] {
  const others = names.filter(name => isMade(name) && !name.includes(`-${bare(own)}-`))
  const later = others.find(name => MADE.exec(name)![1]! > bare(own))
  if (later === undefined) return others
  throw new FerryError('FERRY-5007', `${place}: a later copy has replaced this one while it was published: ${later}`, {
    hint: 'Let one job write a folder at a time.',
  })
}

/** A name without the folders before it. */
export const baseOf = (name: string): string => name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1)

/** True for a name below folders that partitions make alone: `year=2026/x.csv`. */
export const isPartitioned = (name: string): boolean => /^([^/\\.=][^/\\=]*=[^/\\]*[/\\])*[^/\\.][^/\\]*$/.test(name)

const bare = (run: string) => run.replace(/[^A-Za-z0-9]/g, '')

/**
 * What an overwrite of a folder replaces, for people; undefined if there is nothing. `things`: what the objects are called.
 * Throws FERRY-3018 if the folder holds some that no copy has made.
 */
export function replacedOf(folder: string, names: string[], things: string): string | undefined {
  const foreign = names.find(name => !isMade(name))
  if (foreign === undefined)
    return names.length === 0 ? undefined : `${names.length} ${things} of earlier copies in ${folder}`
  throw new FerryError('FERRY-3018', `${folder} holds ${foreign}, which no copy has made: it would be deleted`, {
    hint: 'Copy into a folder of its own, or with update: append.',
  })
}
