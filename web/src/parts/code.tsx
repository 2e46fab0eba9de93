/** A text of code that scrolls, also by the keyboard. */
import { makeStyles, tokens } from '@fluentui/react-components'
import { CopyButton } from './copybutton.tsx'

const useStyles = makeStyles({
  box: { overflow: 'auto', maxHeight: '40vh', backgroundColor: tokens.colorNeutralBackground3 },
  text: {
    margin: 0,
    padding: '12px',
    fontFamily: tokens.fontFamilyMonospace,
    fontSize: tokens.fontSizeBase200,
  },
})

export function Code({ label, text }: { label: string; text: string }) {
  const styles = useStyles()
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached by the keyboard
    <section className={styles.box} aria-label={label} tabIndex={0}>
      <CopyButton text={text} what={label} />
      <pre className={styles.text}>{text}</pre>
    </section>
  )
}
