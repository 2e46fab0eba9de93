import type { TableView } from '../runtime/schemas.ts'
import { withBackend } from './backend.ts'
import { policyOf } from './job.ts'
import { count, moment, printError, printJson, seconds, size, table } from './output.ts'
import { lag } from './progress.ts'

export default async function show([id]: string[], options: { json: boolean }): Promise<void> {
  const { run, tables } = await withBackend(policyOf({}), async backend => {
    const found = await backend.run(id!)
    return { run: found, tables: await backend.tables(found.id) }
  })
  const orphaned = run.state === 'running' && !run.executing
  if (options.json) {
    const { tables: of, ...rest } = run
    printJson({ ...rest, orphaned, tableCount: of, tables })
    return
  }
  const out = process.stdout
  out.write(
    `run ${run.id} of ${run.job}: ${run.state}${orphaned ? ' (its process is gone: run the job again to go on)' : ''}\n`,
  )
  if (run.waiting) out.write(`waits: ${run.waiting}\n`)
  const began = run.startedAt ? `started ${moment(run.startedAt)}` : `asked for ${moment(run.createdAt)}`
  out.write(`${began}${run.endedAt ? `, ended ${moment(run.endedAt)}` : ''}`)
  out.write(run.duration === null ? '\n\n' : `, ${seconds(run.duration)} at work\n\n`)
  const rows = tables.map(t => [
    t.source,
    t.destination,
    t.state,
    t.lag ? lagOf(t.lag) : `${t.splitsDone}/${t.splits}`,
    t.rowsRead,
    t.rowsCopied,
    t.rowsSkipped,
    size(t.dataRead),
  ])
  const headings = ['source', 'destination', 'state', 'splits', 'rows read', 'copied', 'skipped', 'data']
  out.write(`${table(headings, rows)}\n`)
  if (run.attempts.length > 1) {
    const lines = run.attempts.map(a => [
      moment(a.startedAt),
      a.endedAt === null ? '' : moment(a.endedAt),
      a.duration === null ? '' : seconds(a.duration),
      a.outcome ?? 'at work',
      a.host,
      a.error ? `${a.error.code} ${a.error.message}` : '',
    ])
    out.write(`\n${table(['attempt', 'ended', 'at work', 'came to', 'host', 'error'], lines)}\n`)
  }
  if (run.rowsSkipped > 0) {
    out.write(
      `\n${count(run.rowsSkipped)} rows were skipped: ferry skipped ${run.id} prints them, ferry retry ${run.id} copies them again\n`,
    )
  }
  if (run.error) printError(run.error as Parameters<typeof printError>[0])
}

function lagOf({ left, unit, seconds }: NonNullable<TableView['lag']>): string {
  return lag(left, unit, left === 0 ? Number.POSITIVE_INFINITY : Date.now() - seconds * 1000)
}
