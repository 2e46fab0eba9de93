/** Unsaved input: it survives a reload, Back, and shows in another tab. */
import { useState } from 'react'

interface Kept<T> {
  /** What it began from: another beginning is another draft. */
  base: string
  value: T
}

function read<T>(key: string): Kept<T> | undefined {
  try {
    return JSON.parse(localStorage.getItem(key) ?? 'null') ?? undefined
  } catch {
    return undefined
  }
}

/**
 * A value that stays until it is forgotten. `base` says what it begins from (a version); `was` is the base that a draft found
 * here began from, undefined where there was none.
 */
export function useKept<T>(name: string, base: string, start: T) {
  // The number is the version of saved drafts.
  const key = `ferry 2 ${name}`
  const [found] = useState(() => read<T>(key))
  const [value, setValue] = useState<T>(found?.value ?? start)
  const [isFound, setFound] = useState(found !== undefined)
  const was = found?.base ?? base
  const set = (change: (before: T) => T) =>
    setValue(before => {
      const next = change(before)
      localStorage.setItem(key, JSON.stringify({ base: was, value: next }))
      return next
    })
  const forget = (next: T = start) => {
    localStorage.removeItem(key)
    setFound(false)
    setValue(next)
  }
  return { value, set, forget, isFound, base: was }
}
