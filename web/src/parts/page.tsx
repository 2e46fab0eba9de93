/** The head of a page: where it is, what it is called, what can be done. */
import { makeStyles, Title2 } from '@fluentui/react-components'
import { type ReactNode, useEffect } from 'react'

const useStyles = makeStyles({
  head: { display: 'flex', alignItems: 'center', flexWrap: 'wrap', gap: '8px 12px', marginBottom: '16px' },
  title: { flexGrow: 1, display: 'flex', alignItems: 'center', gap: '12px', flexWrap: 'wrap' },
})

export function PageHead({ title, beside, children }: { title: string; beside?: ReactNode; children?: ReactNode }) {
  const styles = useStyles()
  useEffect(() => {
    document.title = `${title} - Ferry`
  }, [title])
  return (
    <div className={styles.head}>
      <div className={styles.title}>
        <Title2 as="h1">{title}</Title2>
        {beside}
      </div>
      {children}
    </div>
  )
}
