/** Copies of packed files, and of what a web server answers to a request of one's own. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import yazl from 'yazl'
import { temporaryFolder, until } from '../support.ts'
import {
  type Artifacts,
  copyOf,
  dataset,
  filesDataset,
  folderService,
  fromCsv,
  READ,
  runFactory,
  WRITE,
} from './factory.ts'

const FILES = { 'a.csv': 'id,name\n1,x\n', 'deep/b.csv': 'id,name\n2,y\n' }

async function zipped(files: Record<string, string>): Promise<Buffer> {
  const zip = new yazl.ZipFile()
  for (const [name, content] of Object.entries(files)) zip.addBuffer(Buffer.from(content), name)
  zip.end()
  return buffer(zip.outputStream)
}

async function tarred(files: Record<string, string>, link?: string): Promise<Buffer> {
  const tar = pack()
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content)
  if (link !== undefined) tar.entry({ name: 'link', type: 'symlink', linkname: link })
  tar.finalize()
  return buffer(tar)
}

/** `id,name\n1,x\n2,y\n`, by the tool of its makers. */
const BZIP2 = Buffer.from('QlpoOTFBWSZTWTzrUGMAAAXZgAAQAAQwACYjAGAgACKMm0HqEDQNBYUpXDBw7ou5IpwoSB51qDGA', 'base64')

function factory(put: Record<string, Buffer>, properties: object, formats: 'Binary' | 'DelimitedText' = 'Binary') {
  const folder = temporaryFolder()
  for (const [path, content] of Object.entries(put)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  const artifacts: Artifacts = {
    'linkedService/files': folderService(folder),
    'dataset/packed': filesDataset(formats, 'files', { ...properties, firstRowAsHeader: formats !== 'Binary' }),
    'dataset/plain': filesDataset('Binary', 'files'),
    'dataset/json': filesDataset('Json', 'files'),
  }
  return { folder, artifacts }
}

const below = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(e => e.isFile())
      .map(e => {
        const path = join(e.parentPath, e.name)
        return [path.slice(folder.length + 1), readFileSync(path, 'utf8')]
      })
      .sort(([a], [b]) => (a! < b! ? -1 : 1)),
  )

async function ran(artifacts: Artifacts, activity: object) {
  const run = await runFactory({ ...artifacts, 'pipeline/p': { activities: [activity] } }, 'p')
  const spool = join(run.state.home, 'spool')
  return { ...run, left: existsSync(spool) ? readdirSync(spool) : [] }
}

const binary = (from: string, more: object = {}) =>
  copyOf('copy', dataset('packed', { folder: 'in', file: from }), dataset('plain', { folder: 'out' }), {
    source: { type: 'BinarySource', storeSettings: READ, ...more },
    sink: { type: 'BinarySink', storeSettings: WRITE },
  })

describe('packed files', () => {
  for (const [type, make, read, property] of [
    ['ZipDeflate', zipped, 'ZipDeflateReadSettings', 'preserveZipFileNameAsFolder'],
    ['Tar', tarred, 'TarReadSettings', 'preserveCompressionFileNameAsFolder'],
    [
      'TarGzip',
      async (f: typeof FILES) => gzipSync(await tarred(f)),
      'TarGZipReadSettings',
      'preserveCompressionFileNameAsFolder',
    ],
  ] as const) {
    it(`${type}: the files of an archive, below its name or without it`, async () => {
      const { folder, artifacts } = factory({ 'in/all.x': await make(FILES) }, { compression: { type } })
      const { activities, left } = await ran(artifacts, binary('all.x'))
      expect(activities[0]!.error).toBeNull()
      expect(activities[0]!.output).toMatchObject({ filesRead: 2, filesWritten: 2 })
      expect(below(join(folder, 'out'))).toEqual({
        'all.x/a.csv': FILES['a.csv'],
        'all.x/deep/b.csv': FILES['deep/b.csv'],
      })
      expect(left).toEqual([])
      const plain = {
        formatSettings: { type: 'BinaryReadSettings', compressionProperties: { type: read, [property]: false } },
      }
      const other = factory({ 'in/all.x': await make(FILES) }, { compression: { type } })
      expect((await ran(other.artifacts, binary('all.x', plain))).activities[0]!.error).toBeNull()
      expect(below(join(other.folder, 'out'))).toEqual(FILES)
    })
  }

  it('are rows of all files of an archive, and of one that is packed', async () => {
    for (const [type, content] of [
      ['ZipDeflate', await zipped(FILES)],
      ['TarGzip', gzipSync(await tarred(FILES))],
      ['bzip2', BZIP2],
      ['deflate', deflateRawSync('id,name\n1,x\n2,y\n')],
    ] as const) {
      const { folder, artifacts } = factory({ 'in/all.x': content }, { compression: { type } }, 'DelimitedText')
      const activity = copyOf(
        'copy',
        dataset('packed', { folder: 'in', file: 'all.x' }),
        dataset('json', { file: 'out.json' }),
        { source: fromCsv(), sink: { type: 'JsonSink', storeSettings: WRITE } },
      )
      const { activities } = await ran(artifacts, activity)
      expect(activities[0]!.error, type).toBeNull()
      expect(readFileSync(join(folder, 'out.json'), 'utf8'), type).toBe(
        '{"id":"1","name":"x"}\n{"id":"2","name":"y"}\n',
      )
    }
  })

  it('one by one lose the ending of their packing', async () => {
    for (const [type, name, content] of [
      ['gzip', 'a.csv.gz', gzipSync('id\n1\n')],
      ['bzip2', 'a.csv.bz2', BZIP2],
    ] as const) {
      const { folder, artifacts } = factory({ [`in/deep/${name}`]: content }, { compression: { type } })
      const copy = copyOf('copy', dataset('packed', { folder: 'in' }), dataset('plain', { folder: 'out' }), {
        source: { type: 'BinarySource', storeSettings: READ },
        sink: { type: 'BinarySink', storeSettings: WRITE },
      })
      expect((await ran(artifacts, copy)).activities[0]!.error).toBeNull()
      expect(Object.keys(below(join(folder, 'out')))).toEqual(['deep/a.csv'])
    }
  })

  it('that are damaged, cut or hostile are refused, and nothing is left', async () => {
    const zip = await zipped({ 'a.csv': 'id,name\n1,xxxxxxxxxxxxxxxxxxxxxxxx\n' })
    const damaged = Buffer.from(zip)
    // The checksum, in the directory of the archive.
    damaged.writeUInt32LE(1, damaged.indexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 16)
    const out = await tarred({ '../../evil.csv': 'id\n1\n' })
    for (const [type, content, message] of [
      ['ZipDeflate', damaged, /FERRY-4004.*damaged/],
      ['ZipDeflate', zip.subarray(0, 60), /FERRY-4004/],
      ['ZipDeflate', Buffer.from('no zip'), /FERRY-4004/],
      ['Tar', (await tarred(FILES)).subarray(0, 700), /FERRY-4004/],
      ['Tar', await tarred({}, '/etc/passwd'), /FERRY-7006.*symlink/],
      ['Tar', out, /FERRY-7006.*evil/],
      ['TarGzip', gzipSync(await tarred(FILES)).subarray(0, 100), /FERRY-4004/],
      ['bzip2', BZIP2.subarray(0, 40), /FERRY-4004/],
      ['bzip2', Buffer.from('no bzip2'), /FERRY-4004/],
      ['deflate', Buffer.from('no deflate'), /FERRY-4004/],
      ['gzip', gzipSync('id\n1\n').subarray(0, 12), /FERRY-4004/],
    ] as const) {
      const { folder, artifacts } = factory({ 'in/x': content }, { compression: { type } })
      const { activities, left } = await ran(artifacts, binary('x'))
      const { errorCode, message: found } = activities[0]!.error ?? {}
      expect(`${errorCode} ${found}`, type).toMatch(message)
      expect(existsSync(join(folder, 'out'))).toBe(false)
      expect(left, type).toEqual([])
    }
  })

  it('are fetched again where they could not be unpacked: what was there before is not delivered', async () => {
    const { folder, artifacts } = factory(
      {
        'in/a.zip': (await zipped(FILES)).subarray(0, 60),
        'in/gone.zip': await zipped({ 'g.csv': 'id,name\n9,gone\n' }),
      },
      { compression: { type: 'ZipDeflate' } },
    )
    const copy = copyOf('copy', dataset('packed', { folder: 'in' }), dataset('plain', { folder: 'out' }), {
      source: { type: 'BinarySource', storeSettings: READ },
      sink: { type: 'BinarySink', storeSettings: WRITE },
    })
    // Mended while the second try waits.
    const mended = (async () => {
      await until(() => existsSync(join(folder, 'in/gone.zip')), 'the files')
      await new Promise(resolve => setTimeout(resolve, 3000))
      writeFileSync(join(folder, 'in/a.zip'), await zipped(FILES))
      rmSync(join(folder, 'in/gone.zip'))
    })()
    const { activities } = await ran(artifacts, { ...copy, policy: { retry: 1, retryIntervalInSeconds: 30 } })
    await mended
    expect(activities[0]!.error).toBeNull()
    expect(Object.keys(below(join(folder, 'out')))).toEqual(['a.zip/a.csv', 'a.zip/deep/b.csv'])
  }, 90_000)

  it('that hold nothing, hidden files for rows, links, or that go on behind their end, are refused by name', async () => {
    const link = new yazl.ZipFile()
    link.addBuffer(Buffer.from('/etc/passwd'), 'l', { mode: 0o120777 })
    link.end()
    const { buffer: all } = await import('node:stream/consumers')
    const two = Buffer.concat([deflateRawSync('one\n'), deflateRawSync('two\n')])
    for (const [type, content, message, format] of [
      ['ZipDeflate', await zipped({}), /FERRY-3001.*no file in x/, 'Binary'],
      ['ZipDeflate', await all(link.outputStream), /FERRY-7006.*symlink/, 'Binary'],
      [
        'ZipDeflate',
        await zipped({ 'a.csv': 'id\n1\n', '.b.csv': 'id\n2\n' }),
        /FERRY-7006.*\.b\.csv is a hidden/,
        'DelimitedText',
      ],
      ['Tar', (await tarred(FILES)).subarray(0, 1024), /FERRY-4004.*cut/, 'Binary'],
      ['deflate', two, /FERRY-4004.*goes on behind its end/, 'Binary'],
      ['bzip2', Buffer.alloc(0), /FERRY-4004.*empty/, 'Binary'],
    ] as const) {
      const { artifacts } = factory({ 'in/x': content }, { compression: { type } }, format)
      const rows = copyOf('copy', dataset('packed', { folder: 'in', file: 'x' }), dataset('json', { file: 'o.json' }), {
        source: fromCsv(),
        sink: { type: 'JsonSink', storeSettings: WRITE },
      })
      const { activities, left } = await ran(artifacts, format === 'Binary' ? binary('x') : rows)
      const { errorCode, message: found } = activities[0]!.error ?? {}
      expect(`${errorCode} ${found}`, type).toMatch(message)
      expect(left).toEqual([])
    }
  }, 60_000)

  it('are not written', async () => {
    const { artifacts } = factory({ 'in/x': Buffer.from('x') }, { compression: { type: 'ZipDeflate' } })
    const copy = copyOf('copy', dataset('plain', { folder: 'in' }), dataset('packed', { folder: 'out' }), {
      source: { type: 'BinarySource', storeSettings: READ },
      sink: { type: 'BinarySink', storeSettings: WRITE },
    })
    expect((await ran(artifacts, copy)).activities[0]!.error.message).toMatch(/not packed here \(ZipDeflate\)/)
  })
})

describe('a file of a web server', () => {
  async function served(
    answer: (
      request: IncomingMessage,
      body: string,
    ) => { status?: number; text: string; cut?: boolean; location?: string },
  ) {
    const server = createServer(async (request, response) => {
      const { status = 200, text: told, cut, location } = answer(request, await text(request))
      response.writeHead(status, {
        'content-type': 'text/csv',
        ...(location ? { location } : {}),
        ...(cut ? { 'content-length': told.length + 10 } : {}),
      })
      response.write(told, () => (cut ? response.destroy() : response.end()))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const folder = temporaryFolder()
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`
    const artifacts: Artifacts = {
      'linkedService/web': {
        type: 'HttpServer',
        typeProperties: {
          url,
          authenticationType: 'Basic',
          userName: 'u',
          password: { type: 'SecureString', value: 'p' },
        },
      },
      'linkedService/files': folderService(folder),
      'dataset/web': {
        type: 'DelimitedText',
        linkedServiceName: { referenceName: 'web', type: 'LinkedServiceReference' },
        typeProperties: {
          location: { type: 'HttpServerLocation', relativeUrl: 'report?day=1' },
          firstRowAsHeader: true,
          columnDelimiter: ',',
        },
      },
      'dataset/json': filesDataset('Json', 'files'),
    }
    const copy = (store: object) =>
      copyOf('copy', { referenceName: 'web', type: 'DatasetReference' }, dataset('json', { file: 'out.json' }), {
        source: fromCsv({ storeSettings: { type: 'HttpReadSettings', ...store } }),
        sink: { type: 'JsonSink', storeSettings: WRITE },
      })
    return { folder, artifacts, copy, url }
  }

  it('is asked for by POST, with a body and headers', async () => {
    const asked: unknown[] = []
    const { folder, artifacts, copy } = await served(({ method, url, headers }, body) => {
      asked.push([method, url, headers['x-key'], headers.authorization, body])
      return { text: 'id,name\n1,x\n' }
    })
    const post = copy({
      requestMethod: 'POST',
      requestBody: '{"day":1}',
      additionalHeaders: 'X-Key: k\nAccept: text/csv',
    })
    const { activities, left } = await ran(artifacts, post)
    expect(activities[0]!.error).toBeNull()
    expect(asked).toEqual([['POST', '/api/report?day=1', 'k', 'Basic dTpw', '{"day":1}']])
    // Another origin gets no keys, whatever their headers are called.
    const other: unknown[] = []
    const far = await served(({ headers }) => {
      other.push([headers['x-key'], headers.cookie, headers.authorization])
      return { text: 'id,name\n1,x\n' }
    })
    const near = await served(() => ({ status: 302, text: '', location: `${far.url}/report` }))
    const led = near.copy({ requestMethod: 'POST', additionalHeaders: 'X-Key: k\nCookie: s=1' })
    expect((await ran(near.artifacts, led)).activities[0]!.error).toBeNull()
    expect(other).toEqual([[undefined, undefined, undefined]])
    expect(readFileSync(join(folder, 'out.json'), 'utf8')).toBe('{"id":"1","name":"x"}\n')
    expect(left).toEqual([])
  })

  it('is whole, or an error with the status', async () => {
    const cut = await served(() => ({ text: 'id,name\n1,x\n', cut: true }))
    const { activities } = await ran(cut.artifacts, cut.copy({ additionalHeaders: 'X-Key: k' }))
    expect(activities[0]!.error.message).toMatch(/report.*(aborted|broke)/)
    const refused = await served(() => ({ status: 418, text: 'tea' }))
    const other = await ran(refused.artifacts, refused.copy({ requestMethod: 'POST' }))
    expect(other.activities[0]!.error.message).toMatch(/\/api\/report answers 418/)
    expect(other.left).toEqual([])
    const odd = await served(() => ({ text: '' }))
    expect((await ran(odd.artifacts, odd.copy({ requestMethod: 'PUT' }))).activities[0]!.error.message).toMatch(
      /GET or POST/,
    )
  })
})
