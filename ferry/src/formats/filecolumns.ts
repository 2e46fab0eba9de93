/** The columns that all rows of a file have alike: its path, and what the names of its folders say: `year=2026/month=07/`. */
import { isOfGuess } from '../batch/guess.ts'
import { mergeGuess, typeOfText } from '../batch/infer.ts'
import { parseText } from '../batch/text.ts'
import { type Column, type Row, utf8 } from '../batch/types.ts'
import type { ReadRequest } from '../contract/read.ts'
import { FILE_PATH, type TableColumn } from '../contract/schema.ts'
import { FerryError } from '../errors.ts'
import type { FileSet } from './bytes.ts'
import type { ReadOptions } from './options.ts'
import { declaredType } from './textfile.ts'

/** The name of a folder for rows without a value, as Hive writes it. */
export const NULL_FOLDER = '__HIVE_DEFAULT_PARTITION__'

/** What the names of folders say, by their columns, in the order of the folders. */
export function partitionsOf(key: string): Map<string, string | null> {
  const found = new Map<string, string | null>()
  for (const folder of key.split(/[/\\]/).slice(0, -1)) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(folder) ?? []
    if (name !== undefined) found.set(unescaped(name), value === NULL_FOLDER ? null : unescaped(value!))
  }
  return found
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What the names of a file's folders say, below `partitionRoot` or what is read. Throws FERRY-3002 for a file that is not below it. */
function valuesOf(key: string, { base, store }: FileSet, partitionRoot: unknown): Map<string, string | null> {
  if (partitionRoot === undefined) return partitionsOf(key.slice(base.length))
  const name = store.nameOf(key).replaceAll('\\', '/')
  const root = `${String(partitionRoot)}/`.replace(/^(\.?\/+)+/, '').replace(/\/+$/, '/')
  if (name.startsWith(root)) return partitionsOf(name.slice(root.length))
  throw new FerryError('FERRY-3002', `${name} is not below ${partitionRoot}, where its partitions should begin`)
}

/**
 * The columns by the folders of the files, if the options ask for them. Throws FERRY-4002 if files have other ones than the first,
 * FERRY-3015 if `own`, the columns in the files, have one of the same name.
 */
export function partitionColumns(set: FileSet, options: ReadOptions, own: { name: string }[]): TableColumn[] {
  if (!options.partitions) return []
  const [first, ...others] = set.files.map(({ key }) => ({
    key,
    values: valuesOf(key, set, options.partitionRoot),
  }))
  const names = [...first!.values.keys()]
  const odd = others.find(({ values }) => [...values.keys()].join('/') !== names.join('/'))
  if (odd) {
    const said = (file: { values: Map<string, unknown> }) => [...file.values.keys()].join(', ') || 'none'
    throw new FerryError(
      'FERRY-4002',
      `${odd.key}: its folders name other columns (${said(odd)}) than those of ${first!.key} (${said(first!)})`,
    )
  }
  const twice = own.find(c => names.some(name => name.toLowerCase() === c.name.toLowerCase()))
  if (twice) {
    throw new FerryError(
      'FERRY-3015',
      `${set.name}: ${twice.name} is a column of the files, and a name of their folders`,
      {
        hint: 'Leave `partitions` out of `read`, or read the folder in the column of the path.',
      },
    )
  }
  return names.map(name => {
    const texts = [...new Set([first!, ...others].flatMap(({ values }) => values.get(name) ?? []))]
    const declared = declaredType(options, name)
    const guess = texts.reduce<ReturnType<typeof typeOfText> | undefined>(
      (type, t) => mergeGuess(type, typeOfText(t)),
      undefined,
    )
    const isSafe = guess && texts.every(t => isOfGuess(t, guess))
    return {
      name,
      type: declared ?? (isSafe ? guess : utf8),
      nullable: true,
      inferred: declared === undefined,
      written: true,
    }
  })
}

/** The values of these columns that a mapping asks for. */
export class FileColumns {
  /** In the order in which rows have them. */
  readonly columns: Column[]

  private readonly set: FileSet
  private readonly root: unknown

  constructor(
    set: FileSet,
    partitions: Pick<Column, 'name' | 'type' | 'nullable'>[],
    { columns, options }: ReadRequest,
  ) {
    this.set = set
    this.root = options.partitionRoot
    this.columns = [...partitions, { name: FILE_PATH, type: utf8, nullable: false }].flatMap(column => {
      const mapped = columns.find(c => c.from === column.name)
      return mapped ? [{ name: column.name, type: mapped.sourceType, nullable: column.nullable }] : []
    })
  }

  /** Throws a RowError for a text that is not of the type that was declared. */
  of(key: string): Row {
    if (this.columns.length === 0) return []
    const values = valuesOf(key, this.set, this.root)
    return this.columns.map(({ name, type }) => {
      const text = name === FILE_PATH ? key : values.get(name)
      return text === null || text === undefined ? null : parseText(text, type)
    })
  }

  /** The same as texts. */
  textsOf(key: string): (string | null)[] {
    const values = valuesOf(key, this.set, this.root)
    return this.columns.map(({ name }) => (name === FILE_PATH ? key : (values.get(name) ?? null)))
  }
}
