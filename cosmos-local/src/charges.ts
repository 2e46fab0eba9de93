/** Request charges, close to the figures that Microsoft publishes: a point read of 1 kB is 1 RU, a write of it 5. */

const KB = 1024

/** A point read: 1 RU for 1 kB, 10 RU for 100 kB. */
export function readCharge(bytes: number): number {
  return round(1 + (Math.max(1, bytes / KB) - 1) / 11)
}

/** A write with the default indexing policy; a replace also takes the old version out of the index. */
export function writeCharge(bytes: number, how: 'create' | 'replace' | 'delete', indexed: boolean): number {
  const base = readCharge(bytes) * (indexed ? 5.29 : 4.71)
  return round(how === 'replace' ? base * 1.93 : base)
}

/** A page of a feed or of a query: something for the page, something for what was read. */
export function feedCharge(bytes: number, items: number): number {
  return round(Math.max(1, items === 0 ? 1 : 2 + (bytes / KB) * 0.11))
}

export function queryCharge(scanned: number, bytes: number): number {
  return round(2.3 + scanned * 0.02 + (bytes / KB) * 0.11)
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
