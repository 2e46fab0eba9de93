/** ExecuteDataFlow: sources are copied into the engine, the flow is worked out, and its sinks are copied from it. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { flowing, sourcesOf } from '../../../dataflow/plan.ts'
import { runFlow, sinkTable, sourceTable } from '../../../dataflow/run.ts'
import { FerryError } from '../../../errors.ts'
import type { CopyJob, EndpointSpec } from '../../../job/schema.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { isObject, type ValueObject, valueOf } from '../../../pipelines/expressions/values.ts'
import { discardCopy, keepStep, keptCopies, keptStep, spoolFolder } from '../../../pipelines/keptcopy.ts'
import { requireObject } from '../../../pipelines/resolve.ts'
import { type Lent, lendTable } from '../../../runtime/lend.ts'
import { newestRun } from '../../../state/runs.ts'
import { type Running, withStore } from '../context.ts'
import { type DataFlow, type FlowCall, flowParameters, plannedAhead, readDataFlow } from '../dataflows.ts'
import { confirmFeeds, feedsOf } from '../feeds.ts'
import { type Delivery, datasetFor, deliveriesOf, emptyIn, type Moving, sourceOf, stagesOf } from '../flowcopies.ts'
import { completedRun, executed, failureOf, printOf } from './copy.ts'

export function dataFlowActivity(around: Running): ActivityKind {
  return { type: 'ExecuteDataFlow', isOutside: true, run: context => execute(around, context) }
}

async function execute(around: Running, context: ActivityContext): Promise<ValueObject> {
  const { state, policy } = around
  const { signal } = context
  const prefix = `flow-${printOf(context)}`
  const folder = spoolFolder(state, prefix)
  const done = keptStep(context, 'done')
  if (done) {
    rmSync(folder, { recursive: true, force: true })
    return done[0] as ValueObject
  }
  const { flow, call } = calledFlow(around, context)
  const startedAt = new Date(context.startedAt).toISOString()
  const parameters = flowParameters(flow, call.parameters, startedAt)
  const file = join(folder, 'flow.duckdb')
  const asked = flowing({ script: flow.script, parameters, startedAt })
  const moving: Moving = { around, flow, call, scope: context.scope, flowing: asked, file, prefix }
  context.told({ dataflow: flow.name, parameters: call.parameters })
  // What is wrong with a flow is said before anything runs, as far as its projections tell.
  const ahead = plannedAhead(flow, parameters)
  if (ahead) await deliveriesOf(moving, ahead.sinks)
  const jobs: CopyJob[] = []
  let leftovers: Delivery[] = []
  const began = performance.now()
  const give = async () => {
    for (const job of jobs) await discardCopy(state, job, policy)
    // The failure of the flow is told; that its store does not answer now, too, would hide it.
    for (const { around: own } of leftovers) {
      if (own && own.after.length > 0) await statements(around, own.endpoint, own.after).catch(() => undefined)
    }
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    if (!keptStep(context, 'folders')) keepStep(context, 'folders', [prefix])
    await context.flush()
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const feeds = await feedsOf({ ...moving, context, datasetFor: stream => datasetFor(moving, stream) })
    jobs.push(...(await keptCopies(context, 'stages', () => stagesOf({ ...moving, feeds }))))
    const lent = new Map<string, Lent>()
    for (const job of jobs) {
      // A process before this one may have copied it, or have worked all of it out.
      if (keptStep(context, 'worked')) continue
      const isHere = existsSync(file) && (await completedRun(state, job.name)) !== undefined
      const own = isHere ? undefined : await lendTable(job, state, policy)
      if (own) lent.set(sourceOf(job, prefix), own)
      else await copied(around, context, job)
    }
    if (jobs.length > lent.size && !existsSync(file)) {
      throw new FerryError('FERRY-3001', 'what the sources of the data flow gave is not there any more', {
        hint: 'Begin a run of the pipeline anew.',
      })
    }
    const read = performance.now()
    const { script } = flow
    const empty = emptyIn(moving, jobs)
    const { plan, counts } = await runFlow({
      ...{ script, parameters, startedAt, file, policy, empty, signal },
      lent: new Map([...lent].map(([source, { sql }]) => [source, sql])),
      requireSame: async () => {
        for (const { requireSame } of lent.values()) await requireSame()
      },
    })
    const worked = performance.now()
    if (!keptStep(context, 'worked')) keepStep(context, 'worked', [true])
    await context.flush()
    const deliveries = await deliveriesOf(moving, plan.sinks)
    const kept = await keptCopies(context, 'deliveries', async () => deliveries.map(d => d.job))
    jobs.push(...kept)
    leftovers = deliveries
    for (const [i, job] of kept.entries()) {
      const { around: own } = deliveries[i]!
      const isNew = own && (await newestRun(state.db, job.name)) === undefined
      if (isNew) await statements(around, own.endpoint, own.before)
      await copied(around, context, job)
      if (own) await statements(around, own.endpoint, own.after)
    }
    const ended = performance.now()
    const seconds = (from: number, to: number) => Math.round(to - from) / 1000
    const rowsRead = Object.fromEntries(
      sourcesOf(script).map(({ name }) => [name, { rowsRead: counts.get(sourceTable(name))! }]),
    )
    const metrics = Object.fromEntries(
      plan.sinks.map(sink => [
        sink.name,
        {
          rowsWritten: sink.rows.reduce((n, { way }) => n + counts.get(sinkTable(sink.name, way))!, 0),
          sinkProcessingTime: Math.round(ended - began),
          sources: rowsRead,
        },
      ]),
    )
    const output = valueOf({
      runStatus: { computeAcquisitionDuration: 0, dsl: '', metrics },
      // How long it took to bring the sources, to work, and to bring the sinks what they get.
      secondsOfSources: seconds(began, read),
      secondsOfWork: seconds(read, worked),
      secondsOfSinks: seconds(worked, ended),
      effectiveIntegrationRuntime: 'Ferry',
      ...(plan.notes.length > 0 ? { notes: plan.notes } : {}),
    }) as ValueObject
    await confirmFeeds(around, context, feeds)
    // The file goes when it is known that it is not needed any more.
    keepStep(context, 'done', [output])
    await context.flush()
    rmSync(folder, { recursive: true, force: true })
    return output
  } catch (error) {
    if (signal.reason !== 'stop' && (context.isLastAttempt || signal.aborted)) await give()
    throw error
  }
}

/** The flow that an activity executes, with what it gives it. Throws FERRY-7001, FERRY-7007. */
function calledFlow({ factory }: Running, context: ActivityContext): { flow: DataFlow; call: FlowCall } {
  const { typeProperties, name } = context.activity
  const own = typeProperties.dataflow !== undefined ? 'dataflow' : 'dataFlow'
  const reference = requireObject(context.property(own), own)
  if (typeof reference.referenceName !== 'string') {
    throw new FerryError('FERRY-7001', `activity ${name} names no data flow`)
  }
  const flow = readDataFlow(factory.require('dataflow', reference.referenceName))
  const of = (value: unknown) => (isObject(value as never) ? (value as ValueObject) : {})
  return {
    flow,
    call: { parameters: of(reference.parameters), datasetParameters: of(reference.datasetParameters) },
  }
}

async function statements(around: Running, endpoint: EndpointSpec, list: readonly string[]): Promise<void> {
  await withStore(around, endpoint, async store => {
    if (!store.statements) throw new FerryError('FERRY-7006', `${store.label} executes no statements`)
    for (const one of list) await store.statements.execute(one)
  })
}

/** Executes a copy, or goes on with it; one that has ended is not repeated. */
async function copied(around: Running, context: ActivityContext, job: CopyJob): Promise<void> {
  if (await completedRun(around.state, job.name)) return
  await context.flush()
  const report = await executed(around, context, job)
  if (report.status !== 'completed') throw failureOf(report)
}
