/** The independent reader: a Python process with `csv`, `json` and pyarrow, asked line by line. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Case, ParquetSpec } from './case.ts'

/** A database's rows as texts with the kind of each column, or a file that was written. */
export type Arrived =
  | { form: 'rows'; names: string[]; kinds: string[]; rows: (string | null)[][] }
  | { form: 'csv' | 'jsonl' | 'parquet'; path: string }

export interface Problem {
  kind: string
  detail: string
}

export class Reader {
  private readonly child: ChildProcessWithoutNullStreams
  private readonly lines: AsyncIterator<string>

  constructor(python: string) {
    this.child = spawn(python, [join(import.meta.dirname, 'python', 'main.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }) as unknown as ChildProcessWithoutNullStreams
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()
  }

  private async ask<T>(request: Record<string, unknown>): Promise<T> {
    this.child.stdin.write(`${JSON.stringify(request)}\n`)
    const { value, done } = await this.lines.next()
    if (done) throw new Error('the Python reader has ended')
    const answer = JSON.parse(value) as T & { error?: string }
    if (answer.error)
      throw new Error(`the Python reader: ${answer.error.split('\n').reverse().slice(0, 4).join(' < ')}`)
    return answer
  }

  async make(path: string, spec: ParquetSpec): Promise<void> {
    await this.ask({ op: 'make', path, spec })
  }

  /** Reads the source; comparisons that follow are with it. */
  async read(c: Case, files: string[]): Promise<{ invalid: string } | { names: string[]; rows: number }> {
    return this.ask({ op: 'read', source: { format: c.format, files, ...c.csv } })
  }

  async compare(destination: Arrived, byName: boolean): Promise<Problem[]> {
    return (await this.ask<{ problems: Problem[] }>({ op: 'compare', destination, byName })).problems
  }

  close(): void {
    this.child.stdin.end()
  }
}
