import { stdout } from 'node:process'
import type { Committed } from '../../contract/split.ts'
import { FerryError } from '../../errors.ts'
import { drained } from '../../streams.ts'
import type { ObjectWriter, Staging } from '../staging.ts'
import { translate } from './errors.ts'

/** Standard output: what is written cannot be taken back, so nothing is staged. */
export class StandardOutput implements Staging {
  readonly shape = 'stream'
  readonly target = '-'
  readonly guarantee = 'at most once: what went to standard output cannot be taken back'
  readonly description = 'standard output'

  constructor({ many }: { many: boolean }) {
    if (!many) return
    throw new FerryError('FERRY-1003', 'standard output is one file', {
      hint: 'Leave write.rowsPerFile and write.bytesPerFile out.',
    })
  }

  async create(): Promise<ObjectWriter> {
    return new StandardWriter()
  }

  async prepare(): Promise<Committed> {
    return { splits: new Map(), published: false }
  }

  async committed(): Promise<Committed> {
    return { splits: new Map(), published: false }
  }

  async requireRoom(): Promise<undefined> {}
  async begin(): Promise<number> {
    return 0
  }

  async reached(): Promise<void> {}
  async publish(): Promise<void> {}
  async forget(): Promise<void> {}

  async discard(): Promise<boolean> {
    return false
  }
}

class StandardWriter implements ObjectWriter {
  async write(data: Buffer, release?: () => void): Promise<void> {
    try {
      if (!stdout.write(data, release)) await drained(stdout)
    } catch (error) {
      throw translate(error, 'standard output')
    }
  }

  async finish(): Promise<void> {}
  async abandon(): Promise<void> {}
}
