/** The structured log: one JSON object a line on standard error, with the run and job that it is about. */
import pino from 'pino'
import { withoutPassword } from '../connectors/settings.ts'

export type Log = pino.Logger

export const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** Secrets do not come into the log: headers that carry them are left out, URLs lose their passwords. */
export function makeLog(level: string): Log {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      redact: {
        paths: ['req.headers.authorization', 'req.headers.cookie', '*.password', '*.key', '*.token', '*.secret'],
        censor: '***',
      },
      serializers: {
        // Queries and what else is asked for stay out of it.
        req: request => ({
          method: request.method,
          url: String(request.url)
            .replace(/\?.*$/s, '')
            .replace(/\/callbacks\/.*$/s, '/callbacks/***'),
          host: request.host,
          remoteAddress: request.ip,
        }),
        err: error => {
          const plain = pino.stdSerializers.err(error)
          return { ...plain, message: withoutPassword(plain.message), stack: withoutPassword(plain.stack ?? '') }
        },
      },
    },
    pino.destination({ fd: 2, sync: true }),
  )
}
