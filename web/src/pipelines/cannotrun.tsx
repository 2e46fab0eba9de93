/** Why an artifact cannot run here. */
import { MessageBar, MessageBarBody, MessageBarTitle, Text } from '@fluentui/react-components'
import { pageWords } from '../words.ts'
import type { PipelineView } from './api.ts'

const MOST = 10

export function CannotRun({ findings }: Pick<PipelineView, 'findings'>) {
  if (findings.length === 0) return null
  return (
    <MessageBar intent="warning" layout="multiline">
      <MessageBarBody>
        <MessageBarTitle>It cannot run here</MessageBarTitle>
        {findings.slice(0, MOST).map(f => (
          <Text block key={`${f.path}\n${f.message}`}>
            {pageWords(f.message)} <code>{f.path}</code>
          </Text>
        ))}
      </MessageBarBody>
    </MessageBar>
  )
}
