/**
 * Files of a server, by SFTP. An upload is a hidden file beside its target, which is renamed when it is whole.
 *
 * Sources: https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02, the extensions of OpenSSH (PROTOCOL)
 */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { SFTPWrapper, Stats } from 'ssh2'
import {
  type Listing,
  ObjectChanged,
  ObjectExists,
  type ObjectService,
  type RemoteHead,
  type Reveal,
  type Staged,
} from '../../objects/remote/service.ts'
import { retried } from '../../objects/remote/upload.ts'
import { isMissing, SftpConnection } from './connection.ts'
import { explainSftp } from './errors.ts'
import type { SftpSettings } from './settings.ts'

const PART = 4 << 20
/** What every server takes in one request. */
const CHUNK = 32 << 10
/** Requests at one time for one file. */
const AT_ONCE = 32
const UPLOAD = '.ferry-upload-'

export class SftpService implements ObjectService {
  readonly label: string
  readonly place: string
  readonly longestKey = 1024
  readonly mostParts = 1_000_000
  readonly keysArePaths = true
  readonly secrets: string[]
  readonly guarantee = 'exactly once: files are renamed when they are whole'
  private readonly settings: SftpSettings
  private readonly connection: SftpConnection
  /** Files that are being written, by their uploads. */
  private readonly open = new Map<string, Promise<Buffer>>()

  constructor(settings: SftpSettings) {
    this.settings = settings
    const { user, host, port } = settings
    const at = `${host}${port === 22 ? '' : `:${port}`}`
    this.label = `sftp://${user}@${at}`
    this.place = `sftp:${at}`
    this.secrets = [settings.password, settings.passphrase].filter(s => s !== undefined)
    this.connection = new SftpConnection(settings)
  }

  partSize(): number {
    return PART
  }

  /** Runs one call of the protocol. */
  private async call<T>(work: (sftp: SFTPWrapper, done: (error: unknown, value?: T) => void) => void): Promise<T> {
    const sftp = await this.connection.session()
    return new Promise<T>((resolve, reject) => {
      const lost = () => reject(Object.assign(new Error('the connection was lost'), { code: 'ECONNRESET' }))
      sftp.once('close', lost)
      work(sftp, (error, value) => {
        sftp.off('close', lost)
        if (error) reject(error)
        else resolve(value as T)
      })
    })
  }

  private async stat(path: string): Promise<Stats | undefined> {
    return this.call<Stats>((s, done) => s.stat(path, done)).catch(error => {
      if (isMissing(error)) return undefined
      throw error
    })
  }

  async test(): Promise<string> {
    const folder = pathOf(this.settings.folder)
    const found = await this.stat(folder)
    if (!found?.isDirectory()) throw Object.assign(new Error(`${folder} is no folder`), { code: 2 })
    return `folder ${folder}`
  }

  async *list(prefix: string, shallow: boolean): AsyncGenerator<Listing> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const name = prefix.slice(folder.length)
    yield* this.walk(folder, name, shallow)
  }

  private async *walk(folder: string, name: string, shallow: boolean): AsyncGenerator<Listing> {
    const ask = () => this.call<{ filename: string; attrs: Stats }[]>((s, done) => s.readdir(pathOf(folder), done))
    const entries = await retried(this, folder, () =>
      ask().catch(error => {
        if (isMissing(error)) return []
        throw error
      }),
    )
    const objects: RemoteHead[] = []
    const folders: string[] = []
    entries.sort((a, b) => (a.filename < b.filename ? -1 : 1))
    for (const { filename, attrs } of entries) {
      if (filename === '.' || filename === '..' || !filename.startsWith(name)) continue
      const key = `${folder}${filename}`
      // A link is what it leads to.
      const found = attrs.isSymbolicLink() ? await this.stat(pathOf(key)) : attrs
      if (found?.isFile()) objects.push(headOf(key, found))
      // Links to folders could lead around in circles.
      else if (attrs.isDirectory()) folders.push(`${key}/`)
    }
    yield { objects, folders: shallow ? folders : [] }
    if (!shallow) for (const one of folders) yield* this.walk(one, '', false)
  }

  async head(key: string): Promise<RemoteHead | undefined> {
    const found = await this.stat(pathOf(key))
    return found?.isFile() ? headOf(key, found) : undefined
  }

  async read(
    key: string,
    start: number,
    end: number,
    { version, signal }: { version: string; signal?: AbortSignal },
  ): Promise<Readable> {
    const handle = await this.call<Buffer>((s, done) => s.open(pathOf(key), 'r', done)).catch(error => {
      if (isMissing(error)) throw new ObjectChanged(key)
      throw error
    })
    const requireSame = async () => {
      const now = await this.call<Stats>((s, done) => s.fstat(handle, done))
      if (headOf(key, now).version !== version) throw new ObjectChanged(key)
    }
    await requireSame()
    const ask = (at: number) => {
      const length = Math.min(CHUNK, end - at)
      const piece = this.readAt(handle, at, length)
      piece.catch(() => {})
      return piece
    }
    const bytes = async function* (close: () => Promise<void>) {
      const waiting: Promise<Buffer>[] = []
      let next = start
      try {
        while (waiting.length > 0 || next < end) {
          signal?.throwIfAborted()
          while (waiting.length < AT_ONCE && next < end) {
            waiting.push(ask(next))
            next += CHUNK
          }
          yield await waiting.shift()!
        }
        // A file that was written meanwhile would be a mixture.
        await requireSame()
      } finally {
        await close()
      }
    }
    return Readable.from(
      bytes(() => this.closeHandle(handle)),
      { objectMode: false },
    )
  }

  private async closeHandle(handle: Buffer): Promise<void> {
    await this.call((s, done) => s.close(handle, done)).catch(() => undefined)
  }

  /** So many bytes, in as many requests as the server wants. */
  private async readAt(handle: Buffer, at: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length)
    for (let got = 0; got < length; ) {
      const read = await this.call<number>((s, done) => s.read(handle, buffer, got, length - got, at + got, done))
      if (read === 0) throw new Error(`the file ends at byte ${at + got}`)
      got += read
    }
    return buffer
  }

  async put(key: string, bytes: Buffer): Promise<void> {
    const id = await this.stage(key)
    await this.putPart({ id }, 1, bytes)
    await this.seal({ id })
    await this.replace(id, pathOf(key))
  }

  async setModified(key: string, modified: bigint): Promise<void> {
    const seconds = Number(modified / 1_000_000_000n)
    await this.call((s, done) => s.utimes(pathOf(key), seconds, seconds, done))
  }

  async remove(keys: string[]): Promise<void> {
    const emptied = new Set<string>()
    for (const key of keys) {
      await this.call((s, done) => s.unlink(pathOf(key), done)).catch(error => {
        if (!isMissing(error)) throw error
      })
      for (let folder = parentOf(key); /(^|\/)\.ferry-[^/]*(\/[^/]+)?$/.test(folder); folder = parentOf(folder)) {
        emptied.add(folder)
      }
    }
    // Only folders of Ferry's own, and only empty ones: the server refuses the others.
    for (const folder of [...emptied].sort().reverse()) {
      await this.call((s, done) => s.rmdir(pathOf(folder), done)).catch(() => undefined)
    }
  }

  async removeEmpty(folder: string): Promise<void> {
    for await (const { folders } of this.list(folder === '' ? '' : `${folder}/`, true)) {
      for (const inner of folders) await this.removeEmpty(inner.replace(/\/$/, ''))
    }
    // The server refuses one that holds something.
    await this.call((s, done) => s.rmdir(pathOf(folder), done)).catch(() => undefined)
  }

  async stage(key: string): Promise<string> {
    const folder = parentOf(key)
    await this.makeFolder(folder)
    const id = pathOf(`${folder === '' ? '' : `${folder}/`}${UPLOAD}${baseOf(key)}-${randomBytes(8).toString('hex')}`)
    const opening = this.call<Buffer>((s, done) => s.open(id, 'wx', done))
    this.open.set(id, opening)
    await opening
    return id
  }

  private async makeFolder(folder: string): Promise<void> {
    if (folder === '' || (await this.stat(pathOf(folder)))) return
    await this.makeFolder(parentOf(folder))
    await this.call((s, done) => s.mkdir(pathOf(folder), done)).catch(async error => {
      // Another writer may have made it.
      if (!(await this.stat(pathOf(folder)))) throw error
    })
  }

  private handleOf(id: string): Promise<Buffer> {
    // Opened with `w` it would be emptied.
    const known = this.open.get(id) ?? this.call<Buffer>((s, done) => s.open(id, 'r+', done))
    this.open.set(id, known)
    known.catch(() => this.open.delete(id))
    return known
  }

  async putPart({ id }: { id: string }, part: number, bytes: Buffer): Promise<string> {
    const handle = await this.handleOf(id)
    const at = (part - 1) * PART
    const starts = Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, i) => i * CHUNK).values()
    const lane = async () => {
      for (const start of starts) {
        const length = Math.min(CHUNK, bytes.length - start)
        await this.call((s, done) => s.write(handle, bytes, start, length, at + start, done))
      }
    }
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, lane))
    } catch (error) {
      // The handle may belong to a connection that is gone: the part is written again with another one.
      this.open.delete(id)
      throw error
    }
    return ''
  }

  async seal({ id }: { id: string }): Promise<void> {
    const handle = await this.handleOf(id)
    this.open.delete(id)
    // Servers without the extension store when they store.
    await this.call((s, done) => s.ext_openssh_fsync(handle, done)).catch(error => {
      if (!/not support|unsupported/i.test(error.message)) throw error
    })
    await this.closeHandle(handle)
  }

  /** Replaces a file at once, where the server can; the rename of the protocol itself refuses what is there. */
  private async replace(from: string, to: string): Promise<void> {
    await this.call((s, done) => s.ext_openssh_rename(from, to, done)).catch(async error => {
      if (!/not support|unsupported/i.test(error.message)) throw error
      await this.call((s, done) => s.unlink(to, done)).catch(() => undefined)
      await this.call((s, done) => s.rename(from, to, done))
    })
  }

  /** Of an upload that is renamed: which file became of it. */
  private shownBy(key: string, by: string): string {
    const folder = parentOf(key)
    return `${folder === '' ? '' : `${folder}/`}.ferry-${by}/${baseOf(key)}.shown`
  }

  async isRevealed(key: string, by: string): Promise<boolean> {
    const shown = this.shownBy(key, by)
    const head = await this.head(shown)
    const now = await this.stat(pathOf(key))
    if (!head || !now) return false
    const handle = await this.call<Buffer>((s, done) => s.open(pathOf(shown), 'r', done))
    try {
      const { id, size, mtime } = JSON.parse((await this.readAt(handle, 0, head.size)).toString('utf8'))
      return now.size === size && now.mtime === mtime && !(await this.stat(id))
    } finally {
      await this.closeHandle(handle)
    }
  }

  async reveal({ key, id }: Staged, { by, ifAbsent, isOwn }: Reveal): Promise<void> {
    const path = pathOf(key)
    const staged = await this.stat(id)
    // An answer that was lost: the file is renamed already.
    if (!staged) {
      if (isOwn ? await this.stat(path) : by !== undefined && (await this.isRevealed(key, by))) return
      throw Object.assign(new Error(`${id} is gone`), { code: 2 })
    }
    if (isOwn) return this.replace(id, path)
    // A rename keeps size and time: the next process knows the file by them.
    const { size, mtime } = staged
    if (by !== undefined) await this.put(this.shownBy(key, by), Buffer.from(JSON.stringify({ id, size, mtime })))
    if (!ifAbsent) return this.replace(id, path)
    if (await this.stat(path)) throw new ObjectExists(key)
    await this.call((s, done) => s.rename(id, path, done)).catch(async error => {
      if (await this.stat(path)) throw new ObjectExists(key)
      throw error
    })
  }

  async drop({ id }: { id: string }): Promise<void> {
    this.open.delete(id)
    await this.call((s, done) => s.unlink(id, done)).catch(error => {
      if (!isMissing(error)) throw error
    })
  }

  async staged(prefix: string): Promise<{ key: string; id: string }[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    const beginning = `${folder}${UPLOAD}${prefix.slice(folder.length)}`
    const found: { key: string; id: string }[] = []
    for await (const { objects } of this.list(beginning, true)) {
      for (const { key } of objects) {
        const name = key.slice(folder.length + UPLOAD.length).replace(/-[0-9a-f]{16}$/, '')
        found.push({ key: `${folder}${name}`, id: pathOf(key) })
      }
    }
    return found
  }

  explain(error: unknown, key: string): unknown {
    return explainSftp(error, key.includes('://') ? key : `${this.label}/${key}`)
  }

  async close(): Promise<void> {
    this.connection.close()
  }
}

/** Keys are paths from the root. */
function pathOf(key: string): string {
  return `/${key.replace(/^\/|\/$/g, '')}`
}

function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('/')))
}

function baseOf(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1)
}

function headOf(key: string, { size, mtime }: { size: number; mtime: number }): RemoteHead {
  return { key, size, modified: BigInt(mtime) * 1_000_000_000n, version: `${mtime}-${size}` }
}
