/** Spans of time as texts, by the standard and custom formats of .NET's TimeSpan. Values are microseconds. */
import { FerryError } from '../../errors.ts'
import { escaped } from '../escaped.ts'

type Unit = 'd' | 'h' | 'm' | 's' | 'f' | 'F'
type Piece = { unit: Unit; length: number } | { text: string }

const DAY = 86_400_000_000n
const MOST = 10_000_000n * DAY

const kept = new Map<string, Piece[]>()

/** Letters stand for parts; everything else stands behind a backslash or in quotes. Throws FERRY-7003. */
function piecesOf(format: string): Piece[] {
  const known = kept.get(format)
  if (known) return known
  const refuse = (why: string) => new FerryError('FERRY-7003', `the format "${format}" of spans ${why}`)
  const pieces: Piece[] = []
  for (let at = 0; at < format.length; ) {
    const letter = format[at]!
    if (letter === '%') at++
    else if (letter === '\\') {
      if (at + 1 >= format.length) throw refuse('ends with \\')
      pieces.push({ text: format[at + 1]! })
      at += 2
    } else if (letter === "'" || letter === '"') {
      const end = format.indexOf(letter, at + 1)
      if (end < 0) throw refuse('has a quote that is not closed')
      pieces.push({ text: format.slice(at + 1, end) })
      at = end + 1
    } else if ('dhmsfF'.includes(letter)) {
      let length = 1
      while (format[at + length] === letter) length++
      if (length > (letter === 'd' ? 8 : letter === 'f' || letter === 'F' ? 7 : 2))
        throw refuse(`has too many ${letter}`)
      if (pieces.some(p => 'unit' in p && p.unit.toLowerCase() === letter.toLowerCase()))
        throw refuse(`says ${letter} twice`)
      pieces.push({ unit: letter as Unit, length })
      at += length
    } else throw refuse(`has ${letter}: write \\${letter}`)
  }
  if (kept.size < 1000) kept.set(format, pieces)
  return pieces
}

/** Throws FERRY-7003 for a format that is none. */
export function requireSpanFormat(format: string): void {
  if (!/^[ctT]$/.test(format)) piecesOf(format)
}

/** A span as text; undefined if the format has no place for a part of it. */
export function formatSpan(micros: bigint, format = 'c'): string | undefined {
  const sign = micros < 0n ? '-' : ''
  const all = micros < 0n ? -micros : micros
  const days = all / DAY
  const parts = { h: (all / 3_600_000_000n) % 24n, m: (all / 60_000_000n) % 60n, s: (all / 1_000_000n) % 60n }
  const fraction = `${String(all % 1_000_000n).padStart(6, '0')}0`
  const two = (n: bigint) => String(n).padStart(2, '0')
  if (/^[ctT]$/.test(format)) {
    const behind = all % 1_000_000n === 0n ? '' : `.${fraction}`
    return `${sign}${days === 0n ? '' : `${days}.`}${two(parts.h)}:${two(parts.m)}:${two(parts.s)}${behind}`
  }
  // A custom format of .NET writes no sign, and leaves out what it has no place for.
  const pieces = piecesOf(format)
  const text = pieces.map(piece => {
    if ('text' in piece) return piece.text
    const { unit, length } = piece
    if (unit === 'd') return String(days).padStart(length, '0')
    if (unit === 'f') return fraction.slice(0, length)
    if (unit === 'F') return fraction.slice(0, length).replace(/0+$/, '')
    return String(parts[unit]).padStart(length, '0')
  })
  const printed = text.join('')
  return parseSpan(printed, format) === micros ? printed : undefined
}

const STANDARD = /^(-)?(?:(\d{1,8})\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?$/

/** The microseconds of a text; undefined if it is not of the format. */
export function parseSpan(text: string, format = 'c'): bigint | undefined {
  if (/^[ctT]$/.test(format)) {
    const [whole, sign, days = '0', hours, minutes, seconds = '0', fraction = ''] = STANDARD.exec(text) ?? []
    if (whole === undefined) return undefined
    return spanOf({ d: days, h: hours!, m: minutes!, s: seconds, f: fraction }, sign === '-')
  }
  const pieces = piecesOf(format)
  const units: Unit[] = []
  const pattern = pieces.map(piece => {
    if ('text' in piece) return escaped(piece.text)
    units.push(piece.unit)
    const { unit, length } = piece
    if (unit === 'F') return `(\\d{0,${length}})`
    if (unit === 'f' || length > 1) return `(\\d{${unit === 'd' ? `${length},8` : length}})`
    return unit === 'd' ? '(\\d{1,8})' : '(\\d{1,2})'
  })
  const match = new RegExp(`^${pattern.join('')}$`).exec(text)
  if (!match) return undefined
  const found = Object.fromEntries(units.map((unit, i) => [unit.toLowerCase(), match[i + 1]!]))
  return spanOf(found, false)
}

function spanOf(parts: Record<string, string>, isNegative: boolean): bigint | undefined {
  const { d = '0', h = '0', m = '0', s = '0', f = '' } = parts
  if (Number(h) > 23 || Number(m) > 59 || Number(s) > 59) return undefined
  const ticks = f.padEnd(7, '0')
  // What is beyond the microsecond would be lost.
  if (ticks[6] !== '0') return undefined
  const seconds = ((BigInt(d) * 24n + BigInt(h)) * 60n + BigInt(m)) * 60n + BigInt(s)
  const micros = seconds * 1_000_000n + BigInt(ticks.slice(0, 6))
  if (micros > MOST) return undefined
  return isNegative ? -micros : micros
}
