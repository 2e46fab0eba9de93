/** Programs that the tests of clients run, and the folder where they keep what they installed. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder that outlives a test: installing takes longer than testing. */
export function cacheFolder(name: string): string {
  const folder = join(tmpdir(), 'ferry-test-clients', name)
  mkdirSync(folder, { recursive: true })
  return folder
}

/** Throws where a toolchain is not there: a test that is left out must not look like one that passed. */
export function need(program: string, ...args: string[]): void {
  const { status } = spawnSync(program, args, { stdio: 'ignore' })
  if (status !== 0) throw new Error(`${program} is not here: install it to run this test (see test/clients/README.md)`)
}

export interface Outcome {
  status: number | null
  output: string
}

/** Runs a program to its end, showing what it prints; returns its status and all that it printed. */
export async function run(
  program: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Outcome> {
  const env = { ...process.env, ...options.env }
  const child = spawn(program, args, { ...options, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const show = (text: Buffer) => {
    output += text
    process.stdout.write(text)
  }
  child.stdout.on('data', show)
  child.stderr.on('data', show)
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { status, output }
}

/** {@link run} for what must succeed. */
export async function runWell(...args: Parameters<typeof run>): Promise<string> {
  const { status, output } = await run(...args)
  if (status !== 0) throw new Error(`${args[0]} ${args[1].join(' ')} ended with ${status}: ${output.slice(-4000)}`)
  return output
}
