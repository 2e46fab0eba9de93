import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matcher } from './glob.ts'

describe('names by pattern', () => {
  it('are those that a regular expression finds', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'A', '*', '?', '.'), maxLength: 8 })
    fc.assert(
      fc.property(text, text, (pattern, name) => {
        const body = pattern
          .replace(/[.+^${}()|[\]\\]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')
        expect(matcher(pattern)(name)).toBe(new RegExp(`^${body}$`, 'is').test(name))
        expect(matcher(pattern, { exact: true })(name)).toBe(new RegExp(`^${body}$`, 's').test(name))
      }),
    )
  })

  it('take a moment, whatever the pattern', () => {
    const began = process.cpuUsage()
    expect(matcher(`${'*a'.repeat(30)}b`)('a'.repeat(5000))).toBe(false)
    expect(process.cpuUsage(began).user).toBeLessThan(1_000_000)
  })
})
