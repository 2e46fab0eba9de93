/** The suite of stores is tried: each of these stores does one thing wrong, and the suite must find it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root, temporaryFolder } from '../support.ts'

const right = readFileSync(join(root, 'test', 'wrong', 'ledgerbook.ts'), 'utf8').replace(
  `'../../ferry/`,
  `'${root}/ferry/`,
)

type Change = [from: string, to: string]

const WRONG: Record<string, Change[]> = {
  'a split that is begun counts as done': [['checkpoint: entry.checkpoint,', 'checkpoint: undefined,']],
  'nothing is known of what was committed': [['splits: book?.committed.get(tag) ?? new Map()', 'splits: new Map()']],
  'the rows of a split are counted from its last commit': [['rows += counts.rows', 'rows = counts.rows']],
  'reading that is resumed leaves out a row': [[': Number(from); at < end', ': Number(from) + 1; at < end']],
  'reading that is resumed begins anew': [['start : Number(from); at < end', 'start : start; at < end']],
  'a split ends a row early': [['spec: `${from} ${to}`', 'spec: `${from} ${id > 0 ? to - 1 : to}`']],
  'rows and their ledger line are two writes': [
    [
      'if (fs.existsSync(work)) add(work, block, lines)',
      `if (fs.existsSync(work)) add(work, { ...block, split: -1 }, lines)
       await new Promise(r => setTimeout(r, 20))
       Object.assign(block, { lines: 0, sum: sumOf('') })
       if (fs.existsSync(work)) add(work, block)`,
    ],
    [
      'splits: book?.committed.get(tag) ?? new Map()',
      'splits: new Map([...(book?.committed.get(tag) ?? [])].filter(([id]) => id !== -1))',
    ],
  ],
  'the state is asked instead of a fence': [
    ['if (fs.existsSync(file)) add(file, { fence: tag, epoch: run.epoch })', ''],
    ['fences.get(tag) ?? Infinity', 'fences.get(tag) ?? 0'],
    ['if (fs.existsSync(work)) add(work, block', 'await run.confirm()\nif (fs.existsSync(work)) add(work, block'],
  ],
  'checksums are always equal': [
    [
      '      fingerprint: async',
      `checksums: () => ({ by: 'x', buckets: async () => new Map(), async *rowsIn() {} }),
       fingerprint: async`,
    ],
  ],
  'names of columns are trimmed': [
    ['({ name: c.name, type: c.type, nullable', '({ name: c.name.trim(), type: c.type, nullable'],
  ],
  'values are matched by position': [
    ['request.columns.findIndex(m => m.name === c.name)', 'book.header.columns.indexOf(c)'],
  ],
  'the first one of rows with one key stays': [
    [
      'rows.set(header.key.length > 0 ? keyOf(header, row) : String(rows.size), row)',
      `const key = header.key.length > 0 ? keyOf(header, row) : String(rows.size)
       if (own.findIndex(l => header.key.length > 0 && keyOf(header, JSON.parse(l)) === key) < own.indexOf(line)) continue
       rows.set(key, row)`,
    ],
  ],
  'append replaces rows': [['if (unique && there.has(key))', 'if (false)']],
  'rows that are refused are not told': [['return [{ index, error }]', 'return []']],
  'an overwrite with nothing keeps the old rows': [
    ['fs.renameSync(work, path)', 'if (load(work)!.rows.length > 0 || !fs.existsSync(path)) fs.renameSync(work, path)'],
  ],
  'the place is told by its spelling': [['place: `ledgerbook:${folder}`', 'place: `ledgerbook:${given.folder}`']],
  'two tables of a run are one': [
    ['const tag = `${run.run}/${request.ordinal}`', 'const tag = run.run'],
    ['encodeURIComponent(`${object} ${tag}`)', 'encodeURIComponent(tag)'],
  ],
  'a filter is ignored': [[`if (request.where !== undefined) throw`, 'if (false) throw']],
  'a limit is ignored': [['.slice(0, request.limit)', '']],
  'truncate is ignored': [["update === 'overwrite' || request.truncate", "update === 'overwrite'"]],
  'statements are ignored': [['if (request.before.length + request.after.length > 0)', 'if (false)']],
  'an increment has no end': [[' || above(text, part.to, columns[part.at]!.type)) return false', ') return false']],
  'rows with the last value are not read again': [
    [' || (part.again && text === part.from)', ''],
    [' || (again && now.count !== last.count)', ''],
  ],
  'an overlap is ignored': [[' || overlap)', ')']],
  'rows without a value are left out': [[' || (part.isFirst && text === null)', '']],
  'an overwrite shows its rows before it is published': [
    [
      "const staged = update === 'overwrite' || request.truncate",
      "const staged = (update === 'overwrite' || request.truncate) && !existing",
    ],
    ['const makes = staged || !existing', "const makes = staged || !existing || update === 'overwrite'"],
    [
      'if (makes && !published()',
      "if (update === 'overwrite' && existing && load(path)?.header.by !== tag) fs.rmSync(path)\nif (makes && !published()",
    ],
  ],
  'what is published cannot be published again': [['if (!staged || published()) return', 'if (!staged) return']],
  'what is given up is said not to stay': [
    ['return published() || (load(path)?.committed.get(tag)?.size ?? 0) > 0', 'return false'],
  ],
  'a writer that is ended keeps its rows for the next one': [
    ['let lines: string[] = []\n        const lineOf', 'let lines = kept\n        const lineOf'],
    ['    return {\n      plan:', '    let kept: string[] = []\n    return {\n      plan:'],
    ['            lines = []\n            return {}', '            lines = kept = []\n            return {}'],
    ['          async abort() {\n            lines = []\n', '          async abort() {\n'],
  ],
  'no objects are listed': [
    ['.map(f => decodeURIComponent(f.slice(0, -5)))', '.map(f => decodeURIComponent(f.slice(0, -5))).slice(0, 0)'],
  ],
}

/** The names of the tests that failed; the first one ends them. */
async function failed(code: string): Promise<string[]> {
  const folder = temporaryFolder()
  const store = join(folder, 'ledgerbook.ts')
  writeFileSync(store, code)
  const report = join(folder, 'report.json')
  const words = ['run', 'test/wrong/suite.test.ts', '--config', 'test/wrong/vitest.config.ts', '--bail=1']
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const child = spawn(process.execPath, [vitest, ...words, '--reporter=json', `--outputFile=${report}`], {
    cwd: root,
    env: { ...process.env, FERRY_CONNECTORS: store },
    stdio: 'ignore',
  })
  await once(child, 'exit')
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const tests = testResults.flatMap((file: { assertionResults: object[] }) => file.assertionResults)
  expect(tests.length).toBeGreaterThan(80)
  return tests.filter((t: { status: string }) => t.status === 'failed').map((t: { fullName: string }) => t.fullName)
}

it('finds nothing wrong with the store that the others are made of', async () => {
  expect(await failed(right)).toEqual([])
})

it.each(Object.entries(WRONG))('finds it: %s', async (_, changes) => {
  let code = right
  for (const [from, to] of changes) {
    expect(code).toContain(from)
    code = code.replaceAll(from, () => to)
  }
  expect(await failed(code)).toHaveLength(1)
})
