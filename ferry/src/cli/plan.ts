import { typeName } from '../batch/types.ts'
import { planJob } from '../runtime/plan.ts'
import { openState } from '../state/database.ts'
import { jobNamed, policyOf, type VariableOptions } from './job.ts'
import { count, EXIT, paint, printError, printJson, size } from './output.ts'

const LOADS = { first: 'first load', reset: 'reset', changes: 'changes' }

export default async function plan([path]: string[], options: VariableOptions & { json: boolean }): Promise<void> {
  const job = await jobNamed(path!, options)
  const state = await openState()
  try {
    const { tables, problems, clashes } = await planJob(job, state, policyOf(options))
    if (problems.length > 0) process.exitCode = EXIT.failed
    if (options.json) {
      printJson({
        job: job.name,
        tables,
        clashes,
        problems: problems.map(p => ({
          table: p.table,
          code: p.error.code,
          message: p.error.message,
          hint: p.error.hint,
        })),
      })
      return
    }
    const out = process.stdout
    for (const t of tables) {
      const rows = t.rows === undefined ? '' : `, about ${count(t.rows)} rows`
      const bytes = t.bytes === undefined ? '' : `, ${size(t.bytes)}`
      out.write(
        `${paint('1', `${t.from} -> ${t.to}`, out)}  (${t.write.update}${t.write.existing ? '' : ', to be created'})\n`,
      )
      if (t.increment) out.write(`  ${LOADS[t.increment.load].padEnd(11)}${t.increment.range}\n`)
      out.write(`  splits     ${count(t.splits)}${rows}${bytes}\n`)
      out.write(
        `  encoding   ${t.offer.encoding}${t.passedOver.length > 0 ? `   (not ${t.passedOver.join('; not ')})` : ''}\n`,
      )
      out.write(`  guarantee  ${t.guarantee}\n`)
      if (t.write.keys.length > 0) out.write(`  keys       ${t.write.keys.join(', ')}\n`)
      for (const c of t.read.columns) {
        const from = c.from ?? `'${c.constant}'`
        const changes = typeName(c.sourceType) === typeName(c.type) ? '' : ` -> ${typeName(c.type)}`
        out.write(
          `  column     ${from === c.name ? c.name : `${from} -> ${c.name}`}: ${typeName(c.sourceType)}${changes}${c.native ? `  ${c.native}` : ''}${c.checked ? '  (each value checked)' : ''}\n`,
        )
      }
      if (t.replaces) out.write(`  replaces   ${t.replaces}\n`)
      for (const guess of t.guesses ?? []) out.write(`  guessed    ${guess}\n`)
      for (const note of t.notes) out.write(`  note       ${note}\n`)
      for (const s of t.statements) out.write(`  writes     ${s.replaceAll('\n', '\n             ')}\n`)
      out.write('\n')
    }
    for (const c of clashes) out.write(`${paint('33', 'two jobs', out)}   ${c.table}: ${c.message}\n`)
    for (const p of problems) printError(p.error)
    if (problems.length === 0) out.write('Nothing was changed. To run it: ferry run '.concat(path!, '\n'))
  } finally {
    await state.close()
  }
}
