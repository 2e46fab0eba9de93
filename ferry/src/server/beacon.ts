/** How commands find the server that works with the same state on this machine, and what they show it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { processStart } from '../state/owner.ts'

/** What others on this machine find a running server by. */
export interface Beacon {
  url: string
  pid: number
  /** When that process started: its id may have been given out again. */
  started: string
}

/** Where the token of the first start is. */
export const tokenFile = (home: string) => join(home, 'token')
const beaconFile = (home: string) => join(home, 'server.json')

/** The token that commands on this machine use. */
export function localToken(home: string): string | undefined {
  if (process.env.FERRY_TOKEN) return process.env.FERRY_TOKEN
  try {
    return readFileSync(tokenFile(home), 'utf8').trim()
  } catch {
    return undefined
  }
}

export function leaveBeacon(home: string, url: string): void {
  const beacon: Beacon = { url, pid: process.pid, started: processStart(process.pid) }
  writeFileSync(beaconFile(home), `${JSON.stringify(beacon)}\n`, { mode: 0o600 })
}

/** Removes what this process has left. */
export function removeBeacon(home: string): void {
  const found = findServer(home)
  if (found?.pid === process.pid) rmSync(beaconFile(home), { force: true })
}

/** The server that works with this state on this machine; undefined where there is none. */
export function findServer(home: string): Beacon | undefined {
  try {
    const beacon = JSON.parse(readFileSync(beaconFile(home), 'utf8')) as Beacon
    process.kill(beacon.pid, 0)
    return processStart(beacon.pid) === beacon.started ? beacon : undefined
  } catch {
    return undefined
  }
}
