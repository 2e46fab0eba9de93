/**
 * Amazon S3 and services that speak it. An object is a multipart upload, which no reader sees before it is completed.
 *
 * One file: the requests of one service, each in a method, as the interface has them.
 *
 * Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html,
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import * as aws from '@aws-sdk/client-s3'
import { defaultProvider } from '@aws-sdk/credential-provider-node'
import { FerryError } from '../../errors.ts'
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
import { crc32Of, Direct } from './direct.ts'
import { explainS3 } from './errors.ts'
import type { S3Settings } from './settings.ts'
import { headersOf, wordsOf } from './words.ts'

/** Parts of one size before they become larger. */
const PARTS_OF_A_SIZE = 1000
/** Keys of one request to delete. */
const DELETED_AT_ONCE = 1000
const WRITER = 'ferry-run'
/** What the service copies in one request takes long where it is large: parts are copied side by side. In bytes. */
const COPIED_AT_ONCE = 256 << 20
const COPIED_PART = 128 << 20

export class S3Service implements ObjectService {
  readonly label: string
  readonly place: string
  readonly longestKey = 1024
  readonly mostParts = 10_000
  readonly keepsAbout = true
  readonly secrets: string[]
  readonly guarantee = 'exactly once: uploads are completed when all are stored'
  private readonly settings: S3Settings
  private readonly client: aws.S3Client
  private readonly direct: Direct
  /** What every request names. */
  private readonly common: { Bucket: string; RequestPayer?: 'requester' }

  constructor(settings: S3Settings) {
    this.settings = settings
    const { bucket, endpoint, region, pathStyle, credentials, checksum } = settings
    this.label = `s3://${bucket}`
    this.secrets = [settings.secretAccessKey, settings.sessionToken].filter(s => s !== undefined)
    this.place = `s3:${endpoint ?? 'aws'}/${bucket}`
    this.common = { Bucket: bucket, ...(settings.requesterPays ? { RequestPayer: 'requester' as const } : {}) }
    const chain = defaultProvider()
    this.client = new aws.S3Client({
      ...(endpoint === undefined ? {} : { endpoint, region: region ?? 'us-east-1' }),
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? { followRegionRedirects: true } : {}),
      forcePathStyle: pathStyle,
      credentials: this.keys() ?? (() => asOurselves(() => chain())),
      ...(credentials === 'anonymous' ? { signer: { sign: async (request: never) => request } } : {}),
      requestChecksumCalculation: checksum === 'none' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: 10_000, socketTimeout: 120_000 },
    })
    this.direct = new Direct(this.client, settings)
  }

  private keys() {
    const { credentials, accessKeyId, secretAccessKey, sessionToken } = this.settings
    // Anonymous requests are not signed.
    if (credentials === 'anonymous') return { accessKeyId: '', secretAccessKey: '' }
    if (credentials === 'machine') return undefined
    return {
      accessKeyId: accessKeyId!,
      secretAccessKey: secretAccessKey!,
      ...(sessionToken === undefined ? {} : { sessionToken }),
    }
  }

  /** Of uploads of a size that is not known: larger ones come later. */
  partSize(part: number): number {
    if (this.settings.partSize !== undefined) return this.settings.partSize
    return growingPart(part, PARTS_OF_A_SIZE)
  }

  async test(): Promise<string> {
    await this.client.send(new aws.ListObjectsV2Command({ ...this.common, MaxKeys: 1, Prefix: this.settings.folder }))
    return `bucket ${this.settings.bucket}`
  }

  async siblings(most: number): Promise<string[]> {
    const { Buckets = [] } = await this.client.send(new aws.ListBucketsCommand({ MaxBuckets: most }))
    return Buckets.slice(0, most).map(b => b.Name!)
  }

  async *list(prefix: string, shallow: boolean): AsyncGenerator<Listing> {
    let token: string | undefined
    let last: string | undefined
    const pages = new Pages()
    do {
      const command = new aws.ListObjectsV2Command({
        ...this.common,
        Prefix: prefix,
        // XML cannot hold every character of a key.
        EncodingType: 'url',
        ...(shallow ? { Delimiter: '/' } : {}),
        ...(token === undefined ? {} : { ContinuationToken: token }),
        // Where a service has more and does not say how to go on.
        ...(last === undefined ? {} : { StartAfter: last }),
      })
      const page: aws.ListObjectsV2CommandOutput = await retried(this, prefix, () => this.client.send(command))
      if (page.IsTruncated === undefined && page.KeyCount === undefined) throw this.odd(`${prefix}*`, 'is no listing')
      const decoded = decoderOf(page)
      const listing = {
        objects: (page.Contents ?? []).map(o => ({
          key: decoded(o.Key!),
          size: o.Size!,
          modified: nanosecondsOf(o.LastModified),
          version: o.ETag ?? this.withoutTag(o.Key!),
        })),
        folders: (page.CommonPrefixes ?? []).map(p => decoded(p.Prefix!)),
      }
      pages.require(listing, prefix)
      yield listing
      token = page.NextContinuationToken
      last = page.IsTruncated && token === undefined ? lastOf(listing) : undefined
      if (page.IsTruncated && token === undefined && last === undefined) throw this.odd(`${prefix}*`, 'breaks off')
    } while (token !== undefined || last !== undefined)
  }

  private odd(key: string, what: string): FerryError {
    return new FerryError('FERRY-2007', `${this.label}/${key}: what the service answers ${what}`, {
      hint: 'Check endpoint, and what is between: it may be no service that speaks S3.',
    })
  }

  private withoutTag(key: string): never {
    throw this.odd(key, 'has no ETag, by which a change would be seen')
  }

  async head(key: string): Promise<RemoteHead | undefined> {
    const found = await this.headOf(key)
    if (!found) return undefined
    return {
      key,
      size: found.ContentLength!,
      modified: nanosecondsOf(found.LastModified),
      version: found.ETag ?? this.withoutTag(key),
    }
  }

  async isRevealed(key: string, by: string): Promise<boolean> {
    return (await this.headOf(key))?.Metadata?.[WRITER] === by
  }

  private async headOf(key: string): Promise<aws.HeadObjectCommandOutput | undefined> {
    try {
      return await this.client.send(new aws.HeadObjectCommand({ ...this.common, Key: key }))
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
  }

  async read(
    key: string,
    start: number,
    end: number,
    { version, signal }: { version: string; signal?: AbortSignal },
  ): Promise<Readable> {
    const range = `bytes=${start}-${end - 1}`
    try {
      const { body, ContentRange, ETag } = await this.opened(key, range, version, signal)
      try {
        // Not every service looks at conditions and ranges.
        if (ETag !== undefined && bare(ETag) !== bare(version)) throw new ObjectChanged(key)
        requireRange(ContentRange, start)
      } catch (error) {
        body.destroy()
        throw error
      }
      return body
    } catch (error) {
      if ([404, 412, 416].includes(statusOf(error) ?? 0) && !/NoSuchBucket/.test((error as Error).name)) {
        throw new ObjectChanged(key)
      }
      throw error
    }
  }

  private async opened(key: string, range: string, version: string, signal: AbortSignal | undefined) {
    const headers = { ...this.paid, range, 'if-match': version }
    const answer = await this.direct.send({ method: 'GET', key, headers, signal })
    if (answer) {
      const { etag: ETag, 'content-range': ContentRange } = answer.headers
      return { body: answer as Readable, ContentRange, ETag }
    }
    const { Body, ContentRange, ETag } = await this.client.send(
      new aws.GetObjectCommand({ ...this.common, Key: key, Range: range, IfMatch: version }),
      signal ? { abortSignal: signal } : {},
    )
    return { body: Body as Readable, ContentRange, ETag }
  }

  async about(key: string): Promise<ObjectAbout> {
    const found = await this.headOf(key)
    if (!found) throw new ObjectChanged(key)
    return {
      contentType: found.ContentType,
      contentEncoding: found.ContentEncoding,
      contentLanguage: found.ContentLanguage,
      contentDisposition: found.ContentDisposition,
      cacheControl: found.CacheControl,
      metadata: found.Metadata,
    }
  }

  async put(key: string, bytes: Buffer, about?: ObjectAbout): Promise<void> {
    const headers = { ...this.paid, ...headersOf(this.written), ...headersOf(wordsOf(about)), ...this.checked(bytes) }
    const answer = await this.direct.send({ method: 'PUT', key, headers, body: bytes })
    if (answer) return drained(answer)
    const words = { ...this.common, ...this.written, ...wordsOf(about), Key: key, Body: bytes }
    await this.client.send(new aws.PutObjectCommand(words))
  }

  /** Headers of who pays, and of the checksum of a body. */
  private get paid() {
    return this.settings.requesterPays ? { 'x-amz-request-payer': 'requester' } : {}
  }

  private checked(bytes: Buffer) {
    if (this.settings.checksum === 'none') return {}
    return { 'x-amz-checksum-crc32': crc32Of(bytes), 'x-amz-sdk-checksum-algorithm': 'CRC32' }
  }

  async copyFrom(from: ObjectService, { key: source, version, size }: RemoteHead, key: string): Promise<boolean> {
    if (!(from instanceof S3Service) || from.account !== this.account) return false
    const path = `${from.settings.bucket}/${source}`.split('/').map(encodeURIComponent).join('/')
    const what = { ...this.common, Key: key, CopySource: path, CopySourceIfMatch: version }
    try {
      if (size <= COPIED_AT_ONCE) await this.copyWhole(what)
      else await this.copyInParts(what, size, await from.about(source))
    } catch (error) {
      if ([404, 412].includes(statusOf(error) ?? 0) && !/NoSuchBucket/.test((error as Error).name)) {
        throw new ObjectChanged(source)
      }
      // Keys that may not read there: the bytes pass through here.
      if (statusOf(error) === 403 || statusOf(error) === 501) return false
      throw error
    }
    return true
  }

  private async copyWhole(what: { Bucket: string; Key: string; CopySource: string; CopySourceIfMatch: string }) {
    const { Key: key, CopySource, CopySourceIfMatch } = what
    const headers = {
      ...this.paid,
      ...headersOf(this.written),
      'x-amz-copy-source': CopySource,
      'x-amz-copy-source-if-match': CopySourceIfMatch,
    }
    const answer = await this.direct.send({ method: 'PUT', key, headers })
    // A copy can fail after its answer has begun with 200: only the body tells.
    if (answer && /<CopyObjectResult[\s>]/.test(await text(answer).catch(() => ''))) return
    await this.client.send(new aws.CopyObjectCommand({ ...what, ...this.written }))
  }

  private async copyInParts(
    what: { Bucket: string; Key: string; CopySource: string; CopySourceIfMatch: string },
    size: number,
    about: ObjectAbout,
  ): Promise<void> {
    const { Key: key } = what
    const id = await this.stage(key, { about })
    try {
      const bytes = Math.max(COPIED_PART, Math.ceil(size / this.mostParts))
      const numbers = Array.from({ length: Math.ceil(size / bytes) }, (_, i) => i)
      const parts: string[] = []
      await each(numbers, async i => {
        const CopySourceRange = `bytes=${i * bytes}-${Math.min(size, (i + 1) * bytes) - 1}`
        const command = new aws.UploadPartCopyCommand({ ...what, UploadId: id, PartNumber: i + 1, CopySourceRange })
        const { CopyPartResult } = await retried(this, key, () => this.client.send(command))
        parts[i] = `${CopyPartResult!.ETag!} ${CopyPartResult!.ChecksumCRC32 ?? ''}`.trim()
      })
      await this.reveal({ key, id, parts, size }, { ifAbsent: false, isOwn: true })
    } catch (error) {
      await this.drop({ key, id }).catch(() => undefined)
      throw error
    }
  }

  /** Where and as whom: objects can be copied between services of which it is the same. */
  private get account(): string {
    const { endpoint, region, credentials, accessKeyId } = this.settings
    return [endpoint, region, credentials, accessKeyId].join(' ')
  }

  /** How objects are stored. */
  private get written() {
    const { serverSideEncryption, kmsKeyId, storageClass } = this.settings
    return {
      ...(serverSideEncryption ? { ServerSideEncryption: serverSideEncryption } : {}),
      ...(kmsKeyId ? { SSEKMSKeyId: kmsKeyId } : {}),
      ...(storageClass ? { StorageClass: storageClass as aws.StorageClass } : {}),
    }
  }

  async remove(keys: string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += DELETED_AT_ONCE) {
      const Objects = keys.slice(at, at + DELETED_AT_ONCE).map(Key => ({ Key }))
      const { Errors = [] } = await this.client.send(
        new aws.DeleteObjectsCommand({ ...this.common, Delete: { Objects, Quiet: true } }),
      )
      const [first] = Errors.filter(e => e.Code !== 'NoSuchKey')
      if (first) throw Object.assign(new Error(`${first.Key}: ${first.Message ?? first.Code}`), { name: first.Code })
    }
  }

  async stage(key: string, { by, about }: Pick<Reveal, 'by' | 'about'>): Promise<string> {
    const { UploadId } = await this.client.send(
      new aws.CreateMultipartUploadCommand({
        ...this.common,
        ...this.written,
        ...wordsOf(about),
        Key: key,
        ...(by === undefined ? {} : { Metadata: { ...about?.metadata, [WRITER]: by } }),
        ...(this.settings.checksum === 'crc32' ? { ChecksumAlgorithm: 'CRC32' as const } : {}),
      }),
    )
    return UploadId!
  }

  async putPart({ key, id }: { key: string; id: string }, part: number, bytes: Buffer): Promise<string> {
    const query = { partNumber: String(part), uploadId: id }
    const headers = { ...this.paid, ...this.checked(bytes) }
    const answer = await this.direct.send({ method: 'PUT', key, query, headers, body: bytes })
    if (answer) await drained(answer)
    const { etag, 'x-amz-checksum-crc32': checksum = '' } = answer?.headers ?? {}
    if (etag !== undefined) return `${etag} ${checksum}`.trim()
    const stored = await this.client.send(
      new aws.UploadPartCommand({ ...this.common, Key: key, UploadId: id, PartNumber: part, Body: bytes }),
    )
    return `${stored.ETag!} ${stored.ChecksumCRC32 ?? ''}`.trim()
  }

  async reveal({ key, id, parts }: Staged, { by, ifAbsent }: Reveal): Promise<void> {
    try {
      const done = await this.client.send(
        new aws.CompleteMultipartUploadCommand({
          ...this.common,
          Key: key,
          UploadId: id,
          ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
          MultipartUpload: {
            Parts: parts.map((part, i) => {
              const [ETag, ChecksumCRC32] = part.split(' ')
              return { PartNumber: i + 1, ETag, ...(ChecksumCRC32 ? { ChecksumCRC32 } : {}) }
            }),
          },
        }),
      )
      // An answer of somebody else's: the upload may be open still.
      if (done.ETag === undefined) throw new Error(`the answer does not say that ${key} is complete`)
    } catch (error) {
      // An answer that was lost: the upload is completed, and gone.
      if ((error as Error).name === 'NoSuchUpload' && by !== undefined && (await this.isRevealed(key, by))) return
      if (statusOf(error) === 412) throw new ObjectExists(key)
      throw error
    }
  }

  async drop({ key, id }: { key: string; id: string }): Promise<void> {
    await this.client
      .send(new aws.AbortMultipartUploadCommand({ ...this.common, Key: key, UploadId: id }))
      .catch(error => {
        if (error.name !== 'NoSuchUpload') throw error
      })
  }

  async staged(prefix: string): Promise<{ key: string; id: string }[]> {
    const found: { key: string; id: string }[] = []
    let marker: { KeyMarker?: string; UploadIdMarker?: string } = {}
    for (;;) {
      const page: aws.ListMultipartUploadsCommandOutput = await this.client.send(
        new aws.ListMultipartUploadsCommand({ ...this.common, Prefix: prefix, EncodingType: 'url', ...marker }),
      )
      const decoded = decoderOf(page)
      for (const { Key, UploadId } of page.Uploads ?? []) found.push({ key: decoded(Key!), id: UploadId! })
      if (!page.IsTruncated || page.NextKeyMarker === undefined) return found
      marker = {
        KeyMarker: decoded(page.NextKeyMarker),
        ...(page.NextUploadIdMarker ? { UploadIdMarker: page.NextUploadIdMarker } : {}),
      }
    }
  }

  explain(error: unknown, key: string): unknown {
    return explainS3(error, key, this.settings)
  }

  async close(): Promise<void> {
    this.direct.close()
    this.client.destroy()
  }
}

/** Reads an answer to its end: its connection is used again. */
async function drained(answer: Readable): Promise<void> {
  answer.resume()
  await finished(answer)
}

const bare = (tag: string) => tag.replaceAll('"', '')

/** The last key or folder of a page. */
function lastOf({ objects, folders }: Listing): string | undefined {
  return [...objects.map(o => o.key), ...folders].sort().at(-1)
}

/** How keys of a listing are read: not every service encodes them as it was asked to. */
function decoderOf({ EncodingType }: { EncodingType?: string | undefined }): (key: string) => string {
  return EncodingType === 'url' ? key => decodeURIComponent(key.replaceAll('+', ' ')) : key => key
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
}
