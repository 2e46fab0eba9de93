import { tokens } from '@fluentui/react-components'
import { Link } from 'wouter'
import type { RunView } from '../api.ts'
import { count, duration, invoker, rate, time } from '../format.ts'
import { Grid, type GridColumn } from './grid.tsx'
import { RunStatus } from './status.tsx'

const link = { color: tokens.colorBrandForegroundLink }

/** Runs, newest first. */
export function RunList({ runs, showJob, maxHeight }: { runs: RunView[]; showJob?: boolean; maxHeight?: string }) {
  const columns: GridColumn<RunView>[] = [
    {
      name: 'Run',
      cell: r => (
        <Link href={`/runs/${r.id}`} style={link}>
          {r.id}
        </Link>
      ),
    },
    ...(showJob
      ? [
          {
            name: 'Job',
            cell: (r: RunView) => (
              <Link href={`/jobs/${encodeURIComponent(r.job)}`} style={link}>
                {r.job}
              </Link>
            ),
          },
        ]
      : []),
    { name: 'Status', cell: r => <RunStatus run={r} /> },
    { name: 'Invoked by', cell: r => invoker(r.invokedBy) },
    { name: 'Started', cell: r => time(r.startedAt) },
    { name: 'Duration', number: true, cell: r => duration(r.duration) },
    { name: 'Rows read', number: true, cell: r => count(r.rowsRead) },
    { name: 'Rows written', number: true, cell: r => count(r.rowsCopied) },
    { name: 'Skipped', number: true, cell: r => count(r.rowsSkipped) },
    { name: 'Throughput', number: true, cell: r => rate(r.throughput) },
    { name: 'Error', cell: r => r.error && <span title={r.error.message}>{r.error.code}</span> },
  ]
  return <Grid label="Runs" columns={columns} rows={runs} keyOf={r => r.id} maxHeight={maxHeight} />
}
