/**
 * A replication connection: slots are made on it, and the log is read from it.
 *
 * Source: https://www.postgresql.org/docs/current/protocol-replication.html
 */
import type pg from 'pg'
import { FerryError } from '../../errors.ts'
import type { LogStream } from '../changes/log.ts'
import { connect, quoteName, quoteText, translate } from './client.ts'
import { formatLsn, type Lsn, lsnAt, parseLsn } from './pgoutput.ts'
import type { PostgresSettings } from './settings.ts'

/** How often the confirmed position is sent to the server, which closes a silent connection after a minute. */
const STATUS_MS = 5000

export interface Slot {
  lsn: Lsn
  /** The database as of that place, while the connection does nothing else. */
  snapshot: string
}

export async function connectForReplication(settings: PostgresSettings): Promise<pg.Client> {
  return connect(settings, { replication: 'database' })
}

/** Creates a slot. The server waits for the running transactions. */
export async function createSlot(client: pg.Client, name: string, temporary: boolean): Promise<Slot> {
  const kind = temporary ? 'TEMPORARY LOGICAL' : 'LOGICAL'
  const { rows } = await client.query(`CREATE_REPLICATION_SLOT ${quoteName(name)} ${kind} pgoutput (SNAPSHOT 'export')`)
  return { lsn: parseLsn(rows[0].consistent_point), snapshot: rows[0].snapshot_name }
}

export interface StreamHandler {
  /** A message of the log, and how far the server's log goes. Says whether more may come. */
  message(buffer: Buffer, at: number, walEnd: Lsn): boolean
  /** The server has sent everything up to here. */
  caughtUp(walEnd: Lsn): void
  failed(error: FerryError): void
}

interface WireConnection {
  stream: { pause(): void; resume(): void }
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
}

/** The log, from a place on, until it is closed. */
export class SlotStream implements LogStream<Lsn> {
  private readonly client: pg.Client
  private readonly handler: StreamHandler
  private readonly text: string
  private connection: WireConnection | undefined
  private timer: NodeJS.Timeout | undefined
  /** Zero confirms nothing: tables that are not read now may need what is before the beginning. */
  private confirmed: Lsn = 0
  private received: Lsn
  private closed = false

  constructor(client: pg.Client, slot: string, publication: string, from: Lsn, handler: StreamHandler) {
    this.client = client
    this.handler = handler
    this.received = from
    const options = `proto_version '1', publication_names ${quoteText(quoteName(publication))}`
    this.text = `START_REPLICATION SLOT ${quoteName(slot)} LOGICAL ${formatLsn(from)} (${options})`
    client.on('error', error => this.fail(error))
    client.on('end', () => this.fail(new Error('Connection terminated unexpectedly')))
    ;(client as unknown as { query(submittable: SlotStream): void }).query(this)
  }

  /** Confirms that everything up to here is stored elsewhere: the server may drop it. */
  confirm(lsn: Lsn): void {
    if (lsn <= this.confirmed) return
    this.confirmed = lsn
  }

  resume(): void {
    this.connection?.stream.resume()
  }

  /** Asks the server how far its log goes: it answers at once. */
  ask(): void {
    this.tell(true)
  }

  close(): void {
    if (this.closed) return
    // The last word, so that the server keeps no more of its log than needed.
    this.tell(false)
    this.closed = true
    clearInterval(this.timer)
    this.client.end().catch(() => undefined)
  }

  private fail(error: Error): void {
    if (this.closed) return
    this.closed = true
    clearInterval(this.timer)
    this.handler.failed(explained(error))
  }

  private tell(reply: boolean): void {
    if (!this.connection || this.closed) return
    const message = Buffer.alloc(34)
    message[0] = 0x72
    message.writeBigUInt64BE(BigInt(Math.max(this.received, this.confirmed)), 1)
    message.writeBigUInt64BE(BigInt(this.confirmed), 9)
    message.writeBigUInt64BE(BigInt(this.confirmed), 17)
    message.writeBigInt64BE(BigInt(Date.now() - 946_684_800_000) * 1000n, 25)
    message[33] = reply ? 1 : 0
    this.connection.sendCopyFromChunk(message)
  }

  // What the client calls on the statement that it runs.

  submit(connection: WireConnection): void {
    this.connection = connection
    this.timer = setInterval(() => this.tell(false), STATUS_MS)
    connection.query(this.text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    if (this.closed) return
    if (chunk[0] === 0x77) {
      this.received = Math.max(this.received, lsnAt(chunk, 1))
      if (!this.handler.message(chunk, 25, lsnAt(chunk, 9))) this.connection!.stream.pause()
      return
    }
    if (chunk[0] !== 0x6b) return
    const walEnd = lsnAt(chunk, 1)
    this.received = Math.max(this.received, walEnd)
    this.handler.caughtUp(walEnd)
    if (chunk[17] === 1) this.tell(false)
  }

  handleError(error: Error): void {
    this.fail(error)
  }

  handleReadyForQuery(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleCopyInResponse(): void {}
}

/** The server's word that the log is gone has a next step of its own. */
export function explained(error: Error): FerryError {
  const gone = /slot .* does not exist|has already been removed|can no longer (get changes|access)|invalidated/i
  if (gone.test(error.message)) return new FerryError('FERRY-5010', error.message, { cause: error })
  if (/is active for PID/i.test(error.message)) {
    return new FerryError('FERRY-5001', `${error.message}: another process follows the log for this job`, {
      cause: error,
      hint: 'End it first; a connection that was lost is given up by the server after wal_sender_timeout.',
    })
  }
  return translate(error, 'the log')
}
