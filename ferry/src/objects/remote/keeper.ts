/** The small objects that a run keeps in a remote store beside what it writes, and requests that are repeated where that helps. */
import type { KeptForm } from '../../kept.ts'
import { gathered } from '../../streams.ts'
import { readSection } from './reader.ts'
import type { ObjectService } from './service.ts'
import { retried } from './upload.ts'

export abstract class Keeper {
  protected readonly service: ObjectService

  constructor(service: ObjectService) {
    this.service = service
  }

  /** A request, repeated where that helps. */
  protected call<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return retried(this.service, key, work, signal)
  }

  /** The keys below a prefix. */
  protected async keysBelow(prefix: string, shallow = false): Promise<string[]> {
    return this.call(prefix, async () => {
      const keys: string[] = []
      for await (const page of this.service.list(prefix, shallow)) keys.push(...page.objects.map(o => o.key))
      return keys
    })
  }

  protected async remove(keys: string[]): Promise<void> {
    if (keys.length > 0) await this.call(keys[0]!, () => this.service.remove(keys))
  }

  /** A manifest; undefined if there is none. */
  protected async readManifest<T>(key: string, form: KeptForm<T>): Promise<T | undefined> {
    const head = await this.call(key, () => this.service.head(key))
    if (!head) return undefined
    const bytes = await gathered(readSection(this.service, head, { start: 0 }, undefined))
    return form.read(bytes.toString('utf8'))
  }

  protected async writeManifest<T>(key: string, form: KeptForm<T>, value: T): Promise<void> {
    const bytes = Buffer.from(form.write(value))
    await this.call(key, () => this.service.put(key, bytes))
  }
}
