/** One schedule: when, in which time zone, what if it was missed or the job still runs. */
import { Button, Checkbox, Field, Input, makeStyles, Select, Text } from '@fluentui/react-components'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { act } from '../api.ts'
import { time } from '../format.ts'
import { Failure } from './failure.tsx'
import { faultsOf, shown } from './faults.ts'

export interface ScheduleValue extends Record<string, unknown> {
  name: string
}

const useStyles = makeStyles({
  form: { display: 'flex', flexDirection: 'column', gap: '12px', maxWidth: '560px' },
  bar: { display: 'flex', gap: '8px', flexWrap: 'wrap' },
})

const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const WAYS = ['every', 'daily', 'weekly', 'monthly', 'cron'] as const
type Way = (typeof WAYS)[number]

const zones = Intl.supportedValuesOf('timeZone')
const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone

interface Words {
  name: string
  way: Way
  every: string
  at: string
  weekdays: string[]
  days: string
  cron: string
  timeZone: string
  from: string
  until: string
  missed: string
  overlap: string
}

/** What a schedule may hold: see the job file. */
interface Known {
  every?: string
  daily?: string[]
  weekly?: { days: string[]; at: string[] }
  monthly?: { days: (number | string)[]; at: string[] }
  cron?: string
  timeZone?: string
  from?: string
  until?: string
  missed?: string
  overlap?: string
}

function wordsOf(value: ScheduleValue | undefined, name: string): Words {
  const v = (value ?? {}) as Known
  const at = v.daily ?? v.weekly?.at ?? v.monthly?.at
  return {
    name: value?.name ?? name,
    way: WAYS.find(w => v[w] !== undefined) ?? 'daily',
    every: v.every ?? '15 min',
    at: at?.join(', ') ?? '06:00',
    weekdays: v.weekly?.days ?? ['mon'],
    days: v.monthly?.days.join(', ') ?? '1',
    cron: v.cron ?? '0 6 * * 1-5',
    timeZone: v.timeZone ?? ownZone,
    from: v.from ?? '',
    until: v.until ?? '',
    missed: v.missed ?? 'run',
    overlap: v.overlap ?? 'skip',
  }
}

/** What of a schedule has a field of its own. */
const FIELDS = [
  'name',
  'every',
  'cron',
  'daily',
  'weekly.days',
  'weekly.at',
  'monthly.days',
  'monthly.at',
  'timeZone',
  'from',
  'until',
]

/** The place in a schedule of what a field of words holds. */
function placeOf(key: 'name' | 'every' | 'at' | 'days' | 'cron', way: Way): string {
  if (key === 'at') return way === 'daily' ? 'daily' : `${way}.at`
  return key === 'days' ? 'monthly.days' : key
}

const list = (text: string) => text.split(/[\s,]+/).filter(Boolean)

function valueOf(w: Words): ScheduleValue {
  const at = list(w.at)
  const days = list(w.days).map(d => (/^\d+$/.test(d) ? Number(d) : d))
  const when = {
    every: { every: w.every },
    daily: { daily: at },
    weekly: { weekly: { days: w.weekdays, at } },
    monthly: { monthly: { days, at } },
    cron: { cron: w.cron },
  }[w.way]
  return {
    name: w.name,
    ...when,
    timeZone: w.timeZone,
    ...(w.from ? { from: w.from } : {}),
    ...(w.until ? { until: w.until } : {}),
    missed: w.missed,
    overlap: w.overlap,
  }
}

interface Props {
  schedule?: ScheduleValue
  name: string
  onDone: (schedule: ScheduleValue) => void
  onCancel: () => void
}

export function ScheduleForm({ schedule, name, onDone, onCancel }: Props) {
  const styles = useStyles()
  const [words, setWords] = useState(() => wordsOf(schedule, name))
  const set = (part: Partial<Words>) => setWords({ ...words, ...part })
  const value = valueOf(words)
  const times = useQuery({
    queryKey: ['times', value],
    queryFn: () => act.times(value),
    retry: false,
    placeholderData: undefined,
  })
  const { at, isBeside } = faultsOf(times.error, path => FIELDS.some(f => path === f || path.startsWith(`${f}.`)))
  const text = (label: string, key: 'name' | 'every' | 'at' | 'days' | 'cron', hint?: string) => (
    <Field label={label} hint={hint} {...shown(at(placeOf(key, words.way)))}>
      <Input value={words[key]} onChange={(_, d) => set({ [key]: d.value })} />
    </Field>
  )
  return (
    <div className={styles.form}>
      {text('Name of the schedule', 'name')}
      <Field label="Repeats">
        <Select value={words.way} onChange={(_, d) => set({ way: d.value as Way })}>
          <option value="every">every so many minutes or hours</option>
          <option value="daily">daily</option>
          <option value="weekly">weekly</option>
          <option value="monthly">monthly</option>
          <option value="cron">by a cron expression</option>
        </Select>
      </Field>
      {words.way === 'every' && text('Every', 'every', 'Such as 15 min, 2 h')}
      {words.way === 'cron' &&
        text('Cron expression', 'cron', 'Minute, hour, day, month, weekday; six fields begin with seconds')}
      {words.way === 'weekly' && (
        <Field label="Weekdays" {...shown(at('weekly.days'))}>
          <div className={styles.bar}>
            {WEEKDAYS.map(day => (
              <Checkbox
                key={day}
                label={day}
                checked={words.weekdays.includes(day)}
                onChange={(_, { checked }) =>
                  set({ weekdays: WEEKDAYS.filter(d => (d === day ? checked : words.weekdays.includes(d))) })
                }
              />
            ))}
          </div>
        </Field>
      )}
      {words.way === 'monthly' && text('Days of the month', 'days', 'Numbers, or last, separated by commas')}
      {['daily', 'weekly', 'monthly'].includes(words.way) && text('Times of day', 'at', 'Such as 06:00, 18:30')}
      <Field label="Time zone" {...shown(at('timeZone'))}>
        <Select value={words.timeZone} onChange={(_, d) => set({ timeZone: d.value })}>
          {[...new Set(['UTC', ownZone, words.timeZone, ...zones])].map(z => (
            <option key={z}>{z}</option>
          ))}
        </Select>
      </Field>
      <Field label="Not before" {...shown(at('from'))}>
        <Input type="datetime-local" value={words.from.slice(0, 16)} onChange={(_, d) => set({ from: d.value })} />
      </Field>
      <Field label="Not after" {...shown(at('until'))}>
        <Input type="datetime-local" value={words.until.slice(0, 16)} onChange={(_, d) => set({ until: d.value })} />
      </Field>
      <Field label="When a time was missed because no server was there">
        <Select value={words.missed} onChange={(_, d) => set({ missed: d.value })}>
          <option value="run">run once as soon as possible</option>
          <option value="skip">leave it</option>
        </Select>
      </Field>
      <Field label="When the job still runs">
        <Select value={words.overlap} onChange={(_, d) => set({ overlap: d.value })}>
          <option value="skip">leave this time out</option>
          <option value="queue">run behind it</option>
          <option value="cancel">cancel it</option>
        </Select>
      </Field>
      {times.isError && !isBeside && <Failure error={times.error} />}
      {times.data && <Text>Next: {times.data.next.map(time).join(' · ') || 'never'}</Text>}
      <div className={styles.bar}>
        <Button appearance="primary" disabled={!times.data} onClick={() => onDone(value)}>
          Keep schedule
        </Button>
        <Button onClick={onCancel}>Back</Button>
      </div>
    </div>
  )
}

/** A schedule in words. */
export function wordsFor(s: Record<string, unknown>): string {
  const at = (of: unknown) => (of as { at: string[] }).at.join(', ')
  if (s.every) return `every ${s.every}`
  if (s.daily) return `daily at ${(s.daily as string[]).join(', ')} (${s.timeZone})`
  if (s.weekly) return `${(s.weekly as { days: string[] }).days.join(', ')} at ${at(s.weekly)} (${s.timeZone})`
  if (s.monthly)
    return `on day ${(s.monthly as { days: unknown[] }).days.join(', ')} at ${at(s.monthly)} (${s.timeZone})`
  return `${s.cron} (${s.timeZone})`
}
