/**
 * Several connections that see the database as of one moment. The server has no snapshots to hand around: transactions
 * are begun on all connections while nobody can write. Where that is not allowed, one connection reads all. That two
 * transactions report the same position in MariaDB's binary log proves nothing: of 29,880 such pairs 87 saw different rows
 * (10.11, one writer).
 */
import { availableParallelism } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { FerryError } from '../../errors.ts'
import { placeOf } from './binlog.ts'
import { type Connection, connect, cut, labelOf, query, translate } from './client.ts'
import type { MysqlSettings } from './settings.ts'

const BEGIN = 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY'
/** How long writers of the source may have to wait, in seconds. */
const LOCK_SECONDS = 5
/** A transaction is in the binary log before others see its rows: so long is waited for those that are. */
const SETTLE_MS = 1000

export class Snapshot {
  private readonly settings: MysqlSettings
  private opened: Promise<void> | undefined
  private readonly all = new Set<Connection>()
  private readonly idle: Connection[] = []
  private readonly waiting: (() => void)[] = []
  private place: number | undefined

  constructor(settings: MysqlSettings) {
    this.settings = settings
  }

  /** Begins the snapshot. Gives back its position in the binary log; undefined if the server has no log. */
  async begin(): Promise<number | undefined> {
    this.opened ??= this.open()
    await this.opened
    return this.place
  }

  /** A connection of the snapshot, as soon as one is free. */
  async take(signal: AbortSignal): Promise<Connection> {
    await this.begin()
    for (;;) {
      signal.throwIfAborted()
      const free = this.idle.pop()
      if (free) return free
      if (this.all.size === 0)
        throw new FerryError('FERRY-2005', `${labelOf(this.settings)}: all connections were lost`)
      await new Promise<void>(resolve => {
        this.waiting.push(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }

  release(connection: Connection): void {
    this.idle.push(connection)
    this.waiting.shift()?.()
  }

  /** Closes a connection that is in the middle of a result. */
  drop(connection: Connection): void {
    this.all.delete(connection)
    cut(connection)
    for (const tell of this.waiting.splice(0)) tell()
  }

  async close(): Promise<void> {
    for (const connection of this.all) cut(connection)
    this.all.clear()
  }

  private async open(): Promise<void> {
    const count = Math.max(2, Math.min(8, availableParallelism()))
    const connections = await Promise.all(Array.from({ length: count }, () => connect(this.settings)))
    for (const connection of connections) {
      this.all.add(connection)
      await query(connection, 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    }
    try {
      if (!(await this.underLock(connections))) {
        for (const connection of connections.splice(1)) this.drop(connection)
        // Changes between this position and the snapshot are applied again, which does no harm.
        this.place = await masterPlace(connections[0]!)
        if (this.place !== undefined) await setTimeout(SETTLE_MS)
        await query(connections[0]!, BEGIN)
      }
    } catch (error) {
      throw translate(error, labelOf(this.settings))
    }
    this.idle.push(...connections)
  }

  private async underLock(connections: Connection[]): Promise<boolean> {
    const leader = await connect(this.settings)
    try {
      await query(leader, `SET SESSION lock_wait_timeout = ${LOCK_SECONDS}`)
      await query(leader, 'FLUSH TABLES WITH READ LOCK')
      for (const connection of connections) await query(connection, BEGIN)
      this.place = await masterPlace(leader)
      await query(leader, 'UNLOCK TABLES')
      return true
    } catch (error) {
      const { errno } = error as { errno?: number }
      // 1227: not allowed; 1205 and 1969: others hold their locks for too long.
      if (errno === 1227 || errno === 1205 || errno === 1969) return false
      throw error
    } finally {
      cut(leader)
    }
  }
}

async function masterPlace(connection: Connection): Promise<number | undefined> {
  const [status] = await query(connection, 'SHOW MASTER STATUS').catch(() => [])
  return status && placeOf(String(status.File), Number(status.Position))
}
