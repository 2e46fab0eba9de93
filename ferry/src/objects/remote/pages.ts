/** Watches the pages of a listing: one that comes again would double objects, or never end. */
import { FerryError } from '../../errors.ts'
import type { Listing } from './service.ts'

export class Pages {
  private before = new Set<string>()

  /** Throws FERRY-2007 for a page that has something of the page before. */
  require({ objects, folders }: Listing, prefix: string): void {
    const now = new Set<string>()
    for (const name of [...objects.map(o => o.key), ...folders]) {
      if (this.before.has(name) || now.has(name)) {
        throw new FerryError('FERRY-2007', `${prefix}*: the store lists ${name} twice`, {
          hint: 'Run again; if it comes again, look at the store or at what is between.',
        })
      }
      now.add(name)
    }
    this.before = now
  }
}
