/** Containers as copy jobs need them: checked before anything is written, and made after another one's definition. */
import { randomUUID } from 'node:crypto'
import type { Containers } from '../../contract/capabilities.ts'
import { FerryError } from '../../errors.ts'
import type { CosmosAccount } from './account.ts'
import { keyDefinition } from './container.ts'
import { explain, inItsWords, jsonOf } from './wire.ts'

/** What the account reports about itself. */
interface AccountProperties {
  continuousBackupEnabled?: boolean
  enablePartitionMerge?: boolean
}

/** Properties of a container that the service sets. */
const OWN = new Set(['_rid', '_ts', '_self', '_etag', '_docs', '_sprocs', '_triggers', '_udfs', '_conflicts'])

export class CosmosContainers implements Containers {
  readonly copiesAtOnce: number
  private readonly store: CosmosAccount

  constructor(store: CosmosAccount, copiesAtOnce: number) {
    this.store = store
    this.copiesAtOnce = copiesAtOnce
  }

  async check(objects: string[], role: { as: 'source' | 'destination'; online: boolean }): Promise<void> {
    const { store } = this
    const response = await store.wire.send({ method: 'GET', type: '', link: '', path: '', read: true })
    if (response.status !== 200) throw explain(response, store.label)
    const account = jsonOf<AccountProperties>(response, store.label)
    if (account.enablePartitionMerge === true) {
      throw new FerryError('FERRY-3011', `${store.label}: Merge partition is enabled on the account`, {
        hint: 'Disable the feature "Merge partition" on the account, and create the job again.',
        service: refusal(400, 0, 'Container copy is not supported on accounts with partition merge enabled.'),
      })
    }
    if (role.as === 'source' && role.online && account.continuousBackupEnabled === false) {
      throw new FerryError('FERRY-3011', `${store.label}: continuous backup is not enabled on the account`, {
        hint: 'Enable continuous backup on the source account, or copy with --mode Offline.',
        service: refusal(400, 0, 'Online copy needs continuous backup on the source account.'),
      })
    }
    for (const object of objects) {
      if (await store.find(object)) continue
      const what = role.as === 'source' ? 'the source' : 'the target'
      throw new FerryError('FERRY-3001', `${store.label} has no container ${object}: ${what} of a copy must exist`, {
        hint:
          role.as === 'source'
            ? 'Check the names of database and container.'
            : 'Create it with the partition key and throughput that it shall have, or let the job do so: --create-targets.',
        service: refusal(404, 1003, '(Message: {"Errors":["Owner resource does not exist"]})'),
      })
    }
  }

  list(): Promise<{ database: string; container: string }[]> {
    return this.store.everyContainer()
  }

  async definition(object: string): Promise<string | undefined> {
    const container = await this.store.find(object)
    if (!container) return undefined
    const kept = Object.entries(container.definition).filter(([name]) => !OWN.has(name))
    return JSON.stringify(Object.fromEntries(kept))
  }

  async create(
    object: string,
    definition: string,
    own: { partitionKey?: string[] | undefined; throughput?: number | undefined },
  ): Promise<void> {
    const { container: id } = this.store.containerOf(object)
    const { partitionKey, throughput: manual } = own
    const key = partitionKey === undefined ? {} : { partitionKey: keyDefinition(partitionKey) }
    await this.store.createContainer(object, { ...(JSON.parse(definition) as object), id, ...key }, { manual })
  }
}

function refusal(status: number, substatus: number, said: string) {
  return inItsWords({ status, substatus, headers: { 'x-ms-activity-id': randomUUID() } }, said)
}
