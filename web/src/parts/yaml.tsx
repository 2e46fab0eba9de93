/** A job as its file says it, to read or to edit. */
import { Button, Field, makeStyles, Textarea, tokens } from '@fluentui/react-components'
import { useState } from 'react'
import { Failure } from './failure.tsx'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({
  area: { width: '100%', fontFamily: tokens.fontFamilyMonospace },
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
  bar: { display: 'flex', gap: '8px' },
})

export function YamlEditor({ yaml, save }: { yaml: string; save?: (text: string) => Promise<unknown> }) {
  const styles = useStyles()
  const [text, setText] = useState(yaml)
  const saving = useAct(
    (value: string) => save!(value),
    () => 'Saved',
  )
  return (
    <div className={styles.part}>
      <Field label="Job file">
        <Textarea
          className={styles.area}
          textarea={{ spellCheck: false, style: { fontFamily: 'inherit', minHeight: 360 } }}
          resize="vertical"
          readOnly={!save}
          value={text}
          onChange={(_, { value }) => setText(value)}
        />
      </Field>
      {saving.isError && <Failure error={saving.error} />}
      {save && (
        <div className={styles.bar}>
          <Button appearance="primary" disabled={text === yaml || saving.isPending} onClick={() => saving.mutate(text)}>
            Save
          </Button>
          <Button disabled={text === yaml} onClick={() => setText(yaml)}>
            Undo
          </Button>
        </div>
      )}
    </div>
  )
}
