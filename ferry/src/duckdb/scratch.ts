/** Folders for a while: where DuckDB spills, pipes, rows on their way into it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where such folders are made: a server gives its processes a folder of their own. */
export const SCRATCH = 'FERRY_SCRATCH'

export const scratchParent = () => process.env[SCRATCH] ?? tmpdir()

/** A new folder that no other user may read; who makes it calls `removeScratch`. */
export function makeScratch(kind: string): string {
  return mkdtempSync(join(scratchParent(), `ferry-${kind}-`))
}

export function removeScratch(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}
