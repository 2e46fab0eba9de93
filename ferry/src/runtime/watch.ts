/** What a run reads from the state and writes to it while it is at work: requests, heartbeats, why it waits, its progress. */
import { setImmediate } from 'node:timers/promises'
import type { TableProgress } from '../engine/progress.ts'
import { asFerryError, FerryError } from '../errors.ts'
import type { State } from '../state/database.ts'
import { HEARTBEAT_MS } from '../state/owner.ts'
import * as runs from '../state/runs.ts'
import type { Wish } from '../state/schema.ts'
import { PULSE_MS, type Pulse } from './pulse.ts'
import type { Stores } from './stores.ts'

/** How often the wishes of other terminals are looked for. */
const WISH_MS = 250

export class Watch {
  /** What the run is to do instead of copying: pause or cancel. */
  wish: Wish | undefined
  private stopping = new AbortController()
  private readonly completing = new AbortController()
  private readonly state: State
  private readonly lease: runs.Lease
  private readonly stores: Stores
  private readonly pulse: Pulse
  private waitingFor: string | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(state: State, lease: runs.Lease, stores: Stores, pulse: Pulse) {
    this.state = state
    this.lease = lease
    this.stores = stores
    this.pulse = pulse
  }

  /** Aborted when the run stops at once. */
  get signal(): AbortSignal {
    return this.stopping.signal
  }

  /** Aborted when an online copy is to end. */
  get complete(): AbortSignal {
    return this.completing.signal
  }

  /** Starts to watch until `end`; losing the run to another process stops it. `signal` pauses it. */
  start(tables: TableProgress[], signal: AbortSignal | undefined): { end: () => void } {
    const onSignal = () => this.stopBy('pause')
    signal?.addEventListener('abort', onSignal, { once: true })
    let lastBeat = Number.NEGATIVE_INFINITY
    let lastPulse = performance.now()
    let busy = false
    this.timer = setInterval(async () => {
      if (busy) return
      busy = true
      try {
        await this.look()
        await this.saveWaiting()
        if (performance.now() - lastPulse > PULSE_MS) {
          await this.pulse.beat(tables)
          lastPulse = performance.now()
        }
        if (performance.now() - lastBeat > HEARTBEAT_MS) {
          await runs.heartbeat(this.state.db, this.lease)
          lastBeat = performance.now()
        }
      } catch (error) {
        this.stop(asFerryError(error))
      } finally {
        busy = false
      }
    }, WISH_MS)
    return {
      end: () => {
        clearInterval(this.timer)
        signal?.removeEventListener('abort', onSignal)
      },
    }
  }

  /** Stops the run; what is committed stays. */
  stop(reason: unknown): void {
    this.stopping.abort(reason)
  }

  /** Continues a run that was stopped so that it is planned anew. */
  restart(): void {
    this.stopping = new AbortController()
  }

  private stopBy(wish: Wish): void {
    this.wish = wish
    this.stop(new FerryError('FERRY-5006', `the run was ${wish === 'pause' ? 'paused' : 'cancelled'}`))
  }

  /** Looks for a wish in the state. Throws FERRY-5004. */
  async look(): Promise<void> {
    const wish = await runs.readWish(this.state.db, this.lease)
    if (wish === 'complete') await this.drain()
    else if (wish) this.stopBy(wish)
  }

  /** Gives wishes a turn between two tables: a store that answers at once leaves the clock none. */
  async breathe(): Promise<void> {
    await setImmediate()
    this.signal.throwIfAborted()
  }

  /** An online copy is to end with what its source holds now. */
  private async drain(): Promise<void> {
    if (this.complete.aborted) return
    this.completing.abort()
    await runs.setState(this.state.db, this.lease, 'completing')
  }

  /** Saves the reason why a store makes the run wait, where other terminals see it. */
  private async saveWaiting(): Promise<void> {
    const { source, destination } = this.stores
    const why = source.throttle?.waitingFor() ?? destination.throttle?.waitingFor()
    if (why === this.waitingFor) return
    this.waitingFor = why
    await runs.saveWaiting(this.state.db, this.lease, why)
  }
}
