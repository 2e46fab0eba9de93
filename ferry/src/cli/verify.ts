import type { Verification } from '../engine/verify.ts'
import { verifyJob } from '../runtime/verify.ts'
import { jobNamed, policyOf, type VariableOptions } from './job.ts'
import { count, EXIT, paint, printJson } from './output.ts'
import { withState } from './state.ts'

interface Options extends VariableOptions {
  json: boolean
  table?: string[]
  most: number
}

/** One line on a terminal that the next one replaces. */
function status(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

export default async function verify([path]: string[], options: Options): Promise<void> {
  const job = await jobNamed(path!, options)
  await withState(async state => {
    const results = await verifyJob(job, state, policyOf(options), {
      most: options.most,
      onTable: (name, position, of) => status(`verifying ${name} (${position} of ${of})`),
      only: options.table,
    })
    status('')
    const equal = results.every(r => r.equal)
    if (results.some(r => r.differs)) process.exitCode = EXIT.failed
    if (options.json) printJson({ job: job.name, equal, tables: results })
    else printVerifications(results)
  })
}

/** The tables of a verification, each with the keys that differ. */
export function printVerifications(results: Verification[]): void {
  for (const r of results) {
    const mark = r.equal
      ? paint('32', 'equal', process.stdout)
      : r.differs
        ? paint('31', 'DIFFERENT', process.stdout)
        : paint('33', 'the same in what is copied', process.stdout)
    process.stdout.write(
      `${r.from} -> ${r.to}: ${mark}  ${count(r.sourceRows)} rows / ${count(r.destinationRows)} rows  (checksums ${r.method === 'stores' ? 'inside the stores' : 'over the values'})\n`,
    )
    if (r.notCompared.length > 0) process.stdout.write(`  not compared: ${r.notCompared.join(', ')}\n`)
    for (const row of r.skipped.rows) process.stdout.write(`  skipped  ${row}\n`)
    if (r.skipped.count > r.skipped.rows.length) {
      process.stdout.write(`  ... ${count(r.skipped.count)} rows of the source cannot be carried over\n`)
    }
    for (const d of r.differences) process.stdout.write(`  ${d.kind.padEnd(8)} ${d.key}\n`)
    if (r.more) process.stdout.write('  ... and more; --most N lists more of them\n')
  }
}
