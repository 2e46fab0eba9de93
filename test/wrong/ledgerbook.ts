/**
 * A folder with one text file for each table, that is only ever added to. The first line is a header with the columns; rows are
 * lines, which count only behind the line that announces them (a block: how many, of which run, under which epoch).
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type * as ferry from '../../ferry/src/contract/kit.ts'

type Line = (string | null)[]
type Header = { columns: ferry.Column[]; key: string[] /** The table of a run that made the file. */; by: string }
type Block = {
  block: string
  epoch: number
  split: ferry.SplitId
  checkpoint?: string
  rows: number
  bytes: number
  lines: number
  sum: string
}
type Entry = Block | { fence: string; epoch: number } | { end: string }
/** What a file says; `accepted` are the blocks that count. */
type Book = {
  header: Header
  rows: Line[]
  fences: Map<string, number>
  ended: Set<string>
  accepted: Set<string>
  committed: Map<string, Map<ferry.SplitId, ferry.CommittedSplit>>
}
type Part = { at: number; to?: string; from?: string; again: boolean; isFirst: boolean }

const nameOf = (b: Block) => `${b.block} ${b.epoch} ${b.split} ${b.checkpoint} ${b.sum}`
const sumOf = (text: string) => createHash('sha256').update(text).digest('hex')

export default function ledgerbook({
  z,
  PLAIN,
  PLAIN_NAMES,
  checkSettings,
  FerryError,
  RowError,
  formatText,
  parseText,
  realPath,
  typeName,
}: ferry.ConnectorKit): ferry.Connector {
  const settings = z.strictObject({ folder: z.string().min(1) })
  const check = (given: ferry.Settings) => checkSettings('ledgerbook', settings, given)
  const abilities: ferry.Abilities = { ...PLAIN, update: ['append', 'overwrite', 'merge'], transactional: true }
  const locators: ferry.Locators = {
    schemes: ['ledgerbook'],
    read(text) {
      const [, folder = '', object] = /^ledgerbook:([^#]*)(?:#(.*))?$/s.exec(text) ?? []
      if (folder === '') throw new FerryError('FERRY-1006', `${text} names no folder`)
      return object ? { settings: { folder }, object } : { settings: { folder } }
    },
  }

  const load = (path: string): Book | undefined =>
    fs.existsSync(path) ? fold(fs.readFileSync(path, 'utf8'), path) : undefined
  const parsed = <T>(line: string): T | undefined => {
    try {
      return JSON.parse(line)
    } catch {
      return undefined
    }
  }

  function fold(text: string, path: string): Book {
    const lines = text.split('\n')
    const header = parsed<Header>(lines[0]!)
    if (!header?.columns) throw new FerryError('FERRY-4002', `${path} is no table of a ledgerbook`)
    const book: Book = {
      header,
      rows: [],
      fences: new Map(),
      committed: new Map(),
      ended: new Set(),
      accepted: new Set(),
    }
    const rows = new Map<string, Line>()
    for (let i = 1; i < lines.length; i++) {
      const entry = lines[i]!.startsWith('{') ? parsed<Entry>(lines[i]!) : undefined
      if (entry === undefined) continue
      if ('fence' in entry) book.fences.set(entry.fence, Math.max(entry.epoch, book.fences.get(entry.fence) ?? 0))
      else if ('end' in entry) book.ended.add(entry.end)
      else {
        const own = lines.slice(i + 1, i + 1 + entry.lines)
        if (
          sumOf(own.join('\n')) !== entry.sum ||
          book.ended.has(entry.block) ||
          entry.epoch < (book.fences.get(entry.block) ?? 0)
        )
          continue
        for (const line of own) {
          const row = JSON.parse(line) as Line
          rows.set(header.key.length > 0 ? keyOf(header, row) : String(rows.size), row)
        }
        book.accepted.add(nameOf(entry))
        const splits = book.committed.get(entry.block) ?? new Map<ferry.SplitId, ferry.CommittedSplit>()
        book.committed.set(
          entry.block,
          splits.set(entry.split, { checkpoint: entry.checkpoint, rows: entry.rows, bytes: entry.bytes }),
        )
        i += entry.lines
      }
    }
    book.rows = [...rows.values()]
    return book
  }

  /** A key as a text: equal keys have one. */
  function keyOf({ key, columns }: Header, row: Line): string {
    return JSON.stringify(
      key.map(name => {
        const at = columns.findIndex(c => c.name === name)
        const text = row[at]!
        if (columns[at]!.type.kind === 'numeric' && text.includes('.')) return text.replace(/\.?0+$/, '')
        return columns[at]!.type.kind === 'float' && text === '-0' ? '0' : text
      }),
    )
  }

  /** Adds lines to a file that is there. They begin anew, since a killed process may have left a part of a line. */
  function add(path: string, entry: Entry, lines: string[] = []): void {
    const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_APPEND)
    try {
      fs.writeFileSync(fd, `\n${[JSON.stringify(entry), ...lines].join('\n')}\n`, { flush: true })
    } finally {
      fs.closeSync(fd)
    }
  }

  function open(given: ferry.Settings): ferry.Store {
    const folder = realPath(check(given).folder)
    const pathOf = (object: string) => join(folder, `${encodeURIComponent(object)}.book`)
    const describe = async ({ object }: ferry.ObjectSpec): Promise<ferry.TableInfo | undefined> => {
      const book = load(pathOf(object))
      return book && { object, columns: book.header.columns, primaryKey: book.header.key, rows: book.rows.length }
    }
    const objects = async () =>
      !fs.existsSync(folder)
        ? []
        : fs
            .readdirSync(folder)
            .filter(f => /^[^.].*\.book$/.test(f))
            .map(f => decodeURIComponent(f.slice(0, -5)))
            .sort()
    const close = async () => {}
    return {
      kind: 'ledgerbook',
      label: `ledgerbook:${folder}`,
      abilities,
      objects,
      describe,
      close,
      existing: describe,
      place: `ledgerbook:${folder}`,
      test: async () => `a folder of ${(await objects()).length} tables`,
      created: column => ({ type: column.type, native: typeName(column.type) }),
      names: PLAIN_NAMES,
      source: async () => ({
        table: async r => reading(r, load(pathOf(r.object))),
        increment: async (r, since) => increment(r, load(pathOf(r.object)), since),
        close,
      }),
      sink: async run => ({ table: async request => writing(request, run, folder, pathOf(request.object)), close }),
    }
  }

  const above = (a: string, b: string, type: ferry.LogicalType) => parseText(a, type)! > parseText(b, type)!

  /** The rows with a value in the column above `after` (or, `again`, from it on), up to the highest one that there is now. */
  function increment(
    request: ferry.ReadRequest,
    book: Book | undefined,
    { column, after, again, overlap }: ferry.Since,
  ): ferry.Increment {
    const at = book?.header.columns.findIndex(c => c.name === column) ?? -1
    const type = book?.header.columns[at]?.type
    if (!book || !type || !['int', 'float', 'date', 'timestamp', 'utf8'].includes(type.kind) || overlap)
      throw new FerryError('FERRY-3012', `${column} of ${request.object} does not tell what is new`, {
        hint: 'Name a column of numbers, times or texts, without overlap.',
      })
    const texts = book.rows.map(row => row[at]!).filter(text => text !== null)
    const high = texts.reduce<string | undefined>((a, b) => (a === undefined || above(b, a, type) ? b : a), undefined)
    const last = after === undefined ? undefined : (JSON.parse(after) as { high?: string; count: number })
    const now = { high, count: texts.filter(text => text === high).length }
    const isNew = last === undefined || last.high !== high || (again && now.count !== last.count)
    const part: Part = { at, to: high, from: last?.high, again, isFirst: last === undefined }
    return {
      read: { ...request, part: JSON.stringify(part) },
      position: JSON.stringify(now),
      isEmpty: !isNew,
      range: `${column} above ${last?.high ?? 'all'} up to ${high}`,
      notes: [],
    }
  }

  function reading(request: ferry.ReadRequest, book: Book | undefined): ferry.SourceTable {
    if (request.where !== undefined) throw new FerryError('FERRY-3016', 'a ledgerbook has no filters')
    if (!book) throw new FerryError('FERRY-3001', `there is no ${request.object}`)
    const { columns } = book.header
    const part = request.part === undefined ? undefined : (JSON.parse(request.part) as Part)
    const isIn = (text: string | null) => {
      if (part === undefined || (part.isFirst && text === null)) return true
      if (text === null || part.to === undefined || above(text, part.to, columns[part.at]!.type)) return false
      return (
        part.from === undefined || above(text, part.from, columns[part.at]!.type) || (part.again && text === part.from)
      )
    }
    const rows = book.rows.filter(row => isIn(row[part?.at ?? 0]!)).slice(0, request.limit)
    return {
      rowColumns: columns,
      refuses: offer => (offer.encoding === 'rows' ? undefined : 'a ledgerbook gives values'),
      fingerprint: async () => sumOf(JSON.stringify(rows)),
      async splits() {
        const size = rows.reduce((sum, row) => sum + JSON.stringify(row).length, 0)
        const each = Math.max(1, Math.ceil(rows.length / Math.max(1, Math.ceil(size / request.splitBytes))))
        return Array.from({ length: Math.ceil(rows.length / each) }, (_, id) => {
          const [from, to] = [id * each, Math.min(rows.length, (id + 1) * each)]
          return { id, label: `rows ${from + 1} to ${to}`, spec: `${from} ${to}`, rows: to - from }
        })
      },
      async *read(split, { from, signal }) {
        const [start = 0, end = 0] = split.spec.split(' ').map(Number)
        for (let at = from === undefined ? start : Number(from); at < end; ) {
          signal.throwIfAborted()
          const values: ferry.Row[] = []
          let bytes = 0
          for (; at < end && bytes < 1_000_000; at++) {
            values.push(rows[at]!.map((text, i) => (text === null ? null : parseText(text, columns[i]!.type))))
            bytes += JSON.stringify(rows[at]).length
          }
          yield { kind: 'rows', rows: values, bytes, checkpoint: String(at) }
        }
      },
    }
  }

  function writing(request: ferry.WriteRequest, run: ferry.RunIdentity, folder: string, path: string): ferry.SinkTable {
    const tag = `${run.run}/${request.ordinal}`
    const { object, existing, update, keys } = request
    const staged = update === 'overwrite' || request.truncate
    const work = staged ? join(folder, `.${encodeURIComponent(`${object} ${tag}`)}.new`) : path
    const columns =
      existing?.columns ??
      request.columns.map(c => ({ name: c.name, type: c.type, nullable: c.nullable && !keys.includes(c.name) }))
    const header: Header = { columns, key: existing?.primaryKey ?? keys, by: tag }
    if (update === 'merge' && header.key.length === 0) throw new FerryError('FERRY-3005', `${object} has no key`)
    if (update === 'merge' && [...keys].sort().join('\0') !== [...header.key].sort().join('\0'))
      throw new FerryError('FERRY-3006', `${object} is merged by its own key only: ${header.key.join(', ')}`)
    if (request.before.length + request.after.length > 0)
      throw new FerryError('FERRY-3016', 'a ledgerbook runs no statements')
    const lost = () => new FerryError('FERRY-5004', `another process has taken ${tag}`)
    const published = () => staged && load(path)?.header.by === tag
    /** Raises the fence, and tells what counts. */
    async function committed(): Promise<ferry.Committed> {
      const file = published() ? path : work
      if (fs.existsSync(file)) add(file, { fence: tag, epoch: run.epoch })
      await run.confirm()
      const book = load(file)
      if (book && (book.fences.get(tag) ?? 0) > run.epoch) throw lost()
      return { splits: book?.committed.get(tag) ?? new Map(), published: published() }
    }
    return {
      plan: { statements: [], guarantee: 'exactly once: rows and their place are one block of the file', notes: [] },
      unit: 'split',
      lanes: 1,
      offers: [{ encoding: 'rows' }],
      committed,
      async prepare() {
        fs.mkdirSync(folder, { recursive: true })
        const makes = staged || !existing
        if (makes && !published() && !fs.existsSync(work)) {
          const whole = `${work}.${run.epoch}.tmp`
          fs.writeFileSync(whole, `${JSON.stringify(header)}\n`, { flush: true })
          try {
            fs.linkSync(whole, work)
          } catch {
            /* it is there */
          }
          fs.rmSync(whole)
        }
        const there = load(published() ? path : work)?.header
        if (!there || (makes && there.by !== tag))
          throw new FerryError('FERRY-5007', `${object} was changed by someone else`)
        return committed()
      },
      async open(split) {
        const book = load(work)
        if (!book) throw lost()
        const places = book.header.columns.map(c => request.columns.findIndex(m => m.name === c.name))
        const unique = update !== 'merge' && header.key.length > 0
        const there = new Set(unique ? book.rows.map(row => keyOf(book.header, row)) : [])
        let { rows, bytes } = book.committed.get(tag)?.get(split.id) ?? { rows: 0, bytes: 0 }
        let lines: string[] = []
        const lineOf = (row: ferry.Row): Line => {
          const line = book.header.columns.map((column, i) => {
            const value = places[i] === -1 ? null : row[places[i]!]!
            if (value === null && !column.nullable) throw new RowError('FERRY-4005', 'a value is needed', column.name)
            return value === null ? null : formatText(value, column.type)
          })
          const key = unique ? keyOf(book.header, line) : ''
          if (unique && there.has(key))
            throw new RowError('FERRY-4005', `the key ${key} is there already`, header.key[0]!)
          there.add(key)
          return line
        }
        return {
          async write(batch) {
            if (batch.kind !== 'rows') throw new Error('only rows were offered')
            return batch.rows.flatMap((row, index): ferry.Refused[] => {
              try {
                lines.push(JSON.stringify(lineOf(row)))
                return []
              } catch (error) {
                if (!(error instanceof RowError) || !request.skipBadRows) throw error
                return [{ index, error }]
              }
            })
          },
          async commit(checkpoint, counts) {
            rows += counts.rows
            bytes += counts.bytes
            const block: Block = {
              block: tag,
              epoch: run.epoch,
              split: split.id,
              checkpoint,
              rows,
              bytes,
              lines: lines.length,
              sum: sumOf(lines.join('\n')),
            }
            if (fs.existsSync(work)) add(work, block, lines)
            if (!load(work)?.accepted.has(nameOf(block))) throw lost()
            lines = []
            return {}
          },
          async abort() {
            lines = []
          },
        }
      },
      async publish() {
        if (!staged || published()) return
        if ((load(work)?.fences.get(tag) ?? Infinity) > run.epoch) throw lost()
        fs.renameSync(work, path)
      },
      async forget() {
        if (load(path)?.ended.has(tag) === false) add(path, { end: tag })
      },
      async discard() {
        if (staged) fs.rmSync(work, { force: true })
        return published() || (load(path)?.committed.get(tag)?.size ?? 0) > 0
      },
    }
  }

  return { kind: 'ledgerbook', label: 'Ledgerbook', settings, abilities, locators, tellsChanges: false, check, open }
}
