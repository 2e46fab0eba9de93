/** Several at one time: what one keeps is not lost to another, and one job that is broken keeps no others from their work. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { type Problem, serverWithJob } from './server.ts'

const job = (name: string, after?: string) => ({
  name,
  source: { connection: 'source' },
  destination: { connection: 'target' },
  tables: ['items'],
  ...(after === undefined ? {} : { triggers: [{ name: 'behind', after }] }),
})

describe('edits', () => {
  it('of two parts of a job at one time are both kept', async () => {
    const { server } = await serverWithJob()
    const schedules = [{ name: 's', cron: '0 6 * * *', enabled: false }]
    const triggers = [{ name: 't', webhook: true }]
    for (let i = 0; i < 10; i++) {
      await server.call('PUT', '/jobs/job', job('job'))
      const both = await Promise.all([
        server.call('PUT', '/jobs/job/schedules', schedules),
        server.call('PUT', '/jobs/job/triggers', triggers),
      ])
      expect(both.map(b => b.status)).toEqual([200, 200])
      const { body } = await server.call<{ definition: object }>('GET', '/jobs/job')
      expect(body.definition).toMatchObject({ schedules: [{ name: 's' }], triggers: [{ name: 't' }] })
    }
  })

  it('are refused where what was loaded is not what is there: jobs and connections, changed and removed', async () => {
    const { server, folder } = await serverWithJob()
    const places = [
      { path: '/jobs/job', body: { ...job('job'), description: 'other' } },
      { path: '/connections/target', body: { locator: `sqlite:${join(folder, 'target.db')}` } },
    ]
    for (const { path, body } of places) {
      const loaded = (await server.call('GET', path)).headers.get('etag')!
      const changed = await server.call('PUT', path, body, { 'if-match': loaded })
      expect(changed.status, path).toBe(200)
      expect(changed.headers.get('etag'), path).not.toBe(loaded)
      for (const method of ['PUT', 'DELETE'] as const) {
        const late = await server.call<Problem>(method, path, method === 'PUT' ? body : undefined, {
          'if-match': loaded,
        })
        expect(late, `${method} ${path}`).toMatchObject({ status: 412, body: { code: 'FERRY-6008' } })
      }
      const taken = await server.call<Problem>('PUT', path, body, { 'if-none-match': '*' })
      expect(taken, path).toMatchObject({ status: 409, body: { code: 'FERRY-1008' } })
      const now = (await server.call('GET', path)).headers.get('etag')!
      expect(now).toBe(changed.headers.get('etag'))
    }
  })
})

describe('jobs behind others', () => {
  it('run in no circle', async () => {
    const { server } = await serverWithJob()
    expect((await server.call('POST', '/jobs', job('b', 'job'))).status).toBe(201)
    expect((await server.call('POST', '/jobs', job('c', 'b'))).status).toBe(201)
    const answers = [
      await server.call<Problem>('PUT', '/jobs/job', job('job', 'c')),
      await server.call<Problem>('PUT', '/jobs/job/triggers', [{ name: 'x', after: 'b' }]),
    ]
    for (const { status, body } of answers) {
      expect(status).toBe(400)
      expect(body.detail).toMatch(/job, c, b, job|job, b, job/)
    }
  })

  it('are put behind one that is there, also where that is removed at the same time', async () => {
    const { server } = await serverWithJob()
    for (let i = 0; i < 20; i++) {
      expect((await server.call('POST', '/jobs', job('former'))).status).toBe(201)
      await server.call('PUT', '/jobs/job', job('job'))
      const [put, removed] = await Promise.all([
        i % 2
          ? server.call('PUT', '/jobs/job', job('job', 'former'))
          : server.call('POST', '/jobs', job('later', 'former')),
        server.call('DELETE', '/jobs/former'),
      ])
      expect([put.status < 300, removed.status < 300].filter(Boolean), `${put.status} ${removed.status}`).toHaveLength(
        1,
      )
      await server.call('PUT', '/jobs/job', job('job'))
      await server.call('DELETE', '/jobs/later')
      await server.call('DELETE', '/jobs/former')
    }
  })
})

describe('a job that cannot be read', () => {
  it.each([
    ['no JSON', '{"name":'],
    ['null', 'null'],
    ['parts of another form', '{"triggers":5,"schedules":{"a":1},"tables":null,"source":[]}'],
    ['a word of a newer version', undefined],
  ])('keeps no others from their work: %s', async (_, broken) => {
    const { server, definition } = await serverWithJob()
    expect((await server.call('POST', '/jobs', job('broken'))).status).toBe(201)
    const state = new DatabaseSync(join(server.home, 'state.db'))
    const kept = (state.prepare(`SELECT definition FROM job WHERE name = 'broken'`).get() as { definition: string })
      .definition
    const text = broken ?? JSON.stringify({ ...JSON.parse(kept), newer: true })
    state
      .prepare(`UPDATE job SET definition = ?, updated_at = '2030-01-01T00:00:00.000Z' WHERE name = 'broken'`)
      .run(text)
    state.close()
    const { body } = await server.call<{ jobs: { name: string }[] }>('GET', '/jobs')
    expect(body.jobs.map(j => j.name)).toEqual(['broken', 'job'])
    for (const [method, path] of [
      ['GET', '/jobs/broken'],
      ['GET', '/jobs/broken/yaml'],
      ['GET', '/jobs/broken/schedules'],
      ['POST', '/jobs/broken/runs'],
      ['POST', '/jobs/broken/plan'],
      ['POST', '/jobs/broken/reset'],
    ] as const) {
      const answer = await server.call<Problem>(method, path)
      expect(answer, `${method} ${path}`).toMatchObject({ status: 409, body: { code: 'FERRY-5015' } })
    }
    // The others go on: planned, run, by the clock too.
    expect((await server.call('POST', '/jobs/job/plan')).status).toBe(200)
    await server.call('PUT', '/jobs/job', { ...definition, schedules: [{ name: 's', every: '1 s' }] })
    await server.waitFor('job', 'completed')
    expect((await server.call('DELETE', '/connections/nothing')).status).toBe(404)
    // It can be kept anew, or removed.
    expect((await server.call('PUT', '/jobs/broken', job('broken'))).status).toBe(200)
    expect((await server.call('DELETE', '/jobs/broken')).status).toBe(204)
  })
})
