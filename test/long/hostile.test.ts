/** One user with a token does not stop the server: whatever is asked for, it answers the others and stays small. */
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { hostileCalls, keepHostile, makeHostile } from '../hostile.ts'
import { describedBy, operations } from '../openapi.ts'
import { requestOf } from '../requests.ts'
import { randomOf, seedOf } from '../seed.ts'
import { startServer, type TestServer } from '../server.ts'
import { temporaryFolder } from '../support.ts'

/** What the server's thread may compute before it answers the one who asks whether it is there: others wait as long. */
const MOST_WORK_MS = 2000
const MOST_MEMORY = 300_000_000
/** How long requests are made from the API's description: `npm run fuzz:api` takes ten minutes. */
const SECONDS = Number(process.env.FERRY_FUZZ_SECONDS ?? 60)
const AT_ONCE = 40

const seed = seedOf('hostile')

it('a hostile corpus neither stops it nor makes it large', { timeout: 300_000 }, async () => {
  const folder = temporaryFolder()
  await makeHostile(folder)
  const server = await startServer({ folder })
  await keepHostile(server, folder)
  const watched = watch(server)
  const answers = await Promise.all(
    hostileCalls(folder).map(async ([method, path, body]) => ({
      call: `${method} ${path.slice(0, 80)}`,
      ...(await server.call(method, path, body)),
    })),
  )
  for (const { call, status, body } of answers) {
    expect(status, `${call}: ${JSON.stringify(body).slice(0, 300)}`).toBeLessThan(500)
  }
  const codes = answers.map(a => (a.body as { code?: string }).code)
  expect(codes.filter(c => c === 'FERRY-9000')).toEqual([])
  await watched.end('hostile corpus')
  server.kill('SIGTERM')
  expect(await server.gone).toBe(0)
})

it('an operator asks for whatever the API knows, and for that too', { timeout: SECONDS * 1000 + 300_000 }, async () => {
  const folder = temporaryFolder()
  await makeHostile(folder)
  const server = await startServer({ folder })
  await keepHostile(server, folder)
  const { body: made } = await server.call<{ token: string }>('POST', '/tokens', { name: 'o', role: 'operator' })
  const operator = { authorization: `Bearer ${made.token}` }
  const api = await describedBy(server)
  const names = ['good', 'endless', 'locked', 'bomb', 'wide', 'many', 'long', 'files', 'x']
  const random = randomOf(seed)
  const usual = operations(api)
    // One never ends, and one ends the session.
    .filter(o => o.path !== '/api/v1/events' && !o.path.startsWith('/api/v1/session'))
    .map(o =>
      fc.sample(requestOf(o, api, names), { numRuns: 60, seed }).map(r => ({ ...r, path: `/!${r.path.slice(1)}` })),
    )
  const hostile = hostileCalls(folder).map(([method, path, body]) => ({ method, path, body }))
  const pick = <T>(all: T[]): T => all[Math.floor(random() * all.length)]!
  const statuses = new Map<number, number>()
  const watched = watch(server)
  const end = performance.now() + SECONDS * 1000
  // Stores keep those waiting who look into them: half of the callers do not.
  const looks = /\/(preview|objects|columns|test|plan|retry|reset|cancel)\b/
  const ask = async (isPatient: boolean) => {
    while (performance.now() < end) {
      const { method, path, body } = random() < 0.05 ? pick(hostile) : pick(pick(usual))
      if (!isPatient && looks.test(path)) continue
      const { status, body: told } = await server.call<{ code?: string }>(method, path, body, operator)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      const what = `${method} ${path} ${JSON.stringify(body)?.slice(0, 500)}: ${JSON.stringify(told).slice(0, 500)}`
      expect(status, what).toBeLessThan(500)
      expect(told?.code, what).not.toBe('FERRY-9000')
      // Refusals come at once: what is measured is the server, and not how much is asked of it.
      if (status === 429) await setTimeout(50)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => ask(i % 2 === 0)))
  const told = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${count} of ${status}`)
  await watched.end(`operator, ${SECONDS} s: ${told.join(', ')}`)
  server.kill('SIGTERM')
  expect(await server.gone).toBe(0)
  expect(server.log()).not.toContain('unexpected error')
})

it('crowds of costly requests have their turns', { timeout: 300_000 }, async () => {
  const folder = temporaryFolder()
  await makeHostile(folder)
  const server = await startServer({ folder })
  await keepHostile(server, folder)
  await server.call('POST', '/jobs/many/runs')
  await server.waitFor('many', 'running', 'completed')
  const rare = (i: number) => ({
    name: 's',
    cron: '59 59 23 31 2,4,6,9,11 +1#5',
    timeZone: 'Antarctica/Troll',
    from: `20${10 + (i % 80)}-01-01T00:00:00`,
  })
  const crowds: [count: number, method: string, path: string, body?: (i: number) => unknown][] = [
    [200, 'GET', '/jobs/long'],
    [50, 'GET', '/jobs/long/schedules'],
    [50, 'PUT', '/jobs/long/schedules', () => []],
    [40, 'GET', '/runs/many/tables'],
    [40, 'GET', '/jobs/many/totals'],
    [200, 'POST', '/schedules/times', rare],
    [16, 'PUT', '/jobs/good/schedules', () => Array.from({ length: 30_000 }, () => ({}))],
    [250, 'GET', '/connections/many/preview?object=t1'],
  ]
  const watched = watch(server)
  const answered = new Map<number, number>()
  for (const [count, method, path, body] of crowds) {
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => server.call(method, path, body?.(i))))
    for (const { status } of answers) answered.set(status, (answered.get(status) ?? 0) + 1)
  }
  await watched.end(`crowds: ${[...answered].map(([status, count]) => `${count} of ${status}`).join(', ')}`)
  expect([...answered.keys()].filter(status => status >= 500)).toEqual([])
})

/**
 * Asks from a thread of its own whether the server is there, and how large it is. Counted is what the server's thread
 * computed until it answered: a busy machine makes everyone wait, a blocked server works meanwhile on something else.
 */
function watch(server: TestServer): { end: (what: string) => Promise<void> } {
  const script = `
    const { readFileSync } = require('node:fs')
    const { parentPort } = require('node:worker_threads')
    const worked = () => {
      const fields = readFileSync('/proc/${server.pid}/task/${server.pid}/stat', 'utf8').split(') ')[1].split(' ')
      return (Number(fields[11]) + Number(fields[12])) * 10
    }
    let slowest = 0, busiest = 0, failed = 0, done = false
    parentPort.once('message', () => { done = true })
    ;(async () => {
      while (!done) {
        const began = performance.now(), before = worked()
        const status = await fetch('${server.url}/healthz').then(r => r.status, () => 0)
        if (status !== 200) failed++
        busiest = Math.max(busiest, worked() - before)
        slowest = Math.max(slowest, performance.now() - began)
        await new Promise(resolve => setTimeout(resolve, 20))
      }
      parentPort.postMessage({ slowest, busiest, failed })
    })()`
  const worker = new Worker(script, { eval: true })
  let largest = 0
  const timer = setInterval(() => {
    const pages = Number(readFileSync(`/proc/${server.pid}/statm`, 'utf8').split(' ')[1])
    largest = Math.max(largest, pages * 4096)
  }, 100)
  return {
    end: async what => {
      clearInterval(timer)
      const told = new Promise<Record<'slowest' | 'busiest' | 'failed', number>>(resolve =>
        worker.once('message', resolve),
      )
      worker.postMessage('end')
      const { slowest, busiest, failed } = await told
      await worker.terminate()
      const times = `within ${Math.round(slowest)} ms, ${busiest} ms of them its own`
      console.log(`${what}: healthz ${times}, ${Math.round(largest / 1e6)} MB`)
      expect(failed).toBe(0)
      expect(busiest).toBeLessThan(MOST_WORK_MS)
      expect(largest).toBeLessThan(MOST_MEMORY)
    },
  }
}
