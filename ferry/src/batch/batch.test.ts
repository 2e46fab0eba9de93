/** What must hold for every value: texts that come back as they were, conversions that lose nothing or refuse. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seedOf } from '../../../test/seed.ts'
import { SAMPLES, type Sample } from '../contract/conformance/samples.ts'
import { FerryError } from '../errors.ts'
import { converter, fit } from './convert.ts'
import { csvEncoder, parseRecords, RecordEnds } from './csv.ts'
import { CsvAgreement } from './csvagreement.ts'
import { type CsvDialect, FERRY_CSV } from './encoding.ts'
import { elements, fromJson, members, toJson } from './json.ts'
import { fitDecimal, formatText, normalDecimal, parseText } from './text.ts'
import { civilFromDays, daysFromCivil, formatTimestamp, parseTimestamp, rescale } from './time.ts'
import { type LogicalType, parseType, typeName, type Value } from './types.ts'

const seed = seedOf('batch')
const check = <T>(any: fc.Arbitrary<T>, holds: (value: T) => void) =>
  fc.assert(
    fc.property(any, value => {
      holds(value)
    }),
    { seed, numRuns: 300 },
  )
const valuesOf = (sample: Sample) => fc.oneof(fc.constantFrom(...sample.extremes), sample.any).filter(v => v !== null)

it('a type has a name that reads back as the type, whatever its fields are called', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1 }),
    fc.constantFrom(' e ', 'a:b', 'a, b: int32', '"', 'ä', '<'),
  )
  const { type } = fc.letrec<{ type: LogicalType }>(tie => ({
    type: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(...Object.values(SAMPLES).map(s => s.type)),
      fc.record({ kind: fc.constant('list' as const), item: tie('type') }),
      fc.record({ kind: fc.constant('map' as const), key: tie('type'), value: tie('type') }),
      fc.record({
        kind: fc.constant('struct' as const),
        fields: fc.array(fc.record({ name, type: tie('type') }), { minLength: 1, maxLength: 3 }),
      }),
    ),
  }))
  check(type, any => expect(parseType(typeName(any))).toEqual(any))
})

describe.each(Object.entries(SAMPLES))('%s', (_, sample) => {
  it('has a name that reads back as the type', () => {
    expect(parseType(typeName(sample.type))).toEqual(sample.type)
  })

  it('has a canonical text for each value, which reads back as the value', () => {
    check(valuesOf(sample), value => {
      const text = formatText(value as Exclude<Value, null>, sample.type)
      expect(formatText(parseText(text, sample.type), sample.type)).toBe(text)
    })
  })

  it('has JSON for each value that JSON can hold, which reads back as the value', () => {
    check(valuesOf(sample), value => {
      const json = allowed(() => toJson(value, sample.type))
      if (json === undefined) return
      const again = fromJson(json, sample.type)
      expect(again === null ? null : formatText(again, sample.type)).toBe(
        formatText(value as Exclude<Value, null>, sample.type),
      )
    })
  })
})

describe('conversions', () => {
  const names = Object.keys(SAMPLES)
  const pairs = names.flatMap(a => names.map(b => [a, b] as const))

  it.each(pairs.filter(([a, b]) => ['wider', 'same'].includes(fit(SAMPLES[a]!.type, SAMPLES[b]!.type))))(
    '%s -> %s never refuses a value, and back again gives the same',
    (a, b) => {
      const [from, to] = [SAMPLES[a]!.type, SAMPLES[b]!.type]
      check(valuesOf(SAMPLES[a]!), value => {
        const there = converted(value, from, to)
        const back = converted(there, to, from)
        expect(shown(back, from)).toBe(shown(value, from))
      })
    },
  )

  it.each(pairs.filter(([a, b]) => fit(SAMPLES[a]!.type, SAMPLES[b]!.type) === 'narrower'))(
    '%s -> %s gives the same value or refuses it',
    (a, b) => {
      const [from, to] = [SAMPLES[a]!.type, SAMPLES[b]!.type]
      check(valuesOf(SAMPLES[a]!), value => {
        const there = allowed(() => converted(value, from, to))
        // Many texts are one value: `007` read as a number is not to become `007` again.
        if (there === undefined || from.kind === 'utf8' || from.kind === 'json' || fit(to, from) === 'none') return
        expect(shown(converted(there, to, from), from)).toBe(shown(value, from))
      })
    },
  )
})

describe('CSV', () => {
  const dialects = fc.record({
    delimiter: fc.constantFrom(',', ';', '\t', '|'),
    quote: fc.constantFrom('"', "'"),
    nullText: fc.constantFrom('', 'NULL', '\\N'),
  })
  const field = fc.oneof(
    fc.constantFrom(null, '', 'NULL', '\\N', '"', "'", '\r', '\n', ',', '\\.', 'a\r\nb'),
    fc.string({ unit: 'grapheme', maxLength: 12 }).filter(s => s.isWellFormed()),
  )
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain(width => fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 30 }))

  it('reads back what was written, in any dialect', () => {
    check(fc.tuple(dialects, table), ([given, rows]) => {
      const dialect: CsvDialect = { ...given, escape: given.quote, encoding: 'utf-8' }
      const types = rows[0]!.map((): LogicalType => ({ kind: 'utf8' }))
      const text = csvEncoder(types, dialect)(rows)
      expect([...parseRecords(text, dialect, 1)].map(r => r.fields)).toEqual(rows)
    })
  })

  it('finds the ends of records wherever the chunks are cut', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 })
    check(fc.tuple(table, cuts), ([rows, sizes]) => {
      const types = rows[0]!.map((): LogicalType => ({ kind: 'utf8' }))
      const bytes = Buffer.from(csvEncoder(types, FERRY_CSV)(rows))
      const ends = new RecordEnds(FERRY_CSV)
      let pending = Buffer.alloc(0)
      let records = 0
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const chunk = bytes.subarray(at, at + sizes[i % sizes.length]!)
        const end = ends.last(chunk)
        if (end > 0) {
          const whole = Buffer.concat([pending, chunk.subarray(0, end)])
          records += [...parseRecords(whole.toString(), FERRY_CSV, 1)].length
          pending = Buffer.from(chunk.subarray(end))
        } else pending = Buffer.concat([pending, chunk])
        at += chunk.length
      }
      expect(pending.length).toBe(0)
      expect(records).toBe(rows.length)
    })
  })

  it.each([
    ['int', '0', true],
    ['int', '-12', true],
    ['int', '007', false],
    ['int', '+7', false],
    ['int', ' 7', false],
    ['int', '0x1f', false],
    ['int', '1_000', false],
    ['int', '1234567890123456789', false],
    ['decimal', '1.25', true],
    ['decimal', '-1.2', true],
    ['decimal', '1.255', false],
    ['decimal', '125e-2', false],
    ['decimal', '.5', false],
    ['decimal', '5.', false],
    ['decimal', 'NaN', false],
    ['float', '0.1', true],
    ['float', '0.10000000000000001', true],
    ['float', '9007199254740993', false],
    ['float', '1e3', true],
    ['float', 'Infinity', false],
    ['bool', 'true', true],
    ['bool', 't', false],
    ['bool', 'yes', false],
    ['date', '2024-01-01', true],
    ['date', '01/02/03', false],
    ['date', 'today', false],
    ['date', '2024-01-01 00:00', false],
    ['timestamp', '2024-01-01 10:20:30', true],
    ['timestamp', '2024-01-01T10:20:30.123456', true],
    ['timestamp', '2024-01-01 10:20:30.1234567', false],
    ['timestamp', '2024-01-01 10:20:60', false],
    ['timestamp', '2024-01-01 10:20:30+05', false],
    ['zoned', '2024-01-01 10:20:30+05', true],
    ['zoned', '2024-01-01 10:20:30Z', true],
    ['zoned', '2024-01-01 10:20:30-05:30', true],
    ['zoned', '2024-01-01 10:20:30 Europe/Berlin', false],
    ['zoned', '2024-01-01 10:20:30', false],
    ['uuid', '00000000-0000-0000-0000-00000000000A', false],
    ['text', 'äöü', true],
    ['text', 'abcd', false],
  ] as const)('a field read as %s: %s may pass unread: %s', (kind, text, passes) => {
    const forms = {
      int: { kind: 'int', exact: true },
      decimal: { kind: 'decimal', scale: 2, exact: false },
      float: { kind: 'float', bits: 64, exact: true },
      bool: { kind: 'bool', exact: true },
      date: { kind: 'date' },
      timestamp: { kind: 'timestamp', digits: 6, zone: false, exact: true },
      zoned: { kind: 'timestamp', digits: 6, zone: true, exact: true },
      uuid: { kind: 'uuid', exact: true },
      text: { kind: 'text', characters: 3 },
    } as const
    const agreement = () => new CsvAgreement(FERRY_CSV, [undefined, forms[kind]], { toFile: false })
    expect(agreement().holds(Buffer.from(`"x\ny",${text}\nz,${text}\n`))).toBe(passes)
    expect(agreement().holds(Buffer.from(`z,"${text}"\n`))).toBe(passes)
  })

  it.each([
    ['1,5" disk\n2,8" disk\n', false],
    ['1,say "x" y\n', false],
    ['1,"x"y\n', false],
    ['1,"x\n', false],
    ['1,"x ""y"""\n', true],
    ['1,x\r\n2,y\r\n', true],
    ['1,x\r\n2,y\n', false],
    ['1,x\n2,y\r\n', false],
    ['1,a\rb\n', false],
    ['1,"a\rb"\n', true],
    ['\\.\n', false],
    ['\\.,x\n', false],
    ['1,\\.\n', true],
    ['1,x', true],
    ['1,x\r', true],
    ['1,', true],
  ])('%j may pass unread into PostgreSQL: %s', (text, passes) => {
    for (const forms of [
      [undefined, undefined],
      [{ kind: 'text', characters: 99 }, undefined],
    ] as const) {
      const agreement = new CsvAgreement(FERRY_CSV, [...forms], { toFile: false })
      expect(agreement.holds(Buffer.from(text))).toBe(passes)
    }
  })

  it('whatever may pass unread is what Ferry reads', () => {
    const piece = fc.constantFrom('a', '"', '""', ',', '\n', '\r\n', '\r', '\\', '\\.', '.', ' ', '1', 'é')
    check(fc.array(piece, { maxLength: 30 }), pieces => {
      const text = pieces.join('')
      const width = text.split('\n')[0]!.split(',').length
      const agreement = new CsvAgreement(FERRY_CSV, new Array(width).fill(undefined), { toFile: true })
      if (!agreement.holds(Buffer.from(text))) return
      // It is RFC 4180 to the letter: writing what was read gives the same records again.
      const rows = [...parseRecords(text, FERRY_CSV, 1)].map(r => r.fields)
      for (const row of rows) expect(row).toHaveLength(width)
      const types = new Array<LogicalType>(width).fill({ kind: 'utf8' })
      const written = csvEncoder(types, FERRY_CSV)(rows)
      expect([...parseRecords(written, FERRY_CSV, 1)].map(r => r.fields)).toEqual(rows)
    })
  })
})

describe('time', () => {
  it('counts days as the proleptic Gregorian calendar does', () => {
    check(fc.integer({ min: -2_000_000, max: 3_000_000 }), days => {
      const [year, month, day] = civilFromDays(days)
      expect(daysFromCivil(year, month, day)).toBe(days)
      const at = new Date(days * 86_400_000)
      expect([year, month, day]).toEqual([at.getUTCFullYear(), at.getUTCMonth() + 1, at.getUTCDate()])
    })
  })

  it('reads other spellings of a moment', () => {
    const moment = parseTimestamp('2024-02-29 12:34:56.789012+00', 'us', true)
    for (const text of [
      '2024-02-29T12:34:56.789012Z',
      '2024-02-29 13:34:56.789012+01:00',
      '2024-02-29T07:04:56.789012-0530',
    ]) {
      expect(parseTimestamp(text, 'us', true), text).toBe(moment)
    }
    expect(parseTimestamp('2023-02-29 00:00:00', 'us', false)).toBeUndefined()
    expect(formatTimestamp(moment!, 'us', true)).toBe('2024-02-29 12:34:56.789012+00')
  })

  it('never rounds when units change', () => {
    check(fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }), nanos => {
      const micros = rescale(nanos, 'ns', 'us')
      if (nanos % 1000n === 0n) expect(BigInt(micros as number | bigint)).toBe(nanos / 1000n)
      else expect(micros).toBeUndefined()
    })
  })
})

describe('decimals', () => {
  it('normal digits keep the number', () => {
    check(fc.tuple(fc.integer(), fc.integer({ min: -30, max: 30 })), ([digits, exponent]) => {
      expect(Number(normalDecimal(`${digits}e${exponent}`))).toBe(Number(`${digits}e${exponent}`))
    })
  })

  it('fit a scale without rounding, or not at all', () => {
    expect(fitDecimal('1.50', 10, 1)).toBe('1.5')
    expect(fitDecimal('1.55', 10, 1)).toBeUndefined()
    expect(fitDecimal('123.4', 3, 1)).toBeUndefined()
    expect(fitDecimal('-0.001e2', 4, 2)).toBe('-0.10')
  })
})

describe('JSON', () => {
  it('is taken apart without losing digits', () => {
    check(fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue()), value => {
      const text = JSON.stringify(value, null, 1)
      const taken = Object.fromEntries(members(text).map(([k, v]) => [k, JSON.parse(v)]))
      expect(taken).toEqual(JSON.parse(text))
    })
    expect(members('{"a": 12345678901234567890.5, "b": [1e400]}')).toEqual([
      ['a', '12345678901234567890.5'],
      ['b', '[1e400]'],
    ])
    expect(elements('[1, "],", {"a": "}"}]')).toEqual(['1', '"],"', '{"a": "}"}'])
  })
})

function converted(value: Value, from: LogicalType, to: LogicalType): Value {
  return (converter(from, to) ?? (v => v))(value)
}

/** A value's text, the same for equal values. */
function shown(value: Value, type: LogicalType): string {
  const text = value === null ? 'null' : formatText(value, type)
  return type.kind === 'numeric' && text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** The result, or undefined where the value was refused by one of Ferry's errors. */
function allowed<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    expect(error).toBeInstanceOf(FerryError)
    return undefined
  }
}
