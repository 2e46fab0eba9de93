/** A local Azure Cosmos DB for NoSQL account. */
export type { AccountOptions } from './account.ts'
export { Account } from './account.ts'
export type { Container } from './container.ts'
export type { Fault, Operation } from './faults.ts'
export { effectiveKey, type KeyDefinition, type KeyValue } from './hash.ts'
export { RunningAccount, type ServerOptions, startAccount } from './server.ts'
