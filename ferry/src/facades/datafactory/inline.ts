/** Datasets that lie in the script of a data flow: `source(format: 'delimited', fileSystem: 'data', folderPath: 'in', ...)`. */
import type { Flow } from '../../dataflow/relation.ts'
import { refused } from '../../dataflow/scope.ts'
import type { Statement } from '../../dataflow/script/tree.ts'
import { setting } from '../../dataflow/transformations/args.ts'
import type { Reference } from '../../pipelines/model.ts'

/** By the words of scripts. */
const FORMATS: Record<string, string> = {
  delimited: 'DelimitedText',
  json: 'Json',
  parquet: 'Parquet',
  binary: 'Binary',
}

/** The properties that a dataset of the factory would have. Throws FERRY-7003, FERRY-7006. */
export function inlineDataset(statement: Statement, linkedServiceName: Reference, flow: Flow): Record<string, unknown> {
  const of = (name: string) => setting(statement, name, flow)
  const format = (of('format') ?? '').toLowerCase()
  if (format === 'table') {
    // A table is one wherever it is.
    return {
      type: 'AzurePostgreSqlTable',
      linkedServiceName,
      typeProperties: defined({ schema: of('schemaName'), table: of('tableName') }),
    }
  }
  const type = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined
  if (type === undefined || type === 'Binary') {
    throw refused(
      statement,
      `${statement.output}: the format ${format === '' ? '(none)' : format} does not run here without a dataset`,
    )
  }
  const location = defined({
    container: of('container') ?? of('fileSystem') ?? of('bucketName'),
    folderPath: of('folderPath'),
    fileName: of('fileName'),
  })
  const compression = of('compressionType')
  const text = defined({
    columnDelimiter: of('columnDelimiter'),
    rowDelimiter: of('rowDelimiter'),
    quoteChar: of('quoteChar'),
    escapeChar: of('escapeChar'),
    firstRowAsHeader: of('columnNamesAsHeader') === undefined ? undefined : of('columnNamesAsHeader') === 'true',
    nullValue: of('nullValue'),
  })
  return {
    type,
    linkedServiceName,
    typeProperties: {
      location,
      ...(type === 'DelimitedText' ? text : {}),
      ...defined({ encodingName: of('encoding') }),
      ...(compression === undefined || compression === 'none' ? {} : { compression: { type: compression } }),
    },
  }
}

const defined = (of: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(of).filter(([, v]) => v !== undefined))
