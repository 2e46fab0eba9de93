/** What of a factory runs here, artifact by artifact, before anything does. */
import { didYouMean, type FerryError } from '../../errors.ts'
import { type Known, problemsOf, readPipeline } from '../../pipelines/check.ts'
import { type Activity, childrenOf, type Pipeline, type Reference } from '../../pipelines/model.ts'
import type { bindParameters } from '../../pipelines/parameters.ts'
import { serviceFor } from './arrivals.ts'
import type { Artifact, Category, Factory } from './artifacts.ts'
import { plannedAhead, readDataFlow } from './dataflows.ts'
import { whyNoDataset } from './datasets.ts'
import { REDIRECTED, runtimeOf, whyNoStore } from './linkedservices.ts'
import { knownOf } from './program.ts'
import {
  COPY,
  DATASET,
  LOCATION,
  READ_FORMAT,
  READ_STORE,
  sinkNames,
  sourceNames,
  unknownIn,
  WRITE_FORMAT,
  WRITE_STORE,
} from './properties.ts'
import type { Redirects } from './redirects.ts'
import { readTrigger } from './triggers.ts'

export type Verdict = 'runs' | 'runs with a redirect' | 'cannot run'

export interface Finding {
  /** The JSON path in the artifact's file. */
  path: string
  message: string
}

export interface CheckedArtifact {
  category: Category
  name: string
  verdict: Verdict
  file: string
  findings: Finding[]
}

/** Linked services that are no stores of rows, and need none. */
const NO_STORES = new Set(['AzureKeyVault', 'AzureFunction', 'RestService', 'Web'])

/** Checks all artifacts of a factory. */
export function checkFactory(factory: Factory, redirects: Redirects): CheckedArtifact[] {
  return new Checker(factory, redirects).all()
}

class Checker {
  private readonly factory: Factory
  private readonly redirects: Redirects
  private readonly known: Known
  private readonly done = new Map<Artifact, CheckedArtifact>()
  /** Pipelines that lead into no circle. */
  private readonly straight = new Set<Artifact>()

  constructor(factory: Factory, redirects: Redirects) {
    this.factory = factory
    this.redirects = redirects
    this.known = knownOf(factory)
  }

  all(): CheckedArtifact[] {
    return this.factory.artifacts.map(a => this.check(a))
  }

  private check(artifact: Artifact): CheckedArtifact {
    const found = this.done.get(artifact)
    if (found) return found
    const checked: CheckedArtifact = {
      category: artifact.category,
      name: artifact.name,
      verdict: 'runs',
      file: artifact.file,
      findings: [],
    }
    this.done.set(artifact, checked)
    if (artifact.fault !== undefined) {
      fail(checked, artifact.path, artifact.fault)
      return checked
    }
    switch (artifact.category) {
      case 'linkedService':
        this.linkedService(artifact, checked)
        break
      case 'dataset':
        this.dataset(artifact, checked)
        break
      case 'pipeline':
        this.pipeline(artifact, checked)
        break
      case 'trigger':
        this.trigger(artifact, checked)
        break
      case 'dataflow':
        this.dataflow(artifact, checked)
        break
      case 'credential':
      case 'integrationRuntime':
    }
    return checked
  }

  private linkedService(artifact: Artifact, checked: CheckedArtifact): void {
    const { properties, path, missing, name } = artifact
    if (this.redirects.linkedServices.has(name.toLowerCase())) {
      checked.verdict = 'runs with a redirect'
      return
    }
    const type = String(properties.type ?? '')
    const why = NO_STORES.has(type) ? undefined : whyNoStore(type)
    if (why !== undefined) {
      fail(checked, `${path}.type`, why)
      if (REDIRECTED.has(type))
        checked.findings.at(-1)!.message += `: --redirect FILE with linkedServices: { ${name}: ... }`
      return
    }
    const runtime = runtimeOf(this.factory, properties, this.redirects)
    if (runtime !== undefined) {
      fail(
        checked,
        `${path}.connectVia`,
        `it is reached through the runtime ${runtime}: --runtime ${runtime}=local if this machine reaches it, or a redirect`,
      )
    }
    if (missing.length > 0) {
      fail(
        checked,
        path,
        `it needs values that the template leaves open: ${missing.join(', ')}: --parameters FILE, or a redirect`,
      )
    }
    const encrypted = (properties.typeProperties as { encryptedCredential?: unknown } | undefined)?.encryptedCredential
    if (typeof encrypted === 'string') {
      fail(
        checked,
        `${path}.typeProperties.encryptedCredential`,
        'its secret is sealed for Data Factory alone: a redirect leads to a connection with a secret of its own',
      )
    }
  }

  private dataset(artifact: Artifact, checked: CheckedArtifact): void {
    const { properties, path } = artifact
    const linked = (properties.linkedServiceName as { referenceName?: unknown } | undefined)?.referenceName
    const isRedirected = this.redirects.linkedServices.has(String(linked).toLowerCase())
    const why = whyNoDataset(String(properties.type ?? ''), isRedirected)
    if (why !== undefined) fail(checked, `${path}.type`, why)
    const { typeProperties } = properties as { typeProperties?: { location?: unknown } }
    if (why === undefined) {
      for (const { name, message } of unknownIn(typeProperties, DATASET))
        fail(checked, `${path}.typeProperties.${name}`, message)
      for (const { name, message } of unknownIn(typeProperties?.location, LOCATION)) {
        fail(checked, `${path}.typeProperties.location.${name}`, message)
      }
    }
    this.reference('linkedService', properties.linkedServiceName, `${path}.linkedServiceName`, checked)
  }

  private dataflow(artifact: Artifact, checked: CheckedArtifact): void {
    try {
      const flow = readDataFlow(artifact)
      for (const [category, of] of [['dataset', flow.datasets] as const, ['linkedService', flow.inline] as const]) {
        for (const [at, named] of of)
          this.reference(category, named, `${artifact.path}.typeProperties (${at})`, checked)
      }
      plannedAhead(flow)
    } catch (error) {
      fail(checked, `${artifact.path}.typeProperties`, (error as FerryError).message)
    }
  }

  private pipeline(artifact: Artifact, checked: CheckedArtifact): void {
    let pipeline: Pipeline
    try {
      pipeline = readPipeline(artifact.name, artifact.properties, artifact.path)
    } catch (error) {
      fail(checked, artifact.path, (error as FerryError).message)
      return
    }
    for (const { path, message } of problemsOf(pipeline, this.known, artifact.path)) fail(checked, path, message)
    this.activities(pipeline.activities, `${artifact.path}.activities`, checked)
    const circle = this.circle(artifact.name, [])
    if (circle)
      fail(checked, `${artifact.path}.activities`, `pipelines execute one another without end: ${circle.join(' -> ')}`)
  }

  private activities(list: readonly Activity[], path: string, checked: CheckedArtifact): void {
    for (const [i, activity] of list.entries()) {
      const at = `${path}[${i}]`
      const { typeProperties } = activity
      if (activity.state === 'Inactive') continue
      for (const side of ['inputs', 'outputs'] as const) {
        for (const [j, r] of (activity[side] ?? []).entries())
          this.reference('dataset', r, `${at}.${side}[${j}]`, checked)
      }
      if (typeProperties.dataset !== undefined)
        this.reference('dataset', typeProperties.dataset, `${at}.typeProperties.dataset`, checked)
      if (activity.linkedServiceName)
        this.reference('linkedService', activity.linkedServiceName, `${at}.linkedServiceName`, checked)
      if (activity.type === 'Copy' || activity.type === 'Lookup') this.sides(activity, `${at}.typeProperties`, checked)
      if (activity.type === 'WebActivity' || activity.type === 'WebHook') {
        const { type } = (typeProperties.authentication ?? {}) as { type?: unknown }
        if (
          typeof type === 'string' &&
          !['Basic', 'None', 'MSI', 'ServicePrincipal'].includes(type) &&
          !type.startsWith('@')
        ) {
          fail(
            checked,
            `${at}.typeProperties.authentication`,
            `authentication by ${type} is not known here: Basic, MSI and ServicePrincipal are, and a header of your own`,
          )
        }
      }
      if (activity.type === 'Script' && Array.isArray(typeProperties.scripts)) {
        for (const [j, script] of typeProperties.scripts.entries()) {
          const { parameters } = (script ?? {}) as { parameters?: unknown }
          if (Array.isArray(parameters) && parameters.length > 0) {
            fail(
              checked,
              `${at}.typeProperties.scripts[${j}].parameters`,
              'scripts have no parameters here: put their values into the text by an expression',
            )
          }
        }
      }
      if (activity.type === 'ExecuteDataFlow') {
        const [name, reference] = Object.entries(typeProperties).find(([key]) => /^dataflow$/i.test(key)) ?? []
        this.reference('dataflow', reference, `${at}.typeProperties.${name ?? 'dataflow'}`, checked)
      }
      if (activity.type === 'ExecutePipeline') this.call(activity, at, checked)
      for (const child of childrenOf(activity)) {
        this.activities(child.activities as Activity[], `${at}.typeProperties.${child.at}`, checked)
      }
    }
  }

  /** Properties that are not known here, of the source and the sink. */
  private sides({ type, typeProperties }: Activity, at: string, checked: CheckedArtifact): void {
    const { source, sink } = typeProperties as { source?: Record<string, unknown>; sink?: Record<string, unknown> }
    const parts: [string, unknown, Parameters<typeof unknownIn>[1]][] = [
      ['.source', source, sourceNames(source)],
      ['.source.storeSettings', source?.storeSettings, READ_STORE],
      ['.source.formatSettings', source?.formatSettings, READ_FORMAT],
    ]
    if (type === 'Copy') {
      parts.push(['', typeProperties, COPY], ['.sink', sink, sinkNames(sink)])
      parts.push(
        ['.sink.storeSettings', sink?.storeSettings, WRITE_STORE],
        ['.sink.formatSettings', sink?.formatSettings, WRITE_FORMAT],
      )
    }
    for (const [path, of, known] of parts) {
      for (const { name, message } of unknownIn(of, known)) fail(checked, `${at}${path}.${name}`, message)
    }
  }

  private call({ typeProperties }: Activity, at: string, checked: CheckedArtifact): void {
    const reference = typeProperties.pipeline as { referenceName?: unknown } | undefined
    const path = `${at}.typeProperties.pipeline`
    this.reference('pipeline', reference, path, checked)
    const name = reference?.referenceName
    const called = typeof name === 'string' ? this.factory.get('pipeline', name) : undefined
    const declared = called?.properties.parameters
    if (!called || typeof declared !== 'object' || declared === null) return
    const given = Object.keys((typeProperties.parameters ?? {}) as object)
    this.parameters(`pipeline ${called.name}`, declared as never, given, `${at}.typeProperties.parameters`, checked)
  }

  /** Names of parameters: those that are not there, and those that have no value. */
  private parameters(
    owner: string,
    declared: Parameters<typeof bindParameters>[1],
    given: string[],
    path: string,
    checked: CheckedArtifact,
  ): void {
    for (const name of given) {
      const has = Object.keys(declared).some(d => d.toLowerCase() === name.toLowerCase())
      if (has) continue
      const near = didYouMean(name, Object.keys(declared))
      fail(checked, `${path}.${name}`, `${owner} has no parameter ${name}${near}`)
    }
    for (const [name, { defaultValue }] of Object.entries(declared)) {
      if (defaultValue === undefined && !given.some(g => g.toLowerCase() === name.toLowerCase())) {
        fail(checked, path, `${owner} needs a value for its parameter ${name}`)
      }
    }
  }

  /** What an artifact refers to: it has to be there, and to run. */
  private reference(category: Category, reference: unknown, path: string, checked: CheckedArtifact): void {
    const { referenceName, parameters } = (reference ?? {}) as Partial<Reference>
    if (typeof referenceName !== 'string') {
      // A name by an expression is known when it runs.
      if (referenceName === undefined) fail(checked, path, `the reference to a ${category} has no name`)
      return
    }
    if (referenceName.startsWith('@')) return
    const found = this.factory.get(category, referenceName)
    if (!found && category === 'linkedService' && this.redirects.linkedServices.has(referenceName.toLowerCase())) {
      if (checked.verdict === 'runs') checked.verdict = 'runs with a redirect'
      return
    }
    if (!found) {
      const near = didYouMean(referenceName, this.factory.named(category))
      fail(checked, path, `there is no ${category} ${referenceName}${near}`)
      return
    }
    const declared = found.properties.parameters
    if (
      category !== 'pipeline' &&
      category !== 'dataflow' &&
      typeof declared === 'object' &&
      declared !== null &&
      !this.redirects.linkedServices.has(found.name.toLowerCase())
    ) {
      this.parameters(
        `${category} ${found.name}`,
        declared as never,
        Object.keys(parameters ?? {}),
        `${path}.parameters`,
        checked,
      )
    }
    const { verdict, findings } = this.check(found)
    if (verdict === 'cannot run') {
      const [first] = findings
      // A pipeline of a circle that is still being checked has no finding yet: the circle is reported where it closes.
      if (first)
        fail(checked, path, `${category} ${found.name} cannot run: ${first.message.split(': --')[0]!.slice(0, 300)}`)
    } else if (verdict === 'runs with a redirect' && checked.verdict === 'runs') checked.verdict = verdict
  }

  private circle(name: string, path: string[]): string[] | undefined {
    const at = path.findIndex(p => p.toLowerCase() === name.toLowerCase())
    if (at >= 0) return [...path.slice(at), name]
    const artifact = this.factory.get('pipeline', name)
    if (!artifact || this.straight.has(artifact)) return undefined
    for (const called of calledBy(artifact.properties.activities)) {
      const found = this.circle(called, [...path, artifact.name])
      if (found) return found
    }
    this.straight.add(artifact)
    return undefined
  }

  private trigger(artifact: Artifact, checked: CheckedArtifact): void {
    const { properties, path } = artifact
    const pipelines = Array.isArray(properties.pipelines) ? properties.pipelines : []
    const one = (properties.pipeline as object | undefined) ?? undefined
    for (const [i, entry] of [...pipelines, ...(one ? [one] : [])].entries()) {
      const { pipelineReference } = (entry ?? {}) as { pipelineReference?: unknown }
      this.reference('pipeline', pipelineReference, `${path}.pipelines[${i}].pipelineReference`, checked)
    }
    try {
      const trigger = readTrigger(artifact)
      const { pipelines: fired } = trigger
      if (trigger.kind === 'blobs') {
        const referenceName = serviceFor(this.factory, this.redirects, trigger)
        this.reference('linkedService', { referenceName }, `${path}.typeProperties.scope`, checked)
      }
      for (const [i, { name, parameters }] of fired.entries()) {
        const declared = this.factory.get('pipeline', name)?.properties.parameters
        if (typeof declared !== 'object' || declared === null) continue
        this.parameters(
          `pipeline ${name}`,
          declared as never,
          Object.keys(parameters),
          `${path}.pipelines[${i}].parameters`,
          checked,
        )
      }
    } catch (error) {
      fail(checked, path, (error as FerryError).message)
    }
  }
}

/** The pipelines that activities execute, at whatever depth. */
function calledBy(activities: unknown): string[] {
  if (!Array.isArray(activities)) return []
  return activities.flatMap(a => {
    const activity = a as Activity
    const { pipeline } = (activity?.typeProperties ?? {}) as { pipeline?: { referenceName?: unknown } }
    const own =
      activity?.type === 'ExecutePipeline' && typeof pipeline?.referenceName === 'string'
        ? [pipeline.referenceName]
        : []
    return [...own, ...(activity?.typeProperties ? childrenOf(activity).flatMap(c => calledBy(c.activities)) : [])]
  })
}

function fail(checked: CheckedArtifact, path: string, message: string): void {
  checked.verdict = 'cannot run'
  checked.findings.push({ path, message })
}
