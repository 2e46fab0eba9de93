/** Progress of a run: bars that redraw themselves on a terminal, a plain line now and then elsewhere. */
import { fraction, type TableProgress } from '../engine/progress.ts'
import { count, paint, seconds, size } from './output.ts'

const REDRAW_MS = 100
const LINE_MS = 5000
const MOST_TABLES = 12

export class ProgressDisplay {
  private tables: TableProgress[] = []
  private readonly terminal: boolean
  private timer: NodeJS.Timeout | undefined
  private drawn = 0
  private readonly began = performance.now()

  constructor() {
    this.terminal = process.stderr.isTTY === true
  }

  start(tables: TableProgress[]): void {
    this.tables = tables
    this.timer = setInterval(() => this.show(), this.terminal ? REDRAW_MS : LINE_MS)
    this.timer.unref()
  }

  /** Draws the end once; what is written then stays below it. */
  stop(): void {
    if (!this.timer) return
    clearInterval(this.timer)
    this.timer = undefined
    if (this.terminal) this.show()
  }

  private show(): void {
    const elapsed = (performance.now() - this.began) / 1000
    if (!this.terminal) {
      process.stderr.write(`${this.total(elapsed)}\n`)
      return
    }
    const active = this.tables.filter(t => t.state === 'running')
    const rest = this.tables.filter(t => t.state !== 'running')
    const shown = [...rest.filter(t => t.state !== 'pending'), ...active].slice(-MOST_TABLES)
    const lines = shown.map(t => this.line(t))
    if (this.tables.length > 1 || shown.length === 0) lines.push(this.total(elapsed))
    const width = process.stderr.columns ?? 80
    const up = this.drawn > 0 ? `\x1b[${this.drawn}A` : ''
    process.stderr.write(`${up}${lines.map(l => `\x1b[2K${l.slice(0, width + 20)}`).join('\n')}\n\x1b[0J`)
    this.drawn = lines.length
  }

  private line(t: TableProgress): string {
    const elapsed = t.startedAt === undefined ? 0 : ((t.endedAt ?? Date.now()) - t.startedAt) / 1000
    if (t.state === 'running' && t.splits > 0 && t.behind.size === t.splits) return following(t)
    const state = t.error ? paint('31', 'failed') : t.state === 'completed' ? paint('32', 'done') : rate(t, elapsed)
    return `${t.from.slice(-28).padEnd(28)} ${bar(fraction(t))} ${count(t.rowsRead).padStart(12)} rows  ${state}${left(fraction(t), elapsed)}`
  }

  private total(elapsed: number): string {
    const rows = this.tables.reduce((n, t) => n + t.rowsRead, 0)
    const bytes = this.tables.reduce((n, t) => n + t.bytesRead, 0)
    const parts = this.tables.map(fraction)
    const known = parts.filter(p => p !== undefined)
    const share = known.length > 0 ? parts.reduce<number>((n, p) => n + (p ?? 0), 0) / parts.length : undefined
    const done = this.tables.filter(t => t.state === 'completed').length
    const percent = share === undefined ? '' : `${Math.floor(share * 100)} %  `
    return `${done} of ${this.tables.length} tables  ${percent}${count(rows)} rows  ${size(bytes)}  ${count(Math.round(rows / elapsed))} rows/s  ${size(bytes / elapsed)}/s${left(share, elapsed)}`
  }
}

/** A table that follows its source has no end to measure by: how far behind it is takes its place. */
function following(t: TableProgress): string {
  const parts = [...t.behind.values()]
  const left = parts.reduce((n, b) => n + b.changes, 0)
  const since = Math.min(...parts.flatMap(b => (b.changes > 0 && b.since ? [b.since] : [])))
  const unit = parts.some(b => b.unit === 'bytes') ? 'bytes' : 'changes'
  return `${t.from.slice(-28).padEnd(28)} [ follows            ]      ${count(t.rowsRead).padStart(12)} rows  ${lag(left, unit, since)}`
}

/** How far behind its source a table is; `since` in milliseconds since 1970. */
export function lag(left: number, unit: 'bytes' | 'changes', since: number): string {
  if (left === 0) return 'nothing left for now'
  const what = unit === 'bytes' ? `${size(left)} of the log` : `${count(left)} changes`
  return Number.isFinite(since) ? `${what}, ${seconds(Math.max(0, Date.now() - since) / 1000)} behind` : what
}

function rate(t: TableProgress, elapsed: number): string {
  const perSecond =
    elapsed > 0 ? `${size(t.bytesRead / elapsed)}/s  ${count(Math.round(t.rowsRead / elapsed))} rows/s` : ''
  return t.state === 'running' ? perSecond : t.state
}

function bar(share: number | undefined): string {
  if (share === undefined) return `[${'·'.repeat(20)}]     `
  const filled = Math.round(share * 20)
  return `[${'━'.repeat(filled)}${' '.repeat(20 - filled)}] ${String(Math.floor(share * 100)).padStart(3)}%`
}

function left(share: number | undefined, elapsed: number): string {
  if (share === undefined || share <= 0.01 || share >= 1 || elapsed < 1) return ''
  return `  ${seconds((elapsed / share) * (1 - share))} left`
}
