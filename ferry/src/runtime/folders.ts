/** The folders in which a server and its workers open files. */
import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join, relative, resolve } from 'node:path'
import { FOLDERS, VARIABLES } from '../confinement.ts'
import { makeScratch, removeScratch, SCRATCH } from '../duckdb/scratch.ts'
import { FerryError } from '../errors.ts'
import { guardNetwork } from '../network.ts'
import { ferryHome } from '../state/database.ts'

/**
 * Limits this process, and those that it starts, to folders; to the current one where none is given. What is on its way
 * through DuckDB gets a folder of its own, so that no SQL reads what others keep in the system's; `close` removes it. Throws
 * FERRY-2006 where the home, which holds secrets, lies in one of the folders.
 */
export function limitTo({ folders: given, variables }: { folders: string[]; variables: string[] }): {
  folders: string[]
  close: () => void
} {
  const folders = (given.length > 0 ? given : [process.cwd()]).map(folder => resolve(folder))
  const missing = folders.find(folder => !statSync(folder, { throwIfNoEntry: false })?.isDirectory())
  if (missing !== undefined)
    throw new FerryError('FERRY-2006', `--folder ${missing} is no folder`, { hint: 'Make it first.' })
  const home = resolve(ferryHome())
  const open = folders.find(folder => {
    const way = relative(folder, home)
    return way === '' || !(way.startsWith('..') || resolve(folder, way) !== home)
  })
  if (open !== undefined) {
    throw new FerryError('FERRY-2006', `${home}, where the state and its secrets are, lies in ${open}`, {
      hint: `Name the folders with the data: --folder ${join(homedir(), 'data')}; or put the state elsewhere with --home.`,
    })
  }
  const scratch = makeScratch('server')
  guardNetwork()
  process.env[FOLDERS] = folders.join(delimiter)
  process.env[VARIABLES] = variables.join(',')
  process.env[SCRATCH] = scratch
  return { folders, close: () => removeScratch(scratch) }
}
