import { printed } from '../runtime/skipped.ts'
import { findRun } from '../state/runs.ts'
import { withState } from './state.ts'

/** Prints the skipped rows of a run, one line of JSON each. */
export default async function skipped([id]: string[], options: { table?: string[] }): Promise<void> {
  await withState(async state => {
    const { id: run } = await findRun(state.db, id!)
    for await (const row of printed(state.db, run, options.table)) {
      if (!process.stdout.write(`${JSON.stringify(row)}\n`)) await new Promise(r => process.stdout.once('drain', r))
    }
  })
}
