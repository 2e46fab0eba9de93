/**
 * Forms that are saved as JSON between runs, and that another version of Ferry may read: positions, checkpoints, splits. Each
 * is read through its schema, and older ones are brought up to date.
 */
import { z } from 'zod'
import { FerryError } from './errors.ts'
import './faults.ts'

/** A value with the name and version of its form. A text without them was written before forms had versions: version 0. */
const wrapped = z.strictObject({ form: z.string(), version: z.int().positive(), value: z.unknown() })

/** Brings the value of one version to the next: `upgrades[0]` that of version 0. */
export type Upgrade = (old: unknown) => unknown

export class KeptForm<T> {
  private readonly name: string
  private readonly schema: z.ZodType<T>
  private readonly upgrades: Upgrade[]

  /** Version 0 equals version 1 unless an upgrade is given. */
  constructor(name: string, schema: z.ZodType<T>, upgrades: Upgrade[] = [old => old]) {
    this.name = name
    this.schema = schema
    this.upgrades = upgrades
  }

  get version(): number {
    return this.upgrades.length
  }

  /** Properties that the form does not have are dropped. */
  write(value: T): string {
    // What is undefined goes; texts alone, which may be long, need no copy.
    const isPlain = Object.values(value as object).every(part => typeof part === 'string')
    const plain = isPlain ? value : JSON.parse(JSON.stringify(value))
    return JSON.stringify({ form: this.name, version: this.version, value: this.schema.parse(plain) })
  }

  /** Throws FERRY-5015 for what is not this form, or of a newer version. */
  read(text: string): T {
    const value = this.find(text)
    if (value === undefined) throw this.unreadable(`it is none: ${text.slice(0, 80)}`)
    return value
  }

  /** The same, where it may be another form; undefined then. */
  find(text: string): T | undefined {
    const { form, version, value } = opened(text)
    if (form !== undefined && form !== this.name) return undefined
    if (version > this.version) throw this.unreadable(`it is of version ${version}; this Ferry knows ${this.version}`)
    const result = this.schema.safeParse(this.upToDate(version, value))
    if (result.success) return result.data
    // Without a name it may be any form.
    if (form === undefined) return undefined
    const { path, message } = result.error.issues[0]!
    throw this.unreadable([path.join('.'), message].filter(Boolean).join(' '))
  }

  /** Undefined for what is not of that version. */
  private upToDate(version: number, value: unknown): unknown {
    try {
      return this.upgrades.slice(version).reduce((old, upgrade) => upgrade(old), value)
    } catch {
      return undefined
    }
  }

  private unreadable(why: string): FerryError {
    return new FerryError('FERRY-5015', `the kept ${this.name} cannot be read: ${why}`)
  }
}

function opened(text: string): { form?: string; version: number; value: unknown } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { version: 0, value: undefined }
  }
  const found = wrapped.safeParse(value)
  return found.success ? found.data : { version: 0, value }
}
