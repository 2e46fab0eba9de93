/** Files that are put as they are: each below a folder, or all of them one after the other into one. */
import type { Batch, Checkpoint, RowBatch } from '../batch/encoding.ts'
import type { Offer } from '../contract/encodings.ts'
import type { CommitResult, Refused, SinkTable, SplitWriter, WriterWork } from '../contract/sink.ts'
import type { Committed, Split } from '../contract/split.ts'
import type { RunIdentity, WriteRequest } from '../contract/write.ts'
import { FerryError, RowError } from '../errors.ts'
import { tidily } from '../objects/garbage.ts'
import type { ObjectWriter, Staging } from '../objects/staging.ts'
import type { FileTarget, ObjectStore, SourceFile } from '../objects/store.ts'
import { FILES } from './binary.ts'
import type { WriteOptions } from './options.ts'

/** What files that are copied at one time may take of memory, about. */
const MEMORY = 96 << 20
const SMALL = 4 << 20
const LARGE = 24 << 20
/** Faults of one file, for which the others need not wait. */
const OF_ONE_FILE = /^FERRY-(2004|2006|3001|3015|4\d\d\d|5005)$/

/** Common to both: what files are not, and what they cannot do. */
function refuse(request: WriteRequest): void {
  const { before, after, update, truncate, adds, object, skipBadRows } = request
  if (before.length + after.length > 0) {
    throw new FerryError('FERRY-3006', 'files run no SQL: `before` and `after` need a database')
  }
  if (update === 'merge' || (update === 'append' && !adds)) {
    throw new FerryError(
      'FERRY-3006',
      `${object}: files as they are replace those of the same name: use update: overwrite`,
    )
  }
  if (adds && skipBadRows) {
    throw new FerryError(
      'FERRY-3006',
      `${object}: a file that is left out would count as copied, and no further run would find it`,
      {
        hint: 'Use onRowError: fail in incremental copies of files as they are.',
      },
    )
  }
  if (truncate) throw new FerryError('FERRY-3006', `${object}: files of other names stay: empty the folder yourself`)
}

export function binarySink(
  run: RunIdentity,
  request: WriteRequest,
  store: ObjectStore,
  options: WriteOptions,
): SinkTable {
  refuse(request)
  const isFolder = /[/\\]$/.test(request.object)
  if (options.merge && options.deleteAfter) {
    throw new FerryError('FERRY-3006', `${request.object}: files that are merged stay at their source`)
  }
  if (isFolder && options.merge) {
    throw new FerryError(
      'FERRY-3006',
      `${request.object}: files are merged into one file: name it, without a slash at its end`,
    )
  }
  if (!isFolder && request.adds) {
    throw new FerryError('FERRY-3006', `${request.object}: what is new would replace the file with what is there`, {
      hint: `Copy into a folder: to: ${request.object}/`,
    })
  }
  if (isFolder || !options.merge) return new FilesBelow(run, request, store, options)
  return new MergedFile(request, store.stage(run, request, { ending: '', many: false }))
}

/** Files below a folder, or the only one under the name that it is to have. */
class FilesBelow implements SinkTable {
  readonly plan
  readonly unit = 'split'
  readonly lanes = 4
  readonly inFlight = 2
  readonly offers: Offer[] = [FILES]
  private readonly target: FileTarget
  private readonly request: WriteRequest
  private readonly deletes: boolean
  /** The name of the only file. */
  private readonly name: string | undefined
  private readonly memory = new Budget(MEMORY)
  private first: string | undefined

  constructor(run: RunIdentity, request: WriteRequest, store: ObjectStore, { deleteAfter }: WriteOptions) {
    const [, folder, name] = /^(.*?)([^/\\]*)$/s.exec(request.object)!
    this.request = request
    this.deletes = deleteAfter
    this.name = name === '' ? undefined : name
    this.target = store.files(run, folder!, request.ordinal)
    const what = this.name === undefined ? `files below ${this.target.target}` : `the file ${request.object}`
    this.plan = {
      statements: [`-- ${what}`],
      guarantee: 'exactly once: each file appears when it is whole',
      notes: [
        ...(this.name === undefined ? ['files of the same names are replaced, others stay'] : []),
        'readers see the files one after the other',
        ...(this.deletes ? ['each file is removed at the source when its copy is stored'] : []),
      ],
    }
  }

  async prepare(known: Committed): Promise<Committed> {
    await this.target.prepare()
    return known
  }

  async committed(known: Committed): Promise<Committed> {
    return known
  }

  async open(split: Split, offer: Offer, { signal }: WriterWork = {}): Promise<SplitWriter> {
    if (offer.encoding !== 'files') {
      throw new FerryError('FERRY-3006', `${this.request.object}: files that were left out are copied by a further run`)
    }
    const moved = this.deletes ? await this.target.moved(split.id) : new Set<string>()
    const stop = new AbortController()
    const ended = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
    const done: { path: string; file: SourceFile }[] = []
    const going: Going = { failure: undefined, stop: () => stop.abort() }
    const put = async (path: string, file: SourceFile) => {
      if (!moved.has(path)) await this.put(path, file, ended)
      // A time that is new shows whether the source is the same file under another name: that is not removed.
      if (this.deletes) done.push({ path, file })
      else await this.target.setModified(this.name ?? path, file.head.modified)
    }
    return {
      write: batch => tidily(() => this.write(batch, put, going)),
      commit: async () => {
        await this.remove(split.id, done.splice(0))
        return {}
      },
      abort: async () => stop.abort(),
    }
  }

  private async write(
    batch: Batch,
    put: (path: string, file: SourceFile) => Promise<void>,
    going: Going,
  ): Promise<Refused[]> {
    const { rows, files } = batch as RowBatch
    const refused: Refused[] = []
    const work = rows.map(async (row, index) => {
      const path = row[0] as string
      const file = files![index]!
      await this.memory.use(Math.min(LARGE, Math.max(SMALL, file.head.size!)), async () => {
        if (going.failure) return
        try {
          await put(path, file)
        } catch (error) {
          const isOne = error instanceof FerryError && OF_ONE_FILE.test(error.code)
          if (isOne && this.request.skipBadRows) refused.push({ index, error })
          else if (!going.failure) {
            going.failure = { error: isOne ? placed(error, index) : error }
            going.stop()
          }
        }
      })
    })
    await Promise.all(work)
    if (going.failure) throw going.failure.error
    return refused
  }

  private async put(path: string, file: SourceFile, signal: AbortSignal): Promise<void> {
    this.first ??= path
    if (this.name === undefined) return this.target.put(path, file, signal)
    if (this.first === path) return this.target.put(this.name, file, signal)
    throw new FerryError('FERRY-3006', `${this.request.object} is one file, and ${this.first} and ${path} are two`, {
      hint: `Copy into a folder: to: ${this.request.object}/, or make one of all: write: { format: binary, merge: true }.`,
    })
  }

  /** Removes copied files at the source. A process that takes the run over knows them by what is recorded first. */
  private async remove(split: number, done: { path: string; file: SourceFile }[]): Promise<void> {
    if (done.length === 0) return
    const { key } = await this.target.moving(
      split,
      done.map(d => d.path),
    )
    // Where the source shows what was written just now, both are one store under two names: a file that was put onto itself stays.
    const isOne = await shows(done[0]!.file.store, key)
    for (const { path, file } of done) {
      const isItself = isOne && bare(this.target.keyOf(this.name ?? path)) === bare(file.head.key)
      // One that was changed since is another file: it stays as well.
      if (!isItself) await file.store.remove(file.head)
      await this.target.setModified(this.name ?? path, file.head.modified)
    }
  }

  async publish(): Promise<void> {
    await this.target.clear()
  }

  async forget(): Promise<void> {}

  async discard(): Promise<boolean> {
    await this.target.clear()
    return true
  }
}

/** What the writers of one split share: the first failure stops all of them. */
interface Going {
  failure: { error: unknown } | undefined
  stop: () => void
}

const bare = (key: string): string => key.replace(/^\/+/, '')

/** True if a store has an object under a key of another one, which may write it with a slash before it. */
async function shows(store: ObjectStore, key: string): Promise<boolean> {
  for (const one of new Set([key, bare(key), `/${bare(key)}`])) {
    if (await store.head(one).catch(() => undefined)) return true
  }
  return false
}

function placed(error: FerryError, index: number): RowError {
  const row = new RowError(error.code, error.message, undefined, { hint: error.hint, cause: error })
  row.index = index
  row.isPlaced = true
  return row
}

/** Memory that work waits for. */
class Budget {
  private left: number
  private readonly waiting: { bytes: number; go: () => void }[] = []

  constructor(bytes: number) {
    this.left = bytes
  }

  async use(bytes: number, work: () => Promise<void>): Promise<void> {
    if (this.waiting.length > 0 || this.left < bytes) {
      await new Promise<void>(go => this.waiting.push({ bytes, go }))
    } else this.left -= bytes
    try {
      await work()
    } finally {
      this.left += bytes
      for (let next = this.waiting[0]; next && next.bytes <= this.left; next = this.waiting[0]) {
        this.waiting.shift()
        this.left -= next.bytes
        next.go()
      }
    }
  }
}

/** One file of all, one after the other. It appears when all are in it. */
class MergedFile implements SinkTable {
  readonly plan
  readonly unit = 'table'
  readonly lanes = 1
  readonly offers: Offer[] = [FILES]
  private readonly staging: Staging

  constructor(request: WriteRequest, staging: Staging) {
    this.staging = staging
    this.plan = {
      statements: [`-- ${staging.description} of all files, one after the other`],
      guarantee: staging.guarantee,
      notes: [`the bytes of the files stand in ${request.object} one after the other, in no order that is promised`],
    }
  }

  async open({ id }: Split): Promise<SplitWriter> {
    await this.staging.begin(id, undefined)
    const writer = await this.staging.create(id, 1)
    return {
      write: async batch => {
        for (const file of (batch as RowBatch).files!) await append(writer, file)
        return []
      },
      commit: async (checkpoint: Checkpoint | undefined): Promise<CommitResult> => {
        await writer.finish()
        await this.staging.reached(id, checkpoint, 1)
        return {}
      },
      abort: () => writer.abandon(),
    }
  }

  requireRoom = (): Promise<string | undefined> => this.staging.requireRoom()
  prepare = (known: Committed): Promise<Committed> => this.staging.prepare(known)
  committed = (known: Committed): Promise<Committed> => this.staging.committed(known)
  publish = (): Promise<void> => this.staging.publish()
  forget = (): Promise<void> => this.staging.forget()
  discard = (): Promise<boolean> => this.staging.discard()
}

async function append(writer: ObjectWriter, { store, head }: SourceFile): Promise<void> {
  for await (const chunk of store.readRange(head, { start: 0 }, { chunk: 1 << 20 })) await writer.write(chunk as Buffer)
  await store.requireSame?.(head)
}
