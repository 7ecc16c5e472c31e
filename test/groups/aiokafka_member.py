"""A group member on aiokafka; what it prints is in run."""

import asyncio
import logging
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

import member


class Listener(ConsumerRebalanceListener):
    def __init__(self):
        self.consumer = None
        self.ends = {}  # what is read and not committed yet: a commit that fails is tried again

    async def on_partitions_revoked(self, revoked):
        self.ends.clear()
        member.say_revoked(part.partition for part in revoked)

    async def on_partitions_assigned(self, assigned):
        # The generation has no public name; the coordinator sends it with each commit.
        generation = self.consumer._coordinator.generation
        member.say_assigned((part.partition for part in assigned), generation)


async def make(options):
    admin = AIOKafkaAdminClient(bootstrap_servers=options.brokers)
    await admin.start()
    created = await admin.create_topics([NewTopic(options.topic, options.partitions, 1)])
    await admin.close()
    if any(code != 0 for _topic, code, *_ in created.topic_errors):
        sys.exit(f"create: {created.topic_errors}")
    member.say_created()
    for codec in member.CODECS:
        producer = AIOKafkaProducer(
            bootstrap_servers=options.brokers,
            compression_type=None if codec == "none" else codec,
        )
        await producer.start()
        await asyncio.gather(
            *[
                await producer.send(options.topic, value, partition=partition)
                for partition, value in member.records(options)
            ]
        )
        await producer.stop()
        member.say_produced(codec)


async def consume(options):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.brokers,
        group_id=options.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=options.session_ms,
        heartbeat_interval_ms=300,
        retry_backoff_ms=100,
        fetch_max_wait_ms=100,
    )
    listener = Listener()
    listener.consumer = consumer
    consumer.subscribe([options.topic], listener=listener)
    await consumer.start()
    stopped = member.stop_wanted()
    while not stopped.is_set():
        try:
            polled = await consumer.getmany(timeout_ms=100)
            ends = listener.ends
            for partition, messages in polled.items():
                for message in messages:
                    member.say_got(message.partition, message.offset)
                ends[partition] = messages[-1].offset + 1
            if ends:
                committed = dict(ends)
                await consumer.commit(committed)
                for partition, end in committed.items():
                    member.say_committed(partition.partition, end)
                    if ends.get(partition) == end:
                        del ends[partition]
        except KafkaError as failure:
            print(f"poll or commit: {failure!r}", file=sys.stderr)
    await consumer.stop()
    print("left", flush=True)


def main():
    logging.disable(logging.CRITICAL)  # the broker is killed on purpose
    options = member.parse()
    if options.version:
        print(aiokafka.__version__)
    elif options.make:
        asyncio.run(make(options))
    else:
        asyncio.run(consume(options))


main()
