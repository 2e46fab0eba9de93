/** PostgreSQL's COPY formats, in whole CopyData messages as a server sends them. */
import { z } from 'zod'

type CopyEncoding = 'pg-copy-binary' | 'pg-copy-text'

declare module '../../contract/encodings.ts' {
  interface Offers {
    /** `wire`: the destination's type of each column. */
    copy: { encoding: CopyEncoding; wire: string[] }
  }
}

const schema = z.object({ encoding: z.literal(['pg-copy-binary', 'pg-copy-text']), wire: z.array(z.string()) })

export const POSTGRES_ENCODINGS = { 'pg-copy-binary': schema, 'pg-copy-text': schema }
