/** Time zones by their Windows names, such as `Pacific Standard Time`, or by those of the IANA. */
import { WINDOWS_TO_IANA_MAP } from 'windows-iana'
import { didYouMean, FerryError } from '../../errors.ts'
import { type Instant, requireRange } from './instant.ts'

/** The zone of the first territory of each Windows name, which is its own. */
const WINDOWS = new Map(
  WINDOWS_TO_IANA_MAP.filter(z => z.territory === '001').map(z => [z.windowsName.toLowerCase(), z] as const),
)

const formats = new Map<string, Intl.DateTimeFormat>()

/** The IANA name of a zone. Throws FERRY-7003. */
export function zoneOf(name: string): string {
  const iana = /^utc$/i.test(name) ? 'UTC' : (WINDOWS.get(name.toLowerCase())?.iana[0] ?? name)
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: iana })
    return iana
  } catch {
    const near = didYouMean(
      name,
      [...WINDOWS.values()].map(z => z.windowsName),
    )
    throw new FerryError('FERRY-7003', `there is no time zone "${name.slice(0, 60)}"${near}`)
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known) return known
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  if (formats.size < 1000) formats.set(zone, made)
  return made
}

/** What the clocks of a zone show, as milliseconds since 1970. */
function shown(ms: number, zone: string): number {
  const parts = Object.fromEntries(
    formatOf(zone)
      .formatToParts(ms)
      .map(p => [p.type, p.value]),
  )
  const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
  const date = new Date(0)
  date.setUTCFullYear(year, Number(parts.month) - 1, Number(parts.day))
  date.setUTCHours(Number(parts.hour), Number(parts.minute), Number(parts.second))
  return date.getTime() + (((ms % 1000) + 1000) % 1000)
}

/** A moment of UTC as the clocks of a zone show it; the result is in no zone. */
export function fromUtc(instant: Instant, zone: string): Instant {
  return requireRange({ ...instant, ms: shown(instant.ms, zone), isUtc: false })
}

/**
 * What the clocks of a zone show, as a moment of UTC. A time that occurs twice is that of standard time, as in .NET. Throws
 * FERRY-7003 for a time that clocks leave out.
 */
export function toUtc(instant: Instant, zone: string): Instant {
  const { ms } = instant
  // The offset at the moment itself is that of half a day before or of half a day behind it.
  const offsets = [ms + 43_200_000, ms - 43_200_000].map(at => shown(at, zone) - at)
  const found = offsets.map(offset => ms - offset).filter(at => shown(at, zone) === ms)
  if (found.length === 0) {
    throw new FerryError('FERRY-7003', `clocks in ${zone} leave this time out`)
  }
  return requireRange({ ...instant, ms: Math.max(...found), isUtc: true })
}
