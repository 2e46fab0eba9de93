import type { CosmosContainer } from './container.ts'
import type { Throughput } from './throughput.ts'
import type { CosmosWire } from './wire.ts'

/** What sinks and administration need of an account. */
export interface CosmosAccount {
  readonly wire: CosmosWire
  readonly label: string
  containerOf(object: string): { database: string; container: string }
  everyContainer(only?: string): Promise<{ database: string; container: string }[]>
  find(object: string): Promise<CosmosContainer | undefined>
  /** Throws FERRY-3001 if there is none. */
  container(object: string): Promise<CosmosContainer>
  createContainer(
    object: string,
    definition: Record<string, unknown>,
    throughput: { manual?: number | undefined; autoscale?: number | undefined },
  ): Promise<void>
  deleteContainer(object: string): Promise<void>
  /** The pace of all requests to a container within a share of its throughput. */
  pace(container: CosmosContainer, budget: number | undefined): Promise<Throughput>
}
