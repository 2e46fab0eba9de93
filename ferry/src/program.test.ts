import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root, temporaryFolder } from '../../test/support.ts'
import { hasPipes } from './duckdb/pipe.ts'

it.runIf(hasPipes)(
  'a process leaves at once, though a statement of an engine waits for a pipe that nobody reads',
  async () => {
    const folder = temporaryFolder()
    const script = join(folder, 'waits.ts')
    const from = (path: string) => JSON.stringify(join(root, 'ferry', 'src', path))
    writeFileSync(
      script,
      `import { readSync, openSync, constants } from 'node:fs'
import { Duckdb } from ${from('duckdb/engine.ts')}
import { NamedPipe } from ${from('duckdb/pipe.ts')}
import { Policy } from ${from('policy.ts')}
import { leave } from ${from('program.ts')}
const pipe = new NamedPipe(${JSON.stringify(folder)})
const fd = openSync(pipe.path, constants.O_RDONLY | constants.O_NONBLOCK)
const db = await Duckdb.open(Policy.from({}))
db.run("COPY (SELECT range AS i FROM range(100000000)) TO '" + pipe.path + "' (FORMAT csv)").catch(() => {})
const begun = () => {
  try {
    return readSync(fd, Buffer.alloc(1)) === 1
  } catch {
    return false
  }
}
// It has begun to write, and will wait when the pipe is full.
const look = () => (begun() ? leave() : setImmediate(look))
look()
`,
    )
    const child = spawn(process.execPath, [script], { stdio: 'inherit' })
    const [, signal] = await once(child, 'exit')
    expect(signal).toBe('SIGKILL')
  },
  20_000,
)
