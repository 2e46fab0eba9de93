/** One copy of one case to one destination, and whether its outcome is allowed. */

import { FerryError } from '../../../ferry/src/errors.ts'
import { jobSchema } from '../../../ferry/src/job/schema.ts'
import { runJob } from '../../../ferry/src/runtime/run.ts'
import { verifyJob } from '../../../ferry/src/runtime/verify.ts'
import type { State } from '../../../ferry/src/state/database.ts'
import { policy } from '../../support.ts'
import type { Case } from './case.ts'
import type { Destination } from './destinations.ts'
import type { Problem, Reader } from './reader.ts'

export interface Outcome {
  /** The error codes of a copy that was refused. */
  refused: string[]
  /** What must not be; empty for an allowed outcome. */
  faults: Problem[]
}

const HANG_MS = 60_000

let jobs = 0

export async function attempt(
  c: Case,
  folder: string,
  invalid: string | undefined,
  destination: Destination,
  tools: { reader: Reader; state: State },
): Promise<Outcome> {
  const job = jobSchema.parse({
    name: `fuzz-${process.pid}-${jobs++}`,
    source: { kind: 'files', folder },
    destination: destination.job.destination,
    update: destination.job.update,
    limits: { parallel: 1 },
    tables: [{ from: c.object, to: destination.job.to, read: c.read }],
  })
  const errors = await inTime(copyErrors(job, tools.state))
  if (errors === undefined) return { refused: [], faults: [{ kind: 'hang', detail: 'the copy did not end in 60 s' }] }
  if (errors.length > 0) {
    return { refused: errors.map(e => e.code), faults: errors.flatMap(e => vague(e, c)) }
  }
  const faults: Problem[] = []
  if (invalid !== undefined) faults.push({ kind: `accepted: ${reasonOf(invalid)}`, detail: invalid })
  else
    faults.push(
      ...(await tools.reader.compare(await destination.arrived(), c.format === 'json' || c.format === 'jsonl')),
    )
  return { refused: [], faults: [...faults, ...(await verified(job, tools.state, faults.length === 0))] }
}

type Job = Parameters<typeof runJob>[0]['job']

async function copyErrors(job: Job, state: State): Promise<{ code: string; message: string }[]> {
  try {
    const report = await runJob({ policy, state, job })
    if (report.status === 'completed') return []
    if (report.errors.length === 0) return [{ code: 'none', message: `status ${report.status} and no error` }]
    return report.errors
  } catch (error) {
    return [errorOf(error)]
  }
}

function errorOf(error: unknown): { code: string; message: string } {
  if (error instanceof FerryError) return { code: error.code, message: error.message }
  return { code: 'FERRY-9000', message: String(error instanceof Error ? error.stack : error) }
}

/** Verifying says "equal" exactly where the independent comparison does. */
async function verified(job: Job, state: State, equal: boolean): Promise<Problem[]> {
  let said: boolean
  try {
    const results = await inTime(verifyJob(job, state, policy, { most: 5 }))
    if (!results) return [{ kind: 'verify hangs', detail: 'no answer in 60 s' }]
    said = results.every(r => r.equal)
  } catch (error) {
    const { code, message } = errorOf(error)
    return [{ kind: `verify fails: ${code}${code === 'FERRY-9000' ? ` ${wordsOf(message)}` : ''}`, detail: message }]
  }
  if (said && !equal) return [{ kind: 'verify says equal', detail: 'the independent comparison says different' }]
  if (!said && equal) return [{ kind: 'verify says different', detail: 'the independent comparison says equal' }]
  return []
}

/** An error must have a code of its own and name a file, a line, a record, a column or a member. */
function vague({ code, message }: { code: string; message: string }, c: Case): Problem[] {
  if (code === 'FERRY-9000' || code === 'none') return [{ kind: `${code} ${wordsOf(message)}`, detail: message }]
  const named =
    c.files.some(f => message.includes(f.name)) || /\b(line|record|row|column|member|element) /.test(message)
  return named ? [] : [{ kind: `${code} names no place`, detail: message }]
}

/** The words of a message that others of its kind share. */
function wordsOf(message: string): string {
  return message
    .replace(/^\w+: (?=[a-z])/, '')
    .replace(/["'`(].*|\d+/gs, '')
    .slice(0, 40)
    .trim()
}

/** The kind of a reader's complaint, without its numbers and paths. */
function reasonOf(invalid: string): string {
  return invalid
    .replace(/\S*\/\S+: /, '')
    .replace(/\d+/g, 'N')
    .replace(/(0x\w+|byte .*|: line.*|\(char.*)/, '')
    .slice(0, 70)
}

async function inTime<T>(work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => resolve(undefined), HANG_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
