/** One writer at a time, in order: for stores whose connection holds one transaction. */
export class Turns {
  private tail: Promise<void> = Promise.resolve()

  /** Waits for the caller's turn; calling the result ends it. */
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
