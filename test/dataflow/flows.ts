/** Flows of tests over rows that are written beside them. */
import { join } from 'node:path'
import { type FlowEnd, type FlowRequest, previewFlow, runFlow, sourceTable } from '../../ferry/src/dataflow/run.ts'
import { parseScript } from '../../ferry/src/dataflow/script/parser.ts'
import { Duckdb } from '../../ferry/src/duckdb/engine.ts'
import { policy, temporaryFolder } from '../support.ts'

const STARTED = '2026-01-01T00:00:00.000Z'

/** Tables by the names of sources, each as a query. */
export type Tables = Record<string, string>

async function made(text: string, tables: Tables): Promise<FlowRequest> {
  const file = join(temporaryFolder(), 'flow.duckdb')
  const engine = await Duckdb.openAt(policy, file)
  for (const [name, query] of Object.entries(tables)) {
    await engine.run(`CREATE TABLE "${sourceTable(name)}" AS ${query}`)
  }
  await engine.close()
  const script = parseScript(text)
  return { script, parameters: new Map(), startedAt: STARTED, file, policy }
}

/** The rows of a stream. */
export async function rowsOf(text: string, tables: Tables, stream: string): Promise<Record<string, unknown>[]> {
  const { rows } = await previewFlow({ ...(await made(text, tables)), stream, most: 1000 })
  return rows
}

/** Runs a flow: how many rows its sinks got. */
export const endOf = async (text: string, tables: Tables): Promise<FlowEnd> => runFlow(await made(text, tables))
