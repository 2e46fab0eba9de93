import { Socket } from 'node:net'

const READ_BYTES = 1 << 17

/**
 * A socket that reads into one buffer again and again. Node gives every packet a buffer of 64 kB of its own, and the
 * server sends 8 kB: of a large copy much of the time would go to collecting them.
 */
export class ReadSocket extends Socket {
  /** Takes the bytes while they are in the buffer, that is, now; without it they are copied for `data` listeners. */
  takeBytes: ((bytes: Buffer) => void) | undefined

  constructor() {
    super({
      onread: {
        buffer: Buffer.allocUnsafeSlow(READ_BYTES),
        callback: (count: number, buffer: Uint8Array): boolean => {
          this?.arrived(Buffer.from(buffer.buffer as ArrayBuffer, buffer.byteOffset, count))
          return true
        },
      },
    })
  }

  private arrived(bytes: Buffer): void {
    if (this.takeBytes) this.takeBytes(bytes)
    else this.emit('data', Buffer.from(bytes))
  }
}
