/** A stranger's first minute: the repository cloned into an empty folder, the README's commands typed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root, temporaryFolder } from './support.ts'

describe('a fresh clone', () => {
  it('runs npm start, then the commands that the README shows', { timeout: 600_000 }, () => {
    const folder = join(temporaryFolder(), 'ferry')
    execFileSync('git', ['clone', '--quiet', root, folder])
    // What is being worked on is tested, not only what is committed.
    const changed = execFileSync('git', ['ls-files', '--modified', '--others', '--exclude-standard', '-z'], {
      cwd: root,
      encoding: 'utf8',
    })
    for (const file of new Set(changed.split('\0').filter(Boolean))) {
      if (existsSync(join(root, file))) execFileSync('cp', ['--parents', file, folder], { cwd: root })
    }
    const environment: NodeJS.ProcessEnv = { ...process.env, CI: '1' }
    delete environment.FERRY_HOME
    // npm start installs by itself, as the first command.
    const start = spawnSync('npm', ['start'], { cwd: folder, env: environment, encoding: 'utf8' })
    expect(start.status, start.stderr).toBe(0)
    expect(start.stdout).toContain('Made sample/shop.db')
    expect(start.stdout).toContain('events -> events: equal')
    expect(start.stderr).toContain('completed: 209,000 rows')
    expect(start.stdout).toContain('What to try next')
    const again = spawnSync('npm', ['start'], { cwd: folder, env: environment, encoding: 'utf8' })
    expect(again.stdout, 'nothing is installed twice').not.toContain('Installing')
    const readme = spawnSync('npx', ['ferry', 'copy', 'sample/shop.db#orders', 'orders.csv'], {
      cwd: folder,
      env: { ...environment, FERRY_HOME: join(folder, 'home') },
      encoding: 'utf8',
    })
    expect(readme.status, readme.stderr).toBe(0)
    expect(existsSync(join(folder, 'orders.csv'))).toBe(true)
  })
})
