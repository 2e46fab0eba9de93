/** A table of any length: only the rows that are seen are in the page. It stays a table for screen readers. */
import { makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import { useVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useRef } from 'react'

const useStyles = makeStyles({
  scroll: {
    overflow: 'auto',
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusMedium,
  },
  table: { borderCollapse: 'collapse', width: '100%', fontSize: tokens.fontSizeBase300 },
  head: {
    position: 'sticky',
    top: 0,
    zIndex: 1,
    textAlign: 'left',
    padding: '8px 12px',
    whiteSpace: 'nowrap',
    backgroundColor: tokens.colorNeutralBackground3,
    fontWeight: tokens.fontWeightSemibold,
  },
  cell: {
    padding: '0 12px',
    height: '38px',
    borderTop: `1px solid ${tokens.colorNeutralStroke3}`,
    whiteSpace: 'nowrap',
    maxWidth: '340px',
    overflow: 'hidden',
    textOverflow: 'ellipsis',
  },
  number: { textAlign: 'right', fontVariantNumeric: 'tabular-nums' },
})

const ROW_HEIGHT = 39

export interface GridColumn<T> {
  name: string
  cell: (row: T, index: number) => ReactNode
  number?: boolean
  width?: string
}

interface Props<T> {
  label: string
  columns: GridColumn<T>[]
  rows: T[]
  keyOf: (row: T) => string | number
  /** CSS height at the most. */
  maxHeight?: string
}

export function Grid<T>({ label, columns, rows, keyOf, maxHeight = '60vh' }: Props<T>) {
  const styles = useStyles()
  const scroll = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  })
  const items = virtual.getVirtualItems()
  const before = items[0]?.start ?? 0
  const after = items.length === 0 ? 0 : virtual.getTotalSize() - items.at(-1)!.end
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
    <section ref={scroll} className={styles.scroll} style={{ maxHeight }} tabIndex={0} aria-label={label}>
      <table className={styles.table} aria-rowcount={rows.length + 1} aria-label={label}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map(c => (
              <th
                key={c.name}
                scope="col"
                className={mergeClasses(styles.head, c.number && styles.number)}
                style={c.width ? { width: c.width } : undefined}
              >
                {c.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && (
            <tr aria-hidden style={{ height: before }}>
              <td colSpan={columns.length} />
            </tr>
          )}
          {items.map(({ index }) => {
            const row = rows[index]!
            return (
              <tr key={keyOf(row)} aria-rowindex={index + 2}>
                {columns.map(c => (
                  <td key={c.name} className={mergeClasses(styles.cell, c.number && styles.number)}>
                    {c.cell(row, index)}
                  </td>
                ))}
              </tr>
            )
          })}
          {after > 0 && (
            <tr aria-hidden style={{ height: after }}>
              <td colSpan={columns.length} />
            </tr>
          )}
        </tbody>
      </table>
    </section>
  )
}
