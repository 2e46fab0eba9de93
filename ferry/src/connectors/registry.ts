/** The kinds of stores: what each declares, and how its driver is loaded, once it is used. A new store is a line here. */
import { delimiter, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { z } from 'zod'
import { valueOf } from '../batch/valueof.ts'
import { COMMON_ENCODINGS } from '../contract/encodings.ts'
import type { Connector, Kind, Store } from '../contract/store.ts'
import { FerryError, nearest } from '../errors.ts'
import { azureblobKind } from './azureblob/settings.ts'
import { cosmosKind } from './cosmos/settings.ts'
import { duckdbKind } from './duckdb/settings.ts'
import { filesKind } from './files/settings.ts'
import { gcsKind } from './gcs/settings.ts'
import { httpKind } from './http/settings.ts'
import { mysqlKind } from './mysql/settings.ts'
import { postgresKind } from './postgres/settings.ts'
import { s3Kind } from './s3/settings.ts'
import { sftpKind } from './sftp/settings.ts'
import { sqliteKind } from './sqlite/settings.ts'

const STORES: [kind: Kind, load: () => Promise<Connector>][] = [
  [postgresKind, async () => (await import('./postgres/connector.ts')).postgres],
  [mysqlKind, async () => (await import('./mysql/connector.ts')).mysql],
  [sqliteKind, async () => (await import('./sqlite/connector.ts')).sqlite],
  [duckdbKind, async () => (await import('./duckdb/connector.ts')).duckdb],
  [cosmosKind, async () => (await import('./cosmos/connector.ts')).cosmos],
  [s3Kind, async () => (await import('./s3/connector.ts')).s3],
  [azureblobKind, async () => (await import('./azureblob/connector.ts')).azureblob],
  [gcsKind, async () => (await import('./gcs/connector.ts')).gcs],
  [sftpKind, async () => (await import('./sftp/connector.ts')).sftp],
  [httpKind, async () => (await import('./http/connector.ts')).http],
  [filesKind, async () => (await import('./files/connector.ts')).files],
]

/** All kinds: those of connectors that are loaded from files come last. */
export const KINDS: Kind[] = STORES.map(([kind]) => kind)
const BY_NAME = Object.fromEntries(STORES.map(store => [store[0].kind, store]))

/** The connectors' files, in the environment of this process and of those that it starts. */
const FILES = 'FERRY_CONNECTORS'

/** Names connectors' files: this process loads them with `loadConnectorFiles`, and so do those that it starts. */
export function addConnectorFiles(paths: string[]): void {
  const known = (process.env[FILES] ?? '').split(delimiter).filter(Boolean)
  const all = new Set([...known, ...paths.map(path => resolve(path))])
  if (all.size > 0) process.env[FILES] = [...all].join(delimiter)
}

/** Loads the connectors whose files are named. Throws FERRY-2008 for what is no connector. */
export async function loadConnectorFiles(): Promise<void> {
  for (const path of (process.env[FILES] ?? '').split(delimiter).filter(Boolean)) {
    const refuse = (why: string, cause?: unknown) =>
      new FerryError('FERRY-2008', `the connector ${path} ${why}`, { cause, hint: 'See docs/writing-a-connector.md.' })
    const module = await import(pathToFileURL(path).href).catch(error => {
      throw refuse(`cannot be loaded: ${error instanceof Error ? error.message : error}`, error)
    })
    if (typeof module.default !== 'function') throw refuse('exports no function as its default')
    const { KIT } = await import('../contract/kit.ts')
    let connector: Connector
    try {
      connector = module.default(KIT)
    } catch (error) {
      throw refuse(`fails: ${error instanceof Error ? error.message : error}`, error)
    }
    const wrong = faultOfConnector(connector)
    if (wrong !== undefined) throw refuse(wrong)
    const { kind } = connector
    if (valueOf(BY_NAME, kind)) throw refuse(`is of the kind "${kind}", which is there already`)
    const checked: Connector = {
      ...connector,
      open: (settings, policy) => {
        const store = connector.open(settings, policy)
        const missing = missingOfStore(store)
        if (missing.length > 0) throw refuse(`opens a store without ${missing.join(', ')}`)
        return store
      },
    }
    BY_NAME[kind] = [checked, async () => checked]
    KINDS.push(checked)
  }
}

/** A kind by its name, where there is one. */
export const findKind = (name: string): Kind | undefined => valueOf(BY_NAME, name)?.[0]

/** The same. Throws FERRY-2003 naming the nearest one. */
export const kindOf = (name: string): Kind => storeOf(name)[0]

/** The schema of the offer of a form of rows; undefined if no kind of store has this form. */
export function encodingSchema(name: string): z.ZodType | undefined {
  const own = KINDS.map(k => k.encodings ?? {}).find(e => valueOf(e, name) !== undefined)
  return valueOf(own ?? COMMON_ENCODINGS, name)
}

/** Loads a connector by kind: nothing else loads a driver. Throws FERRY-2003 naming the nearest kind. */
export const loadConnector = async (name: string): Promise<Connector> => storeOf(name)[1]()

function storeOf(name: string) {
  const store = valueOf(BY_NAME, name)
  if (store) return store
  const names = KINDS.map(k => k.kind)
  const near = nearest(name, names)
  throw new FerryError('FERRY-2003', `there is no connector "${name}"${near ? `: did you mean "${near}"?` : ''}`, {
    hint: `Connectors: ${names.join(', ')}.`,
  })
}

/** What is wrong with what a file gives as a connector; undefined if nothing is. */
function faultOfConnector(connector: Partial<Connector> | undefined): string | undefined {
  if (typeof connector?.kind !== 'string' || typeof connector.open !== 'function') return 'gives no kind of store'
  const { locators, abilities, settings, check } = connector
  const wanted: [name: string, isThere: boolean][] = [
    ['label', typeof connector.label === 'string'],
    ['abilities', Array.isArray(abilities?.update) && abilities.update.length > 0],
    ['settings', typeof settings?.safeParse === 'function' && typeof settings.shape === 'object'],
    ['locators', Array.isArray(locators?.schemes) && typeof locators.read === 'function'],
    ['check', typeof check === 'function'],
  ]
  const missing = wanted.filter(([, isThere]) => !isThere).map(([name]) => name)
  return missing.length > 0 ? `has no ${missing.join(', no ')} of its kind` : undefined
}

const STORE_TEXTS = ['kind', 'label', 'place'] as const
const STORE_CALLS = ['test', 'objects', 'describe', 'existing', 'created', 'source', 'sink', 'close'] as const

/** The members that a store must have and has not. */
function missingOfStore(store: Partial<Store> | undefined): string[] {
  if (typeof store !== 'object' || store === null) return [...STORE_CALLS]
  return [
    ...(typeof store.names?.key === 'function' ? [] : ['names']),
    ...STORE_TEXTS.filter(name => typeof store[name] !== 'string'),
    ...STORE_CALLS.filter(name => typeof store[name] !== 'function'),
  ]
}
