import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { binaryCopies, type FilePlace, storeAt } from '../../../test/binary.ts'
import { seedOf } from '../../../test/seed.ts'
import { startAzurite } from '../../../test/servers/azurite.ts'

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

describe('what is kept with a blob', () => {
  it('comes along, whether the service copies by itself or the bytes pass through here', async () => {
    const about = { contentType: 'text/x-odd', cacheControl: 'no-cache', metadata: { one: '1', two: 'zwei' } }
    const from = await storeAt(await azurite.container())
    for (const size of [10, 20_000_000]) {
      const key = `size-${size}`
      await from.remote!.put(key, Buffer.alloc(size, 1), about)
      const head = (await from.head(key))!
      const run = { run: 'r', job: 'j', epoch: 1, confirm: async () => {}, holds: async () => {} }
      for (const through of [true, false]) {
        const to = await storeAt(await azurite.container())
        // Without the service behind it a store is any other one.
        const store = through ? Object.create(from, { remote: { value: undefined } }) : from
        await to.files(run, '', 0).put(key, { store, head }, new AbortController().signal)
        expect(await to.about!(head), `${size} ${through}`).toMatchObject(about)
        expect((await to.head(key))?.size).toBe(size)
        await to.close()
      }
    }
    await from.close()
  })
})
