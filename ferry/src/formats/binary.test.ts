import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { binaryCopies, type FilePlace, keepsAbout } from '../../../test/binary.ts'
import { seedOf } from '../../../test/seed.ts'
import { startAzurite } from '../../../test/servers/azurite.ts'
import { startFerry } from '../../../test/support.ts'

const root = mkdtempSync(join(tmpdir(), 'ferry-files-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const folders: FilePlace = {
  make: async () => ({ kind: 'files', folder: mkdtempSync(join(root, 'f')) }),
  everything: async ({ folder }) =>
    readdirSync(String(folder), { recursive: true, withFileTypes: true })
      .filter(e => e.isFile())
      .map(e => e.name),
  arePaths: true,
}

const azurite = await startAzurite()
afterAll(() => azurite.stop())

const blobs: FilePlace = {
  make: () => azurite.container(),
  everything: async ({ container }) => {
    const names: string[] = []
    for await (const { name } of azurite.service.getContainerClient(String(container)).listBlobsFlat()) names.push(name)
    return names
  },
}

const seed = seedOf('files as they are')
binaryCopies('folders', folders, folders, seed, 4)
binaryCopies('blobs to folders', blobs, folders, seed, 4)
binaryCopies('blobs', blobs, blobs, seed, 4)

describe('folders', { timeout: 60_000 }, () => {
  const copy = async (cwd: string, from: string, to: string, code = 0) => {
    const words = ['copy', from, to, '--format', 'binary', '--quiet']
    const answer = await startFerry(words, { home: join(cwd, '.home'), cwd }).done
    expect(answer.code, answer.stderr).toBe(code)
    return answer.stderr
  }
  const put = (folder: string, files: Record<string, string>) => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
  }
  const there = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(e => e.isFile())
      .map(e => relative(folder, join(e.parentPath, e.name)))
      .sort()

  it('keep the paths of files below what was named, however it was named', async () => {
    const cwd = mkdtempSync(join(root, 'w'))
    put(cwd, {
      'in/2025-north/sales.csv': '5',
      'in/2026-north/sales.csv': '6',
      'in/A/x': 'a',
      'in/B/x': 'b',
      'in/a\\b': 'c',
    })
    await copy(cwd, 'in/', 'out/')
    expect(there(join(cwd, 'out'))).toEqual(['2025-north/sales.csv', '2026-north/sales.csv', 'A/x', 'B/x', 'a\\b'])
    await copy(cwd, 'in/{A,B}/x', 'braces/')
    expect(there(join(cwd, 'braces'))).toEqual(['A/x', 'B/x'])
    await copy(cwd, 'in/{A,B}/*', 'stars/')
    expect(there(join(cwd, 'stars'))).toEqual(['A/x', 'B/x'])
  })

  it('keep files of users that look like those of Ferry, read-only ones too, and stop at a name that cannot be read', async () => {
    const cwd = mkdtempSync(join(root, 'w'))
    put(cwd, { 'in/.ferry-notes/a': '1', 'in/.my.ferry-config': '2', 'in/ro': '3', 'in/link': '' })
    chmodSync(join(cwd, 'in/ro'), 0o444)
    rmSync(join(cwd, 'in/link'))
    symlinkSync('link', join(cwd, 'in/link'))
    await copy(cwd, 'in/', 'out/')
    expect(there(join(cwd, 'out'))).toEqual(['.ferry-notes/a', '.my.ferry-config', 'ro'])
    writeFileSync(Buffer.from(`${cwd}/in/caf\xe9`, 'latin1'), 'x')
    expect(await copy(cwd, 'in/', 'other/', 1)).toContain('FERRY-3015')
  })
})

describe('what is kept with a blob', () => {
  it('comes along, whether the service copies by itself or the bytes pass through here', async () => {
    const about = { contentType: 'text/x-odd', cacheControl: 'no-cache', metadata: { one: '1', two: 'zwei' } }
    await keepsAbout(blobs, [10, 20_000_000], about)
  })
})
