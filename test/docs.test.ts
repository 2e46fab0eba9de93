/** Documentation that follows from the code is up to date, and its links lead somewhere. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { madeFiles } from '../scripts/docs.ts'
import { root } from './support.ts'

describe('documentation', () => {
  it.each(madeFiles())('$path is what the code says (node scripts/docs.ts writes it)', ({ path, text }) => {
    expect(readFileSync(join(root, path), 'utf8')).toBe(text)
  })

  it.each(globSync('{*.md,{docs,ferry,bench}/**/*.md}', { cwd: root, exclude: p => p.includes('node_modules') }))(
    '%s links to what there is',
    path => {
      for (const [, link] of readFileSync(join(root, path), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
        expect(existsSync(join(root, dirname(path), link!)), link).toBe(true)
      }
    },
  )
})
