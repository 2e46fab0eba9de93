/** Where the program's own files are, in a checkout and installed. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { dirname, join } from 'node:path'

/** The program itself, from the sources or from what is installed. */
export function programPath(): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const path = join(folder, 'bin', 'ferry.js')
    if (existsSync(path)) return path
    if (folder === dirname(folder)) throw new Error('bin/ferry.js is gone')
  }
}

/** The program of the state's threads. */
export function threadPath(): string {
  const ferry = dirname(dirname(programPath()))
  const source = join(ferry, 'src', 'state', 'thread.ts')
  return existsSync(source) ? source : join(ferry, 'dist', 'state-thread.js')
}

/**
 * Ends this process at once, whatever its threads do: a statement of an engine that waits for a pipe which nobody reads would keep it, and
 * what it has locked, for ever. What listens for the end of the process is still called.
 */
export function leave(): void {
  process.once('exit', () => process.kill(process.pid, 'SIGKILL'))
  process.exit(0)
}

/** The server answers first: what works for it gets the processor time that it leaves; `nice` is from 0 to 19. */
export function letWait(child: { pid?: number | undefined }, nice: number): void {
  try {
    if (child.pid !== undefined) setPriority(child.pid, nice)
  } catch {
    // It has ended already, or the system does not have it.
  }
}

/** Bytes of memory that a process has; 0 if the system does not say. */
export async function memoryOf(pid: number | undefined): Promise<number> {
  if (process.platform !== 'linux' || pid === undefined) return 0
  const [, pages] = (await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '')).split(' ')
  return Number(pages ?? 0) * 4096
}
