/** The folders in which a server and its workers open files. */
import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { FerryError } from '../errors.ts'
import { guardNetwork } from '../network.ts'
import type { Policy } from '../policy.ts'
import { makeScratch, removeScratch } from '../scratch.ts'
import { ferryHome } from '../state/database.ts'

/**
 * A policy limited to folders, the current one if none is given; the addresses that this process may call are limited, too. What is
 * on its way through DuckDB gets a folder of its own, so that no SQL reads what others keep in the system's; `close` removes it. Throws
 * FERRY-2006 where the home, which holds secrets, lies in one of the folders.
 */
export function limitTo(
  policy: Policy,
  { folders: given, variables }: { folders: string[]; variables: string[] },
): { policy: Policy; close: () => void } {
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
  const scratch = makeScratch(policy.scratch, 'server')
  guardNetwork()
  return { policy: policy.limitedTo({ folders, variables, scratch }), close: () => removeScratch(scratch) }
}
