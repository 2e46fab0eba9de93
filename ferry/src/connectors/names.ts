/** The bare name of an object: `public.orders`, `"Odd"."orders"`, `exports/orders.csv.gz` and `orders` are all `orders`. */
export function bareName(object: string): string {
  const file = object.replace(/^.*[/\\]/, '')
  const stem = file.replace(/\.(csv|tsv|txt|jsonl|ndjson|json|parquet|pq)(\.(gz|zst|zstd))?$/i, '')
  if (stem !== file) return stem.replace(/[*?]/g, '')
  const quoted = /"((?:[^"]|"")+)"$/.exec(file)
  return quoted ? quoted[1]!.replaceAll('""', '"') : file.replace(/^[^.]*\.(?=.)/, '')
}

/** A query as it can stand in parentheses. */
export function stripSemicolon(query: string): string {
  return query.trim().replace(/;\s*$/, '')
}
