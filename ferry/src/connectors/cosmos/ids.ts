/** Ids for rows without one: the same each time that a row is copied again, so that nothing is there twice. */
import { createHash } from 'node:crypto'
import type { Split } from '../../contract/split.ts'
import type { WriteRequest } from '../../contract/write.ts'
import { identityOf } from './documents.ts'

export interface Ids {
  /** The id of the next row that needs one, given its values by name. */
  next(document: Record<string, unknown>): string
  committed(checkpoint: string | undefined): void
}

/** Ids of rows that have keys at the source: in every run the same. */
export class KeyIds implements Ids {
  private readonly paths: string[][]

  constructor(keys: string[]) {
    this.paths = keys.map(key => key.split('.'))
  }

  next(document: Record<string, unknown>): string {
    return idOf(identityOf(document, this.paths))
  }

  committed(): void {}
}

/**
 * Ids that follow from the places of rows: the checkpoint that the split was read from last, and the count of rows since.
 * After a crash, reading is resumed from the same checkpoint and gives the same rows in the same order.
 */
export class PlaceIds implements Ids {
  private readonly base: string
  private from: string
  private count = 0

  constructor(run: string, request: WriteRequest, split: Split, from: string | undefined) {
    this.base = `${run}/${request.ordinal}/${split.id}/${split.spec}`
    this.from = from ?? ''
  }

  next(): string {
    return idOf(`${this.base}/${this.from}/${this.count++}`)
  }

  committed(checkpoint: string | undefined): void {
    this.from = checkpoint ?? ''
    this.count = 0
  }
}

/** In the form of a UUID, version 8: made by rules of our own. */
function idOf(text: string): string {
  const hash = createHash('sha256').update(text).digest('hex')
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}`
}
