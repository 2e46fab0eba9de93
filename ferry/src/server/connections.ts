/**
 * Connections: saved, tested, looked into. Secrets go in and never come out.
 *
 * One file: the routes of one resource, which share how settings are checked and secrets replaced.
 */

import type { FastifyReply } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { findKind, KINDS, kindOf } from '../connectors/registry.ts'
import { isReference, isSecret } from '../connectors/settings.ts'
import type { Kind } from '../contract/store.ts'
import { FerryError } from '../errors.ts'
import type { ServerScouts } from '../facades/looks.ts'
import { toldFaults } from '../faults.ts'
import { optionFaults } from '../job/check.ts'
import { parseStore } from '../job/locator.ts'
import { withVariables } from '../job/read.ts'
import { statement } from '../job/schema.ts'
import type { Policy } from '../policy.ts'
import {
  type ConnectorView,
  connectionSchema,
  connectorSchema,
  type FieldView,
  growthSchema,
  objectSchema,
  previewSchema,
  settingsSchema,
} from '../runtime/schemas.ts'
import {
  type Connection,
  connectionName,
  findConnection,
  listConnections,
  removeConnection,
  requireUnchanged,
  saveConnection,
  versionOf,
} from '../state/connections.ts'
import type { State } from '../state/database.ts'
import { jobsWith } from '../state/jobs.ts'
import type { Role } from '../state/schema.ts'
import { forgetSecrets, isSealed, keepSecret, withSecrets } from '../state/secrets.ts'
import { askerOf } from './asker.ts'
import { isRecord, refuseUnclear } from './records.ts'
import { requireNew, tellVersion, wantedVersion } from './versions.ts'

/** The text that answers contain instead of a stored secret, and that requests may send back for it. */
export const KEPT = '***'

const inputSchema = z.strictObject({
  kind: z.string().max(50),
  settings: settingsSchema.describe(
    `Settings of the connector; secrets are kept encrypted. \`${KEPT}\` leaves one as it is`,
  ),
})
const locatorSchema = z.strictObject({
  locator: z.string().max(4000).describe('Such as `postgres://user@host/database`'),
})
const bodySchema = z.union([inputSchema, locatorSchema])
const ofName = { name: z.string().max(100).optional().describe('Of the connection whose secrets stand for `***`') }
const MOST_LISTED = 1000
const nameParams = z.object({ name: z.string().max(200) })
const objectQuery = z.strictObject({
  object: z.string().min(1).max(1000).optional(),
  query: statement.max(50_000).optional().describe('For admins'),
  read: z.string().max(4000).optional().describe('What a job would say under `read`, as JSON: `{"format": "csv"}`'),
})

/** Settings that say where a secret is sent to: with another value it must be given again. */
const PLACE = ['host', 'port', 'endpoint', 'path', 'folder']

export const connectionRoutes: FastifyPluginAsyncZod<{ state: State; scouts: ServerScouts; policy: Policy }> = async (
  app,
  { state, scouts, policy },
) => {
  /** Answers with a connection, and with its version as an ETag. */
  const answer = (reply: FastifyReply, connection: Connection) => {
    tellVersion(reply, versionOf(connection))
    return view(connection)
  }

  app.route({
    method: 'GET',
    url: '/connectors',
    config: { role: 'viewer' },
    schema: {
      tags: ['connections'],
      summary: 'The kinds of stores',
      response: { 200: z.array(connectorSchema) },
    },
    handler: async () => KINDS.map(connectorView),
  })

  app.route({
    method: 'GET',
    url: '/connections',
    config: { role: 'viewer' },
    schema: { tags: ['connections'], summary: 'All connections', response: { 200: z.array(connectionSchema) } },
    handler: async () => (await listConnections(state.db)).map(view),
  })

  app.route({
    method: 'GET',
    url: '/connections/:name',
    config: { role: 'viewer' },
    schema: {
      tags: ['connections'],
      summary: 'One connection',
      params: nameParams,
      response: { 200: connectionSchema },
    },
    handler: async (request, reply) => answer(reply, await findConnection(state.db, request.params.name)),
  })

  app.route({
    method: 'PUT',
    url: '/connections/:name',
    config: { role: 'admin' },
    schema: {
      tags: ['connections'],
      summary: 'Keeps a connection, new or changed',
      params: z.object({ name: connectionName }),
      body: bodySchema,
      response: { 200: connectionSchema },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      const before = (await listConnections(state.db)).find(c => c.name === name)
      requireNew(request, before !== undefined, `a connection "${name}"`)
      const seen = wantedVersion(request)
      if (seen !== undefined) requireUnchanged(before ?? (await findConnection(state.db, name)), seen)
      const input = read(request.body)
      const settings = merged(input, before)
      // Settings are checked before anything is saved.
      requireValid(input.kind, settings, policy)
      for (const [key, value] of Object.entries(settings)) {
        if (isSecret(input.kind, key) && typeof value === 'string' && !isReference(value) && !isSealed(value)) {
          settings[key] = await keepSecret(state, `${name}/${key}`, value)
        }
      }
      const connection = { name, kind: input.kind, settings }
      await saveConnection(state.db, connection, before)
      return answer(reply, connection)
    },
  })

  app.route({
    method: 'DELETE',
    url: '/connections/:name',
    config: { role: 'admin' },
    schema: {
      tags: ['connections'],
      summary: 'Removes a connection',
      params: nameParams,
      querystring: z.strictObject({ force: z.stringbool().default(false).describe('Also where jobs use it') }),
      response: { 204: z.null() },
    },
    handler: async (request, reply) => {
      const { name } = request.params
      requireUnchanged(await findConnection(state.db, name), wantedVersion(request))
      const users = request.query.force ? [] : await jobsWith(state.db, name)
      if (users.length > 0) {
        const some = users.slice(0, 10).join(', ')
        throw new FerryError('FERRY-1009', `${users.length} jobs use the connection ${name}: ${some}`)
      }
      await removeConnection(state.db, request.params.name)
      await forgetSecrets(state.db, request.params.name)
      return reply.code(204).send(null)
    },
  })

  const answerSchema = z.object({ ok: z.literal(true), answer: z.string() })
  app.route({
    method: 'POST',
    url: '/connections/test',
    config: { role: 'admin' },
    schema: {
      tags: ['connections'],
      summary: 'Connects with settings that are not kept, and says what answered',
      body: z.union([inputSchema.extend(ofName), locatorSchema.extend(ofName)]),
      response: { 200: answerSchema },
    },
    handler: async (request, reply) => {
      const locator = await unsaved(request.body.name, read(request.body))
      return { ok: true as const, answer: await scouts.ask('test', { at: { locator } }, askerOf(reply)) }
    },
  })

  /** A store by settings that are not kept, with the secrets that are. */
  const unsaved = async (name: string | undefined, input: Input) => {
    const before = name === undefined ? undefined : (await listConnections(state.db)).find(c => c.name === name)
    const settings = withVariables(merged(input, before), policy)
    const secrets = { name: before?.name ?? '', kind: input.kind, settings }
    return { kind: input.kind, settings: await withSecrets(state, secrets) }
  }

  app.route({
    method: 'POST',
    url: '/connections/listed',
    config: { role: 'admin' },
    schema: {
      tags: ['connections'],
      summary: 'The buckets or containers that settings which are not kept may lead to',
      body: inputSchema.extend(ofName),
      response: { 200: z.object({ names: z.array(z.string()) }) },
    },
    handler: async (request, reply) => {
      const { name, kind, settings } = request.body
      const { listed } = kindOf(kind)
      if (listed === undefined) throw new FerryError('FERRY-6003', `${kind} has no setting whose values it lists`)
      // Which one it is is not known yet; the settings want one.
      const locator = await unsaved(name, { kind, settings: { ...settings, [listed]: settings[listed] || 'none' } })
      return { names: await scouts.ask('listed', { at: { locator }, limit: MOST_LISTED }, askerOf(reply)) }
    },
  })

  app.route({
    method: 'POST',
    url: '/connections/:name/test',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'Connects, and says what answered',
      params: nameParams,
      response: { 200: answerSchema },
    },
    handler: async (request, reply) => {
      const answer = await scouts.ask('test', { at: await placeOf(request.params.name) }, askerOf(reply))
      return { ok: true as const, answer }
    },
  })

  const placeOf = async (name: string) => {
    await findConnection(state.db, name)
    return { endpoint: { connection: name } }
  }

  app.route({
    method: 'GET',
    url: '/connections/:name/objects',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'What can be copied from a connection',
      params: nameParams,
      querystring: z.strictObject({
        search: z.string().max(200).optional(),
        limit: z.coerce.number().int().min(1).max(10_000).default(1000),
      }),
      response: { 200: z.object({ objects: z.array(z.string()), total: z.number() }) },
    },
    handler: async (request, reply) => {
      const { search = '', limit } = request.query
      return scouts.ask('objects', { at: await placeOf(request.params.name), search, limit }, askerOf(reply))
    },
  })

  app.route({
    method: 'GET',
    url: '/connections/:name/folder',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'The folders and files that are directly in a folder of a connection',
      params: nameParams,
      querystring: z.strictObject({
        folder: z
          .string()
          .max(4000)
          .default('')
          .describe('Relative to the folder of the connection; all of it if empty'),
        limit: z.coerce.number().int().min(1).max(1000).default(500),
      }),
      response: {
        200: z.object({
          folders: z.array(z.string()),
          files: z.array(z.object({ name: z.string(), size: z.number(), modified: z.number() })),
          more: z.boolean(),
        }),
      },
    },
    handler: async (request, reply) => {
      const { folder, limit } = request.query
      return scouts.ask('folder', { at: await placeOf(request.params.name), folder, limit }, askerOf(reply))
    },
  })

  app.route({
    method: 'GET',
    url: '/connections/:name/matching',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'The files that a pattern means: how many, their bytes, the first names',
      params: nameParams,
      querystring: z.strictObject({
        pattern: z.string().min(1).max(4000),
        limit: z.coerce.number().int().min(1).max(1000).default(20),
      }),
      response: {
        200: z.object({ files: z.number(), bytes: z.number(), names: z.array(z.string()), atLeast: z.boolean() }),
      },
    },
    handler: async (request, reply) => {
      const { pattern, limit } = request.query
      return scouts.ask('matching', { at: await placeOf(request.params.name), pattern, limit }, askerOf(reply))
    },
  })

  const specOf = async (
    { params: { name }, caller }: { params: { name: string }; caller?: { role: Role } | undefined },
    { object, query, read }: z.output<typeof objectQuery>,
  ) => {
    if ((object === undefined) === (query === undefined)) {
      throw new FerryError('FERRY-6003', 'give either `object` or `query`')
    }
    // What a query may do is up to the store and its user, not to Ferry.
    if (query !== undefined && caller?.role !== 'admin')
      throw new FerryError('FERRY-6002', 'queries need the role admin')
    const options = optionsOf(read)
    const faults = optionFaults(findKind((await findConnection(state.db, name)).kind), 'read', options, 'read')
    if (faults.length > 0) throw new FerryError('FERRY-6003', toldFaults(faults), { faults })
    return { object: object ?? '(query)', query, options }
  }

  app.route({
    method: 'GET',
    url: '/connections/:name/columns',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'The columns of an object or a query',
      params: nameParams,
      querystring: objectQuery,
      response: {
        200: objectSchema,
      },
    },
    handler: async (request, reply) => {
      const spec = await specOf(request, request.query)
      return scouts.ask('columns', { at: await placeOf(request.params.name), spec }, askerOf(reply))
    },
  })

  app.route({
    method: 'GET',
    url: '/connections/:name/growth',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'What an incremental copy by a column would read at first: up to its highest value',
      params: nameParams,
      querystring: objectQuery.extend({ column: z.string().min(1).max(1000) }),
      response: { 200: growthSchema },
    },
    handler: async (request, reply) => {
      const { column, ...rest } = request.query
      const spec = await specOf(request, rest)
      return scouts.ask('growth', { at: await placeOf(request.params.name), spec, column }, askerOf(reply))
    },
  })

  app.route({
    method: 'GET',
    url: '/connections/:name/preview',
    config: { role: 'operator' },
    schema: {
      tags: ['connections'],
      summary: 'The first rows of an object or a query',
      params: nameParams,
      querystring: objectQuery.extend({ limit: z.coerce.number().int().min(1).max(100).default(20) }),
      response: {
        200: previewSchema,
      },
    },
    handler: async (request, reply) => {
      const { limit, ...rest } = request.query
      const spec = await specOf(request, rest)
      return scouts.ask('preview', { at: await placeOf(request.params.name), spec, limit }, askerOf(reply))
    },
  })
}

/** Options of reading from an address. Throws FERRY-6003. */
function optionsOf(read: string | undefined): Record<string, unknown> {
  if (read === undefined) return {}
  const options = valueOfJson(read)
  refuseUnclear(read)
  if (isRecord(options)) return options
  throw new FerryError('FERRY-6003', `read is no JSON of options, such as {"format": "csv"}`)
}

function valueOfJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Input = { kind: string; settings: Connection['settings'] }

function read(body: z.output<typeof bodySchema>): Input {
  if (!('locator' in body)) return { kind: body.kind, settings: { ...body.settings } }
  return parseStore(body.locator)
}

/** What was given, with secrets in place of those that stay. Throws FERRY-6003 where one would go to another place. */
function merged(input: Input, before: Connection | undefined): Connection['settings'] {
  const settings = { ...input.settings }
  for (const [key, value] of Object.entries(settings)) {
    if (isSealed(value)) throw new FerryError('FERRY-6003', `${key}: a secret of a connection is not given by its name`)
    if (!isSecret(input.kind, key) || value !== KEPT) continue
    const kept = before?.settings[key]
    const moved = before?.kind !== input.kind || PLACE.some(p => String(before.settings[p]) !== String(settings[p]))
    if (kept === undefined || moved) {
      throw new FerryError(
        'FERRY-6003',
        `${key}: give it again${kept === undefined ? '' : ', it would be sent to another place'}`,
      )
    }
    settings[key] = kept
  }
  return settings
}

/** Has the settings checked; references get their values when the store is opened. Throws FERRY-2003. */
function requireValid(kind: string, settings: Connection['settings'], policy: Policy): void {
  const entries = Object.entries(settings).map(([k, v]) => [k, isSecret(kind, k) && typeof v === 'string' ? 'x' : v])
  kindOf(kind).check(Object.fromEntries(entries), policy)
}

function view(connection: Connection) {
  const settings = Object.fromEntries(
    Object.entries(connection.settings).map(([key, value]) => {
      const hidden = isSecret(connection.kind, key) && !isReference(value)
      return [key, hidden ? KEPT : (value as string | number | boolean)]
    }),
  )
  const { host, port, database, path, folder, endpoint } = connection.settings as Record<string, string | undefined>
  const label =
    path ?? folder ?? endpoint ?? `${host ?? 'localhost'}${port ? `:${port}` : ''}${database ? `/${database}` : ''}`
  const { name, kind } = connection
  return { name, kind, settings, label: String(label), version: versionOf(connection) }
}

interface SettingSchema {
  type?: string
  enum?: string[]
  anyOf?: SettingSchema[]
  default?: unknown
  description?: string
}

/** A kind of store with its settings as a form shows them. */
function connectorView({ kind, label, abilities, tellsChanges, settings, options, listed }: Kind): ConnectorView {
  const { queries, knowsNew, arrivals } = abilities
  const settingFields = fieldsOf(settings).map(f => ({
    ...f,
    secret: isSecret(kind, f.name),
    listed: f.name === listed,
  }))
  return {
    kind,
    label,
    update: [...abilities.update],
    tellsChanges,
    queries,
    knowsNew,
    arrivals,
    settings: settingFields,
    read: options ? fieldsOf(options.read) : [],
    write: options ? fieldsOf(options.write) : [],
  }
}

/** Lists and records are for job files; a form has no field for them. */
function fieldsOf(schema: z.ZodObject): FieldView[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return Object.entries(properties as Record<string, SettingSchema>)
    .filter(([, field]) => field.type !== 'array' && field.type !== 'object')
    .map(([name, field]) => {
      const types = [field, ...(field.anyOf ?? [])]
      const isBoolean = types.some(t => t.type === 'boolean')
      const isNumber = types.some(t => t.type === 'number' || t.type === 'integer')
      const choices = isBoolean ? [] : (types.find(t => t.enum)?.enum ?? [])
      return {
        name,
        description: field.description ?? '',
        secret: false,
        listed: false,
        type: isBoolean ? 'boolean' : choices.length > 0 ? 'choice' : isNumber ? 'number' : 'text',
        choices,
        default: field.default === undefined ? null : String(field.default),
        required: required.includes(name),
      }
    })
}
