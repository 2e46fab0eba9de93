/**
 * The messages that carry the bytes of a COPY.
 *
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (CopyData)
 */

export const COPY_DATA = 0x64
/** Bytes in front of what a message carries: its type and its length. */
export const MESSAGE_HEADER = 5

/** Makes bytes whose first five are free a message that carries the others. */
export function sealMessage(bytes: Buffer): void {
  bytes[0] = COPY_DATA
  bytes.writeInt32BE(bytes.length - 1, 1)
}

/** The header of a message that carries so many bytes. */
export function messageHeader(bytes: number): Buffer {
  const header = Buffer.allocUnsafe(MESSAGE_HEADER)
  header[0] = COPY_DATA
  header.writeInt32BE(bytes + 4, 1)
  return header
}
