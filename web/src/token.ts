/** The token in the address that `ferry serve` prints. It does not stay there. */
export function tokenInAddress(): string | undefined {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1]
  if (!token) return undefined
  history.replaceState(null, '', location.pathname + location.search)
  return decodeURIComponent(token)
}
