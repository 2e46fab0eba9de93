/** Looking around in the folders of a store of files: what is there, and what a pattern means. */
import {
  Breadcrumb,
  BreadcrumbButton,
  BreadcrumbDivider,
  BreadcrumbItem,
  Button,
  Checkbox,
  Field,
  Input,
  makeStyles,
  Spinner,
  Text,
  tokens,
} from '@fluentui/react-components'
import { AddRegular, DeleteRegular, EyeRegular, FolderRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { Fragment, useDeferredValue, useState } from 'react'
import { folderQuery, matchingQuery } from '../api.ts'
import { count, size, time } from '../format.ts'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'

const useStyles = makeStyles({
  part: { display: 'flex', flexDirection: 'column', gap: '12px' },
  bar: { display: 'flex', gap: '12px', alignItems: 'end', flexWrap: 'wrap' },
  pattern: { width: '340px' },
  muted: { color: tokens.colorNeutralForeground2 },
})

interface Props {
  connection: string
  chosen: Set<string>
  /** Whose columns and rows are shown. */
  looked: string | undefined
  onChoose: (names: string[], isChosen: boolean) => void
  onLook: (name: string | undefined) => void
}

/** The name without the folders before it. */
const own = (name: string) => /([^/]*\/?)$/.exec(name)![1]!

export function Folders({ connection, chosen, looked, onChoose, onLook }: Props) {
  const styles = useStyles()
  const [folder, setFolder] = useState('')
  const [pattern, setPattern] = useState('')
  const found = useQuery({ ...folderQuery(connection, folder), placeholderData: undefined })
  const steps = folder.split('/').filter(s => s !== '')
  const go = (to: string) => {
    setFolder(to)
    setPattern('')
  }
  const look = (name: string) => (
    <Button
      size="small"
      appearance="subtle"
      icon={<EyeRegular />}
      aria-label={`Look at ${name}`}
      aria-expanded={looked === name}
      onClick={() => onLook(looked === name ? undefined : name)}
    />
  )
  const rows = [
    ...(found.data?.folders ?? []).map(name => ({ name, isFolder: true, size: 0, modified: 0 })),
    ...(found.data?.files ?? []).map(file => ({ ...file, isFolder: false })),
  ]
  return (
    <section className={styles.part} aria-label="Folders">
      <Breadcrumb aria-label="The folder that is shown">
        <BreadcrumbItem>
          <BreadcrumbButton onClick={() => go('')} current={steps.length === 0}>
            {connection}
          </BreadcrumbButton>
        </BreadcrumbItem>
        {steps.map((step, i) => (
          <Fragment key={steps.slice(0, i + 1).join('/')}>
            <BreadcrumbDivider />
            <BreadcrumbItem>
              <BreadcrumbButton
                onClick={() => go(`${steps.slice(0, i + 1).join('/')}/`)}
                current={i === steps.length - 1}
              >
                {step}
              </BreadcrumbButton>
            </BreadcrumbItem>
          </Fragment>
        ))}
      </Breadcrumb>
      {found.isError && <Failure error={found.error} />}
      {found.isLoading && <Spinner label={`Asking ${connection}`} />}
      {found.data && (
        <Grid
          label="Files of the folder"
          rows={rows}
          keyOf={row => row.name}
          maxHeight="38vh"
          columns={[
            {
              name: 'Copy',
              width: '60px',
              cell: row => (
                <Checkbox
                  aria-label={`Copy ${row.name}`}
                  checked={chosen.has(row.name)}
                  onChange={(_, { checked }) => onChoose([row.name], checked === true)}
                />
              ),
            },
            {
              name: 'Name',
              cell: row =>
                row.isFolder ? (
                  <Button
                    size="small"
                    appearance="subtle"
                    icon={<FolderRegular />}
                    aria-label={`Open ${row.name}`}
                    onClick={() => go(row.name)}
                  >
                    {own(row.name)}
                  </Button>
                ) : (
                  own(row.name)
                ),
            },
            { name: 'Size', cell: row => (row.isFolder ? '' : size(row.size)) },
            {
              name: 'Changed',
              cell: row => (row.modified > 0 ? time(new Date(row.modified).toISOString()) : ''),
            },
            { name: 'Rows and columns', cell: row => look(row.name) },
          ]}
        />
      )}
      {found.data?.more && <Text className={styles.muted}>There is more in it than is shown: use a pattern.</Text>}
      <div className={styles.bar}>
        <Field label="Files by a pattern" hint="* in a name, ** for any folders: year=*/**/*.parquet">
          <Input
            className={styles.pattern}
            placeholder={`${folder}*.csv`}
            value={pattern}
            onChange={(_, { value }) => setPattern(value)}
          />
        </Field>
        <Button
          icon={<AddRegular />}
          disabled={pattern.trim() === '' || chosen.has(pattern.trim())}
          onClick={() => onChoose([pattern.trim()], true)}
        >
          Copy what matches
        </Button>
      </div>
      <Matching connection={connection} pattern={pattern.trim()} />
      {chosen.size > 0 && (
        <Grid
          label="What is copied"
          rows={[...chosen]}
          keyOf={name => name}
          maxHeight="24vh"
          columns={[
            { name: 'What is copied', cell: name => name },
            { name: 'Rows and columns', cell: look },
            {
              name: 'Leave out',
              cell: name => (
                <Button
                  size="small"
                  appearance="subtle"
                  icon={<DeleteRegular />}
                  aria-label={`Leave ${name} out`}
                  onClick={() => onChoose([name], false)}
                />
              ),
            },
          ]}
        />
      )}
    </section>
  )
}

/** What a pattern means now. */
function Matching({ connection, pattern }: { connection: string; pattern: string }) {
  const styles = useStyles()
  const asked = useDeferredValue(pattern)
  const found = useQuery({ ...matchingQuery(connection, asked), enabled: asked !== '', placeholderData: undefined })
  if (asked === '') return null
  if (found.isError) return <Failure error={found.error} />
  if (!found.data) return <Spinner size="tiny" label="Counting" />
  const { files, bytes, names, atLeast } = found.data
  return (
    <div aria-live="polite">
      <Text block>
        {atLeast ? 'More than ' : ''}
        {count(files)} {files === 1 ? 'file' : 'files'}, {size(bytes)}
      </Text>
      <Text block className={styles.muted}>
        {names.slice(0, 5).join(', ')}
        {files > 5 ? ', ...' : ''}
      </Text>
    </div>
  )
}
