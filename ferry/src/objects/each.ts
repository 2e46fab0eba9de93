/** Requests at one time where many objects are looked at. */
const AT_ONCE = 16

/** Runs work for each item, some at a time. The first error ends it, when all that has begun has ended. */
export async function each<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values()
  let failed = false
  const lane = async () => {
    for (const item of left) {
      if (failed) return
      await work(item).catch(error => {
        failed = true
        throw error
      })
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, items.length) }, lane))
  for (const one of lanes) if (one.status === 'rejected') throw one.reason
}
