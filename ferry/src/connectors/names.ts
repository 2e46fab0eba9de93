import { realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** A file's name without what tells its format: `orders.csv.gz` and `orders` are both `orders`; `*` stands for nothing. */
export function stem(file: string): string {
  const bare = file.replace(/\.(csv|tsv|txt|jsonl|ndjson|json|parquet|pq)(\.(gz|zst|zstd))?$/i, '').replace(/[*?]/g, '')
  return bare === '' ? 'files' : bare
}

/** The place of a server: one text for all names of this machine. */
export const placeOfServer = (label: string): string => label.replace('//localhost', '//127.0.0.1')

/** The place of a database that is one file, links followed. */
export function placeOfFile(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** The place of a path, links of the folders that there are followed. */
export function placeOfPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const folder = dirname(path)
    return folder === path ? path : join(placeOfPath(folder), basename(path))
  }
}

/** A query as it can stand in parentheses. */
export function stripSemicolon(query: string): string {
  return query.trim().replace(/;\s*$/, '')
}
