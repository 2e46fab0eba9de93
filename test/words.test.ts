/** Advice is told in the words of whoever reads it: a page names buttons, not commands. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ERRORS } from '../ferry/src/errors.ts'
import { pageWords } from '../web/src/words.ts'
import { root } from './support.ts'

/** What only a terminal is told. */
const TERMINAL = /ferry\/src\/(cli|runtime\/(copyjobs|folders)|server\/serve|facades\/cosmos)|ferry cosmos copy/

it('no page shows a command line', () => {
  const hints = Object.values(ERRORS).map(([, hint]) => ({ hint: hint as string, path: 'errors.ts' }))
  for (const path of globSync('ferry/src/**/*.ts', { cwd: root }).filter(p => !p.endsWith('.test.ts'))) {
    const text = readFileSync(join(root, path), 'utf8')
    for (const [, quote, hint] of text.matchAll(/hint:\s*(?:[^'"`\n]*\?\s*)?(['"`])((?:(?!\1).)+)\1/gs)) {
      hints.push({ path, hint: quote === '`' ? hint!.replaceAll(/\$\{[^}]*\}/g, 'name') : hint! })
    }
  }
  expect(hints.length).toBeGreaterThan(100)
  const shown = hints.filter(({ hint, path }) => !TERMINAL.test(path) && !TERMINAL.test(hint))
  const faults = shown.filter(({ hint }) => /\bferry [a-z]|--[a-z]/.test(pageWords(hint)))
  expect(faults).toEqual([])
})

it('what is no command stays as it is', () => {
  for (const hint of ['Its tables: public.*, main.t_*.', 'Take 2 * 3 rows', 'Its tables: ferrying, list.']) {
    expect(pageWords(hint)).toBe(hint)
  }
})
