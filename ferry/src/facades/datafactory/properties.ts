/**
 * Properties of sources, sinks and datasets that are known here. What would change what is copied and is not known stops a run; what only
 * says how fast something goes does not.
 */
import { FerryError, nearest } from '../../errors.ts'
import { isObject, type Value } from '../../pipelines/expressions/values.ts'

interface Known {
  /** What they are called in messages. */
  what: string
  names: readonly string[]
}

/** How fast and in which portions: planned here by itself. */
const PACE = ['maxConcurrentConnections', 'disableMetricsCollection']

export const SOURCE: Known = {
  what: 'source',
  names: [
    'type',
    'query',
    'sqlReaderQuery',
    'oracleReaderQuery',
    'sourceQuery',
    'preferredRegions',
    'pageSize',
    'detectDatetime',
    'storeSettings',
    'formatSettings',
    'additionalColumns',
    'recursive',
    // How it is read.
    'queryTimeout',
    'partitionOption',
    'partitionSettings',
    'isolationLevel',
    'sourceRetryCount',
    'sourceRetryWait',
    ...PACE,
  ],
}

export const REST_SOURCE: Known = {
  what: 'REST source',
  names: [
    'type',
    'requestMethod',
    'requestBody',
    'additionalHeaders',
    'paginationRules',
    'httpRequestTimeout',
    'requestInterval',
    'additionalColumns',
    'sourceRetryCount',
    'sourceRetryWait',
    ...PACE,
  ],
}

export const REST_SINK: Known = {
  what: 'REST sink',
  names: [
    'type',
    'requestMethod',
    'additionalHeaders',
    'httpRequestTimeout',
    'requestInterval',
    'httpCompressionType',
    'writeBatchSize',
    'writeBatchTimeout',
    'sinkRetryCount',
    'sinkRetryWait',
    ...PACE,
  ],
}

/** What is known of a sink by its type. */
export function sinkNames(sink: { type?: unknown } | undefined): Known {
  return sink?.type === 'RestSink' ? REST_SINK : SINK
}

/** What is known of a source by its type. */
export function sourceNames(source: { type?: unknown } | undefined): Known {
  return source?.type === 'RestSource' ? REST_SOURCE : SOURCE
}

export const SINK: Known = {
  what: 'sink',
  names: [
    'type',
    'writeBehavior',
    'preCopyScript',
    'tableOption',
    'writeMethod',
    'upsertSettings',
    'storeSettings',
    'formatSettings',
    'copyBehavior',
    // How it is written.
    'writeBatchSize',
    'writeBatchTimeout',
    'sqlWriterUseTableLock',
    'commandTimeout',
    'allowPolyBase',
    'polyBaseSettings',
    'allowCopyCommand',
    'copyCommandSettings',
    'sinkRetryCount',
    'sinkRetryWait',
    ...PACE,
  ],
}

export const READ_STORE: Known = {
  what: 'storeSettings of a source',
  names: [
    'type',
    'recursive',
    'wildcardFolderPath',
    'wildcardFileName',
    'prefix',
    'enablePartitionDiscovery',
    'partitionRootPath',
    'fileListPath',
    'modifiedDatetimeStart',
    'modifiedDatetimeEnd',
    'deleteFilesAfterCompletion',
    'requestTimeout',
    // Of a web server.
    'requestMethod',
    'requestBody',
    'additionalHeaders',
    'disableChunking',
    ...PACE,
  ],
}

export const WRITE_STORE: Known = {
  what: 'storeSettings of a sink',
  names: ['type', 'copyBehavior', 'blockSizeInMB', 'operationTimeout', 'useTempFileRename', ...PACE],
}

export const READ_FORMAT: Known = {
  what: 'formatSettings of a source',
  names: ['type', 'skipLineCount', 'compressionProperties'],
}

export const WRITE_FORMAT: Known = {
  what: 'formatSettings of a sink',
  names: ['type', 'quoteAllText', 'fileExtension', 'maxRowsPerFile', 'fileNamePrefix', 'filePattern'],
}

export const COPY: Known = {
  what: 'copy',
  names: [
    'source',
    'sink',
    'translator',
    'parallelCopies',
    'enableSkipIncompatibleRow',
    'validateDataConsistency',
    // Planned here by itself, or kept in another way: see docs/adf.md.
    'enableStaging',
    'stagingSettings',
    'dataIntegrationUnits',
    'redirectIncompatibleRowSettings',
    'logSettings',
    'logStorageSettings',
    'skipErrorFile',
    'preserve',
    'preserveRules',
  ],
}

export const LOCATION: Known = {
  what: 'location of a dataset',
  names: ['type', 'container', 'fileSystem', 'bucketName', 'folderPath', 'fileName', 'relativeUrl'],
}

export const DATASET: Known = {
  what: 'dataset',
  names: [
    'location',
    'collectionName',
    'tableName',
    'schema',
    'table',
    'columnDelimiter',
    'rowDelimiter',
    'quoteChar',
    'escapeChar',
    'firstRowAsHeader',
    'nullValue',
    'encodingName',
    'compression',
    'compressionCodec',
    'compressionLevel',
    'relativeUrl',
  ],
}

/** Properties that are set and not known, each with what is wrong with it. */
export function unknownIn(of: unknown, { what, names }: Known): { name: string; message: string }[] {
  if (typeof of !== 'object' || of === null || Array.isArray(of)) return []
  return Object.entries(of)
    .filter(([name, value]) => !names.includes(name) && isSet(value))
    .map(([name]) => {
      const near = nearest(name, names)
      const typo = near !== undefined && near.toLowerCase() !== name.toLowerCase() ? `: did you mean ${near}?` : ''
      return { name, message: `${what} has ${name}, which is not known here${typo}` }
    })
}

/** Empty values, zero, and switches that are off change nothing. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return false
  if (value === 0 || value === 0n) return false
  return !(typeof value === 'object' && Object.keys(value).length === 0)
}

/** Throws FERRY-7006 for a property that is set and not known. */
export function requireKnownProperties(of: Value | undefined, known: Known): void {
  if (!isObject(of)) return
  const [first] = unknownIn(of, known)
  if (first) throw new FerryError('FERRY-7006', first.message)
}
