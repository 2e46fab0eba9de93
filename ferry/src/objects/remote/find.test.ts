import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BlobServer, startAzurite } from '../../../../test/servers/azurite.ts'
import { policy } from '../../../../test/support.ts'
import { BlobService } from '../../connectors/azureblob/service.ts'
import { readSettings } from '../../connectors/azureblob/settings.ts'
import { findObjects } from './find.ts'

describe('objects by pattern', () => {
  let azurite: BlobServer
  let service: BlobService
  const listed: string[] = []

  beforeAll(async () => {
    azurite = await startAzurite()
    const { kind, ...settings } = await azurite.container()
    service = new BlobService(readSettings(settings, policy))
    const keys = ['a.csv', 'b.csv', 'c.json', '.hidden.csv', 'x1.csv', 'deep/d.csv', 'deep/er/e.csv', '.h/f.csv']
    for (const key of [...keys, 'y=1/m=01/p.csv', 'y=1/m=12/p.csv', 'y=2/m=01/p.csv']) {
      await service.put(`data/${key}`, Buffer.alloc(0))
    }
    await service.put('other.csv', Buffer.alloc(0))
    const { list } = service
    service.list = (prefix, shallow) => {
      listed.push(prefix)
      return list.call(service, prefix, shallow)
    }
  })
  afterAll(() => azurite.stop())

  const found = async (pattern: string) => {
    listed.length = 0
    const names: string[] = []
    for await (const page of findObjects(service, 'data/', pattern)) names.push(...page.map(o => o.key.slice(5)))
    return names.sort()
  }

  it.each([
    ['a.csv', ['a.csv'], []],
    ['*.csv', ['a.csv', 'b.csv', 'x1.csv'], ['data/']],
    ['{a,c}.*', ['a.csv', 'c.json'], ['data/a.', 'data/c.']],
    ['x[0-9].csv', ['x1.csv'], ['data/x']],
    ['[!a].csv', ['b.csv'], ['data/']],
    ['deep/*', ['deep/d.csv'], ['data/deep/']],
    ['deep/**/*.csv', ['deep/d.csv', 'deep/er/e.csv'], ['data/deep/']],
    ['{a,{b,x1}}.csv', ['a.csv', 'b.csv', 'x1.csv'], []],
    ['.h*', ['.hidden.csv'], ['data/.h']],
    [
      'y=*/m=0?/*.csv',
      ['y=1/m=01/p.csv', 'y=2/m=01/p.csv'],
      ['data/y=', 'data/y=1/m=0', 'data/y=1/m=01/', 'data/y=2/m=0', 'data/y=2/m=01/'],
    ],
    ['y=1/**/p.csv', ['y=1/m=01/p.csv', 'y=1/m=12/p.csv'], ['data/y=1/']],
    // All alternatives behind a `**` are one listing.
    ['**/{d,e,f}.{csv,json}', ['deep/d.csv', 'deep/er/e.csv'], ['data/']],
  ])('%s', async (pattern, names, prefixes) => {
    expect(await found(pattern)).toEqual(names)
    expect(listed).toEqual(prefixes)
  })

  it('lead nowhere else', async () => {
    for (const pattern of ['../other.csv', 'deep/../../other.csv', '**/../*']) {
      await expect(found(pattern), pattern).rejects.toMatchObject({ code: 'FERRY-2006' })
    }
  })
})
