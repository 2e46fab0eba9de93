/** Documents as text: taken out of a response and freed of what the service added, digit for digit as they came. */

/** The texts of the documents in a response of a feed or a query. */
export function documentsIn(body: string): string[] {
  const found: string[] = []
  const start = body.indexOf('"Documents":[')
  if (start < 0) return found
  let at = start + '"Documents":['.length
  while (body.charCodeAt(at) === 123) {
    const end = endOfObject(body, at)
    found.push(body.slice(at, end))
    at = end
    if (body.charCodeAt(at) === 44) at++
  }
  return found
}

function endOfObject(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) at = endOfText(text, at)
    else if (code === 123) depth++
    else if (code === 125 && --depth === 0) return at + 1
  }
  return text.length
}

/** The place of the quote that closes a text. */
function endOfText(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); ; at = text.indexOf('"', at + 1)) {
    if (at < 0) return text.length
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === 92) slashes++
    if (slashes % 2 === 0) return at
  }
}

const SYSTEM = new Set(['_rid', '_self', '_etag', '_attachments', '_ts', '_lsn'])
/** The system properties as the service puts them behind a document's own. */
const USUAL_END =
  /,?"_rid":"[^"]*","_self":"[^"]*","_etag":"\\"[^"]*\\"","_attachments":"[^"]*","_ts":\d+(?:,"_lsn":\d+)?\}$/

/** The document without system properties. */
export function ownText(document: string): string {
  const end = document.search(USUAL_END)
  if (end > 0) {
    const own = `${document.slice(0, end)}}`
    // A property of the same kind further ahead would be a system property too.
    if (!/"_(?:rid|self|etag|attachments|ts|lsn)"/.test(own)) return own
  }
  return withoutMembers(document)
}

function withoutMembers(document: string): string {
  const kept: string[] = []
  let at = 1
  for (;;) {
    while (document.charCodeAt(at) <= 32 || document.charCodeAt(at) === 44) at++
    if (document.charCodeAt(at) !== 34) break
    const start = at
    const nameEnd = endOfText(document, at)
    const name = document.slice(at + 1, nameEnd)
    at = endOfMember(document, document.indexOf(':', nameEnd) + 1)
    if (!SYSTEM.has(name)) kept.push(document.slice(start, at).trimEnd())
  }
  return `{${kept.join(',')}}`
}

function endOfMember(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) at = endOfText(text, at)
    else if (code === 123 || code === 91) depth++
    else if (code === 125 || code === 93) {
      if (depth-- === 0) return at
    } else if (code === 44 && depth === 0) return at
  }
  return text.length
}
