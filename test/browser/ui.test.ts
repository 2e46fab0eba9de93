/** The web UI in a real browser, over the built pages, a real server and real stores. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Page } from 'playwright-core'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { makeShop } from '../../scripts/sample.ts'
import { account, contents, endpointOf, fill, makeContainer } from '../cosmos.ts'
import { serverWithSkipped, startServer, type TestServer } from '../server.ts'
import { makeDatabase, temporaryFolder, until } from '../support.ts'
import { closeBrowser, openBrowser, picture, seriousFaults, signIn } from './browser.ts'

afterAll(closeBrowser)

const next = (page: Page) => page.getByRole('button', { name: 'Next', exact: true }).click()

async function newConnection(page: Page, kind: string, name: string, settings: Record<string, string>) {
  await page.getByLabel('Name of the connection').fill(name)
  await page.getByLabel('Kind of store').selectOption(kind)
  for (const [setting, value] of Object.entries(settings)) {
    await page
      .getByRole('textbox', { name: setting, exact: true })
      .or(page.getByRole('spinbutton', { name: setting, exact: true }))
      .or(page.getByLabel(setting, { exact: true }))
      .first()
      .fill(value)
  }
}

const state = (page: Page, name: string) => page.locator(`main [data-state=${name}]`).first().waitFor()
const fact = (page: Page, name: string) => page.locator(`[data-fact="${name}"]`).innerText()

/** A PostgreSQL with one table, and a server with connections to it and a job that takes its time. */
async function slowJob(rows = 30_000, perSecond = 3000) {
  const { client, settings } = await makeDatabase()
  await client.query(`CREATE TABLE source AS SELECT i AS id, 'row ' || i AS name FROM generate_series(1, ${rows}) i`)
  await client.query('ALTER TABLE source ADD PRIMARY KEY (id)')
  const server = await startServer()
  await server.call('PUT', '/connections/pg', { kind: 'postgres', settings })
  const job = {
    name: 'slow',
    source: { connection: 'pg' },
    destination: { connection: 'pg' },
    update: 'merge',
    tables: [{ from: 'public.source', to: 'public.target' }],
    limits: { rowsPerSecond: perSecond },
    splitSize: '100kB',
  }
  expect((await server.call('POST', '/jobs', job)).status).toBe(201)
  return { server, client, job }
}

describe('the wizard', () => {
  it('goes from an empty page to a finished copy, SQLite to PostgreSQL', async () => {
    const folder = temporaryFolder()
    makeShop(join(folder, 'shop.db'))
    const { client, settings } = await makeDatabase()
    const server = await startServer({ folder })
    const page = await signIn(await openBrowser(), server)
    await page.getByText('No jobs yet').waitFor()
    await picture(page, 'empty')
    await page.getByRole('button', { name: 'New copy job' }).click()

    // Where from: a wrong path first.
    await newConnection(page, 'sqlite', 'shop', { path: '/etc/passwd' })
    await page.getByRole('button', { name: 'Test connection' }).click()
    await page.getByText('FERRY-2006').waitFor()
    await page.getByLabel('path').fill(join(folder, 'shop.db'))
    await page.getByRole('button', { name: 'Test connection' }).click()
    await page.getByText('It answers: SQLite').waitFor()
    await page.getByRole('button', { name: 'Save connection' }).click()
    await page.getByRole('radio', { name: /^shop/ }).waitFor()
    await next(page)

    // Which tables: search, look, all but some columns of one.
    await page.getByLabel('Search tables').fill('order')
    await page.getByRole('checkbox', { name: 'All 2 found' }).check()
    await page.getByLabel('Search tables').fill('')
    await page.getByRole('checkbox', { name: 'Copy customers' }).check()
    await page.getByRole('button', { name: 'Look at customers' }).click()
    await page.getByRole('table', { name: 'First rows of customers' }).getByText('李雷').first().waitFor()
    await page.getByRole('checkbox', { name: /^email/ }).uncheck()
    await picture(page, 'wizard-tables')
    expect(await seriousFaults(page)).toEqual([])
    await next(page)

    // Where to.
    await page.getByRole('button', { name: 'New connection' }).click()
    await newConnection(page, 'postgres', 'warehouse', {
      host: '127.0.0.1',
      port: String(settings.port),
      database: String(settings.database),
      user: 'postgres',
    })
    await page.getByRole('button', { name: 'Test connection' }).click()
    await page.getByText('It answers: PostgreSQL').waitFor()
    await page.getByRole('button', { name: 'Save connection' }).click()
    await next(page)
    await page.getByRole('radio', { name: /^Full/ }).waitFor()
    expect(await page.evaluate('document.activeElement.tagName')).toBe('H2')
    expect(await page.getByRole('radio', { name: /^Online/ }).isDisabled()).toBe(true)
    await next(page)

    // How: another name, a renamed column, merge for all.
    await page.getByLabel('All tables').selectOption('merge')
    await page.getByLabel('Leave out rows that cannot be copied').check()
    await page.getByLabel('Destination of customers').fill('crm.people')
    await page.getByRole('button', { name: /^Columns of customers/ }).click()
    await page.getByLabel('Destination of column name').fill('full_name')
    await picture(page, 'wizard-mapping')
    expect(await seriousFaults(page)).toEqual([])
    await next(page)

    // When.
    await page.getByRole('button', { name: 'Add a schedule' }).click()
    await page.getByLabel('Times of day').fill('06:00, 18:30')
    await page.getByLabel('Time zone').selectOption('Europe/Berlin')
    await page.getByText(/^Next: /).waitFor()
    // What is filled in and not kept is not lost by going on.
    expect(await page.getByRole('button', { name: 'Next', exact: true }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Keep schedule' }).click()
    await next(page)

    // Is it right: the plan, the job file.
    await page.getByRole('table', { name: 'Plan' }).getByText('crm.people (new)').waitFor()
    await page.getByRole('button', { name: 'Job file (YAML)' }).click()
    await page.getByText('full_name').last().waitFor()
    await picture(page, 'wizard-review')
    expect(await seriousFaults(page)).toEqual([])
    await page.getByLabel('Name of the job').fill('')
    await page.getByText('A job needs a name').waitFor()
    await page.getByLabel('Name of the job').fill('shop-to-warehouse')
    await page.getByRole('button', { name: 'Save and run' }).click()

    await page.getByRole('heading', { name: 'shop-to-warehouse' }).waitFor()
    await state(page, 'completed')
    await until(async () => (await fact(page, 'Rows written')) === '128,000')
    expect(await fact(page, 'Tables')).toBe('3 of 3')
    await picture(page, 'job')
    const { rows } = await client.query('SELECT * FROM crm.people WHERE id = 1')
    expect(Object.keys(rows[0])).toContain('full_name')
    expect(Object.keys(rows[0])).not.toContain('email')

    // The same screens edit.
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('button', { name: '5. Mapping' }).click()
    expect(await page.getByLabel('Destination of customers').inputValue()).toBe('crm.people')
    await page.getByLabel('Update method of orders').selectOption('overwrite')
    await page.getByRole('button', { name: '7. Review' }).click()
    await page.getByRole('table', { name: 'Plan' }).getByText('overwrite').waitFor()
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.getByRole('tab', { name: 'Definition' }).click()
    const kept = await page.getByLabel('Job file').inputValue()
    expect(kept).toContain('update: overwrite')
    expect(kept).toContain('full_name')
    expect(kept).toContain('onRowError: skip')
    expect(kept).toContain('Europe/Berlin')
    // As text, too; with the fault told by line.
    await page.getByLabel('Job file').fill(kept.replace('tables:', 'tabels:'))
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page
      .getByText(/tabels: is unknown: did you mean "tables"/)
      .first()
      .waitFor()
  })

  it('says which rows, how files are read, how fast, and what to know of the column that grows', async () => {
    const folder = temporaryFolder()
    const db = new DatabaseSync(join(folder, 's.db'))
    db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, changed INTEGER)`)
    db.exec(
      `INSERT INTO t SELECT value, 'n' || value, value * 10 FROM json_each(json_array(${Array.from({ length: 100 }, (_, i) => i + 1)}))`,
    )
    db.exec(`CREATE TABLE there (ident INTEGER PRIMARY KEY, title TEXT)`)
    db.close()
    writeFileSync(join(folder, 'odd.txt'), 'a|b\n1|x\n2|NULL\n')
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/db', { locator: `sqlite:${join(folder, 's.db')}` })
    await server.call('PUT', '/connections/out', { locator: `sqlite:${join(folder, 'd.db')}` })
    await server.call('PUT', '/connections/files', { kind: 'files', settings: { folder } })
    const page = await signIn(await openBrowser(), server)

    // Files that are not what their names say, looked at as they will be read.
    await page.getByRole('button', { name: 'New copy job' }).click()
    await page.getByRole('radio', { name: /^files/ }).check()
    await next(page)
    await page.getByRole('button', { name: 'How they are read' }).click()
    await page.getByLabel('format').selectOption('csv')
    await page.getByLabel('delimiter').fill('|')
    await page.getByLabel('nullText').fill('NULL')
    await page.getByRole('checkbox', { name: 'Copy odd.txt' }).check()
    await page.getByRole('button', { name: 'Look at odd.txt' }).first().click()
    const seen = page.getByRole('table', { name: 'First rows of odd.txt' })
    await seen.getByText('null').waitFor()
    await picture(page, 'wizard-files')
    expect(await seriousFaults(page)).toEqual([])
    await next(page)
    await page.getByRole('radio', { name: /^out/ }).check()
    await next(page)
    await next(page)
    await page.getByLabel('Destination of odd.txt').fill('odd')
    for (const _ of ['schedule', 'review']) await next(page)
    await page.getByRole('button', { name: 'Save and run' }).click()
    await state(page, 'completed')
    const out = new DatabaseSync(join(folder, 'd.db'))
    expect(out.prepare('SELECT * FROM odd').all()).toEqual([
      { a: 1, b: 'x' },
      { a: 2, b: null },
    ])

    // A table by a column that grows, and a query.
    await page.goto(`${server.url}/jobs/new`)
    await page.getByRole('radio', { name: /^db/ }).check()
    await next(page)
    await page.getByRole('checkbox', { name: 'Copy t', exact: true }).check()
    await page.getByRole('button', { name: 'Add a query' }).click()
    expect(await page.getByRole('button', { name: 'Next', exact: true }).isDisabled()).toBe(true)
    await page.getByLabel('Destination of query 1').fill('few')
    await page.getByLabel('SQL of query 1').fill('SELECT id, name FROM t WHERE id < 4')
    await page.getByRole('button', { name: 'Look at query 1' }).click()
    await page.getByRole('table', { name: 'First rows of query 1' }).getByText('n3').waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await next(page)
    await page.getByRole('radio', { name: /^db/ }).check()
    await next(page)
    await page.getByRole('radio', { name: /^Incremental/ }).check()
    await page.getByLabel('How changes of t are found').selectOption('column:changed')
    await page.getByText('everything, up to changed 1000; no index begins with changed').waitFor()
    await page.getByLabel('How changes of query 1 are found').selectOption('column:id')
    await page.getByText('everything, up to id 3').waitFor()
    await picture(page, 'wizard-mode')
    expect(await seriousFaults(page)).toEqual([])
    await next(page)
    await page.getByLabel('Destination of t', { exact: true }).fill('there')
    await page.getByLabel('When columns of the source change').selectOption('evolve')
    await page.getByLabel('Add columns that say').check()
    await page.getByRole('button', { name: 'How fast it may go' }).click()
    await page.getByLabel('rowsPerSecond').fill('5000')
    await page.getByRole('button', { name: /^Columns of t:/ }).click()
    await page.getByText('there is there, with ident int64, title utf8').waitFor()
    await page.getByLabel('Only rows of t where').fill('id <= 50')
    await page.getByLabel('At most so many rows').fill('20')
    await page.getByLabel('Destination of column id').fill('ident')
    expect(await page.getByLabel('Type of column id at the destination').getAttribute('placeholder')).toBe('int64')
    await picture(page, 'wizard-settings')
    expect(await seriousFaults(page)).toEqual([])
    for (const _ of ['schedule', 'review']) await next(page)
    await page.getByRole('button', { name: 'Job file (YAML)' }).click()
    const yaml = await page.getByLabel('Job file', { exact: true }).innerText()
    for (const line of ['drift: evolve', 'audit: true', 'rowsPerSecond: 5000', 'where: id <= 50', 'limit: 20']) {
      expect(yaml).toContain(line)
    }
    expect(yaml).toContain('query: SELECT id, name FROM t WHERE id < 4')
  })

  it('looks around in folders, and tells what a pattern means', async () => {
    const folder = temporaryFolder()
    for (const year of ['2025', '2026']) {
      mkdirSync(join(folder, 'orders', `year=${year}`), { recursive: true })
      for (const month of ['01', '02']) {
        writeFileSync(join(folder, 'orders', `year=${year}`, `${month}.csv`), `id,name\n${year}${month},one\n`)
      }
    }
    writeFileSync(join(folder, 'orders', 'notes.txt'), 'nothing')
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/lake', { kind: 'files', settings: { folder } })
    await server.call('PUT', '/connections/out', { locator: `sqlite:${join(folder, 'd.db')}` })
    await server.call('PUT', '/connections/web', { kind: 'http', settings: { url: 'http://127.0.0.1:1/' } })
    const page = await signIn(await openBrowser(), server)
    await page.getByRole('button', { name: 'New copy job' }).click()
    await page.getByRole('radio', { name: /^lake/ }).check()
    await next(page)
    await page.getByRole('button', { name: 'Open orders/' }).click()
    await page.getByRole('button', { name: 'Open orders/year=2026/' }).click()
    await page.getByRole('checkbox', { name: 'Copy orders/year=2026/01.csv' }).waitFor()
    await page.getByRole('button', { name: 'orders', exact: true }).click()
    await page.getByText('notes.txt').waitFor()
    await page.getByLabel('Files by a pattern').fill('orders/year=*/0?.csv')
    await page.getByText(/^4 files/).waitFor()
    await page.getByText('orders/year=2025/01.csv, orders/year=2025/02.csv').waitFor()
    await page.getByRole('button', { name: 'Copy what matches' }).click()
    await page.getByRole('button', { name: 'Look at orders/year=*/0?.csv' }).click()
    await page
      .getByRole('table', { name: /^First rows of/ })
      .getByText('202501')
      .waitFor()
    await picture(page, 'wizard-folders')
    expect(await seriousFaults(page)).toEqual([])
    await next(page)
    // A web server can be read, and no more.
    await page.getByRole('radio', { name: /^out/ }).waitFor()
    expect(await page.getByRole('radio', { name: /^web/ }).count()).toBe(0)
  })

  it('tells each fault once, beside its field', async () => {
    const folder = temporaryFolder()
    const db = new DatabaseSync(join(folder, 's.db'))
    db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE u (id INTEGER PRIMARY KEY)`)
    db.close()
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/one', { locator: `sqlite:${join(folder, 's.db')}` })
    await server.call('PUT', '/connections/files', { kind: 'files', settings: { folder } })
    const page = await signIn(await openBrowser(), server)
    /** What stands under a field; it stands nowhere else. */
    const beside = async (label: string, text: string | RegExp) => {
      const field = page.locator('.fui-Field').filter({ has: page.getByLabel(label, { exact: true }) })
      await field.getByText(text).first().waitFor()
      expect(await page.getByText(text).count(), `${text}`).toBe(1)
    }
    await page.getByRole('button', { name: 'New copy job' }).click()
    await page.getByRole('radio', { name: /^one/ }).check()
    await next(page)
    await page.getByRole('checkbox', { name: 'Copy t' }).check()
    await page.getByRole('checkbox', { name: 'Copy u' }).check()
    await next(page)
    await page.getByRole('radio', { name: /^files/ }).check()
    await next(page)
    await next(page)
    await page.getByRole('button', { name: 'How fast it may go' }).click()
    await page.getByLabel('bytesPerSecond').fill('fast')
    await beside('bytesPerSecond', 'fast is not a size such as 64MB')
    await page.getByRole('button', { name: 'How they are written' }).click()
    await page.getByLabel('rowsPerFile').fill('-1')
    await beside('rowsPerFile', 'must be more than 0')
    await page.getByRole('button', { name: /^Columns of u:/ }).click()
    await page.getByLabel('At most so many rows').fill('1.5')
    await beside('At most so many rows', 'must be a whole number')
    await picture(page, 'wizard-faults')
    expect(await seriousFaults(page)).toEqual([])
    // The last step says where, and goes there.
    await page.getByRole('button', { name: /7. Review/ }).click()
    await page.getByText('see the messages beside their fields').waitFor()
    expect(await page.getByText('is not a size').count()).toBe(0)
    await page.getByRole('button', { name: 'Go to Mapping' }).click()
    await beside('bytesPerSecond', 'fast is not a size such as 64MB')
    await page.getByLabel('bytesPerSecond').fill('20MB')
    await page.getByLabel('rowsPerFile').fill('10')
    await page.getByLabel('At most so many rows').fill('3')
    // What only the store can tell comes with the plan.
    await page.getByLabel('Only rows of u where').fill('absent = 1')
    await page.getByRole('button', { name: /7. Review/ }).click()
    await page
      .getByText(/no such column: absent/)
      .first()
      .waitFor()
    await page.getByRole('button', { name: 'Go to Mapping' }).click()
    await beside('Only rows of u where', /no such column: absent/)
    await page.getByLabel('Only rows of u where').fill('id = 1')
    await page.getByText('something is wrong').waitFor({ state: 'detached' })
    // Of a schedule the part that is wrong.
    await next(page)
    await page.getByRole('button', { name: 'Add a schedule' }).click()
    await page.getByLabel('Times of day').fill('6am')
    await beside('Times of day', /a time of day such as 06:30/)
    await page.getByLabel('Repeats').selectOption('cron')
    await page.getByLabel('Cron expression').fill('0 99 * * *')
    await beside('Cron expression', /the hour of the cron expression is wrong: 99/)
    expect(await page.getByRole('alert').filter({ hasText: 'FERRY' }).count()).toBe(0)
    expect(await seriousFaults(page)).toEqual([])
  })

  it('can be walked with the keyboard alone', async () => {
    const folder = temporaryFolder()
    const db = new DatabaseSync(join(folder, 's.db'))
    db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2)`)
    db.close()
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/one', { locator: `sqlite:${join(folder, 's.db')}` })
    await server.call('PUT', '/connections/two', { locator: `sqlite:${join(folder, 'd.db')}` })
    const page = await signIn(await openBrowser(), server)
    const { tabTo, press } = keyboardOf(page)
    await press('New copy job')
    await page.getByRole('radio', { name: /^one/ }).waitFor()
    await press(/^one/, 'Space')
    await press(/^Next$/)
    await page.getByRole('checkbox', { name: 'Copy t' }).waitFor()
    await press('Copy t', 'Space')
    await press(/^Next$/)
    await page.getByRole('radio', { name: /^two/ }).waitFor()
    await tabTo(/^one/)
    await page.keyboard.press('ArrowDown')
    for (const _ of ['mapping', 'mode', 'schedule', 'review']) await press(/^Next$/)
    await press('Save and run')
    await state(page, 'completed')
  })
})

describe('the job panel', () => {
  it('tells what is wrong with a connection that breaks, and what to do', async () => {
    const { server } = await slowJob()
    const page = await signIn(await openBrowser(), server)
    await page.getByRole('link', { name: 'Connections' }).click()
    await page.getByRole('button', { name: 'Edit pg' }).click()
    // What is wrong with a setting is told beside it.
    await page.getByLabel('port').fill('70000')
    await page.getByRole('button', { name: 'Test connection' }).click()
    await page.getByText('must be at most 65535').waitFor()
    expect(await page.getByText('FERRY-2003').count()).toBe(0)
    await page.getByLabel('port').fill('1')
    await page.getByRole('button', { name: 'Test connection' }).click()
    await page.getByText('FERRY-2001').waitFor()
    await page.getByRole('button', { name: 'Save connection' }).click()
    await page.getByText('pg saved').last().waitFor()
    await page.goto(`${server.url}/jobs/slow`)
    await page.getByRole('button', { name: 'Run now' }).click()
    await state(page, 'failed')
    const alert = page.getByRole('alert').filter({ hasText: 'FERRY-2001' })
    await alert.waitFor()
    expect(await alert.innerText()).toMatch(/127\.0\.0\.1:1/)
    await picture(page, 'failed')
    expect(await seriousFaults(page)).toEqual([])
    // Found again by a filter that is in the address; the failed one tells why, and gives the focus back.
    await page.goto(`${server.url}/monitor`)
    await page.getByLabel('State').selectOption('failed')
    await page.waitForURL(/state=failed/)
    await page.reload()
    expect(await page.getByLabel('State').inputValue()).toBe('failed')
    const pill = page.getByRole('button', { name: 'slow failed: show why' })
    await pill.focus()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').getByText('FERRY-2001').waitFor()
    expect(await page.getByRole('dialog').innerText()).not.toMatch(/ferry [a-z]|--/)
    expect(await seriousFaults(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await page.evaluate('document.activeElement.getAttribute("aria-label")')).toBe('slow failed: show why')
    await page.goto(`${server.url}/jobs/slow`)
    // Mended, it goes on.
    await server.call('PUT', '/connections/pg', {
      kind: 'postgres',
      settings: {
        host: '127.0.0.1',
        port: inject('postgresPort'),
        user: 'postgres',
        database: await databaseOf(server),
      },
    })
    await page.getByRole('button', { name: 'Resume' }).click()
    await state(page, 'running')
  })

  it('pauses, resumes and cancels; two browsers see the same, and one that reloads too', async () => {
    const { server } = await slowJob()
    const one = await signIn(await openBrowser(), server)
    const two = await signIn(await openBrowser({ dark: true }), server)
    for (const page of [one, two]) await page.goto(`${server.url}/jobs/slow`)
    await one.getByRole('button', { name: 'Run now' }).click()
    for (const page of [one, two]) await state(page, 'running')
    await until(async () => Number((await fact(two, 'Rows read')).replaceAll(',', '')) > 3000)
    await two.getByRole('img', { name: /^Rows a second/ }).waitFor()
    await picture(two, 'job-dark')
    await one.reload()
    await state(one, 'running')
    await two.getByRole('button', { name: 'Pause' }).click()
    for (const page of [one, two]) await state(page, 'paused')
    await one.getByRole('button', { name: 'Resume' }).waitFor()
    // The run is resumed; there is no second button that would do the same.
    expect(await one.getByRole('button', { name: 'Run now' }).count()).toBe(0)
    await one.getByRole('button', { name: 'Resume' }).click()
    for (const page of [one, two]) await state(page, 'running')
    await one.getByRole('button', { name: 'Cancel' }).click()
    await one.getByRole('button', { name: 'Cancel the run' }).click()
    for (const page of [one, two]) await state(page, 'cancelled')
    await two.getByRole('tab', { name: 'Run history' }).click()
    await two.getByRole('table', { name: 'Runs' }).getByText('cancelled').waitFor()
  })

  it('says that the server is away, and goes on by itself when it is back', async () => {
    const { server } = await slowJob()
    const page = await signIn(await openBrowser(), server)
    await page.goto(`${server.url}/jobs/slow`)
    await page.getByRole('button', { name: 'Run now' }).click()
    await state(page, 'running')
    server.kill('SIGKILL')
    await server.gone
    await page.getByText('The server does not answer').waitFor()
    const again = await startServer({ home: server.home, port: Number(new URL(server.url).port) })
    await page.getByText('The server does not answer').waitFor({ state: 'hidden' })
    await state(page, 'completed')
    expect(await again.waitFor('slow', 'completed')).toMatchObject({ rowsRead: 30_000 })
    expect(await fact(page, 'Rows written')).toBe('30,000')
  })

  it('schedules: the next five times, turned off and on, and what came of one', async () => {
    const { server } = await slowJob(10, 1000)
    const page = await signIn(await openBrowser(), server)
    await page.goto(`${server.url}/jobs/slow/schedules`)
    await page.getByRole('button', { name: 'New schedule' }).click()
    await page.getByLabel('Repeats').selectOption('every')
    await page.getByLabel('Every', { exact: true }).fill('2 s')
    await page.getByText(/^Next: /).waitFor()
    expect((await page.getByText(/^Next: /).innerText()).split('·')).toHaveLength(5)
    await page.getByRole('button', { name: 'Keep schedule' }).click()
    const grid = page.getByRole('table', { name: 'Schedules' })
    await grid.getByText('every 2 s').waitFor()
    await until(async () => {
      await page.reload()
      await grid.getByText('every 2 s').waitFor()
      return (await grid.getByText(/asked for/).count()) > 0
    }, 'the schedule to have run the job')
    await picture(page, 'schedules')
    expect(await seriousFaults(page)).toEqual([])
    await grid.getByRole('switch').click()
    await page.getByText('Schedules saved').last().waitFor()
    const { body } = await server.call<{ next: string[] }[]>('GET', '/jobs/slow/schedules')
    expect(body[0]!.next).toEqual([])
    // A trigger that is called, with its secret.
    await page.getByRole('button', { name: 'New trigger' }).click()
    await page.getByLabel('Name of the trigger').fill('call')
    await page.getByLabel('Runs when').selectOption('webhook')
    await page.getByRole('button', { name: 'Keep trigger' }).click()
    await page.getByRole('button', { name: 'Secret of call' }).click()
    await page.getByRole('button', { name: 'Make it' }).click()
    const told = await page.getByText(/Authorization: Bearer/).innerText()
    const [, secret, address] = /Bearer ([\w-]+)' (\S+)/.exec(told)!
    const called = await fetch(address!, { method: 'POST', headers: { authorization: `Bearer ${secret}` } })
    expect(called.status).toBe(202)
    // It is switched off, and named anew; what it was asked stays.
    const triggers = page.getByRole('table', { name: 'Triggers' })
    await triggers.getByRole('switch').click()
    await page.getByText('Triggers saved').last().waitFor()
    await page.getByRole('button', { name: 'Edit call' }).click()
    await page.getByLabel('Name of the trigger').fill('called')
    await page.getByRole('button', { name: 'Keep trigger' }).click()
    await triggers.getByText('called', { exact: true }).waitFor()
    const { body: now } = await server.call<{ trigger: object }[]>('GET', '/jobs/slow/triggers')
    expect(now[0]!.trigger).toMatchObject({ name: 'called', webhook: true, enabled: false })
    expect(await seriousFaults(page)).toEqual([])
    // A job as a file, wrong first.
    await page.getByRole('link', { name: 'Jobs' }).click()
    await page.getByRole('button', { name: 'From a job file' }).click()
    const text = page.getByLabel('Job file')
    await text.fill('name: filed\nsource: sqlite:a.db\ndestination: sqlite:b.db\ntabels: [t]\n')
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page
      .getByText(/did you mean "tables"/)
      .first()
      .waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await text.fill((await text.inputValue()).replace('tabels', 'tables'))
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.getByRole('heading', { name: 'filed' }).waitFor()
  })

  it('resets a table, and copies skipped rows again', async () => {
    const { server, client, job } = await slowJob(20, 100_000)
    await client.query(`CREATE TABLE target (id int PRIMARY KEY, name text CONSTRAINT short CHECK (length(name) < 6))`)
    const table = { from: 'public.source', to: 'public.target', incrementalColumn: 'id' }
    const skips = { ...job, mode: 'incremental', tables: [table], onRowError: 'skip', narrowing: 'check' }
    await server.call('PUT', '/jobs/slow', skips)
    const page = await signIn(await openBrowser(), server)
    await page.goto(`${server.url}/jobs/slow`)
    await page.getByRole('button', { name: 'Run now' }).click()
    await page.getByText(/11 rows were skipped/).waitFor()
    await page.getByRole('button', { name: 'Show rows' }).click()
    await page.getByRole('dialog').getByText('row 10').first().waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await page.getByRole('button', { name: 'Close' }).click()
    await client.query('ALTER TABLE target DROP CONSTRAINT short')
    await page.getByRole('button', { name: 'Retry skipped rows' }).click()
    await page.getByText('11 rows copied, 0 are left').last().waitFor()
    expect((await client.query('SELECT count(*)::int AS n FROM target')).rows[0].n).toBe(20)
    await page.getByRole('button', { name: 'Reset public.source' }).click()
    await page.getByRole('button', { name: 'Reset', exact: true }).last().click()
    await page
      .getByText(/copies everything of public.source again/)
      .last()
      .waitFor()
    await page.getByRole('button', { name: 'Run now' }).click()
    await until(async () => (await server.call<{ runs: object[] }>('GET', '/runs?job=slow')).body.runs.length === 2)
    expect(await server.waitFor('slow', 'completed')).toMatchObject({ rowsRead: 20 })
    await page.getByRole('tab', { name: 'Totals' }).click()
    await page.getByRole('table', { name: 'Totals' }).getByText('40', { exact: true }).first().waitFor()
  })

  it('copies a container online until it is told to complete', async () => {
    const running = await account({ continuousBackup: true } as never)
    makeContainer(running, 'orders')
    makeContainer(running, 'copy')
    fill(running, 'orders', 2000)
    const server = await startServer()
    const { kind, ...settings } = endpointOf(running)
    await server.call('PUT', '/connections/account', { kind, settings })
    const page = await signIn(await openBrowser(), server)
    await page.getByRole('button', { name: 'New copy job' }).click()
    await page.getByRole('radio', { name: /^account/ }).check()
    await next(page)
    await page.getByRole('checkbox', { name: /^Copy .*orders$/ }).check()
    await next(page)
    await page.getByRole('radio', { name: /^account/ }).check()
    await next(page)
    await page.getByRole('radio', { name: /^Online/ }).check()
    await next(page)
    await page.getByRole('textbox', { name: /^Destination of .*orders$/ }).fill('shop.copy')
    await next(page)
    await next(page)
    await page.getByRole('table', { name: 'Plan' }).getByText('shop.copy').waitFor()
    await page.getByLabel('Name of the job').fill('online')
    await page.getByRole('button', { name: 'Save and run' }).click()
    await state(page, 'running')
    await page.locator('[data-fact=Behind]').waitFor()
    const { account: a } = running
    const container = a.container('shop', 'orders')
    a.store.transaction(() => {
      for (let i = 0; i < 50; i++) container.create(`{"id":"late${i}","customer":"c1"}`)
      container.saveLsn()
    })
    await until(() => contents(running, 'copy').size === 2050, 'the changes to arrive')
    await picture(page, 'online')
    await page.getByRole('button', { name: 'Complete' }).click()
    await page.getByRole('alertdialog').getByRole('button', { name: 'Complete' }).click()
    await state(page, 'completed')
    expect(contents(running, 'copy')).toEqual(contents(running, 'orders'))
  })

  it('stays quick with a thousand tables', async () => {
    const folder = temporaryFolder()
    const db = new DatabaseSync(join(folder, 'many.db'))
    db.exec('BEGIN')
    for (let i = 0; i < 1000; i++)
      db.exec(`CREATE TABLE table_${String(i).padStart(4, '0')} (id INTEGER PRIMARY KEY, a TEXT)`)
    db.exec('COMMIT')
    db.close()
    const server = await startServer({ folder })
    await server.call('PUT', '/connections/many', { locator: `sqlite:${join(folder, 'many.db')}` })
    await server.call('PUT', '/connections/copy', { locator: `sqlite:${join(folder, 'copy.db')}` })
    const ends = { source: { connection: 'many' }, destination: { connection: 'copy' } }
    await server.call('POST', '/jobs', { name: 'many', ...ends, update: 'merge', tables: ['*'] })
    await server.call('POST', '/jobs/many/runs')
    await server.waitFor('many', 'completed')
    const page = await signIn(await openBrowser(), server)
    await page.goto(`${server.url}/jobs/many`)
    const grid = page.getByRole('table', { name: 'Tables' })
    await grid.getByText('table_0000').first().waitFor()
    expect(await grid.getAttribute('aria-rowcount')).toBe('1001')
    // Only what is seen is in the page.
    expect(await grid.locator('tbody tr').count()).toBeLessThan(60)
    await page.getByLabel('Search tables').fill('0777')
    await grid.getByText('table_0777').first().waitFor()
    await page.getByText('1 of 1,000 tables').waitFor()
    // All of them at once, by a column or by name.
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByRole('button', { name: '2. Tables' }).click()
    await page.getByLabel('Search tables').fill('05')
    const found = page.getByRole('checkbox', { name: /All .* found/ })
    await found.check()
    await page.getByRole('button', { name: '4. Copy mode' }).click()
    await page.getByRole('radio', { name: /^Incremental/ }).check()
    await page.getByLabel('A column that all tables have').fill('id')
    await page.getByRole('button', { name: 'All by this column' }).click()
    expect(await page.getByRole('button', { name: 'Next', exact: true }).isEnabled()).toBe(true)
  })
})

describe('every page', () => {
  it.each([false, true])('has no serious fault for a screen reader (dark: %s)', async dark => {
    const { server } = await slowJob(100, 100_000)
    await server.call('PUT', '/jobs/slow/schedules', [{ name: 's', daily: ['06:00'] }])
    await server.call('PUT', '/jobs/slow/triggers', [{ name: 'hook', webhook: true }])
    await server.call('POST', '/jobs/slow/runs')
    const run = await server.waitFor('slow', 'completed')
    const context = await openBrowser({ dark })
    const first = await context.newPage()
    await first.goto(server.url)
    await first.getByRole('button', { name: 'Sign in' }).waitFor()
    expect(await seriousFaults(first), 'sign in').toEqual([])
    const page = await signIn(context, server)
    for (const [path, there] of [
      ['/jobs', 'slow'],
      ['/jobs/new', 'Where do rows come from?'],
      ['/jobs/slow', 'public.target'],
      ['/jobs/slow/history', 'completed'],
      ['/jobs/slow/totals', 'public.target'],
      ['/jobs/slow/schedules', 'daily at 06:00'],
      ['/jobs/slow/plan', 'public.target'],
      ['/jobs/slow/definition', 'Job file'],
      [`/runs/${run.id}`, 'public.target'],
      ['/monitor', 'slow'],
      ['/connections', 'pg'],
      ['/access', 'Make a token'],
      ['/nowhere', 'There is no such page'],
    ] as const) {
      await page.goto(`${server.url}${path}`)
      await page.getByText(there).first().waitFor()
      expect(await seriousFaults(page), path).toEqual([])
      if (path === '/monitor' && !dark) await picture(page, 'monitor')
    }
    // The description of the API is a page too.
    await page.goto(`${server.url}/docs/`)
    await page.getByText('Keeps a new job').waitFor()
  })

  it.each([800, 1280, 1920])(
    'has no serious faults at %i px, and from 1280 no width that is scrolled to',
    async width => {
      const { server } = await slowJob(100, 100_000)
      await server.call('POST', '/jobs/slow/runs')
      await server.waitFor('slow', 'completed')
      const page = await signIn(await openBrowser(), server)
      await page.setViewportSize({ width, height: 900 })
      const places = ['jobs', 'jobs/new', 'jobs/new/file', 'jobs/slow', 'runs/slow', 'monitor', 'connections', 'access']
      for (const tab of ['history', 'totals', 'schedules', 'triggers', 'definition']) places.push(`jobs/slow/${tab}`)
      for (const place of places) {
        await page.goto(`${server.url}/${place}`)
        await page.locator('main h1, main h2').first().waitFor()
        await until(async () => (await page.getByText('Loading').count()) === 0, `${place} to be loaded`)
        expect(await seriousFaults(page), place).toEqual([])
        const [needed, there] = (await page.evaluate(
          `(m => [m.scrollWidth, m.clientWidth])(document.querySelector('main'))`,
        )) as [number, number]
        if (width >= 1280) expect(needed, `${place} at ${width} px`).toBeLessThanOrEqual(there)
      }
    },
  )

  it('opens, answers and closes every dialog by the keyboard alone', async () => {
    // The second half of the rows does not fit.
    const { server } = await serverWithSkipped(
      10,
      'id INTEGER PRIMARY KEY, name TEXT, changed INTEGER CHECK (changed <= 5)',
    )
    const { body: job } = await server.call<{ definition: object }>('GET', '/jobs/job')
    const definition = { ...job.definition, mode: 'incremental', incrementalColumn: 'changed', update: 'merge' }
    await server.call('PUT', '/jobs/job', { ...definition, triggers: [{ name: 'hook', webhook: true }] })
    await server.call('POST', '/jobs/job/runs')
    await server.waitFor('job', 'completed')
    await server.call('PUT', '/connections/one', { locator: 'sqlite:one.db' })
    await server.call('POST', '/tokens', { name: 'looker', role: 'viewer' })
    const page = await signIn(await openBrowser(), server)
    const { press } = keyboardOf(page)
    const dialog = page.getByRole('dialog').or(page.getByRole('alertdialog'))
    const isInside = () =>
      page.evaluate<boolean>(`document.activeElement.closest('[role=dialog], [role=alertdialog]') !== null`)
    const dialogs: [path: string, open: string[], title: string | RegExp][] = [
      ['/connections', ['New connection'], 'New connection'],
      ['/connections', ['Edit one'], 'Connection one'],
      ['/connections', ['Remove one'], 'Remove the connection one?'],
      ['/access', ['Remove looker'], 'Remove the token looker?'],
      ['/jobs/job', ['Show rows'], 'Skipped rows'],
      ['/jobs/job', ['Reset items'], 'Reset items?'],
      ['/jobs/job/schedules', ['Secret of hook'], 'Make the secret?'],
      ['/jobs/job', ['More', 'Reset'], 'Reset the job?'],
      ['/jobs/job', ['More', 'Remove'], 'Remove the job?'],
    ]
    for (const [path, open, title] of dialogs) {
      await page.goto(`${server.url}${path}`)
      await page.getByRole('button', { name: open[0]!, exact: true }).first().waitFor()
      await press(new RegExp(`^(${open[0]} ?)+$`))
      for (const item of open.slice(1)) {
        await page.getByRole('menuitem', { name: item, exact: true }).waitFor()
        for (let i = 0; i < 5 && (await focused(page)) !== item; i++) await page.keyboard.press('ArrowDown')
        await page.keyboard.press('Enter')
      }
      await dialog.getByText(title).first().waitFor()
      await until(isInside, `the focus to be in "${title}"`)
      // It goes round within the dialog.
      for (let i = 0; i < 25; i++) {
        await page.keyboard.press('Tab')
        await until(isInside, `the focus to stay in "${title}"`)
      }
      expect(await seriousFaults(page), String(title)).toEqual([])
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'hidden' })
      await until(async () => new RegExp(open[0]!).test(await focused(page)), `the focus to be back behind "${title}"`)
    }
    // What they ask is answered too.
    await page.goto(`${server.url}/access`)
    await page.getByRole('button', { name: 'Remove looker' }).waitFor()
    await press('Remove looker')
    await dialog.waitFor()
    await press(/^Remove$/)
    await until(async () => (await server.call<object[]>('GET', '/tokens')).body.length === 0)
  })

  it('asks who is signed in before a link with another token changes it', async () => {
    const server = await startServer()
    const { body } = await server.call<{ token: string }>('POST', '/tokens', { name: 'vera', role: 'viewer' })
    const page = await signIn(await openBrowser(), server)
    await page.getByText('No jobs yet').waitFor()
    const open = () => page.evaluate(`location.hash = 'token=${body.token}'`)
    await open()
    await page.getByRole('dialog').waitFor()
    expect(await seriousFaults(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByRole('button', { name: /\(admin\)/ }).waitFor()
    expect(page.url()).not.toContain('token=')
    await open()
    await page.getByRole('button', { name: 'Sign in with the link' }).press('Enter')
    await page.getByRole('button', { name: 'vera (viewer)' }).waitFor()
  })

  it('shows to a viewer what they may see, and offers nothing else', async () => {
    const { server } = await slowJob(100, 100_000)
    await server.call('POST', '/jobs/slow/runs')
    await server.waitFor('slow', 'completed')
    const { body } = await server.call<{ token: string }>('POST', '/tokens', { name: 'looker', role: 'viewer' })
    const page = await signIn(await openBrowser(), { ...server, token: body.token })
    expect(await page.getByRole('button', { name: 'New copy job' }).count()).toBe(0)
    expect(await page.getByRole('link', { name: 'Access' }).count()).toBe(0)
    await page.getByRole('link', { name: 'slow' }).click()
    await page.getByText('public.target').first().waitFor()
    await page.goto(`${server.url}/jobs/new`)
    await page.getByText('made and edited by administrators').waitFor()
    await page.goBack()
    for (const name of ['Run now', 'Edit', 'Cancel']) {
      expect(await page.getByRole('button', { name }).count(), name).toBe(0)
    }
    await page.getByRole('link', { name: 'Monitor' }).click()
    await page.getByLabel('State').selectOption('failed')
    await page.getByText('No such runs').waitFor()
    await page.getByLabel('State').selectOption('completed')
    await page.getByRole('table', { name: 'Runs' }).getByText('slow').waitFor()
    await page.getByRole('button', { name: /looker/ }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
  })
})

/** A page without a mouse. */
function keyboardOf(page: Page) {
  /** Tabs until what has the focus has a name. */
  const tabTo = async (name: string | RegExp) => {
    for (let i = 0; i < 60; i++) {
      const label = await focused(page)
      if (typeof name === 'string' ? label.includes(name) : name.test(label)) return
      await page.keyboard.press('Tab')
    }
    throw new Error(`the keyboard does not reach ${name}`)
  }
  const press = async (name: string | RegExp, key = 'Enter') => {
    await tabTo(name)
    await page.keyboard.press(key)
  }
  return { tabTo, press }
}

/** What the element that has the focus is called. */
async function focused(page: Page): Promise<string> {
  return page.evaluate(`(e => [
    e.getAttribute('aria-label') ?? '', ...[...(e.labels ?? [])].map(l => l.textContent),
    e.matches('a, button, [role=menuitem]') ? e.textContent : '',
  ].join(' ').trim())(document.activeElement)`)
}

async function databaseOf(server: TestServer): Promise<string> {
  const { body } = await server.call<{ settings: { database: string } }>('GET', '/connections/pg')
  return body.settings.database
}
