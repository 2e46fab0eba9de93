/** Properties of transformations: what acts here, what only says how fast something goes, and what is refused by name. */
import { nearest } from '../errors.ts'
import { flowFault } from './scope.ts'
import type { Argument, Statement } from './script/tree.ts'

/** How rows are spread and in which portions: planned here by itself. */
const PACE = ['partitionBy', 'broadcast', 'batchSize', 'concurrency', 'timeout']

const MAPPED = ['mapColumn', 'skipDuplicateMapInputs', 'skipDuplicateMapOutputs']

/** Where a source or a sink lies that has no dataset, and how it is written. */
export const INLINE = [
  ...['container', 'fileSystem', 'bucketName', 'folderPath', 'fileName', 'schemaName', 'tableName', 'store'],
  ...['columnDelimiter', 'rowDelimiter', 'quoteChar', 'escapeChar', 'columnNamesAsHeader', 'nullValue', 'encoding'],
  ...['compressionType', 'compressionLevel'],
]

interface Known {
  /** Properties and parts such as `groupBy(...)`. */
  names: readonly string[]
  /** True if columns with expressions are arguments of their own. */
  takesValues?: boolean
}

/** What is known of each transformation. */
export const KNOWN: Record<string, Known> = {
  source: {
    names: [
      'output',
      'allowSchemaDrift',
      'validateSchema',
      'inferDriftedColumnTypes',
      'ignoreNoFilesFound',
      'format',
      'query',
      'wildcardPaths',
      'rowUrlColumn',
      'documentForm',
      'pageSize',
      'preferredRegions',
      'systemColumns',
      'throughput',
      'isolationLevel',
      'limit',
      'multiLineRow',
      'enableChangeFeed',
      'changeFeedStartFromTheBeginning',
      'captureIntermediateUpdate',
      'captureUserDeletes',
      'captureTxnTTLDeletes',
      'skipLines',
      ...INLINE,
    ],
  },
  sink: {
    names: [
      'input',
      'allowSchemaDrift',
      'validateSchema',
      'format',
      'keys',
      'insertable',
      'updateable',
      'upsertable',
      'deletable',
      'recreate',
      'truncate',
      'preSQLs',
      'postSQLs',
      'saveOrder',
      'partitionFileNames',
      'partitionKey',
      'throughput',
      'writeThroughputBudget',
      'skipKeyWrites',
      'stageInsert',
      'umask',
      'errorHandlingOption',
      'output',
      ...INLINE,
      ...MAPPED,
    ],
  },
  filter: { names: [], takesValues: true },
  sort: { names: ['caseInsensitive', 'global', 'asc', 'desc'] },
  split: { names: ['disjoint'], takesValues: true },
  alterRow: { names: ['insertIf', 'updateIf', 'upsertIf', 'deleteIf'] },
  assert: { names: ['expectTrue', 'expectUnique', 'abort'], takesValues: true },
  keyGenerate: { names: ['output', 'startAt', 'stepValue'] },
  derive: { names: [], takesValues: true },
  select: { names: MAPPED },
  cast: { names: ['output', 'errors'] },
  parse: { names: ['format', 'documentForm'], takesValues: true },
  stringify: { names: ['format'], takesValues: true },
  foldDown: { names: ['unroll', ...MAPPED] },
  join: { names: ['joinType', 'matchType', 'ignoreSpaces'], takesValues: true },
  lookup: { names: ['multiple', 'pickup', 'asc', 'desc'], takesValues: true },
  exists: { names: ['negate'], takesValues: true },
  union: { names: ['byName'] },
  aggregate: { names: ['groupBy'], takesValues: true },
  window: {
    names: ['over', 'asc', 'desc', 'startRowOffset', 'endRowOffset', 'startRangeOffset', 'endRangeOffset'],
    takesValues: true,
  },
  rank: { names: ['asc', 'desc', 'output', 'caseInsensitive', 'dense'] },
  pivot: { names: ['groupBy', 'pivotBy', 'columnNaming', 'lateral'], takesValues: true },
  unpivot: { names: ['output', 'ungroupBy', 'lateral', 'ignoreNullPivots', 'groupBy'], takesValues: true },
}

/** Properties that change what comes out where they are set to these values, which do not run here. */
const REFUSED: Record<string, string> = {
  'join matchType': 'fuzzy',
  'sort caseInsensitive': 'true',
  'rank caseInsensitive': 'true',
  'sink errorHandlingOption': 'allowErrors',
  'sink skipKeyWrites': 'true',
  'sink validateSchema': 'true',
  'pivot lateral': 'false',
  'cast errors': 'true',
}

/** Transformations that a script may have and that do not run here, with the reason. */
export const NOT_HERE: Record<string, string> = {
  call: 'external calls do not run here: a Web activity of the pipeline does',
  compose: 'flowlets do not run here: put their transformations into the flow',
  flowlet: 'flowlets do not run here: put their transformations into the flow',
  input: 'flowlets do not run here: put their transformations into the flow',
  output: 'flowlets do not run here: put their transformations into the flow',
}

export const TRANSFORMATIONS = Object.keys(KNOWN)

const nameOf = (arg: Argument): string | undefined =>
  arg.kind === 'property' ? arg.name : arg.kind === 'value' && arg.value.kind === 'call' ? arg.value.name : undefined

/** Throws FERRY-7006 for a property that is not known: it could change what comes out. */
export function requireKnown(statement: Statement): void {
  const known = KNOWN[statement.kind]!
  for (const arg of statement.args) {
    const name = nameOf(arg)
    if (name === undefined || known.names.includes(name) || PACE.includes(name)) {
      const value = arg.kind === 'property' ? arg.value : undefined
      const written = value?.kind === 'text' ? value.value : value?.kind === 'name' ? value.name : undefined
      if (written !== undefined && REFUSED[`${statement.kind} ${name}`] === written) {
        throw flowFault(statement, `${name}: ${written} of ${statement.kind} does not run here`)
      }
      continue
    }
    if (arg.kind === 'value' && known.takesValues) continue
    const near = nearest(name, known.names)
    throw flowFault(
      statement,
      `${statement.kind} has no ${name} that is known here${near === undefined ? '' : `: did you mean ${near}?`}`,
    )
  }
}
