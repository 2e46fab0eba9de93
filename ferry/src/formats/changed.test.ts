import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../../test/support.ts'
import { filesKind } from '../connectors/files/settings.ts'
import { LocalFolder } from '../objects/local/store.ts'
import { Policy } from '../policy.ts'
import { FilesStore } from './store.ts'

it('refuses a file that is another one than when its columns were looked at', async () => {
  const folder = temporaryFolder()
  const policy = Policy.from({})
  const store = new FilesStore(filesKind, new LocalFolder(folder, policy), policy)
  for (const [name, before, after] of [
    ['a.csv', 'id,name\n1,x\n', 'id,label\n1,xy\n'],
    ['a.jsonl', '{"id":1}\n', '{"id":1,"b":2}\n'],
  ] as const) {
    const path = join(folder, name)
    writeFileSync(path, before)
    const spec = { object: name, options: {} }
    await store.describe(spec)
    const request = { ...spec, columns: [], splitBytes: 1_000_000, skipBadRows: false }
    const session = await store.source()
    await session.table(request)
    writeFileSync(path, after)
    await expect(session.table(request)).rejects.toMatchObject({ code: 'FERRY-5005' })
  }
  // A mark of another program beside the files is none of them.
  writeFileSync(join(folder, '_SUCCESS'), '')
  expect((await store.describe({ object: './', options: { format: 'csv' } }))?.columns).toBeDefined()
  writeFileSync(join(folder, 'a.jsonl'), '')
  const found = await new FilesStore(filesKind, new LocalFolder(folder, policy), policy).describe({
    object: './',
    options: {},
  })
  expect(found?.columns.map(c => c.name)).toEqual(['id', 'label', '$$FILEPATH'])
  await store.close()
})
