/** Tables whose source gets columns while their log is followed: they are planned anew, and resumed where they are. */
import type { Store } from '../contract/store.ts'
import type { TablePlan } from '../engine/tableplan.ts'
import { NewColumns } from '../errors.ts'

export class Drift {
  /** The tables that are to be planned anew, by ordinal. */
  readonly tables = new Set<number>()
  /** Of each table the new columns that its last plan was made for. */
  private readonly known = new Map<number, string>()

  /** True once a table was planned anew. */
  get hasBegun(): boolean {
    return this.known.size > 0
  }

  /**
   * Throws NewColumns if the source has columns that no change contained yet. Older rows have values in them, too: the
   * defaults of the columns.
   */
  async requireSameColumns(source: Store, { read, from, ordinal }: TablePlan): Promise<void> {
    if (read.log === undefined || read.drift !== 'evolve') return
    const now = await source.describe(read)
    const names = now?.columns.filter(c => !c.onRequest && !read.columns.some(r => r.from === c.name)).map(c => c.name)
    if (!names || names.length === 0) return
    // Those that the last plan has left out too stay out: the destination computes them.
    if (this.known.get(ordinal) !== names.join()) throw new NewColumns(from, names)
  }

  /** True if an error is a reason to plan the table anew: once for the same columns. */
  takes(plan: TablePlan, error: unknown): boolean {
    if (plan.read.drift !== 'evolve' || !(error instanceof NewColumns)) return false
    const names = error.columns.join()
    const isNew = this.known.get(plan.ordinal) !== names
    this.known.set(plan.ordinal, names)
    if (isNew) this.tables.add(plan.ordinal)
    return isNew
  }
}
