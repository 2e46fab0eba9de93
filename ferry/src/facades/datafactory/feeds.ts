/**
 * Sources of data flows that read the change feed of a container: from the place that the last run of their activity has come to. The place
 * moves when all sinks have what was read.
 */
import type { SourceSession } from '../../contract/source.ts'
import { sourcesOf } from '../../dataflow/plan.ts'
import type { Flow } from '../../dataflow/relation.ts'
import { refused } from '../../dataflow/scope.ts'
import { isOn } from '../../dataflow/transformations/args.ts'
import { FerryError } from '../../errors.ts'
import type { ActivityContext } from '../../pipelines/activity.ts'
import { isObject, type Value } from '../../pipelines/expressions/values.ts'
import { keepStep, keptStep } from '../../pipelines/keptcopy.ts'
import { findPipelineRun } from '../../state/pipelines.ts'
import { keepPosition, positionsOf } from '../../state/positions.ts'
import { type Surroundings, withStore } from './context.ts'
import type { DataFlow } from './dataflows.ts'
import type { Dataset } from './datasets.ts'

/** A part of a change feed that a run reads. */
export interface Feed {
  source: string
  /** The container. */
  container: string
  /** What is read, in the words of the connector. */
  part: string
  /** Where the next run begins. */
  position: string
}

interface Feeding {
  around: Surroundings
  context: ActivityContext
  flow: DataFlow
  flowing: Flow
  datasetFor(stream: string): Dataset
}

/** Places by the names of pipeline and activity: another name begins anew. */
const checkpointsOf = (factory: string, { pipeline, activity }: ActivityContext) =>
  `change feeds of ${factory}, ${pipeline}, ${activity.name}`
/** Where a run of an activity began, for those that run it again. */
const beginningsOf = (run: string, { key }: ActivityContext) => `change feeds of run ${run}, ${key}`

/** What the sources of a flow read of change feeds; the same for a process that goes on with the run. Throws FERRY-7006. */
export async function feedsOf(feeding: Feeding): Promise<Feed[]> {
  const { context, around, flow, flowing } = feeding
  const kept = keptStep(context, 'feeds')
  if (kept) return kept.map(feedOf)
  const feeds: Feed[] = []
  for (const { name, statement } of sourcesOf(flow.script)) {
    if (!isOn(statement, 'enableChangeFeed', flowing)) continue
    for (const wish of ['captureUserDeletes', 'captureTxnTTLDeletes', 'captureIntermediateUpdate']) {
      if (isOn(statement, wish, flowing))
        throw refused(statement, `${wish}: the change feed that is read here has the last state of each document`)
    }
    const dataset = feeding.datasetFor(name)
    const { at } = dataset
    if (at.kind !== 'documents' || at.object === undefined) {
      throw refused(statement, `enableChangeFeed: the source ${name} is no container`)
    }
    const object = at.object
    const feed = await withStore(around, dataset.endpoint, async store => {
      const container = `${store.label} ${object}`
      const after = await placeOf(around, context, name, container)
      await keepPosition(
        around.state.db,
        row(beginningsOf(context.runId, context), name, container, after ?? '', context),
      )
      const session = await store.source()
      try {
        const isFromBeginning = isOn(statement, 'changeFeedStartFromTheBeginning', flowing)
        // Without an initial load the first run is about what happens from now on.
        const from = after ?? (isFromBeginning ? undefined : (await changes(session, object, undefined)).position)
        const { read, position } = await changes(session, object, from)
        return { source: name, container, part: read.part ?? '', position }
      } finally {
        await session.close()
      }
    })
    feeds.push(feed)
  }
  if (feeds.length > 0) keepStep(context, 'feeds', feeds)
  return feeds
}

/** The changes of a container since a place, up to now. */
async function changes(session: SourceSession, object: string, after: string | undefined) {
  if (!session.increment) throw new FerryError('FERRY-7006', `${object} has no change feed`)
  const request = { object, options: {}, columns: [], splitBytes: 1_000_000, skipBadRows: false }
  return session.increment(request, { keys: [], others: [], after, again: true })
}

function feedOf(kept: Value): Feed {
  if (!isObject(kept)) throw new FerryError('FERRY-9000', 'what was kept of a change feed is none')
  const { source, container, part, position } = kept
  return { source: String(source), container: String(container), part: String(part), position: String(position) }
}

/** Where the last run has come to; of a run that runs another one again where that one began. */
async function placeOf({ factory, state }: Surroundings, context: ActivityContext, source: string, container: string) {
  const { rerun_of } = await findPipelineRun(state.db, context.runId)
  const of = async (job: string) =>
    (await positionsOf(state.db, job)).find(p => p.source === source && p.destination === container)?.value
  const began = rerun_of === null ? undefined : await of(beginningsOf(rerun_of, context))
  const place = began ?? (await of(checkpointsOf(factory.name, context)))
  return place === '' ? undefined : place
}

/** The next run goes on behind what this one has read. */
export async function confirmFeeds({ factory, state }: Surroundings, context: ActivityContext, feeds: readonly Feed[]) {
  const job = checkpointsOf(factory.name, context)
  for (const { source, container, position } of feeds) {
    await keepPosition(state.db, row(job, source, container, position, context))
  }
}

const row = (job: string, source: string, destination: string, value: string, { runId }: ActivityContext) => ({
  job,
  source,
  destination,
  tracked: '{}',
  value,
  run: runId,
})

export const partOf = (feeds: readonly Feed[], source: string): string | undefined =>
  feeds.find(f => f.source === source)?.part
