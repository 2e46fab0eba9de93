/** Ids for rows without one: the same each time that a row is copied again, so that nothing is there twice. */
import { createHash } from 'node:crypto'
import type { Split, WriteRequest } from '../connector.ts'

/**
 * An id follows from where its row stands: the checkpoint that its split was read from last, and the count of rows since.
 * After a crash reading goes on from the same checkpoint, and gives the same rows in the same order.
 */
export class MadeIds {
  private readonly base: string
  private from: string
  private count = 0

  constructor(run: string, request: WriteRequest, split: Split, from: string | undefined) {
    this.base = `${run}/${request.ordinal}/${split.id}/${split.spec}`
    this.from = from ?? ''
  }

  /** The id of the next row that needs one. */
  next(): string {
    const hash = createHash('sha256')
      .update(`${this.base}/${this.from}/${this.count++}`)
      .digest('hex')
    // The form of a UUID, version 8: made by rules of our own.
    return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}`
  }

  committed(checkpoint: string | undefined): void {
    this.from = checkpoint ?? ''
    this.count = 0
  }
}
