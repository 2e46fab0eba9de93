import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../../test/support.ts'
import { LocalFolder } from '../objects/local/store.ts'
import { Policy } from '../policy.ts'
import { readBytes } from './bytes.ts'

it('gives all members of a gzip file, and none of them in silence only', async () => {
  const folder = temporaryFolder()
  const store = new LocalFolder(folder, Policy.from({}))
  const a = gzipSync(Buffer.alloc(700_000, 'first\n'))
  const b = gzipSync('second\n')
  const read = async (...parts: Buffer[]) => {
    const path = join(folder, 'x.gz')
    writeFileSync(path, '')
    for (const part of parts) appendFileSync(path, part)
    const head = (await store.head(path))!
    const file = { store, head, path, isStream: false, compression: 'gzip' as const, encoding: 'utf-8' }
    let text = ''
    for await (const chunk of readBytes(file, { start: 0 })) text += chunk.toString()
    return text.length
  }
  expect(await read(a, b)).toBe(700_007)
  expect(await read(a, b, Buffer.alloc(512))).toBe(700_007)
  expect(await read(a)).toBe(700_000)
  for (const gap of [1, 512, 300_000]) {
    await expect(read(a, Buffer.alloc(gap), b), String(gap)).rejects.toMatchObject({ code: 'FERRY-4004' })
  }
  await expect(read(a, Buffer.from('garbage'))).rejects.toMatchObject({ code: 'FERRY-4004' })
  await expect(read(a.subarray(0, a.length - 4))).rejects.toMatchObject({ code: 'FERRY-4004' })
})
