/** One connection to a state in SQLite, in a thread of its own: beside.ts sends it statements. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Result, SqliteFile } from './sqlite.ts'

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
}

export type Answered = { id: number; result: Result } | { id: number; error: Fault }

const file = new SqliteFile(workerData as string)

parentPort!.on('message', (asked: Asked | 'close') => {
  if (asked === 'close') {
    file.close()
    parentPort!.close()
    return
  }
  parentPort!.postMessage(answer(asked))
})

function answer({ id, sql, parameters }: Asked): Answered {
  try {
    return { id, result: file.run(sql, parameters) }
  } catch (error) {
    const { message, code, errcode } = error as Error & Fault
    return { id, error: { message, code, errcode } }
  }
}
