/** Sources that are brought here before they are copied: packed files, and answers of a web server to a request of one's own. */
import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { FerryError } from '../../errors.ts'
import type { CopyJob } from '../../job/schema.ts'
import { send } from '../../objects/remote/request.ts'
import type { ActivityContext } from '../../pipelines/activity.ts'
import { ActivityFailure } from '../../pipelines/errors.ts'
import { isObject, type ValueObject } from '../../pipelines/expressions/values.ts'
import { discardCopy, keepStep, keptCopies, keptStep, spoolFolder } from '../../pipelines/keptcopy.ts'
import { requireBoolean, requireObject, requireSpan } from '../../pipelines/resolve.ts'
import type { RunReport } from '../../runtime/report.ts'
import { newestRun } from '../../state/runs.ts'
import { filesIn, kindsOf, type Running } from './context.ts'
import { copyJobOf, requireSource } from './copyjob.ts'
import type { Dataset, FilesPlace } from './datasets.ts'
import { listedFiles } from './filelist.ts'
import { codecOf, join as joined, optional, placedAt } from './files.ts'
import { headersOf } from './rest.ts'
import { isArchive, PACKINGS, type Packing, unpack, unpackedName } from './unpack.ts'
import { withoutSecrets } from './web.ts'

export interface Fetched {
  /** The dataset as it is here. */
  source: Dataset
  /** `typeProperties` of the copy without what has been done already. */
  properties: ValueObject
}

interface Fetching {
  around: Running
  context: ActivityContext
  /** The name of the copy that is to come. */
  name: string
  source: Dataset
  properties: ValueObject
  execute(job: CopyJob): Promise<RunReport>
}

/** A source that has to be brought here first, once it is here; undefined for all others. Throws ActivityFailure, FERRY-4004, FERRY-7006. */
export async function fetched(fetching: Fetching): Promise<Fetched | undefined> {
  const { around, context, name, source, properties } = fetching
  if (source.at.kind !== 'files') return undefined
  const from = requireObject(properties.source, 'source')
  const packing = packingOf(source.properties, source.at)
  const request = requestOf(from)
  if (packing === undefined && request === undefined) return undefined
  requireSource(from)
  requirePlain(from)
  const folder = spoolFolder(around.state, name)
  if (!keptStep(context, 'folders')) keepStep(context, 'folders', [name])
  const whole = join(folder, 'files')
  if (!existsSync(whole)) {
    const raw = join(folder, 'fetched')
    if (request === undefined) await copyHere(fetching, raw)
    else await ask(fetching, source.at, request, raw)
    if (packing !== undefined) {
      const into = { target: join(folder, 'unpacked'), isNamed: foldersOf(from), ofRows: source.at.format !== 'binary' }
      try {
        await unpackAll(raw, packing, into, context.signal)
      } catch (error) {
        // Another try fetches them again: they may have been mended.
        if (!context.signal.aborted) rmSync(raw, { recursive: true, force: true })
        throw error
      }
    }
    // Only what is whole has the name.
    renameSync(packing === undefined ? raw : join(folder, 'unpacked'), whole)
    rmSync(raw, { recursive: true, force: true })
  }
  const { compression: _, compressionCodec: __, ...unpacked } = source.properties
  const files = readdirSync(whole)
  const only = source.at.file !== undefined && files.length === 1 && !isFolder(packing) ? files[0] : undefined
  return {
    source: {
      ...source,
      endpoint: { kind: 'files', folder: whole },
      at: { ...source.at, container: undefined, folder: '', file: only },
      properties: request !== undefined && packing === undefined ? source.properties : unpacked,
    },
    properties: {
      ...properties,
      source: {
        ...from,
        storeSettings: { type: 'FileServerReadSettings', recursive: true },
        formatSettings: { ...(from.formatSettings as ValueObject | undefined), compressionProperties: null },
      },
    },
  }
}

const isFolder = (packing: Packing | undefined) => packing !== undefined && isArchive(packing)

/** How files are packed that no reader of rows unpacks by itself. */
function packingOf(properties: ValueObject, { format }: FilesPlace): Packing | undefined {
  const codec = format === 'parquet' ? undefined : codecOf(properties)?.toLowerCase()
  const packing = codec === undefined ? undefined : PACKINGS[codec]
  return packing === 'gzip' && format !== 'binary' ? undefined : packing
}

/** Throws FERRY-7006 for settings that mean the files as they lie in their store. */
function requirePlain(from: ValueObject): void {
  const store = isObject(from.storeSettings) ? from.storeSettings : {}
  const refused = ['enablePartitionDiscovery', 'deleteFilesAfterCompletion'].find(
    name => store[name] !== undefined && store[name] !== null && requireBoolean(store[name], name),
  )
  if (refused) throw new FerryError('FERRY-7006', `${refused} is not known here of files that are packed or asked for`)
  const added = Array.isArray(from.additionalColumns) ? from.additionalColumns : []
  if (added.some(a => isObject(a) && /^\$\$FILEPATH$/i.test(String(a.value)))) {
    throw new FerryError('FERRY-7006', '$$FILEPATH is not known here of files that are packed or asked for')
  }
}

/** Whether the name of an archive is a folder for what is in it, as it is where nothing is said. */
function foldersOf({ formatSettings }: ValueObject): boolean {
  const settings = isObject(formatSettings) ? formatSettings.compressionProperties : undefined
  if (!isObject(settings)) return true
  const given = settings.preserveZipFileNameAsFolder ?? settings.preserveCompressionFileNameAsFolder
  return given === undefined || given === null || requireBoolean(given, 'preserveCompressionFileNameAsFolder')
}

/** Copies the files as they are into a folder. */
async function copyHere({ around, context, name, source, properties, execute }: Fetching, raw: string): Promise<void> {
  const from = requireObject(properties.source, 'source')
  const at = source.at as FilesPlace
  const [job] = await keptCopies(context, 'stages', async () => {
    const kindOf = await kindsOf(around)
    return [
      await copyJobOf({
        name: `${name}-fetch`,
        source: { ...source, type: 'Binary', at: { ...at, format: 'binary' }, properties: {} },
        sink: {
          ...source,
          name: 'spool',
          type: 'Binary',
          endpoint: { kind: 'files', folder: raw },
          at: { kind: 'files', format: 'binary', container: undefined, folder: '', file: undefined },
          properties: {},
        },
        properties: {
          source: { type: 'BinarySource', storeSettings: from.storeSettings ?? null },
          sink: { type: 'BinarySink', storeSettings: { type: 'FileServerWriteSettings' } },
        },
        kindOf,
        listed: await listedFiles(around, source, properties),
        list: filesIn(around),
      }),
    ]
  })
  // What a copy before this one has brought, whole, is there still; what is left of others goes.
  const before = await newestRun(around.state.db, job!.name)
  if (before?.state === 'completed' && existsSync(raw)) return
  const isOpen =
    before !== undefined && before.state !== 'completed' && before.state !== 'cancelled' && before.given_up !== 1
  if (!isOpen) rmSync(raw, { recursive: true, force: true })
  mkdirSync(raw, { recursive: true, mode: 0o700 })
  const report = await execute(job!)
  if (report.status === 'completed') return
  const isGivenUp = report.status === 'paused' ? context.signal.reason !== 'stop' : context.isLastAttempt
  if (isGivenUp) await discardCopy(around.state, job!, around.policy)
  const [first] = report.errors
  throw new ActivityFailure(
    first?.code ?? 'Cancelled',
    first ? `${first.message}. ${first.hint}` : `the copy of the packed files is ${report.status}`,
  )
}

interface Asked {
  method: string
  headers: Record<string, string>
  body: string | undefined
  limit: number
}

const DEFAULT_TIMEOUT_MS = 100_000

/** What a source asks a web server for in its own way; undefined if it is a file by its address. */
function requestOf({ storeSettings }: ValueObject): Asked | undefined {
  if (!isObject(storeSettings)) return undefined
  const { requestMethod, requestBody, additionalHeaders, requestTimeout } = storeSettings
  const method = (optional(requestMethod) ?? 'GET').toUpperCase()
  const headers = headersOf(additionalHeaders)
  if (method === 'GET' && Object.keys(headers).length === 0) return undefined
  if (method !== 'GET' && method !== 'POST')
    throw new FerryError('FERRY-7001', `requestMethod has to be GET or POST, and is ${method}`)
  return {
    method,
    headers,
    body: method === 'POST' ? (optional(requestBody) ?? '') : undefined,
    limit: optional(requestTimeout) === undefined ? DEFAULT_TIMEOUT_MS : requireSpan(requestTimeout, 'requestTimeout'),
  }
}

/** Asks for a file, and writes the answer as it comes. */
async function ask({ around, context, source }: Fetching, at: FilesPlace, asked: Asked, raw: string): Promise<void> {
  const { endpoint } = placedAt(source.endpoint, at, await kindsOf(around))
  const { kind, url, user, password } = endpoint as unknown as Record<string, string | undefined>
  if (kind !== 'http' || url === undefined) {
    throw new FerryError(
      'FERRY-7006',
      `linked service ${source.service.name} is no web server: it is not asked by requestMethod`,
    )
  }
  rmSync(raw, { recursive: true, force: true })
  mkdirSync(raw, { recursive: true, mode: 0o700 })
  const address = new URL(joined(at.folder, at.file), url.endsWith('/') || at.file === undefined ? url : `${url}/`)
  const { limit, ...request } = asked
  const headers: Record<string, string> = { 'accept-encoding': 'identity', ...request.headers }
  if (user !== undefined) headers.authorization = `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}`
  // It is how long the server may take to answer, not how long its answer may be.
  const timer = new AbortController()
  const timeout = setTimeout(() => timer.abort(), limit)
  const signal = AbortSignal.any([context.signal, timer.signal])
  try {
    const answer = await send(address, { ...request, headers, signal })
    clearTimeout(timeout)
    if (answer.status >= 300) {
      answer.body.destroy()
      throw new ActivityFailure('2108', `${withoutSecrets(address.href)} answers ${answer.status}`)
    }
    await pipeline(answer.body, createWriteStream(join(raw, nameOf(address)), { mode: 0o600 }), {
      signal: context.signal,
    })
    if (!answer.body.complete) throw new Error('the connection broke in the middle of the answer')
  } catch (error) {
    if (context.signal.aborted || error instanceof ActivityFailure || error instanceof FerryError) throw error
    const why = timer.signal.aborted ? `there is no answer within ${limit / 1000} seconds` : (error as Error).message
    throw new ActivityFailure('2108', `${withoutSecrets(address.href)}: ${why}`)
  } finally {
    clearTimeout(timeout)
  }
}

/** The name of a file by its address: what follows the path may be a signature. */
function nameOf(address: URL): string {
  const last = address.pathname.slice(address.pathname.lastIndexOf('/') + 1)
  const name = last.replace(/[^\w.-]/g, '_').slice(0, 100)
  return /^\.*$/.test(name) ? 'answer' : name
}

interface Into {
  target: string
  /** Whether a file of an archive has the path of the archive before its own. */
  isNamed: boolean
  /** Whether they are read as rows. */
  ofRows: boolean
}

/** Unpacks the files of a folder into another. Throws FERRY-3001 where archives hold none, FERRY-4004, FERRY-7006. */
async function unpackAll(
  raw: string,
  packing: Packing,
  { target, isNamed, ofRows }: Into,
  signal: AbortSignal,
): Promise<void> {
  // What another process left of it may be half of a file.
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true, mode: 0o700 })
  const packed = readdirSync(raw, { recursive: true, withFileTypes: true }).filter(e => e.isFile())
  for (const entry of packed) {
    const path = join(entry.parentPath, entry.name)
    const below = path.slice(raw.length + 1)
    const folder = below.slice(0, below.length - entry.name.length)
    if (!isArchive(packing)) await unpack(path, packing, join(target, folder, unpackedName(entry.name)), signal)
    else await unpack(path, packing, join(target, folder, isNamed ? entry.name : ''), signal)
  }
  const files = readdirSync(target, { recursive: true, withFileTypes: true }).filter(e => e.isFile())
  if (files.length === 0) {
    const names = packed.map(e => e.name).slice(0, 5)
    throw new FerryError('FERRY-3001', `there is no file in ${names.join(', ') || 'what was fetched'}`)
  }
  const paths = files.map(e => join(e.parentPath, e.name).slice(target.length + 1))
  const hidden = paths.find(path => /(^|\/)\./.test(path))
  if (ofRows && hidden !== undefined) {
    throw new FerryError('FERRY-7006', `${hidden} is a hidden file: rows of such files are not read here`, {
      hint: 'Copy the archive as Binary, and read the files that are meant.',
    })
  }
}
