/** Resource ids and etags, in the forms that clients parse. */

/** The etag of an item's version. */
export function etagOf(row: { num: number; lsn: number; ts: number }): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0').slice(-digits)
  return `"${hex(row.num, 8)}-${hex(row.lsn >>> 16, 4)}-0d00-${hex(row.lsn & 0xffff, 4)}-${hex(row.ts, 12)}"`
}

function encodeRid(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('/', '-')
}

export function databaseRid(num: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(num)
  return encodeRid(bytes)
}

export function containerRid(db: number, num: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(db)
  // The first bit tells a container from a user.
  bytes.writeUInt32BE((0x80000000 | num) >>> 0, 4)
  return encodeRid(bytes)
}

export function itemRid(db: number, container: number, num: number): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(db)
  bytes.writeUInt32BE((0x80000000 | container) >>> 0, 4)
  bytes.writeBigUInt64LE(BigInt(num), 8)
  return encodeRid(bytes)
}

/** The item's number within its resource id; undefined where the text is no such id. */
export function itemNum(rid: string): number | undefined {
  const bytes = Buffer.from(rid.replaceAll('-', '/'), 'base64')
  if (bytes.length !== 16) return undefined
  const num = bytes.readBigUInt64LE(8)
  return num <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(num) : undefined
}
