/** `ferry tokens add|list|remove`: who may call the server. */
import type { Role } from '../state/schema.ts'
import { listTokens, makeToken, removeToken } from '../state/tokens.ts'
import { moment, printJson, table, usage } from './output.ts'
import { withState } from './state.ts'

export default async function tokens(args: string[], options: { json: boolean; role: Role }): Promise<void> {
  const [action = 'list', name] = args
  const say = (value: unknown, line: string) => (options.json ? printJson(value) : process.stdout.write(`${line}\n`))
  await withState(async ({ db }) => {
    if (action === 'list') {
      const all = await listTokens(db)
      const rows = all.map(t => [
        t.name,
        t.role,
        moment(t.created_at),
        t.last_used_at ? moment(t.last_used_at) : 'never',
      ])
      say(all, all.length > 0 ? table(['token', 'role', 'made', 'last used'], rows) : 'No tokens yet.')
    } else if (action === 'add' && name) {
      const { role } = options
      const made = await makeToken(db, name, role)
      say({ ...made, name, role }, `${made.token}\nIt is told only now: ${name} is ${role}.`)
    } else if (action === 'remove' && name) {
      await removeToken(db, name)
      say({ removed: name }, `removed ${name}`)
    } else {
      throw usage('ferry tokens add NAME --role viewer|operator|admin | list | remove NAME')
    }
  })
}
