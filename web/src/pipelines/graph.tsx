/** A pipeline as a graph; of a run each activity shows how it stands. Activities are buttons: Tab and the arrow keys go from one to the next. */
import { makeStyles, mergeClasses, Text, tokens } from '@fluentui/react-components'
import { type KeyboardEvent, useMemo } from 'react'
import type { ActivitySummary, PipelineView } from './api.ts'
import { type PlacedEdge, type PlacedList, type PlacedNode, placed } from './layout.ts'
import { type AnyStatus, WORDS } from './status.tsx'

const useStyles = makeStyles({
  scroll: {
    overflow: 'auto',
    maxHeight: '60vh',
    padding: '12px',
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: tokens.colorNeutralBackground2,
  },
  list: { position: 'relative' },
  lines: { position: 'absolute', left: 0, top: 0, overflow: 'visible', pointerEvents: 'none' },
  box: {
    position: 'absolute',
    boxSizing: 'border-box',
    border: `1px solid ${tokens.colorNeutralStroke1}`,
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: tokens.colorNeutralBackground1,
  },
  button: {
    display: 'flex',
    flexDirection: 'column',
    alignItems: 'flex-start',
    justifyContent: 'center',
    gap: '2px',
    width: '100%',
    height: '56px',
    padding: '4px 10px',
    boxSizing: 'border-box',
    textAlign: 'left',
    font: 'inherit',
    color: tokens.colorNeutralForeground1,
    backgroundColor: 'transparent',
    border: 'none',
    borderLeft: `4px solid ${tokens.colorNeutralStroke1}`,
    borderRadius: tokens.borderRadiusMedium,
    cursor: 'pointer',
    ':hover': { backgroundColor: tokens.colorNeutralBackground1Hover },
  },
  name: { maxWidth: '100%', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' },
  type: { color: tokens.colorNeutralForeground2 },
  /** For who listens: others see the lines. */
  hidden: { position: 'absolute', width: '1px', height: '1px', overflow: 'hidden', clipPath: 'inset(50%)' },
  off: { opacity: 0.6 },
  branch: { position: 'absolute', left: '14px' },
  branchName: { display: 'block', height: '24px', color: tokens.colorNeutralForeground2 },
  InProgress: { borderLeftColor: tokens.colorBrandBackground },
  Succeeded: { borderLeftColor: tokens.colorPaletteGreenBackground3 },
  Failed: { borderLeftColor: tokens.colorPaletteRedBackground3 },
  Skipped: { borderLeftColor: tokens.colorNeutralStroke2 },
  Cancelled: { borderLeftColor: tokens.colorPaletteMarigoldBackground3 },
  Queued: {},
})

/** How the runs of one activity stand together, and how many there are. */
export interface Standing {
  status: AnyStatus
  done: number
  all: number
}

const ORDER: AnyStatus[] = ['Failed', 'InProgress', 'Cancelled', 'Succeeded', 'Skipped']

export function standings(activities: readonly ActivitySummary[]): Map<string, Standing> {
  const byName = Map.groupBy(activities, a => a.activityName)
  const found = new Map<string, Standing>()
  for (const [name, runs] of byName) {
    const status = ORDER.find(s => runs.some(r => r.status === s)) ?? 'InProgress'
    found.set(name, { status, done: runs.filter(r => r.status !== 'InProgress').length, all: runs.length })
  }
  return found
}

interface Props {
  pipeline: Pick<PipelineView, 'name' | 'activities'>
  /** Of a run; undefined where the pipeline itself is shown. */
  standing?: ReadonlyMap<string, Standing> | undefined
  onOpen: (activity: string) => void
  /** What its boxes are called. */
  what?: string
}

export function PipelineGraph({ pipeline, standing, onOpen, what = 'Activities' }: Props) {
  const styles = useStyles()
  const list = useMemo(() => placed(pipeline.activities), [pipeline])
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
    <section className={styles.scroll} aria-label={`${what} of ${pipeline.name}`} tabIndex={0}>
      <List list={list} standing={standing} onOpen={onOpen} />
    </section>
  )
}

type ListProps = { list: PlacedList } & Pick<Props, 'standing' | 'onOpen'>

function List({ list, standing, onOpen }: ListProps) {
  const styles = useStyles()
  return (
    <div className={styles.list} style={{ width: list.width, height: list.height }}>
      <svg className={styles.lines} width={list.width} height={list.height} aria-hidden>
        {list.edges.map(edge => (
          <Line key={`${edge.from}\n${edge.to}`} edge={edge} />
        ))}
      </svg>
      {list.nodes.map(node => (
        <Box key={node.node.name} placed={node} list={list} standing={standing} onOpen={onOpen} />
      ))}
    </div>
  )
}

const LINES: Record<string, string> = {
  Succeeded: tokens.colorPaletteGreenForeground1,
  Failed: tokens.colorPaletteRedForeground1,
  Completed: tokens.colorBrandForeground1,
  Skipped: tokens.colorNeutralForeground3,
}

function Line({ edge: { points, conditions } }: { edge: PlacedEdge }) {
  const [first, ...rest] = points
  const last = points.at(-1)!
  const before = points.at(-2) ?? first!
  const angle = (Math.atan2(last.y - before.y, last.x - before.x) * 180) / Math.PI
  const colour = LINES[conditions[0] ?? 'Succeeded'] ?? LINES.Succeeded
  const middle = points[Math.floor(points.length / 2)]!
  const words = conditions.filter(c => c !== 'Succeeded').map(c => c.toLowerCase())
  return (
    <g stroke={colour} fill="none">
      <path d={`M${first!.x},${first!.y} ${rest.map(p => `L${p.x},${p.y}`).join(' ')}`} strokeWidth={1.5} />
      <path d="M-7,-4 L0,0 L-7,4" transform={`translate(${last.x},${last.y}) rotate(${angle})`} strokeWidth={1.5} />
      {words.length > 0 && (
        <text x={middle.x} y={middle.y - 5} textAnchor="middle" fontSize={11} stroke="none" fill={colour}>
          {conditions.map(c => c.toLowerCase()).join(', ')}
        </text>
      )}
    </g>
  )
}

function Box({ placed, list, standing, onOpen }: { placed: PlacedNode } & ListProps) {
  const styles = useStyles()
  const { node, x, y, width, height, branches } = placed
  const own = standing?.get(node.name)
  const told = toldOf(own, node.isActive)
  const after = node.dependsOn.map(d => `${d.activity} ${d.conditions.map(c => c.toLowerCase()).join(' or ')}`)
  // The arrows lead along the lines.
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const next =
      event.key === 'ArrowRight'
        ? list.edges.find(e => e.from === node.name)?.to
        : event.key === 'ArrowLeft'
          ? list.edges.find(e => e.to === node.name)?.from
          : undefined
    if (next === undefined) return
    event.preventDefault()
    const buttons = event.currentTarget.closest('section')?.querySelectorAll<HTMLElement>('button[data-activity]')
    for (const button of buttons ?? []) if (button.dataset.activity === next) button.focus()
  }
  return (
    <div className={styles.box} style={{ left: x, top: y, width, height }}>
      <button
        type="button"
        className={mergeClasses(styles.button, own && styles[own.status], !node.isActive && styles.off)}
        data-activity={node.name}
        data-status={own?.status}
        title={node.name}
        onClick={() => onOpen(node.name)}
        onKeyDown={onKeyDown}
      >
        <Text weight="semibold" className={styles.name}>
          {node.name}
        </Text>
        <Text size={200} className={mergeClasses(styles.name, styles.type)}>
          {[calledOf(node), told].filter(Boolean).join(' · ')}
        </Text>
        {after.length > 0 && <span className={styles.hidden}> after {after.join(' and ')}</span>}
      </button>
      {branches.map(branch => (
        <div key={branch.name} className={styles.branch} style={{ top: branch.y }}>
          <Text size={200} className={styles.branchName}>
            {branch.name}
          </Text>
          <List list={branch.list} standing={standing} onOpen={onOpen} />
        </div>
      ))}
    </div>
  )
}

const calledOf = ({ type, calls, flow }: PlacedNode['node']) => (calls || flow ? `${type}: ${calls ?? flow}` : type)

function toldOf(own: Standing | undefined, isActive: boolean): string {
  if (!isActive) return 'inactive'
  if (!own) return ''
  return own.all > 1 ? `${WORDS[own.status]} (${own.done} of ${own.all})` : WORDS[own.status]
}
