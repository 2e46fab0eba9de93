/** A data flow as people look at it: its streams, their columns, their queries and their first rows. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { flowing, type Plan, streamOf } from '../../dataflow/plan.ts'
import { previewFlow } from '../../dataflow/run.ts'
import type { Script } from '../../dataflow/script/tree.ts'
import { shownType } from '../../dataflow/types.ts'
import { type ErrorCode, FerryError } from '../../errors.ts'
import { isObject, type ValueObject } from '../../pipelines/expressions/values.ts'
import { CopierPool } from '../../runtime/copier.ts'
import type { Surroundings } from './context.ts'
import { flowParameters, plannedAhead, readDataFlow } from './dataflows.ts'
import { emptyIn, stagesOf } from './flowcopies.ts'

export interface FlowStream {
  name: string
  /** `source`, `filter`, `sink`, ... */
  kind: string
  inputs: string[]
  columns: { name: string; type: string; isDrifted: boolean }[]
  /** The query of the stream by itself; of a sink one for each way in which it gets rows. */
  sql: string[]
}

export interface FlowLook {
  name: string
  streams: FlowStream[]
  notes: string[]
}

export function streamsOf(plan: Plan): FlowStream[] {
  const shown = (columns: Plan['steps'][number]['relation']['columns']) =>
    columns.map(({ name, type, isDrifted = false }) => ({ name, type: shownType(type), isDrifted }))
  return [
    ...plan.steps.map(({ stream, kind, inputs, sql, relation }) => ({
      name: stream,
      kind,
      inputs,
      columns: shown(relation.columns),
      sql: [sql],
    })),
    ...plan.sinks.map(({ name, input, columns, rows }) => ({
      name,
      kind: 'sink',
      inputs: [input],
      columns: shown(columns),
      sql: rows.map(r => r.sql),
    })),
  ]
}

/** The streams of a script whose columns are not known yet. */
export function graphOf({ statements }: Script): (Omit<FlowStream, 'columns'> & { columns: null })[] {
  return statements.flatMap(({ kind, inputs, output, branches }) => {
    const names = branches.length > 0 ? branches.map(b => `${output}@${b}`) : [output]
    return names.map(name => ({ name, kind, inputs: inputs.map(streamOf), columns: null, sql: [] }))
  })
}

const COPIES_AT_ONCE = 1

export interface LookRequest {
  flow: string
  parameters: ValueObject
  datasetParameters: ValueObject
  /** Whose rows are wanted; undefined for those of none. */
  stream?: string | undefined
  /** At most so many. */
  most: number
  /** So many rows are read of each source. */
  sample: number
  signal: AbortSignal
}

/** `name=value` for the flow, `stream.name=value` for the dataset of a source or a sink. */
export function givenTo(pairs: readonly string[]): { parameters: ValueObject; datasetParameters: ValueObject } {
  const parameters: ValueObject = {}
  const datasetParameters: ValueObject = {}
  for (const pair of pairs) {
    const found = /^(?:([^.=]+)\.)?([^.=]+)=([\s\S]*)$/.exec(pair)
    if (!found)
      throw new FerryError('FERRY-7004', `${pair} is no parameter`, { hint: 'Write NAME=VALUE, or STREAM.NAME=VALUE.' })
    const [, stream, name, value] = found as unknown as [string, string | undefined, string, string]
    if (stream === undefined) parameters[name] = value
    else {
      const known = datasetParameters[stream]
      datasetParameters[stream] = { ...(isObject(known) ? known : {}), [name]: value }
    }
  }
  return { parameters, datasetParameters }
}

/** What a flow is made of; its sources are read, in part, where its projections do not say enough, or rows are wanted. */
export async function lookAtFlow(given: Surroundings, request: LookRequest): Promise<FlowLook & { rows: object[] }> {
  const flow = readDataFlow(given.factory.require('dataflow', request.flow))
  const startedAt = new Date().toISOString()
  const parameters = flowParameters(flow, request.parameters, startedAt)
  const ahead = plannedAhead(flow, parameters)
  const { name } = flow
  if (ahead && request.stream === undefined) return { name, streams: streamsOf(ahead), notes: ahead.notes, rows: [] }
  const folder = mkdtempSync(join(given.policy.scratch, 'ferry-flow-'))
  const policy = given.policy.alsoIn(folder)
  const around = { ...given, policy }
  const copier = new CopierPool(policy, COPIES_AT_ONCE)
  try {
    const file = join(folder, 'flow.duckdb')
    const scope = { functions: new Map() }
    const prefix = `flow-preview-${randomBytes(8).toString('hex')}`
    const call = { parameters: request.parameters, datasetParameters: request.datasetParameters }
    const moving = {
      around,
      flow,
      call,
      scope,
      flowing: flowing({ script: flow.script, parameters, startedAt }),
      file,
      prefix,
    }
    const jobs = await stagesOf(moving, request.sample)
    for (const job of jobs) {
      const { status, errors } = await copier.run({ job, signal: request.signal, onStart: () => {} })
      const [first] = errors
      if (status !== 'completed')
        throw new FerryError((first?.code as ErrorCode) ?? 'FERRY-2005', first?.message ?? `the copy is ${status}`)
    }
    const { script } = flow
    const { stream, most } = request
    const empty = emptyIn(moving, jobs)
    const { plan, rows } = await previewFlow({ script, parameters, startedAt, file, policy, empty, stream, most })
    return { name, streams: streamsOf(plan), notes: plan.notes, rows }
  } finally {
    await copier.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
