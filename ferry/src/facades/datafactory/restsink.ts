/** Sending rows to a REST service: a list of objects in each request, as Data Factory does. */
import { closeSync, createReadStream, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { gzipSync } from 'node:zlib'
import { FerryError } from '../../errors.ts'
import { ActivityFailure } from '../../pipelines/errors.ts'
import type { ValueObject } from '../../pipelines/expressions/values.ts'
import { requireInteger, requireSpan } from '../../pipelines/resolve.ts'
import { optional } from './files.ts'
import { addressOf, authorization, DEFAULT_TIMEOUT_MS, headersOf, intervalOf } from './rest.ts'
import type { Settings } from './settings.ts'
import { request } from './web.ts'

const METHODS = ['POST', 'PUT', 'PATCH']
const DEFAULT_ROWS = 10_000
const DEFAULT_INTERVAL_MS = 10n
/** Characters of one request: a list of large rows is sent in more of them. */
const MOST_CHARACTERS = 64_000_000
const MOST_ANSWER = 4_000_000

export interface RestDelivery {
  settings: Settings
  relativeUrl: string
  sink: ValueObject
  signal: AbortSignal
  sleep(ms: number): Promise<void>
}

/**
 * Sends the objects of a file, one in each line. How many lines the service has taken is kept beside it: a process that goes on
 * sends the others, and the list that was on its way once more. Throws ActivityFailure, FERRY-7001.
 */
export async function deliver(delivery: RestDelivery, path: string): Promise<void> {
  const { sink, sleep } = delivery
  const most =
    sink.writeBatchSize === undefined || sink.writeBatchSize === null
      ? DEFAULT_ROWS
      : requireInteger(sink.writeBatchSize, 'writeBatchSize', 1, 1_000_000)
  const interval = intervalOf(sink.requestInterval ?? DEFAULT_INTERVAL_MS)
  const send = senderOf(delivery)
  const taken = Taken.at(`${path}.sent`)
  const before = taken.lines
  let lines = 0
  let rows: string[] = []
  let characters = 0
  const flush = async () => {
    if (rows.length === 0) return
    if (taken.lines > before) await sleep(interval)
    await send(`[${rows.join(',')}]`)
    taken.save(lines)
    rows = []
    characters = 0
  }
  try {
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
      lines++
      if (lines <= before || line === '') continue
      rows.push(line)
      characters += line.length
      if (rows.length >= most || characters >= MOST_CHARACTERS) await flush()
    }
    await flush()
  } finally {
    taken.close()
  }
}

/** Sends a text as the sink says it. */
function senderOf({ settings, relativeUrl, sink, signal }: RestDelivery): (text: string) => Promise<void> {
  const method = (optional(sink.requestMethod) ?? 'POST').toUpperCase()
  if (!METHODS.includes(method))
    throw new FerryError('FERRY-7001', `requestMethod has to be one of ${METHODS.join(', ')}, and is ${method}`)
  const packing = (optional(sink.httpCompressionType) ?? 'none').toLowerCase()
  if (packing !== 'none' && packing !== 'gzip')
    throw new FerryError('FERRY-7001', `httpCompressionType has to be none or gzip, and is ${packing}`)
  const limit =
    optional(sink.httpRequestTimeout) === undefined
      ? DEFAULT_TIMEOUT_MS
      : requireSpan(sink.httpRequestTimeout, 'httpRequestTimeout')
  const headers = {
    'content-type': 'application/json',
    ...headersOf(sink.additionalHeaders),
    ...authorization(settings),
    ...(packing === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
  }
  const url = addressOf(settings, relativeUrl)
  return async text => {
    const body = packing === 'gzip' ? new Uint8Array(gzipSync(text)) : text
    const answer = await request(url, { method, headers, body }, { limit, signal, most: MOST_ANSWER })
    if (answer.status < 400) return
    throw new ActivityFailure('2108', `the REST service answers ${answer.status}: ${answer.text.slice(0, 500)}`)
  }
}

/** The number of lines that were taken, in a file of its own. */
class Taken {
  lines: number
  private readonly file: number

  private constructor(lines: number, file: number) {
    this.lines = lines
    this.file = file
  }

  static at(path: string): Taken {
    // What is not a whole line was not saved.
    const lines = existsSync(path) ? Number(readFileSync(path, 'utf8').split('\n').at(-2) ?? 0) : 0
    return new Taken(lines, openSync(path, 'a', 0o600))
  }

  save(lines: number): void {
    writeSync(this.file, `${lines}\n`)
    fsyncSync(this.file)
    this.lines = lines
  }

  close(): void {
    closeSync(this.file)
  }
}
