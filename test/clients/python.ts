/** Python with packages, apart from the machine's own. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, need, runWell } from './programs.ts'

/** Installs what a file of requirements names into an environment called `name`; returns its interpreter. */
export async function pythonWith(name: string, requirements: string): Promise<string> {
  need('python3', '--version')
  const folder = cacheFolder(name)
  const python = join(folder, 'bin', 'python')
  if (!existsSync(python)) await runWell('python3', ['-m', 'venv', folder])
  await runWell(python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements])
  return python
}
