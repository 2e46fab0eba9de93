/** A server does not call the addresses at which machines get their credentials: in a network of its own. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './support.ts'

const inside = (...words: string[]) => spawnSync('unshare', ['-rn', ...words], { encoding: 'utf8', timeout: 120_000 })
const canUnshare = process.platform === 'linux' && inside('ip', 'link', 'set', 'lo', 'up').status === 0

describe.skipIf(!canUnshare)('addresses of the machine itself', () => {
  it('are called by nobody, in whatever spelling', { timeout: 150_000 }, () => {
    const { stdout, stderr } = inside(process.execPath, join(root, 'test', 'ssrf', 'inside.ts'))
    const line = stdout.split('\n').find(l => l.startsWith('{"reachable"'))
    expect(line, stderr).toBeDefined()
    const { reachable, visits, answers, leaked } = JSON.parse(line!)
    expect(reachable, 'somebody would arrive').toBe(1)
    expect(visits, JSON.stringify(answers, undefined, 1)).toBe(0)
    expect(leaked).toBe(false)
    for (const { answer, body } of answers) expect(answer, body).toMatch(/FERRY-(2006|2003|2001|1006|6003)/)
  })
})
