/** The text of a UUID (RFC 9562) of 16 bytes, whose version and variant are set. */
export function uuidOf(bytes: Buffer, version: 4 | 7): string {
  const id = Buffer.from(bytes)
  id[6] = (id[6]! & 0x0f) | (version << 4)
  id[8] = (id[8]! & 0x3f) | 0x80
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
