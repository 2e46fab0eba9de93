/**
 * A store of its own: tables as JSON files of a folder. A copy writes its table anew, under the next number: a file that is
 * there already is not replaced, so that of two writers one fails.
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type * as ferry from '../../ferry/src/contract/kit.ts'

type Line = (string | null)[]
/** A table, with the last runs whose rows are in it: values are Ferry's canonical texts. */
interface Page {
  columns: { name: string; type: string; nullable: boolean }[]
  rows: Line[]
  runs: string[]
}
type Opened = { number: number; page: Page }
/** The rows of an increment: `from` and `to` are whole numbers as texts. */
type Part = { column: string; from?: string; to: string | null; again: boolean }

export default (kit: ferry.ConnectorKit): ferry.Connector => {
  const { z, PLAIN, checkSettings, FerryError, formatText, parseText, parseType, realPath, typeName } = kit
  const settings = z.strictObject({ folder: z.string().describe('The folder of the tables') })
  const kind = {
    ...{ kind: 'notebook', label: 'Notebook', settings, tellsChanges: false },
    abilities: { ...PLAIN, update: ['append', 'overwrite', 'merge'], transactional: true },
    locators: {
      schemes: ['notebook'],
      read: text => {
        const [folder, object] = text.slice('notebook:'.length).split('#')
        return { settings: { folder }, ...(object ? { object } : {}) }
      },
    },
    check: given => checkSettings('notebook', settings, given),
  } satisfies ferry.Kind

  const fileOf = (folder: string, name: string, at: number) => join(folder, `${encodeURIComponent(name)}.${at}.json`)
  const files = async (folder: string) =>
    (await readdir(folder).catch(() => [])).flatMap(file => {
      const [, name, number] = /^([^.].*)\.(\d+)\.json$/.exec(file) ?? []
      return name === undefined ? [] : [{ name: decodeURIComponent(name), number: Number(number) }]
    })

  /** The newest page of a table with its number; 0 if there is none. */
  async function newest(folder: string, name: string): Promise<Partial<Opened> & { number: number }> {
    const number = Math.max(0, ...(await files(folder)).filter(f => f.name === name).map(f => f.number))
    const text = number === 0 ? undefined : await readFile(fileOf(folder, name, number), 'utf8')
    return { number, ...(text ? { page: JSON.parse(text) } : {}) }
  }

  function sinkTable(folder: string, run: ferry.RunIdentity, request: ferry.WriteRequest): ferry.SinkTable {
    const { object, columns, keys, update, truncate, before, after } = request
    if (before.length + after.length > 0) throw new FerryError('FERRY-3006', 'a notebook runs no SQL')
    const id = `${run.run}/${request.ordinal}`
    const lost = () => new FerryError('FERRY-5004', `${object} was written by another process meanwhile`)
    /** The page is written here first. The next process removes the file, and with it the right to publish. */
    const draftOf = (epoch: number) => join(folder, `.${encodeURIComponent(id)}.${epoch}`)
    async function removeDrafts(below: number) {
      for (let epoch = below - 1; epoch > 0; epoch--) await rm(draftOf(epoch), { force: true })
    }
    async function committed() {
      await run.confirm()
      await removeDrafts(run.epoch)
      return { splits: new Map(), published: (await newest(folder, object)).page?.runs.includes(id) ?? false }
    }
    const given: Line[] = []
    return {
      ...{ unit: 'table', lanes: 1, offers: [{ encoding: 'rows' }], committed },
      plan: { statements: [], guarantee: 'exactly once: the table appears whole', notes: [] },
      prepare: async () => {
        await mkdir(folder, { recursive: true })
        await writeFile(draftOf(run.epoch), '')
        return committed()
      },
      open: async () => ({
        write: async batch => {
          if (batch.kind !== 'rows') throw new FerryError('FERRY-9000', 'a notebook takes rows')
          const text = (value: ferry.Value, i: number) => (value === null ? null : formatText(value, columns[i]!.type))
          given.push(...batch.rows.map(row => row.map(text)))
          return []
        },
        commit: async () => ({}),
        abort: async () => void given.splice(0),
      }),
      publish: async () => {
        await run.confirm()
        const { number, page } = await newest(folder, object)
        if (page?.runs.includes(id)) return
        const made = columns.map(({ name, type, nullable }) => ({ name, type: typeName(type), nullable }))
        const into = page && update !== 'overwrite' ? page.columns : made
        const rows = given.map(row => into.map(c => row[columns.findIndex(own => own.name === c.name)] ?? null))
        const all = update === 'overwrite' || truncate ? rows : [...(page?.rows ?? []), ...rows]
        const at = keys.map(key => into.findIndex(c => c.name === key))
        const keyed = new Map(all.map(row => [JSON.stringify(at.map(i => row[i])), row]))
        const runs = [...(page?.runs ?? []).slice(-100), id]
        const next: Page = { columns: into, rows: update === 'merge' ? [...keyed.values()] : all, runs }
        const refuse = (e: NodeJS.ErrnoException) => Promise.reject(/EEXIST|ENOENT/.test(e.code!) ? lost() : e)
        await writeFile(draftOf(run.epoch), JSON.stringify(next), { flag: 'r+', flush: true }).catch(refuse)
        await link(draftOf(run.epoch), fileOf(folder, object, number + 1)).catch(refuse)
        // The page before stays until the next one: a process that is slow finds its number taken.
        if ((await newest(folder, object)).number !== number + 1) throw lost()
        const old = (await files(folder)).filter(f => f.name === object && f.number < number)
        for (const f of old) await rm(fileOf(folder, object, f.number), { force: true })
        await removeDrafts(run.epoch + 1)
      },
      forget: async () => {},
      discard: async () => {
        await removeDrafts(run.epoch + 1)
        return (await committed()).published
      },
    }
  }

  const columnsOf = (page: Page): ferry.Column[] => page.columns.map(c => ({ ...c, type: parseType(c.type)! }))
  /** Rows whose number is beyond that of the last copy, or the same if `again`, up to the end; of the first copy those without. */
  function within(page: Page, { column, from, to, again }: Part): Line[] {
    const at = page.columns.findIndex(c => c.name === column)
    return page.rows.filter(row => {
      const text = row[at]!
      if (text === null) return from === undefined
      const isNew = from === undefined || BigInt(text) > BigInt(from) || (again && BigInt(text) === BigInt(from))
      return isNew && to !== null && BigInt(text) <= BigInt(to)
    })
  }

  function sourceTable(request: ferry.ReadRequest, { number, page }: Opened): ferry.SourceTable {
    if (request.where !== undefined) throw new FerryError('FERRY-3006', 'a notebook has no filter')
    const wanted = new Set(request.columns.map(c => c.from))
    const rowColumns = columnsOf(page).filter(c => wanted.has(c.name))
    const at = rowColumns.map(c => page.columns.findIndex(p => p.name === c.name))
    const all = request.part === undefined ? page.rows : within(page, JSON.parse(request.part))
    const texts = all.slice(0, request.limit)
    const value = (text: string | null, { type }: ferry.Column) => (text === null ? null : parseText(text, type))
    return {
      rowColumns,
      refuses: ({ encoding }) => (encoding === 'rows' ? undefined : 'a notebook gives rows'),
      fingerprint: async () => String(number),
      splits: async () => [{ id: 0, label: 'all', spec: '', rows: texts.length }],
      read: async function* () {
        for (let from = 0; from < texts.length; from += 1000) {
          const some = texts.slice(from, from + 1000)
          const rows = some.map((row): ferry.Row => rowColumns.map((column, i) => value(row[at[i]!]!, column)))
          yield { kind: 'rows', rows, bytes: JSON.stringify(some).length }
        }
      },
    }
  }

  /** What is new, by a column of whole numbers. A position is the highest one, and how many rows have it. */
  function increment(request: ferry.ReadRequest, page: Page, since: ferry.Since): ferry.Increment {
    const { column = '', after, again } = since
    const at = page.columns.findIndex(c => c.name === column)
    if (since.overlap) throw new FerryError('FERRY-3012', 'a notebook reads no overlap')
    if (!/^u?int/.test(page.columns[at]?.type ?? '')) throw new FerryError('FERRY-3012', `${column} holds no numbers`)
    const last = after === undefined ? undefined : (JSON.parse(after) as { highest: string | null; count: number })
    const texts = page.rows.map(row => row[at]!).filter(text => text !== null)
    const highest = texts.reduce<string | null>((a, b) => (a === null || BigInt(b) > BigInt(a) ? b : a), null)
    const now = { highest, count: texts.filter(text => text === highest).length }
    const from = last?.highest ?? (last ? String(-(2n ** 63n)) : undefined)
    const part: Part = { column, to: highest, again, ...(from === undefined ? {} : { from }) }
    const isNew = !last || last.highest !== highest || (again && last.count !== now.count)
    return {
      read: { ...request, part: JSON.stringify(part) },
      position: JSON.stringify(now),
      isEmpty: !isNew,
      ...{ range: `${column} beyond ${last?.highest}, up to ${highest}`, notes: [] },
    }
  }

  function open(given: Record<string, unknown>): ferry.Store {
    const folder = realPath(kind.check(given).folder)
    const describe = async ({ object }: { object: string }): Promise<ferry.TableInfo | undefined> => {
      const { page } = await newest(folder, object)
      return page && { object, columns: columnsOf(page), primaryKey: [], rows: page.rows.length }
    }
    const opened = async ({ object }: ferry.ReadRequest) => {
      const { number, page } = await newest(folder, object)
      if (page) return { number, page }
      throw new FerryError('FERRY-3001', `there is no table ${object} in ${folder}`)
    }
    return {
      names: kit.PLAIN_NAMES,
      ...{ kind: kind.kind, label: `notebook:${folder}`, place: folder, abilities: kind.abilities },
      test: async () => `folder ${folder}`,
      objects: async () => [...new Set((await files(folder)).map(f => f.name))].sort(),
      describe,
      existing: describe,
      created: ({ type }) => ({ type, native: typeName(type) }),
      source: async () => ({
        table: async request => sourceTable(request, await opened(request)),
        increment: async (request, since) => increment(request, (await opened(request)).page, since),
        close: async () => {},
      }),
      sink: async run => ({ table: async request => sinkTable(folder, run, request), close: async () => {} }),
      close: async () => {},
    }
  }

  return { ...kind, open }
}
