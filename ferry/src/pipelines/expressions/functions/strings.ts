import { randomUUID } from 'node:crypto'
import { FerryError } from '../../../errors.ts'
import { countAt, define, optionalText, textAt, wrongArgument } from '../function.ts'
import { requireLength, requireSize, textOf } from '../values.ts'

/** Searches in any case, as Data Factory does in `indexOf`, `startsWith` and `endsWith`. */
const folded = (text: string) => {
  const upper = text.toUpperCase()
  // Letters such as ß grow in upper case: positions would no longer be those of the text.
  return upper.length === text.length
    ? upper
    : [...text].map(c => (c.toUpperCase().length === c.length ? c.toUpperCase() : c)).join('')
}

export const STRINGS = [
  define('concat', 1, Infinity, args => {
    if (args.some(Array.isArray)) return requireSize(args.flatMap((a, i) => (Array.isArray(a) ? a : refuseMixed(i))))
    return requireSize(args.map(textOf).join(''))
  }),
  define('endsWith', 2, 2, args => folded(textAt(args, 0)).endsWith(folded(textAt(args, 1)))),
  define('startsWith', 2, 2, args => folded(textAt(args, 0)).startsWith(folded(textAt(args, 1)))),
  define('indexOf', 2, 2, args => BigInt(folded(textAt(args, 0)).indexOf(folded(textAt(args, 1))))),
  define('lastIndexOf', 2, 2, args => {
    const text = textAt(args, 0)
    const sought = textAt(args, 1)
    // The last place of an empty text is the last character, as documented.
    if (sought === '') return BigInt(Math.max(0, text.length - 1))
    return BigInt(folded(text).lastIndexOf(folded(sought)))
  }),
  define('guid', 0, 1, (args, clock) => {
    const id = clock?.uuid() ?? randomUUID()
    const format = optionalText(args, 0) ?? 'D'
    const digits = id.replaceAll('-', '')
    if (/^n$/i.test(format)) return digits
    if (/^d$/i.test(format) || format === '') return id
    if (/^b$/i.test(format)) return `{${id}}`
    if (/^p$/i.test(format)) return `(${id})`
    if (/^x$/i.test(format)) {
      const [a, b, c] = [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16)]
      const rest = digits.slice(16).match(/../g)!
      return `{0x${a},0x${b},0x${c},{${rest.map(r => `0x${r}`).join(',')}}}`
    }
    throw wrongArgument(0, 'one of N, D, B, P, X', format)
  }),
  define('replace', 3, 3, args => {
    const old = textAt(args, 1)
    if (old === '') throw wrongArgument(1, 'a text that is not empty', old)
    const parts = textAt(args, 0).split(old)
    const by = textAt(args, 2)
    requireLength(parts.reduce((sum, part) => sum + part.length, (parts.length - 1) * by.length))
    return parts.join(by)
  }),
  define('split', 2, 2, args => requireSize(textAt(args, 0).split(textAt(args, 1)))),
  define('substring', 2, 3, args => {
    const text = textAt(args, 0)
    const start = countAt(args, 1)
    const length = args.length > 2 ? countAt(args, 2) : text.length - start
    if (start < 0 || length < 0 || start + length > text.length) {
      throw new FerryError(
        'FERRY-7003',
        `${length} characters from ${start} on are not within a text of ${text.length}`,
      )
    }
    return text.slice(start, start + length)
  }),
  define('toLower', 1, 1, args => textAt(args, 0).toLowerCase()),
  define('toUpper', 1, 1, args => {
    // .NET maps letter by letter: ß stays.
    return folded(textAt(args, 0))
  }),
  define('trim', 1, 1, args => textAt(args, 0).trim()),
]

function refuseMixed(at: number): never {
  throw new FerryError('FERRY-7003', `argument ${at + 1} has to be an array, as another one is`)
}
