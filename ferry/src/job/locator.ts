/**
 * Locators: a store, and an object in it, in one word.
 *
 *     postgres://user@host:5432/db#schema.table    sqlite:shop.db#orders    shop.db#orders    lake.duckdb#t
 *     mysql://user@host:3306/db#table    mariadb://...
 *     cosmos://name.documents.azure.com/shop#orders
 *     ./orders.parquet    data/*.csv.gz    -       (standard input or output)
 */
import { withoutPassword } from '../connectors/settings.ts'
import { FerryError } from '../errors.ts'

export interface Locator {
  kind: string
  settings: Record<string, unknown>
  object?: string
}

const DATABASE_FILE = /\.(db|sqlite|sqlite3)$/i
const DUCKDB_FILE = /\.(duckdb|ddb)$/i

/** Reads a locator. Throws FERRY-1006. */
export function parseLocator(text: string): Locator {
  const scheme = /^([a-z][a-z0-9+]*):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === 'postgres' || scheme === 'postgresql') return server('postgres', text)
  if (scheme === 'mysql' || scheme === 'mariadb') return server('mysql', text)
  if (scheme === 'cosmos') return cosmos(text)
  if (scheme === 'sqlite' || scheme === 'duckdb') return databaseFile(scheme, text.slice(scheme.length + 1))
  if (scheme === 'file') return { kind: 'files', settings: {}, object: decodeURIComponent(new URL(text).pathname) }
  // One letter is a Windows drive, not a scheme.
  if (scheme !== undefined && scheme.length > 1) {
    throw new FerryError('FERRY-1006', `${withoutPassword(text)}: there is no connector for "${scheme}:"`, {
      hint: 'A file of this name is ./NAME.',
    })
  }
  const path = beforeHash(text)
  if (DATABASE_FILE.test(path)) return databaseFile('sqlite', text)
  if (DUCKDB_FILE.test(path)) return databaseFile('duckdb', text)
  if (text === '') throw new FerryError('FERRY-1006', 'a locator is empty')
  return { kind: 'files', settings: {}, object: text }
}

/** Reads the locator of a store itself; of files that is the folder. Throws FERRY-1006. */
export function parseStore(text: string): Pick<Locator, 'kind' | 'settings'> {
  const { kind, settings, object } = parseLocator(text)
  return kind === 'files' ? { kind, settings: { folder: object } } : { kind, settings }
}

function urlOf(text: string): URL {
  try {
    return new URL(text)
  } catch {
    throw new FerryError('FERRY-1006', `${withoutPassword(text)} is not a URL`)
  }
}

/** `postgres://user@host:5432/db#schema.table`, `mysql://user@host:3306/db#table`. */
function server(kind: string, text: string): Locator {
  const url = urlOf(text)
  const settings: Record<string, unknown> = {}
  const put = (name: string, value: string) => {
    if (value !== '') settings[name] = decodeURIComponent(value)
  }
  put('host', url.hostname)
  put('port', url.port)
  put('database', url.pathname.replace(/^\//, ''))
  put('user', url.username)
  put('password', url.password)
  for (const [name, value] of url.searchParams) {
    if (name === 'sslmode') settings.ssl = value === 'disable' || value === 'verify-full' ? value : 'require'
    else settings[name] = value
  }
  const object = decodeURIComponent(url.hash.slice(1))
  return { kind, settings, ...(object === '' ? {} : { object }) }
}

/** `cosmos://NAME.documents.azure.com/DATABASE#CONTAINER`; the key is a setting. Loopback is plain HTTP. */
function cosmos(text: string): Locator {
  const url = urlOf(text)
  const local = /^(localhost|127\.|\[::1\])/.test(url.hostname)
  const settings: Record<string, unknown> = { endpoint: `${local ? 'http' : 'https'}://${url.host}/` }
  const database = decodeURIComponent(url.pathname.replace(/^\//, ''))
  if (database !== '') settings.database = database
  if (url.password !== '') settings.key = decodeURIComponent(url.password)
  for (const [name, value] of url.searchParams) settings[name] = value
  const object = decodeURIComponent(url.hash.slice(1))
  return { kind: 'cosmos', settings, ...(object === '' ? {} : { object }) }
}

function databaseFile(kind: string, text: string): Locator {
  const path = beforeHash(text).replace(/^\/\/(?=\/|[^/])/, '')
  const object = text.includes('#') ? text.slice(text.indexOf('#') + 1) : ''
  if (path === '') throw new FerryError('FERRY-1006', `${kind}: names no file`)
  return { kind, settings: { path }, ...(object === '' ? {} : { object }) }
}

function beforeHash(text: string): string {
  const hash = text.indexOf('#')
  return hash < 0 ? text : text.slice(0, hash)
}
