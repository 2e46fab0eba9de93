/** Folders for a while: where DuckDB spills, pipes, rows on their way into it. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where such folders are made: a server gives its processes a folder of their own. */
export const SCRATCH = 'FERRY_SCRATCH'

export const scratchParent = () => process.env[SCRATCH] ?? tmpdir()

/** A new folder that nobody else may look into; whoever makes it removes it. */
export function makeScratch(kind: string): string {
  return mkdtempSync(join(scratchParent(), `ferry-${kind}-`))
}
