/** Rows a second over the time of a run. */
import { makeStyles, Text, tokens } from '@fluentui/react-components'
import { count, duration } from '../format.ts'

const useStyles = makeStyles({
  box: { margin: 0 },
  line: { fill: 'none', stroke: tokens.colorBrandStroke1, strokeWidth: 2, vectorEffect: 'non-scaling-stroke' },
  area: { fill: tokens.colorBrandBackground2, stroke: 'none' },
  base: { stroke: tokens.colorNeutralStroke2, strokeWidth: 1, vectorEffect: 'non-scaling-stroke' },
})

const WIDTH = 600
const HEIGHT = 100

/** `samples` are [seconds, rows, bytes] since the run began. */
export function Chart({ samples }: { samples: [number, number, number][] }) {
  const styles = useStyles()
  const all: typeof samples = [[0, 0, 0], ...samples]
  const steps = samples.map((sample, i) => {
    const [from, before] = all[i]!
    return { at: sample[0], rate: Math.max(0, (sample[1] - before) / Math.max(sample[0] - from, 0.1)) }
  })
  if (steps.length < 2) return null
  const last = steps.at(-1)!
  const peak = Math.max(...steps.map(s => s.rate), 1)
  const points = steps.map(
    s => `${((s.at / last.at) * WIDTH).toFixed(1)},${(HEIGHT - (s.rate / peak) * (HEIGHT - 4)).toFixed(1)}`,
  )
  const label = `Rows a second over ${duration(last.at)}: now ${count(Math.round(last.rate))}, at most ${count(Math.round(peak))}`
  return (
    <figure className={styles.box}>
      <svg
        role="img"
        aria-label={label}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        width="100%"
        height="90"
      >
        <polygon
          className={styles.area}
          points={`${points[0]!.split(',')[0]},${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}`}
        />
        <polyline className={styles.line} points={points.join(' ')} />
        <line className={styles.base} x1="0" y1={HEIGHT} x2={WIDTH} y2={HEIGHT} />
      </svg>
      <Text as="p" size={200} style={{ margin: 0 }} aria-hidden>
        {label}
      </Text>
    </figure>
  )
}
