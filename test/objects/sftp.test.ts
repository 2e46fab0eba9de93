import { writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { sftpKind } from '../../ferry/src/connectors/sftp/settings.ts'
import { conformance } from '../../ferry/src/contract/conformance/suite.ts'
import { fileOf, folderOf } from '../../ferry/src/formats/conformance.ts'
import { randomOf, seedOf } from '../seed.ts'
import { startSftp } from '../servers/sftp.ts'
import { startFerry, temporaryFolder } from '../support.ts'

const server = await startSftp()
afterAll(() => server.stop())
const endpoint = async () => server.folder()

// Each session is a process of the server: what the other kinds try too is left out.
conformance('csv', fileOf('csv', sftpKind, endpoint))
for (const ending of ['csv', 'parquet']) conformance(`folders of ${ending}`, folderOf(ending, sftpKind, endpoint))

describe('connections that are cut', { timeout: 120_000 }, () => {
  it('again and again: the rows are the same, and the process ends', async () => {
    const random = randomOf(seedOf('cut connections'))
    let cuts = 0
    const proxy = createServer(client => {
      const upstream = connect(server.port, '127.0.0.1')
      let left = random() < 0.3 ? random() * 2000 : 200_000 + random() * 3_000_000
      const close = () => {
        client.destroy()
        upstream.destroy()
      }
      upstream.on('data', data => {
        left -= data.length
        if (left > 0 || cuts > 12) return void client.write(data)
        cuts++
        close()
      })
      client.on('data', data => upstream.write(data))
      for (const socket of [client, upstream]) socket.on('error', close).on('close', close)
    })
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void proxy.close())
    const folder = temporaryFolder()
    const db = new DatabaseSync(join(folder, 'shop.db'))
    db.exec(`CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
      SELECT i AS id, hex(randomblob(100)) AS text FROM n`)
    const place = { ...server.folder(), port: (proxy.address() as AddressInfo).port }
    const job = (name: string, source: object, destination: object, tables: object[]) => {
      const path = join(folder, `${name}.json`)
      writeFileSync(path, JSON.stringify({ name, source, destination, update: 'overwrite', tables }))
      return path
    }
    const there = job('there', { kind: 'sqlite', path: join(folder, 'shop.db') }, place, [
      { from: 't', to: 'out/', write: { format: 'csv', bytesPerFile: '1MB' } },
    ])
    const back = job('back', place, { kind: 'sqlite', path: join(folder, 'back.db') }, [
      { from: 'out/', to: 't', read: { format: 'csv', types: { id: 'int64', text: 'utf8' } } },
    ])
    for (const path of [there, back]) {
      const { code, stderr } = await startFerry(['run', path, '--quiet'], { home: join(folder, 'home') }).done
      expect(code, stderr).toBe(0)
    }
    const copied = new DatabaseSync(join(folder, 'back.db'))
    copied.exec(`ATTACH '${join(folder, 'shop.db')}' AS s`)
    const same = copied.prepare('SELECT count(*) AS n FROM t JOIN s.t AS o ON o.id = t.id AND o.text = t.text').get()
    expect({ ...same }).toEqual({ n: 60_000 })
    expect(cuts).toBeGreaterThan(3)
  })
})
