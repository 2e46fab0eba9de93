/**
 * What jobs and stores may use of this machine: folders, variables, a folder for what is temporary. A command may do what its
 * user may do; a server acts for others and is limited. The value is made where a process begins, and handed on.
 */
import { readlinkSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { FerryError } from './errors.ts'

/** Names of variables that tell the processes that a server starts its limits. Lists are JSON: a folder may have any name. */
const FOLDERS = 'FERRY_FOLDERS'
const VARIABLES = 'FERRY_VARIABLES'
const SCRATCH = 'FERRY_SCRATCH'

type Environment = Record<string, string | undefined>

export interface Limits {
  /** The folders that files may be in. */
  folders: string[]
  /** Names of variables that jobs and connections may take from the environment. */
  variables: string[]
  /** Where temporary files are: SQL of users can read them. */
  scratch: string
}

export class Policy {
  /** Undefined on the command line. */
  private readonly limits: Limits | undefined
  private readonly environment: Environment
  private readonly given: Record<string, string>

  private constructor(limits: Limits | undefined, environment: Environment, given: Record<string, string>) {
    this.limits = limits
    this.environment = environment
    this.given = given
  }

  /** That of a process with this environment: limited if a server has started it. */
  static from(environment: Environment): Policy {
    const { [FOLDERS]: folders, [VARIABLES]: variables = '[]', [SCRATCH]: scratch = tmpdir() } = environment
    if (folders === undefined) return new Policy(undefined, environment, {})
    return new Policy({ folders: JSON.parse(folders), variables: JSON.parse(variables), scratch }, environment, {})
  }

  /** The same with limits. */
  limitedTo(limits: Limits): Policy {
    return new Policy(limits, this.environment, this.given)
  }

  /** The same with one folder more; without limits nothing changes. */
  alsoIn(folder: string): Policy {
    if (!this.limits) return this
    return this.limitedTo({ ...this.limits, folders: [...this.limits.folders, folder] })
  }

  /** The same with values for variables, which are used before those of the environment. */
  withValues(given: Record<string, string>): Policy {
    return new Policy(this.limits, this.environment, { ...this.given, ...given })
  }

  /** The values that were given for variables, for a process that works for this one. */
  get values(): Record<string, string> {
    return { ...this.given }
  }

  /** True if values for variables are given. */
  get hasValues(): boolean {
    return Object.keys(this.given).length > 0
  }

  /** The environment of a process that has the same limits. */
  forChild(environment: Environment): Environment {
    if (!this.limits) return environment
    const { folders, variables, scratch } = this.limits
    return {
      ...environment,
      [FOLDERS]: JSON.stringify(folders),
      [VARIABLES]: JSON.stringify(variables),
      [SCRATCH]: scratch,
    }
  }

  /** True if this process acts for others. */
  get isLimited(): boolean {
    return this.limits !== undefined
  }

  /** The folders that files may be in, without links; undefined if they may be anywhere. */
  get folders(): string[] | undefined {
    return this.limits?.folders.map(folder => realOf(resolve(folder)))
  }

  /** The folder for temporary files. */
  get scratch(): string {
    return this.limits?.scratch ?? tmpdir()
  }

  /** The value of a variable; undefined if it has none. Variables of Ferry's own hold its secrets, and are for no store. */
  valueOf(name: string): string | undefined {
    const isReadable = !name.startsWith('FERRY_') && (this.limits?.variables.includes(name) ?? true)
    if (Object.hasOwn(this.given, name)) return this.given[name]
    return isReadable && Object.hasOwn(this.environment, name) ? this.environment[name] : undefined
  }

  /** True if files may be at a path. Links count as what they lead to. */
  isAllowed(path: string): boolean {
    const { folders } = this
    if (!folders) return true
    const real = realOf(resolve(path))
    return folders.some(folder => isWithin(real, folder))
  }

  /** The same for a connection to a folder: in a server it sees its own folder only. */
  isAllowedWithin(folder: string, path: string): boolean {
    return !this.isLimited || (this.isAllowed(path) && isWithin(realOf(resolve(path)), realOf(resolve(folder))))
  }

  /** The path to open for a connection to a folder. Throws FERRY-2006. */
  pathWithin(folder: string, path: string): string {
    const real = this.pathOf(path)
    if (this.isAllowedWithin(folder, path)) return real
    throw new FerryError('FERRY-2006', `${path} is outside the folder of the connection`, {
      hint: `Its folder is ${folder}: name what is in it.`,
    })
  }

  /**
   * The path to open, without links if there are limits, so that what was checked is what is opened. Called at the moment of
   * opening, for everything that a store opens. Throws FERRY-2006.
   */
  pathOf(path: string): string {
    const { folders } = this
    if (!folders) return path
    if (this.isAllowed(path)) return realOf(resolve(path))
    throw new FerryError('FERRY-2006', `${path} is outside the folders of this server`, {
      hint: `Files may be in: ${folders.join(', ')}. Start the server with --folder for another one.`,
    })
  }

  /** The same for a database's file. Throws FERRY-2001 for anything else, since opening a pipe would wait for ever. */
  fileOf(named: string): string {
    const path = this.pathOf(named)
    const found = statSync(path, { throwIfNoEntry: false })
    if (found && !found.isFile()) throw new FerryError('FERRY-2001', `${path} is no file`)
    return path
  }

  /** Throws FERRY-2006 if there are limits: for what only a user at a terminal can mean. */
  requireNoServer(what: string): void {
    if (this.isLimited) throw new FerryError('FERRY-2006', `${what}: a server has none for others`)
  }
}

function isWithin(real: string, folder: string): boolean {
  const way = relative(folder, real)
  return way === '' || (!way.startsWith('..') && resolve(folder, way) === real)
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
