/** Going through a long list, page by page: newer and older. */
import { Button, makeStyles } from '@fluentui/react-components'

const useStyles = makeStyles({ bar: { display: 'flex', gap: '8px', marginTop: '12px' } })

export const PAGE = 100

interface Props {
  /** The places behind which each page begins, the first one left out. */
  pages: string[]
  /** The last entry of this page, where there may be another one behind it. */
  last: string | undefined
  onChange: (pages: string[]) => void
}

export function Pages({ pages, last, onChange }: Props) {
  const styles = useStyles()
  return (
    <div className={styles.bar}>
      <Button disabled={pages.length === 0} onClick={() => onChange(pages.slice(0, -1))}>
        Newer
      </Button>
      <Button disabled={last === undefined} onClick={() => onChange([...pages, last!])}>
        Older
      </Button>
    </div>
  )
}

/** Where the page behind a whole one begins. */
export const lastOf = (runs: { id: string }[] | undefined) => (runs?.length === PAGE ? runs.at(-1)!.id : undefined)
