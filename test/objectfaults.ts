/** What a store of objects answers wrongly, and what a copy makes of it: the same rows, or an error that tells. */
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { Fault, FaultyProxy } from './faultyproxy.ts'
import { randomOf } from './seed.ts'
import { startFerry, temporaryFolder } from './support.ts'

const ROWS = 60_000

export interface FaultyPlace {
  /** An empty place behind the proxy. */
  make(): Promise<Record<string, unknown>>
  proxy: FaultyProxy
  /** What the service answers when it is asked too often, and when a token is no longer valid. */
  slowDown: Fault
  expired: Fault
  /** What it answers for an object that is gone. */
  gone: Fault
  /** True for a request for bytes of an object. */
  isRead(request: IncomingMessage): boolean
}

export function objectFaults(name: string, place: FaultyPlace, seed: number): void {
  const { proxy } = place

  /** A table, the jobs that copy it there and back, and what came back. */
  async function pair() {
    const folder = temporaryFolder()
    const shop = join(folder, 'shop.db')
    const source = new DatabaseSync(shop)
    source.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
    source.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS})
      INSERT INTO t SELECT i, 'name ' || i || ' ' || hex(randomblob(90)) FROM n`)
    source.close()
    const endpoint = await place.make()
    const back = join(folder, 'back.db')
    const jobs = {
      there: {
        name: 'there',
        source: { kind: 'sqlite', path: shop },
        destination: endpoint,
        update: 'overwrite',
        tables: [{ from: 't', to: 'out/', write: { format: 'csv', bytesPerFile: '4MB' } }],
      },
      back: {
        name: 'back',
        source: endpoint,
        destination: { kind: 'sqlite', path: back },
        limits: { parallel: 2 },
        read: { format: 'csv', types: { id: 'int64', name: 'utf8' } },
        tables: [{ from: 'out/', to: 't' }],
      },
    }
    for (const [job, words] of Object.entries(jobs)) writeFileSync(join(folder, `${job}.json`), JSON.stringify(words))
    const run = async (job: keyof typeof jobs) => {
      const home = join(folder, 'home')
      const { code, stdout, stderr } = await startFerry(['run', join(folder, `${job}.json`), '--quiet'], { home }).done
      return { code, told: `${stdout}${stderr}` }
    }
    const expectExact = () => {
      const copied = new DatabaseSync(back)
      copied.exec(`ATTACH '${shop}' AS s`)
      const rows = { ...copied.prepare('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM t').get() }
      expect(rows).toEqual({ n: ROWS, ids: ROWS })
      const wrong = copied.prepare('SELECT count(*) AS n FROM t JOIN s.t AS o ON o.id = t.id WHERE o.name <> t.name')
      expect({ ...wrong.get() }).toEqual({ n: 0 })
      copied.close()
    }
    return { run, expectExact }
  }

  describe(`${name}: faults`, { timeout: 240_000 }, () => {
    const within = async (fault: FaultyProxy['fault'], work: () => Promise<void>) => {
      proxy.fault = fault
      try {
        await work()
      } finally {
        proxy.fault = () => undefined
      }
    }
    const expectDone = ({ code, told }: { code: number | null; told: string }) => expect(code, told).toBe(0)

    it('a storm of refusals for asking too often: it waits, and the rows are the same', async () => {
      const { run, expectExact } = await pair()
      const random = randomOf(seed)
      let refused = 0
      const storm = () => {
        if (random() > 0.3) return undefined
        refused++
        return place.slowDown
      }
      await within(storm, async () => {
        expectDone(await run('there'))
        expectDone(await run('back'))
      })
      expectExact()
      expect(refused).toBeGreaterThan(5)
    })

    it('each request is refused four times: steps of several requests come to their end all the same', async () => {
      const { run, expectExact } = await pair()
      const isEarly = (_: IncomingMessage, n: number) => (n <= 4 ? place.slowDown : undefined)
      await within(isEarly, async () => expectDone(await run('there')))
      expectDone(await run('back'))
      expectExact()
    })

    it('bodies that break, or end too early and say that they are whole: read on where they broke', async () => {
      const { run, expectExact } = await pair()
      expectDone(await run('there'))
      const random = randomOf(seed)
      let broken = 0
      const breaks = (request: IncomingMessage) => {
        if (!place.isRead(request) || random() > 0.6) return undefined
        broken++
        const bytes = Math.floor(random() * 1_500_000)
        return random() < 0.5 ? { cut: bytes } : { short: bytes }
      }
      await within(breaks, async () => expectDone(await run('back')))
      expectExact()
      expect(broken).toBeGreaterThan(3)
    })

    it('credentials that end in the middle: the run stops and says so, and goes on with new ones', async () => {
      const { run, expectExact } = await pair()
      let left = 12
      await within(
        () => (left-- > 0 ? undefined : place.expired),
        async () => {
          const { code, told } = await run('there')
          expect(code).toBe(1)
          expect(told).toMatch(/FERRY-200[24]/)
        },
      )
      expectDone(await run('there'))
      let reads = 2
      await within(
        request => (place.isRead(request) && reads-- <= 0 ? place.expired : undefined),
        async () => {
          const { code, told } = await run('back')
          expect(code).toBe(1)
          expect(told).toMatch(/FERRY-200[24]/)
        },
      )
      expectDone(await run('back'))
      expectExact()
    })

    it('an object of the listing that is not there: it is named, and nothing is taken for empty', async () => {
      const { run, expectExact } = await pair()
      expectDone(await run('there'))
      let chosen: string | undefined
      let reads = 0
      const gone = (request: IncomingMessage) => {
        if (!place.isRead(request)) return undefined
        const path = request.url!.replace(/\?.*$/, '')
        if (++reads > 4) chosen ??= path
        return path === chosen ? place.gone : undefined
      }
      await within(gone, async () => {
        const { code, told } = await run('back')
        expect(code, told).toBe(1)
        expect(told).toMatch(/FERRY-(3001|5005)/)
        const key = decodeURIComponent(chosen!)
        expect(told).toContain(key.slice(key.lastIndexOf('/') + 1))
      })
      expectDone(await run('back'))
      expectExact()
    })
  })
}
