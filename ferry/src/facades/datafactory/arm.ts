/** Templates of Azure Resource Manager, as Data Factory and Synapse export them: one file, or a master with linked ones. */
import { basename, dirname, join } from 'node:path'
import { FerryError } from '../../errors.ts'
import { compile, type Scope } from '../../pipelines/expressions/evaluate.ts'
import { FUNCTIONS } from '../../pipelines/expressions/functions.ts'
import { callsIn, parseExpression } from '../../pipelines/expressions/parser.ts'
import { isObject, plainOf, textOf, type Value, type ValueObject, valueOf } from '../../pipelines/expressions/values.ts'
import { type Artifact, type Category, Factory, globalsOf } from './artifacts.ts'

const TYPES: Record<string, Category> = {
  pipelines: 'pipeline',
  datasets: 'dataset',
  linkedservices: 'linkedService',
  triggers: 'trigger',
  dataflows: 'dataflow',
  integrationruntimes: 'integrationRuntime',
  credentials: 'credential',
}

const MOST_DEPTH = 10
const FACTORY = /^Microsoft\.DataFactory\/factories(?:\/(\w+))?$|^Microsoft\.Synapse\/workspaces(?:\/(\w+))?$/i

interface Template {
  parameters?: Record<string, { type?: string; defaultValue?: unknown }>
  variables?: Record<string, unknown>
  resources?: Resource[]
}

interface Resource {
  type?: unknown
  name?: unknown
  condition?: unknown
  properties?: unknown
  resources?: Resource[]
}

/** Reads a template with its files of parameters; a later one wins. Throws FERRY-7001. */
export function readTemplate(
  file: string,
  parameterFiles: readonly string[],
  readJson: (file: string) => object,
): Factory {
  const given: Record<string, unknown> = {}
  for (const path of parameterFiles) {
    const content = readJson(path) as { parameters?: Record<string, { value?: unknown }> }
    for (const [name, v] of Object.entries(content.parameters ?? content)) {
      if (typeof v === 'object' && v !== null && 'value' in v) given[name] = (v as { value: unknown }).value
    }
  }
  const reader = new Reader(readJson)
  reader.read(readJson(file) as Template, given, file, '$', 0)
  if (reader.artifacts.length === 0) {
    throw new FerryError('FERRY-7001', `${file} has no resources of a data factory`, {
      hint: 'Name ARMTemplateForFactory.json, or the folder that Data Factory keeps in git.',
    })
  }
  return new Factory(reader.name ?? basename(dirname(file)), reader.artifacts, reader.globals)
}

/** Parameters that have no value, found while an artifact is read. */
class Missing extends Error {
  readonly parameter: string

  constructor(parameter: string) {
    super(`the parameter ${parameter} of the template has no value`)
    this.parameter = parameter
  }
}

class Reader {
  readonly artifacts: Artifact[] = []
  readonly globals: Record<string, unknown> = {}
  name: string | undefined
  private readonly readJson: (file: string) => object

  constructor(readJson: (file: string) => object) {
    this.readJson = readJson
  }

  read(
    template: Template,
    given: Record<string, unknown>,
    file: string,
    path: string,
    depth: number,
    outer?: Scope,
  ): void {
    if (depth > MOST_DEPTH)
      throw new FerryError('FERRY-7001', `${file}: templates lie more than ${MOST_DEPTH} deep in one another`)
    const scope = outer ?? scopeOf(template, given)
    const walk = (resources: readonly Resource[], at: string, above: string) => {
      resources.forEach((resource, i) => {
        const place = `${at}[${i}]`
        this.resource(resource, scope, { file, path: place, outer: above, depth })
        if (Array.isArray(resource.resources)) {
          walk(resource.resources, `${place}.resources`, `${above}${String(resource.type)}/`)
        }
      })
    }
    if (Array.isArray(template.resources)) walk(template.resources, `${path}.resources`, '')
  }

  private resource(
    resource: Resource,
    scope: Scope,
    { file, path, outer, depth }: { file: string; path: string; outer: string; depth: number },
  ): void {
    const type = `${outer}${String(resource.type)}`
    if (/^Microsoft\.Resources\/deployments$/i.test(type)) {
      this.deployment(resource, scope, file, path, depth)
      return
    }
    const match = FACTORY.exec(type)
    if (!match) return
    const kind = (match[1] ?? match[2])?.toLowerCase()
    const missing = new Set<string>()
    const name = nameOf(resource.name, scope, file, `${path}.name`)
    if (
      resource.condition !== undefined &&
      evaluated(resource.condition, scope, undefined, file, `${path}.condition`) === false
    )
      return
    const properties = evaluated(resource.properties ?? {}, scope, missing, file, `${path}.properties`)
    if (kind === undefined) {
      this.name = name
      Object.assign(this.globals, globalsOf((properties as { globalParameters?: unknown }).globalParameters))
      return
    }
    if (kind === 'globalparameters') {
      Object.assign(this.globals, globalsOf(properties))
      return
    }
    const category = Object.hasOwn(TYPES, kind) ? TYPES[kind] : undefined
    if (category === undefined) return
    const [factory, own] = name.includes('/')
      ? [name.slice(0, name.indexOf('/')), name.slice(name.indexOf('/') + 1)]
      : [undefined, name]
    this.name ??= factory
    this.artifacts.push({
      category,
      name: own!,
      properties: properties as Record<string, unknown>,
      file,
      path: `${path}.properties`,
      missing: [...missing],
    })
  }

  /** A template within a template, or beside it in a file of its own. */
  private deployment(resource: Resource, scope: Scope, file: string, path: string, depth: number): void {
    const { template, templateLink, parameters, expressionEvaluationOptions } = (resource.properties ?? {}) as {
      expressionEvaluationOptions?: { scope?: string }
      template?: Template
      templateLink?: { uri?: unknown; relativePath?: unknown }
      parameters?: Record<string, { value?: unknown }>
    }
    const missing = new Set<string>()
    const given: Record<string, unknown> = {}
    for (const [name, v] of Object.entries(parameters ?? {})) {
      const before = missing.size
      const value = evaluated(v?.value, scope, missing, file, `${path}.properties.parameters.${name}`)
      // What has no value out here has none in there.
      if (missing.size === before) given[name] = value
    }
    if (template) {
      // Without a word of its own the outer template's parameters and variables are meant.
      const isInner = /^inner$/i.test(expressionEvaluationOptions?.scope ?? 'outer')
      this.read(template, given, file, `${path}.properties.template`, depth + 1, isInner ? undefined : scope)
      return
    }
    const uri = templateLink?.relativePath ?? templateLink?.uri
    if (uri === undefined) return
    const linked = /([\w.-]+\.json)[^/]*$/i.exec(fileIn(uri, scope))?.[1]
    if (linked === undefined)
      throw new FerryError('FERRY-7001', `${file}: ${path} links to no file of JSON: ${String(uri)}`)
    const next = join(dirname(file), linked)
    this.read(this.readJson(next) as Template, given, next, '$', depth + 1)
  }
}

/** The name of a resource. A parameter without a value gives its own name: templates of the gallery leave the factory's name out. */
function nameOf(given: unknown, scope: Scope, file: string, path: string): string {
  const functions = new Map(scope.functions)
  functions.set('parameters', args => {
    try {
      return scope.functions.get('parameters')!(args)
    } catch (error) {
      if (error instanceof Missing) return String(args[0])
      throw error
    }
  })
  return String(evaluated(given, { functions }, undefined, file, path))
}

/** The address of a linked template; the container that it was exported to is of no matter. */
function fileIn(uri: unknown, scope: Scope): string {
  const missing = new Set<string>()
  const text = String(evaluated(uri, scope, missing, '', ''))
  return missing.size > 0 ? String(uri).replaceAll(/['")\]]+$/g, '') : text
}

const CONTEXT = new Map(
  [
    'parameters',
    'variables',
    'resourceGroup',
    'subscription',
    'resourceId',
    'format',
    'deployment',
    'uniqueString',
  ].map(n => [n.toLowerCase(), n]),
)

function scopeOf(template: Template, given: Record<string, unknown>): Scope {
  const declared = template.parameters ?? {}
  const variables = template.variables ?? {}
  const lower = (all: object) => new Map(Object.keys(all).map(name => [name.toLowerCase(), name]))
  const declaredNames = lower(declared)
  const givenNames = lower(given)
  const variableNames = lower(variables)
  const functions = new Map<string, (args: Value[]) => Value>([
    [
      'parameters',
      ([name]) => {
        const key = String(name).toLowerCase()
        const named = givenNames.get(key)
        if (named !== undefined) return valueOf(given[named])
        const own = declaredNames.get(key)
        const { defaultValue } = own === undefined ? {} : declared[own]!
        // A password that was exported as an empty text was left out.
        if (defaultValue === undefined) throw new Missing(String(name))
        return valueOf(evaluated(defaultValue, scope, undefined, '', ''))
      },
    ],
    [
      'variables',
      ([name]) => {
        const own = variableNames.get(String(name).toLowerCase())
        if (own === undefined) throw new FerryError('FERRY-7001', `the template has no variable ${String(name)}`)
        return valueOf(evaluated(variables[own], scope, undefined, '', ''))
      },
    ],
    ['resourcegroup', () => ({ location: 'local', name: 'local', id: '/subscriptions/local/resourceGroups/local' })],
    ['subscription', () => ({ subscriptionId: 'local', tenantId: 'local', id: '/subscriptions/local' })],
    ['deployment', () => ({ name: 'local' })],
    ['uniquestring', args => args.map(textOf).join('')],
    ['resourceid', args => args.map(textOf).join('/')],
    [
      'format',
      ([text, ...args]) =>
        textOf(text!).replaceAll(/\{(\d+)\}/g, (all, i) =>
          args[Number(i)] === undefined ? all : textOf(args[Number(i)]!),
        ),
    ],
  ])
  const scope: Scope = { functions }
  return scope
}

/** Evaluates a value of a template: `[...]` is an expression, `[[` an escaped `[`. Adds to `missing` the names of parameters that have no value. */
function evaluated(
  value: unknown,
  scope: Scope,
  missing: Set<string> | undefined,
  file: string,
  path: string,
): unknown {
  if (typeof value === 'string') {
    if (!value.startsWith('[') || !value.endsWith(']')) return value
    if (value.startsWith('[[')) return value.slice(1)
    try {
      const source = value.slice(1, -1)
      const expression = parseExpression(source)
      const unknown = callsIn({ kind: 'expression', expression, source }).find(
        c => !CONTEXT.has(c.name.toLowerCase()) && !FUNCTIONS.has(c.name.toLowerCase()),
      )
      // What only Azure can answer is left open, such as the keys of an account.
      if (unknown) throw new Missing(`${unknown.name}(...)`)
      return plain(compile({ kind: 'expression', expression, source }, CONTEXT)!(scope))
    } catch (error) {
      if (error instanceof Missing && missing) {
        missing.add(error.parameter)
        return value
      }
      if (error instanceof Missing) throw new FerryError('FERRY-7001', `${file}: ${path}: ${error.message}`)
      if (error instanceof FerryError) throw new FerryError('FERRY-7001', `${file}: ${path}: ${error.message}`)
      throw error
    }
  }
  if (Array.isArray(value)) return value.map((v, i) => evaluated(v, scope, missing, file, `${path}[${i}]`))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, v]) => [name, evaluated(v, scope, missing, file, `${path}.${name}`)]),
  )
}

function plain(value: Value): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  if (isObject(value)) return Object.fromEntries(Object.entries(value as ValueObject).map(([n, v]) => [n, plain(v)]))
  return plainOf(value)
}
