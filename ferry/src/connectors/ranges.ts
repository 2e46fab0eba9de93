/** Ranges of integer keys by the number of rows, not by the distance of the numbers. */

/** Both ends are keys of rows, and belong to the range. */
export interface KeyRange {
  low: bigint
  high: bigint
}

/**
 * Cuts a range into at most `most` ranges, none narrower than `least`: always the widest one is cut in its middle, and each
 * part shrinks to the keys that there are. `seek` gives the last key below a place that lies within a range, and the first
 * one at or above it: two looks into an index.
 */
export async function cutByGaps(
  whole: KeyRange,
  { most, least }: { most: number; least: bigint },
  seek: (at: bigint) => Promise<{ below: bigint; above: bigint }> | { below: bigint; above: bigint },
): Promise<KeyRange[]> {
  const ranges = [whole]
  while (ranges.length < most) {
    const width = ({ low, high }: KeyRange) => high - low + 1n
    const widest = ranges.reduce((a, b) => (width(b) > width(a) ? b : a))
    if (width(widest) < 2n * least || widest.low === widest.high) break
    const { below, above } = await seek(widest.low + (widest.high - widest.low) / 2n + 1n)
    const at = ranges.indexOf(widest)
    ranges.splice(at, 1, { low: widest.low, high: below }, { low: above, high: widest.high })
  }
  return ranges
}
