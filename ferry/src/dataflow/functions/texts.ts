/** Functions of texts. */
import { flowFault } from '../scope.ts'
import { arrayOf, isNumber, STRING, simple } from '../types.ts'
import { type FlowFunction, fn } from './kinds.ts'

/** One value is hashed as Data Factory does it; how it joins several is not told anywhere. */
function hash(name: string, sql: (text: string, bits: string) => string, hasBits = false): FlowFunction {
  return {
    name,
    arity: [hasBits ? 2 : 1, Number.POSITIVE_INFINITY],
    build: (args, call) => {
      const bits = hasBits ? (args[0]!.constant ?? args[0]!.sql) : ''
      const values = (hasBits ? args.slice(1) : args).flatMap(v => v.many ?? [v])
      const [only] = values
      if (values.length === 1 && only!.type.kind === 'string') return { sql: sql(only!.sql, bits), type: STRING }
      if (values.length === 1 && isNumber(only!.type))
        return { sql: sql(`CAST(${only!.sql} AS VARCHAR)`, bits), type: STRING }
      call.scope.note(`${name} of several values is a fingerprint of its own: Data Factory's digest is another one`)
      return {
        sql: sql(`CAST(to_json([${values.map(v => `CAST(${v.sql} AS VARCHAR)`).join(', ')}]) AS VARCHAR)`, bits),
        type: STRING,
      }
    },
  }
}

/** A number that is not negative; the engine's `greatest` passes over nulls. */
const atLeast = (n: string) => `CASE WHEN ${n} < 0 THEN 0 ELSE ${n} END`

export const TEXTS: FlowFunction[] = [
  fn('upper', 's -> s', s => `upper(${s})`),
  fn('lower', 's -> s', s => `lower(${s})`),
  fn('length', 's -> i', s => `length(${s})`),
  fn('trim', 's s? -> s', (s, c) => (c ? `trim(${s}, ${c})` : `trim(${s})`)),
  fn('ltrim', 's s? -> s', (s, c) => (c ? `ltrim(${s}, ${c})` : `ltrim(${s})`)),
  fn('rtrim', 's s? -> s', (s, c) => (c ? `rtrim(${s}, ${c})` : `rtrim(${s})`)),
  fn('left', 's i -> s', (s, n) => `left(${s}, ${atLeast(n)})`),
  fn('right', 's i -> s', (s, n) => `right(${s}, ${atLeast(n)})`),
  fn('substring', 's i i? -> s', (s, from, n) => {
    const at = `CASE WHEN ${from} = 0 THEN 1 ELSE ${from} END`
    return n ? `substring(${s}, ${at}, ${atLeast(n)})` : `substring(${s}, ${at})`
  }),
  fn('dropLeft', 's i -> s', (s, n) => `substring(${s}, ${n} + 1)`),
  fn('dropRight', 's i -> s', (s, n) => `left(${s}, ${atLeast(`length(${s}) - ${n}`)})`),
  fn('replace', 's s s? -> s', (s, a, b = "''") => `replace(${s}, ${a}, ${b})`),
  fn('reverse', 's -> s', s => `reverse(${s})`),
  fn('translate', 's s s -> s', (s, a, b) => `translate(${s}, ${a}, ${b})`),
  fn('lpad', 's i s -> s', (s, n, p) => `lpad(${s}, CAST(${n} AS INTEGER), ${p})`),
  fn('rpad', 's i s -> s', (s, n, p) => `rpad(${s}, CAST(${n} AS INTEGER), ${p})`),
  fn('concat', 's* -> s', (...all) => `(${all.join(' || ')})`),
  fn(
    'concatWS',
    's s* -> s',
    (by, ...all) => `CASE WHEN ${by} IS NOT NULL THEN concat_ws(${by}, ${all.join(', ')}) END`,
  ),
  fn(
    'initCap',
    's -> s',
    s =>
      `array_to_string(list_transform(string_split(lower(${s}), ' '), lambda "ferry w": upper(left("ferry w", 1)) || substring("ferry w", 2)), ' ')`,
  ),
  fn('startsWith', 's s -> b', (s, t) => `starts_with(${s}, ${t})`),
  fn('endsWith', 's s -> b', (s, t) => `ends_with(${s}, ${t})`),
  fn('instr', 's s -> i', (s, t) => `instr(${s}, ${t})`),
  fn('locate', 's s i? -> i', (t, s, from) =>
    from
      ? `CASE WHEN instr(substring(${s}, ${from}), ${t}) = 0 THEN 0 ELSE instr(substring(${s}, ${from}), ${t}) + ${from} - 1 END`
      : `instr(${s}, ${t})`,
  ),
  fn('like', 's s -> b', (s, p) => `(${s} LIKE ${p} ESCAPE '\\')`),
  fn('rlike', 's s -> b', (s, p) => `regexp_matches(${s}, ${p})`),
  fn('regexMatch', 's s -> b', (s, p) => `regexp_full_match(${s}, ${p})`),
  fn(
    'regexReplace',
    's s s -> s',
    (s, p, r) => `regexp_replace(${s}, ${p}, regexp_replace(${r}, '\\$(\\d)', '\\\\\\1', 'g'), 'g')`,
  ),
  fn('regexExtract', 's s i? -> s', (s, p, n = '1') => `nullif(regexp_extract(${s}, ${p}, ${n}), '')`),
  fn(
    'regexSplit',
    's s -> s',
    (s, p) => `regexp_split_to_array(${s}, ${p})`,
    () => arrayOf(STRING),
  ),
  fn(
    'split',
    's s -> s',
    (s, t) => `string_split(${s}, ${t})`,
    () => arrayOf(STRING),
  ),
  fn('substringIndex', 's s i -> s', (s, d, n) => {
    const parts = `string_split(${s}, ${d})`
    return `array_to_string(CASE WHEN ${n} >= 0 THEN list_slice(${parts}, 1, ${n}) ELSE list_slice(${parts}, len(${parts}) + 1 + ${n}, len(${parts})) END, ${d})`
  }),
  fn('ascii', 's -> i', s => `ascii(${s})`),
  fn('char', 'n -> s', n => `chr(CAST(${n} AS INTEGER) % 256)`),
  fn('levenshtein', 's s -> i', (a, b) => `levenshtein(${a}, ${b})`),
  fn('jaroWinkler', 's s -> f', (a, b) => `jaro_winkler_similarity(${a}, ${b})`),
  fn('equalsIgnoreCase', 's s -> b', (a, b) => `(lower(${a}) = lower(${b}))`),
  fn('normalize', 's -> s', s => `nfc_normalize(${s})`),
  fn('uuid', '-> s', () => 'CAST(uuid() AS VARCHAR)'),
  fn('toBase64', 's -> s', s => `to_base64(encode(${s}))`),
  fn('fromBase64', 's -> s', s => `decode(from_base64(${s}))`),
  {
    name: 'hex',
    arity: [1, 1],
    build: ([v], call) => {
      if (v!.type.kind !== 'binary') throw flowFault(call.place, 'hex takes a binary value')
      return { sql: `lower(hex(${v!.sql}))`, type: STRING }
    },
  },
  fn(
    'unhex',
    's -> s',
    s => `unhex(${s})`,
    () => simple('binary'),
  ),
  hash('md5', s => `md5(${s})`),
  hash('sha1', s => `sha1(${s})`),
  {
    ...hash('sha2', s => `sha256(${s})`, true),
    build: (args, call) => {
      const bits = args[0]?.constant
      if (bits !== '256' && bits !== '0') {
        throw flowFault(call.place, `sha2 of ${bits ?? 'a computed number of'} bits does not run here: 256 does`)
      }
      return hash('sha2', s => `sha256(${s})`, true).build(args, call)
    },
  },
]
