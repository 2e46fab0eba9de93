/** Parts of MySQL's log that no MariaDB writes. `mysql-json.txt` holds documents as MySQL keeps and shows them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { jsonText } from '../ferry/src/connectors/mysql/binaryjson.ts'
import { transactionPayload } from '../ferry/src/connectors/mysql/compressed.ts'
import { decimalAt } from '../ferry/src/connectors/mysql/rowimage.ts'
import { root } from './support.ts'

const text = (hex: string) => jsonText(Buffer.from(hex, 'hex'), decimalAt)

describe("MySQL's binary JSON", () => {
  it('is read as the server shows it', () => {
    const lines = readFileSync(join(root, 'test/fixtures/mysql-json.txt'), 'utf8').trimEnd().split('\n')
    expect(lines.length).toBe(86)
    for (const line of lines) {
      const [hex, shown] = [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]
      expect(text(hex!), hex).toBe(shown)
    }
  })

  it('holds texts of any length, large documents, and numbers beyond 15 places', () => {
    const long = 'é'.repeat(100_000)
    const size = Buffer.from([0xc0, 0x9a, 0x0c])
    expect(jsonText(Buffer.concat([Buffer.from([12]), size, Buffer.from(long)]), decimalAt)).toBe(JSON.stringify(long))
    // [70000, null] in the large form: numbers of 32 bits stand in their entries.
    expect(text('03 02000000 12000000 07 70110100 04 00000000'.replaceAll(' ', ''))).toBe('[70000, null]')
    const double = (value: number) => {
      const bytes = Buffer.alloc(9)
      bytes[0] = 11
      bytes.writeDoubleLE(value, 1)
      return jsonText(bytes, decimalAt)
    }
    expect([1, 1e14, 1e15, 0.1, 1e-7, 1.5e-20, -0, 1e300].map(double)).toEqual([
      '1.0',
      '100000000000000.0',
      '1e15',
      '0.1',
      '0.0000001',
      '1.5e-20',
      '-0.0',
      '1e300',
    ])
    expect(text('')).toBe('null')
    expect(() => text('0d00')).toThrow(/FERRY-4002|not known/)
  })
})

describe("MySQL's compressed transactions", () => {
  it.each([
    ['zstd', 0],
    ['none', 255],
  ])('are taken out of their event (%s)', (_, kind) => {
    const events = Buffer.from('any events '.repeat(50))
    const bytes = kind === 0 ? zstdCompressSync(events) : events
    // Fields: the compression, the size of the payload, the size that it comes to; then the end of the fields.
    const number = (value: number) => (value < 0xfb ? [value] : [0xfc, value & 0xff, value >> 8])
    const field = (id: number, value: number) => [id, number(value).length, ...number(value)]
    const head = [...field(2, kind), ...field(1, bytes.length), ...field(3, events.length), 0]
    const event = Buffer.concat([Buffer.from('header'), Buffer.from(head), bytes])
    expect(transactionPayload(event, 6, event.length).equals(events)).toBe(true)
  })
})
