/** Whole processes timed side by side, and the last result kept in bench/README.md. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { install } from '../scripts/installed.ts'

const root = join(import.meta.dirname, '..')

export interface Timing {
  wall: number
  cpu: number
}

/** The program as it is when it is installed, in a folder; gives the command that starts it. */
export async function installed(folder: string): Promise<string> {
  const program = await install(folder)
  process.env.FERRY_HOME = join(folder, 'home')
  process.env.PATH = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`
  return `node ${program}`
}

/** Runs a shell command; seconds on the clock, and of the processor for the command itself and its children. */
export function time(command: string, folder: string): Timing {
  const result = spawnSync('bash', ['-c', `TIMEFORMAT='%R %U %S'; time { ${command} >/dev/null 2>"${folder}/err"; }`], {
    encoding: 'utf8',
    env: process.env,
  })
  const match = /([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(result.stderr)
  if (result.status !== 0 || !match) {
    throw new Error(`${command}\n${result.stderr}\n${readFileSync(`${folder}/err`, 'utf8')}`)
  }
  return { wall: Number(match[1]), cpu: Number(match[2]) + Number(match[3]) }
}

export const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!

/** Puts the table of a whole run into the README, between the marks of that name. */
export function keep(mark: string, result: string): void {
  const path = join(import.meta.dirname, 'README.md')
  const between = new RegExp(`(<!-- ${mark} -->\\n)[\\s\\S]*?(<!-- end -->)`)
  const text = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    text.replace(between, (_, a: string, b: string) => `${a}${result}\n${b}`),
  )
}
