/**
 * What stores a server may reach. On the command line whoever calls may do what they may do anyway; a server acts for
 * others: it opens files in its folders only, and calls no address that belongs to the machine's own host.
 *
 * The limits come from the environment, so that the processes that a server starts have them too.
 */
import { lookup } from 'node:dns/promises'
import { realpathSync } from 'node:fs'
import { isIP } from 'node:net'
import { basename, delimiter, dirname, join, relative, resolve } from 'node:path'
import { FerryError } from './errors.ts'

/** Folders, separated as in PATH. Where it is not set there are no limits. */
export const FOLDERS = 'FERRY_FOLDERS'

export function allowedFolders(): string[] | undefined {
  return process.env[FOLDERS]
    ?.split(delimiter)
    .filter(Boolean)
    .map(folder => realOf(resolve(folder)))
}

/** The path, where files may be there. Links count as what they lead to. Throws FERRY-2006. */
export function allowedPath(path: string): string {
  const folders = allowedFolders()
  if (!folders) return path
  const real = realOf(resolve(path))
  const isInside = folders.some(folder => {
    const way = relative(folder, real)
    return way === '' || (!way.startsWith('..') && resolve(folder, way) === real)
  })
  if (isInside) return path
  throw new FerryError('FERRY-2006', `${path} is outside the folders of this server`, {
    hint: `Files may be in: ${folders.join(', ')}. Start the server with --folder for another one.`,
  })
}

/** Throws FERRY-2006 where there are limits: for what only who sits at the terminal can mean. */
export function requireNoServer(what: string): void {
  if (allowedFolders()) throw new FerryError('FERRY-2006', `${what}: a server has none for others`)
}

/** A path without links, also of a file that is not there yet. */
function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(realOf(parent), basename(path))
  }
}

/** Throws FERRY-2006 for settings that name an address at which clouds hand out their machines' credentials. */
export async function requireAllowedHosts(settings: Record<string, unknown>): Promise<void> {
  if (!allowedFolders()) return
  const hosts = Object.values(settings).flatMap(value => (typeof value === 'string' ? hostsIn(value) : []))
  const { host } = settings
  if (typeof host === 'string' && !host.startsWith('/')) hosts.push(host)
  for (const name of new Set(hosts)) await requireAllowedHost(name)
}

function hostsIn(text: string): string[] {
  const url = /^(?:[a-z][a-z0-9+]*:\/\/|AccountEndpoint=https?:\/\/)/i.test(text)
  if (!url) return []
  try {
    return [new URL(text.replace(/^AccountEndpoint=/i, '').replace(/;.*$/, '')).hostname]
  } catch {
    return []
  }
}

async function requireAllowedHost(name: string): Promise<void> {
  const bare = name.replace(/^\[|\]$/g, '')
  const found = isIP(bare) ? [{ address: bare }] : await lookup(bare, { all: true }).catch(() => [])
  const isRefused = /^metadata(\.google\.internal|\.azure\.(com|internal))?\.?$/i.test(bare)
  if (!isRefused && !found.some(({ address }) => isOfHost(address))) return
  throw new FerryError('FERRY-2006', `${bare} is an address of the machine's own host: a server does not call it`)
}

/** Link-local addresses, and the others where clouds keep their metadata. */
function isOfHost(address: string): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:/, '')
  if (isIP(plain) === 4) return /^(169\.254\.|100\.100\.100\.200$|168\.63\.129\.16$|192\.0\.0\.192$|0\.)/.test(plain)
  return /^(fe[89ab]|fd00:ec2:|::ffff:a9fe:|fd20:ce::254)/.test(plain)
}
