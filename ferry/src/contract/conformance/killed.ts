/** The process that is killed: commits a row at a time, and prints how many are committed after each. */
import { parseType } from '../../batch/types.ts'
import { loadConnector, loadConnectorFiles } from '../../connectors/registry.ts'
import { Policy } from '../../policy.ts'
import { SPLIT, takeFrom } from './taken.ts'

const { endpoint, rows, known, ...words } = JSON.parse(process.argv[2]!)
const { kind, ...settings } = endpoint
await loadConnectorFiles()
const store = (await loadConnector(kind)).open(settings, Policy.from(process.env))
const columns = [
  { name: 'id', type: parseType('utf8')!, nullable: false },
  { name: 'n', type: parseType('int64')!, nullable: true },
]
const taken = await takeFrom(store, words, columns, {
  epoch: words.epoch,
  known: { splits: new Map(known.splits), published: known.published },
})
const { table, committed } = taken
const had = committed.splits.get(0)
const tell = (count: number) => process.stdout.write(`${count}\n`)
if (!committed.published && (!had || had.checkpoint !== undefined)) {
  const from = Number(had?.checkpoint ?? 0)
  const writer = await table.open(SPLIT, { encoding: 'rows' }, had ? { from: had.checkpoint! } : {})
  tell(from)
  for (let i = from; i < rows; i++) {
    await writer.write({ kind: 'rows', rows: [[`r${i}`, i]], bytes: 1 })
    if (table.unit === 'split' && i < rows - 1) {
      await writer.commit(String(i + 1), { rows: 1, bytes: 1 })
      tell(i + 1)
    }
  }
  const left = table.unit === 'split' ? 1 : rows - from
  await writer.commit(undefined, { rows: left, bytes: left })
}
tell(rows)
await table.publish()
// Killed, not ended.
await new Promise(() => setInterval(() => {}, 1000))
