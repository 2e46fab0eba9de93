/** Programs of Go modules that tests need, in a folder beside the dependencies: `npm run test:servers` installs them. */

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of a program, wherever it is installed. */
export function programOf(name: string): string {
  const folders = [
    join(import.meta.dirname, '..', '..', 'node_modules', '.go'),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  const found = folders.map(folder => join(folder, name)).find(path => existsSync(path))
  return found ?? name
}
