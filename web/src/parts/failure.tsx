/** What went wrong: the words of the server, its code, and the next step. */
import { MessageBar, MessageBarBody, MessageBarTitle, Text } from '@fluentui/react-components'
import { Problem } from '../api.ts'
import { pageWords } from '../words.ts'

type Told = { code: string; message: string; hint: string; table?: string | undefined }

function told(error: unknown): Told {
  if (error instanceof Problem) return { code: error.code, message: error.message, hint: error.hint }
  return { code: 'FERRY-9000', message: error instanceof Error ? error.message : String(error), hint: '' }
}

export function Failure({ error }: { error: unknown }) {
  return <FailureOf {...told(error)} />
}

export function FailureOf({ code, message, hint, table }: Told) {
  return (
    <MessageBar intent="error" layout="multiline" role="alert">
      <MessageBarBody>
        <MessageBarTitle>{table ? `${code} ${table}` : code}</MessageBarTitle>
        <Text style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>{message}</Text>
        {hint && (
          <Text block italic>
            {pageWords(hint)}
          </Text>
        )}
      </MessageBarBody>
    </MessageBar>
  )
}
