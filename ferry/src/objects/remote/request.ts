/** Requests of HTTP whose bodies come as they are sent: `fetch` would decompress them, and lengths and ranges no longer hold. */
import http from 'node:http'
import https from 'node:https'

const MOST_REDIRECTS = 5

export interface Answer {
  status: number
  statusText: string
  header(name: string): string | undefined
  body: http.IncomingMessage
}

/** Follows redirects; another origin gets no `authorization`. The caller reads the body, or destroys it. */
export async function send(
  url: URL,
  { method = 'GET', headers, signal }: { method?: string; headers: Record<string, string>; signal?: AbortSignal },
  redirects = 0,
): Promise<Answer> {
  const { request } = url.protocol === 'https:' ? https : http
  const body = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request(url, { method, headers, ...(signal ? { signal } : {}) }, resolve)
      .on('error', reject)
      .end()
  })
  const status = body.statusCode!
  const { location } = body.headers
  if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
    body.destroy()
    if (redirects >= MOST_REDIRECTS) throw new Error(`more than ${MOST_REDIRECTS} redirects`)
    const next = new URL(location, url)
    if (!/^https?:$/.test(next.protocol)) throw new Error(`it leads to ${next.protocol}`)
    const { authorization: _, ...others } = headers
    return send(
      next,
      { method, headers: next.origin === url.origin ? headers : others, ...(signal ? { signal } : {}) },
      redirects + 1,
    )
  }
  const header = (name: string) => {
    const value = body.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }
  return { status, statusText: body.statusMessage ?? '', header, body }
}
