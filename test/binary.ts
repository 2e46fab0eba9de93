/** Files that are copied as they are, between two kinds of stores: what every pair must do. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConnector } from '../ferry/src/connectors/registry.ts'
import type { ObjectAbout, ObjectStore } from '../ferry/src/objects/store.ts'
import { Policy } from '../ferry/src/policy.ts'
import { newestRun } from './crash.ts'
import { randomOf } from './seed.ts'
import { startFerry, temporaryFolder, until } from './support.ts'

type Endpoint = Record<string, unknown>

export interface FilePlace {
  /** An empty place. */
  make(): Promise<Endpoint>
  /** Names of all that is there, hidden or not, and of what is staged and not shown. */
  everything(endpoint: Endpoint): Promise<string[]>
  /** Names of the tree that the store cannot hold. */
  cannot?: RegExp
  /** True if keys are paths of folders, which `..` leads out of. */
  arePaths?: boolean
  /** True if the server here copies whatever version an object has. */
  copiesAnything?: boolean
}

const ODD = [
  'a b%20+#&?.txt',
  'umlaut-\u00fc-\u65e5\u672c.bin',
  '.hidden/file',
  'sub/.also',
  'sub/deep/er/x.csv',
  'sub/deep.csv',
  "quo'te",
  'empty',
]

/** Names and contents of a tree, made from a seed. */
function treeOf(seed: number, { files = 30, large = 18_000_000, cannot = /^$/ } = {}): Map<string, Buffer> {
  const random = randomOf(seed)
  const bytes = (n: number) => {
    const all = Buffer.alloc(n)
    for (let i = 0; i < n; i += 997) all[i] = Math.floor(random() * 256)
    return all
  }
  const tree = new Map(ODD.filter(name => !cannot.test(name)).map(name => [name, bytes(name === 'empty' ? 0 : 500)]))
  for (let i = 0; i < files; i++) tree.set(`many/${i % 3}/f${i}.dat`, bytes(Math.floor(random() * 30_000)))
  tree.set('large.bin', bytes(large))
  return tree
}

function writeTree(folder: string, tree: Map<string, Buffer>): void {
  for (const [name, content] of tree) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
    utimesSync(join(folder, name), 1_700_000_000, 1_700_000_000)
  }
}

function readTree(folder: string): Map<string, Buffer> {
  if (!existsSync(folder)) return new Map()
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(e => e.isFile())
  const paths = found.map(e => join(e.parentPath, e.name))
  return new Map(paths.map(path => [path.slice(folder.length + 1), readFileSync(path)]))
}

const shown = (tree: Map<string, Buffer>) =>
  [...tree].map(([name, content]) => `${name} ${content.length} ${content.toString('base64').slice(0, 40)}`).sort()

function expectSame(found: Map<string, Buffer>, expected: Map<string, Buffer>, what: string): void {
  expect(shown(found), what).toEqual(shown(expected))
  for (const [name, content] of expected) expect(found.get(name)!.equals(content), `${what}: ${name}`).toBe(true)
}

export interface Table {
  from: string
  to: string
  read?: object
  write?: object
}

/** A job in a file of its own. */
function jobFile(
  folder: string,
  name: string,
  source: Endpoint,
  destination: Endpoint,
  table: Table,
  more: object = {},
) {
  const path = join(folder, `${name}.json`)
  const read = { format: 'binary', ...table.read }
  const write = { format: 'binary', ...table.write }
  const tables = [{ from: table.from, to: table.to }]
  writeFileSync(path, JSON.stringify({ name, source, destination, update: 'overwrite', read, write, tables, ...more }))
  return path
}

async function run(home: string, path: string, code = 0, command = 'run'): Promise<string> {
  const args = command === 'run' ? ['run', path, '--quiet'] : [command, path]
  const answer = await startFerry(args, { home }).done
  expect(answer.code, `${answer.stdout} ${answer.stderr}`).toBe(code)
  return `${answer.stdout}${answer.stderr}`
}

/** The store itself, for what no job shows. */
export async function storeAt({ kind, ...settings }: Endpoint): Promise<ObjectStore> {
  const connector = await loadConnector(String(kind))
  const store = connector.open(settings, Policy.from({})) as unknown as { store: ObjectStore }
  return store.store
}

const local = (folder: string): Endpoint => ({ kind: 'files', folder })

/** All of it for files from one kind of store to another, or the same one. */
export function binaryCopies(name: string, from: FilePlace, to: FilePlace, seed: number, kills: number): void {
  describe(`${name}: files as they are`, { timeout: 600_000 }, () => {
    const cannot = new RegExp([from.cannot, to.cannot].flatMap(r => (r ? [r.source] : [])).join('|') || '^$')
    const tree = treeOf(seed, { cannot })
    let source: Endpoint
    let folder: string
    let home: string
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'ferry-binary-'))
      home = join(folder, 'home')
      writeTree(join(folder, 'tree'), tree)
      source = await from.make()
      await run(home, jobFile(folder, 'load', local(join(folder, 'tree')), source, { from: './', to: 'in/' }))
    })

    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    const back = async (endpoint: Endpoint, what: string, object = 'out/') => {
      const place = join(folder, `back-${what}`)
      rmSync(place, { recursive: true, force: true })
      await run(home, jobFile(folder, `back-${what}`, endpoint, local(place), { from: object, to: './' }))
      return readTree(place)
    }

    it('copies a tree of odd names, and verifies it', async () => {
      const target = await to.make()
      const path = jobFile(folder, 'tree', source, target, { from: 'in/', to: 'out/' })
      await run(home, path)
      await run(home, path, 0, 'verify')
      expectSame(await back(target, 'tree'), tree, 'the tree')
      expect((await to.everything(target)).filter(n => /\.ferry-/.test(n))).toEqual([])
      // What was changed at the destination is found.
      const other = join(folder, 'other')
      mkdirSync(join(other, 'many/0'), { recursive: true })
      writeFileSync(join(other, 'many/0/f0.dat'), Buffer.alloc(tree.get('many/0/f0.dat')!.length, 7))
      await run(home, jobFile(folder, 'other', local(other), target, { from: './', to: 'out/' }))
      const told = await run(home, path, 1, 'verify')
      expect(told).toContain('many/0/f0.dat')
    })

    it('copies what a pattern names, into one folder, and into one file', async () => {
      const target = await to.make()
      const flat = { from: 'in/many/*/*.dat', to: 'flat/', read: { hierarchy: 'flatten' } }
      await run(home, jobFile(folder, 'flat', source, target, flat))
      const found = await back(target, 'flat', 'flat/')
      const wanted = [...tree].filter(([n]) => n.startsWith('many/')).map(([, content]) => content)
      expect([...found.keys()].filter(n => n.includes('/'))).toEqual([])
      expect([...found.values()].map(b => b.toString('base64')).sort()).toEqual(
        wanted.map(b => b.toString('base64')).sort(),
      )
      const merged = { from: 'in/many/', to: 'one.bin', write: { merge: true } }
      await run(home, jobFile(folder, 'merged', source, target, merged))
      const one = await back(target, 'merged', 'one.bin')
      expect(one.get('one.bin')!.length).toBe(wanted.reduce((sum, b) => sum + b.length, 0))
      const single = { from: 'in/large.bin', to: 'renamed.bin' }
      const path = jobFile(folder, 'single', source, target, single)
      await run(home, path)
      await run(home, path, 0, 'verify')
      expect((await back(target, 'single', 'renamed.bin')).get('renamed.bin')!.equals(tree.get('large.bin')!)).toBe(
        true,
      )
    })

    it('copies what is new or changed, and no more', async () => {
      const own = await from.make()
      const fill = async (name: string, content: string) => {
        const place = temporaryFolder()
        writeTree(place, new Map([[name, Buffer.from(content)]]))
        await run(home, jobFile(folder, `fill-${place.slice(-6)}`, local(place), own, { from: './', to: 'in/' }))
      }
      await fill('a.txt', 'first')
      await fill('b/b.txt', 'second')
      const target = await to.make()
      const path = jobFile(
        folder,
        'new',
        own,
        target,
        { from: 'in/', to: 'out/' },
        { mode: 'incremental', update: 'append' },
      )
      await run(home, path)
      expect(await copied(home)).toBe(2)
      await run(home, path)
      expect(await copied(home)).toBe(0)
      await fill('b/b.txt', 'second, changed')
      await fill('c.txt', 'third')
      await run(home, path)
      expect(await copied(home)).toBe(2)
      const found = await back(target, 'new')
      expect([...found].map(([n, c]) => `${n}=${c}`).sort()).toEqual([
        'a.txt=first',
        'b/b.txt=second, changed',
        'c.txt=third',
      ])
    })

    it('moves files, killed again and again: each is there, and none at the source', async () => {
      const own = await from.make()
      const many = treeOf(seed + 1, { files: 400, large: 30_000_000, cannot })
      const place = temporaryFolder()
      writeTree(place, many)
      await run(home, jobFile(folder, 'fill-moved', local(place), own, { from: './', to: 'in/' }))
      const target = await to.make()
      const path = jobFile(
        folder,
        'moved',
        own,
        target,
        { from: 'in/', to: 'out/', write: { deleteAfter: true } },
        { limits: { parallel: 2, bytesPerSecond: '12MB' } },
      )
      const random = randomOf(seed)
      const at = join(folder, 'moving')
      let hits = 0
      for (let i = 0; i < kills; i++) {
        const running = startFerry(['run', path, '--quiet'], { home: at })
        const ended = { done: false }
        running.done.then(() => {
          ended.done = true
        })
        await until(async () => ended.done || (await newestRun(at))?.state === 'running', 'a run')
        await setTimeout(150 + random() * 900)
        if (!ended.done) hits++
        running.kill('SIGKILL')
        await running.done
        if ((await newestRun(at))?.state === 'completed') break
      }
      if ((await newestRun(at))?.state !== 'completed') await run(at, path)
      expectSame(await back(target, 'moved'), many, `after ${hits} kills`)
      expect(await from.everything(own), 'at the source').toEqual([])
      expect(
        (await to.everything(target)).filter(n => /\.ferry-/.test(n)),
        'left behind',
      ).toEqual([])
      console.log(`${name}: ${hits} kills hit a run that moved files`)
    })

    it('moves nothing onto itself, and removes nothing then', async () => {
      const own = await from.make()
      const place = temporaryFolder()
      writeTree(place, new Map([['a/x.txt', Buffer.from('one')]]))
      await run(home, jobFile(folder, 'fill-own', local(place), own, { from: './', to: 'in/' }))
      // The same place by other names, as far as the kind has some.
      const other = Object.fromEntries(
        Object.entries(own).map(([name, value]) => [
          name,
          name === 'endpoint' ? `${value}/`.replace('127.0.0.1', 'localhost') : value,
        ]),
      )
      const words = { from: 'in/', to: 'in/', write: { deleteAfter: true } }
      await startFerry(['run', jobFile(folder, 'own', own, other, words), '--quiet'], { home }).done
      expect((await back(own, 'own', 'in/')).get('a/x.txt')?.toString()).toBe('one')
    })

    it('names a file that changed after it was listed, or skips it', async () => {
      const store = await storeAt(source)
      const [head] = await pagesOf(store, 'in/sub/deep.csv')
      expect(head).toBeDefined()
      const stale = {
        ...head!,
        size: head!.size,
        modified: head!.modified - 1n,
        version: head!.version && (/^\d+$/.test(head!.version) ? `${head!.version}1` : 'gone'),
      }
      const target = await storeAt(await to.make())
      const run = { run: 'r', job: 'j', epoch: 1, confirm: async () => {}, holds: async () => {} }
      const files = target.files(run, 'out/', 0)
      const read = from.copiesAnything ? Object.create(store, { remote: { value: undefined } }) : store
      const put = files.put('deep.csv', { store: read, head: stale as never }, new AbortController().signal)
      await expect(put).rejects.toMatchObject({ code: 'FERRY-5005' })
      expect(await pagesOf(target, 'out/deep.csv')).toEqual([])
      for (const bad of ['../out', 'a/../../b']) {
        const escape = files.put(bad, { store, head: head! }, new AbortController().signal)
        if (to.arePaths) await expect(escape).rejects.toMatchObject({ code: 'FERRY-3015' })
        else await escape.catch(() => undefined)
      }
      await Promise.all([store.close(), target.close()])
    })
  })
}

async function pagesOf(store: ObjectStore, name: string) {
  const all = []
  for await (const page of (await store.list(name, { deep: true })).pages) all.push(...page)
  return all
}

async function copied(home: string): Promise<number> {
  const { stdout } = await startFerry(['show', 'new', '--json'], { home }).done
  const { tables } = JSON.parse(stdout) as { tables: { rowsCopied?: number; rows_copied?: number }[] }
  return Number(tables[0]!.rowsCopied ?? tables[0]!.rows_copied ?? 0)
}

/** What is kept with an object comes along, whether the service copies by itself or the bytes pass through here. */
export async function keepsAbout(place: FilePlace, sizes: readonly number[], about: ObjectAbout): Promise<void> {
  const from = await storeAt(await place.make())
  const run = { run: 'r', job: 'j', epoch: 1, confirm: async () => {}, holds: async () => {} }
  for (const size of sizes) {
    const key = `size-${size}`
    await from.remote!.put(key, Buffer.alloc(size, 1), about)
    const head = (await from.head(key))!
    for (const through of [true, false]) {
      const to = await storeAt(await place.make())
      // Without the service behind it a store is any other one.
      const store = through ? Object.create(from, { remote: { value: undefined } }) : from
      await to.files(run, '', 0).put(key, { store, head }, new AbortController().signal)
      expect(await to.about!(head), `${size} ${through}`).toMatchObject(about)
      expect((await to.head(key))?.size).toBe(size)
      await to.close()
    }
  }
  await from.close()
}
