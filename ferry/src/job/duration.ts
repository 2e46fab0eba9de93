const UNITS: [words: string, seconds: number][] = [
  ['s sec secs second seconds', 1],
  ['m min mins minute minutes', 60],
  ['h hr hrs hour hours', 3600],
  ['d day days', 86_400],
]
const SECONDS = new Map(UNITS.flatMap(([words, seconds]) => words.split(' ').map(word => [word, seconds] as const)))

/** Seconds of a duration such as `10 min`, `1.5h` or `2 days`; undefined where it is none. */
export function parseDuration(duration: string): number | undefined {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(duration) ?? []
  const seconds = SECONDS.get(unit?.toLowerCase() ?? '')
  return seconds === undefined ? undefined : Number(amount) * seconds
}
