/** Random CSV files. */
import { type Case, halves } from './case.ts'
import type { Random } from './random.ts'

/** Columns that are of one type where they are sampled. */
const PLAIN: Record<string, (r: Random) => string> = {
  int: r => String(r.integer(-1000, 1000)),
  float: r => `${r.integer(-1000, 1000)}.${r.integer(1, 9)}`,
  bool: r => r.pick(['true', 'false']),
  date: r => `20${r.integer(10, 29)}-0${r.integer(1, 9)}-1${r.integer(0, 9)}`,
  timestamp: r => `2024-0${r.integer(1, 9)}-1${r.integer(0, 9)} 10:2${r.integer(0, 9)}:00`,
  timestamptz: r => `2024-0${r.integer(1, 9)}-1${r.integer(0, 9)}T10:2${r.integer(0, 9)}:00Z`,
  uuid: r => `0f8fad5b-d9cb-469f-a165-7086772895${r.integer(10, 99)}`,
  text: r => r.pick(['a', 'bc', 'Ünal', 'hello world', '\u{1f600}']),
}

/** Values that some type would alter, of any kind. */
const ODD: Record<string, string[]> = {
  number: [
    '007',
    '+1',
    '-0',
    '0',
    '00',
    '-007',
    '1e3',
    '1E+3',
    '1e400',
    '1e-400',
    '.5',
    '5.',
    '1.50',
    '0.1',
    '-0.0',
    '9007199254740993',
    '9223372036854775807',
    '9223372036854775808',
    '-9223372036854775809',
    '18446744073709551616',
    '123456789012345678901234567890123456789012345',
    '0.12345678901234567',
    '0.1234567890123456789',
    '1.00000000000000000001',
    '12345678901234567.5',
    '1,5',
    '1_000',
    '1 000',
    '0x1F',
    '0b1',
    '0o7',
    '1.0',
    '1e2',
    '4.35',
    '100000000000000000000',
    '9007199254740993.0',
    '0.30000000000000004',
    '１２',
  ],
  special: ['NaN', 'nan', 'Infinity', '-Infinity', 'inf', '+inf', 'INF', 'null', 'NULL', '\\N', 'None', 'N/A', '-'],
  date: [
    '01/02/2024',
    '2024-1-5',
    '2024-02-30',
    '20240105',
    'Jan 5 2024',
    '5.1.2024',
    'today',
    'now',
    'epoch',
    'infinity',
    '2024-01-05 BC',
    '0000-01-01',
    '10000-01-01',
    '2024-01-05T10:00',
    '2024-01-05 24:00:00',
    '2024-01-05 23:59:60',
    '2024-01-05 10:00:00.1234567',
    '2024-01-05T10:00:00+02:00',
    '2024-01-05 10:00:00 CET',
    '2024-01-05 10:00:00+25',
    '2024-01-05 10:00:00,5',
    '2024-W01-1',
    '1582-10-10',
    '2024-01-05T10:00:00.123456789Z',
    '01/02/2024 10:00:00',
    '2024-01-05 10:00:00 PM',
    '99-01-05',
    '2024-01-05',
    '12:30',
    '12:30:00',
  ],
  bool: ['t', 'f', 'yes', 'no', 'y', 'on', 'off', '1', '0', 'TRUE', 'True', 'False', 'tr', 'wahr'],
  uuid: [
    '0F8FAD5B-D9CB-469F-A165-708677289501',
    '{0f8fad5b-d9cb-469f-a165-708677289501}',
    '0f8fad5bd9cb469fa165708677289501',
  ],
  text: [
    ' lead',
    'trail ',
    ' 5',
    '5 ',
    ' ',
    '  ',
    '\t',
    'a\tb',
    "it's",
    'a\\b',
    '\\.',
    '\\',
    'a\\nb',
    '#',
    '=1+1',
    'x'.repeat(5000),
    'a\u0000b',
    '\u0000',
    '\u200b',
    '\u00a0',
    '\ufeff',
    'e\u0301',
    '\u2028',
    '\u0085',
    '\u0001',
    '\r',
    'a\rb',
    '\v',
    '\u001a',
  ],
}

const ODDITIES = [
  'number',
  'special',
  'date',
  'bool',
  'uuid',
  'text',
  'any',
  'any',
  'any',
  'quotes',
  'raw quotes',
  'newlines',
  'bom',
  'utf16',
  'latin1',
  'cr',
  'empty lines',
  'ragged',
  'nul',
  'empty file',
  'header only',
  'odd header',
  'odd header',
  'duplicate header',
  'several files',
  'late',
  'filler',
  'all null',
  'cut off',
  'blanks',
]

export function csvCase(seed: number, r: Random): Case {
  const oddities = r.some(ODDITIES, r.integer(1, 3))
  const has = (oddity: string) => oddities.includes(oddity)
  const delimiter = r.pick([',', ',', ',', ';', '\t', '|'])
  const kinds = Array.from({ length: r.integer(1, 4) }, () => r.pick(Object.keys(PLAIN)))
  const header = r.chance(0.85)
  const end = has('cr') ? r.pick(['\r', 'mixed']) : r.pick(['\n', '\n', '\r\n'])
  const lineEnd = () => (end === 'mixed' ? r.pick(['\n', '\r\n', '\r']) : end)
  const sample = r.integer(1, 4)
  const late = has('late') || r.chance(0.5)
  const read = {
    ...(late ? { sample } : {}),
    ...(r.chance(0.5) ? { delimiter } : {}),
    ...(r.chance(0.6) || !header ? { header } : {}),
  }

  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
  const field = (text: string): string => {
    const needed = text.includes(delimiter) || /["\r\n]/.test(text)
    return needed || r.chance(0.1) ? quoted(text) : text
  }
  const odd = (): string => {
    const groups = Object.keys(ODD).filter(has)
    const any = has('any') ? Object.keys(ODD) : groups
    return any.length === 0 ? PLAIN.text!(r) : r.pick(ODD[r.pick(any)]!)
  }
  const value = (kind: string, row: number): string => {
    const sampled = late && row < sample
    if (sampled) return field(PLAIN[kind]!(r))
    if (has('all null') && r.chance(0.7)) return ''
    if (r.chance(0.08)) return ''
    if (has('quotes') && r.chance(0.3))
      return quoted(r.pick(['a"b', '"', '""', 'a,b', `a${delimiter}b`, 'x"', '"x', '5" disk']))
    if (has('raw quotes') && r.chance(0.3)) {
      return r.pick([
        '5" disk',
        'a"b',
        'a""b',
        '"a"b',
        '"a" ',
        ' "a"',
        'a"',
        '"a""',
        '""a',
        '"a"b"c"',
        'a "b" c',
        '"',
        '\\"',
      ])
    }
    if (has('newlines') && r.chance(0.3))
      return quoted(r.pick(['a\nb', '\n', 'a\r\nb', '\r', 'a\n', '\n"\n', 'a\n\nb']))
    if (has('blanks') && r.chance(0.4)) return r.pick([' ', '\t', '']) + PLAIN[kind]!(r) + r.pick([' ', '\t', ''])
    if (has('nul') && r.chance(0.1)) return 'a\0b'
    return r.chance(0.35) ? field(odd()) : field(PLAIN[kind]!(r))
  }

  const names = kinds.map((_, i) => headerName(i, kinds.length, has, r))
  const fileCount = has('several files') ? r.integer(2, 3) : 1
  const files = Array.from({ length: fileCount }, (_, f) => {
    const order = kinds.map((_, i) => i)
    if (f > 0 && r.chance(0.4)) order.reverse()
    if (f > 0 && r.chance(0.2)) order.push(order.length)
    if (f > 0 && order.length > 1 && r.chance(0.2)) order.pop()
    const pieces: string[] = []
    if (header) pieces.push(order.map(i => headerField(names[i] ?? 'extra', delimiter, r)).join(delimiter) + lineEnd())
    if (has('filler')) {
      const filler = `${order.map(i => PLAIN[kinds[i] ?? 'int']!(r)).join(delimiter)}\n`
      for (const rows of halves(r.pick([9_999, 10_000, 10_001]))) pieces.push(filler.repeat(rows))
    }
    const rows = has('header only') ? 0 : r.integer(1, late ? sample + 4 : 6)
    for (let row = 0; row < rows; row++) {
      const fields = order.map(i => value(kinds[i] ?? 'int', row))
      if (has('ragged') && r.chance(0.3)) r.chance(0.5) ? fields.push('x') : fields.pop()
      pieces.push(fields.join(delimiter) + lineEnd())
      if (has('empty lines') && r.chance(0.4)) pieces.push(lineEnd())
    }
    if (has('empty lines') && r.chance(0.3)) pieces.unshift(lineEnd())
    if (pieces.length > 0 && r.chance(0.25)) pieces.push(pieces.pop()!.replace(/[\r\n]+$/, ''))
    if (has('cut off') && pieces.length > 0) pieces.push(pieces.pop()!.slice(0, -r.integer(1, 5)))
    const bytes = has('empty file') && (f > 0 || r.chance(0.6)) ? [] : pieces.map(p => encode(p, has))
    if (has('bom')) bytes.unshift(Buffer.from('\ufeff'))
    else if (has('utf16') && r.chance(0.7)) bytes.unshift(Buffer.from('\ufeff', 'utf16le'))
    return { name: `in${f}.csv`, pieces: bytes.filter(b => b.length > 0) }
  })
  return {
    seed,
    format: 'csv',
    files,
    object: fileCount === 1 ? 'in0.csv' : 'in*.csv',
    read,
    csv: { delimiter, header },
    oddities: [...oddities, `lines end with ${JSON.stringify(end)}`],
  }
}

function encode(text: string, has: (oddity: string) => boolean): Buffer {
  if (has('utf16')) return Buffer.from(text, 'utf16le')
  return has('latin1') ? Buffer.from(text.replace(/[^\0-\xff]/g, 'é').replace('bc', 'é'), 'latin1') : Buffer.from(text)
}

function headerName(i: number, columns: number, has: (oddity: string) => boolean, r: Random): string {
  if (has('duplicate header')) return r.pick(['a', 'a', 'a_2', 'A', `c${i}`])
  if (has('odd header') && r.chance(0.6)) {
    return r.pick([
      '',
      ' ',
      '1',
      '2024',
      'true',
      '2024-01-05',
      ' a ',
      'a b',
      'a.b',
      'a"b',
      "a'b",
      'a\nb',
      '__proto__',
      'constructor',
      'x'.repeat(70),
      'ctid',
      'rowid',
      'select',
      '$x',
      '$$FILEPATH',
      '*',
      'ü',
      '\u0000',
      `column${r.integer(1, columns)}`,
      'file_row_number',
      '-1.5',
      'a\\b',
      '{table}',
    ])
  }
  return `c${i}`
}

function headerField(name: string, delimiter: string, r: Random): string {
  const needed = name.includes(delimiter) || /["\r\n]/.test(name)
  return needed || r.chance(0.15) ? `"${name.replaceAll('"', '""')}"` : name
}
