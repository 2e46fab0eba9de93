/** What a server asks of factories for a caller who waits: done in a process of its own, as looks into stores are. */

import { FerryError } from '../../errors.ts'
import { cancelPipeline } from '../../pipelines/cancel.ts'
import { parseValue, plainOf, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import { createRerun, createRun } from '../../pipelines/make.ts'
import { type Activity, childrenOf } from '../../pipelines/model.ts'
import { bindParameters } from '../../pipelines/parameters.ts'
import type { Policy } from '../../policy.ts'
import type { Access } from '../../runtime/stores.ts'
import type { State } from '../../state/database.ts'
import { findFactory } from '../../state/factories.ts'
import { findPipelineRun } from '../../state/pipelines.ts'
import type { PipelineTriggerRow } from '../../state/schema.ts'
import { allTriggers } from '../../state/triggers.ts'
import type { Factory } from './artifacts.ts'
import { checkFactory } from './check.ts'
import { type DataFlow, plannedAhead, readDataFlow } from './dataflows.ts'
import { fireEvents, type GridEvent, startTrigger } from './fire.ts'
import { type FlowStream, givenTo, graphOf, lookAtFlow, streamsOf } from './flowlook.ts'
import { artifactProgram } from './program.ts'
import { summaryOf } from './runs.ts'
import {
  type FactorySource,
  keptSource,
  type Opened,
  openFactory,
  requireName,
  requireRuns,
  sourceSchema,
} from './source.ts'
import type { ActivityNode, DataFlowView, FactoryView, FlowRows, PipelineRunView, PipelineView } from './views.ts'

export interface FactoryLooks {
  /** Reads a factory that is to be kept; gives back what it is called, and its source with whole paths. */
  openFactory: { ask: { source: FactorySource }; answer: { name: string; source: FactorySource } }
  factory: { ask: { name: string }; answer: Omit<FactoryView, 'addedAt'> }
  pipeline: { ask: { factory: string; pipeline: string }; answer: PipelineView }
  dataflow: { ask: { factory: string; dataflow: string }; answer: DataFlowView }
  /** The first rows of a stream, of the first rows of its sources; parameters as `NAME=VALUE`, `STREAM.NAME=VALUE`. */
  flowRows: { ask: { factory: string; dataflow: string; stream: string; parameters: string[] }; answer: FlowRows }
  /** `parameters` is JSON, with every digit that it came with. */
  runPipeline: { ask: { factory: string; pipeline: string; parameters: string }; answer: PipelineRunView }
  rerunPipeline: { ask: { run: string; from?: string | undefined }; answer: PipelineRunView }
  cancelPipeline: { ask: { run: string }; answer: PipelineRunView }
  /** The name of a trigger as its artifact has it. */
  triggerName: { ask: { factory: string; trigger: string }; answer: string }
  startTrigger: { ask: { factory: string; trigger: string }; answer: null }
  /** Events are JSON: Event Grid's, each with its type and subject. */
  events: {
    ask: {
      factory: string
      trigger: string
      events: { id?: string | undefined; type: string; subject: string; event: string }[]
    }
    answer: string[]
  }
}

export const FACTORY_PATIENCE_MS: Record<keyof FactoryLooks, number> = {
  openFactory: 30_000,
  factory: 60_000,
  pipeline: 30_000,
  dataflow: 30_000,
  flowRows: 120_000,
  runPipeline: 30_000,
  rerunPipeline: 30_000,
  cancelPipeline: 120_000,
  startTrigger: 60_000,
  triggerName: 30_000,
  events: 30_000,
}

type Look<N extends keyof FactoryLooks> = (
  from: Access,
  ask: FactoryLooks[N]['ask'],
) => Promise<FactoryLooks[N]['answer']>

export const FACTORY_LOOKS: { [N in keyof FactoryLooks]: Look<N> } = {
  openFactory: async ({ policy }, { source }) => {
    const opened = openFactory(sourceSchema.parse(source), policy)
    requireName(opened.factory.name)
    return { name: opened.factory.name, source: opened.source }
  },
  factory: async ({ state, policy }, { name }) => factoryView(await keptFactory(state, policy, name), state),
  pipeline: async ({ state, policy }, { factory, pipeline }) =>
    pipelineView(await keptFactory(state, policy, factory), pipeline),
  dataflow: async ({ state, policy }, { factory, dataflow }) =>
    dataFlowView(await keptFactory(state, policy, factory), dataflow),
  flowRows: async ({ state, policy }, { factory, dataflow, stream, parameters }) => {
    const opened = await keptFactory(state, policy, factory)
    const { signal } = new AbortController()
    const words = { flow: dataflow, ...givenTo(parameters), stream, most: MOST_ROWS, sample: SAMPLE, signal }
    const { streams, rows } = await lookAtFlow({ ...opened, state, policy }, words)
    const columns = streams.find(s => s.name === stream)?.columns ?? []
    return rowsOf(columns, rows as Record<string, unknown>[])
  },
  runPipeline: async ({ state, policy }, { factory, pipeline, parameters }) => {
    const opened = await keptFactory(state, policy, factory)
    const { name } = opened.factory.require('pipeline', pipeline)
    requireRuns(opened, name)
    const program = artifactProgram(opened)
    const given = bindParameters(
      `pipeline ${name}`,
      program.pipeline(name).parameters,
      parseValue(parameters) as ValueObject,
    )
    const trigger = { type: 'Manual', name: 'Manual', id: 'Manual' }
    return summaryOf(
      await createRun({ state, program }, name, given, { trigger, source: keptSource(opened.source), queued: true }),
    )
  },
  rerunPipeline: async ({ state, policy }, { run, from }) => {
    const of = await findPipelineRun(state.db, run)
    const opened = await keptFactory(state, policy, of.factory)
    requireRuns(opened, of.pipeline)
    const making = { state, program: artifactProgram(opened) }
    return summaryOf(await createRerun(making, of, { from, source: keptSource(opened.source), queued: true }))
  },
  cancelPipeline: async ({ state, policy }, { run }) => summaryOf(await cancelPipeline(state, run, policy)),
  triggerName: async ({ state, policy }, { factory, trigger }) =>
    (await keptFactory(state, policy, factory)).factory.require('trigger', trigger).name,
  startTrigger: async ({ state, policy }, { factory, trigger }) => {
    await startTrigger({ ...(await keptFactory(state, policy, factory)), state }, trigger)
    return null
  },
  events: async ({ state, policy }, { factory, trigger, events }) => {
    const opened = await keptFactory(state, policy, factory)
    const told: GridEvent[] = events.map(({ id, type, subject, event }) => ({
      id,
      type,
      subject,
      event: parseValue(event),
    }))
    return fireEvents({ state, program: artifactProgram(opened) }, opened, trigger, told)
  },
}

const MOST_ROWS = 100
/** Rows that are read of each source. */
const SAMPLE = 1000
/** Characters of a value that are shown. */
const MOST_TEXT = 1000

function rowsOf(columns: FlowStream['columns'], rows: readonly Record<string, unknown>[]): FlowRows {
  const shown = (value: unknown) => {
    if (value === null || value === undefined) return null
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
    return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text
  }
  return { columns: columns.map(c => c.name), rows: rows.map(row => columns.map(c => shown(row[c.name]))) }
}

/** A factory that servers know, as it is now. Throws FERRY-1007. */
export async function keptFactory(state: State, policy: Policy, name: string): Promise<Opened> {
  const row = await findFactory(state.db, name)
  const opened = openFactory(sourceSchema.parse(JSON.parse(row.source)), policy)
  if (opened.factory.name === name) return opened
  throw new FerryError('FERRY-7001', `the factory calls itself ${opened.factory.name} now`, {
    hint: 'Remove it and add it again, or give it a name of your own.',
  })
}

async function factoryView(
  { factory, redirects, source }: Opened,
  state: State,
): Promise<Omit<FactoryView, 'addedAt'>> {
  const artifacts = checkFactory(factory, redirects)
  const verdicts = new Map(artifacts.map(a => [`${a.category} ${a.name}`, a.verdict]))
  const rows = await allTriggers(state.db, factory.name)
  const of = (category: 'pipeline' | 'dataflow' | 'trigger') => factory.artifacts.filter(a => a.category === category)
  return {
    name: factory.name,
    source,
    artifacts,
    pipelines: of('pipeline').map(({ name, properties }) => {
      const { folder, description, activities } = properties as {
        folder?: { name?: unknown }
        description?: unknown
        activities?: unknown
      }
      return {
        name,
        folder: typeof folder?.name === 'string' ? folder.name : null,
        description: typeof description === 'string' ? description : '',
        activities: Array.isArray(activities) ? activities.length : 0,
        verdict: verdicts.get(`pipeline ${name}`) ?? 'cannot run',
      }
    }),
    dataflows: of('dataflow').map(({ name, properties }) => {
      const { folder, description } = properties as { folder?: { name?: unknown }; description?: unknown }
      return {
        name,
        folder: typeof folder?.name === 'string' ? folder.name : null,
        description: typeof description === 'string' ? description : '',
        verdict: verdicts.get(`dataflow ${name}`) ?? 'cannot run',
      }
    }),
    triggers: [...of('trigger'), ...gone(rows, factory)].map(({ name, properties }) => {
      const row = rows.find(r => r.name === name)
      const { type, pipeline, pipelines } = properties as { type?: unknown; pipeline?: unknown; pipelines?: unknown }
      const called = [...(Array.isArray(pipelines) ? pipelines : []), ...(pipeline ? [pipeline] : [])]
      return {
        name,
        type: String(type ?? ''),
        pipelines: called.map(p =>
          String((p as { pipelineReference?: { referenceName?: unknown } })?.pipelineReference?.referenceName ?? ''),
        ),
        started: Number(row?.started) === 1,
        outcome: row?.outcome ?? '',
        outcomeAt: row?.outcome_at ?? null,
        hook: type === 'CustomEventsTrigger',
      }
    }),
  }
}

/** Triggers that are started, and whose artifacts are not there any more: they can be stopped. */
const gone = (rows: PipelineTriggerRow[], factory: Factory) =>
  rows
    .filter(r => Number(r.started) === 1 && !factory.get('trigger', r.name))
    .map(r => ({ name: r.name, properties: { type: 'gone' } }))

function pipelineView(opened: Opened, name: string): PipelineView {
  const { factory, redirects } = opened
  const artifact = factory.require('pipeline', name)
  const pipeline = artifactProgram(opened).pipeline(artifact.name)
  const checked = checkFactory(factory, redirects).find(a => a.category === 'pipeline' && a.name === artifact.name)!
  return {
    name: pipeline.name,
    description: pipeline.description ?? '',
    parameters: Object.entries(pipeline.parameters).map(([name, { type, defaultValue }]) => ({
      name,
      type,
      ...(defaultValue === undefined
        ? {}
        : { defaultValue: /^secure/i.test(type) ? '***' : plainOf(valueOf(defaultValue)) }),
    })),
    activities: pipeline.activities.map(nodeOf),
    findings: checked.verdict === 'cannot run' ? checked.findings : [],
  }
}

function dataFlowView({ factory, redirects }: Opened, name: string): DataFlowView {
  const artifact = factory.require('dataflow', name)
  const checked = checkFactory(factory, redirects).find(a => a.category === 'dataflow' && a.name === artifact.name)!
  const findings = checked.verdict === 'cannot run' ? checked.findings : []
  const { description } = artifact.properties as { description?: unknown }
  const common = {
    name: artifact.name,
    description: typeof description === 'string' ? description : '',
    findings,
  }
  try {
    const flow = readDataFlow(artifact)
    return { ...common, streams: streamsIn(flow) }
  } catch (error) {
    // What is wrong with it is among the findings.
    if (findings.length === 0) throw error
    return { ...common, streams: [] }
  }
}

function streamsIn(flow: DataFlow): DataFlowView['streams'] {
  try {
    const plan = plannedAhead(flow)
    if (plan) return streamsOf(plan)
  } catch {
    // It is drawn all the same, without columns.
  }
  return graphOf(flow.script)
}

const BRANCHES: Record<string, string> = {
  activities: 'each time',
  ifTrueActivities: 'true',
  ifFalseActivities: 'false',
  defaultActivities: 'default',
}

function nodeOf(activity: Activity): ActivityNode {
  const { name, type, state, dependsOn = [], typeProperties } = activity
  const cases = typeProperties.cases as { value?: unknown }[] | undefined
  const { referenceName } = (typeProperties.pipeline ?? {}) as { referenceName?: unknown }
  const flow = (typeProperties.dataflow ?? typeProperties.dataFlow) as { referenceName?: unknown } | undefined
  return {
    name,
    type,
    isActive: state !== 'Inactive',
    dependsOn: dependsOn.map(d => ({ activity: d.activity, conditions: d.dependencyConditions })),
    branches: childrenOf(activity)
      .map(({ at, activities }) => {
        const index = /^cases\[(\d+)\]/.exec(at)?.[1]
        const branch = index === undefined ? BRANCHES[at]! : String(cases?.[Number(index)]?.value ?? index)
        return { name: branch, activities: (activities as Activity[]).map(nodeOf) }
      })
      .filter(b => b.activities.length > 0),
    calls: type === 'ExecutePipeline' && typeof referenceName === 'string' ? referenceName : null,
    flow: type === 'ExecuteDataFlow' && typeof flow?.referenceName === 'string' ? flow.referenceName : null,
  }
}
