import { useEffect, useState } from 'react'

/** A value once it has stayed as it is for a while, in milliseconds: what is typed is not asked about letter by letter. */
export function useSettled<T>(value: T, ms = 300): T {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms)
    return () => clearTimeout(timer)
  }, [value, ms])
  return settled
}
