import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exactParser } from './dates/exact.ts'
import { formatInstant } from './dates/format.ts'
import { civilOf, instantOf } from './dates/instant.ts'
import { formatSpan, parseSpan } from './dates/spans.ts'
import { formConverter, requireForm, type TextForm } from './forms.ts'
import { formatText } from './text.ts'
import { type LogicalType, parseType, utf8 } from './types.ts'

const typed = (name: string): LogicalType => parseType(name)!
const read = (text: string, name: string, parse: TextForm) => {
  const as = typed(name)
  return formatText(formConverter(utf8, { as, parse }, as)(text) as never, as)
}
const written = (text: string, name: string, print: TextForm) => {
  const as = typed(name)
  return formConverter(
    utf8,
    { as, parse: name.startsWith('timestamp') ? { format: 'yyyy-MM-dd HH:mm:ss.FFFFFFF' } : {}, print },
    utf8,
  )(text)
}

describe('texts of dates', () => {
  it('are read by their format, every character of it', () => {
    for (const [text, format, culture, expected] of [
      ['31/01/2024', 'dd/MM/yyyy', undefined, '2024-01-31 00:00:00'],
      ['1/2/2024 3:04 PM', 'M/d/yyyy h:mm tt', undefined, '2024-01-02 15:04:00'],
      ['12:00 am 2024-01-02', 'hh:mm tt yyyy-MM-dd', undefined, '2024-01-02 00:00:00'],
      ['15 März 2024', 'd MMMM yyyy', 'de-DE', '2024-03-15 00:00:00'],
      ['Fri 15 Mar 2024', 'ddd d MMM yyyy', undefined, '2024-03-15 00:00:00'],
      ['20240131T235959.1234560', "yyyyMMdd'T'HHmmss.fffffff", undefined, '2024-01-31 23:59:59.123456'],
      ['2024-01-31 10:00:00', 'yyyy-MM-dd HH:mm:ss.FFF', undefined, '2024-01-31 10:00:00'],
      ['2024-01-31 10:00:00.5', 'yyyy-MM-dd HH:mm:ss.FFF', undefined, '2024-01-31 10:00:00.5'],
      ['31-12-99', 'dd-MM-yy', undefined, '1999-12-31 00:00:00'],
      ['2024-01-31T10:00:00+02:00', 'yyyy-MM-ddTHH:mm:sszzz', undefined, '2024-01-31 08:00:00'],
      ['2024-01-31T10:00:00Z', 's', undefined, undefined],
      ['31/1/2024', 'dd/MM/yyyy', undefined, undefined],
      ['30/02/2024', 'dd/MM/yyyy', undefined, undefined],
      ['31/01/2024 ', 'MM/dd/yyyy', undefined, undefined],
      ['31-12-40', 'dd-MM-yy', undefined, undefined],
      ['13:00 PM 2024', 'hh:mm tt yyyy', undefined, undefined],
      ['2024-01-31 10:00:00.1234567', 'yyyy-MM-dd HH:mm:ss.fffffff', undefined, undefined],
      ['10:00', 'HH:mm', undefined, undefined],
    ] as const) {
      const parse = { format, ...(culture ? { culture } : {}) }
      const result = () => read(text, 'timestamp[us]', parse)
      if (expected === undefined) expect(result, text).toThrow(/is no timestamp\[us\] \(format /)
      else expect(result(), text).toBe(expected)
    }
  })

  it('are read as the culture writes them', () => {
    expect(read('31.01.2024 10:00', 'timestamp[us]', { culture: 'de-DE' })).toBe('2024-01-31 10:00:00')
    expect(read('1/2/2024', 'date', { culture: 'en-GB' })).toBe('2024-02-01')
    expect(read('1/2/2024', 'date', { culture: 'en-US' })).toBe('2024-01-02')
  })

  it('are what a format writes: the same moment again', () => {
    const formats = [
      'yyyy-MM-dd HH:mm:ss.fffffff',
      "dddd, d MMMM yyyy 'um' HH:mm:ss.FFFFFFF",
      'M/d/yyyy hh:mm:ss.fffffff tt',
      'o',
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...formats),
        fc.constantFrom('en-US', 'de-DE', 'fr-FR', 'pl-PL', 'ja-JP'),
        fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }),
        fc.integer({ min: 0, max: 9_999_999 }),
        (format, culture, seconds, sub) => {
          const instant = { ms: seconds * 1000 + Math.floor(sub / 10_000), ticks: sub % 10_000, isUtc: false }
          const text = formatInstant(instant, format, culture)
          expect(exactParser(format, culture)(text), text).toEqual(instant)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('are written by a format', () => {
    expect(written('2024-01-31 10:00:00.12', 'timestamp[us]', { format: 'dd.MM.yyyy HH:mm' })).toBe('31.01.2024 10:00')
    expect(written('2024-01-31 10:00:00', 'timestamp[us]', { culture: 'de-DE' })).toBe('31.01.2024 10:00:00')
  })

  it('are of no culture whose calendar or digits would make another day or number of them', () => {
    for (const culture of ['th-TH', 'ar-SA', 'fa-IR'])
      expect(() => requireForm({ culture }, typed('date'))).toThrow(/calendar/)
    for (const culture of ['ar-EG', 'fa-IR', 'mr-IN'])
      expect(() => requireForm({ culture }, typed('int64'))).toThrow(/digits/)
    expect(written('2024-03-15 13:05:06', 'timestamp[us]', { format: 'd MMMM', culture: 'ja-JP' })).toBe('15 3月')
    expect(written('2024-03-15 13:05:06', 'timestamp[us]', { format: 'd', culture: 'bn-BD' })).toBe('15/3/2024')
  })

  it('have formats that say each part once', () => {
    expect(() => requireForm({ format: 'yyyy-MM-dd MM' }, typed('date'))).toThrow(/says the month twice/)
    expect(() => requireForm({ format: 'yyyy-MM-dd gg' }, typed('date'))).toThrow(/"gg"/)
    expect(() => requireForm({ format: 'yyyy', culture: 'xx-!!' }, typed('date'))).toThrow(/culture/)
    expect(() => requireForm({ format: '0.00' }, typed('int64'))).toThrow(/int64 has no formats/)
    expect(civilOf(instantOf({ year: 1, month: 1, day: 1 })!).year).toBe(1)
  })
})

describe('what .NET reads in another way, or not at all, is refused', () => {
  const exact = (text: string, format: string, culture?: string) => exactParser(format, culture)(text)
  it('halves of a day, names of days, offsets, blanks', () => {
    expect(exact('03:00 PM 2024', 'HH:mm tt yyyy')).toBeUndefined()
    expect(exact('15:00 PM 2024', 'HH:mm tt yyyy')).toBeDefined()
    expect(exact('Mon 15 Mar 2024', 'ddd d MMM yyyy')).toBeUndefined()
    expect(exact('2024-01-31T10:00:00+99:00', 'yyyy-MM-ddTHH:mm:sszzz')).toBeUndefined()
    expect(exact('2024-01-31T10:00:00+02:99', 'yyyy-MM-ddTHH:mm:sszzz')).toBeUndefined()
    expect(() => exactParser('h:mm t yyyy', 'tr-TR')).toThrow(/one letter for both halves/)
    expect(() => read(' 31/01/2024', 'date', { format: 'dd/MM/yyyy' })).toThrow(/is no date/)
  })

  it('months without a day have their own names', () => {
    expect(written('2024-01-31 10:00:00', 'timestamp[us]', { format: 'MMMM yyyy', culture: 'pl-PL' })).toBe(
      'styczeń 2024',
    )
    expect(written('2024-01-31 10:00:00', 'timestamp[us]', { format: 'd MMMM yyyy', culture: 'pl-PL' })).toBe(
      '31 stycznia 2024',
    )
    expect(read('styczeń 2024', 'date', { format: 'MMMM yyyy', culture: 'pl-PL' })).toBe('2024-01-01')
  })

  it('separators are those of the culture', () => {
    expect(read('31.01.2024', 'date', { format: 'dd/MM/yyyy', culture: 'de-DE' })).toBe('2024-01-31')
    expect(written('2024-01-31 10:00:00', 'timestamp[us]', { format: 'dd/MM/yyyy', culture: 'de-DE' })).toBe(
      '31.01.2024',
    )
    expect(written('2024-01-31 10:00:00', 'timestamp[us]', { format: 'd/M/yyyy', culture: 'en-GB' })).toBe('31/1/2024')
  })

  it('years outside of 1 to 9999, and fractions that nobody asked to leave out', () => {
    const date = typed('date')
    const print = formConverter(date, { as: date, print: { format: 'dd.MM.yyyy' } }, utf8)
    for (const days of [-800_000, 2_932_897]) expect(() => print(days)).toThrow(/cannot be written/)
    expect(print(0)).toBe('01.01.1970')
    expect(() => written('2024-01-31 10:00:00.5', 'timestamp[us]', { culture: 'de-DE' })).toThrow(/cannot be written/)
    expect(() => read('2024-01-31 10:00:00.123456789', 'timestamp[ns]', { culture: 'de-DE' })).toThrow(
      /is no timestamp/,
    )
  })
})

describe('texts of spans', () => {
  it('are those of .NET', () => {
    for (const [text, format, micros] of [
      ['1.02:03:04.5000000', 'c', 93_784_500_000n],
      ['-00:00:01', 'c', -1_000_000n],
      ['1.02:03', 'd\\.hh\\:mm', 93_780_000_000n],
      ['02h03', "hh'h'mm", 7_380_000_000n],
      ['5', '%d', 432_000_000_000n],
    ] as const) {
      expect(parseSpan(text, format), text).toBe(micros)
      expect(formatSpan(micros, format)).toBe(text)
    }
    expect(parseSpan('25:00:00', 'c')).toBeUndefined()
    expect(parseSpan('00:00:00.0000001', 'c')).toBeUndefined()
    // What a format has no place for would be lost.
    expect(formatSpan(-1_000_000n, 'hh\\:mm\\:ss')).toBeUndefined()
    expect(formatSpan(90_000_000_000n, 'hh\\:mm')).toBeUndefined()
    expect(() => formatSpan(1n, 'hh:mm')).toThrow(/write \\:/)
    expect(read('10:30', 'time', { format: 'hh\\:mm' })).toBe('10:30:00')
  })
})

describe('texts of numbers', () => {
  it('are those of a culture, with groups of three digits', () => {
    for (const [text, type, culture, expected] of [
      ['1.234,56', 'decimal(10,2)', 'de-DE', '1234.56'],
      ['-1 234,5', 'decimal(10,2)', 'fr-FR', '-1234.50'],
      ['1,234', 'int64', 'en-US', '1234'],
      ['1234', 'int64', 'de-DE', '1234'],
      ['1,5e3', 'float64', 'de-DE', '1500'],
      ['1.5', 'float64', 'de-DE', undefined],
      ['1.23', 'int64', 'de-DE', undefined],
      ['12.34.567', 'int64', 'de-DE', undefined],
      ['1,5', 'int64', 'de-DE', undefined],
      ['', 'int64', 'de-DE', undefined],
    ] as const) {
      const result = () => read(text, type, { culture })
      if (expected === undefined) expect(result, text).toThrow()
      else expect(result(), text).toBe(expected)
    }
    expect(written('1234.5', 'decimal(10,2)', { culture: 'de-DE' })).toBe('1234,50')
  })

  it('come back from what was written', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('en-US', 'de-DE', 'fr-FR', 'sv-SE'),
        fc.integer(),
        fc.integer({ min: 0, max: 99 }),
        (culture, n, cents) => {
          const text = `${n}.${String(cents).padStart(2, '0')}`
          const as = typed('decimal(20,2)')
          const out = formConverter(as, { as, print: { culture } }, utf8)(text) as string
          expect(read(out, 'decimal(20,2)', { culture })).toBe(text)
        },
      ),
    )
  })
})
