/** A connector that lives outside of Ferry: the example passes the suite, and the program loads it from its file. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { addConnectorFiles, findKind, loadConnectorFiles } from '../ferry/src/connectors/registry.ts'
import { conformance } from '../ferry/src/contract/conformance/suite.ts'
import { ferry, root, temporaryFolder } from './support.ts'

const example = join(root, 'examples', 'connector', 'notebook.ts')
addConnectorFiles([example])
await loadConnectorFiles()
// The processes that tests start load it only where they are told to.
const alone = { FERRY_CONNECTORS: '' }

conformance('Notebook', {
  kind: findKind('notebook')!,
  evolves: false,
  make: async () => ({ endpoint: { kind: 'notebook', folder: temporaryFolder() }, object: name => name }),
})

it('is short', () => {
  expect(readFileSync(example, 'utf8').trimEnd().split('\n').length).toBeLessThan(200)
})

it('is loaded by the program, and by the processes that this starts', async () => {
  const folder = temporaryFolder()
  const db = new DatabaseSync(join(folder, 's.db'))
  db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, NULL)`)
  db.close()
  const options = { home: join(folder, 'home'), cwd: folder, env: alone }
  const given = ['--connector', example]
  const copied = await ferry([...given, 'copy', 's.db#t', 'notebook:book#t', '--json'], options)
  expect(copied.code, copied.stderr).toBe(0)
  const back = await ferry([...given, 'copy', 'notebook:book#t', 'back.jsonl'], options)
  expect(back.code, back.stderr).toBe(0)
  expect(readFileSync(join(folder, 'back.jsonl'), 'utf8')).toBe('{"id":1,"v":"a"}\n{"id":2,"v":null}\n')
  const without = await ferry(['copy', 'notebook:book#t', 'x.jsonl'], options)
  expect({ code: without.code, told: without.stderr.includes('FERRY-1006') }).toEqual({ code: 2, told: true })
  expect(existsSync(join(folder, 'x.jsonl'))).toBe(false)
})

it('a connector that opens no store is named by its file', async () => {
  const folder = temporaryFolder()
  const path = join(folder, 'mine.ts')
  writeFileSync(
    path,
    readFileSync(example, 'utf8').replace(
      'return { ...kind, open }',
      "return { ...kind, kind: 'mine', open: () => ({}) }",
    ),
  )
  writeFileSync(
    join(folder, 'job.json'),
    JSON.stringify({ name: 'j', source: { kind: 'mine', folder }, destination: folder, tables: ['t'] }),
  )
  const { stderr } = await ferry(['--connector', path, 'run', join(folder, 'job.json')], { home: folder, env: alone })
  expect(stderr).toMatch(/FERRY-2008 .*mine\.ts opens a store without names, kind, label, place, test, objects/)
})

it.each([
  ['is not there', undefined],
  ['has a fault', 'nonsense('],
  ['exports nothing', 'export const a = 1'],
  ['gives nothing', 'export default () => ({})'],
  ['fails', `export default () => { throw new Error('boom') }`],
  ['has a part of a kind', `export default () => ({ kind: 'mine', open: () => {} })`],
  ['has the kind of another one', `export default () => ({ kind: 'sqlite', open: () => {} })`],
])('a file that %s is no connector', async (_, text) => {
  const folder = temporaryFolder()
  const path = join(folder, 'mine.ts')
  if (text !== undefined) writeFileSync(path, text)
  const { stderr, code } = await ferry(['--connector', path, 'list'], { home: folder, env: alone })
  expect({ code, told: stderr.includes('FERRY-2008') && stderr.includes(path) }, stderr).toEqual({
    code: 1,
    told: true,
  })
})
