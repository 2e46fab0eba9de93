import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Store } from './store.ts'

it('a file has one owner, until that one ends', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cosmos-local-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'account.db')
  const first = new Store(path)
  expect(() => new Store(path)).toThrow('runs already')
  first.close()
  new Store(path).close()
})
