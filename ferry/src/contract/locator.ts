/** Reading locators: a store, and an object in it, in one word. Each kind of store declares which of them are its own. */
import { FerryError } from '../errors.ts'

/** The content of a locator: the settings of a store, and the object if it names one. */
export interface Located {
  settings: Record<string, unknown>
  object?: string
}

/** The locators of a kind of store. */
export interface Locators {
  /** URL schemes in lower case, without the colon. */
  schemes: readonly string[]
  /** What the path of a locator without a scheme ends in. */
  endings?: RegExp
  /** Whether it takes what no other kind does: a path. */
  rest?: true
  /** Reads the whole text. Throws FERRY-1006. */
  read(text: string): Located
  /** The settings of the store alone, where these are not what `read` gives: of files a folder. */
  storeOf?(located: Located): Record<string, unknown>
}

/** Throws FERRY-1006 for what is no URL, without its password. */
export function urlOf(text: string): URL {
  const url = URL.parse(text)
  if (url) return url
  throw notLocator(text, 'a URL')
}

/** FERRY-1006: the text, without its password, is not of a form. */
export function notLocator(text: string, form: string): FerryError {
  return new FerryError('FERRY-1006', `${text.replace(/\/\/.*@/, '//***@')} is not ${form}`)
}

/** `postgres://user@host:5432/db#schema.table`: the settings of a server, others as parameters. */
export function readServer(text: string): Located {
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
  return withObject(settings, decodeURIComponent(url.hash.slice(1)))
}

/** `sqlite:shop.db#orders`, `shop.db#orders`: a database that is one file. */
export function readDatabaseFile(kind: string): (text: string) => Located {
  return text => {
    const bare = text.toLowerCase().startsWith(`${kind}:`) ? text.slice(kind.length + 1) : text
    const path = beforeHash(bare).replace(/^\/\/(?=\/|[^/])/, '')
    if (path === '') throw new FerryError('FERRY-1006', `${kind}: names no file`)
    return withObject({ path }, bare.includes('#') ? bare.slice(bare.indexOf('#') + 1) : '')
  }
}

export function withObject(settings: Record<string, unknown>, object: string): Located {
  return object === '' ? { settings } : { settings, object }
}

export function beforeHash(text: string): string {
  const hash = text.indexOf('#')
  return hash < 0 ? text : text.slice(0, hash)
}
