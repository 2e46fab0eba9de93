/** The API's description of itself, as tests read it. */
import type { TestServer } from './server.ts'

export interface Operation {
  'x-ferry-role': string
  parameters?: { name: string; in: string; required?: boolean; schema: object }[]
  requestBody?: { content: Record<string, { schema: object }> }
  responses: Record<string, { content?: Record<string, { schema: object }> }>
}

export interface OpenApi {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: object
}

export async function describedBy(server: TestServer): Promise<OpenApi> {
  return (await server.call<OpenApi>('GET', '/api/openapi.json')).body
}

/** All operations with a path that can be called. */
export function operations(api: OpenApi) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
      address: path.replace(/\{(\w+)\}/g, 'x'),
    })),
  )
}
