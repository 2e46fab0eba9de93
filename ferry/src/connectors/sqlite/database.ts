import { accessSync, existsSync, constants as files, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { constants, DatabaseSync } from 'node:sqlite'
import { type ErrorCode, FerryError, placed, RowError, TAKEN_HINT } from '../../errors.ts'
import type { Policy } from '../../policy.ts'
import type { DatabaseFile } from '../databasefile.ts'

/** Opens a database file. Throws FERRY-2001 for a file that is missing, FERRY-2004 for one that may not be used. */
export function openDatabase(file: DatabaseFile, mode: 'read' | 'write'): DatabaseSync {
  const { policy } = file
  const path = policy.fileOf(file.path)
  const connect = (mode: 'read' | 'write') => connectTo(path, mode, policy)
  if (mode === 'read' && !existsSync(path)) throw new FerryError('FERRY-2001', `${path} does not exist`)
  try {
    if (mode === 'write') {
      mkdirSync(dirname(path), { recursive: true })
      if (existsSync(path)) accessSync(path, files.W_OK)
    }
    try {
      return connect(mode)
    } catch (error) {
      // Who is killed in its transaction leaves a journal, and only who may write takes it back.
      if (mode !== 'read' || !LEFT_BEHIND.has((error as { errcode?: number }).errcode ?? 0)) throw error
      connect('write').close()
      return connect('read')
    }
  } catch (error) {
    throw translate(error, path)
  }
}

/** SQLITE_READONLY_RECOVERY, _ROLLBACK and _CANTINIT: https://www.sqlite.org/rescode.html#readonly_rollback */
const LEFT_BEHIND = new Set([264, 776, 1288])

function connectTo(path: string, mode: 'read' | 'write', policy: Policy): DatabaseSync {
  const db = new DatabaseSync(path, {
    readOnly: mode === 'read',
    timeout: 30_000,
    enableForeignKeyConstraints: false,
    allowUnknownNamedParameters: false,
  })
  try {
    if (policy.isLimited) confine(db)
    db.prepare('SELECT count(*) FROM sqlite_schema').get()
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** A server's statements stay in their file: none of them opens or writes another one. */
function confine(db: DatabaseSync): void {
  const pragmas = new Set(['temp_store_directory', 'data_store_directory'])
  db.setAuthorizer((action, first) => {
    const isRefused =
      action === constants.SQLITE_ATTACH ||
      action === constants.SQLITE_DETACH ||
      (action === constants.SQLITE_PRAGMA && pragmas.has(String(first).toLowerCase()))
    return isRefused ? constants.SQLITE_DENY : constants.SQLITE_OK
  })
}

/** What SQLite said, as one of Ferry's errors. */
export function translate(error: unknown, place: string): FerryError {
  if (error instanceof FerryError) return error
  const e = error as Error & { errcode?: number; code?: string }
  if (/ON CONFLICT clause does not match/.test(e.message)) {
    return new FerryError('FERRY-3005', `${place}: no unique index of SQLite is over the keys, which a merge needs`, {
      hint: 'CREATE UNIQUE INDEX ... over the keys, or name others.',
    })
  }
  const code = classify(e)
  if (code === 'FERRY-4005') {
    const column = /constraint failed: [^.]+\.(\w+)/.exec(e.message)?.[1]
    const hint = /UNIQUE|PRIMARY KEY/.test(e.message) ? { hint: TAKEN_HINT } : {}
    return placed(new RowError(code, `${place}: ${e.message}`, column, { cause: error, ...hint }))
  }
  return new FerryError(code, `${place}: ${e.message}`, { cause: error })
}

/** Primary result codes: https://www.sqlite.org/rescode.html */
function classify(e: Error & { errcode?: number; code?: string }): ErrorCode {
  if (e.code === 'EACCES' || e.code === 'EPERM' || e.code === 'EROFS') return 'FERRY-2004'
  if (/no such table/.test(e.message)) return 'FERRY-3001'
  if (/no such column|has no column/.test(e.message)) return 'FERRY-3002'
  // A comment alone, or nothing: Node finds that, not SQLite.
  if (/contains no statements/.test(e.message)) return 'FERRY-3016'
  switch ((e.errcode ?? 0) & 0xff) {
    case 3:
    case 8:
    case 23:
      return 'FERRY-2004'
    // A statement that is no SQL, or asks for what the file does not have.
    case 1:
      return /too many columns/.test(e.message) ? 'FERRY-3003' : 'FERRY-3016'
    case 5:
    case 6:
      return 'FERRY-2005'
    case 10:
      return /disk|full/.test(e.message) ? 'FERRY-4006' : 'FERRY-4004'
    case 13:
      return 'FERRY-4006'
    case 14:
      return 'FERRY-2001'
    case 11:
    case 26:
      return 'FERRY-4004'
    case 19:
      return 'FERRY-4005'
    case 18:
    case 20:
      return 'FERRY-4001'
    default:
      return e.errcode === undefined ? 'FERRY-9000' : 'FERRY-2007'
  }
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** The table of an object's name: a bare or a quoted name; SQLite's own schema prefix `main.` is understood. */
export function tableName(object: string): string {
  const bare = /^main\./i.test(object) ? object.slice(5) : object
  return /^".*"$/.test(bare) ? bare.slice(1, -1).replaceAll('""', '"') : bare
}

/** A table in the name of an object: quoted where it would be read otherwise. */
export function namePart(table: string): string {
  return /^".*"$|^main\./i.test(table) ? quoteName(table) : table
}
