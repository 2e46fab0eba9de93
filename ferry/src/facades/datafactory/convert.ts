/** A Copy activity as a job file. */
import { didYouMean, FerryError } from '../../errors.ts'
import type { CopyJob } from '../../job/schema.ts'
import { readPipeline } from '../../pipelines/check.ts'
import type { Scope } from '../../pipelines/expressions/evaluate.ts'
import { type Value, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import { type Activity, childrenOf } from '../../pipelines/model.ts'
import { bindParameters, fromCommandLine } from '../../pipelines/parameters.ts'
import { resolve } from '../../pipelines/resolve.ts'
import { withoutSecrets } from '../../runtime/stores.ts'
import { compactJob } from '../../runtime/views.ts'
import { filesIn, kindsOf, type Surroundings } from './context.ts'
import { copyJobOf } from './copyjob.ts'
import { datasetOf } from './datasets.ts'

/** The job of a Copy activity; what depends on other activities cannot be converted. Throws FERRY-7003, FERRY-7006, FERRY-7007. */
export async function convertCopy(
  around: Surroundings,
  { pipeline: name, activity: wanted, parameter = [] }: { pipeline: string; activity: string; parameter?: string[] },
): Promise<object> {
  const artifact = around.factory.require('pipeline', name)
  const pipeline = readPipeline(artifact.name, artifact.properties, artifact.path)
  const all = allOf(pipeline.activities)
  const activity = all.find(a => a.name.toLowerCase() === wanted.toLowerCase())
  if (!activity) {
    const near = didYouMean(
      wanted,
      all.map(a => a.name),
    )
    throw new FerryError('FERRY-7007', `pipeline ${name} has no activity ${wanted}${near}`)
  }
  if (activity.type !== 'Copy')
    throw new FerryError('FERRY-7006', `${activity.name} is no Copy activity: it is ${activity.type}`)
  const parameters = bindParameters(
    `pipeline ${name}`,
    pipeline.parameters,
    fromCommandLine(parameter, pipeline.parameters),
  )
  const self: ValueObject = {
    Pipeline: pipeline.name,
    DataFactory: around.factory.name,
    parameters,
    globalParameters: valueOf(around.factory.globalParameters),
  }
  const variables = Object.fromEntries(
    Object.entries(pipeline.variables).map(([v, { defaultValue }]) => [v, valueOf(defaultValue ?? null)]),
  )
  const scope: Scope = {
    functions: new Map<string, (args: Value[]) => Value>([
      ['pipeline', () => self],
      ['variables', ([v]) => variables[String(v)] ?? null],
    ]),
  }
  const { factory, redirects } = around
  const [input, output] = [activity.inputs?.[0], activity.outputs?.[0]]
  if (!input || !output) throw new FerryError('FERRY-7001', `activity ${activity.name} has no input or no output`)
  const job: CopyJob = await copyJobOf({
    name: `${pipeline.name}-${activity.name}`
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 100),
    source: datasetOf(factory, redirects, input, scope),
    sink: datasetOf(factory, redirects, output, scope),
    properties: resolve(activity.typeProperties, scope) as ValueObject,
    kindOf: await kindsOf(around),
    list: filesIn(around),
  })
  return compactJob(withoutSecrets(job))
}

function allOf(activities: readonly Activity[]): Activity[] {
  return activities.flatMap(a => [a, ...childrenOf(a).flatMap(c => allOf(c.activities as Activity[]))])
}
