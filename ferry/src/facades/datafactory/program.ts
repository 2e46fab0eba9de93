/** A factory as a program that runs: its pipelines, and the activities that move data. */

import { createHash } from 'node:crypto'
import { CONTROL } from '../../pipelines/activities/registry.ts'
import type { ActivityKind } from '../../pipelines/activity.ts'
import { type Known, readPipeline } from '../../pipelines/check.ts'
import { type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import type { Program } from '../../pipelines/make.ts'
import type { Pipeline } from '../../pipelines/model.ts'
import { copyActivity } from './activities/copy.ts'
import { dataFlowActivity } from './activities/dataflow.ts'
import { deleteActivity, getMetadataActivity, validationActivity } from './activities/files.ts'
import { lookupActivity } from './activities/lookup.ts'
import { scriptActivity, storedProcedureActivity } from './activities/statements.ts'
import { webActivity } from './activities/web.ts'
import { webHookActivity } from './activities/webhook.ts'
import type { Factory } from './artifacts.ts'
import type { Running } from './context.ts'

const MAKERS: ((around: Running) => ActivityKind)[] = [
  copyActivity,
  dataFlowActivity,
  lookupActivity,
  getMetadataActivity,
  deleteActivity,
  validationActivity,
  scriptActivity,
  storedProcedureActivity,
  webActivity,
  webHookActivity,
]

/** Types of activities that run here; those whose names begin with a point are the runner's own. */
export const ACTIVITY_TYPES = [
  ...MAKERS.map(make => make(undefined as unknown as Running).type),
  ...CONTROL.map(k => k.type).filter(type => !type.startsWith('.')),
].sort()

/** What checks of pipelines know of a factory. */
export function knownOf(factory: Factory): Known {
  return {
    hasKind: type => ACTIVITY_TYPES.includes(type),
    globals: Object.keys(factory.globalParameters),
  }
}

/** A factory as a program that runs. */
export function programOf(around: Running): Program {
  const kinds = new Map(MAKERS.map(make => make(around)).map(kind => [kind.type, kind]))
  return { ...artifactProgram(around), kind: type => kinds.get(type) }
}

/** The same for who makes runs and executes none: it has no activities that move data. */
export function artifactProgram({ factory, redirects }: Pick<Running, 'factory' | 'redirects'>): Program {
  const pipelines = new Map<string, Pipeline>()
  return {
    factory: factory.name,
    // The same artifacts over other stores are another program.
    fingerprint: pipeline =>
      createHash('sha256')
        .update(JSON.stringify([factory.fingerprint(pipeline), [...redirects.linkedServices], [...redirects.runtimes]]))
        .digest('hex'),
    globalParameters: valueOf(factory.globalParameters) as ValueObject,
    kind: () => undefined,
    pipeline: name => {
      const artifact = factory.require('pipeline', name)
      let found = pipelines.get(artifact.name)
      if (!found) {
        found = readPipeline(artifact.name, artifact.properties, artifact.path)
        pipelines.set(artifact.name, found)
      }
      return found
    },
  }
}
