/** The command line as a user meets it: its answers, its errors, its exit codes. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { ferry, makeDatabase, startFerry, temporaryFolder, until } from './support.ts'

function shop(folder: string, rows = 10): string {
  const path = join(folder, 'shop.db')
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, total DECIMAL TEXT(10,2) NOT NULL, note TEXT)')
  const insert = db.prepare('INSERT INTO orders VALUES (?, ?, ?)')
  for (let i = 1; i <= rows; i++) insert.run(i, `${i}.50`, i % 2 ? null : `note ${i}`)
  db.close()
  return path
}

function jobFile(folder: string, text: string): string {
  const path = join(folder, 'job.yaml')
  writeFileSync(path, text)
  return path
}

describe('ferry', () => {
  it('tells its version without loading a driver', async () => {
    const home = temporaryFolder()
    const coverage = temporaryFolder()
    const { stdout, code } = await ferry(['--version'], { home, env: { NODE_V8_COVERAGE: coverage } })
    expect({ stdout, code }).toEqual({ stdout: '0.1.0\n', code: 0 })
    expect(readdirSync(home)).toEqual([])
    const loaded = readdirSync(coverage)
      .map(name => readFileSync(join(coverage, name), 'utf8'))
      .join()
    expect(loaded).toContain('bin/ferry.js')
    expect(loaded).not.toMatch(/node_modules|connectors/)
  })

  it('answers every wrong choice, number and missing word with exit code 2, and what it takes', async () => {
    const home = temporaryFolder()
    const wrong: [string[], RegExp][] = [
      [['copy', 'a.csv', 'b.csv', '--update', 'replace'], /append, overwrite, merge/],
      [['copy', 'a.csv', 'b.csv', '--parallel', 'abc'], /whole number/],
      [['copy', 'a.csv', 'b.csv', '--limit', '1e3'], /whole number/],
      [['copy', 'a.csv', 'b.csv', '--header', 'perhaps'], /yes or no/],
      [['copy', 'a.csv', 'b.csv', '--format', 'xls'], /parquet/],
      [['copy', 'a.csv'], /Usage: ferry copy .*\nExample: ferry copy /],
      [['run'], /Usage: ferry run .*\nExample: ferry run /],
      [['runs', 'nope'], /no job "nope"/],
      [['serve', '--log-level', 'loud'], /debug, info/],
      [['tokens', 'add', 'x', '--role', 'king'], /viewer, operator, admin/],
      [['tokens', 'add'], /usage: ferry tokens/],
      [['connections', 'add', 'x'], /usage: ferry connections/],
      [['cosmos', 'copy', 'list', '-a', 'x', '-o', 'tabel'], /json, table/],
      [
        ['cosmos', 'copy', 'create', '--job-name', 'x', '--dest-account', 'y', '--mode', 'Sometimes'],
        /Offline, Online/,
      ],
      [['cosmos', 'copy', 'show'], /Example: ferry cosmos copy show/],
    ]
    for (const [words, says] of wrong) {
      const { code, stderr } = await ferry(words, { home })
      expect(stderr, words.join(' ')).toMatch(says)
      expect(code, words.join(' ')).toBe(2)
    }
    const setting = await ferry(['connections', 'add', 'x', 'postgres://db/x', '--set', 'pasword=p'], { home })
    expect(setting.stderr).toMatch(/did you mean password/)
    expect(setting.code).toBe(2)
  })

  it('gives an example with the help of each command', async () => {
    const home = temporaryFolder()
    const commands = async (path: string[]): Promise<string[][]> => {
      const { stdout } = await ferry([...path, '--help'], { home })
      const listed = [...(stdout.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z]+)/gm)].map(m => m[1]!)
      const below = listed.filter(name => name !== 'help').map(name => [...path, name])
      return below.length === 0 ? [path] : (await Promise.all(below.map(commands))).flat()
    }
    for (const path of await commands([])) {
      const { stdout } = await ferry([...path, '--help'], { home })
      expect(stdout, path.join(' ')).toContain(`Example:\n  ferry ${path.join(' ')}`)
    }
  })

  it('is silent where nobody reads what it says any more', async () => {
    const home = temporaryFolder()
    const call = `"${process.execPath}" ferry/bin/ferry.js --help 2>&1 | head -n 1; "${process.execPath}" ferry/bin/ferry.js cpoy 2>&1 >/dev/null | true`
    const { stdout, stderr } = spawnSync('bash', ['-c', call], {
      encoding: 'utf8',
      env: { ...process.env, FERRY_HOME: home },
    })
    expect({ stdout, stderr }).toEqual({ stdout: 'Usage: ferry [options] [command]\n', stderr: '' })
  })

  it('a copy of the command line is no job of the list; its limits do not make it another one', async () => {
    const folder = temporaryFolder()
    const home = join(folder, 'home')
    const words = ['copy', shop(folder), join(folder, 'out', '{table}.csv')]
    expect((await ferry(words, { home })).code).toBe(0)
    expect((await ferry([...words, '--parallel', '1'], { home })).code).toBe(0)
    expect((await ferry(['list'], { home })).stdout).toBe(`No jobs yet in ${home}. Start one: ferry run JOB.yaml\n`)
    expect(JSON.parse((await ferry(['list', '--all', '--json'], { home })).stdout)).toHaveLength(1)
    expect(JSON.parse((await ferry(['runs', '--json'], { home })).stdout)).toHaveLength(2)
  })

  it('a trigger that waits for a job that is not there is refused', async () => {
    const folder = temporaryFolder()
    const path = jobFile(
      folder,
      `name: j\nsource: ${shop(folder)}\ndestination: ${folder}/out\ntables: [orders]\ntriggers: [{ name: t, after: nobody }]\n`,
    )
    const { code, stderr } = await ferry(['create', path], { home: folder })
    expect(stderr).toContain('trigger t: there is no job "nobody"')
    expect(code).toBe(2)
  })

  it('answers wrong usage with exit code 2 and a suggestion', async () => {
    const { code, stderr } = await ferry(['cpoy'], { home: temporaryFolder() })
    expect(code).toBe(2)
    expect(stderr).toContain('Did you mean copy?')
  })

  it('copies a table to a file and reports with the names of a copy activity', async () => {
    const folder = temporaryFolder()
    const { code, stdout } = await ferry(['copy', `${shop(folder)}#orders`, join(folder, 'orders.csv'), '--json'], {
      home: folder,
    })
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toMatchObject({ status: 'completed', rowsRead: 10, rowsCopied: 10, rowsSkipped: 0, errors: [] })
    for (const name of ['dataRead', 'dataWritten', 'copyDuration', 'throughput', 'usedParallelCopies']) {
      expect(report[name], name).toBeTypeOf('number')
    }
    expect(readFileSync(join(folder, 'orders.csv'), 'utf8').split('\n').slice(0, 3)).toEqual([
      'id,total,note',
      '1,1.50,',
      '2,2.50,note 2',
    ])
  })

  it('reads standard input and writes standard output', async () => {
    const folder = temporaryFolder()
    const input = 'id,name\n1,Ada\n2,"B, C"\n'
    const { stdout, code } = await ferry(['copy', '-', '-', '--format', 'csv', '--to-format', 'jsonl'], {
      home: folder,
      input,
    })
    expect({ stdout, code }).toEqual({ stdout: '{"id":1,"name":"Ada"}\n{"id":2,"name":"B, C"}\n', code: 0 })
  })

  it('plans without changing anything', async () => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    const job = jobFile(
      folder,
      `name: plan\nsource: sqlite:${shop(folder)}\ndestination: { kind: postgres, host: 127.0.0.1, port: ${settings.port}, database: ${settings.database} }\nupdate: merge\ntables: [orders]\n`,
    )
    const { code, stdout } = await ferry(['plan', job], { home: folder })
    expect(code).toBe(0)
    expect(stdout).toContain('encoding   rows')
    expect(stdout).toContain('guarantee  exactly once')
    expect(stdout).toContain('CREATE TABLE IF NOT EXISTS "public"."orders"')
    const { rows } = await client.query(
      `SELECT count(*)::int AS n FROM pg_class WHERE relname LIKE 'orders%' OR relname LIKE 'ferry%'`,
    )
    expect(rows[0].n).toBe(0)
  })

  it('lists jobs and runs, and shows a run', async () => {
    const folder = temporaryFolder()
    const job = jobFile(
      folder,
      `name: listed\nsource: sqlite:${shop(folder)}\ndestination: ${folder}/out\ntables: [{ from: orders, to: orders.jsonl }]\n`,
    )
    expect((await ferry(['run', job], { home: folder })).code).toBe(0)
    const jobs = JSON.parse((await ferry(['list', '--json'], { home: folder })).stdout)
    expect(jobs).toMatchObject([{ name: 'listed', lastRun: { state: 'completed' } }])
    const runs = JSON.parse((await ferry(['runs', 'listed', '--json'], { home: folder })).stdout)
    expect(runs).toHaveLength(1)
    const shown = (await ferry(['show', runs[0].id], { home: folder })).stdout
    expect(shown).toContain('completed')
    expect(shown).toMatch(/orders\s+orders\.jsonl\s+completed\s+1\/1\s+10/)
  })

  it('keeps connections with secrets by reference only', async () => {
    const folder = temporaryFolder()
    const { settings } = await makeDatabase()
    const url = `postgres://postgres@127.0.0.1:${settings.port}/${settings.database}`
    const refused = await ferry(['connections', 'add', 'w', url.replace('postgres@', 'postgres:hunter2@')], {
      home: folder,
    })
    expect(refused.code).toBe(1)
    expect(refused.stderr).not.toContain('hunter2')
    expect(
      (await ferry(['connections', 'add', 'w', url, '--set', 'password=${WAREHOUSE_PASSWORD}'], { home: folder })).code,
    ).toBe(0)
    const without = await ferry(['connections', 'test', 'w'], { home: folder })
    expect(without.stderr).toContain('FERRY-1004 ${WAREHOUSE_PASSWORD} has no value')
    const tested = await ferry(['connections', 'test', 'w'], { home: folder, env: { WAREHOUSE_PASSWORD: 'x' } })
    expect(tested.stdout).toContain('PostgreSQL 18')
    const job = jobFile(
      folder,
      `name: named\nsource: sqlite:${shop(folder)}\ndestination: { connection: w }\ntables: [orders]\n`,
    )
    const run = await ferry(['run', job, '--json', '--set', 'WAREHOUSE_PASSWORD=topsecret'], { home: folder })
    expect(JSON.parse(run.stdout)).toMatchObject({ status: 'completed', rowsCopied: 10 })
    expect(readFileSync(join(folder, 'state.db')).includes('topsecret')).toBe(false)
  })

  it('pauses and cancels from another terminal, and resumes by itself', async () => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    const job = jobFile(
      folder,
      `name: slow\nsource: sqlite:${shop(folder, 5000)}\ndestination: { kind: postgres, host: 127.0.0.1, port: ${settings.port}, database: ${settings.database} }\nlimits: { rowsPerSecond: 150 }\nsplitSize: 4kB\ntables: [orders]\n`,
    )
    const first = startFerry(['run', job, '--json'], { home: folder })
    await until(async () => (await runState(folder)) === 'running')
    const second = await ferry(['run', job], { home: folder })
    expect(second.code).toBe(1)
    expect(second.stderr).toContain('FERRY-5001')
    expect(second.stderr).toContain(`process ${first.pid}`)
    expect((await ferry(['pause', 'slow'], { home: folder })).code).toBe(0)
    const paused = await first.done
    expect(paused.code).toBe(3)
    expect(JSON.parse(paused.stdout).status).toBe('paused')
    const again = startFerry(['run', job, '--json'], { home: folder })
    await until(async () => (await runState(folder)) === 'running')
    expect((await ferry(['cancel', 'slow'], { home: folder })).code).toBe(0)
    expect((await again.done).code).toBe(3)
    expect(await runState(folder)).toBe('cancelled')
    const left = await client.query(`SELECT relname FROM pg_class WHERE relname LIKE 'ferry\\_2%'`)
    expect(left.rows).toEqual([])
  })
})

describe('jobs and their runs', () => {
  /** A job over a table of which one row does not fit until the constraint is gone. */
  async function halfDone() {
    const folder = temporaryFolder()
    const { client, settings, url } = await makeDatabase()
    await client.query('CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2), note text, CHECK (id <> 7))')
    const job = jobFile(
      folder,
      `name: half\nsource: sqlite:${shop(folder)}\ndestination: { kind: postgres, host: 127.0.0.1, port: ${settings.port}, database: "\${DATABASE}" }\nnarrowing: check\nonRowError: \${ON_ERROR}\nlimits: { parallel: "\${PARALLEL}" }\ntables: [{ from: orders, to: public.orders }]\n`,
    )
    const variables = join(folder, 'test.env.yaml')
    writeFileSync(variables, `DATABASE: ${settings.database}\nON_ERROR: skip\nPARALLEL: 3\n`)
    const call = (...args: string[]) => ferry([...args, '--variables', variables], { home: folder })
    return { folder, client, url, job, call }
  }

  it('takes values from a variables file, and one given beside it wins', async () => {
    const { job, call } = await halfDone()
    const planned = await call('plan', job, '--json')
    expect(planned.code, planned.stderr).toBe(0)
    expect(JSON.parse(planned.stdout).tables[0]).toMatchObject({ onRowError: 'skip' })
    const other = await call('plan', job, '--json', '--set', 'ON_ERROR=fail')
    expect(JSON.parse(other.stdout).tables[0]).toMatchObject({ onRowError: 'fail' })
  })

  it('skips a row, shows it, and copies it once its cause is mended', async () => {
    const { client, job, call, folder } = await halfDone()
    const run = await call('run', job, '--json')
    expect(JSON.parse(run.stdout)).toMatchObject({ rowsCopied: 9, rowsSkipped: 1 })
    const shown = await ferry(['show', 'half'], { home: folder })
    expect(shown.stdout).toMatch(/skipped|errors/i)
    const still = await call('retry', 'half')
    expect(still).toMatchObject({ code: 1, stdout: expect.stringContaining('0 of 1 rows copied, 1 left') })
    await client.query('ALTER TABLE orders DROP CONSTRAINT orders_id_check')
    expect((await call('retry', 'half')).stdout).toContain('1 of 1 rows copied, 0 left')
    const verified = await call('verify', job)
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining('equal') })
    await client.query(`UPDATE orders SET note = 'other' WHERE id = 3`)
    const different = await call('verify', job)
    expect(different.code).toBe(1)
    expect(different.stdout).toMatch(/DIFFERENT[\s\S]*changed\s+3/)
  })

  it('resumes a failed run by name, and resets one that is not to go on', async () => {
    const { client, job, call, folder } = await halfDone()
    const failed = await call('run', job, '--set', 'ON_ERROR=fail')
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('FERRY-4005')
    await client.query('ALTER TABLE orders DROP CONSTRAINT orders_id_check')
    const resumed = await call('resume', 'half', '--json', '--set', 'ON_ERROR=fail')
    expect(JSON.parse(resumed.stdout)).toMatchObject({ status: 'completed', resumed: true, rowsCopied: 10 })
    expect((await call('reset', 'half')).stdout).toContain('half has no unfinished run')
    await client.query('TRUNCATE orders; ALTER TABLE orders ADD CHECK (id <> 8)')
    expect((await call('run', job, '--set', 'ON_ERROR=fail')).code).toBe(1)
    expect((await call('reset', 'half')).stdout).toMatch(/run \S+ is given up/)
    expect(await runState(folder)).toBe('failed')
  })

  it('names the run or job that is not there', async () => {
    const home = temporaryFolder()
    for (const args of [
      ['show', 'nothing'],
      ['resume', 'nothing'],
      ['reset', 'nothing'],
      ['retry', 'nothing'],
      ['pause', 'nothing'],
    ]) {
      const result = await ferry(args, { home })
      expect(result.stderr, args.join(' ')).toMatch(/FERRY-100\d .*nothing/)
      expect(result.code).toBe(2)
    }
  })

  it('passes text COPY where a type has no common binary form', async () => {
    const folder = temporaryFolder()
    const { client, url } = await makeDatabase()
    await client.query(
      `CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE s (id int, m mood, p point[]);
       CREATE TABLE d (LIKE s); INSERT INTO s VALUES (1, 'happy', '{"(1,2)"}'), (2, NULL, NULL)`,
    )
    const job = jobFile(folder, `name: text\nsource: ${url}\ndestination: ${url}\ntables: [{ from: s, to: d }]\n`)
    const planned = JSON.parse((await ferry(['plan', job, '--json'], { home: folder })).stdout)
    expect(planned.tables[0].offer.encoding).toBe('pg-copy-text')
    expect((await ferry(['run', job], { home: folder })).code).toBe(0)
    const { rows } = await client.query('SELECT count(*)::int AS n FROM s JOIN d ON s::text = d::text')
    expect(rows[0].n).toBe(2)
  })
})

async function runState(home: string): Promise<string | undefined> {
  if (!existsSync(join(home, 'state.db'))) return undefined
  const { stdout } = await ferry(['runs', '--json'], { home })
  return JSON.parse(stdout)[0]?.state
}

describe('bad input', () => {
  const cases: Record<string, { job: (folder: string) => string; code: string; says: RegExp; exit?: number }> = {
    'an unknown key': {
      job: f => `name: x\nsource: ${f}\ndestination: ${f}/o\ntabels: [a.csv]\n`,
      code: 'FERRY-1003',
      says: /job\.yaml:4: tabels: is unknown: did you mean "tables"/,
      exit: 2,
    },
    'an unknown key in a table': {
      job: f => `name: x\nsource: ${f}\ndestination: ${f}/o\ntables:\n  - from: a.csv\n    wher: id > 1\n`,
      code: 'FERRY-1003',
      says: /job\.yaml:6: tables\.0\.wher: is unknown: did you mean "where"/,
      exit: 2,
    },
    'malformed YAML': { job: () => 'name: x\nsource: [a\n', code: 'FERRY-1002', says: /job\.yaml:\d+:\d+:/, exit: 2 },
    'two tables with one destination': {
      job: f =>
        `name: x\nsource: sqlite:${shop(f)}\ndestination: ${f}/o\ntables:\n  - { from: orders, to: a.csv }\n  - { from: orders, to: a.csv }\n`,
      code: 'FERRY-1005',
      says: /both go to a\.csv/,
      exit: 2,
    },
    'a missing variable': {
      job: () => 'name: x\nsource: "${NOWHERE_SET}"\ndestination: out\ntables: [a]\n',
      code: 'FERRY-1004',
      says: /NOWHERE_SET/,
      exit: 2,
    },
    'a missing table': {
      job: f => `name: x\nsource: sqlite:${shop(f)}\ndestination: ${f}/o\ntables: [order]\n`,
      code: 'FERRY-3001',
      says: /has no order: did you mean orders/,
    },
    'a missing file': {
      job: f => `name: x\nsource: ${f}\ndestination: ${f}/o\ntables: [nothing.csv]\n`,
      code: 'FERRY-3001',
      says: /no file nothing\.csv/,
    },
    'a missing column': {
      job: f =>
        `name: x\nsource: sqlite:${shop(f)}\ndestination: ${f}/o\ntables: [{ from: orders, to: a.csv, columns: { totl: t } }]\n`,
      code: 'FERRY-3002',
      says: /no column totl: did you mean total/,
    },
    'text that is no UTF-8': {
      job: f => {
        const db = new DatabaseSync(join(f, 'odd.db'))
        db.exec(
          `CREATE TABLE odd (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO odd VALUES (1, 'good'), (2, CAST(x'ff41' AS TEXT))`,
        )
        db.close()
        return `name: x\nsource: sqlite:${f}/odd.db\ndestination: ${f}/o\ntables: [{ from: odd, to: odd.csv }]\n`
      },
      code: 'FERRY-4001',
      says: /odd, column v, id 2: the text is not valid UTF-8/,
    },
    'an unreachable host': {
      job: f => `name: x\nsource: postgres://x@127.0.0.1:1/none\ndestination: ${f}/o\ntables: [a]\n`,
      code: 'FERRY-2001',
      says: /127\.0\.0\.1:1/,
    },
    'merge without keys': {
      job: f => {
        const db = new DatabaseSync(join(f, 'bare.db'))
        db.exec('CREATE TABLE bare (v TEXT)')
        db.close()
        return `name: x\nsource: sqlite:${f}/bare.db\ndestination: sqlite:${f}/to.db\nupdate: merge\ntables: [bare]\n`
      },
      code: 'FERRY-3005',
      says: /merge needs keys/,
    },
    'merge into files': {
      job: f =>
        `name: x\nsource: sqlite:${shop(f)}\ndestination: ${f}/o\nupdate: merge\ntables: [{ from: orders, to: a.csv }]\n`,
      code: 'FERRY-3006',
      says: /files takes no merge: it takes overwrite, append/,
    },
    'ragged CSV': {
      job: f => csv(f, 'id,name\n1,a\n2,b,c\n', 'b.jsonl'),
      code: 'FERRY-4002',
      says: /a\.csv, line 3: 3 fields where the file has 2 columns/,
    },
    'text behind a quote': {
      job: f => csv(f, 'id,name\n1,"a"x\n', 'b.jsonl'),
      code: 'FERRY-4002',
      says: /line 2: text behind the closing quote/,
    },
    'a wrong encoding': {
      job: f => csv(f, Buffer.from('id,name\n1,Andr\xe9\n', 'latin1'), 'b.jsonl'),
      code: 'FERRY-4003',
      says: /is not in utf-8/,
    },
    'truncated gzip': {
      job: f => csv(f, gzipSync('id,name\n1,a\n'.repeat(9000)).subarray(0, 60), 'b.jsonl', 'a.csv.gz'),
      code: 'FERRY-4004',
      says: /unexpected end of file/,
    },
    'a truncated Parquet file': {
      job: f => csv(f, Buffer.from('PAR1 not a parquet file at all PAR'), 'b.jsonl', 'a.parquet'),
      code: 'FERRY-4004',
      says: /a\.parquet/,
    },
    'leading zeros that a number would lose': {
      job: f => csv(f, `zip\n${'12345\n'.repeat(10_001)}01234\n`, 'b.jsonl'),
      code: 'FERRY-4001',
      says: /line 10003, column zip: "01234" is not as the values before it, which are int64/,
    },
    'a truncated JSON line': {
      job: f => csv(f, '{"a":1}\n{"a":', 'b.csv', 'a.jsonl'),
      code: 'FERRY-4002',
      says: /a\.jsonl, (line|record) 2/,
    },
  }

  function csv(folder: string, content: string | Buffer, to: string, name = 'a.csv'): string {
    writeFileSync(join(folder, name), content)
    return `name: x\nsource: ${folder}\ndestination: ${folder}/o\ntables: [{ from: ${name}, to: ${to} }]\n`
  }

  it.each(Object.entries(cases))(
    '%s is explained, and nothing is left behind',
    async (_, { job, code, says, exit = 1 }) => {
      const folder = temporaryFolder()
      const result = await ferry(['run', jobFile(folder, job(folder))], { home: join(folder, 'home') })
      expect(result.stderr).toContain(code)
      expect(result.stderr).toMatch(says)
      expect(result.code).toBe(exit)
      if (existsSync(join(folder, 'o')))
        expect(readdirSync(join(folder, 'o')).filter(n => !n.startsWith('.'))).toEqual([])
    },
  )

  it('a wrong password is told, and never shown', async () => {
    const folder = temporaryFolder()
    const { client, settings } = await makeDatabase()
    await client.query(`SELECT 1`)
    await client.query(`DROP ROLE IF EXISTS with_password; CREATE ROLE with_password LOGIN PASSWORD 'r1ght-word'`)
    await client.query('CREATE TABLE t (id int); GRANT SELECT ON t TO with_password')
    const copy = (password: string) => {
      const url = `postgres://with_password:${password}@127.0.0.1:${settings.port}/${settings.database}`
      return ferry(['copy', `${url}#t`, join(folder, 'o.csv')], { home: folder })
    }
    const result = await copy('s3cr3t-word')
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/FERRY-2002 .*password authentication failed/)
    expect(result.stderr + result.stdout).not.toContain('s3cr3t-word')
    const right = await copy('r1ght-word')
    expect(right.code, right.stderr).toBe(0)
    expect(right.stderr + right.stdout).not.toContain('r1ght-word')
    for (const name of readdirSync(folder))
      for (const word of ['s3cr3t-word', 'r1ght-word']) {
        expect(readFileSync(join(folder, name)).includes(word), name).toBe(false)
      }
  })

  it('ragged CSV into PostgreSQL names the line of the file', async () => {
    const folder = temporaryFolder()
    const { url, client } = await makeDatabase()
    await client.query('CREATE TABLE a (id int, name text)')
    writeFileSync(join(folder, 'a.csv'), `id,name\n${'1,"x\ny"\n'.repeat(20)}2,b,c\n`)
    const result = await ferry(['copy', join(folder, 'a.csv'), `${url}#a`], { home: folder })
    expect(result.stderr).toContain('FERRY-4002')
    expect(result.stderr).toContain('a.csv, line 42')
    expect((await client.query('SELECT count(*)::int AS n FROM a')).rows[0].n).toBe(0)
  })

  it('what PostgreSQL would round in silence is refused before it gets there', async () => {
    const folder = temporaryFolder()
    const { url, client } = await makeDatabase()
    await client.query('CREATE TABLE a (id int, price numeric(10,2), day date, code varchar(3))')
    for (const [row, column] of [
      ['1,1.239,2024-01-01,abc', 'price'],
      ['1,1.20,2024-01-01 10:00,abc', 'day'],
      ['1,1.2,2024-01-01,"abc  "', 'code'],
    ] as const) {
      writeFileSync(join(folder, 'a.csv'), `id,price,day,code\n${row}\n`)
      const result = await ferry(['copy', join(folder, 'a.csv'), `${url}#a`, '--full-refresh'], { home: folder })
      expect(result.stderr).toMatch(new RegExp(`FERRY-4001 .*line 2, column ${column}`))
    }
    expect((await client.query('SELECT count(*)::int AS n FROM a')).rows[0].n).toBe(0)
  })

  it('a value that SQLite cannot hold is refused by table, key and column', async () => {
    const folder = temporaryFolder()
    const { url, client } = await makeDatabase()
    await client.query(`CREATE TABLE m (id int PRIMARY KEY, v float8); INSERT INTO m VALUES (1, 1), (2, 2), (3, 'NaN')`)
    const result = await ferry(['copy', `${url}#m`, join(folder, 'm.db')], { home: folder })
    expect(result.stderr).toMatch(/FERRY-4001 m, id 3: column v: SQLite has no NaN/)
    expect(result.code).toBe(1)
  })

  it('a folder that may not be written to', async () => {
    const folder = temporaryFolder()
    const target = join(folder, 'o')
    mkdirSync(target, { mode: 0o500 })
    const source = shop(folder)
    // The rights do not bind root: as root, another user tries.
    const asRoot = process.getuid?.() === 0
    chmodSync(folder, 0o777)
    const result = await ferry(['copy', `${source}#orders`, join(target, 'a.csv')], {
      home: join(folder, 'home'),
      ...(asRoot ? { uid: 65534 } : {}),
    })
    expect(result.stderr).toContain('FERRY-2004')
    expect(result.code).toBe(1)
  })

  it('many that begin at once share a new state', async () => {
    const home = join(temporaryFolder(), 'new')
    const results = await Promise.all(Array.from({ length: 8 }, () => ferry(['list', '--json'], { home })))
    for (const { code, stderr, stdout } of results) expect(code, stderr + stdout).toBe(0)
  })

  it('a state of a newer version', async () => {
    const folder = temporaryFolder()
    await ferry(['list'], { home: folder })
    const db = new DatabaseSync(join(folder, 'state.db'))
    db.exec(`INSERT INTO kysely_migration VALUES ('9999_from_the_future', '2099')`)
    db.close()
    const result = await ferry(['list'], { home: folder })
    expect(result.stderr).toContain('FERRY-5002')
    expect(result.code).toBe(1)
  })
})
