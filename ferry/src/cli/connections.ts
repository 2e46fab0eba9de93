import { settingNames } from '../connectors/settings.ts'
import { didYouMean, FerryError } from '../errors.ts'
import { parseStore } from '../job/locator.ts'
import { openStore, resolveEndpoint } from '../runtime/stores.ts'
import { connectionName, listConnections, removeConnection, saveConnection } from '../state/connections.ts'
import { policyOf, type VariableOptions } from './job.ts'
import { printJson, table, usage } from './output.ts'
import { withState } from './state.ts'

type Options = VariableOptions & { json: boolean }

export default async function connections(args: string[], options: Options): Promise<void> {
  const [action = 'list', name, locator] = args
  const say = (value: unknown, line: string) => (options.json ? printJson(value) : process.stdout.write(`${line}\n`))
  await withState(async state => {
    switch (action) {
      case 'list': {
        const all = await listConnections(state.db)
        const rows = all.map(c => [c.name, c.kind, JSON.stringify(c.settings)])
        say(all, all.length > 0 ? table(['name', 'kind', 'settings'], rows) : 'No connections yet.')
        break
      }
      case 'add': {
        if (!name || !locator) throw usage("ferry connections add NAME LOCATOR [--set password='${SHOP_PASSWORD}']")
        if (!connectionName.safeParse(name).success) {
          throw new FerryError('FERRY-1003', `${name}: letters, digits, dot, dash and underscore, at most 100`)
        }
        const { kind, settings } = parseStore(locator)
        const connection = { name, kind, settings: { ...settings, ...settingsGiven(kind, options.set ?? []) } }
        await saveConnection(state.db, connection)
        say(connection, `added ${name}; try it: ferry connections test ${name}`)
        break
      }
      case 'test': {
        if (!name) throw usage('ferry connections test NAME')
        const policy = policyOf(options)
        const store = await openStore(await resolveEndpoint({ connection: name }, state, policy), policy)
        try {
          const answer = await store.test()
          say({ name, ok: true, answer }, `${name}: ${answer}`)
        } finally {
          await store.close()
        }
        break
      }
      case 'remove': {
        if (!name) throw usage('ferry connections remove NAME')
        await removeConnection(state.db, name)
        say({ removed: name }, `removed ${name}`)
        break
      }
      default:
        throw usage('ferry connections add|list|test|remove')
    }
  })
}

/** `--set NAME=value` pairs as settings of a connector. Throws FERRY-1003 for one that it does not have. */
function settingsGiven(kind: string, pairs: string[]): Record<string, string> {
  const known = settingNames(kind)
  return Object.fromEntries(
    pairs.map(pair => {
      const at = pair.indexOf('=')
      const name = at < 0 ? pair : pair.slice(0, at)
      if (at > 0 && known.includes(name)) return [name, pair.slice(at + 1)]
      if (at < 1) throw new FerryError('FERRY-1003', `--set ${pair}: write NAME=value`)
      const near = didYouMean(name, known)
      throw new FerryError('FERRY-1003', `${kind} has no setting ${name}${near}`, {
        hint: `Its settings: ${known.join(', ')}.`,
      })
    }),
  )
}
