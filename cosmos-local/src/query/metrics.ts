/** What a query cost, in the form of `x-ms-documentdb-query-metrics`. */
import type { QueryPage } from './run.ts'

/**
 * Metrics of a page that took `elapsedMs`. There is no index, so every item of the range counts as retrieved; stages
 * that are not measured one by one are 0.
 */
export function metricsText(page: QueryPage, elapsedMs: number): string {
  const { scanned, scannedBytes, documents, bytes } = page
  const ratio = scanned === 0 ? 1 : Math.min(1, documents.length / scanned)
  const values: [string, string][] = [
    ['totalExecutionTimeInMs', elapsedMs.toFixed(2)],
    ['queryCompileTimeInMs', '0.00'],
    ['queryLogicalPlanBuildTimeInMs', '0.00'],
    ['queryPhysicalPlanBuildTimeInMs', '0.00'],
    ['queryOptimizationTimeInMs', '0.00'],
    ['VMExecutionTimeInMs', elapsedMs.toFixed(2)],
    ['indexLookupTimeInMs', '0.00'],
    ['instructionCount', '0'],
    ['documentLoadTimeInMs', '0.00'],
    ['systemFunctionExecuteTimeInMs', '0.00'],
    ['userFunctionExecuteTimeInMs', '0.00'],
    ['retrievedDocumentCount', String(scanned)],
    ['retrievedDocumentSize', String(scannedBytes)],
    ['outputDocumentCount', String(documents.length)],
    ['outputDocumentSize', String(bytes)],
    ['writeOutputTimeInMs', '0.00'],
    ['indexUtilizationRatio', ratio.toFixed(2)],
  ]
  return values.map(([name, value]) => `${name}=${value}`).join(';')
}
