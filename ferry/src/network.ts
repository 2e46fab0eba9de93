/**
 * Which addresses a server calls for others: none where clouds hand out their machines' credentials. It is decided where
 * a socket connects, on the bytes of the address, whatever name or spelling led to it and whichever library asks.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import dns from 'node:dns'
import { BlockList, isIP, Socket } from 'node:net'
import { FerryError } from './errors.ts'

/** IPv4 addresses of metadata services: link-local, Alibaba's, Azure's wire server, Oracle's; and this network itself. */
const REFUSED_4: [string, number][] = [
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
  ['192.0.0.192', 32],
  ['0.0.0.0', 8],
]
/** The same of IPv6: link-local, those of AWS and Google; and the forms that carry an IPv4 address (below). */
const REFUSED_6: [string, number][] = [
  ['fe80::', 10],
  ['fd00:ec2::', 32],
  ['fd20:ce::', 32],
]
/** Prefixes that carry an IPv4 address: compatible, translated (RFC 6052, 8215), 6to4; how many bits precede it. */
const CARRIERS: [(four: string) => string, number][] = [
  [four => `::${four}`, 96],
  [four => `::ffff:0:${four}`, 96],
  [four => `64:ff9b::${four}`, 96],
  [four => `64:ff9b:1::${four}`, 96],
  [four => `2002:${four}::`, 16],
]

const refused = new BlockList()
for (const [address, bits] of REFUSED_4) {
  // Addresses that are mapped into IPv6 are looked up among those of IPv4.
  refused.addSubnet(address, bits, 'ipv4')
  const bytes = address.split('.').map(Number)
  const four = [0, 2].map(i => ((bytes[i]! << 8) | bytes[i + 1]!).toString(16)).join(':')
  // `::/104` would hold `::1`.
  for (const [carry, before] of CARRIERS) if (bytes[0] !== 0) refused.addSubnet(carry(four), before + bits, 'ipv6')
}
for (const [address, bits] of REFUSED_6) refused.addSubnet(address, bits, 'ipv6')

/** Whether a server does not call an address, in whatever spelling `net` takes. */
export function isRefused(address: string): boolean {
  const bare = address.replace(/%.*$/, '')
  const family = isIP(bare)
  // What is no address is not called either.
  return family === 0 || refused.check(bare, family === 4 ? 'ipv4' : 'ipv6')
}

const METADATA = /^metadata(\.google\.internal|\.azure\.(com|internal))?\.?$/i

function refusal(name: string): FerryError {
  return new FerryError('FERRY-2006', `${name} is an address of the machine's own host: a server does not call it`)
}

const own = new AsyncLocalStorage<true>()

/** Work that calls the machine's own host for Ferry itself, and not for a user: for the token of its identity. */
export function asOurselves<T>(work: () => T): T {
  return own.run(true, work)
}

type Lookup = (name: string, options: dns.LookupOptions, callback: (...results: unknown[]) => void) => void

/** The names' own look-up, which refuses a name any of whose addresses is refused. */
function guarded(lookup: Lookup): Lookup {
  return (name, options, callback) => {
    lookup(name, options, (error, found, family) => {
      if (error) return callback(error)
      const all = (Array.isArray(found) ? found : [{ address: found }]) as { address: string }[]
      if (METADATA.test(name) || all.some(({ address }) => isRefused(address))) return callback(refusal(name))
      callback(null, found, family)
    })
  }
}

interface ConnectOptions {
  host?: string
  path?: string | null
  lookup?: Lookup
}

let isOn = false

/** From here on no socket of this process connects to a refused address, but for {@link asOurselves}. */
export function guardNetwork(): void {
  if (isOn) return
  isOn = true
  const connect = Socket.prototype.connect as (...words: unknown[]) => Socket
  Socket.prototype.connect = function (this: Socket, ...words: unknown[]): Socket {
    if (own.getStore()) return connect.apply(this, words)
    const [first] = words
    // `connect(port, host, done)`, or options, alone or in the list that `net.connect` makes of its words.
    if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
      const host = typeof words[1] === 'string' ? words[1] : 'localhost'
      const done = words.find(w => typeof w === 'function')
      return this.connect({ port: Number(first), host }, done as () => void)
    }
    const options = (Array.isArray(first) ? first[0] : first) as ConnectOptions | string
    if (typeof options !== 'object' || options.path) return connect.apply(this, words)
    const { host = 'localhost' } = options
    const bare = host.replace(/^\[|\]$/g, '')
    if (METADATA.test(bare) || (isIP(bare) !== 0 && isRefused(bare))) {
      process.nextTick(() => this.destroy(refusal(bare)))
      return this
    }
    options.lookup = guarded(options.lookup ?? (dns.lookup as unknown as Lookup))
    return connect.apply(this, words)
  } as typeof Socket.prototype.connect
}
