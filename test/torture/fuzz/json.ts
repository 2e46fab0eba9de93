/** Random JSON Lines files and JSON arrays. */
import { type Case, halves } from './case.ts'
import type { Random } from './random.ts'

const PLAIN: Record<string, (r: Random) => string> = {
  int: r => String(r.integer(-1000, 1000)),
  float: r => `${r.integer(-1000, 1000)}.${r.integer(1, 9)}`,
  bool: r => r.pick(['true', 'false']),
  date: r => `"20${r.integer(10, 29)}-0${r.integer(1, 9)}-1${r.integer(0, 9)}"`,
  timestamp: r => `"2024-0${r.integer(1, 9)}-1${r.integer(0, 9)}T10:2${r.integer(0, 9)}:00"`,
  timestamptz: r => `"2024-0${r.integer(1, 9)}-1${r.integer(0, 9)}T10:2${r.integer(0, 9)}:00Z"`,
  text: r => r.pick(['"a"', '"bc"', '"Ünal"', '"\\u00e9"', '"\u{1f600}"']),
  object: r => `{"x":${r.integer(0, 9)},"y":"z"}`,
  array: r => `[${r.integer(0, 9)},${r.integer(0, 9)}]`,
  texts: r => r.pick(['["a"]', '["a","b"]', '[]']),
}

const ODD: Record<string, string[]> = {
  number: [
    '9007199254740993',
    '-0',
    '0',
    '-0.0',
    '1e3',
    '1E+400',
    '1e-400',
    '9223372036854775807',
    '9223372036854775808',
    '18446744073709551616',
    '123456789012345678901234567890123456789012345',
    '0.12345678901234567',
    '1.50',
    '1.0',
    '100',
    '0.1234567890123456789012345',
    '12345678901234567.5',
    '1e2',
    '9007199254740993.0',
  ],
  text: [
    '""',
    '" a "',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00x"',
    '"\\ud83d\\ude00"',
    '"\\/"',
    '"\\""',
    '"\\\\"',
    '"a\\nb"',
    '"\\r"',
    '"a,b"',
    '"null"',
    '"true"',
    '"12"',
    '"007"',
    '"NaN"',
    '"\u2028"',
    '"\u007f"',
    '"\ufeff"',
    `"${'x'.repeat(5000)}"`,
    '"\\\\N"',
  ],
  date: [
    '"01/02/2024"',
    '"2024-1-5"',
    '"20240105"',
    '"now"',
    '"infinity"',
    '"2024-01-05 10:00"',
    '"2024-01-05T10:00:00.123456789Z"',
    '"2024-01-05T10:00:00+02:00"',
    '"2024-01-05T10:00:00"',
    '"2024-02-30"',
    '"2024-01-05"',
    '"0044-03-15 BC"',
    '"2024-01-05T24:00:00"',
    '"2024-01-05T23:59:60Z"',
  ],
  bool: ['true', 'false', '"yes"', '"true"', '1', '0', '"t"'],
  nested: [
    '{}',
    '[]',
    '{"a":{"b":{"c":[1,{"d":null}]}}}',
    '{"a":1,"a":2}',
    '{"":1}',
    '{"__proto__":{"x":1}}',
    '[[1,2],[3]]',
    '[1,"a",null]',
    '[null]',
    '[9007199254740993]',
    '{"n":9007199254740993}',
    '{"n":1e400}',
    '{"n":-0}',
    '{"b":1,"a":2}',
    '[1.50]',
    '[true,false]',
    '["a\\nb"]',
    '{"a.b":1}',
    '["\\ud800"]',
    '[{"a":1},{"a":2}]',
    '{ "a" : 1 }',
    '["2024-01-05"]',
    '["1",null,""]',
    '[{}]',
    '{"toString":1}',
    '["NULL","null"]',
    '["{a}","a,b","\\""]',
  ],
  deep: [
    '['.repeat(200) + ']'.repeat(200),
    `${'{"a":'.repeat(500)}1${'}'.repeat(500)}`,
    '['.repeat(6000) + ']'.repeat(6000),
  ],
  bad: [
    'NaN',
    'Infinity',
    '01',
    '+1',
    '.5',
    '1.',
    "'a'",
    'undefined',
    '"a\tb"',
    '"\\x"',
    '[1,]',
    '{"a":1,}',
    'TRUE',
    '"open',
    '1 2',
    '/*c*/1',
    '',
  ],
}

const ODDITIES = [
  'number',
  'text',
  'date',
  'bool',
  'nested',
  'deep',
  'bad',
  'any',
  'any',
  'any',
  'late member',
  'late member',
  'odd keys',
  'odd keys',
  'duplicate keys',
  'blank lines',
  'crlf',
  'bom',
  'utf16',
  'latin1',
  'empty file',
  'several files',
  'filler',
  'no object',
  'pretty',
  'garbage',
  'absent',
  'cut off',
  'null byte',
]

export function jsonCase(seed: number, r: Random): Case {
  const format = r.chance(0.65) ? 'jsonl' : 'json'
  const oddities = r.some(ODDITIES, r.integer(1, 3))
  const has = (oddity: string) => oddities.includes(oddity)
  const kinds = Array.from({ length: r.integer(1, 4) }, () => r.pick(Object.keys(PLAIN)))
  const keys = kinds.map((_, i) => keyOf(i, has, r))
  const sample = r.integer(1, 4)
  const late = r.chance(0.5)
  const odd = (): string => {
    const groups = Object.keys(ODD).filter(has)
    const any = has('any') ? Object.keys(ODD).filter(g => g !== 'bad') : groups
    return any.length === 0 ? 'null' : r.pick(ODD[r.pick(any)]!)
  }
  const gap = () => (has('pretty') ? r.pick(['', ' ', '\t', format === 'json' ? '\n' : ' ']) : '')
  const record = (row: number): string => {
    const sampled = late && row < sample
    if (has('no object') && !sampled && r.chance(0.3)) return r.pick(['1', 'null', '[]', '"a"', '{}', '[{"a":1}]'])
    const members: string[] = []
    for (const [i, kind] of kinds.entries()) {
      if ((has('absent') || r.chance(0.1)) && !sampled && r.chance(0.4)) continue
      const value = sampled || r.chance(0.6) ? PLAIN[kind]!(r) : odd()
      members.push(`${keys[i]}${gap()}:${gap()}${value}`)
    }
    if (has('late member') && !sampled && r.chance(0.4))
      members.push(`"late${r.integer(0, 1)}":${r.pick(['1', '"x"', 'null', '{}'])}`)
    if (has('duplicate keys') && !sampled && members.length > 0 && r.chance(0.4))
      members.push(`${keys[0]}:${r.pick(['1', '"dup"', 'null'])}`)
    return `{${gap()}${members.join(`${gap()},${gap()}`)}${gap()}}`
  }
  const fileCount = has('several files') ? 2 : 1
  const end = has('crlf') ? '\r\n' : '\n'
  const files = Array.from({ length: fileCount }, (_, f) => {
    const records: string[] = []
    const filler = `{${keys.map((k, i) => `${k}:${PLAIN[kinds[i]!]!(r)}`).join(',')}}`
    const fillers = r.pick([9_999, 10_000, 10_001])
    if (has('filler')) {
      const between = format === 'json' ? ',\n' : '\n'
      for (const rows of halves(fillers)) records.push(Array<string>(rows).fill(filler).join(between))
    }
    const rows = r.integer(1, late ? sample + 4 : 6)
    for (let row = 0; row < rows; row++) {
      records.push(record(has('filler') ? 9 : row))
      if (has('blank lines') && format === 'jsonl' && r.chance(0.4)) records.push(r.pick(['', ' ', '\t']))
    }
    if (f > 0 && r.chance(0.5)) records.push(`{"second":${r.pick(['1', '"x"'])}}`)
    if (has('cut off')) records.push(records.pop()!.slice(0, -r.integer(1, 5)))
    if (has('garbage'))
      records.push(r.pick(['x', '{"a":1}{"a":2}', '{"a":1} x', ']', ',', '{"a":1}]', '# comment', '{"a":1},']))
    if (has('null byte')) records.push('{"a":1}\0')
    if (has('empty file') && (f > 0 || r.chance(0.6))) records.length = 0
    return content(`in${f}.${format}`, format, records, end, has, r)
  })
  return {
    seed,
    format,
    files,
    object: fileCount === 1 ? `in0.${format}` : `in*.${format}`,
    read: late ? { sample } : {},
    csv: { delimiter: ',', header: true },
    oddities,
  }
}

function content(name: string, format: string, records: string[], end: string, has: (o: string) => boolean, r: Random) {
  const encode = (text: string) => {
    if (has('utf16')) return Buffer.from(text, 'utf16le')
    return has('latin1') ? Buffer.from(text.replace('bc', 'é'), 'latin1') : Buffer.from(text)
  }
  const mark = has('bom') ? [Buffer.from('\ufeff')] : has('utf16') ? [Buffer.from('\ufeff', 'utf16le')] : []
  if (format === 'jsonl') {
    const last = r.chance(0.25) ? '' : end
    return { name, pieces: [...mark, ...records.map((t, i) => encode(t + (i === records.length - 1 ? last : end)))] }
  }
  const tail = has('garbage') && r.chance(0.5) ? r.pick([' x', '[{"a":1}]', ',', '\n{"a":1}', ']']) : ''
  const open = r.chance(0.9) ? '[' : '[ \n'
  if (records.length === 0) return { name, pieces: r.chance(0.5) ? [] : [encode('[]')] }
  const comma = has('garbage') && r.chance(0.3) ? r.pick([' ', ',,']) : ','
  const pieces = records.map((t, i) => {
    const first = i === 0 ? open : comma
    return encode(`${first}${t}`)
  })
  return { name, pieces: [...mark, ...pieces, encode(`${has('cut off') && r.chance(0.5) ? '' : ']'}${tail}`)] }
}

function keyOf(i: number, has: (o: string) => boolean, r: Random): string {
  if (!has('odd keys')) return `"c${i}"`
  return r.pick([
    '""',
    '"__proto__"',
    '"constructor"',
    '"a.b"',
    '"a"',
    '"A"',
    '"a b"',
    '"\\u0061"',
    '"a\\"b"',
    '" a"',
    '"1"',
    '"\\ud800"',
    '"a\\u0000"',
    `"${'x'.repeat(70)}"`,
    '"é"',
    '"e\u0301"',
    '"$$FILEPATH"',
    '"$$DOCUMENT"',
    '"ctid"',
    '"rowid"',
    '"a\\nb"',
    '"{table}"',
    `"c${i}"`,
    '"toString"',
  ])
}
