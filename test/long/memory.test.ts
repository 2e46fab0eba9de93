/** Memory stays flat whatever the size: a sample here, the full sizes in `npm run torture`. */
import { describe, expect, it } from 'vitest'
import { peakMemory, SHAPES } from '../memory.ts'
import { makeDatabase, temporaryFolder } from '../support.ts'

describe.skipIf(process.platform !== 'linux')('peak memory', () => {
  it.each(Object.entries(SHAPES))('%s', { timeout: 300_000 }, async (name, shape) => {
    const { url } = await makeDatabase()
    const folder = temporaryFolder()
    const small = await peakMemory(url, shape, 250_000_000, folder)
    const large = await peakMemory(url, shape, 600_000_000, folder)
    console.log(`${name}: ${small} MB for 250 MB, ${large} MB for 600 MB`)
    expect(large).toBeLessThan(name.includes('DuckDB') ? 450 : 300)
    expect(large).toBeLessThan(small * 1.25 + 20)
  })
})
