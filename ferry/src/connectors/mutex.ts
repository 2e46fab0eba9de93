/** A mutual exclusion in order of arrival, for stores whose connection holds one transaction. */
export class Mutex {
  private tail: Promise<void> = Promise.resolve()

  /** Waits until the mutex is free and takes it. Call the result to release it. */
  async take(): Promise<() => void> {
    const before = this.tail
    let done = () => {}
    this.tail = new Promise(resolve => {
      done = resolve
    })
    await before
    return done
  }
}
