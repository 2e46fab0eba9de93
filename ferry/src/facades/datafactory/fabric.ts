/**
 * Pipelines of Fabric: as Data Factory has them, but that activities hold their datasets themselves, and name connections by their ids.
 * Here they become datasets and references, so that all else reads one form.
 */
import { type Activity, childrenOf } from '../../pipelines/model.ts'
import type { Artifact } from './artifacts.ts'

type Json = Record<string, unknown>

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Says that expressions of a dataset see what those of its activity see. */
export const INLINE = 'isInline'

/** The pipeline with references, and the datasets and linked services that it holds. */
export function fromFabric(pipeline: Artifact): Artifact[] {
  const properties = structuredClone(pipeline.properties)
  const held: Artifact[] = []
  const datasetOf = (settings: Json, name: string) => {
    const { type, typeProperties = {}, schema, linkedService, externalReferences } = settings
    const own = isJson(linkedService) ? linkedService : undefined
    const service = String(own?.name ?? connectionOf(externalReferences) ?? '')
    if (own && isJson(own.properties)) {
      held.push({ ...pipeline, category: 'linkedService', name: service, properties: own.properties })
    }
    const linkedServiceName = { referenceName: service, type: 'LinkedServiceReference' }
    const dataset = { type, typeProperties, schema, linkedServiceName, [INLINE]: true }
    held.push({ ...pipeline, category: 'dataset', name, properties: dataset })
    return { referenceName: name, type: 'DatasetReference' }
  }
  const visit = (activities: unknown) => {
    for (const activity of Array.isArray(activities) ? (activities as Json[]) : []) {
      const typeProperties = isJson(activity.typeProperties) ? activity.typeProperties : {}
      const take = (of: unknown, side: string) => {
        if (!isJson(of) || !isJson(of.datasetSettings)) return undefined
        const { datasetSettings } = of
        delete of.datasetSettings
        return datasetOf(datasetSettings, `${pipeline.name}, ${String(activity.name)}${side}`)
      }
      const [input, output] = [take(typeProperties.source, ': source'), take(typeProperties.sink, ': sink')]
      if (input && activity.type === 'Lookup') typeProperties.dataset = input
      else if (input) activity.inputs = [input]
      if (output) activity.outputs = [output]
      const dataset = take(typeProperties, '')
      if (dataset) typeProperties.dataset = dataset
      const connection = connectionOf(activity.externalReferences)
      if (connection !== undefined && activity.linkedServiceName === undefined) {
        activity.linkedServiceName = { referenceName: connection, type: 'LinkedServiceReference' }
      }
      for (const child of childrenOf({ ...activity, typeProperties } as unknown as Activity)) visit(child.activities)
    }
  }
  visit(properties.activities)
  // One store is often held in many places.
  const services = new Map(held.filter(a => a.category === 'linkedService').map(a => [a.name, a]))
  return [{ ...pipeline, properties }, ...held.filter(a => a.category === 'dataset'), ...services.values()]
}

function connectionOf(references: unknown): string | undefined {
  return isJson(references) && typeof references.connection === 'string' ? references.connection : undefined
}
