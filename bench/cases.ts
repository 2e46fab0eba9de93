/** Ferry beside another tool: the same work in turn, several times, as a table of medians. */
import { median, type Timing, time } from './timing.ts'

export interface Case {
  name: string
  limit: string
  reach: string
  before: () => Promise<void>
  ferry: string
  other?: string
  show: (ferry: Timing[], other: Timing[]) => string
}

/** How long Ferry took beside the other, as the median of the pairs. */
export const ratio = (ferry: Timing[], other: Timing[]) =>
  median(ferry.map((f, i) => f.wall / other[i]!.wall)).toFixed(2)

/** Runs the cases, or those whose name holds `only`, and gives back their table. */
export async function runCases(
  cases: Case[],
  { runs, folder, only }: { runs: number; folder: string; only: string | undefined },
): Promise<string> {
  const lines = ['| pair | against | reach | measured | Ferry s (cpu) | other s |', '|---|---|---|---|---|---|']
  for (const c of cases) {
    if (only && !c.name.includes(only)) continue
    const mine: Timing[] = []
    const others: Timing[] = []
    for (let run = 0; run <= runs; run++) {
      await c.before()
      const f = time(c.ferry, folder)
      await c.before()
      const o = c.other ? time(c.other, folder) : undefined
      // The first of each only warms caches.
      if (run === 0) continue
      mine.push(f)
      if (o) others.push(o)
    }
    const own = `${median(mine.map(t => t.wall)).toFixed(2)} (${median(mine.map(t => t.cpu)).toFixed(2)})`
    const other = others.length > 0 ? median(others.map(t => t.wall)).toFixed(2) : ''
    lines.push(
      `| ${c.name} | ${c.limit.replaceAll('|', '\\|')} | ${c.reach} | ${c.show(mine, others)} | ${own} | ${other} |`,
    )
    console.log(lines.at(-1))
  }
  return lines.join('\n')
}
