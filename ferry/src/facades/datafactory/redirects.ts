/** What of a factory goes elsewhere here: linked services to connections of Ferry, integration runtimes to this machine. */
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { didYouMean, FerryError } from '../../errors.ts'
import { withVariables } from '../../job/read.ts'
import type { EndpointSpec } from '../../job/schema.ts'
import type { Policy } from '../../policy.ts'
import type { Factory } from './artifacts.ts'

const text = z.string().min(1).max(4000)

const redirectSchema = z.union([
  text,
  z.strictObject({
    connection: text.optional(),
    kind: text.optional(),
    settings: z.record(z.string(), z.unknown()).optional(),
    tables: z.union([text, z.record(text, text)]).optional(),
  }),
])

const fileSchema = z.strictObject({
  linkedServices: z.record(text, redirectSchema).default({}),
  runtimes: z.record(text, z.literal('local')).default({}),
  storageAccounts: z.record(text, text).default({}),
})

export interface Redirect {
  endpoint: EndpointSpec
  /** How tables are called there: `{schema}` and `{table}` stand for the names in the factory. */
  tables: Record<string, string>
}

export interface Redirects {
  linkedServices: ReadonlyMap<string, Redirect>
  /** Integration runtimes whose work is done on this machine, in lower case. */
  runtimes: ReadonlySet<string>
  /** Linked services by the storage accounts that triggers watch, in lower case. */
  storageAccounts: ReadonlyMap<string, string>
}

export const NO_REDIRECTS: Redirects = { linkedServices: new Map(), runtimes: new Set(), storageAccounts: new Map() }

/** Reads a file of redirects, and names of runtimes as `NAME=local`. Throws FERRY-1001, FERRY-1002, FERRY-1003. */
export function readRedirects(file: string | undefined, runtimes: readonly string[], policy: Policy): Redirects {
  const given = file === undefined ? fileSchema.parse({}) : readFile(file, policy)
  const local = runtimes.map(pair => {
    const match = /^(.+)=local$/i.exec(pair)
    if (match) return match[1]!
    throw new FerryError('FERRY-1003', `--runtime ${pair}: runtimes are redirected as NAME=local`)
  })
  const besides = file === undefined ? '' : dirname(resolve(file))
  return {
    linkedServices: new Map(
      Object.entries(given.linkedServices).map(([name, to]) => [name.toLowerCase(), redirectOf(to, besides)]),
    ),
    runtimes: new Set([...Object.keys(given.runtimes), ...local].map(name => name.toLowerCase())),
    storageAccounts: new Map(
      Object.entries(given.storageAccounts).map(([account, service]) => [account.toLowerCase(), service]),
    ),
  }
}

function readFile(file: string, policy: Policy): z.output<typeof fileSchema> {
  let written: string
  try {
    written = readFileSync(policy.pathOf(file), 'utf8')
  } catch (error) {
    if (error instanceof FerryError) throw error
    throw new FerryError('FERRY-1001', `${file}: ${(error as Error).message}`, { cause: error })
  }
  let value: unknown
  try {
    value = parse(written)
  } catch (error) {
    throw new FerryError('FERRY-1002', `${file}: ${(error as Error).message.split('\n')[0]}`)
  }
  const result = fileSchema.safeParse(withVariables(value ?? {}, policy))
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new FerryError('FERRY-1003', `${file}: ${issue!.path.join('.')}: ${issue!.message}`, {
    hint: 'linkedServices: { NAME: LOCATOR } or { NAME: { connection, tables } }; runtimes: { NAME: local }; storageAccounts: { ACCOUNT: LINKED_SERVICE }.',
  })
}

/** `folder`: where the file of redirects is; paths that are relative begin there. */
function redirectOf(to: z.output<typeof redirectSchema>, folder: string): Redirect {
  if (typeof to === 'string') return { endpoint: fromFolder(to, folder), tables: {} }
  const { connection, kind, settings = {}, tables = {} } = to
  const rules = typeof tables === 'string' ? { '*': tables } : tables
  if ((connection === undefined) === (kind === undefined)) {
    throw new FerryError('FERRY-1003', 'a redirect has either `connection` or `kind`')
  }
  if (connection !== undefined) return { endpoint: { connection }, tables: rules }
  const placed = Object.entries(settings).map(([name, v]) => [
    name,
    typeof v === 'string' && (name === 'path' || name === 'folder') ? fromFolder(v, folder) : v,
  ])
  return { endpoint: { kind: kind!, ...Object.fromEntries(placed) }, tables: rules }
}

/** `./x`, also behind the kind of a locator, as a path from a folder. */
function fromFolder(text: string, folder: string): string {
  const [, kind = '', path] = /^([a-z][a-z0-9]*:)?(\.{1,2}(?:\/.*)?)$/s.exec(text) ?? []
  return path === undefined ? text : `${kind}${join(folder, path)}`
}

/** Throws FERRY-7007 for a redirect that names nothing in the factory: it would be a mistyped one. */
export function requireKnown(redirects: Redirects, factory: Factory): void {
  for (const [category, names] of [
    ['linkedService', [...redirects.linkedServices.keys()]],
    ['integrationRuntime', [...redirects.runtimes]],
  ] as const) {
    for (const name of names) {
      const isNamed = factory.get(category, name) !== undefined || isReferred(factory, name)
      // Runtimes are often named by linked services alone.
      if (isNamed || category === 'integrationRuntime') continue
      const near = didYouMean(name, factory.named(category))
      throw new FerryError('FERRY-7007', `a redirect names ${category} ${name}${near}`)
    }
  }
}

/** True if a dataset or an activity refers to a linked service that is not in the factory itself. */
function isReferred(factory: Factory, name: string): boolean {
  const wanted = name.toLowerCase()
  const found = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return false
    const { type, referenceName } = value as { type?: unknown; referenceName?: unknown }
    if (type === 'LinkedServiceReference' && String(referenceName).toLowerCase() === wanted) return true
    return Object.values(value).some(found)
  }
  return factory.artifacts.some(a => found(a.properties))
}

/** The name of a table at the place that a linked service is redirected to. */
export function redirectedTable({ tables }: Redirect, schema: string | undefined, table: string): string {
  const whole = schema === undefined ? table : `${schema}.${table}`
  const pattern = Object.keys(tables).find(p => matches(p, whole)) ?? (Object.hasOwn(tables, '*') ? '*' : undefined)
  if (pattern === undefined) return whole
  return tables[pattern]!.replaceAll('{schema}', () => schema ?? '')
    .replaceAll('{table}', () => table)
    .replace(/^\./, '')
}

function matches(pattern: string, name: string): boolean {
  if (pattern === '*') return false
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${escaped}$`, 'i').test(name)
}
