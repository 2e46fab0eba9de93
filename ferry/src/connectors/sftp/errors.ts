/** What an SFTP server answers, with the next step. The numbers: section 7 of draft-ietf-secsh-filexfer-02. */
import { type ErrorCode, FerryError } from '../../errors.ts'

const KNOWN: Record<string | number, [code: ErrorCode, hint?: string]> = {
  2: ['FERRY-3001', 'Check the path: it is from the root of what the server shows.'],
  3: ['FERRY-2004', 'Give the user the right on the server.'],
  // Servers have no code of their own for a full disk, or for most else.
  4: ['FERRY-2007', 'The server says no more: its disk may be full, or a quota reached. See its log.'],
  8: ['FERRY-2007', 'The server does not know this operation.'],
  ECONNREFUSED: ['FERRY-2001', 'Check host and port.'],
  ENOTFOUND: ['FERRY-2001', 'Check the name of the host.'],
  ECONNRESET: ['FERRY-2005'],
  ETIMEDOUT: ['FERRY-2001', 'Check host, port and network.'],
}

export function explainSftp(error: unknown, place: string): unknown {
  if (error instanceof FerryError || !(error instanceof Error)) return error
  const known = KNOWN[(error as { code?: string | number }).code ?? '']
  if (!known) return error
  const [code, hint] = known
  return new FerryError(code, `${place}: ${error.message}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
}
