/** Who executes a run, and whether that process is still there. */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { RunRow } from './schema.ts'

/** A heartbeat older than this means that its process is gone, where the process itself cannot be asked. */
export const LEASE_MS = 30_000
export const HEARTBEAT_MS = 5_000

type Owner = Pick<RunRow, 'owner_pid' | 'owner_host' | 'owner_started' | 'heartbeat_at'>

/** This machine's name among those that share a state; FERRY_HOST distinguishes machines with equal host names. */
export function hostName(environment: NodeJS.ProcessEnv = process.env): string {
  return environment.FERRY_HOST || hostname()
}

/** This process as the owner of a run; `now` is the database's time. */
export function self(now: number): Owner {
  return {
    owner_host: hostName(),
    owner_pid: process.pid,
    owner_started: processStart(process.pid),
    heartbeat_at: now,
  }
}

/**
 * When a process started and in which kernel and process namespace: a process id that was given out again, or that means
 * another process in another container, has another text. `ENDED` for one that has ended. Linux only; else empty.
 */
export function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A process that has ended, and that its parent has not asked for yet.
    return /[ZX]/.test(state!) ? ENDED : `${fields[18]}@${place()}`
  } catch {
    return ''
  }
}

const ENDED = 'ended'

let known: string | undefined

/** The running kernel and the process namespace that ids belong to. */
function place(): string {
  known ??= `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${readlinkSync('/proc/self/ns/pid')}`
  return known
}

/**
 * Whether the process that holds a run is still there; `now` is the database's time. On this machine the process is looked
 * at. Elsewhere its heartbeat decides: one that lies far in the future was written before the database's clock went back,
 * and a process that lives would have written another one since.
 */
export function isAlive(row: Owner, now: number): boolean {
  if (row.owner_pid === null) return false
  const beats = Math.abs(now - Number(row.heartbeat_at ?? 0)) < LEASE_MS
  if (row.owner_host !== hostName()) return beats
  const there = (row.owner_started ?? '').split('@')[1]
  // The same name, and other processes: another container, or this machine before it was started anew.
  if (there !== undefined && there !== processStart(process.pid).split('@')[1]) return beats
  const start = processStart(row.owner_pid)
  if (start !== '') return there === undefined ? start.split('@')[0] === row.owner_started : start === row.owner_started
  try {
    process.kill(row.owner_pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  return beats
}
