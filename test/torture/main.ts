/**
 * `npm run torture`: the full counts of what `npm test` samples, over all pairs of stores; those with MariaDB where it is
 * installed. Its last result is kept in docs/torture.md.
 */
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

const root = join(import.meta.dirname, '..', '..')
const hasMariadb = spawnSync('mariadbd', ['--version'], { stdio: 'ignore' }).status === 0
const environment = {
  FERRY_KILLS: '6',
  FERRY_TAKEOVERS: '2',
  ...(hasMariadb ? { FERRY_SERVERS: 'mariadb' } : {}),
  ...process.env,
  FERRY_TORTURE: '1',
}
const began = Date.now()
const args = ['vitest', 'run', '--config', join('test', 'torture', 'vitest.config.ts'), ...process.argv.slice(2)]
const child = spawn('npx', args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'inherit'] })
let output = ''
child.stdout.setEncoding('utf8').on('data', text => {
  output += text
  process.stdout.write(text)
})
const status = await new Promise<number | null>(resolve => child.on('close', resolve))
const plain = stripVTControlCharacters(output)
const kept = plain
  .split('\n')
  .filter(line => /FERRY_SEED=|kills|takeovers|MB for|ms$|Tests |rows in/.test(line) && !/RUN/.test(line))
const minutes = Math.round((Date.now() - began) / 60_000)
writeFileSync(
  join(root, 'docs', 'torture.md'),
  `# The last torture\n\n\`npm run torture\` on ${cpus().length} processors, Node ${process.versions.node}, in ${minutes} minutes:\n\n\`\`\`\n${kept.map(l => l.trim()).join('\n')}\n\`\`\`\n`,
)
process.exit(status ?? 1)
