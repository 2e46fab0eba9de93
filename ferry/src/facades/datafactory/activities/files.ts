/** Activities about files, and about what is there at all: GetMetadata, Delete, Validation. */

import { csvEncoder } from '../../../batch/csv.ts'
import { FERRY_CSV } from '../../../batch/encoding.ts'
import { typeName, utf8 } from '../../../batch/types.ts'
import type { FileView } from '../../../contract/capabilities.ts'
import type { Store } from '../../../contract/store.ts'
import { FerryError } from '../../../errors.ts'
import type { ActivityContext, ActivityKind } from '../../../pipelines/activity.ts'
import { ActivityFailure } from '../../../pipelines/errors.ts'
import { isObject, type ValueObject, valueOf } from '../../../pipelines/expressions/values.ts'
import {
  requireBoolean,
  requireInteger,
  requireList,
  requireObject,
  requireSpan,
  requireText,
} from '../../../pipelines/resolve.ts'
import { datasetAt, kindsOf, type Running, type Surroundings, withStore } from '../context.ts'
import type { Dataset, FilesPlace } from '../datasets.ts'
import { join, modifiedRange, optional, placedAt, sourceObject } from '../files.ts'
import { writeLogFile } from './copylog.ts'
import { filesOf } from './lookup.ts'

const FIELDS = [
  'itemName',
  'itemType',
  'size',
  'created',
  'lastModified',
  'childItems',
  'contentMD5',
  'structure',
  'columnCount',
  'exists',
]
const MOST_CHILDREN = 20_000

export function getMetadataActivity(around: Surroundings): ActivityKind {
  return { type: 'GetMetadata', isOutside: true, run: context => getMetadata(around, context) }
}

async function getMetadata(around: Surroundings, context: ActivityContext): Promise<ValueObject> {
  const dataset = datasetAt(around, context, context.activity.typeProperties.dataset, 'dataset')
  const fields = requireList(context.property('fieldList'), 'fieldList').map((f, i) =>
    requireText(f, `fieldList[${i}]`),
  )
  const unknown = fields.find(f => !FIELDS.includes(f))
  if (unknown !== undefined)
    throw new FerryError('FERRY-7001', `fieldList: there is no field ${unknown}: there are ${FIELDS.join(', ')}`)
  context.told({ dataset: dataset.name, fieldList: fields })
  const { at } = dataset
  if (at.kind === 'files') return ofFiles(around, context, dataset, at, fields)
  if (at.kind === 'rest') throw new FerryError('FERRY-7006', 'GetMetadata knows nothing of REST')
  return withStore(around, dataset.endpoint, async store => {
    const info = at.object === undefined ? undefined : await store.describe({ object: at.object, options: {} })
    if (!info && !fields.includes('exists')) throw new ActivityFailure('2100', `${store.label} has no ${at.object}`)
    const columns = info?.columns.filter(c => !c.onRequest) ?? []
    return chosen(fields, dataset.name, {
      exists: info !== undefined,
      ...(info && {
        structure: columns.map(c => ({ name: c.name, type: typeName(c.type) })),
        columnCount: columns.length,
      }),
    })
  })
}

async function ofFiles(
  around: Surroundings,
  context: ActivityContext,
  dataset: Dataset,
  at: FilesPlace,
  fields: string[],
): Promise<ValueObject> {
  const { endpoint, root } = placedAt(dataset.endpoint, at, await kindsOf(around))
  const settings = context.property('storeSettings')
  const isInRange = modifiedRange(isObject(settings) ? settings : {})
  return withStore(around, endpoint, async store => {
    const found = await itemAt(store, join(root, at.folder), at.file)
    if (!found) {
      if (fields.includes('exists')) return valueOf({ exists: false }) as ValueObject
      throw new ActivityFailure('2100', `there is no ${join(root, at.folder, at.file)} (${store.label})`)
    }
    const common = { exists: true, itemName: nameOf(found.name), ...modifiedOf(found.modified) }
    if (found.kind === 'folder') {
      const children = fields.includes('childItems') ? await childrenOf(store, found.name) : []
      const shown = children.filter(c => c.type === 'Folder' || isInRange(c.modified))
      return chosen(fields, dataset.name, {
        ...common,
        itemType: 'Folder',
        childItems: shown.map(({ name, type }) => ({ name, type })),
      })
    }
    const needsColumns = fields.includes('structure') || fields.includes('columnCount')
    const columns = needsColumns ? await columnsOf(around, dataset, at, context) : undefined
    return chosen(fields, dataset.name, {
      ...common,
      itemType: 'File',
      size: found.size,
      ...(fields.includes('contentMD5') ? { contentMD5: await store.folders!.md5(found.name) } : {}),
      ...(columns && { structure: columns, columnCount: columns.length }),
    })
  })
}

/** Only the fields that were asked for. Throws FERRY-7006 for one that this store does not have. */
function chosen(fields: string[], dataset: string, all: Record<string, unknown>): ValueObject {
  const missing = fields.find(f => all[f] === undefined)
  if (missing !== undefined && (all.exists !== false || missing === 'exists')) {
    throw new FerryError('FERRY-7006', `${missing} of dataset ${dataset} is not known here`)
  }
  return valueOf(Object.fromEntries(fields.filter(f => all[f] !== undefined).map(f => [f, all[f]]))) as ValueObject
}

const modifiedOf = (ms: number) => (ms === 0 ? {} : { lastModified: `${new Date(ms).toISOString().slice(0, 19)}Z` })
const nameOf = (path: string) => path.replace(/\/+$/, '').split('/').at(-1) ?? ''

type Item =
  | { kind: 'file'; name: string; size: number; modified: number }
  | { kind: 'folder'; name: string; modified: number }

/** The file or the folder of a dataset. */
async function itemAt(store: Store, folder: string, file: string | undefined): Promise<Item | undefined> {
  const { folders } = store
  if (!folders) throw new FerryError('FERRY-7006', `${store.label} has no files`)
  if (file !== undefined) {
    const found = await folders.file(join(folder, file))
    return found && { kind: 'file', ...found }
  }
  const path = folder === '' ? '' : `${folder}/`
  try {
    const view = await folders.list(path, 1)
    // Stores without folders have one where something is in it.
    const isThere = view.files.length > 0 || view.folders.length > 0 || folder === ''
    return isThere || (await isFolder(store, folder)) ? { kind: 'folder', name: path, modified: 0 } : undefined
  } catch (error) {
    if (error instanceof FerryError && /^FERRY-(2001|3001)$/.test(error.code)) return undefined
    throw error
  }
}

/** True if a folder that holds nothing is there: its parent knows. */
async function isFolder(store: Store, folder: string): Promise<boolean> {
  const parent = folder.includes('/') ? folder.slice(0, folder.lastIndexOf('/') + 1) : ''
  const view = await store.folders!.list(parent, MOST_CHILDREN).catch(() => undefined)
  return view?.folders.some(f => nameOf(f) === nameOf(folder)) ?? false
}

async function childrenOf(
  store: Store,
  folder: string,
): Promise<{ name: string; type: 'File' | 'Folder'; modified: number }[]> {
  const view = await store.folders!.list(folder, MOST_CHILDREN)
  if (view.more) throw new FerryError('FERRY-7008', `${folder} has more than ${MOST_CHILDREN} items`)
  return [
    ...view.folders.map(f => ({ name: nameOf(f), type: 'Folder' as const, modified: 0 })),
    ...view.files.map(f => ({ name: nameOf(f.name), type: 'File' as const, modified: f.modified })),
  ]
}

async function columnsOf(around: Surroundings, dataset: Dataset, at: FilesPlace, context: ActivityContext) {
  if (at.format === 'binary' || at.format === 'json') {
    throw new FerryError('FERRY-7006', `${dataset.type} datasets have no structure`)
  }
  const settings = context.property('storeSettings')
  const source: ValueObject = { storeSettings: isObject(settings) ? settings : {} }
  const { endpoint, object, options } = filesOf(dataset, at, source, await kindsOf(around))
  return withStore(around, endpoint, async store => {
    const info = await store.describe({ object, options })
    return info?.columns
      .filter(c => !c.onRequest)
      .map(c => ({ name: c.name, type: at.format === 'csv' ? 'String' : typeName(c.type) }))
  })
}

export function deleteActivity(around: Running): ActivityKind {
  return { type: 'Delete', isOutside: true, run: context => remove(around, context) }
}

async function remove(around: Running, context: ActivityContext): Promise<ValueObject> {
  const { typeProperties } = context.activity
  const dataset = datasetAt(around, context, typeProperties.dataset, 'dataset')
  const { at } = dataset
  if (at.kind !== 'files')
    throw new FerryError('FERRY-7006', `dataset ${dataset.name} is no file: only files are deleted`)
  const given = context.property('storeSettings')
  const store: ValueObject = isObject(given) ? { ...given } : {}
  // An older form has it beside the dataset.
  const said = store.recursive ?? context.property('recursive')
  const recursive = said !== undefined && said !== null && requireBoolean(said, 'recursive')
  store.recursive = recursive
  const { endpoint, root } = placedAt(dataset.endpoint, at, await kindsOf(around))
  const { object } = sourceObject(at, root, store)
  const isWildcard = optional(store.wildcardFileName) !== undefined || optional(store.wildcardFolderPath) !== undefined
  const isInRange = modifiedRange(store)
  context.told({ dataset: dataset.name, object, recursive })
  const deleted: string[] = []
  await withStore(around, endpoint, async ({ folders }) => {
    if (!folders) throw new FerryError('FERRY-7006', `dataset ${dataset.name}: files of this store are not deleted`)
    const all: FileView[] = []
    for await (const page of folders.files(object, recursive)) all.push(...page.filter(f => isInRange(f.modified)))
    for (const file of all) {
      if (context.signal.aborted) throw context.signal.reason
      if (await folders.remove(file)) deleted.push(file.name)
      else throw new ActivityFailure('FERRY-5005', `${file.name} was changed while it was to be deleted: it stays`)
    }
    // With all that is in it a folder goes itself.
    if (recursive && object.endsWith('/') && object !== './' && !isWildcard) await folders.removeEmpty(object)
  })
  const logPath = await deletionLog(around, context, deleted)
  return valueOf({
    ...(logPath === undefined ? {} : { logPath }),
    datasetName: dataset.service.type,
    type: dataset.type,
    recursive,
    isWildcardUsed: isWildcard,
    filesDeleted: deleted.length,
    effectiveIntegrationRuntime: 'Ferry',
    executionDuration: Math.round((Date.now() - context.startedAt) / 1000),
  }) as ValueObject
}

/** Writes the names of what was deleted where the activity wants its log; gives back its path. */
async function deletionLog(around: Running, context: ActivityContext, deleted: string[]): Promise<string | undefined> {
  const { enableLogging } = context.activity.typeProperties
  if (enableLogging === undefined || !requireBoolean(context.property('enableLogging'), 'enableLogging'))
    return undefined
  const place = requireObject(context.property('logStorageSettings'), 'logStorageSettings')
  const line = csvEncoder([utf8, utf8, utf8, utf8], FERRY_CSV)
  const text = `Name,Category,Status,Error\n${deleted.map(name => line([[name, 'File', 'Deleted', null]])).join('')}`
  return writeLogFile(around, context, {
    linkedServiceName: place.linkedServiceName,
    path: optional(place.path) ?? '',
    folders: [],
    name: `${context.runId}-${encodeURIComponent(context.key)}.csv`,
    text,
  })
}

const DEFAULT_VALIDATION_MS = 12 * 3_600_000
const DEFAULT_SLEEP = 10

export function validationActivity(around: Surroundings): ActivityKind {
  return { type: 'Validation', isOutside: true, isContainer: true, run: context => validate(around, context) }
}

async function validate(around: Surroundings, context: ActivityContext): Promise<ValueObject> {
  const { typeProperties } = context.activity
  const dataset = datasetAt(around, context, typeProperties.dataset, 'dataset')
  const { at } = dataset
  const limit =
    typeProperties.timeout === undefined ? DEFAULT_VALIDATION_MS : requireSpan(context.property('timeout'), 'timeout')
  const sleep =
    typeProperties.sleep === undefined ? DEFAULT_SLEEP : requireInteger(context.property('sleep'), 'sleep', 1, 86_400)
  const least =
    typeProperties.minimumSize === undefined
      ? 0
      : requireInteger(context.property('minimumSize'), 'minimumSize', 0, Number.MAX_SAFE_INTEGER)
  const children =
    typeProperties.childItems === undefined ? undefined : requireBoolean(context.property('childItems'), 'childItems')
  const kinds = await kindsOf(around)
  context.told({ dataset: dataset.name })
  for (;;) {
    const output = at.kind === 'files' ? await look(at) : await lookAtTable()
    if (output) return valueOf(output) as ValueObject
    if (Date.now() - context.startedAt > limit) {
      throw new ActivityFailure(
        'ActivityTimedOut',
        `dataset ${dataset.name} was not there within ${String(typeProperties.timeout ?? '0.12:00:00')}`,
      )
    }
    await context.sleep(sleep * 1000)
  }
  async function lookAtTable() {
    const { object } = at as { object?: string }
    const info = await withStore(
      around,
      dataset.endpoint,
      async store => object !== undefined && store.describe({ object, options: {} }),
    )
    return info ? { exists: true } : undefined
  }
  async function look(files: FilesPlace) {
    const { endpoint, root } = placedAt(dataset.endpoint, files, kinds)
    return withStore(around, endpoint, async store => {
      const found = await itemAt(store, join(root, files.folder), files.file)
      if (!found) return undefined
      if (found.kind === 'file') {
        if (found.size < least) return undefined
        return {
          exists: true,
          itemName: nameOf(found.name),
          itemType: 'File',
          size: found.size,
          ...modifiedOf(found.modified),
        }
      }
      if (children !== undefined) {
        const view = await store.folders!.list(found.name, 1)
        if (children !== view.files.length + view.folders.length > 0) return undefined
      }
      return { exists: true, itemName: nameOf(found.name), itemType: 'Folder' }
    })
  }
}
