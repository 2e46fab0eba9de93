/** A real Chromium, signed in; pictures for the README; what axe says of a page. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'
import type { TestServer } from '../server.ts'
import { root } from '../support.ts'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

let shared: Browser | undefined

async function browser(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM ?? PLACES.find(p => existsSync(p))
  if (!executablePath) throw new Error('there is no Chromium: apt-get install chromium, or CHROMIUM=/path')
  shared ??= await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
  return shared
}

export async function closeBrowser(): Promise<void> {
  await shared?.close()
  shared = undefined
}

/** A browser of its own, not signed in. Faults of scripts and of the page's policy fail the test. */
export async function openBrowser(options: { dark?: boolean } = {}): Promise<BrowserContext> {
  const context = await (await browser()).newContext({
    viewport: { width: 1280, height: 800 },
    colorScheme: options.dark ? 'dark' : 'light',
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    // What moves cannot be looked at.
    reducedMotion: 'reduce',
  })
  context.setDefaultTimeout(30_000)
  const faults: string[] = []
  context.on('weberror', error => faults.push(error.error().message))
  context.on('console', message => {
    // Answers such as 401 and 422 are told by the browser too.
    if (message.type() === 'error' && !/Failed to load resource|ERR_|EventSource/.test(message.text()))
      faults.push(message.text())
  })
  onTestFinished(async () => {
    await context.close()
    expect(faults).toEqual([])
  })
  return context
}

export async function signIn(context: BrowserContext, server: TestServer): Promise<Page> {
  const page = await context.newPage()
  await page.goto(`${server.url}/#token=${server.token}`)
  await page.getByRole('heading', { name: 'Jobs', exact: true }).waitFor()
  return page
}

/** What axe finds in a page, of serious and critical weight. */
export async function seriousFaults(page: Page): Promise<string[]> {
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  await page.evaluate(axe)
  // Fluent's own marks for the keyboard are hidden and take the focus only to hand it on.
  const found = (await page.evaluate(
    `axe.run({ exclude: [['[data-tabster-dummy]']] }, { resultTypes: ['violations'] }).then(r => r.violations)`,
  )) as { id: string; impact: string; nodes: { html: string; target: unknown; failureSummary: string }[] }[]
  return found
    .filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `${v.id}: ${v.nodes[0]?.target} ${v.nodes[0]?.html} ${v.nodes[0]?.failureSummary}`)
}

/** Keeps a picture for the README where FERRY_PICTURES asks for it: of the page, or of a part of it. */
export async function picture(page: Page, name: string, part: Page | Locator = page): Promise<void> {
  if (!process.env.FERRY_PICTURES) return
  const folder = join(root, 'docs', 'pictures')
  mkdirSync(folder, { recursive: true })
  // What was just told goes away by itself.
  await page
    .getByRole('alert')
    .first()
    .waitFor({ state: 'hidden', timeout: 1000 })
    .catch(() => undefined)
  await part.screenshot({ path: join(folder, `${name}.png`) })
}
