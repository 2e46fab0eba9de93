import { FerryError } from './errors.ts'

/** Bytes of a size such as `64MB`, `1.5 GiB` or a bare number; undefined where it is none. */
export function parseSize(size: string | number): number | undefined {
  if (typeof size === 'number') return size
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$/i.exec(size)
  if (!match) return undefined
  const power = 'kmgt'.indexOf(match[2]!.toLowerCase()) + (match[2] === '' ? 0 : 1)
  return Number(match[1]) * (match[3] === '' ? 1000 : 1024) ** power
}

/** The same. Throws FERRY-1003 naming the setting: a limit that is not understood is no limit. */
export function sizeOf(size: string | number, setting: string): number {
  const bytes = parseSize(size)
  if (bytes) return bytes
  throw new FerryError('FERRY-1003', `${setting}: ${size} is not a size such as 64MB`)
}
