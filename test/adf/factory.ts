/** Factories of tests: artifacts written as git keeps them, and run in a state of their own. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Factory } from '../../ferry/src/facades/datafactory/artifacts.ts'
import { programOf } from '../../ferry/src/facades/datafactory/program.ts'
import { readFactory } from '../../ferry/src/facades/datafactory/read.ts'
import { NO_REDIRECTS, type Redirects } from '../../ferry/src/facades/datafactory/redirects.ts'
import { type Ended, type Execution, executeRun } from '../../ferry/src/pipelines/execute.ts'
import { parseValue, plainOf, type ValueObject, valueOf } from '../../ferry/src/pipelines/expressions/values.ts'
import { createRun } from '../../ferry/src/pipelines/make.ts'
import { CopierPool } from '../../ferry/src/runtime/copier.ts'
import { openState, type State } from '../../ferry/src/state/database.ts'
import { activityRuns } from '../../ferry/src/state/pipelines.ts'
import { policy, temporaryFolder } from '../support.ts'

/** Artifacts by `category/name`; each value is the `properties`. */
export type Artifacts = Record<string, object>

/** Writes a factory as Data Factory keeps it in git. */
export function writeFactory(artifacts: Artifacts, globals: Record<string, unknown> = {}): string {
  const folder = temporaryFolder()
  for (const [path, properties] of Object.entries(artifacts)) {
    const [category, name] = path.split('/') as [string, string]
    mkdirSync(join(folder, category), { recursive: true })
    writeFileSync(join(folder, category, `${name}.json`), JSON.stringify({ name, properties }))
  }
  mkdirSync(join(folder, 'factory'))
  const globalParameters = Object.fromEntries(
    Object.entries(globals).map(([name, value]) => [name, { type: 'string', value }]),
  )
  writeFileSync(
    join(folder, 'factory', 'tests.json'),
    JSON.stringify({ name: 'tests', properties: { globalParameters } }),
  )
  return folder
}

/** A folder with files, by their paths. */
export function folderWith(files: Record<string, string>): string {
  const folder = temporaryFolder()
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

export interface RanActivity {
  name: string
  key: string
  state: string
  // biome-ignore lint/suspicious/noExplicitAny: outputs have the shapes of their activities.
  output: any
  // biome-ignore lint/suspicious/noExplicitAny: as are errors.
  error: any
  copy: string | null
}

export interface Ran {
  end: Ended
  activities: RanActivity[]
  state: State
  execution: Execution
  /** The activity of a name. */
  of(name: string): RanActivity
}

/** Runs a pipeline of a factory in a state of its own. */
export async function runFactory(
  artifacts: Artifacts,
  pipeline: string,
  { parameters = {}, redirects = NO_REDIRECTS }: { parameters?: object; redirects?: Redirects } = {},
): Promise<Ran> {
  return runRead(readFactory(writeFactory(artifacts, { zone: 'eu' }), [], policy), pipeline, parameters, redirects)
}

/** The same with a factory that was read. */
export async function runRead(
  factory: Factory,
  pipeline: string,
  parameters: object,
  redirects: Redirects,
): Promise<Ran> {
  const home = temporaryFolder()
  const environment = { ...process.env, FERRY_HOME: home, FERRY_DATABASE_URL: undefined }
  const state = await openState({ FERRY_HOME: home })
  const copier = new CopierPool(policy, 2, { environment })
  onTestFinished(async () => {
    await copier.close()
    await state.close()
  })
  const program = programOf({ factory, redirects, state, policy, copier })
  const execution: Execution = { state, program, policy, signal: new AbortController().signal }
  const trigger = { type: 'Manual', name: 'Manual', id: 'Manual' }
  const row = await createRun(execution, pipeline, valueOf(parameters) as ValueObject, { trigger })
  const end = await executeRun(execution, row, false)
  const activities = (await activityRuns(state.db, row.id)).map(a => ({
    name: a.name,
    key: a.key,
    state: a.state,
    output: a.output === null ? null : plainOf(parseValue(a.output)),
    error: a.error === null ? null : plainOf(parseValue(a.error)),
    copy: a.copy,
  }))
  const of = (name: string) => {
    const found = activities.find(a => a.name === name)
    if (!found) throw new Error(`no activity ${name}: ${activities.map(a => a.name).join(', ')}`)
    return found
  }
  return { end, activities, state, execution, of }
}

export const reference = (referenceName: string, type: string, parameters?: object) => ({
  referenceName,
  type,
  ...(parameters ? { parameters } : {}),
})
export const dataset = (name: string, parameters?: object) => reference(name, 'DatasetReference', parameters)
export const service = (name: string, parameters?: object) => reference(name, 'LinkedServiceReference', parameters)
export const expression = (value: string) => ({ value, type: 'Expression' })
export const after = (activity: string, ...dependencyConditions: string[]) => [
  { activity, dependencyConditions: dependencyConditions.length > 0 ? dependencyConditions : ['Succeeded'] },
]

/** What sources of files are read by. */
export const READ = { type: 'FileServerReadSettings', recursive: true }
export const WRITE = { type: 'FileServerWriteSettings' }
export const fromCsv = (more: object = {}) => ({ type: 'DelimitedTextSource', storeSettings: READ, ...more })

export const activity = (name: string, type: string, typeProperties: object, more: object = {}) => ({
  name,
  type,
  typeProperties,
  ...more,
})

/** A copy activity. */
export const copyOf = (name: string, input: object, output: object, typeProperties: object, more: object = {}) => ({
  name,
  type: 'Copy',
  inputs: [input],
  outputs: [output],
  typeProperties,
  ...more,
})

/** Linked services of the tests' stores. */
export const folderService = (folder: string) => ({ type: 'FileServer', typeProperties: { host: folder } })
export const postgresService = (url: string) => {
  const { hostname, port, username, pathname } = new URL(url)
  const connectionString = `host=${hostname};port=${port};database=${pathname.slice(1)};uid=${username};sslmode=0`
  return { type: 'AzurePostgreSql', typeProperties: { connectionString } }
}
export const cosmosService = ({ endpoint, key }: { endpoint: string; key: string }, database = 'shop') => ({
  type: 'CosmosDb',
  typeProperties: { connectionString: `AccountEndpoint=${endpoint};AccountKey=${key};Database=${database}` },
})

/** Datasets with their folder and file as parameters. */
export const csvDataset = (linked: string, more: object = {}) => ({
  type: 'DelimitedText',
  linkedServiceName: service(linked),
  parameters: { folder: { type: 'string', defaultValue: '' }, file: { type: 'string', defaultValue: '' } },
  typeProperties: {
    location: {
      type: 'FileServerLocation',
      folderPath: expression('@dataset().folder'),
      fileName: expression('@dataset().file'),
    },
    columnDelimiter: ',',
    escapeChar: '\\',
    quoteChar: '"',
    firstRowAsHeader: true,
    ...more,
  },
  schema: [],
})
export const filesDataset = (type: string, linked: string, more: object = {}) => {
  const { typeProperties, ...rest } = csvDataset(linked)
  return { ...rest, type, typeProperties: { location: typeProperties.location, ...more } }
}
export const tableDataset = (linked: string, type = 'AzurePostgreSqlTable') => ({
  type,
  linkedServiceName: service(linked),
  parameters: { schema: { type: 'string', defaultValue: 'public' }, table: { type: 'string' } },
  typeProperties: { schema: expression('@dataset().schema'), table: expression('@dataset().table') },
})
export const collectionDataset = (linked: string, type = 'CosmosDbSqlApiCollection') => ({
  type,
  linkedServiceName: service(linked),
  parameters: { collection: { type: 'string' } },
  typeProperties: { collectionName: expression('@dataset().collection') },
})

/** A data flow with the datasets of its sources and sinks. */
export const flowOf = (sources: Record<string, object>, sinks: Record<string, object>, script: string) => {
  const side = (all: Record<string, object>) => Object.entries(all).map(([name, of]) => ({ name, dataset: of }))
  return {
    type: 'MappingDataFlow',
    typeProperties: {
      sources: side(sources),
      sinks: side(sinks),
      transformations: [],
      scriptLines: script.split('\n'),
    },
  }
}
