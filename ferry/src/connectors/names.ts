/** A file's name without what tells its format: `orders.csv.gz` and `orders` are both `orders`; `*` stands for nothing. */
export function stem(file: string): string {
  const bare = file.replace(/\.(csv|tsv|txt|jsonl|ndjson|json|parquet|pq)(\.(gz|zst|zstd))?$/i, '').replace(/[*?]/g, '')
  return bare === '' ? 'files' : bare
}

/** A query as it can stand in parentheses. */
export function stripSemicolon(query: string): string {
  return query.trim().replace(/;\s*$/, '')
}
