/** A job as YAML, to read or to edit. */
import { Button, Field, makeStyles, Text, Textarea, tokens } from '@fluentui/react-components'
import { Failure } from './failure.tsx'
import { useKept } from './kept.ts'
import { useAct } from './tell.tsx'

const useStyles = makeStyles({
  area: { width: '100%', fontFamily: tokens.fontFamilyMonospace },
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
  bar: { display: 'flex', gap: '8px' },
})

interface Props {
  /** What it is of, and which version: a draft of it stays until it is saved. */
  name: string
  version: string
  yaml: string
  save?: (text: string, version: string) => Promise<unknown>
}

export function YamlEditor({ name, version, yaml, save }: Props) {
  const styles = useStyles()
  const draft = useKept(`yaml ${name}`, version, yaml)
  const text = draft.value
  const saving = useAct(
    (value: string) => save!(value, draft.base),
    () => {
      draft.forget(text)
      return 'Saved'
    },
    { isTold: true },
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
          onChange={(_, { value }) => draft.set(() => value)}
        />
      </Field>
      {saving.isError && <Failure error={saving.error} />}
      {save && (
        <div className={styles.bar}>
          <Button
            appearance="primary"
            disabled={text === yaml}
            disabledFocusable={saving.isPending}
            onClick={() => saving.mutate(text)}
          >
            Save
          </Button>
          <Button disabled={text === yaml} onClick={() => draft.forget()}>
            Undo
          </Button>
          {draft.isFound && text !== yaml && <Text>This is your unsaved text from before.</Text>}
        </div>
      )}
    </div>
  )
}
