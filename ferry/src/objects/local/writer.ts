import { type FileHandle, open } from 'node:fs/promises'
import type { ObjectWriter } from '../staging.ts'
import { translate } from './errors.ts'

/** Writes a local file; finished means on the disk. */
export class FileWriter implements ObjectWriter {
  private readonly handle: FileHandle
  private readonly path: string

  private constructor(handle: FileHandle, path: string) {
    this.handle = handle
    this.path = path
  }

  static async create(path: string): Promise<FileWriter> {
    return new FileWriter(await translated(path, open(path, 'w')), path)
  }

  async write(data: Buffer, release?: () => void): Promise<void> {
    for (let at = 0; at < data.length; ) at += (await translated(this.path, this.handle.write(data, at))).bytesWritten
    release?.()
  }

  async finish(): Promise<void> {
    await translated(this.path, this.handle.sync())
    await this.handle.close()
  }

  async abandon(): Promise<void> {
    await this.handle.close().catch(() => undefined)
  }
}

/** Throws what the file system reports as an error of Ferry. */
export async function translated<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw translate(error, path)
  }
}
