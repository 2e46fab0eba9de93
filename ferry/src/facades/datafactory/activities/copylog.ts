/** The log of a copy: the rows that it has skipped, where Data Factory would have written them. */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { csvEncoder } from '../../../batch/csv.ts'
import { FERRY_CSV } from '../../../batch/encoding.ts'
import { utf8 } from '../../../batch/types.ts'
import { FerryError } from '../../../errors.ts'
import { checkJob } from '../../../job/read.ts'
import type { ActivityContext } from '../../../pipelines/activity.ts'
import { isObject, type ValueObject } from '../../../pipelines/expressions/values.ts'
import type { Reference } from '../../../pipelines/model.ts'
import { requireBoolean } from '../../../pipelines/resolve.ts'
import { printed } from '../../../runtime/skipped.ts'
import { kindsOf, type Running } from '../context.ts'
import { join, literal, optional, placedAt } from '../files.ts'
import { endpointOf, serviceOf } from '../linkedservices.ts'

/** Rows that a log has at the most; all of them are kept in the state. */
const MOST_LINES = 1_000_000

interface Place {
  linkedServiceName: unknown
  path: string
}

/** Where the log is to be; undefined if none is wanted. */
function placeOf({ logSettings, redirectIncompatibleRowSettings: older }: ValueObject): Place | undefined {
  if (isObject(logSettings)) {
    const isOn =
      logSettings.enableCopyActivityLog !== undefined &&
      requireBoolean(logSettings.enableCopyActivityLog, 'logSettings.enableCopyActivityLog')
    const location = logSettings.logLocationSettings
    if (!isOn || !isObject(location)) return undefined
    return { linkedServiceName: location.linkedServiceName, path: optional(location.path) ?? '' }
  }
  if (!isObject(older)) return undefined
  return { linkedServiceName: older.linkedServiceName, path: optional(older.path) ?? '' }
}

/** Writes the rows that a copy has skipped; gives back the path of the log, and undefined where there is none. */
export async function writeLog(
  around: Running,
  context: ActivityContext,
  properties: ValueObject,
  copy: { run: string },
): Promise<string | undefined> {
  const place = placeOf(properties)
  if (!place) return undefined
  return writeLogFile(around, context, {
    ...place,
    folders: ['copyactivity-logs', encodeURIComponent(context.activity.name), context.runId],
    name: `${copy.run}.csv`,
    text: await textOf(around, copy.run),
  })
}

/** Writes a log of an activity into a store; gives back the folder that it is in. */
export async function writeLogFile(
  { state, factory, redirects, copier }: Running,
  context: ActivityContext,
  log: Place & { folders: string[]; name: string; text: string },
): Promise<string> {
  const print = createHash('sha256').update(`${context.runId}/${context.key}`).digest('hex').slice(0, 16)
  const spool = joinPath(state.home, 'spool', `log-${print}`)
  mkdirSync(spool, { recursive: true, mode: 0o700 })
  writeFileSync(joinPath(spool, log.name), log.text, { mode: 0o600 })
  try {
    const service = serviceOf(factory, redirects, log.linkedServiceName as Reference, context.scope)
    const [container = '', ...rest] = log.path.replace(/^\/+|\/+$/g, '').split('/')
    const { endpoint, root } = placedAt(endpointOf(service), { container }, await kindsOf({ state }))
    const folder = join(...rest, ...log.folders)
    const binary = { read: { format: 'binary' }, write: { format: 'binary' } }
    const job = checkJob({
      name: `adf-log-${print}`,
      source: { kind: 'files', folder: spool },
      destination: endpoint,
      tables: [{ from: literal(log.name), to: join(root, folder, log.name), update: 'overwrite', ...binary }],
    })
    const report = await copier.run({ job, signal: context.signal, onStart: () => {} })
    const [error] = report.errors
    if (error)
      throw new FerryError('FERRY-7005', `the log of ${context.activity.name} cannot be written: ${error.message}`)
    return join(container, folder, '')
  } finally {
    rmSync(spool, { recursive: true, force: true })
  }
}

/** The log as CSV, with Data Factory's columns: the values of a row are one field, as they are in a line of CSV. */
async function textOf({ state }: Running, run: string): Promise<string> {
  const log = csvEncoder([utf8, utf8, utf8, utf8, utf8], FERRY_CSV)
  const lines = ['Timestamp,Level,OperationName,OperationItem,Message\n']
  const now = new Date().toISOString().replace('T', ' ').replace('Z', '0000')
  for await (const row of printed(state.db, run, undefined)) {
    const values = Object.values(row.values ?? {}).map(v => `"${String(v ?? '').replaceAll('"', '""')}"`)
    lines.push(log([[now, 'Warning', 'TabularRowSkip', row.raw ?? values.join(','), row.reason]]))
    if (lines.length > MOST_LINES) break
  }
  return lines.join('')
}
