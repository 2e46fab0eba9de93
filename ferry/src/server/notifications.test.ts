import { describe, expect, it } from 'vitest'
import { namesMatching, readNotification } from './notifications.ts'

const BLOB = '/blobServices/default/containers/lake/blobs/'
const grid = (eventType: string, subject: string, data = {}) => ({ id: '1', eventType, subject, data, eventTime: 'x' })
const s3 = (eventName: string, key: string) => ({ eventVersion: '2.1', eventName, s3: { object: { key, size: 1 } } })

describe('notifications of stores of objects', () => {
  it('are those of Event Grid, in both forms, with its question whether the address is meant', () => {
    const asked = [grid('Microsoft.EventGrid.SubscriptionValidationEvent', '', { validationCode: 'abc' })]
    expect(readNotification(asked)).toEqual({ kind: 'validation', answer: { validationResponse: 'abc' } })
    const events = [
      grid('Microsoft.Storage.BlobCreated', `${BLOB}in/a b%.csv`),
      grid('Microsoft.Storage.BlobDeleted', `${BLOB}in/gone.csv`),
      grid('Microsoft.Storage.BlobCreated', '/something/else'),
    ]
    expect(readNotification(events)).toEqual({ kind: 'created', names: ['in/a b%.csv'] })
    const cloud = { specversion: '1.0', type: 'Microsoft.Storage.BlobCreated', subject: `${BLOB}x.csv`, source: 's' }
    expect(readNotification(cloud)).toEqual({ kind: 'created', names: ['x.csv'] })
  })

  it('are those of S3: by itself, in a message of SNS, by EventBridge', () => {
    const records = { Records: [s3('ObjectCreated:Put', 'in/a+b%2Bc.csv'), s3('ObjectRemoved:Delete', 'x')] }
    const made = { kind: 'created', names: ['in/a b+c.csv'] }
    expect(readNotification(records)).toEqual(made)
    expect(readNotification({ Type: 'Notification', Message: JSON.stringify(records) })).toEqual(made)
    const confirm = { Type: 'SubscriptionConfirmation', Message: 'You have chosen', SubscribeURL: 'https://sns/x' }
    expect(readNotification(confirm)).toEqual({ kind: 'confirmation', address: 'https://sns/x' })
    const bridge = { source: 'aws.s3', 'detail-type': 'Object Created', detail: { object: { key: 'a+b.csv' } } }
    expect(readNotification(bridge)).toEqual({ kind: 'created', names: ['a+b.csv'] })
    // A message in a message in a message.
    const inner = { Type: 'Notification', Message: JSON.stringify(records) }
    expect(readNotification({ Type: 'Notification', Message: JSON.stringify(inner) })).toBeUndefined()
  })

  it('are those of Cloud Storage, by Pub/Sub', () => {
    const push = (eventType: string) => ({
      message: { data: 'e30=', attributes: { eventType, objectId: 'in/x.csv', bucketId: 'b' } },
      subscription: 's',
    })
    expect(readNotification(push('OBJECT_FINALIZE'))).toEqual({ kind: 'created', names: ['in/x.csv'] })
    expect(readNotification(push('OBJECT_DELETE'))).toEqual({ kind: 'created', names: [] })
  })

  it('are nothing else', () => {
    for (const other of [undefined, null, 1, 'text', {}, [], [{}], { Records: [{}] }, [{ eventType: 'x' }, {}]]) {
      expect(readNotification(other), JSON.stringify(other)).toBeUndefined()
    }
  })

  it('are about objects that a pattern names', () => {
    const names = ['in/a.csv', 'in/x/y/b.csv', 'in/c.txt', 'a.csv']
    expect(namesMatching(names, 'in/**/*.csv')).toEqual(['in/a.csv', 'in/x/y/b.csv'])
    expect(namesMatching(names, '{in,out}/?.*')).toEqual(['in/a.csv', 'in/c.txt'])
    expect(namesMatching(names, '**')).toEqual(names)
    const deep = Array.from({ length: 2000 }, () => 'a').join('/')
    expect(namesMatching([deep], Array.from({ length: 20 }, () => '**/a').join('/'))).toEqual([deep])
  })
})
