/** What tests of Azure Cosmos DB share: accounts, containers, and a writer that never rests. */
import { type Container, type RunningAccount, type ServerOptions, startAccount } from 'cosmos-local'
import { onTestFinished } from 'vitest'
import { randomOf } from './seed.ts'

/** An account of its own for a test, with a database `shop`. */
export async function account(options: ServerOptions = {}): Promise<RunningAccount> {
  const running = await startAccount({ partitions: 3, ...options })
  onTestFinished(() => running.close())
  running.account.createDatabase('shop', {})
  return running
}

/** The account as the endpoint of a job. */
export const endpointOf = ({ endpoint, key }: RunningAccount) => ({ kind: 'cosmos', endpoint, key, database: 'shop' })

/** A container; `key` may be several paths. */
export function makeContainer(
  running: RunningAccount,
  id: string,
  key = '/customer',
  rest: Record<string, unknown> = {},
) {
  const paths = key.split(',')
  const kind = paths.length > 1 ? 'MultiHash' : 'Hash'
  const definition = { id, partitionKey: { paths, kind, version: 2 }, ...rest }
  // Copies keep to what a container is given: enough of it, where that is not what is tested.
  return running.account.createContainer('shop', definition as never, { manual: 1_000_000 })
}

/** Orders `o0`, `o1`, ... of 23 customers, with what JSON parsers like to lose. */
export function fill(running: RunningAccount, id: string, count: number): void {
  const { account: a } = running
  const container = a.container('shop', id)
  a.store.transaction(() => {
    for (let i = 0; i < count; i++) {
      container.create(
        `{"id":"o${i}","customer":"c${i % 23}","big":12345678901234567${i % 10}${i % 7},"exact":1.${i % 10}0,"größe":"é😀\\u0001","lines":[{"sku":"s${i % 5}","n":${i}}],"_x":null}`,
      )
    }
    container.saveLsn()
  })
}

/** Every item's own text by id, and by the partition key that it has at its source. */
export function contents(running: RunningAccount, id: string, key?: string): Map<string, string> {
  const rows = running.account.store.all<{ id: string; body: string }>(
    'SELECT i.id, i.body FROM items i JOIN containers c ON c.num = i.container WHERE c.id = ? ORDER BY i.id, i.body',
    id,
  )
  const nameOf = ({ id, body }: { id: string; body: string }) =>
    key === undefined ? id : `${id} of ${(JSON.parse(body) as Record<string, unknown>)[key]}`
  return new Map(rows.map(r => [nameOf(r), r.body]))
}

/** Writes at random into a container: creates, replaces, deletes, and items that expire. */
export class RandomWriter {
  readonly stop: () => void
  writes = 0
  private readonly random: () => number
  private readonly container: Container
  private readonly transaction: (work: () => void) => void

  constructor(running: RunningAccount, id: string, options: { seed: number; everyMs?: number; ids?: number }) {
    const { account: a } = running
    this.container = a.container('shop', id)
    this.random = randomOf(options.seed)
    this.transaction = work => a.store.transaction(work)
    const timer = setInterval(() => this.some(5, options.ids), options.everyMs ?? 5)
    this.stop = () => clearInterval(timer)
    onTestFinished(this.stop)
  }

  /** So many writes at once. */
  some(count: number, ids = 300): void {
    this.transaction(() => {
      for (let i = 0; i < count; i++) this.write(ids)
      this.container.saveLsn()
    })
  }

  private write(ids: number): void {
    const pick = (n: number) => Math.floor(this.random() * n)
    const customer = `c${pick(3)}`
    const id = `w${pick(ids)}-${customer}`
    this.writes++
    const kind = this.random()
    if (kind < 0.25) {
      if (this.container.find(JSON.stringify([customer]), id)) this.container.delete(id, [customer])
      return
    }
    // `place` is what the copy is partitioned by in some tests: it changes while the item stays the same.
    const ttl = kind < 0.35 ? ',"ttl":1' : ''
    const document = `{"id":"${id}","customer":"${customer}","place":"p${pick(4)}","slot":"s${pick(ids)}","n":${this.writes}.0${ttl}}`
    try {
      this.container.upsert(document, undefined)
    } catch (error) {
      // Another item has the slot, where slots are unique.
      if ((error as { status?: number }).status !== 409) throw error
    }
  }
}
