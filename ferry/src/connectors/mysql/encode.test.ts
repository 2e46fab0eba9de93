import { describe, expect, it } from 'vitest'
import { jsonb, utf8 } from '../../batch/types.ts'
import { LoadEncoder } from './encode.ts'

const write = (type: ConstructorParameters<typeof LoadEncoder>[0][number]['type'], native: string, value: string) => {
  const encoder = new LoadEncoder([{ name: 'c', type, native }], [false])
  encoder.row([value])
  return encoder.take().toString().slice(0, -1)
}

describe("MySQL's own JSON", () => {
  it.each([
    '{"a": 1, "b": {"a": 2}}',
    '[18446744073709551615, -9223372036854775808]',
    '[1.10, 1e3, "99999999999999999999"]',
  ])('keeps %s', text => expect(write(jsonb, 'json', text)).toBe(text))
  it.each([
    '{"a": 1, "a": 2}',
    '[18446744073709551616]',
    '[0.12345678901234567890]',
    '{"x": [{"a": 1, "\\u0061": 2}]}',
  ])('would not keep %s', text =>
    expect(() => write(jsonb, 'json', text)).toThrow(expect.objectContaining({ code: 'FERRY-4001' })),
  )
})

describe('texts that the server would alter', () => {
  it.each([
    ['A', "enum('a','b')"],
    ['2', "enum('a','b')"],
    ['b,a', "set('a','b')"],
    ['a ', 'char(5)'],
  ])('%j into %s', (text, native) => {
    expect(() => write(utf8, native, text)).toThrow(expect.objectContaining({ code: 'FERRY-4001' }))
  })
  it.each([
    ["it's", "enum('it''s','b')"],
    ['a,b', "set('a','b')"],
    ['', "set('a','b')"],
    [' a', 'char(5)'],
    ['a ', 'varchar(5)'],
  ])('but not %j into %s', (text, native) => {
    expect(write(utf8, native, text)).toBe(text)
  })
})
