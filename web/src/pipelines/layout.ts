/** Where the activities of a pipeline are drawn: from left to right, those within an activity inside its box. */
import { Graph, layout } from '@dagrejs/dagre'
import type { PipelineView } from './api.ts'

export type Node = PipelineView['activities'][number]

const WIDTH = 190
const HEIGHT = 58
/** The head of a box with activities in it, and of each of its branches. */
const HEAD = 58
const BRANCH = 24
const SPACE = 14
const GAP = 44

export interface PlacedEdge {
  from: string
  to: string
  conditions: string[]
  points: { x: number; y: number }[]
}

/** In pixels, from the left upper corner of the list that it is in. */
export interface PlacedNode {
  node: Node
  x: number
  y: number
  width: number
  height: number
  branches: { name: string; y: number; list: PlacedList }[]
}

export interface PlacedList {
  width: number
  height: number
  /** In the order in which they run. */
  nodes: PlacedNode[]
  edges: PlacedEdge[]
}

export function placed(activities: readonly Node[]): PlacedList {
  const graph = new Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: GAP, marginx: 2, marginy: 2 })
  graph.setDefaultEdgeLabel(() => ({}))
  const boxes = new Map(activities.map(node => [node.name, boxOf(node)]))
  for (const [name, { width, height }] of boxes) graph.setNode(name, { width, height })
  const needs = activities.flatMap(node =>
    // A pipeline with a mistake in it is drawn all the same.
    node.dependsOn.filter(d => boxes.has(d.activity)).map(d => ({ from: d.activity, to: node.name, ...d })),
  )
  for (const { from, to } of needs) graph.setEdge(from, to)
  layout(graph)
  const nodes = activities
    .map(node => {
      const { x, y } = graph.node(node.name) as { x: number; y: number }
      const box = boxes.get(node.name)!
      return { node, ...box, x: x - box.width / 2, y: y - box.height / 2 }
    })
    .sort((a, b) => a.x - b.x || a.y - b.y)
  const edges = needs.map(({ from, to, conditions }) => {
    const { points } = graph.edge(from, to) as { points: { x: number; y: number }[] }
    return { from, to, conditions, points }
  })
  const size = graph.graph() as { width?: number; height?: number }
  return { width: finite(size.width), height: finite(size.height), nodes, edges }
}

const finite = (n: number | undefined) => (n !== undefined && Number.isFinite(n) ? n : 0)

function boxOf(node: Node): Omit<PlacedNode, 'node' | 'x' | 'y'> {
  if (node.branches.length === 0) return { width: WIDTH, height: HEIGHT, branches: [] }
  let y = HEAD
  let width = WIDTH
  const branches = node.branches.map(({ name, activities }) => {
    const list = placed(activities)
    const at = y
    y += BRANCH + list.height + SPACE
    width = Math.max(width, list.width + 2 * SPACE)
    return { name, y: at, list }
  })
  return { width, height: y, branches }
}
