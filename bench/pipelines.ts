/**
 * `npm run bench:pipelines`: what activities cost that need nothing but the run itself, each saved in the state, and what expressions
 * cost. Whole processes for the pipelines; the memory is the most that the process had.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { evaluateText } from '../ferry/src/pipelines/expressions/evaluate.ts'
import { installed, keep } from './timing.ts'

const EXPRESSION = "@concat(pipeline().parameters.a, '/', formatDateTime(utcNow(), 'yyyy/MM/dd'))"
const EVALUATIONS = 500_000

const folder = mkdtempSync(join(tmpdir(), 'ferry-bench-'))
const ferry = await installed(folder)

/** A pipeline of two loops in one another with a SetVariable and an If that sets one: four activities a turn. */
function nested(outer: number, inner: number) {
  const set = (name: string, value: string) => ({
    name,
    type: 'SetVariable',
    typeProperties: { variableName: 'v', value },
  })
  const choose = {
    name: 'if',
    type: 'IfCondition',
    dependsOn: [{ activity: 'set', dependencyConditions: ['Succeeded'] }],
    typeProperties: {
      expression: { value: '@equals(mod(item(), 2), 0)', type: 'Expression' },
      ifTrueActivities: [set('even', "@concat('even ', item())")],
      ifFalseActivities: [set('odd', "@concat('odd ', item())")],
    },
  }
  const loop = (name: string, count: number, activities: object[]) => ({
    name,
    type: 'ForEach',
    typeProperties: { items: { value: `@range(0, ${count})`, type: 'Expression' }, isSequential: true, activities },
  })
  return {
    variables: { v: { type: 'String' } },
    activities: [loop('outer', outer, [loop('inner', inner, [set('set', '@string(item())'), choose])])],
  }
}

/** Seconds and the most memory of a run of a pipeline. */
function measured(name: string, outer: number, inner: number): { seconds: number; megabytes: number } {
  const factory = join(folder, name)
  mkdirSync(join(factory, 'pipeline'), { recursive: true })
  writeFileSync(join(factory, 'pipeline', 'p.json'), JSON.stringify({ name: 'p', properties: nested(outer, inner) }))
  const command = `${ferry} adf run --quiet --factory ${factory} --pipeline p`
  const script = `import resource, subprocess, time; t = time.time(); c = subprocess.run(${JSON.stringify(command)}, shell=True, stderr=subprocess.DEVNULL).returncode
print(time.time() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, c)`
  const env = { ...process.env, FERRY_HOME: join(folder, `home-${name}`) }
  const { stdout } = spawnSync('python3', ['-c', script], { encoding: 'utf8', env })
  const [seconds, megabytes, code] = stdout.trim().split(' ').map(Number)
  if (code !== 0) throw new Error(`${command} ended with ${code}`)
  return { seconds: seconds!, megabytes: megabytes! }
}

try {
  const parameters = { functions: new Map([['pipeline', () => ({ parameters: { a: 'x' } })]]) }
  const rates = Array.from({ length: 5 }, () => {
    const begin = performance.now()
    for (let i = 0; i < EVALUATIONS; i++) evaluateText(EXPRESSION, parameters)
    return EVALUATIONS / ((performance.now() - begin) / 1000)
  }).sort((a, b) => a - b)
  const empty = measured('empty', 1, 1)
  const many = measured('many', 100, 333)
  const more = measured('more', 300, 333)
  const each = ((many.seconds - empty.seconds) * 1000) / (100 * 333 * 3)
  const text = [
    `${cpus().length} processors, Node ${process.versions.node}.`,
    '',
    '| what | reach | measured |',
    '|---|---|---|',
    `| SetVariable and IfCondition in nested ForEach, each saved | <= 2 ms | ${each.toFixed(2)} ms (${(100 * 333 * 3).toLocaleString('en-US')} activities in ${many.seconds.toFixed(1)} s) |`,
    `| memory of 99,900 and of 299,700 such activities | flat | ${many.megabytes.toFixed(0)} MB, ${more.megabytes.toFixed(0)} MB |`,
    `| \`${EXPRESSION}\`, parsed once | >= 200,000 a second | ${Math.round(rates[2]!).toLocaleString('en-US')} a second |`,
  ].join('\n')
  console.log(`\n${text}`)
  keep('pipelines', text)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
