/** `ferry adf flow`: data flows of a factory, looked at without being run. */
import { type FlowLook, givenTo, lookAtFlow } from '../facades/datafactory/flowlook.ts'
import { type FactoryOptions, open } from './adf.ts'
import { paint, printJson, table } from './output.ts'
import { withState } from './state.ts'

export interface FlowOptions extends FactoryOptions {
  factory: string
  parameter?: string[]
  stream?: string
  rows?: number
  sample?: number
}

async function look(flow: string, options: FlowOptions, stream?: string): Promise<FlowLook & { rows: object[] }> {
  const opened = open(options.factory, options)
  const { factory, redirects, policy } = opened
  return withState(async state => {
    const ended = new AbortController()
    const onSignal = () => ended.abort('cancel')
    process.once('SIGINT', onSignal)
    try {
      return await lookAtFlow(
        { factory, redirects, state, policy },
        {
          flow,
          ...givenTo(options.parameter ?? []),
          stream,
          most: options.rows ?? 100,
          sample: options.sample ?? 1000,
          signal: ended.signal,
        },
      )
    } finally {
      process.off('SIGINT', onSignal)
    }
  })
}

/** The streams with what they read and the columns that they give. */
export async function show([flow]: string[], options: FlowOptions): Promise<void> {
  const found = await look(flow!, options)
  if (options.json)
    return printJson({ name: found.name, streams: found.streams.map(({ sql: _, ...s }) => s), notes: found.notes })
  for (const { name, kind, inputs, columns } of found.streams) {
    const from = inputs.length > 0 ? `  of ${inputs.join(', ')}` : ''
    process.stdout.write(`${paint('1', name, process.stdout)}  ${kind}${from}\n`)
    for (const c of columns) process.stdout.write(`    ${c.name}  ${c.type}${c.isDrifted ? '  (drifted)' : ''}\n`)
  }
  for (const note of found.notes) process.stderr.write(`Note: ${note}\n`)
}

/** The query of each stream. */
export async function explain([flow]: string[], options: FlowOptions): Promise<void> {
  const found = await look(flow!, options)
  if (options.json) return printJson(found)
  for (const { name, kind, sql } of found.streams) {
    for (const one of sql) process.stdout.write(`-- ${name} (${kind})\n${one};\n\n`)
  }
}

/** The first rows of a stream, of the first rows of the sources. */
export async function preview([flow]: string[], options: FlowOptions): Promise<void> {
  const { rows, streams } = await look(flow!, options, options.stream!)
  const names = streams.find(s => s.name === options.stream)?.columns.map(c => c.name) ?? []
  if (options.json) return printJson({ stream: options.stream, rows })
  const shown = (value: unknown) =>
    value === null ? 'null' : typeof value === 'object' ? JSON.stringify(value) : String(value)
  process.stdout.write(
    `${table(
      names,
      (rows as Record<string, unknown>[]).map(row => names.map(n => shown(row[n]))),
    )}\n`,
  )
}
