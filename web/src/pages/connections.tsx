/** Named stores. */
import { Button, Dialog, DialogBody, DialogContent, DialogTitle, Spinner } from '@fluentui/react-components'
import { AddRegular, DeleteRegular, EditRegular, PlugConnectedRegular } from '@fluentui/react-icons'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { act, type ConnectionView, connectionsQuery } from '../api.ts'
import { Confirm } from '../parts/confirm.tsx'
import { ConnectionForm } from '../parts/connectionform.tsx'
import { Empty } from '../parts/empty.tsx'
import { Failure } from '../parts/failure.tsx'
import { Grid } from '../parts/grid.tsx'
import { PageHead } from '../parts/page.tsx'
import { useMay } from '../parts/session.ts'
import { Surface } from '../parts/surface.tsx'
import { useAct } from '../parts/tell.tsx'

export function ConnectionsPage() {
  const connections = useQuery(connectionsQuery)
  const mayTest = useMay('operator')
  const mayEdit = useMay('admin')
  const [edited, setEdited] = useState<ConnectionView | 'new'>()
  const test = useAct(
    (name: string) => act.testConnection(name),
    ({ answer }, name) => `${name}: ${answer}`,
  )
  const remove = useAct(
    (name: string) => act.removeConnection(name),
    (_, name) => `${name} is removed`,
  )
  const add = mayEdit && (
    <Button appearance="primary" icon={<AddRegular />} onClick={() => setEdited('new')}>
      New connection
    </Button>
  )
  return (
    <>
      <PageHead title="Connections">{connections.data && connections.data.length > 0 && add}</PageHead>
      {connections.isError && <Failure error={connections.error} />}
      {test.isError && <Failure error={test.error} />}
      {connections.isPending && <Spinner label="Loading connections" />}
      {connections.data?.length === 0 && (
        <Empty
          title="No connections yet"
          text="A connection is a store with its settings: a database, an account, a folder."
        >
          {add}
        </Empty>
      )}
      {connections.data && connections.data.length > 0 && (
        <Grid
          label="Connections"
          rows={connections.data}
          keyOf={c => c.name}
          columns={[
            { name: 'Name', cell: c => c.name },
            { name: 'Kind', cell: c => c.kind },
            { name: 'Place', cell: c => <span title={c.label}>{c.label}</span> },
            {
              name: 'Actions',
              cell: c => (
                <>
                  {mayTest && (
                    <Button
                      size="small"
                      appearance="subtle"
                      icon={<PlugConnectedRegular />}
                      disabledFocusable={test.isPending}
                      onClick={() => test.mutate(c.name)}
                      aria-label={`Test ${c.name}`}
                    />
                  )}
                  {mayEdit && (
                    <Button
                      size="small"
                      appearance="subtle"
                      icon={<EditRegular />}
                      onClick={() => setEdited(c)}
                      aria-label={`Edit ${c.name}`}
                    />
                  )}
                  {mayEdit && (
                    <Confirm
                      title={`Remove the connection ${c.name}?`}
                      text="Jobs that name it cannot run any more."
                      action="Remove"
                      onConfirm={() => remove.mutate(c.name)}
                    >
                      <Button
                        size="small"
                        appearance="subtle"
                        icon={<DeleteRegular />}
                        aria-label={`Remove ${c.name}`}
                      />
                    </Confirm>
                  )}
                </>
              ),
            },
          ]}
        />
      )}
      <Dialog open={edited !== undefined} onOpenChange={(_, { open }) => !open && setEdited(undefined)}>
        <Surface>
          <DialogBody>
            <DialogTitle>{edited === 'new' ? 'New connection' : `Connection ${edited?.name}`}</DialogTitle>
            <DialogContent>
              {edited !== undefined && (
                <ConnectionForm
                  {...(edited === 'new' ? {} : { connection: edited })}
                  onSaved={() => setEdited(undefined)}
                  onCancel={() => setEdited(undefined)}
                />
              )}
            </DialogContent>
          </DialogBody>
        </Surface>
      </Dialog>
    </>
  )
}
