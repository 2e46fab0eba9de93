/** The account on the network: one listener for each region. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Account, type AccountOptions } from './account.ts'
import type { Fault, Operation } from './faults.ts'
import { decoded, type Request } from './protocol.ts'
import { answer, operationOf } from './service.ts'

export interface ServerOptions extends AccountOptions {
  /** The first region's port; any free one where omitted. Further regions get the ports behind it. */
  port?: number
  /** Loopback where omitted. */
  host?: string
  /** Certificate and key in PEM: HTTPS. */
  tls?: { cert: string; key: string }
}

const SWEEP_MS = 1000

/** An account that listens. */
export class RunningAccount {
  readonly account: Account
  /** Where each region listens. */
  readonly endpoints: string[] = []
  private readonly servers: Server[] = []
  private readonly watchers = new Set<(operation: Operation, request: Request) => void>()
  private readonly sweeper: NodeJS.Timeout

  private constructor(account: Account) {
    this.account = account
    this.sweeper = setInterval(() => account.sweep(), SWEEP_MS)
    this.sweeper.unref()
  }

  static async start(options: ServerOptions = {}): Promise<RunningAccount> {
    const running = new RunningAccount(new Account(options))
    for (const i of running.account.regions.keys()) {
      const port = options.port ? options.port + i : 0
      await running.listen(port, options.host ?? '127.0.0.1', options.tls)
    }
    return running
  }

  get endpoint(): string {
    return this.endpoints[0]!
  }

  get key(): string {
    return this.account.keys.primary
  }

  get connectionString(): string {
    return `AccountEndpoint=${this.endpoint}/;AccountKey=${this.key};`
  }

  /** Makes requests meet a fault; the result ends it. */
  inject(fault: Fault): () => void {
    return this.account.faults.inject(fault)
  }

  /** Shows every request as it comes, before it is served; the result ends it. */
  watch(see: (operation: Operation, request: Request) => void): () => void {
    this.watchers.add(see)
    return () => this.watchers.delete(see)
  }

  /** Splits a partition of a container in two, as the service does when it grows. */
  split(database: string, container: string, partition?: number): void {
    const { partitions } = this.account.container(database, container)
    partitions.split(partition ?? partitions.all[0]!.id)
  }

  /** Stops listening; harmless when repeated. */
  async close(): Promise<void> {
    clearInterval(this.sweeper)
    const servers = this.servers.splice(0)
    if (servers.length === 0) return
    for (const server of servers) {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
    this.account.close()
  }

  private async listen(port: number, host: string, tls: ServerOptions['tls']): Promise<void> {
    const region = this.servers.length
    const handle = (message: IncomingMessage, response: ServerResponse) => {
      this.serve(message, response, region).catch(error => response.destroy(error))
    }
    const server = tls ? createHttpsServer(tls, handle) : createHttpServer(handle)
    server.keepAliveTimeout = 120_000
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, resolve)
    })
    this.servers.push(server)
    const address = server.address() as AddressInfo
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
    this.endpoints.push(`${tls ? 'https' : 'http'}://${name}:${address.port}`)
  }

  private async serve(message: IncomingMessage, response: ServerResponse, region: number): Promise<void> {
    const body = await bodyOf(message)
    const path = (message.url ?? '/').split('?')[0]!
    const request: Request = {
      method: message.method ?? 'GET',
      // An id may hold a percent sign that some clients leave as it is.
      path: path
        .split('/')
        .filter(Boolean)
        .map(part => decoded(part) ?? part),
      headers: filled(message.headers),
      body,
    }
    const operation = operationOf(request)
    for (const see of this.watchers) see(operation, request)
    const faults = this.account.faults.meeting(operation)
    const latency = faults.reduce((ms, f) => ms + (f.latencyMs ?? 0), 0)
    if (latency > 0) await sleep(latency)
    if (faults.some(f => f.drop === 'before')) {
      message.socket.destroy()
      return
    }
    const { status, headers, body: text } = answer(this.account, this.endpoints, request, faults)
    if (faults.some(f => f.drop === 'after')) {
      message.socket.destroy()
      return
    }
    const bytes = Buffer.from(text)
    // Which region answered.
    const location = `${this.endpoints[region]}${message.url}`
    response.writeHead(status, { ...headers, 'content-location': location, 'content-length': bytes.length })
    response.end(bytes)
  }
}

/** Headers with a value: some clients send empty ones where others send none. */
function filled(headers: IncomingMessage['headers']): Request['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')) as Request['headers']
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? '' : (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString()
}

/** Starts a local account. */
export function startAccount(options: ServerOptions = {}): Promise<RunningAccount> {
  return RunningAccount.start(options)
}
