/** The seed of a suite's random values: printed, so that a failure can be repeated with FERRY_SEED. */
export function seedOf(suite: string): number {
  const seed = Number(process.env.FERRY_SEED ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`${suite}: FERRY_SEED=${seed}`)
  return seed
}

/** Random numbers from 0 to 1 that a seed repeats. */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 0x7fffffff
  }
}
