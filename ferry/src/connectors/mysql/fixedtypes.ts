/**
 * MariaDB's own types of a fixed length, as its rows hold them, into their texts.
 *
 * Source: https://mariadb.com/kb/en/uuid-data-type/ and https://mariadb.com/kb/en/inet6/
 */

/** By the name of the type; with the column's type as it is declared. */
export const FIXED: Record<string, (bytes: Buffer, native: string) => string> = {
  inet4: bytes => bytes.join('.'),
  inet6: inet6Text,
  uuid: uuidText,
}

/** The place of each part in a reversed row, and its length. */
const TURNED = [
  [12, 4],
  [10, 2],
  [8, 2],
  [6, 2],
  [0, 6],
] as const

/** UUIDs of the versions 1 to 5 are stored with their parts in reverse order; in columns of old servers, all are. */
function uuidText(bytes: Buffer, native: string): string {
  const isTurned = native.includes('old') || (bytes[6]! >= 0x80 && bytes[8]! >= 1 && bytes[8]! <= 0x80)
  const parts = isTurned ? TURNED.map(([at, size]) => bytes.subarray(at, at + size)) : [bytes]
  const hex = Buffer.concat(parts).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** The longest run of zeros left out; addresses of IPv4 within as such. */
function inet6Text(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i))
  let gap = { at: 0, length: 0 }
  for (let at = 0; at < 8; at++) {
    let end = at
    while (end < 8 && words[end] === 0) end++
    if (end - at > gap.length) gap = { at, length: end - at }
  }
  const isCompatible = gap.at === 0 && gap.length >= 6 && bytes.readUInt32BE(12) > 1
  const isMapped = gap.at === 0 && gap.length === 5 && words[5] === 0xffff
  const hex = (list: number[]) => list.map(w => w.toString(16)).join(':')
  if (isCompatible) return `::${bytes.subarray(12).join('.')}`
  if (isMapped) return `::ffff:${bytes.subarray(12).join('.')}`
  if (gap.length === 0) return hex(words)
  return `${hex(words.slice(0, gap.at))}::${hex(words.slice(gap.at + gap.length))}`
}
