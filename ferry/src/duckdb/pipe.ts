/**
 * Named pipes between DuckDB and a socket: DuckDB writes or reads CSV as if it were a file, and no value passes through
 * JavaScript. Windows has none; the rows encoding serves there.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { FerryError } from '../errors.ts'
import { makeScratch, removeScratch } from '../scratch.ts'

/** Whether there are named pipes; `FERRY_PIPES=off` where the temporary folder cannot hold any. */
export const hasPipes = process.platform !== 'win32' && process.env.FERRY_PIPES !== 'off'

export class NamedPipe {
  readonly path: string
  private readonly folder: string
  /** Keeps the pipe open at both ends, so that the first to open it does not see an end of file. */
  private keeper: number | undefined

  /** `parent` is the folder that the pipe's own is made in. */
  constructor(parent: string) {
    this.folder = makeScratch(parent, 'pipe')
    this.path = join(this.folder, 'pipe')
    const made = spawnSync('mkfifo', ['-m', '600', this.path])
    if (made.status !== 0) throw new FerryError('FERRY-9000', `mkfifo failed: ${made.stderr}`)
    this.keeper = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK)
  }

  /** This process's end for reading. It ends when {@link finish} was called and the pipe is empty. */
  reader(): Socket {
    const fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK)
    return new Socket({ fd, readable: true, writable: false })
  }

  /** This process's end for writing. */
  writer(): Socket {
    const fd = openSync(this.path, constants.O_WRONLY | constants.O_NONBLOCK)
    return new Socket({ fd, readable: false, writable: true })
  }

  /** No more will come: once the other writers are done, readers see the end. */
  finish(): void {
    if (this.keeper !== undefined) closeSync(this.keeper)
    this.keeper = undefined
  }

  close(): void {
    this.finish()
    removeScratch(this.folder)
  }
}
