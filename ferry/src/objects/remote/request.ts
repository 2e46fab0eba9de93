/** Requests of HTTP whose bodies come as they are sent: `fetch` would decompress them, and lengths and ranges no longer hold. */
import http from 'node:http'
import https from 'node:https'

const MOST_REDIRECTS = 5

/** Headers that another origin gets, too. */
const OF_ANY = /^(accept|accept-encoding|range|if-[a-z-]+)$/i

export interface Answer {
  status: number
  statusText: string
  header(name: string): string | undefined
  body: http.IncomingMessage
}

/** Follows redirects; another origin gets no credentials. The caller reads the body of the answer, or destroys it. */
export async function send(
  url: URL,
  request: { method?: string; headers: Record<string, string>; body?: string | undefined; signal?: AbortSignal },
  redirects = 0,
): Promise<Answer> {
  const { method = 'GET', headers, body: sent, signal } = request
  const { request: begin } = url.protocol === 'https:' ? https : http
  const length = sent === undefined ? {} : { 'content-length': String(Buffer.byteLength(sent)) }
  const body = await new Promise<http.IncomingMessage>((resolve, reject) => {
    begin(url, { method, headers: { ...headers, ...length }, ...(signal ? { signal } : {}) }, resolve)
      .on('error', reject)
      .end(sent)
  })
  const status = body.statusCode!
  const { location } = body.headers
  if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
    body.destroy()
    if (redirects >= MOST_REDIRECTS) throw new Error(`more than ${MOST_REDIRECTS} redirects`)
    const next = new URL(location, url)
    if (!/^https?:$/.test(next.protocol)) throw new Error(`it leads to ${next.protocol}`)
    // Whatever else a header says is between the caller and the first address.
    const others = Object.fromEntries(Object.entries(headers).filter(([name]) => OF_ANY.test(name)))
    // Where an answer lies is asked without what was sent; 307 and 308 want it sent again.
    const again = sent === undefined || status === 307 || status === 308
    return send(
      next,
      {
        ...(again ? request : { ...(signal ? { signal } : {}) }),
        headers: next.origin === url.origin ? headers : others,
      },
      redirects + 1,
    )
  }
  const header = (name: string) => {
    const value = body.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  return { status, statusText: body.statusMessage ?? '', header, body }
}
