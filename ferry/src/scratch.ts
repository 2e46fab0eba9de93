/** Temporary folders: for what DuckDB spills, its pipes, and rows sent to it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** A new folder that no other user may read; who makes it calls `removeScratch`. */
export function makeScratch(parent: string, kind: string): string {
  return mkdtempSync(join(parent, `ferry-${kind}-`))
}

export function removeScratch(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}
