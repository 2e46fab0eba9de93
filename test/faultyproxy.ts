/** A proxy in front of a server that spoils chosen answers. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What becomes of a request: nothing, an answer in place of the server's, or a body that ends too early. */
export type Fault =
  | undefined
  | { status: number; body?: string; headers?: Record<string, string> }
  /** `cut`: the connection breaks after so many bytes. `short`: the body ends after them, and says that it is whole. */
  | { cut: number }
  | { short: number }

export interface FaultyProxy {
  endpoint: string
  /** Decides for each request; `n` counts those with the same method and address, from 1. */
  fault: (request: IncomingMessage, n: number) => Fault
  requests: number
  stop(): Promise<void>
}

export async function faultyProxy(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target)
  const counts = new Map<string, number>()
  const proxy: FaultyProxy = { endpoint: '', fault: () => undefined, requests: 0, stop: async () => {} }
  const pass = (from: IncomingMessage, to: ServerResponse, fault: Fault) => {
    const { method, url: path, headers } = from
    const forward = request({ hostname, port, method, path, headers }, answer => {
      const most = fault && 'cut' in fault ? fault.cut : fault && 'short' in fault ? fault.short : Infinity
      const told = { ...answer.headers }
      if (fault && 'short' in fault) {
        const length = Number(told['content-length'] ?? Infinity)
        told['content-length'] = String(Math.min(length, most))
      }
      to.writeHead(answer.statusCode!, told)
      let sent = 0
      answer.on('data', (chunk: Buffer) => {
        const part = chunk.subarray(0, Math.max(0, most - sent))
        sent += part.length
        if (part.length > 0) to.write(part)
        if (sent < most) return
        answer.destroy()
        if (fault && 'cut' in fault) setImmediate(() => to.destroy())
        else to.end()
      })
      answer.on('end', () => to.end())
      answer.on('error', () => to.destroy())
    })
    forward.on('error', () => to.destroy())
    from.pipe(forward)
  }
  const server = createServer((from, to) => {
    proxy.requests++
    const name = `${from.method} ${from.url}`
    const n = (counts.get(name) ?? 0) + 1
    counts.set(name, n)
    const fault = proxy.fault(from, n)
    if (!fault || !('status' in fault)) return pass(from, to, fault)
    from.resume()
    from.on('end', () => {
      to.writeHead(fault.status, { 'content-type': 'application/xml', ...fault.headers })
      to.end(fault.body ?? '')
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  proxy.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  proxy.stop = () =>
    new Promise(resolve => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
  return proxy
}
