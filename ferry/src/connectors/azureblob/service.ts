/**
 * Azure Blob Storage. An object is a block blob: its blocks are stored one by one, and no reader sees them before a list of
 * them is committed.
 *
 * Sources: https://learn.microsoft.com/rest/api/storageservices/put-block,
 * https://learn.microsoft.com/rest/api/storageservices/put-block-list
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import {
  AnonymousCredential,
  type BlobGetPropertiesResponse,
  BlobServiceClient,
  type BlockBlobClient,
  type BlockBlobUploadOptions,
  type ContainerClient,
  type ContainerListBlobFlatSegmentResponse,
  type ContainerListBlobHierarchySegmentResponse,
  newPipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { asOurselves } from '../../network.ts'
import { each } from '../../objects/each.ts'
import { requireRange } from '../../objects/remote/answers.ts'
import { Pages } from '../../objects/remote/pages.ts'
import {
  growingPart,
  type Listing,
  nanosecondsOf,
  ObjectChanged,
  ObjectExists,
  type ObjectService,
  type RemoteHead,
  type Reveal,
  type Staged,
} from '../../objects/remote/service.ts'
import { retried } from '../../objects/remote/upload.ts'
import type { ObjectAbout } from '../../objects/store.ts'
import { credentialOf } from '../entra.ts'
import { explainBlob } from './errors.ts'
import type { BlobSettings } from './settings.ts'

const PARTS_OF_A_SIZE = 5000
/** Metadata names are identifiers of C#. */
const WRITER = 'ferryrun'

export class BlobService implements ObjectService {
  readonly label: string
  readonly place: string
  readonly longestKey = 1024
  readonly mostParts = 50_000
  readonly keepsAbout = true
  readonly secrets: string[]
  readonly guarantee = 'exactly once: lists of blocks are committed when all are stored'
  private readonly settings: BlobSettings
  private client: Promise<BlobServiceClient> | undefined

  constructor(settings: BlobSettings) {
    this.settings = settings
    const { endpoint, container, account } = settings
    const { host } = new URL(endpoint)
    this.label = `az://${account ?? host}/${container}`
    const { accountKey, sasToken } = settings
    const signature = new URLSearchParams(sasToken ?? '').get('sig') ?? undefined
    this.secrets = [accountKey, sasToken, signature].filter(s => s !== undefined)
    this.place = `azureblob:${endpoint.replace(/\/$/, '')}/${container}`
  }

  private async container(): Promise<ContainerClient> {
    this.client ??= this.connect()
    return (await this.client).getContainerClient(this.settings.container)
  }

  private async connect(): Promise<BlobServiceClient> {
    const { endpoint, account, accountKey, sasToken, isAnonymous } = this.settings
    const options = { retryOptions: { maxTries: 2, tryTimeoutInMs: 120_000 } }
    const query = sasToken === undefined ? '' : `?${sasToken.replace(/^\?/, '')}`
    const url = `${endpoint.replace(/\/$/, '')}${query}`
    const open = (credential: Parameters<typeof newPipeline>[0]) =>
      new BlobServiceClient(url, newPipeline(credential, options))
    if (accountKey !== undefined) return open(new StorageSharedKeyCredential(account!, accountKey))
    if (sasToken !== undefined || isAnonymous) return open(new AnonymousCredential())
    const token = await credentialOf('azureblob', this.settings)
    return open({ getToken: (scopes, how) => asOurselves(() => token.getToken(scopes, how)) })
  }

  private async blob(key: string): Promise<BlockBlobClient> {
    return (await this.container()).getBlockBlobClient(key)
  }

  partSize(part: number): number {
    return growingPart(part, PARTS_OF_A_SIZE)
  }

  async test(): Promise<string> {
    const container = await this.container()
    await container.listBlobsFlat({ prefix: this.settings.folder }).byPage({ maxPageSize: 1 }).next()
    return `container ${this.settings.container}`
  }

  async siblings(most: number): Promise<string[]> {
    this.client ??= this.connect()
    const names: string[] = []
    for await (const { name } of (await this.client).listContainers()) {
      if (names.push(name) >= most) break
    }
    return names
  }

  async *list(prefix: string, shallow: boolean): AsyncGenerator<Listing> {
    const container = await this.container()
    // Metadata tells which blobs are folders of ADLS.
    const named = { includeMetadata: true, ...(prefix === '' ? {} : { prefix }) }
    const watch = new Pages()
    for (let continuationToken: string | undefined; ; ) {
      const how = { maxPageSize: 5000, ...(continuationToken ? { continuationToken } : {}) }
      const next = () =>
        shallow
          ? container.listBlobsByHierarchy('/', named).byPage(how).next()
          : container.listBlobsFlat(named).byPage(how).next()
      const { value, done } = await retried<IteratorResult<Page, Page | undefined>>(this, prefix, next)
      if (done || value === undefined) return
      const { segment } = value
      const folders = (segment as { blobPrefixes?: { name: string }[] }).blobPrefixes ?? []
      const listing = {
        // Folders of ADLS are blobs without bytes beside those in them.
        objects: segment.blobItems
          .filter(b => b.metadata?.hdi_isfolder !== 'true' && b.properties.contentLength !== undefined)
          .map(({ name, properties }) => ({
            key: name,
            size: properties.contentLength!,
            modified: nanosecondsOf(properties.lastModified),
            version: properties.etag.replaceAll('"', ''),
          })),
        folders: folders.map(f => f.name),
      }
      watch.require(listing, prefix)
      yield listing
      continuationToken = value.continuationToken
      if (!continuationToken) return
    }
  }

  async head(key: string): Promise<RemoteHead | undefined> {
    const found = await this.propertiesOf(key)
    if (!found || found.metadata?.hdi_isfolder === 'true') return undefined
    return {
      key,
      size: found.contentLength!,
      modified: nanosecondsOf(found.lastModified),
      version: found.etag!.replaceAll('"', ''),
    }
  }

  async isRevealed(key: string, by: string): Promise<boolean> {
    return (await this.propertiesOf(key))?.metadata?.[WRITER] === by
  }

  private async propertiesOf(key: string): Promise<BlobGetPropertiesResponse | undefined> {
    // The empty name is the container's own.
    if (key === '') return undefined
    try {
      return await (await this.blob(key)).getProperties()
    } catch (error) {
      if (statusOf(error) === 404 && codeOf(error) !== 'ContainerNotFound') return undefined
      throw error
    }
  }

  async read(
    key: string,
    start: number,
    end: number,
    { version, signal }: { version: string; signal?: AbortSignal },
  ): Promise<Readable> {
    const blob = await this.blob(key)
    try {
      const { readableStreamBody, contentRange, etag } = await blob.download(start, end - start, {
        conditions: { ifMatch: `"${version}"` },
        // Broken streams are opened again above.
        maxRetryRequests: 0,
        ...(signal ? { abortSignal: signal } : {}),
      })
      const body = readableStreamBody as Readable
      try {
        if (etag !== undefined && etag.replaceAll('"', '') !== version) throw new ObjectChanged(key)
        requireRange(contentRange, start)
      } catch (error) {
        body.destroy()
        throw error
      }
      return body
    } catch (error) {
      if ([404, 412, 416].includes(statusOf(error) ?? 0) && codeOf(error) !== 'ContainerNotFound') {
        throw new ObjectChanged(key)
      }
      throw error
    }
  }

  async about(key: string): Promise<ObjectAbout> {
    const found = await this.propertiesOf(key)
    if (!found) throw new ObjectChanged(key)
    const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata } = found
    return { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata }
  }

  async put(key: string, bytes: Buffer, about?: ObjectAbout): Promise<void> {
    const { accessTier } = this.settings
    await (await this.blob(key)).upload(bytes, bytes.length, {
      ...wordsOf(about),
      ...(accessTier && about ? { tier: accessTier } : {}),
    })
  }

  /** Of one account: another one would have to be given a signed address. */
  async copyFrom(from: ObjectService, { key: source, version }: RemoteHead, key: string): Promise<boolean> {
    const { endpoint, accountKey, sasToken, accessTier } = this.settings
    const isOwn = from instanceof BlobService && from.settings.endpoint === endpoint
    if (!isOwn || (accountKey === undefined && sasToken === undefined)) return false
    const at = await from.blob(source)
    try {
      const begun = await (await this.blob(key)).beginCopyFromURL(at.url, {
        sourceConditions: { ifMatch: `"${version}"` },
        intervalInMs: 200,
        ...(accessTier ? { tier: accessTier } : {}),
      })
      const { copyStatus } = await begun.pollUntilDone()
      if (copyStatus !== 'success') throw new Error(`the service says that copying ${source} is ${copyStatus}`)
    } catch (error) {
      if ([404, 412].includes(statusOf(error) ?? 0) && codeOf(error) !== 'ContainerNotFound')
        throw new ObjectChanged(source)
      // A signature that is for one container only: the bytes pass through here.
      if ([401, 403].includes(statusOf(error) ?? 0)) return false
      throw error
    }
    return true
  }

  async remove(keys: string[]): Promise<void> {
    await each(keys, async key => (await this.blob(key)).deleteIfExists({ deleteSnapshots: 'include' }))
  }

  /** The identities of blocks begin with it: two uploads to one name take nothing from each other. */
  async stage(): Promise<string> {
    return randomBytes(12).toString('hex')
  }

  async putPart({ key, id }: { key: string; id: string }, part: number, bytes: Buffer): Promise<string> {
    const block = Buffer.from(`${id}${String(part).padStart(8, '0')}`).toString('base64')
    // A blob without bytes has no blocks.
    if (bytes.length === 0) return ''
    const transactionalContentMD5 = createHash('md5').update(bytes).digest()
    await (await this.blob(key)).stageBlock(block, bytes, bytes.length, { transactionalContentMD5 })
    return block
  }

  async reveal({ key, parts }: Staged, { by, ifAbsent, about }: Reveal): Promise<void> {
    const blob = await this.blob(key)
    const { accessTier } = this.settings
    try {
      await blob.commitBlockList(
        parts.filter(p => p !== ''),
        {
          ...wordsOf(about),
          ...(by === undefined ? {} : { metadata: { ...about?.metadata, [WRITER]: by } }),
          ...(accessTier ? { tier: accessTier } : {}),
          ...(ifAbsent ? { conditions: { ifNoneMatch: '*' } } : {}),
        },
      )
    } catch (error) {
      // An answer that was lost: its blocks are committed already, or are those of the blob itself.
      const isGone = codeOf(error) === 'InvalidBlockList' || codeOf(error) === 'InvalidBlobOrBlock'
      if (isGone && by !== undefined && (await this.isRevealed(key, by))) return
      if (codeOf(error) === 'BlobAlreadyExists' || statusOf(error) === 412) throw new ObjectExists(key)
      throw error
    }
  }

  /**
   * No reader sees uncommitted blocks. The service removes them when other blocks of the blob are committed, else after a
   * week; removing them at once would show an empty blob for a moment.
   */
  async drop(): Promise<void> {}

  async staged(): Promise<{ key: string; id: string }[]> {
    return []
  }

  explain(error: unknown, key: string): unknown {
    return explainBlob(error, key, this.settings)
  }

  async close(): Promise<void> {}
}

type Page = ContainerListBlobFlatSegmentResponse | ContainerListBlobHierarchySegmentResponse

/** What is kept with a blob, in the words of the service. */
function wordsOf(about: ObjectAbout | undefined): BlockBlobUploadOptions {
  if (!about) return {}
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata } = about
  return {
    blobHTTPHeaders: {
      ...(contentType ? { blobContentType: contentType } : {}),
      ...(contentEncoding ? { blobContentEncoding: contentEncoding } : {}),
      ...(contentLanguage ? { blobContentLanguage: contentLanguage } : {}),
      ...(contentDisposition ? { blobContentDisposition: contentDisposition } : {}),
      ...(cacheControl ? { blobCacheControl: cacheControl } : {}),
    },
    ...(metadata ? { metadata: metadata } : {}),
  }
}

function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number }).statusCode
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code
}
