/**
 * Secrets in the state: AES-256-GCM under a key that is stored elsewhere. The key comes from FERRY_KEY, else from
 * a file of the state's folder that only its owner reads, made when it is first needed.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FerryError } from '../errors.ts'

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const VERSION = 'v1'

export class Seal {
  private readonly key: Buffer

  private constructor(key: Buffer) {
    this.key = key
  }

  /** Throws FERRY-5011 where the key is none, or may be read by others. */
  static open(home: string, environment: NodeJS.ProcessEnv = process.env): Seal {
    const given = environment.FERRY_KEY
    if (given !== undefined) return new Seal(keyOf(given, 'FERRY_KEY'))
    const path = join(home, 'key')
    try {
      writeFileSync(path, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx', flush: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
      throw new FerryError('FERRY-5011', `${path} may be read by others`, { hint: `chmod 600 ${path}` })
    }
    return new Seal(keyOf(readFileSync(path, 'utf8').trim(), path))
  }

  /** The encrypted secret. It can be decrypted under the same name only. */
  close(name: string, secret: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.key, nonce).setAAD(Buffer.from(name))
    const sealed = Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `${VERSION}.${sealed.toString('base64')}`
  }

  /** Throws FERRY-5011 where it was sealed under another key or name, or was altered. */
  reveal(name: string, kept: string): string {
    const [version, text = ''] = kept.split('.')
    const sealed = Buffer.from(text, 'base64')
    try {
      if (version !== VERSION) throw new Error(`unknown form ${version}`)
      const nonce = sealed.subarray(0, NONCE_BYTES)
      const tag = sealed.subarray(sealed.length - TAG_BYTES)
      const decipher = createDecipheriv('aes-256-gcm', this.key, nonce, { authTagLength: TAG_BYTES })
      decipher.setAAD(Buffer.from(name)).setAuthTag(tag)
      const secret = Buffer.concat([
        decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)),
        decipher.final(),
      ])
      return secret.toString('utf8')
    } catch (error) {
      throw new FerryError('FERRY-5011', `the secret ${name} cannot be opened with this key`, { cause: error })
    }
  }
}

function keyOf(text: string, place: string): Buffer {
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
  if (key.length !== KEY_BYTES) {
    throw new FerryError('FERRY-5011', `${place} is no key: 32 bytes, as base64 or hex`, {
      hint: 'Make one: openssl rand -base64 32',
    })
  }
  return key
}

/** Whether two secrets are the same; in constant time. */
export function sameSecret(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}
