/** What a server may open is what the processes that it starts may open. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../../test/support.ts'
import { Policy } from './policy.ts'

it('is handed to other processes as it is, whatever folders and variables are called', () => {
  const name = fc.string({ minLength: 1 })
  fc.assert(
    fc.property(fc.array(name), fc.array(name), name, (folders, variables, scratch) => {
      const limits = { folders, variables, scratch }
      const child = Policy.from(Policy.from({}).limitedTo(limits).forChild({}))
      expect(child).toMatchObject({ limits })
    }),
  )
})

it('a folder with a colon in its name opens no other one', () => {
  const folder = temporaryFolder()
  for (const name of ['a', 'a:b']) mkdirSync(join(folder, name))
  const limits = { folders: [join(folder, 'a:b')], variables: [], scratch: folder }
  const child = Policy.from(Policy.from({}).limitedTo(limits).forChild({}))
  expect(child.isAllowed(join(folder, 'a:b', 'x.csv'))).toBe(true)
  expect(child.isAllowed(join(folder, 'a', 'x.csv'))).toBe(false)
})
