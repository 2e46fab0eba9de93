/** What a run would do. */
import {
  Accordion,
  AccordionHeader,
  AccordionItem,
  AccordionPanel,
  MessageBar,
  MessageBarBody,
  MessageBarTitle,
  makeStyles,
  Text,
} from '@fluentui/react-components'
import type { PlanView } from '../api.ts'
import { count } from '../format.ts'
import { Code } from './code.tsx'
import { FailureOf } from './failure.tsx'
import { Grid } from './grid.tsx'

const useStyles = makeStyles({
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
})

/** The number of tables that are shown in full. */
const DETAILED = 50

export function Plan({ plan }: { plan: PlanView }) {
  const styles = useStyles()
  const replaced = plan.tables.filter(t => t.replaces !== null)
  return (
    <div className={styles.part}>
      {plan.problems.map(p => (
        <FailureOf key={`${p.table}${p.message}`} {...p} />
      ))}
      {plan.clashes.length > 0 && (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>Another job writes the same table</MessageBarTitle>
            {plan.clashes.map(c => (
              <Text block key={`${c.table}${c.message}`}>
                {c.table}: {c.message}
              </Text>
            ))}
          </MessageBarBody>
        </MessageBar>
      )}
      {replaced.length > 0 && (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>Existing rows will be replaced</MessageBarTitle>
            {replaced.slice(0, DETAILED).map(t => (
              <Text block key={`${t.from}\n${t.to}`}>
                {t.from} replaces {t.replaces}
              </Text>
            ))}
            {replaced.length > DETAILED && <Text block>and of {replaced.length - DETAILED} more tables</Text>}
          </MessageBarBody>
        </MessageBar>
      )}
      {plan.tables.length > 0 && (
        <Grid
          label="Plan"
          rows={plan.tables}
          keyOf={t => `${t.from}\n${t.to}`}
          maxHeight="40vh"
          columns={[
            { name: 'From', cell: t => t.from },
            { name: 'To', cell: t => (t.create ? `${t.to} (new)` : t.to) },
            { name: 'Update', cell: t => t.update },
            { name: 'Reads', cell: t => t.load ?? 'everything' },
            { name: 'Rows, about', number: true, cell: t => (t.rows === null ? '' : count(t.rows)) },
            { name: 'Encoding', cell: t => <span title={t.passedOver.join('\n')}>{t.encoding}</span> },
            { name: 'Splits', number: true, cell: t => count(t.splits) },
            { name: 'Guarantee', cell: t => <span title={t.guarantee}>{t.guarantee}</span> },
          ]}
        />
      )}
      <Accordion collapsible multiple>
        {plan.tables.slice(0, DETAILED).map(t => (
          <AccordionItem key={`${t.from}\n${t.to}`} value={`${t.from}\n${t.to}`}>
            <AccordionHeader>
              {t.from} → {t.to}
            </AccordionHeader>
            <AccordionPanel>
              <div className={styles.part}>
                <Text>{t.guarantee}</Text>
                {t.guesses.length > 0 && <Text>Guessed: {t.guesses.join('; ')}</Text>}
                {t.notes.map(note => (
                  <Text key={note}>{note}</Text>
                ))}
                <Text>
                  {t.columns.map(c => `${c.from ?? '(constant)'} ${c.fromType} → ${c.to} ${c.toType}`).join('; ')}
                </Text>
                {t.statements.length > 0 && <Code label={`Statements for ${t.to}`} text={t.statements.join('\n\n')} />}
              </div>
            </AccordionPanel>
          </AccordionItem>
        ))}
      </Accordion>
    </div>
  )
}
