// A group member on @platformatic/kafka; what it prints is in run.

import { readFileSync } from 'node:fs'
import zlib from 'node:zlib'
import {
  Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, Producer, stringSerializers
} from '@platformatic/kafka'
import { parse, records, sayAssigned, sayCommitted, sayGot, stopWanted } from './member.mjs'

// zstd is Node's own, which has it from 22.15 on.
const codecs = ['none', 'gzip', 'snappy', 'lz4', ...(zlib.zstdCompressSync ? ['zstd'] : [])]

async function make (options) {
  const bootstrapBrokers = [options.brokers]
  const admin = new Admin({ clientId: 'maker', bootstrapBrokers })
  await admin.createTopics({
    topics: [options.topic], partitions: Number(options.partitions), replicas: 1
  })
  await admin.close()
  console.log('created')
  const producer = new Producer({
    clientId: 'maker', bootstrapBrokers, serializers: stringSerializers, idempotent: true
  })
  const messages = records(options).map(record => ({ topic: options.topic, ...record }))
  for (const compression of codecs) {
    await producer.send({ messages, compression })
    console.log(`produced ${compression}`)
  }
  await producer.close()
}

async function main () {
  const options = parse()
  if (options.version) {
    const found = new URL('node_modules/@platformatic/kafka/package.json', import.meta.url)
    console.log(`${JSON.parse(readFileSync(found)).version} on Node ${process.versions.node}`)
    return
  }
  if (options.make) {
    await make(options)
    return
  }
  const consumer = new Consumer({
    groupId: options.group,
    clientId: 'member',
    bootstrapBrokers: [options.brokers],
    sessionTimeout: options.sessionMs,
    rebalanceTimeout: 10000,
    heartbeatInterval: 300,
    maxWaitTime: 100,
    minBytes: 1,
    retries: 60,
    retryDelay: 200
  })
  consumer.on('error', failure => console.error(`consumer: ${failure.message}`))
  // What has come since the last commit; committed every 100 ms, one commit at a time. With each
  // generation the stream begins again at what is committed.
  let ends = new Map()
  consumer.on('consumer:group:join', ({ generationId }) => {
    ends = new Map()
    sayAssigned((consumer.assignments ?? []).flatMap(part => part.partitions), generationId)
  })
  // An error ends a stream: the next begins at what is committed. A restart of the broker is one when
  // the group needs no new generation after it: the stream goes on with the leader epoch of before,
  // and in the answer, FENCED_LEADER_EPOCH, the client cannot read the tagged fields that tell the
  // new one [KIP-951]: "Out of bounds". Kafka answers with the same bytes.
  async function read () {
    try {
      const stream = await consumer.consume({
        topics: [options.topic],
        mode: MessagesStreamModes.COMMITTED,
        fallbackMode: MessagesStreamFallbackModes.EARLIEST,
        autocommit: false
      })
      for await (const message of stream) {
        sayGot(message.partition, message.offset)
        ends.set(message.partition, message.offset + 1n)
      }
    } catch (failure) {
      console.error(`stream: ${failure.message}`)
      ends = new Map()
    }
    setTimeout(read, 100)
  }
  read()
  async function commit () {
    if (ends.size > 0) {
      const offsets = [...ends].map(([partition, offset]) => {
        return { topic: options.topic, partition, offset, leaderEpoch: 0 }
      })
      const generation = consumer.generationId
      ends = new Map()
      try {
        await consumer.commit({ offsets })
        offsets.forEach(({ partition, offset }) => sayCommitted(partition, offset))
      } catch (failure) {
        console.error(`commit: ${failure.message}`)
        if (generation === consumer.generationId) {
          ends = new Map([...offsets.map(o => [o.partition, o.offset]), ...ends])
        }
      }
    }
    setTimeout(commit, 100)
  }
  commit()
  await stopWanted()
  await consumer.close(true)
  console.log('left')
  process.exit(0)
}

main()
