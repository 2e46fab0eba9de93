/** The program as it is where it was installed: built into a few files, which start in half the time. */
import { cpSync, existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'

const root = join(import.meta.dirname, '..')

/** Builds the program of this checkout into a folder; gives the path of its command. */
export async function install(folder: string): Promise<string> {
  const installed = join(folder, 'ferry')
  await build({
    configFile: join(root, 'ferry', 'vite.config.ts'),
    build: { outDir: join(installed, 'dist') },
  })
  for (const part of ['bin', 'package.json']) {
    cpSync(join(root, 'ferry', part), join(installed, part), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const web = join(root, 'ferry', 'dist', 'web')
  if (existsSync(web)) symlinkSync(web, join(installed, 'dist', 'web'))
  return join(installed, 'bin', 'ferry.js')
}
