/** The built web UI: its files, and one page for every address of it. */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { FerryError } from '../errors.ts'
import { programPath } from '../program.ts'
import { sendProblem } from './problems.ts'

export function uiFolder(): string {
  return join(dirname(programPath()), '..', 'dist', 'web')
}

/** Fluent's styles are made in the page: they carry what the policy of this one answer names. */
export function policyOf(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/** The files are routes of `ui`; the page is what `app` answers where there is nothing else. */
export async function addUi(app: FastifyInstance, ui: FastifyInstance): Promise<void> {
  const folder = uiFolder()
  const page = join(folder, 'index.html')
  const isThere = existsSync(page)
  if (isThere) {
    await ui.register(fastifyStatic, {
      root: join(folder, 'assets'),
      prefix: '/assets/',
      // Names contain a hash of the content.
      immutable: true,
      maxAge: '365d',
      index: false,
      logLevel: 'warn',
    })
  }
  const html = isThere ? readFileSync(page, 'utf8') : undefined
  app.setNotFoundHandler((request, reply) => {
    const wantsPage = request.method === 'GET' && /\btext\/html\b/.test(request.headers.accept ?? '')
    if (!wantsPage || /^\/(api|assets|docs)\//.test(request.url)) {
      const path = request.url.split('?')[0]
      return sendProblem(request, reply, new FerryError('FERRY-6004', `there is nothing at ${request.method} ${path}`))
    }
    if (html === undefined) {
      return reply.code(503).type('text/plain').send('The web UI is not built: npm run build\n')
    }
    const nonce = randomBytes(16).toString('base64')
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', policyOf(nonce))
      .header('cache-control', 'no-store')
      .send(html.replaceAll('__NONCE__', nonce))
  })
}
