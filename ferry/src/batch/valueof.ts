/** The value under a name that came from outside: `constructor` and `__proto__` are names like any other. */
export function valueOf<T>(values: Record<string, T>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined
}
