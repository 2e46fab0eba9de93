/** Making runs of pipelines: new ones, and those that take over what another one has come to. */
import { createHash } from 'node:crypto'
import { didYouMean, FerryError } from '../errors.ts'
import { Seal } from '../secrets/seal.ts'
import type { State } from '../state/database.ts'
import { activityRuns, newPipelineRun, putActivities } from '../state/pipelines.ts'
import type { PipelineRunRow } from '../state/schema.ts'
import type { ActivityKind } from './activity.ts'
import { parseValue, printValue, type ValueObject } from './expressions/values.ts'
import { behind } from './graph.ts'
import type { Pipeline } from './model.ts'
import type { RunInfo } from './values.ts'

/** The artifacts that runs are of. */
export interface Program {
  /** The name of the factory. */
  readonly factory: string
  /** Names the artifacts that a pipeline uses as they are: a run is only resumed with the same. */
  fingerprint(pipeline: string): string
  readonly globalParameters: ValueObject
  /** Throws FERRY-7007. */
  pipeline(name: string): Pipeline
  kind(type: string): ActivityKind | undefined
}

/** What a run is made with. */
export interface Making {
  state: State
  program: Program
}

/** Makes a run of a pipeline. Parameters are sealed: some of them may be secrets. */
export async function createRun(
  { state, program }: Making,
  pipeline: string,
  parameters: ValueObject,
  more: {
    trigger: RunInfo['trigger']
    parent?: RunInfo['parent']
    /** How many pipelines have executed one another to come here. */
    depth?: number
    groupId?: string
    rerunOf?: string
    /** Where the artifacts are: a process that resumes the run reads them there. */
    source?: ValueObject
    /** True if the next process that looks for a run executes it. */
    queued?: boolean
  },
  db = state.db,
): Promise<PipelineRunRow> {
  const { queued } = more
  return newPipelineRun(
    db,
    {
      factory: program.factory,
      pipeline,
      fingerprint: fingerprintOf(program, pipeline, parameters),
      parameters: sealed(state, parameters),
      info: printValue({
        trigger: more.trigger,
        parent: more.parent ?? null,
        depth: BigInt(more.depth ?? 0),
        source: more.source ?? null,
      } as unknown as ValueObject),
      parent_run: more.parent?.run ?? null,
      parent_key: more.parent?.key ?? null,
      group_id: more.groupId ?? null,
      rerun_of: more.rerunOf ?? null,
    },
    { queued },
  )
}

/** Names a run: its artifacts, its pipeline, and its parameters but for secrets. */
export function fingerprintOf(program: Program, pipeline: string, parameters: ValueObject): string {
  const { parameters: declared } = program.pipeline(pipeline)
  const open = Object.entries(parameters)
    .filter(([name]) => declared[name]?.type.toLowerCase() !== 'securestring')
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const text = `${program.fingerprint(pipeline)}\0${pipeline}\0${printValue(Object.fromEntries(open))}`
  return createHash('sha256').update(text).digest('hex')
}

const SEALED = 'parameters of a pipeline'

function sealed(state: State, parameters: ValueObject): string {
  if (Object.keys(parameters).length === 0) return '{}'
  return Seal.open(state.home).close(SEALED, printValue(parameters))
}

/** The parameters that a run was given. */
export function parametersOf(state: State, row: Pick<PipelineRunRow, 'parameters'>): ValueObject {
  if (row.parameters === '{}') return {}
  return parseValue(Seal.open(state.home).reveal(SEALED, row.parameters)) as ValueObject
}

/** Where the artifacts of a run are; undefined if it does not say. */
export function sourceOf(row: PipelineRunRow): ValueObject | undefined {
  const { source } = parseValue(row.info) as ValueObject
  return (source ?? undefined) as ValueObject | undefined
}

/**
 * Makes a run that takes over what another one has come to, but for `from` and all that runs behind it; without `from` but for what
 * failed. Throws FERRY-5006 while the other one is unfinished, FERRY-7007 if there is no such activity.
 */
export async function createRerun(
  making: Making,
  of: PipelineRunRow,
  {
    from,
    source = sourceOf(of),
    queued,
  }: { from?: string | undefined; source?: ValueObject | undefined; queued?: boolean },
): Promise<PipelineRunRow> {
  const { state, program } = making
  if (of.state === 'InProgress' || of.state === 'Queued') {
    throw new FerryError('FERRY-5006', `run ${of.id} has not ended: it is ${of.state}`, {
      hint: `ferry adf resume ${of.id}`,
    })
  }
  const { activities } = program.pipeline(of.pipeline)
  const rows = await activityRuns(state.db, of.id)
  const top = new Map(rows.filter(r => !r.key.includes('/')).map(r => [r.name, r.state]))
  if (from !== undefined && !activities.some(a => a.name === from)) {
    const near = didYouMean(
      from,
      activities.map(a => a.name),
    )
    throw new FerryError('FERRY-7007', `pipeline ${of.pipeline} has no activity ${from}${near}`)
  }
  const begins =
    from === undefined
      ? activities.filter(a => !['Succeeded', 'Skipped'].includes(top.get(a.name) ?? '')).map(a => a.name)
      : [from]
  const again = new Set(begins.flatMap(name => [...behind(activities, name)]))
  // A skipped activity is looked at again: what it waits for may end in another way now.
  for (const { name } of activities) if (from === undefined && top.get(name) === 'Skipped') again.add(name)
  const kept = rows.filter(r => !again.has(r.key.split('/')[0]!) && r.state !== 'InProgress' && r.state !== 'Cancelled')
  const info = infoOf(of)
  // A process that is killed here leaves no run without what it takes over.
  return state.db.transaction().execute(async tx => {
    const row = await createRun(
      making,
      of.pipeline,
      parametersOf(state, of),
      {
        trigger: info.trigger,
        groupId: of.group_id,
        rerunOf: of.id,
        ...(source ? { source } : {}),
        ...(queued === undefined ? {} : { queued }),
      },
      tx,
    )
    await putActivities(
      tx,
      { run: row.id, epoch: row.epoch },
      kept.map(r => ({ ...r, run: row.id })),
    )
    return row
  })
}

export function infoOf(row: PipelineRunRow): RunInfo {
  const { trigger, parent, depth } = parseValue(row.info) as unknown as Pick<RunInfo, 'trigger'> & {
    depth?: bigint
    parent: RunInfo['parent'] | null
  }
  return {
    id: row.id,
    groupId: row.group_id,
    factory: row.factory,
    startedAt: Date.parse(row.created_at),
    trigger,
    parent: parent ?? undefined,
    depth: Number(depth ?? 0n),
  }
}
