/** Documents as text: taken out of a response and freed of what the service added, digit for digit as they came. */
import { endOfValue, memberTexts } from '../../batch/json.ts'

/** The texts of the documents in a response of a feed or a query. */
export function documentsIn(body: string): string[] {
  const found: string[] = []
  const start = body.indexOf('"Documents":[')
  if (start < 0) return found
  let at = start + '"Documents":['.length
  while (body.charCodeAt(at) === 123) {
    const end = endOfValue(body, at)
    found.push(body.slice(at, end))
    at = end
    if (body.charCodeAt(at) === 44) at++
  }
  return found
}

const SYSTEM = new Set(['"_rid"', '"_self"', '"_etag"', '"_attachments"', '"_ts"', '"_lsn"'])
/** Whether a property is one that the service sets. */
export function isSystem(name: string): boolean {
  return SYSTEM.has(`"${name}"`)
}

/** The system properties as the service puts them behind a document's own. */
const USUAL_END =
  /^"_rid":"[^"]*","_self":"[^"]*","_etag":"\\"[^"]*\\"","_attachments":"[^"]*","_ts":\d+(?:,"_lsn":\d+)?\}$/

/** The document without system properties. */
export function ownText(document: string): string {
  const at = document.lastIndexOf('"_rid":"')
  if (at > 0 && USUAL_END.test(document.slice(at))) {
    const own = `${document.slice(0, document.charCodeAt(at - 1) === 44 ? at - 1 : at)}}`
    // A property of the same kind further ahead would be a system property too.
    if (!own.includes('"_') || !/"_(?:rid|self|etag|attachments|ts|lsn)"/.test(own)) return own
  }
  const kept = memberTexts(document).filter(({ key }) => !SYSTEM.has(key))
  return `{${kept.map(({ key, value }) => `${key}:${value}`).join(',')}}`
}

/** The value at a path of a document; undefined where there is none. */
export function valueAt(document: Record<string, unknown>, path: string[]): unknown {
  let value: unknown = document
  for (const step of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string, unknown>)[step]
  }
  return value
}

/** The identity of a document as one text: its values at some paths. */
export function identityOf(document: Record<string, unknown>, paths: string[][]): string {
  return identityText(paths.map(path => valueAt(document, path)))
}

/** The same for given values; missing ones are distinct from null. */
export function identityText(values: unknown[]): string {
  return JSON.stringify(values.map(v => ({ v })))
}
