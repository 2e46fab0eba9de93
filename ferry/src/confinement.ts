/**
 * What stores a server may reach. On the command line whoever calls may do what they may do anyway; a server acts for
 * others: it opens files in its folders only (and calls no address of the machine's own host: network.ts).
 *
 * The limits come from the environment, so that the processes that a server starts have them too.
 */
import { readlinkSync, realpathSync, statSync } from 'node:fs'
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

/** Whether this process acts for others. */
export function isConfined(): boolean {
  return process.env[FOLDERS] !== undefined
}

/** Names of variables, separated by commas, that jobs and connections of a server may take from its environment. */
export const VARIABLES = 'FERRY_VARIABLES'

/** The environment as jobs and connections may see it: all of it on the command line, what is allowed in a server. */
export function readableEnvironment(): NodeJS.ProcessEnv {
  if (!allowedFolders()) return process.env
  const names = (process.env[VARIABLES] ?? '').split(',').filter(name => !name.startsWith('FERRY_'))
  return Object.fromEntries(names.map(name => [name, process.env[name]]))
}

/** Whether files may be at a path. Links count as what they lead to. */
export function isAllowed(path: string): boolean {
  const folders = allowedFolders()
  if (!folders) return true
  const real = realOf(resolve(path))
  return folders.some(folder => isWithin(real, folder))
}

function isWithin(real: string, folder: string): boolean {
  const way = relative(folder, real)
  return way === '' || (!way.startsWith('..') && resolve(folder, way) === real)
}

/** The same of what a connection to a folder names: in a server it is a folder of its own among the others. */
export function isAllowedWithin(folder: string, path: string): boolean {
  return !isConfined() || (isAllowed(path) && isWithin(realOf(resolve(path)), realOf(resolve(folder))))
}

/** The path to open of what a connection to a folder names. Throws FERRY-2006. */
export function allowedWithin(folder: string, path: string): string {
  const real = allowedPath(path)
  if (isAllowedWithin(folder, path)) return real
  throw new FerryError('FERRY-2006', `${path} is outside the folder of the connection`, {
    hint: `Its folder is ${folder}: name what is in it.`,
  })
}

/**
 * The path to open, where files may be there: without links, so that what was looked at is what is opened. Asked at the
 * moment of opening, of everything that a store opens. Throws FERRY-2006.
 */
export function allowedPath(path: string): string {
  const folders = allowedFolders()
  if (!folders) return path
  if (isAllowed(path)) return realOf(resolve(path))
  throw new FerryError('FERRY-2006', `${path} is outside the folders of this server`, {
    hint: `Files may be in: ${folders.join(', ')}. Start the server with --folder for another one.`,
  })
}

/** The same of a database's file. Throws FERRY-2001 for what is there and no file: opening a pipe would wait for ever. */
export function allowedFile(named: string): string {
  const path = allowedPath(named)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && !found.isFile()) throw new FerryError('FERRY-2001', `${path} is no file`)
  return path
}

/** Throws FERRY-2006 where there are limits: for what only who sits at the terminal can mean. */
export function requireNoServer(what: string): void {
  if (allowedFolders()) throw new FerryError('FERRY-2006', `${what}: a server has none for others`)
}

/** A path without links, also of a file that is not there yet: a link to nowhere is where it leads to. */
export function realOf(path: string, links = 0): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    if (parent === path) return path
    const own = join(realOf(parent, links), basename(path))
    const target = links < MOST_LINKS ? linkOf(own) : undefined
    return target === undefined ? own : realOf(resolve(dirname(own), target), links + 1)
  }
}

const MOST_LINKS = 40

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
