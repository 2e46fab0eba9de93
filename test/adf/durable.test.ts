/** Runs of pipelines that were interrupted, cancelled, and run again. */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cancelPipeline } from '../../ferry/src/pipelines/cancel.ts'
import { executeRun } from '../../ferry/src/pipelines/execute.ts'
import { createRerun } from '../../ferry/src/pipelines/make.ts'
import { activityRuns, findPipelineRun, listPipelineRuns, takePipelineRun } from '../../ferry/src/state/pipelines.ts'
import { account, contents, makeContainer } from '../cosmos.ts'
import { makeDatabase, policy, startFerry, temporaryFolder, until } from '../support.ts'
import {
  after,
  collectionDataset,
  copyOf,
  cosmosService,
  csvDataset,
  dataset,
  filesDataset,
  folderService,
  folderWith,
  fromCsv,
  postgresService,
  type Ran,
  runFactory,
  tableDataset,
  writeFactory,
} from './factory.ts'

const source = fromCsv()
const call = (name: string, pipeline: string, more: object = {}) => ({
  name,
  type: 'ExecutePipeline',
  typeProperties: { pipeline: { referenceName: pipeline, type: 'PipelineReference' }, waitOnCompletion: true, ...more },
})

function csv(rows: number) {
  const folder = folderWith({ 'in/a.csv': `id\n${Array.from({ length: rows }, (_, i) => `${i}\n`).join('')}` })
  return { folder, artifacts: { 'linkedService/files': folderService(folder), 'dataset/csv': csvDataset('files') } }
}

/** Makes a run look as it does when its process was killed before the end of an activity was saved. */
async function forgetEnd({ state, end }: Ran, name: string): Promise<void> {
  const open = { owner_pid: null, state: 'InProgress' as const, ended_at: null, error: null, return_value: null }
  await state.db.updateTable('pipeline_run').set(open).where('id', '=', end.run).execute()
  const begun = { state: 'InProgress' as const, output: null, ended_at: null, error: null }
  await state.db.updateTable('activity_run').set(begun).where('run', '=', end.run).where('name', '=', name).execute()
}

async function goOn({ state, execution, end }: Ran) {
  return executeRun(execution, await takePipelineRun(state.db, end.run), true)
}

describe('a run that was killed', () => {
  it('does not copy again what its process had copied, and gives its output', async () => {
    const { artifacts } = csv(5)
    const { client, url } = await makeDatabase()
    await client.query('CREATE TABLE t (id int)')
    const copy = copyOf('copy', dataset('csv', { folder: 'in', file: 'a.csv' }), dataset('table', { table: 't' }), {
      source,
      sink: { type: 'AzurePostgreSqlSink' },
    })
    const ran = await runFactory(
      {
        ...artifacts,
        'linkedService/pg': postgresService(url),
        'dataset/table': tableDataset('pg'),
        'pipeline/p': { activities: [copy] },
      },
      'p',
    )
    await forgetEnd(ran, 'copy')
    expect(await goOn(ran)).toMatchObject({ state: 'Succeeded' })
    expect((await client.query('SELECT count(*)::int AS n FROM t')).rows).toEqual([{ n: 5 }])
    const [row] = await activityRuns(ran.state.db, ran.end.run)
    expect(JSON.parse(row!.output!)).toMatchObject({ rowsRead: 5, rowsCopied: 5 })
  })

  it('goes on with pipelines that it has not waited for', async () => {
    const child = { activities: [{ name: 'w', type: 'Wait', typeProperties: { waitTimeInSeconds: 0 } }] }
    const ran = await runFactory(
      { 'pipeline/child': child, 'pipeline/p': { activities: [call('call', 'child', { waitOnCompletion: false })] } },
      'p',
    )
    const childRun = ran.of('call').output.pipelineRunId as string
    const open = { owner_pid: null, state: 'InProgress' as const, ended_at: null }
    await ran.state.db.updateTable('pipeline_run').set(open).execute()
    await ran.state.db.deleteFrom('activity_run').where('run', '=', childRun).execute()
    expect(await goOn(ran)).toMatchObject({ state: 'Succeeded' })
    expect((await findPipelineRun(ran.state.db, childRun)).state).toBe('Succeeded')
  })

  it('takes a pipeline that has ended meanwhile as ended', async () => {
    const child = { activities: [{ name: 'no', type: 'Fail', typeProperties: { message: 'no luck', errorCode: '7' } }] }
    const ran = await runFactory(
      { 'pipeline/child': child, 'pipeline/p': { activities: [call('call', 'child')] } },
      'p',
    )
    await forgetEnd(ran, 'call')
    const end = await goOn(ran)
    expect(end.error!.message).toMatch(/Operation on target no failed: no luck/)
    expect(await listPipelineRuns(ran.state.db, { inner: true, limit: 10 })).toHaveLength(2)
  })
})

describe('cancel', () => {
  it('of a run that nobody executes removes what its copies left, over stores with secrets', async () => {
    const { artifacts } = csv(5)
    const running = await account()
    makeContainer(running, 'c', '/id')
    const copy = copyOf(
      'copy',
      dataset('csv', { folder: 'in', file: 'a.csv' }),
      dataset('collection', { collection: 'c' }),
      { source, sink: { type: 'CosmosDbSqlApiSink' } },
    )
    const ran = await runFactory(
      {
        ...artifacts,
        'linkedService/cosmos': cosmosService(running),
        'dataset/collection': collectionDataset('cosmos'),
        'pipeline/p': { activities: [copy] },
      },
      'p',
    )
    await forgetEnd(ran, 'copy')
    await ran.state.db.updateTable('run').set({ state: 'paused', owner_pid: null, ended_at: null }).execute()
    expect(await cancelPipeline(ran.state, ran.end.run, policy)).toMatchObject({ state: 'Cancelled' })
    const run = await ran.state.db.selectFrom('run').select('state').executeTakeFirstOrThrow()
    expect(run.state).toBe('cancelled')
    expect(contents(running, 'c').size).toBe(5)
  })

  it('of a live run ends all of its branches, and no half file stays', async () => {
    const { artifacts, folder } = csv(400_000)
    const copies = [0, 1, 2].map(i =>
      copyOf(
        `copy ${i}`,
        dataset('csv', { folder: 'in', file: 'a.csv' }),
        dataset('csv', { folder: 'out', file: `${i}.csv` }),
        { source, sink: { type: 'DelimitedTextSink', storeSettings: { type: 'FileServerWriteSettings' } } },
      ),
    )
    const loop = {
      name: 'loop',
      type: 'ForEach',
      typeProperties: {
        items: '@range(0, 2)',
        activities: [copies[0], { name: 'w', type: 'Wait', typeProperties: { waitTimeInSeconds: 60 } }],
      },
    }
    const place = writeFactory({ ...artifacts, 'pipeline/p': { activities: [...copies.slice(1), loop] } })
    const home = temporaryFolder()
    const running = startFerry(['adf', 'run', '--factory', place, '--pipeline', 'p', '--json'], { home })
    const list = async () =>
      JSON.parse((await startFerry(['adf', 'list', '--json'], { home }).done).stdout) as { runId: string }[]
    await until(
      () => existsSync(join(folder, 'out')) && readdirSync(join(folder, 'out')).some(f => f.startsWith('.')),
      'a copy that has begun',
    )
    const [{ runId }] = (await list()) as [{ runId: string }]
    expect((await startFerry(['adf', 'cancel', runId], { home }).done).code).toBe(0)
    const { code, stdout } = await running.done
    expect(code).toBe(3)
    expect(JSON.parse(stdout).status).toBe('Cancelled')
    expect(readdirSync(join(folder, 'out')).filter(f => f.startsWith('.'))).toEqual([])
    expect((await startFerry(['adf', 'cancel', runId], { home }).done).stderr).toMatch(/has ended: Cancelled/)
  })
})

describe('pipelines that execute one another by expressions', () => {
  it('end, however often they do', async () => {
    const name = { value: "@concat('ma', 'in')", type: 'Expression' }
    const again = {
      name: 'again',
      type: 'ExecutePipeline',
      typeProperties: { pipeline: { referenceName: name, type: 'PipelineReference' } },
    }
    const ran = await runFactory({ 'pipeline/main': { activities: [again] } }, 'main')
    expect(ran.end.error!.message).toMatch(/execute one another more than 40 deep/)
  })
})

describe('rerun', () => {
  it('takes over what has succeeded, and runs again what failed and all behind it', async () => {
    const { artifacts, folder } = csv(3)
    const set = (name: string, more: object = {}) => ({
      name,
      type: 'SetVariable',
      typeProperties: { variableName: 'v', value: '@guid()' },
      ...more,
    })
    const look = {
      name: 'look',
      type: 'GetMetadata',
      dependsOn: after('first'),
      typeProperties: { dataset: dataset('binary', { file: 'flag' }), fieldList: ['size'] },
    }
    const pipeline = {
      variables: { v: { type: 'String' } },
      activities: [set('first'), look, set('last', { dependsOn: after('look') })],
    }
    const ran = await runFactory(
      { ...artifacts, 'dataset/binary': filesDataset('Binary', 'files'), 'pipeline/p': pipeline },
      'p',
    )
    expect(ran.end.state).toBe('Failed')
    writeFileSync(join(folder, 'flag'), 'x')
    const { state, execution } = ran
    const again = async (from?: string) => {
      const row = await createRerun(execution, await findPipelineRun(state.db, ran.end.run), { from })
      const end = await executeRun(execution, row, false)
      const outputs = new Map((await activityRuns(state.db, row.id)).map(a => [a.name, a.output]))
      return { end, outputs }
    }
    const first = (await activityRuns(state.db, ran.end.run)).find(a => a.name === 'first')!.output
    const rerun = await again()
    expect(rerun.end.state).toBe('Succeeded')
    expect(rerun.outputs.get('first')).toBe(first)
    expect(rerun.outputs.get('last')).toMatch(/value/)
    expect((await again('first')).outputs.get('first')).not.toBe(first)
    await expect(again('frist')).rejects.toThrow(/no activity frist: did you mean first\?/)
    rmSync(join(folder, 'flag'))
  })
})

describe('the same words', () => {
  it('go on with what was left; other artifacts do not, and say so', async () => {
    const { artifacts } = csv(3)
    const wait = (seconds: number) => ({
      activities: [{ name: 'w', type: 'Wait', typeProperties: { waitTimeInSeconds: seconds } }],
    })
    const home = temporaryFolder()
    const place = writeFactory({ ...artifacts, 'pipeline/p': wait(30) })
    const words = ['adf', 'run', '--factory', place, '--pipeline', 'p']
    const running = startFerry(words, { home })
    const list = async () =>
      JSON.parse((await startFerry(['adf', 'list', '--json'], { home }).done).stdout) as {
        runId: string
        status: string
      }[]
    await until(async () => (await list()).length === 1, 'a run')
    running.kill('SIGKILL')
    await running.done
    writeFileSync(join(place, 'pipeline', 'p.json'), JSON.stringify({ name: 'p', properties: wait(0) }))
    const { code, stderr } = await startFerry(words, { home }).done
    expect(code).toBe(1)
    expect(stderr).toMatch(/FERRY-5009.*is unfinished, and its artifacts or redirects have changed/)
    const other = await startFerry([...words, '--new'], { home }).done
    expect(other.code).toBe(0)
    expect((await list()).map(r => r.status).sort()).toEqual(['InProgress', 'Succeeded'])
  })
})
