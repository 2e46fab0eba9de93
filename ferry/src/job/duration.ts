/** Seconds of a duration such as `10 min`, `1.5h` or `2 days`; undefined where it is none. */
export function parseDuration(duration: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)[a-z]*\s*$/i.exec(duration)
  if (!match) return undefined
  const seconds = { s: 1, sec: 1, m: 60, min: 60, h: 3600, d: 86_400 }
  return Number(match[1]) * seconds[match[2]!.toLowerCase() as keyof typeof seconds]
}
