// A group member on kafkajs; what it prints is in run.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import { parse, sayAssigned, sayCommitted, sayGot, stopWanted } from './member.mjs'

const { Kafka, logLevel } = kafkajs

async function main () {
  const options = parse()
  if (options.version) {
    const found = createRequire(import.meta.url).resolve('kafkajs/package.json')
    console.log(`${JSON.parse(readFileSync(found)).version} on Node ${process.versions.node}`)
    return
  }
  const retry = { initialRetryTime: 100, maxRetryTime: 1000, retries: 30 }
  const kafka = new Kafka({ brokers: [options.brokers], logLevel: logLevel.NOTHING, retry })
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: options.sessionMs,
    rebalanceTimeout: 10000,
    heartbeatInterval: 300,
    maxWaitTimeInMs: 100,
    retry
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    sayAssigned(payload.memberAssignment[options.topic] ?? [])
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
