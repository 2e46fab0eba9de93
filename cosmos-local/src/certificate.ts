/** A certificate for HTTPS on this machine, signed by itself: made once, and then used by every start. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import forge from 'node-forge'

export interface Certificate {
  /** PEM. */
  cert: string
  /** PEM. */
  key: string
  /** Where the certificate is, for clients that are to trust it. */
  path: string
}

const DAYS = 825
/** Replaced so long before it ends. */
const EARLY_MS = 86_400_000
const KEY_BITS = 2048
/** What a certificate that signs itself is for: serving, and being trusted as an authority of its own. */
const EXTENSIONS = [
  { name: 'basicConstraints', cA: true, critical: true },
  { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, keyCertSign: true, critical: true },
  { name: 'extKeyUsage', serverAuth: true },
]
const DNS_NAME = 2
const IP_ADDRESS = 7

/**
 * The certificate in `folder`, for `hosts` and the names of this machine; makes one where there is none, where it ends
 * within a day or is for other hosts. The key is readable by its owner alone.
 */
export function certificateIn(folder: string, hosts: string[]): Certificate {
  const path = join(folder, 'cosmos-local.crt')
  const keyPath = join(folder, 'cosmos-local.key')
  const names = [...new Set(['localhost', '127.0.0.1', '::1', ...hosts])]
  try {
    const found = { cert: readFileSync(path, 'utf8'), key: readFileSync(keyPath, 'utf8') }
    if (serves(new X509Certificate(found.cert), names)) return { ...found, path }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const made = makeCertificate(names)
  mkdirSync(folder, { recursive: true })
  writeFileSync(keyPath, made.key, { mode: 0o600 })
  writeFileSync(path, made.cert)
  return { ...made, path }
}

function serves(certificate: X509Certificate, names: string[]): boolean {
  if (Date.parse(certificate.validTo) < Date.now() + EARLY_MS) return false
  return names.every(name => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined)
}

function makeCertificate(names: string[]): { cert: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: KEY_BITS,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const made = forge.pki.createCertificate()
  made.publicKey = forge.pki.publicKeyFromPem(publicKey)
  // A positive number of sixteen bytes.
  made.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(15))}`
  made.validity.notBefore = new Date(Date.now() - EARLY_MS)
  made.validity.notAfter = new Date(Date.now() + DAYS * 86_400_000)
  const subject = [{ name: 'commonName', value: 'cosmos-local' }]
  made.setSubject(subject)
  made.setIssuer(subject)
  const altNames = names.map(name => (isIP(name) ? { type: IP_ADDRESS, ip: name } : { type: DNS_NAME, value: name }))
  made.setExtensions([...EXTENSIONS, { name: 'subjectAltName', altNames }, { name: 'subjectKeyIdentifier' }])
  made.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create())
  return { cert: forge.pki.certificateToPem(made), key: privateKey }
}
