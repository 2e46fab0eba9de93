/** A new job, typed or pasted as YAML. */
import { Text } from '@fluentui/react-components'
import { Link, useLocation } from 'wouter'
import { act } from '../api.ts'
import { PageHead } from '../parts/page.tsx'
import { YamlEditor } from '../parts/yaml.tsx'

const START = `name: my-job
source: { connection: NAME }
destination: { connection: NAME }
tables:
  - TABLE
`

export function NewFilePage() {
  const [, go] = useLocation()
  const save = async (text: string) => {
    const { name } = await act.createJobYaml(text)
    go(`/jobs/${encodeURIComponent(name)}`)
  }
  return (
    <>
      <PageHead title="New copy job, as a file">
        <Link href="/jobs/new">Step by step</Link>
      </PageHead>
      <Text block>A job file as YAML or JSON. Nothing runs until you start it.</Text>
      <YamlEditor name="a new job" version="" yaml={START} save={save} />
    </>
  )
}
