/** Reading a factory: the folders of its git repository, or an exported template of Azure Resource Manager. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { FerryError } from '../../errors.ts'
import type { Policy } from '../../policy.ts'
import { readTemplate } from './arm.ts'
import { type Artifact, CATEGORIES, type Category, Factory, globalsOf } from './artifacts.ts'

import { fromFabric } from './fabric.ts'

const MOST_FILES = 20_000
const MOST_BYTES = 64_000_000

/** Reads a factory from a folder or a template; `parameterFiles` are those of the template. Throws FERRY-7001. */
export function readFactory(place: string, parameterFiles: readonly string[], policy: Policy): Factory {
  const path = policy.pathOf(resolve(place))
  const found = statSync(path, { throwIfNoEntry: false })
  if (!found) throw new FerryError('FERRY-7001', `${place} is not there`)
  if (found.isFile()) {
    return readTemplate(
      path,
      parameterFiles.map(file => policy.pathOf(resolve(file))),
      file => readJson(policy.pathOf(file)),
    )
  }
  if (parameterFiles.length > 0) {
    throw new FerryError('FERRY-7001', `${place} is a folder: files of parameters are those of a template`)
  }
  return readFolder(path, place, policy)
}

/** What a folder with an exported template holds. */
const TEMPLATES = ['ARMTemplateForFactory.json', 'TemplateForWorkspace.json', 'template.json']

function readFolder(root: string, place: string, policy: Policy): Factory {
  const artifacts: Artifact[] = []
  // A folder may be a link that leads out of where this process may read.
  const within = (...names: string[]) => policy.pathOf(join(root, ...names))
  for (const category of CATEGORIES) {
    for (const file of jsonFiles(within(category))) {
      artifacts.push(artifactOf(category, within(category, file)))
      if (artifacts.length > MOST_FILES)
        throw new FerryError('FERRY-7001', `${place} has more than ${MOST_FILES} artifacts`)
    }
  }
  for (const folder of folders(root).filter(f => /\.DataPipeline$/i.test(f))) {
    const file = within(folder, 'pipeline-content.json')
    const content = readJson(file)
    const pipeline = {
      category: 'pipeline' as const,
      name: folder.replace(/\.DataPipeline$/i, ''),
      properties: propertiesOf(content, file),
      file,
      path: '$.properties',
      missing: [],
    }
    artifacts.push(...fromFabric(pipeline))
  }
  const template = TEMPLATES.map(name => within(name)).find(path => existsSync(path))
  if (artifacts.length === 0 && template !== undefined)
    return readTemplate(template, [], file => readJson(policy.pathOf(file)))
  if (artifacts.length === 0) {
    throw new FerryError('FERRY-7001', `${place} is no folder of a factory: it has none of ${CATEGORIES.join(', ')}`, {
      hint: 'Name the folder that Data Factory keeps in git, the one with `pipeline` in it, or a template.json.',
    })
  }
  const [own] = jsonFiles(within('factory'))
  const file = own === undefined ? undefined : within('factory', own)
  const factory =
    file === undefined ? {} : (readJson(file) as { name?: unknown; properties?: { globalParameters?: unknown } })
  const name = typeof factory.name === 'string' ? factory.name : basename(root)
  return new Factory(name, artifacts, globalsOf(factory.properties?.globalParameters))
}

function artifactOf(category: Category, file: string): Artifact {
  try {
    return readArtifact(category, file)
  } catch (error) {
    // The others can be read.
    const name = basename(file).replace(/\.json$/i, '')
    return { category, name, properties: {}, file, path: '$', missing: [], fault: (error as FerryError).message }
  }
}

function readArtifact(category: Category, file: string): Artifact {
  const content = readJson(file)
  const named = (content as { name?: unknown }).name
  const name = typeof named === 'string' ? named : basename(file).replace(/\.json$/i, '')
  return { category, name, properties: propertiesOf(content, file), file, path: '$.properties', missing: [] }
}

function propertiesOf(content: unknown, file: string): Record<string, unknown> {
  const { properties } = content as { properties?: unknown }
  if (typeof properties === 'object' && properties !== null && !Array.isArray(properties)) {
    return properties as Record<string, unknown>
  }
  throw new FerryError('FERRY-7001', `${file}: it has no "properties"`)
}

const jsonFiles = (folder: string) => entries(folder, false).filter(name => /\.json$/i.test(name))
const folders = (folder: string) => entries(folder, true)

function entries(folder: string, areFolders: boolean): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(e => (areFolders ? e.isDirectory() : e.isFile()))
      .map(e => e.name)
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw new FerryError('FERRY-7001', `${folder}: ${(error as Error).message}`, { cause: error })
  }
}

/** A file of JSON; numbers that a float cannot hold are bigint. Throws FERRY-7001. */
export function readJson(file: string): object {
  let text: string
  try {
    if (statSync(file).size > MOST_BYTES) throw new Error(`it has more than ${MOST_BYTES / 1e6} MB`)
    text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    throw new FerryError('FERRY-7001', `${file}: ${(error as Error).message}`, { cause: error })
  }
  let value: unknown
  try {
    value = JSON.parse(text, reviveNumber)
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message)?.[1]
    const line = at === undefined ? '' : `:${text.slice(0, Number(at)).split('\n').length}`
    throw new FerryError('FERRY-7001', `${file}${line}: ${(error as Error).message}`, { cause: error })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new FerryError('FERRY-7001', `${file}: it is no object`)
}

function reviveNumber(_key: string, value: unknown, context?: { source: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
  const source = context?.source ?? ''
  return /^-?\d{1,19}$/.test(source) ? BigInt(source) : value
}
