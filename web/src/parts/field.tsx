/** One setting, as the schema of its connector describes it. */
import {
  Accordion,
  AccordionHeader,
  AccordionItem,
  AccordionPanel,
  Field,
  Input,
  makeStyles,
  Select,
} from '@fluentui/react-components'
import { type ReactElement, useId } from 'react'
import type { FieldView } from '../api.ts'
import { type FaultAt, noFault, shown } from './faults.ts'

const useStyles = makeStyles({
  form: {
    display: 'grid',
    gridTemplateColumns: 'repeat(auto-fill, minmax(260px, 1fr))',
    gap: '12px 20px',
    alignItems: 'start',
  },
})

interface FieldProps {
  setting: FieldView
  value: string
  onChange: (value: string) => void
  /** What is wrong with it. */
  fault?: string | undefined
  /** Names to choose from, beside whatever is typed. */
  names?: readonly string[] | undefined
  /** What is beside the field. */
  beside?: ReactElement | undefined
}

export function SettingField({ setting, value, onChange, fault, names = [], beside }: FieldProps) {
  const list = useId()
  const hint = setting.secret
    ? 'Kept encrypted, and never shown again. ${NAME} takes it from the environment of the server.'
    : setting.description.replaceAll('`', '')
  const placeholder = setting.default || undefined
  const choices = setting.type === 'boolean' ? ['true', 'false'] : setting.choices
  return (
    <>
      <Field label={setting.name} hint={hint} required={setting.required} {...shown(fault)}>
        {choices.length > 0 ? (
          <Select value={value} onChange={(_, data) => onChange(data.value)}>
            <option value="">{placeholder ? `${placeholder} (as usual)` : ''}</option>
            {choices.map(c => (
              <option key={c}>{c}</option>
            ))}
          </Select>
        ) : (
          <Input
            type={setting.secret ? 'password' : setting.type === 'number' ? 'number' : 'text'}
            autoComplete="off"
            placeholder={placeholder}
            value={value}
            {...(names.length > 0 ? { list } : {})}
            {...(beside ? { contentAfter: beside } : {})}
            onChange={(_, data) => onChange(data.value)}
          />
        )}
      </Field>
      {names.length > 0 && (
        <datalist id={list}>
          {names.map(name => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
    </>
  )
}

interface OptionsProps {
  title: string
  fields: FieldView[]
  /** By their names; those that no field shows stay as they are. */
  value: Record<string, unknown>
  onChange: (value: Record<string, unknown> | undefined) => void
  /** What is wrong with each, by its name. */
  fault?: FaultAt
}

/** What a job may say more of a store's objects; nothing where there is nothing to say. */
export function Options({ title, fields, value, onChange, fault = noFault }: OptionsProps) {
  const styles = useStyles()
  if (fields.length === 0) return null
  const said = Object.keys(value)
  const change = (field: FieldView, text: string) => {
    const { [field.name]: _, ...others } = value
    const all = text === '' ? others : { ...others, [field.name]: valueOf(field, text) }
    onChange(Object.keys(all).length === 0 ? undefined : all)
  }
  return (
    <Accordion collapsible defaultOpenItems={said.length > 0 ? ['all'] : []}>
      <AccordionItem value="all">
        <AccordionHeader as="h3">{said.length > 0 ? `${title}: ${said.join(', ')}` : title}</AccordionHeader>
        <AccordionPanel className={styles.form}>
          {fields.map(f => (
            <SettingField
              key={f.name}
              setting={f}
              value={value[f.name] === undefined ? '' : String(value[f.name])}
              fault={fault(f.name)}
              onChange={text => change(f, text)}
            />
          ))}
        </AccordionPanel>
      </AccordionItem>
    </Accordion>
  )
}

function valueOf(field: FieldView, text: string): unknown {
  if (field.type === 'boolean') return text === 'true'
  // A size may be a number, or a text such as 64MB.
  return field.type === 'number' && text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}
