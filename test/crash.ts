/** Crash tests: a copy job in a process of its own is killed, or stopped, again and again, and its result compared. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { makePair } from './pairs.ts'
import { randomOf } from './seed.ts'
import { makeDatabase, startFerry, temporaryFolder, until } from './support.ts'

/**
 * Kills the run of a pair so many times while it is at work; the moments come from the seed. A run that ends before it
 * is hit is compared, and begun anew.
 */
export async function killAtRandom(name: string, kills: number, seed: number): Promise<void> {
  const folder = temporaryFolder()
  const home = join(folder, 'home')
  const { job, check, again } = await makePair(name, folder)
  const path = join(folder, 'job.json')
  writeFileSync(path, JSON.stringify({ name: 'crash', limits: { parallel: 2 }, ...job }))
  const random = randomOf(seed)
  /** The last run that was compared: what is newer belongs to the next round. */
  let compared: string | undefined
  const isCompleted = async () => {
    const run = await newestRun(home)
    return run?.state === 'completed' && run.id !== compared
  }
  for (let hits = 0; hits < kills; ) {
    const running = startFerry(['run', path, '--quiet'], { home })
    const ended = { done: false }
    running.done.then(() => {
      ended.done = true
    })
    await until(async () => ended.done || ((await newestRun(home))?.id ?? compared) !== compared)
    await setTimeout(random() * 900)
    if (!ended.done) hits++
    running.kill('SIGKILL')
    await running.done
    if (!(await isCompleted())) continue
    await check()
    await again()
    compared = (await newestRun(home))!.id
  }
  while (!(await isCompleted())) {
    const { code, stderr } = await startFerry(['run', path, '--quiet'], { home }).done
    expect(code, stderr).toBe(0)
  }
  await check()
}

/** A process that goes on long after another one has taken its run from it. */
const HOSTS = ['one', 'two', 'three']

/**
 * Stops the process of a pair at a random moment, lets its lease run out, and has another host take the run over; the
 * stopped process goes on while the other one is at work. So many times; what is completed is compared, and begun anew.
 * Gives back how many runs were taken over.
 */
export async function stopAtRandom(name: string, takeovers: number, seed: number): Promise<number> {
  const folder = temporaryFolder()
  const { job, check, again } = await makePair(name, folder)
  const path = join(folder, 'job.json')
  writeFileSync(path, JSON.stringify({ name: 'takeover', limits: { parallel: 2 }, ...job }))
  const { url, client } = await makeDatabase()
  const random = randomOf(seed)
  const start = (host: string) =>
    startFerry(['run', path, '--quiet'], {
      home: join(folder, host),
      env: { FERRY_DATABASE_URL: url, FERRY_HOST: host },
    })
  const newest = async (): Promise<{ id: string; state: string; epoch: number } | undefined> => {
    const { rows } = await client
      .query('SELECT id, state, epoch FROM ferry.run ORDER BY id DESC LIMIT 1')
      .catch(() => ({ rows: [] }))
    return rows[0]
  }
  let compared: string | undefined
  const compare = async () => {
    const run = await newest()
    if (run?.state !== 'completed' || run.id === compared) return
    await check()
    await again()
    compared = run.id
  }
  let taken = 0
  for (let hits = 0; hits < takeovers; ) {
    const first = start(HOSTS[hits % HOSTS.length]!)
    const ended = { done: false }
    first.done.then(() => {
      ended.done = true
    })
    await until(async () => ended.done || ((await newest())?.id ?? compared) !== compared)
    await setTimeout(random() * 900)
    first.kill('SIGSTOP')
    // Its lease has run out. What it had sent already is done by then: this waits for the same row.
    await client.query('UPDATE ferry.run SET heartbeat_at = 0')
    const found = await newest()
    const hit = !ended.done && found !== undefined && found.state !== 'completed' && found.id !== compared
    if (!hit) {
      first.kill('SIGCONT')
      await first.done
      await compare()
      continue
    }
    hits++
    const second = start(HOSTS[(hits + 1) % HOSTS.length]!)
    second.done.then(() => {
      ended.done = true
    })
    // Going on before that, it would only be the one that completes the run.
    await until(async () => ended.done || (await newest())!.epoch > found.epoch)
    await Promise.race([second.done, setTimeout(random() * 1000)])
    first.kill('SIGCONT')
    const [former, latter] = await Promise.all([first.done, second.done])
    if (latter.code === 0 && former.code !== 0) taken++
    await compare()
  }
  while ((await newest())?.state !== 'completed') {
    const { code, stderr } = await start(HOSTS[0]!).done
    expect(code, stderr).toBe(0)
  }
  await compare()
  return taken
}

/** The last run of a home. */
export async function newestRun(home: string): Promise<{ id: string; state: string } | undefined> {
  if (!existsSync(join(home, 'state.db'))) return undefined
  const { openState } = await import('../ferry/src/state/database.ts')
  const state = await openState({ FERRY_HOME: home })
  try {
    return await state.db.selectFrom('run').select(['id', 'state']).orderBy('id', 'desc').executeTakeFirst()
  } finally {
    await state.close()
  }
}
