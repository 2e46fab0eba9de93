/** The artifacts of a factory: what they are, and where they come from. */
import { createHash } from 'node:crypto'
import { didYouMean, FerryError } from '../../errors.ts'

export const CATEGORIES = [
  'pipeline',
  'dataset',
  'linkedService',
  'trigger',
  'dataflow',
  'integrationRuntime',
  'credential',
] as const
export type Category = (typeof CATEGORIES)[number]

export interface Artifact {
  category: Category
  name: string
  /** The artifact's `properties`, as they are. */
  properties: Record<string, unknown>
  /** The path of the file that it comes from. */
  file: string
  /** The JSON path of `properties` in it: `$.properties`, `$.resources[3].properties`. */
  path: string
  /** Parameters of a template that it needs and that have no value. */
  missing: string[]
  /** Why it cannot be read. */
  fault?: string
}

export class Factory {
  readonly name: string
  readonly artifacts: readonly Artifact[]
  readonly globalParameters: Record<string, unknown>
  private readonly byName = new Map<string, Artifact>()

  constructor(name: string, artifacts: readonly Artifact[], globalParameters: Record<string, unknown>) {
    this.name = name
    this.artifacts = artifacts
    this.globalParameters = globalParameters
    for (const artifact of artifacts) {
      const key = keyOf(artifact.category, artifact.name)
      const other = this.byName.get(key)
      if (other) artifact.fault ??= `${other.file} has a ${artifact.category} of this name, too`
      else this.byName.set(key, artifact)
    }
  }

  get(category: Category, name: string): Artifact | undefined {
    return this.byName.get(keyOf(category, name))
  }

  /** Throws FERRY-7007 with the nearest name. */
  require(category: Category, name: string): Artifact {
    const found = this.get(category, name)
    if (found?.fault !== undefined) throw new FerryError('FERRY-7001', `${category} ${name}: ${found.fault}`)
    if (found) return found
    const names = this.named(category)
    const near = didYouMean(name, names)
    throw new FerryError('FERRY-7007', `there is no ${category} ${name}${near}`, {
      hint:
        names.length > 0
          ? `There are: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', ...' : ''}`
          : 'There is none.',
    })
  }

  named(category: Category): string[] {
    return this.artifacts.filter(a => a.category === category).map(a => a.name)
  }

  /** The files that artifacts come from. */
  get files(): string[] {
    return [...new Set(this.artifacts.map(a => a.file))]
  }

  /** Names a pipeline, and all that it refers to, as they are; a reference by an expression means all artifacts. */
  fingerprint(pipeline: string): string {
    const used = new Set<Artifact>()
    let isOpen = false
    const use = (artifact: Artifact) => {
      if (used.has(artifact)) return
      used.add(artifact)
      visit(artifact.properties)
    }
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return
      for (const [key, inner] of Object.entries(value)) {
        if (key !== 'referenceName') visit(inner)
        else if (typeof inner === 'string' && !inner.includes('@')) {
          for (const category of CATEGORIES) {
            const found = this.get(category, inner)
            if (found) use(found)
          }
        } else isOpen = true
      }
    }
    use(this.require('pipeline', pipeline))
    const all = (isOpen ? [...this.artifacts] : [...used])
      .map(a => [a.category, a.name, a.properties])
      .sort((a, b) => (String(a.slice(0, 2)) < String(b.slice(0, 2)) ? -1 : 1))
    return createHash('sha256')
      .update(JSON.stringify([all, this.globalParameters], exactly))
      .digest('hex')
  }
}

/** Data Factory finds artifacts in any case. */
const keyOf = (category: Category, name: string) => `${category}/${name.toLowerCase()}`

/** Numbers that a float cannot hold, as texts of JSON. */
export const exactly = (_key: string, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)

/** `{ a: { type, value } }` as `{ a: value }`. */
export function globalsOf(declared: unknown): Record<string, unknown> {
  if (typeof declared !== 'object' || declared === null) return {}
  return Object.fromEntries(
    Object.entries(declared).map(([name, v]) => [name, (v as { value?: unknown })?.value ?? null]),
  )
}
