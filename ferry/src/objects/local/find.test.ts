import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Policy } from '../../policy.ts'
import { find } from './find.ts'

describe('files by pattern', () => {
  let folder: string
  let outside: string
  let policy: Policy
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ferry-test-'))
    outside = mkdtempSync(join(tmpdir(), 'ferry-test-'))
    for (const name of ['a.csv', 'b.csv', 'c.json', '.hidden.csv', 'x1.csv', 'deep/d.csv', 'deep/er/e.csv']) {
      mkdirSync(join(folder, name, '..'), { recursive: true })
      writeFileSync(join(folder, name), '')
    }
    writeFileSync(join(outside, 'secret.csv'), '')
    symlinkSync(outside, join(folder, 'link'))
    symlinkSync(join(outside, 'secret.csv'), join(folder, 'link.csv'))
    policy = Policy.from({ FERRY_FOLDERS: JSON.stringify([folder]) })
  })
  afterEach(() => {
    for (const path of [folder, outside]) rmSync(path, { recursive: true, force: true })
  })
  const all = (pattern: string) => find(pattern, folder, path => policy.isAllowed(path))
  const found = async (pattern: string) => (await all(pattern)).map(path => relative(folder, path))

  it.each([
    ['*.csv', ['a.csv', 'b.csv', 'x1.csv']],
    ['{a,c}.*', ['a.csv', 'c.json']],
    ['x[0-9].csv', ['x1.csv']],
    ['[!a].csv', ['b.csv']],
    ['**/*.csv', ['a.csv', 'b.csv', 'deep/d.csv', 'deep/er/e.csv', 'x1.csv']],
    ['deep/*', ['deep/d.csv', 'deep/er']],
    ['{a,{b,x1}}.csv', ['a.csv', 'b.csv', 'x1.csv']],
    ['.h*', ['.hidden.csv']],
  ])('%s', async (pattern, names) => expect(await found(pattern)).toEqual(names))

  it('lead nowhere else', async () => {
    const name = relative(join(folder, '..'), outside)
    for (const pattern of [
      `[.][.]/${name}/secret.csv`,
      `{..,..}/${name}/secret.csv`,
      `{..,.}/*/secret.csv`,
      `[.][.]/*`,
      'link/*.csv',
      'l*/*.csv',
      '?ink.csv',
      `${outside}/*`,
    ]) {
      expect(await found(pattern), pattern).toEqual([])
    }
  })

  it('stand for so many others at most', async () => {
    await expect(all('{a,b}'.repeat(16))).rejects.toMatchObject({ code: 'FERRY-1003' })
  })
})
