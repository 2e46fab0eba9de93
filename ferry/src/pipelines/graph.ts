/** Activities that depend on one another: the order in which they run, and what their ends mean for the whole. */
import type { Activity, ActivityState } from './model.ts'

export type Ended = Extract<ActivityState, 'Succeeded' | 'Failed' | 'Skipped'>

/** True if an activity runs, given the ends of those that it depends on; several conditions of one dependency are alternatives. */
export function mayRun(activity: Activity, ends: ReadonlyMap<string, Ended>): boolean {
  return (activity.dependsOn ?? []).every(({ activity: name, dependencyConditions }) => {
    const end = ends.get(name)!
    return dependencyConditions.some(c => c === end || (c === 'Completed' && end !== 'Skipped'))
  })
}

/**
 * The activities that a list fails for: its last ones are looked at; in place of one that was skipped, those that it
 * depends on. None if the list has succeeded.
 */
export function failedIn(activities: readonly Activity[], ends: ReadonlyMap<string, Ended>): string[] {
  const byName = new Map(activities.map(a => [a.name, a]))
  const needed = new Set(activities.flatMap(a => (a.dependsOn ?? []).map(d => d.activity)))
  const failed = new Set<string>()
  const seen = new Set<string>()
  const left = activities.filter(a => !needed.has(a.name)).map(a => a.name)
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (seen.has(name)) continue
    seen.add(name)
    const end = ends.get(name)
    if (end === 'Failed') failed.add(name)
    if (end === 'Skipped') left.push(...(byName.get(name)?.dependsOn ?? []).map(d => d.activity))
  }
  return activities.filter(a => failed.has(a.name)).map(a => a.name)
}

/** A circle of dependencies; undefined if there is none. */
export function circleIn(activities: readonly Activity[]): string[] | undefined {
  const byName = new Map(activities.map(a => [a.name, a]))
  const done = new Set<string>()
  const path: string[] = []
  const visit = (name: string): string[] | undefined => {
    if (done.has(name)) return undefined
    const at = path.indexOf(name)
    if (at >= 0) return [...path.slice(at), name]
    path.push(name)
    for (const { activity } of byName.get(name)?.dependsOn ?? []) {
      const found = visit(activity)
      if (found) return found
    }
    path.pop()
    done.add(name)
    return undefined
  }
  for (const { name } of activities) {
    const found = visit(name)
    if (found) return found
  }
  return undefined
}

/** An activity and all that run behind it. */
export function behind(activities: readonly Activity[], name: string): Set<string> {
  const found = new Set([name])
  for (let before = -1; before !== found.size; ) {
    before = found.size
    for (const a of activities) if ((a.dependsOn ?? []).some(d => found.has(d.activity))) found.add(a.name)
  }
  return found
}
