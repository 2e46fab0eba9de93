/** Reading a REST service page by page, by the pagination rules of Data Factory. */

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { elements } from '../../batch/json.ts'
import { FerryError } from '../../errors.ts'
import { ActivityFailure } from '../../pipelines/errors.ts'
import { isObject, parseValue, textOf, type Value, type ValueObject } from '../../pipelines/expressions/values.ts'
import { requireInteger, requireSpan } from '../../pipelines/resolve.ts'
import { optional } from './files.ts'
import type { Settings } from './settings.ts'
import { stepsOf } from './translator.ts'
import { type Answer, request } from './web.ts'

const MOST_BYTES = 256_000_000
const MOST_REQUESTS = 100_000
/** What Data Factory waits for an answer. */
export const DEFAULT_TIMEOUT_MS = 100_000
const DEFAULT_INTERVAL_MS = 1000

export interface RestRequest {
  settings: Settings
  relativeUrl: string
  source: ValueObject
  signal: AbortSignal
  sleep(ms: number): Promise<void>
}

/** Writes what a service gives to a file, an object a line; a list gives a line for each of its elements. Gives back the requests. */
export async function spool(rest: RestRequest, path: string): Promise<number> {
  const file = createWriteStream(path, { flush: true })
  let requests = 0
  try {
    for await (const text of pages(rest)) {
      requests++
      const bare = text.trim()
      for (const one of bare.startsWith('[') ? elements(bare) : [bare]) {
        if (!one.startsWith('{'))
          throw new ActivityFailure('FERRY-4002', `the service gives ${one.slice(0, 40)}, which is no object`)
        // In JSON a line feed can only be between tokens: in strings it is escaped.
        if (!file.write(`${one.replaceAll(/\r?\n/g, ' ')}\n`)) await once(file, 'drain')
      }
    }
  } finally {
    file.end()
    await once(file, 'close')
  }
  return requests
}

/** The texts of the pages. Throws ActivityFailure, FERRY-7001, FERRY-7006. */
async function* pages({ settings, relativeUrl, source, signal, sleep }: RestRequest): AsyncGenerator<string> {
  const rules = new Rules(source.paginationRules)
  const method = (optional(source.requestMethod) ?? 'GET').toUpperCase()
  if (method !== 'GET' && method !== 'POST')
    throw new FerryError('FERRY-7001', `requestMethod has to be GET or POST, and is ${method}`)
  const first = addressOf(settings, relativeUrl)
  const headers = { ...headersOf(source.additionalHeaders), ...authorization(settings), accept: 'application/json' }
  const body = method === 'POST' ? (optional(source.requestBody) ?? '') : undefined
  if (body !== undefined) (headers as Record<string, string>)['content-type'] ??= 'application/json'
  const limit =
    optional(source.httpRequestTimeout) === undefined
      ? DEFAULT_TIMEOUT_MS
      : requireSpan(source.httpRequestTimeout, 'httpRequestTimeout')
  const interval = intervalOf(source.requestInterval)
  for (let call: Call | undefined = rules.first(first, headers), count = 0; call !== undefined; count++) {
    if (count >= MOST_REQUESTS)
      throw new ActivityFailure('FERRY-7008', `the service was asked ${MOST_REQUESTS} times and has still more`)
    if (count > 0) await sleep(interval)
    const own: Record<string, string> =
      new URL(call.url).host === new URL(first).host ? call.headers : { accept: 'application/json' }
    const answer = await request(call.url, { method, headers: own, body }, { limit, signal, most: MOST_BYTES })
    if (answer.status >= 400) {
      throw new ActivityFailure('2108', `the REST service answers ${answer.status}: ${answer.text.slice(0, 500)}`)
    }
    if (answer.status === 204) return
    let value: Value
    try {
      value = parseValue(answer.text.replace(/^\uFEFF/, ''))
    } catch {
      throw new ActivityFailure('FERRY-4002', `the REST service answers no JSON: ${answer.text.slice(0, 200)}`)
    }
    if (rules.endsBefore(value, answer)) return
    yield answer.text.replace(/^\uFEFF/, '')
    call = rules.next(call, value, answer)
  }
}

/** The address of a dataset in its service. */
export function addressOf(settings: Settings, relativeUrl: string): string {
  const base = settings.require('url').replace(/\/$/, '')
  if (relativeUrl === '') return base
  return /^https?:/i.test(relativeUrl) ? relativeUrl : `${base}/${relativeUrl.replace(/^\//, '')}`
}

export function intervalOf(value: Value | undefined): number {
  if (value === undefined || value === null) return DEFAULT_INTERVAL_MS
  return typeof value === 'string' && value.includes(':')
    ? requireSpan(value, 'requestInterval')
    : requireInteger(value, 'requestInterval', 0, 60_000)
}

export function authorization(settings: Settings): Record<string, string> {
  const type = settings.text('authenticationType') ?? 'Anonymous'
  if (type === 'Anonymous') return {}
  if (type !== 'Basic')
    throw new FerryError('FERRY-7006', `the REST service signs in by ${type}: Anonymous and Basic are known here`)
  const pair = `${settings.require('userName')}:${settings.require('password')}`
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}

/** An object, or lines of `name: value`. */
export function headersOf(given: Value | undefined): Record<string, string> {
  if (isObject(given))
    return Object.fromEntries(Object.entries(given).map(([name, v]) => [name.toLowerCase(), textOf(v)]))
  return Object.fromEntries(
    (optional(given) ?? '')
      .split(/\r?\n/)
      .filter(line => line.includes(':'))
      .map(line => [line.slice(0, line.indexOf(':')).trim().toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
}

interface Call {
  url: string
  headers: Record<string, string>
}

type Target = { kind: 'url' } | { kind: 'query' | 'header'; name: string } | { kind: 'placeholder'; name: string }

interface Range {
  start: number
  end: number
  step: number
}

/** `paginationRules`: keys say what is set for the next request, values where it comes from. */
class Rules {
  private readonly sets: { target: Target; from: string }[] = []
  private readonly ranges: { target: Target; range: Range }[] = []
  private readonly ends: { path: string; condition: string }[] = []
  private readonly most: number
  private readonly followsLinks: boolean
  private template: Call = { url: '', headers: {} }
  private count = 0

  constructor(given: Value | undefined) {
    const rules = Object.entries(isObject(given) ? given : {}).filter(([, value]) => value !== null && value !== '')
    let most = Number.POSITIVE_INFINITY
    // Links of RFC 5988 are followed where no rule says otherwise.
    let links = rules.length === 0
    for (const [key, value] of rules) {
      const text = textOf(value)
      const end = /^EndCondition:(.+)$/i.exec(key)
      if (/^SupportRFC5988$/i.test(key)) links = /^true$/i.test(text)
      else if (/^MaxRequestNumber$/i.test(key)) most = requireInteger(value, 'MaxRequestNumber', 1, MOST_REQUESTS)
      else if (end) this.ends.push({ path: end[1]!, condition: text })
      else {
        const target = targetOf(key)
        const range = /^RANGE:(-?\d+):(-?\d*):(\d+)$/i.exec(text)
        if (range) {
          const [, start, last, step] = range
          this.ranges.push({
            target,
            range: {
              start: Number(start),
              end: last === '' ? Number.POSITIVE_INFINITY : Number(last),
              step: Number(step),
            },
          })
        } else this.sets.push({ target, from: text })
      }
    }
    this.most = most
    this.followsLinks = links
  }

  /** The first request: placeholders have the first values of their ranges. */
  first(url: string, headers: Record<string, string>): Call {
    this.template = { url, headers }
    return this.ranged(0)
  }

  /** The template with the values of the ranges of a turn in it. */
  private ranged(turn: number): Call {
    const { url, headers } = this.template
    return this.ranges.reduce<Call>(
      (call, { target, range }) => put(call, target, String(range.start + turn * range.step)),
      { url, headers },
    )
  }

  /** True if a page is the one behind the last. */
  endsBefore(value: Value, { headers }: Answer): boolean {
    return this.ends.some(({ path, condition }) => {
      const found = /^headers\./i.test(path) ? headers[path.slice(8).toLowerCase()] : valueAt(value, path)
      if (/^Exist$/i.test(condition)) return found !== undefined
      if (/^NonExist$/i.test(condition)) return found === undefined
      if (/^Empty$/i.test(condition))
        return (
          found === undefined ||
          found === null ||
          found === '' ||
          (typeof found === 'object' && Object.keys(found).length === 0)
        )
      const constant = /^Const:(.*)$/is.exec(condition)?.[1]
      if (constant === undefined)
        throw new FerryError(
          'FERRY-7001',
          `the end condition ${condition} is not known: Exist, NonExist, Empty, Const:VALUE`,
        )
      return found !== undefined && textOf(found).toLowerCase() === constant.toLowerCase()
    })
  }

  /** The request for the next page; undefined behind the last one. */
  next(before: Call, value: Value, answer: Answer): Call | undefined {
    if (++this.count >= this.most) return undefined
    if (this.ranges.length > 0) {
      if (this.ranges.some(({ range }) => range.start + this.count * range.step > range.end)) return undefined
      // A range without an end needs a condition that ends it.
      if (
        this.ranges.every(({ range }) => range.end === Number.POSITIVE_INFINITY) &&
        this.ends.length === 0 &&
        this.most === Number.POSITIVE_INFINITY
      ) {
        throw new FerryError('FERRY-7006', 'a range without an end needs an end condition or MaxRequestNumber')
      }
    }
    let call = this.ranges.length > 0 ? this.ranged(this.count) : before
    for (const { target, from } of this.sets) {
      const found = sourceOf(from, value, answer)
      if (found === undefined || found === null || found === '') return undefined
      call = put(call, target, textOf(found))
    }
    if (this.sets.length > 0 || this.ranges.length > 0) return call
    if (!this.followsLinks) return undefined
    const link = /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(answer.headers.link ?? '')?.[1]
    return link === undefined ? undefined : { ...before, url: new URL(link, before.url).href }
  }
}

function targetOf(key: string): Target {
  if (/^AbsoluteUrl$/i.test(key)) return { kind: 'url' }
  const match = /^(AbsoluteUrl|QueryParameters|Headers)(?:\.(.+)|\['(.+)'\])$/i.exec(key)
  if (!match)
    throw new FerryError(
      'FERRY-7001',
      `the pagination rule ${key} is not known: AbsoluteUrl, QueryParameters.NAME, Headers.NAME, EndCondition:PATH, MaxRequestNumber, SupportRFC5988`,
    )
  const name = (match[2] ?? match[3])!
  const placeholder = /^\{(.+)\}$/.exec(name)?.[1]
  if (placeholder !== undefined) return { kind: 'placeholder', name: placeholder }
  return { kind: /^Query/i.test(match[1]!) ? 'query' : 'header', name }
}

function sourceOf(from: string, value: Value, { headers }: Answer): Value | undefined {
  const header = /^Headers(?:\.(.+)|\['(.+)'\])$/i.exec(from)
  if (header) return headers[(header[1] ?? header[2])!.toLowerCase()]
  if (from.startsWith('$')) return valueAt(value, from)
  throw new FerryError(
    'FERRY-7001',
    `the pagination rule takes its value from ${from}: a path that begins with $, Headers.NAME, or RANGE:start:end:step`,
  )
}

function valueAt(value: Value, path: string): Value | undefined {
  let found: Value | undefined = value
  for (const step of stepsOf(path, 'path')) {
    if (Array.isArray(found)) found = found[Number(step)]
    else if (isObject(found) && Object.hasOwn(found, step)) found = found[step]
    else return undefined
  }
  return found
}

function put({ url, headers }: Call, target: Target, value: string): Call {
  switch (target.kind) {
    case 'url':
      return { url: new URL(value, url).href, headers }
    case 'header':
      return { url, headers: { ...headers, [target.name.toLowerCase()]: value } }
    case 'query': {
      const next = new URL(url)
      next.searchParams.set(target.name, value)
      return { url: next.href, headers }
    }
    case 'placeholder': {
      const filled = (text: string) =>
        text.replaceAll(`{${target.name}}`, value).replaceAll(`%7B${encodeURIComponent(target.name)}%7D`, value)
      return {
        url: filled(url),
        headers: Object.fromEntries(Object.entries(headers).map(([name, v]) => [name, filled(v)])),
      }
    }
  }
}
