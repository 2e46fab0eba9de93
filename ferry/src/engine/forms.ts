/** Columns that go through texts of a certain form: which type is between, and how it is read and written. */
import { formatOf, hasForms, isDate, requireForm, type TextForm, type TextForms } from '../batch/forms.ts'
import { type LogicalType, parseType, utf8 } from '../batch/types.ts'
import type { TableColumn } from '../contract/schema.ts'
import { FerryError } from '../errors.ts'
import type { TableSpec } from '../job/tables.ts'

/** What a job says of the texts of a column. */
export interface FormsWanted {
  to: string
  from?: TableColumn
  parse?: { type?: string | undefined; format?: string | undefined; culture?: string | undefined } | undefined
  print?: { format?: string | undefined; culture?: string | undefined } | undefined
}

type Texts = TableSpec['texts']

/** Dates of documents are texts, too; their numbers are not. */
const isText = ({ type, inferred, written }: TableColumn) =>
  type.kind === 'utf8' || written === true || (inferred === true && isDate(type))

/** The form of texts of a type by the table's settings; undefined where they say nothing of it. */
function formOf(type: LogicalType, texts: Texts): TextForm | undefined {
  if (!texts || !hasForms(type)) return undefined
  const format = formatOf(type, texts)
  if (format === undefined && texts.culture === undefined) return undefined
  return formed({ format, culture: texts.culture })
}

/** The same of a column, whose culture may be that of the table. */
function formed({ format, culture }: { format?: string | undefined; culture?: string | undefined }): TextForm {
  return { ...(format === undefined ? {} : { format }), ...(culture === undefined ? {} : { culture }) }
}

/** The type that a text of the source is read as, where the job names one. */
function parsedType({ to, parse }: FormsWanted): LogicalType | undefined {
  if (parse?.type === undefined) return undefined
  const type = parseType(parse.type)
  if (type && hasForms(type)) return type
  throw new FerryError(
    'FERRY-1003',
    `${to}: texts are not read as ${parse.type}: name a type of dates, times or numbers`,
  )
}

/** The type that a column is made as that goes through texts; undefined where the job says nothing of it. */
export function madeType(wanted: FormsWanted, texts: Texts): LogicalType | undefined {
  const { from, print } = wanted
  if (!from) return undefined
  const type = parsedType(wanted) ?? (isText(from) ? undefined : from.type)
  if (type === undefined || !hasForms(type)) return undefined
  return print || (texts?.print && formOf(type, texts)) ? utf8 : isText(from) ? type : undefined
}

/**
 * The way of a column into one of type `to` through texts; undefined where the job says nothing of it, or neither side is text. The
 * type between the two may be one that the destination narrows. Throws FERRY-1003.
 */
export function formsOf(
  wanted: FormsWanted,
  to: LogicalType,
  texts: Texts,
): { sourceType: LogicalType; type: LogicalType; texts: TextForms } | undefined {
  const { from, parse, print } = wanted
  if (!from) return undefined
  const named = parsedType(wanted)
  const isPrinted = to.kind === 'utf8'
  if (isText(from)) {
    const as = named ?? (isPrinted ? undefined : to)
    if (as === undefined || !hasForms(as)) return undefined
    const own = parse && formed({ ...parse, culture: parse.culture ?? texts?.culture })
    const read = own && (own.format ?? own.culture) !== undefined ? own : (formOf(as, texts) ?? own)
    const written = isPrinted ? (print ? formed(print) : formOf(as, texts)) : undefined
    if (read === undefined) return undefined
    return checked(wanted, utf8, to, { as, parse: read, ...(written ? { print: written } : {}) })
  }
  if (!isPrinted || !hasForms(from.type)) return undefined
  const written = print ? formed({ ...print, culture: print.culture ?? texts?.culture }) : formOf(from.type, texts)
  return written && checked(wanted, from.type, to, { as: from.type, print: written })
}

function checked({ to: name }: FormsWanted, sourceType: LogicalType, type: LogicalType, texts: TextForms) {
  for (const form of [texts.parse, texts.print]) {
    try {
      if (form) requireForm(form, texts.as)
    } catch (error) {
      if (!(error instanceof FerryError)) throw error
      throw new FerryError('FERRY-1003', `${name}: ${error.message}`, { hint: error.hint })
    }
  }
  return { sourceType, type, texts }
}
