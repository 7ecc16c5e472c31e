// A group member on kafkajs; what it prints is in run.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import { parse, records, sayAssigned, sayCommitted, sayGot, stopWanted } from './member.mjs'

const { CompressionTypes, Kafka, logLevel } = kafkajs

// kafkajs brings no snappy, lz4 or zstd of its own.
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }

async function make (kafka, options) {
  const admin = kafka.admin()
  await admin.connect()
  const topics = [{ topic: options.topic, numPartitions: Number(options.partitions) }]
  if (!await admin.createTopics({ topics, waitForLeaders: true })) {
    throw new Error('the topic was there already')
  }
  await admin.disconnect()
  console.log('created')
  const producer = kafka.producer()
  await producer.connect()
  for (const [name, compression] of Object.entries(codecs)) {
    await producer.send({ topic: options.topic, compression, messages: records(options) })
    console.log(`produced ${name}`)
  }
  await producer.disconnect()
}

async function main () {
  const options = parse()
  if (options.version) {
    const found = createRequire(import.meta.url).resolve('kafkajs/package.json')
    console.log(`${JSON.parse(readFileSync(found)).version} on Node ${process.versions.node}`)
    return
  }
  const retry = { initialRetryTime: 100, maxRetryTime: 1000, retries: 30 }
  const kafka = new Kafka({ brokers: [options.brokers], logLevel: logLevel.NOTHING, retry })
  if (options.make) {
    await make(kafka, options)
    return
  }
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: options.sessionMs,
    rebalanceTimeout: 10000,
    heartbeatInterval: 300,
    maxWaitTimeInMs: 100,
    retry
  })
  // The generation is told only with a heartbeat, and one of the generation before may be late.
  let joined = null
  let last = -1
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    joined = payload.memberAssignment[options.topic] ?? []
  })
  consumer.on(consumer.events.HEARTBEAT, ({ payload }) => {
    if (joined && payload.groupGenerationId > last) {
      last = payload.groupGenerationId
      sayAssigned(joined, last)
      joined = null
    }
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, resolveOffset, isRunning, isStale }) => {
      if (!isRunning() || isStale()) {
        return
      }
      for (const message of batch.messages) {
        sayGot(batch.partition, message.offset)
        resolveOffset(message.offset)
      }
      const next = (BigInt(batch.lastOffset()) + 1n).toString()
      await consumer.commitOffsets([
        { topic: batch.topic, partition: batch.partition, offset: next }
      ])
      sayCommitted(batch.partition, next)
    }
  })
  await stopWanted()
  await consumer.disconnect()
  console.log('left')
  process.exit(0)
}

main()
