import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FOLDERS } from '../../confinement.ts'
import { find } from './find.ts'

describe('files by pattern', () => {
  let folder: string
  let outside: string
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
    process.env[FOLDERS] = folder
  })
  afterEach(() => {
    delete process.env[FOLDERS]
    for (const path of [folder, outside]) rmSync(path, { recursive: true, force: true })
  })
  const found = async (pattern: string) => (await find(pattern, folder)).map(path => relative(folder, path))

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
    await expect(find('{a,b}'.repeat(16), folder)).rejects.toMatchObject({ code: 'FERRY-1003' })
  })
})
