/** What every command prints by: tables, sizes, errors, JSON. */
import { asFerryError, FerryError } from '../errors.ts'

/** Exit codes that scripts can use. */
export const EXIT = { done: 0, failed: 1, usage: 2, stopped: 3 } as const

/** Whether a code is about the caller's words rather than the stores' doing. */
export function isUsage(code: string): boolean {
  return code.startsWith('FERRY-1')
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
}

/** Prints an error and sets the exit code. */
export function fail(error: unknown, json: boolean): void {
  const e = asFerryError(error)
  process.exitCode = isUsage(e.code) ? EXIT.usage : EXIT.failed
  if (json) printJson({ error: { code: e.code, message: e.message, hint: e.hint, service: e.service } })
  else printError(e)
}

export function printError(error: Pick<FerryError, 'code' | 'message' | 'hint'>): void {
  process.stderr.write(`${paint('31', error.code)} ${error.message}\n  ${error.hint}\n`)
  if (process.env.FERRY_DEBUG && error instanceof Error) process.stderr.write(`${stackOf(error)}\n`)
}

function stackOf(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stackOf(error.cause)}` : ''
  return `${error.stack}${cause}`
}

/** Text in an ANSI colour, where the stream is a terminal that shows one. */
export function paint(code: string, text: string, stream: NodeJS.WriteStream = process.stderr): string {
  return stream.isTTY && !process.env.NO_COLOR ? `\x1b[${code}m${text}\x1b[0m` : text
}

/** Rows in aligned columns; numbers are set right. */
export function table(headings: string[], rows: (string | number)[][]): string {
  const cells = [headings, ...rows.map(r => r.map(c => (typeof c === 'number' ? count(c) : c)))]
  const widths = headings.map((_, i) => Math.max(...cells.map(r => (r[i] ?? '').length)))
  const right = headings.map((_, i) => rows.length > 0 && rows.every(r => typeof r[i] === 'number'))
  return cells
    .map(r =>
      r
        .map((c, i) => (right[i] ? c.padStart(widths[i]!) : c.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function count(n: number): string {
  // Intl would take a tenth of a short command's time to start.
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function seconds(value: number): string {
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`
  const minutes = Math.floor(value / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(value % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** A time to the second, with its zone: `2026-11-21T07:23:53Z`. */
export function moment(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 19)}Z`
}

/** The error of a call that leaves something out. */
export function usage(line: string): FerryError {
  return new FerryError('FERRY-1003', `usage: ${line}`, { hint: 'See --help.' })
}
