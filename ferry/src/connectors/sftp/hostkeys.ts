/** Whether a server is the one that is meant: by the key that it shows. Format: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** The fingerprint of a key, as `ssh-keygen -l` shows it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** True if `expected`, a fingerprint or lines of a known_hosts file, names this key for the host. */
export function isKnown(expected: string, key: Buffer, { host, port }: { host: string; port: number }): boolean {
  const own = fingerprint(key)
  const names = port === 22 ? [host, `[${host}]:22`] : [`[${host}]:${port}`]
  let found = false
  for (const line of expected.split('\n').map(l => l.trim())) {
    if (line === own) found = true
    const words = line.split(/\s+/)
    const mark = words[0]?.startsWith('@') ? words.shift() : undefined
    // A key may be given alone, as `ssh-keyscan` and the server's own .pub file have it.
    const hosts = /^(ssh|ecdsa|sk)-/.test(words[0] ?? '') ? undefined : words.shift()
    const [, encoded] = words
    if (encoded === undefined || !Buffer.from(encoded, 'base64').equals(key)) continue
    if (hosts !== undefined && !names.some(name => matchesHosts(hosts, name))) continue
    if (mark === '@revoked') return false
    if (mark === undefined) found = true
  }
  return found
}

function matchesHosts(hosts: string, name: string): boolean {
  const hashed = /^\|1\|([^|]+)\|(.+)$/.exec(hosts)
  if (hashed) {
    const own = createHmac('sha1', Buffer.from(hashed[1]!, 'base64')).update(name).digest()
    const given = Buffer.from(hashed[2]!, 'base64')
    return own.length === given.length && timingSafeEqual(own, given)
  }
  return hosts.split(',').includes(name)
}
