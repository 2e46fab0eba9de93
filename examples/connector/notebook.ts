/**
 * A store of its own: tables as JSON files of a folder. A copy writes its table anew, under the next number: a file that is
 * there already is not replaced, so that of two writers one fails.
 *
 *     ferry --connector examples/connector/notebook.ts copy shop.db#orders notebook:./book#orders
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type * as ferry from '../../ferry/src/contract/kit.ts'

/** A table: values are Ferry's canonical texts. */
interface Page {
  columns: { name: string; type: string; nullable: boolean }[]
  keys: string[]
  rows: (string | null)[][]
  /** Runs whose rows are in it: one that is resumed does not add them again. */
  runs: string[]
}

export default (kit: ferry.ConnectorKit): ferry.Connector => {
  const { z, PLAIN, checkSettings, FerryError, formatText, parseText, parseType, typeName } = kit
  const settings = z.strictObject({ folder: z.string().describe('The folder of the tables') })
  const kind = {
    kind: 'notebook',
    label: 'Notebook',
    settings,
    tellsChanges: false,
    abilities: { ...PLAIN, update: ['append', 'overwrite', 'merge'], transactional: true },
    locators: {
      schemes: ['notebook'],
      read: text => {
        const [folder = '', object] = text.slice('notebook:'.length).split('#')
        return { settings: { folder }, ...(object ? { object } : {}) }
      },
    },
    check: given => checkSettings('notebook', settings, given),
  } satisfies ferry.Kind

  const fileOf = (folder: string, name: string, number: number) =>
    join(folder, `${encodeURIComponent(name)}.${number}.json`)
  const files = async (folder: string) =>
    (await readdir(folder).catch(() => [])).flatMap(file => {
      const [, name, number] = /^([^.].*)\.(\d+)\.json$/.exec(file) ?? []
      return name === undefined ? [] : [{ name: decodeURIComponent(name), number: Number(number) }]
    })

  /** The newest page of a table with its number; 0 where there is none. */
  async function newest(folder: string, name: string): Promise<{ number: number; page: Page | undefined }> {
    const number = Math.max(0, ...(await files(folder)).filter(f => f.name === name).map(f => f.number))
    const text = number === 0 ? undefined : await readFile(fileOf(folder, name, number), 'utf8')
    return { number, page: text && JSON.parse(text) }
  }

  function sinkTable(folder: string, run: ferry.RunIdentity, request: ferry.WriteRequest): ferry.SinkTable {
    const { object, columns, keys, update, truncate, before, after } = request
    if (before.length + after.length > 0) throw new FerryError('FERRY-3006', 'a notebook runs no SQL')
    const id = `${run.run}/${request.ordinal}`
    const committed = async () => {
      await run.confirm()
      return { splits: new Map(), published: (await newest(folder, object)).page?.runs.includes(id) ?? false }
    }
    const given: (string | null)[][] = []
    return {
      plan: { statements: [], guarantee: 'exactly once: the table appears whole', notes: [] },
      unit: 'table',
      lanes: 1,
      offers: [{ encoding: 'rows' }],
      prepare: committed,
      committed,
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
        const next: Page = {
          columns: into,
          keys: page?.keys ?? keys,
          rows: update === 'merge' ? [...keyed.values()] : all,
          runs: [...(page?.runs ?? []).slice(-100), id],
        }
        await mkdir(folder, { recursive: true })
        const draft = join(folder, `.${encodeURIComponent(id)}-${run.epoch}`)
        await writeFile(draft, JSON.stringify(next), { flush: true })
        await link(draft, fileOf(folder, object, number + 1)).catch(error => {
          if (error.code !== 'EEXIST') throw error
          throw new FerryError('FERRY-5004', `${object} was written by another process meanwhile`)
        })
        for (const old of [draft, fileOf(folder, object, number)]) await rm(old, { force: true })
      },
      forget: async () => {},
      discard: async () => (await committed()).published,
    }
  }

  const columnsOf = (page: Page): ferry.Column[] => page.columns.map(c => ({ ...c, type: parseType(c.type)! }))
  /** Rows with a higher number than an earlier copy has seen. */
  const beyond = (page: Page, { column, after }: { column: string; after: string | null }) => {
    const at = page.columns.findIndex(c => c.name === column)
    return page.rows.filter(row => row[at] !== null && (after === null || BigInt(row[at]!) > BigInt(after)))
  }

  function sourceTable(request: ferry.ReadRequest, number: number, page: Page): ferry.SourceTable {
    if (request.where !== undefined) throw new FerryError('FERRY-3006', 'a notebook has no filter')
    const wanted = new Set(request.columns.map(c => c.from))
    const rowColumns = columnsOf(page).filter(c => wanted.has(c.name))
    const at = rowColumns.map(c => page.columns.findIndex(p => p.name === c.name))
    const all = request.part === undefined ? page.rows : beyond(page, JSON.parse(request.part))
    const texts = all.slice(0, request.limit)
    const value = (text: string | null, { type }: ferry.Column) => (text === null ? null : parseText(text, type))
    return {
      rowColumns,
      refuses: ({ encoding }) => (encoding === 'rows' ? undefined : 'a notebook gives rows'),
      fingerprint: async () => String(number),
      splits: async () => [{ id: 0, label: 'all', spec: '', rows: texts.length }],
      read: async function* () {
        const rows = texts.map((row): ferry.Row => rowColumns.map((column, i) => value(row[at[i]!]!, column)))
        yield { kind: 'rows', rows, bytes: JSON.stringify(texts).length }
      },
    }
  }

  /** What is new, by a column of whole numbers. A position is the highest one that was seen, as JSON. */
  function increment(
    request: ferry.ReadRequest,
    page: Page,
    { column = '', after = 'null' }: ferry.Since,
  ): ferry.Increment {
    const at = page.columns.findIndex(c => c.name === column)
    if (at < 0 || !/^u?int/.test(page.columns[at]!.type)) {
      throw new FerryError('FERRY-3012', `${request.object}: ${column} is no column of whole numbers`)
    }
    const part = { column, after: JSON.parse(after) as string | null }
    const numbers = beyond(page, part).map(row => BigInt(row[at]!))
    const highest = numbers.reduce((a, b) => (b > a ? b : a), BigInt(part.after ?? numbers[0] ?? 0))
    return {
      read: { ...request, part: JSON.stringify(part) },
      position: JSON.stringify(numbers.length === 0 ? part.after : String(highest)),
      isEmpty: part.after !== null && numbers.length === 0,
      range: part.after === null ? 'everything' : `${column} beyond ${part.after}`,
      notes: [],
    }
  }

  function open(given: Record<string, unknown>): ferry.Store {
    const folder = resolve(kind.check(given).folder)
    const describe = async ({ object }: { object: string }): Promise<ferry.TableInfo | undefined> => {
      const { page } = await newest(folder, object)
      return page && { object, columns: columnsOf(page), primaryKey: page.keys, rows: page.rows.length }
    }
    const opened = async ({ object }: ferry.ReadRequest) => {
      const { number, page } = await newest(folder, object)
      if (!page) throw new FerryError('FERRY-3001', `there is no table ${object} in ${folder}`)
      return { number, page }
    }
    return {
      kind: kind.kind,
      label: `notebook:${folder}`,
      place: folder,
      abilities: kind.abilities,
      test: async () => `folder ${folder}`,
      objects: async () => [...new Set((await files(folder)).map(f => f.name))].sort(),
      describe,
      existing: describe,
      created: ({ type }) => ({ type, native: typeName(type) }),
      defaultObject: ({ table }) => table,
      nameParts: object => ({ schema: '', table: object }),
      namePart: text => text,
      objectKey: object => object,
      naming: () => ({ foldsCase: false, mayBeEmpty: true }),
      source: async () => ({
        table: async request => {
          const { number, page } = await opened(request)
          return sourceTable(request, number, page)
        },
        increment: async (request, since) => increment(request, (await opened(request)).page, since),
        close: async () => {},
      }),
      sink: async run => ({ table: async request => sinkTable(folder, run, request), close: async () => {} }),
      close: async () => {},
    }
  }

  return { ...kind, open }
}
