/** Requests to one partition at its pace: one that is refused for want of units is sent again when there are some. */
import type { CosmosContainer, PartitionRange } from './container.ts'
import type { Throughput } from './throughput.ts'
import type { WireRequest, WireResponse } from './wire.ts'

/** What requests of one kind cost, found out as they are answered. */
export class Cost {
  units: number

  constructor(units: number) {
    this.units = units
  }

  learn(charge: number): void {
    this.units += (charge - this.units) * 0.3
  }
}

export interface Pacing {
  container: CosmosContainer
  pace: Throughput
  cost: Cost
  signal?: AbortSignal | undefined
}

/** Sends a request to one of so many partitions, until it is answered by something other than 429. */
export async function sendPaced(
  { container, pace, cost, signal }: Pacing,
  range: PartitionRange,
  count: number,
  request: Omit<WireRequest, 'link' | 'paced'>,
): Promise<WireResponse> {
  for (;;) {
    const settle = await pace.spend(range.id, count, cost.units, signal)
    const response = await container.send({ ...request, paced: true }, signal)
    const charge = chargeOf(response)
    settle(charge, laterOf(response))
    if (response.status === 200) cost.learn(charge)
    if (response.status !== 429) return response
  }
}

/** Request units that a request has cost. */
export function chargeOf({ headers }: WireResponse): number {
  return Number(headers['x-ms-request-charge'] ?? 0)
}

/** How long the service asks to wait for units, in milliseconds; undefined where it does not. */
export function laterOf({ status, headers }: WireResponse): number | undefined {
  return status === 429 ? Number(headers['x-ms-retry-after-ms'] ?? 100) : undefined
}
