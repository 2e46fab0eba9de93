/** Every logical type with its extreme values, and arbitrary ones by seed. */
import fc from 'fast-check'
import { type LogicalType, parseType, type Value } from '../../batch/types.ts'

export interface Sample {
  type: LogicalType
  extremes: Value[]
  any: fc.Arbitrary<Value>
}

const type = (name: string): LogicalType => {
  const found = parseType(name)
  if (!found) throw new Error(`no type ${name}`)
  return found
}

const compact = (value: bigint): Value =>
  value >= -(2n ** 53n - 1n) && value <= 2n ** 53n - 1n ? Number(value) : value
const integer = (bits: number, signed: boolean): Sample => {
  const low = signed ? -(2n ** BigInt(bits - 1)) : 0n
  const high = signed ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n
  return {
    type: { kind: 'int', bits: bits as 8, signed },
    extremes: [low, high, 0n, 1n].map(compact),
    any: fc.bigInt({ min: low, max: high }).map(compact),
  }
}

const decimalText = (digits: number, scale: number) =>
  fc.bigInt({ min: -(10n ** BigInt(digits)) + 1n, max: 10n ** BigInt(digits) - 1n }).map((n): Value => {
    const text = String(n < 0n ? -n : n).padStart(scale + 1, '0')
    return `${n < 0n ? '-' : ''}${text.slice(0, text.length - scale)}.${text.slice(text.length - scale)}`
  })

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter(s => s.isWellFormed() && !s.includes('\0'))
const micros = fc.integer({ min: -62_135_596_800_000_000, max: 8_000_000_000_000_000 })

export const SAMPLES: Record<string, Sample> = {
  bool: { type: type('bool'), extremes: [true, false], any: fc.boolean() },
  int8: integer(8, true),
  int16: integer(16, true),
  int32: integer(32, true),
  int64: integer(64, true),
  uint8: integer(8, false),
  uint32: integer(32, false),
  uint64: integer(64, false),
  float32: {
    type: type('float32'),
    extremes: [
      0,
      -0,
      1.5,
      Math.fround(0.1),
      3.4028234663852886e38,
      1.401298464324817e-45,
      Number.NaN,
      Infinity,
      -Infinity,
    ],
    any: fc.float({ noNaN: true }),
  },
  float64: {
    type: type('float64'),
    extremes: [
      0,
      -0,
      0.1,
      Number.MAX_VALUE,
      Number.MIN_VALUE,
      1e21,
      123456789.12345678,
      Number.NaN,
      Infinity,
      -Infinity,
    ],
    any: fc.double({ noNaN: true }),
  },
  decimal38: {
    type: type('decimal(38,10)'),
    extremes: [
      '9999999999999999999999999999.9999999999',
      '-0.0000000001',
      '0.0000000000',
      '12345678901234567890.1234567890',
    ],
    any: decimalText(38, 10),
  },
  decimal10: { type: type('decimal(10,2)'), extremes: ['99999999.99', '-0.01', '0.00'], any: decimalText(10, 2) },
  numeric: {
    type: type('decimal'),
    extremes: [
      '0',
      '-1',
      '123456789012345678901234567890123456789012345678901234567890.5',
      '0.00000000000000000000000000000000000001',
      'NaN',
    ],
    any: decimalText(60, 20),
  },
  utf8: {
    type: type('utf8'),
    extremes: [
      '',
      ' ',
      '\ufeffa',
      '\ufeff',
      'NULL',
      '\\N',
      '\\.',
      'a,b;c\td|e',
      'line\nfeed',
      'carriage\r\nreturn',
      '"',
      '""',
      "it's",
      'é',
      '😀🇩🇪',
      '\u0001',
      '\u0000',
      'a\u0000b',
      '\ud800',
      '\uFFFD',
      '\\',
      '007',
      'true',
      '2024-01-01',
      'x'.repeat(1_000_000),
    ],
    any: text,
  },
  json: {
    type: type('json'),
    extremes: [
      '{}',
      '[]',
      'null',
      '"x"',
      '123',
      '12345678901234567890.123456789',
      '{"b": 1, "a": [1, 2.50, {"c": null}], "é": "😀"}',
      '{"2":0,"1":0}',
      '1e400',
    ],
    any: fc.json({ maxDepth: 2 }),
  },
  uuid: {
    type: type('uuid'),
    extremes: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    any: fc.uuid(),
  },
  binary: {
    type: type('binary'),
    extremes: [Buffer.alloc(0), Buffer.from([0]), Buffer.from([0xff, 0xfe, 0, 0x5c, 0x0a]), Buffer.alloc(70_000, 7)],
    any: fc.uint8Array({ maxLength: 30 }).map(a => Buffer.from(a)),
  },
  date: {
    type: type('date'),
    extremes: [0, -1, 19_782, -719_162, -719_163, -719_528, 2_932_896, 2_932_897, Infinity, -Infinity],
    any: fc.integer({ min: -719_162, max: 2_932_896 }),
  },
  time: {
    type: type('time'),
    extremes: [0, 1, 86_399_999_999, 43_200_000_000],
    any: fc.integer({ min: 0, max: 86_399_999_999 }),
  },
  timestamp: {
    type: type('timestamp[us]'),
    extremes: [
      0,
      -1,
      1,
      1_700_000_000_123_456,
      -62_135_596_800_000_000,
      -62_135_596_800_000_001n,
      253_402_300_800_000_000n,
      Infinity,
      -Infinity,
    ],
    any: micros,
  },
  timestamptz: {
    type: type('timestamp[us, tz]'),
    extremes: [0, -1, 1_700_000_000_123_456, -62_135_596_800_000_001n, 253_402_300_800_000_000n, Infinity, -Infinity],
    any: micros,
  },
  timestampms: {
    type: type('timestamp[ms]'),
    extremes: [0, -1, 1_700_000_000_123],
    any: fc.integer({ min: -6e13, max: 8e12 }),
  },
  timestampns: {
    type: type('timestamp[ns]'),
    extremes: [0, 1_700_000_000_123_456_789n, -1, 1_000],
    any: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }).map(compact),
  },
  interval: {
    type: type('interval'),
    extremes: [
      { months: 0, days: 0, micros: 0 },
      { months: 14, days: -3, micros: 3_723_000_001 },
      { months: -1, days: 1, micros: -1 },
      { months: 0, days: 40, micros: 360_000_000_000 },
    ],
    any: fc.record({
      months: fc.integer({ min: -1200, max: 1200 }),
      days: fc.integer({ min: -999, max: 999 }),
      micros: fc.integer({ min: -1e12, max: 1e12 }),
    }),
  },
  listint: {
    type: type('list<int32>'),
    extremes: [[], [1, null, -2_147_483_648]],
    any: fc.array(fc.option(fc.integer()), { maxLength: 5 }),
  },
  listtext: {
    type: type('list<utf8>'),
    extremes: [[], ['', 'NULL', null, 'a"b', 'c\\d', '{e}', 'f,g', '😀', 'line\nfeed']],
    any: fc.array(fc.option(text), { maxLength: 4 }),
  },
  struct: {
    type: type('struct<a: int32, b: utf8, c: list<float64>>'),
    extremes: [
      [1, 'x', [1.5, null]],
      [null, '', []],
    ],
    any: fc.tuple(
      fc.option(fc.integer()),
      fc.option(text),
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 3 }),
    ) as fc.Arbitrary<Value>,
  },
  map: {
    type: type('map<utf8, int64>'),
    extremes: [
      [],
      [
        ['a', 1],
        ['', null],
      ],
    ],
    any: fc.constant([['k', 9007199254740993n]] as Value),
  },
}
