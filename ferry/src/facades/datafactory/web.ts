/** Requests to addresses that artifacts name; what may be reached is decided where sockets connect. */
import { FerryError } from '../../errors.ts'
import { ActivityFailure } from '../../pipelines/errors.ts'

const MOST_REDIRECTS = 20

/** An address without what may be a secret in it. */
export const withoutSecrets = (url: string) => url.replace(/\?.*$/s, '').replace(/\/\/[^/@]*@/, '//')

export interface Answer {
  status: number
  headers: Record<string, string>
  text: string
}

/** Calls an address; credentials stay with the host that they are for. Throws ActivityFailure. */
export async function request(
  url: string,
  {
    method,
    headers,
    body,
  }: { method: string; headers: Record<string, string>; body: string | Uint8Array<ArrayBuffer> | undefined },
  { limit, signal, most }: { limit: number; signal: AbortSignal; most: number },
): Promise<Answer> {
  const timer = AbortSignal.timeout(limit)
  try {
    let [at, how] = [url, method]
    for (let hops = 0; ; hops++) {
      // Redirects are followed by hand: credentials stay with the host that they are for.
      const same = new URL(at).host === new URL(url).host
      const sent = same ? headers : { accept: headers.accept ?? '*/*' }
      const response = await fetch(at, {
        method: how,
        headers: sent,
        redirect: 'manual',
        signal: AbortSignal.any([signal, timer]),
        ...(body === undefined || how === 'GET' ? {} : { body }),
      })
      const location = response.headers.get('location')
      if (response.status >= 300 && response.status < 400 && location !== null && hops < MOST_REDIRECTS) {
        await response.body?.cancel()
        at = new URL(location, at).href
        if (response.status === 303) how = 'GET'
        continue
      }
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        text: await bounded(response, most),
      }
    }
  } catch (error) {
    if (signal.aborted) throw error
    if (error instanceof ActivityFailure || error instanceof FerryError) throw error
    if (timer.aborted) {
      throw new ActivityFailure(
        '2128',
        `No response from the endpoint '${withoutSecrets(url)}' within ${limit / 1000} seconds`,
      )
    }
    const { cause } = error as { cause?: { message?: string } }
    throw new ActivityFailure(
      '2108',
      `Error calling the endpoint '${withoutSecrets(url)}'. Response status code: 'NA - Unknown'. More details: ${cause?.message ?? (error as Error).message}`,
    )
  }
}

async function bounded(response: Response, most: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length
    if (size > most)
      throw new ActivityFailure('2001', 'The length of execution output is over limit (around 4MB currently).')
    chunks.push(chunk as Uint8Array)
  }
  return Buffer.concat(chunks).toString('utf8')
}
