/** Numbers, times and words as people read them. */
const whole = new Intl.NumberFormat('en')

export const count = (n: number) => whole.format(n)

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

export const rate = (bytes: number | null) => (bytes === null ? '' : `${size(bytes)}/s`)

export function duration(seconds: number | null): string {
  if (seconds === null) return ''
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

export const time = (iso: string | null) => (iso === null ? '' : moment.format(new Date(iso)))

export const lag = (l: { left: number; unit: 'changes' | 'bytes'; seconds: number }) =>
  `${l.unit === 'bytes' ? size(l.left) : `${count(l.left)} changes`}, ${duration(l.seconds)}`

/** Who or what asked for a run: `manual`, `schedule:NAME`, `trigger:NAME`. */
export const invoker = (by: string) => (by === 'manual' ? 'a person' : by.replace(':', ' '))
