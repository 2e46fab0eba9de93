/** One connection to a state in SQLite, in a thread of its own: beside.ts sends it statements. */
import { parentPort, workerData } from 'node:worker_threads'
import { FerryError } from '../errors.ts'
import type { Result } from './links.ts'
import { SqliteFile } from './sqlite.ts'

export interface Asked {
  id: number
  sql: string
  parameters: readonly unknown[]
}

/** Of an error, what crosses to another thread. */
export interface Fault {
  message: string
  code?: unknown
  errcode?: unknown
  /** Of a FerryError. */
  hint?: string
}

export type Answered = { id: number; result: Result } | { id: number; error: Fault }

const file = new SqliteFile(workerData as string)

parentPort!.on('message', (asked: Asked | 'close') => {
  if (asked === 'close') {
    file.close()
    parentPort!.close()
  } else parentPort!.postMessage(answer(asked))
})

function answer({ id, sql, parameters }: Asked): Answered {
  try {
    return { id, result: file.run(sql, parameters) }
  } catch (error) {
    const { message, code, errcode } = error as Error & Fault
    const hint = error instanceof FerryError ? { hint: error.hint } : {}
    return { id, error: { message, code, errcode, ...hint } }
  }
}
