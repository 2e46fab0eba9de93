/**
 * Requests that a copy makes for each file or part, signed here and sent as they are: the SDK takes several times the processor time of
 * everything else for them. What is not answered with success is asked once more by the SDK, which knows errors, redirects and repeats.
 *
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import { crc32 } from 'node:zlib'
import type { S3Client } from '@aws-sdk/client-s3'
import type { S3Settings } from './settings.ts'

const EMPTY = createHash('sha256').digest('hex')
const SOCKET_MS = 120_000

export interface DirectRequest {
  method: 'GET' | 'PUT'
  key: string
  query?: Record<string, string>
  /** Names in lower case; undefined ones are left out. */
  headers?: Record<string, string | undefined>
  body?: Buffer
  signal?: AbortSignal | undefined
}

interface Place {
  url: URL
  region: string
}

export class Direct {
  private readonly client: S3Client
  private readonly settings: S3Settings
  private readonly agents: { http: http.Agent; https: https.Agent }
  private found: Promise<Place | undefined> | undefined
  private isOff = false
  /** The signing key of a day, for one secret. */
  private kept: { of: string; key: KeyObject } | undefined

  constructor(client: S3Client, settings: S3Settings) {
    this.client = client
    this.settings = settings
    const options = { keepAlive: true, maxSockets: 64 }
    this.agents = { http: new http.Agent(options), https: new https.Agent(options) }
  }

  /** The answer of a request that succeeded, whose body the caller reads; undefined for whatever is to be asked by the SDK. */
  async send(request: DirectRequest): Promise<http.IncomingMessage | undefined> {
    if (this.isOff) return undefined
    const headers = definedOf(request.headers)
    // Characters that headers cannot hold are encoded in ways of the SDK's own.
    if (Object.values(headers).some(v => !/^[\x20-\x7e]*$/.test(v) || v !== v.trim() || /\s{2}/.test(v)))
      return undefined
    this.found ??= this.place()
    const place = await this.found
    if (!place) return undefined
    const answer = await this.asked(place, request, headers).catch(error => {
      if (request.signal?.aborted) throw error
      return undefined
    })
    if (answer === undefined) return undefined
    const { statusCode = 0 } = answer
    if (statusCode >= 200 && statusCode < 300) return answer
    answer.destroy()
    // The bucket is somewhere else, or the service wants to be asked in another way: again and again.
    if ([301, 302, 307, 400, 403, 501].includes(statusCode)) this.isOff = true
    return undefined
  }

  close(): void {
    this.agents.http.destroy()
    this.agents.https.destroy()
  }

  /** Where the bucket is, as the SDK finds it out; undefined where it is not signed for in the common way. */
  private async place(): Promise<Place | undefined> {
    try {
      const { config } = this.client
      const { bucket, endpoint, pathStyle } = this.settings
      const { url, properties } = (config as unknown as { endpointProvider(of: object): Found }).endpointProvider({
        Bucket: bucket,
        Region: await config.region(),
        ForcePathStyle: pathStyle,
        UseFIPS: await config.useFipsEndpoint(),
        UseDualStack: await config.useDualstackEndpoint(),
        ...(endpoint === undefined ? {} : { Endpoint: endpoint }),
      })
      const [scheme] = properties?.authSchemes ?? []
      if (scheme?.name !== 'sigv4' || scheme.signingName !== 's3' || scheme.signingRegion === undefined)
        return undefined
      return { url, region: scheme.signingRegion }
    } catch {
      return undefined
    }
  }

  private async asked(
    { url, region }: Place,
    { method, key, query = {}, body, signal }: DirectRequest,
    given: Record<string, string>,
  ): Promise<http.IncomingMessage> {
    const path = `${url.pathname.replace(/\/$/, '')}/${key.split('/').map(encoded).join('/')}`
    const words = Object.entries(query)
      .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
      .sort()
      .join('&')
    // Over TLS the connection says that the bytes are the sender's.
    const digest = body === undefined ? EMPTY : url.protocol === 'https:' ? 'UNSIGNED-PAYLOAD' : sha256(body)
    const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '')
    const headers: Record<string, string> = {
      ...given,
      host: url.host,
      'x-amz-content-sha256': digest,
      'x-amz-date': time,
    }
    if (this.settings.credentials !== 'anonymous') {
      const { accessKeyId, secretAccessKey, sessionToken } = await this.client.config.credentials()
      if (sessionToken !== undefined) headers['x-amz-security-token'] = sessionToken
      const names = Object.keys(headers).sort()
      const signed = names.join(';')
      const canonical = `${method}\n${path}\n${words}\n${names.map(n => `${n}:${headers[n]}\n`).join('')}\n${signed}\n${digest}`
      const day = time.slice(0, 8)
      const scope = `${day}/${region}/s3/aws4_request`
      const text = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`
      const signature = createHmac('sha256', this.signingKey(secretAccessKey, day, region))
        .update(text)
        .digest('hex')
      headers.authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`
    }
    if (body !== undefined) headers['content-length'] = String(body.length)
    const isTls = url.protocol === 'https:'
    return new Promise((resolve, reject) => {
      const options = {
        method,
        host: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port || (isTls ? 443 : 80),
        path: words === '' ? path : `${path}?${words}`,
        headers,
        agent: isTls ? this.agents.https : this.agents.http,
        timeout: SOCKET_MS,
        ...(signal ? { signal } : {}),
      }
      const request = (isTls ? https : http).request(options, resolve)
      request.on('error', reject)
      request.on('timeout', () => request.destroy(new Error(`the store says nothing for ${SOCKET_MS / 1000} s`)))
      request.end(body)
    })
  }

  private signingKey(secret: string, day: string, region: string): KeyObject {
    const of = `${secret}/${day}/${region}`
    if (this.kept?.of !== of) {
      const step = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
      const key = ['s3', 'aws4_request'].reduce<Buffer>(step, step(step(`AWS4${secret}`, day), region))
      this.kept = { of, key: createSecretKey(key) }
    }
    return this.kept.key
  }
}

interface Found {
  url: URL
  properties?: { authSchemes?: { name: string; signingName?: string; signingRegion?: string }[] }
}

const sha256 = (of: string | Buffer) => createHash('sha256').update(of).digest('hex')

/** RFC 3986: all but letters, digits and `-._~`. */
const encoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

function definedOf(headers: Record<string, string | undefined> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter((e): e is [string, string] => e[1] !== undefined))
}

/** CRC32 as the service has it: in base64, the first byte first. */
export function crc32Of(bytes: Buffer): string {
  const sum = Buffer.allocUnsafe(4)
  sum.writeUInt32BE(crc32(bytes))
  return sum.toString('base64')
}
