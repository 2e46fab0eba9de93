/** Rows in folders by their values, written and read again. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, it } from 'vitest'
import { startAzurite } from '../../../test/servers/azurite.ts'
import { startFerry, temporaryFolder } from '../../../test/support.ts'

const azurite = await startAzurite()
afterAll(() => azurite.stop())

const filesIn = (folder: string) =>
  (
    readdirSync(folder, { recursive: true, withFileTypes: true }) as {
      isFile(): boolean
      parentPath: string
      name: string
    }[]
  )
    .filter(e => e.isFile())
    .map(e => join(e.parentPath, e.name).slice(folder.length + 1))
    .sort()

function shop(folder: string, where = '1 = 1') {
  const path = join(folder, 'shop.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, place TEXT, year INTEGER, name TEXT)')
  db.exec('DELETE FROM t')
  db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
    INSERT INTO t SELECT i, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 'a/b=c%' WHEN 2 THEN 'ü 1' WHEN 3 THEN '' ELSE '..' END,
      2020 + i % 2, 'n' || i FROM n WHERE ${where}`)
  db.close()
  return { kind: 'sqlite', path }
}

describe('partitions', { timeout: 120_000 }, () => {
  for (const [format, more] of [
    ['csv', { compression: 'gzip' }],
    ['jsonl', { rowsPerFile: 100 }],
    ['parquet', {}],
  ] as const) {
    for (const remote of [false, true]) {
      it(`${format}, ${remote ? 'blobs' : 'files'}: each row is in the folder of its values, and comes back`, async () => {
        const folder = temporaryFolder()
        const home = join(folder, 'home')
        const place = remote ? await azurite.container() : { kind: 'files', folder: join(folder, 'lake') }
        const run = async (command: string, words: object, code = 0) => {
          const path = join(folder, 'job.json')
          writeFileSync(path, JSON.stringify(words))
          const answer = await startFerry([command, path], { home }).done
          expect(answer.code, `${answer.stdout}${answer.stderr}`).toBe(code)
          return `${answer.stdout}${answer.stderr}`
        }
        const job = (write: object = {}) => ({
          name: 'out',
          source: shop(folder),
          destination: place,
          update: 'overwrite',
          tables: [{ from: 't', to: 'lake/', write: { format, partitionBy: ['year', 'place'], ...more, ...write } }],
        })
        await run('run', job())
        await run('verify', job())
        const everything = async () => {
          if (!remote) return filesIn(join(folder, 'lake')).map(f => f.replace(/^lake\//, ''))
          const names: string[] = []
          const client = azurite.service.getContainerClient((place as { container: string }).container)
          for await (const { name } of client.listBlobsFlat()) names.push(name.replace(/^lake\//, ''))
          return names
        }
        const folders = [...new Set((await everything()).map(f => f.slice(0, f.lastIndexOf('/'))))].sort()
        const places = ['', '..', '__HIVE_DEFAULT_PARTITION__', 'a%2Fb%3Dc%25', 'ü 1']
        expect(folders).toEqual([2020, 2021].flatMap(y => places.map(p => `year=${y}/place=${p}`)).sort())
        // What another copy made is replaced, what is not of a copy is never removed.
        const fewer = { ...job(), source: shop(folder, 'i % 5 = 2') }
        await run('run', fewer)
        const left = (await everything()).map(f => f.slice(0, f.lastIndexOf('/')))
        expect([...new Set(left)].sort()).toEqual(['year=2020/place=ü 1', 'year=2021/place=ü 1'])
        await run('verify', fewer)
        expect(await run('run', job({ partitionBy: ['nothing'] }), 1)).toContain('FERRY-3002')
        expect(await run('run', job({ partitionBy: ['id', 'name', 'year', 'place'] }), 1)).toContain('FERRY-3006')
      })
    }
  }

  it('of a column whose name begins with a dot, and of whole documents: no row is hidden', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'in.jsonl'), '{"id":1,".p":"x"}\n{"id":2,".p":"y"}\n')
    const job = {
      name: 'dots',
      source: { kind: 'files', folder },
      destination: { kind: 'files', folder: join(folder, 'lake') },
      update: 'overwrite',
      tables: [{ from: 'in.jsonl', to: 'out/', write: { format: 'jsonl', partitionBy: ['.p'] } }],
    }
    const path = join(folder, 'job.json')
    writeFileSync(path, JSON.stringify(job))
    for (const command of ['run', 'run', 'verify']) {
      const answer = await startFerry([command, path], { home: join(folder, 'home') }).done
      expect(answer.code, `${answer.stdout}${answer.stderr}`).toBe(0)
    }
    const folders = filesIn(join(folder, 'lake/out')).map(f => f.slice(0, f.lastIndexOf('/')))
    expect(folders).toEqual(['%2Ep=x', '%2Ep=y'])
  })
})
