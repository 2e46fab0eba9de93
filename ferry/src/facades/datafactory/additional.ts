/** `additionalColumns` of a source. */
import { FerryError } from '../../errors.ts'
import type { Value } from '../../pipelines/expressions/values.ts'
import { requireList, requireObject } from '../../pipelines/resolve.ts'
import type { MappedTo } from './translator.ts'

interface Added {
  name: string
  value: string
}

export function addedColumns(list: Value | undefined): Added[] {
  if (list === undefined || list === null) return []
  return requireList(list, 'additionalColumns').map((one, i) => {
    const { name, value } = requireObject(one, `additionalColumns[${i}]`)
    return { name: String(name), value: value === null || value === undefined ? '' : String(value) }
  })
}

type Columns = Record<string, MappedTo>

/** Columns that the source does not have: constants, the path of a file, copies of other columns. */
export function withAdded(columns: Columns | undefined, added: readonly Added[]) {
  const constants: Record<string, string> = {}
  let path: string | undefined
  const mapped: Columns | undefined = columns && { ...columns }
  for (const { name, value } of added) {
    const to = mapped ? mapped[name]?.to : name
    if (mapped) delete mapped[name]
    // A mapping that leaves the column out does so on purpose.
    if (to === undefined) continue
    const copied = /^\$\$COLUMN:(.*)$/i.exec(value)?.[1]
    if (/^\$\$FILEPATH$/i.test(value)) path = to
    else if (copied === undefined) constants[to] = value
    else if (mapped && !Object.hasOwn(mapped, copied)) mapped[copied] = { to }
    else
      throw new FerryError(
        'FERRY-7006',
        `the additional column ${name} is a copy of ${copied}, which is copied itself: it comes once here`,
      )
  }
  return { columns: mapped, constants, path }
}
