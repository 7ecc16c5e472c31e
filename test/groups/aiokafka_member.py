"""A group member on aiokafka; what it prints is in run."""

import asyncio
import logging
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import KafkaError

import member


class Listener(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        pass

    async def on_partitions_assigned(self, assigned):
        member.say_assigned(part.partition for part in assigned)


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
    consumer.subscribe([options.topic], listener=Listener())
    await consumer.start()
    stopped = member.stop_wanted()
    while not stopped.is_set():
        try:
            polled = await consumer.getmany(timeout_ms=100)
            ends = {}
            for partition, messages in polled.items():
                for message in messages:
                    member.say_got(message.partition, message.offset)
                ends[partition] = messages[-1].offset + 1
            if ends:
                await consumer.commit(ends)
                for partition, end in ends.items():
                    member.say_committed(partition.partition, end)
        except KafkaError as failure:
            print(f"poll or commit: {failure!r}", file=sys.stderr)
    await consumer.stop()
    print("left", flush=True)


def main():
    logging.disable(logging.CRITICAL)  # the broker is killed on purpose
    options = member.parse()
    if options.version:
        print(aiokafka.__version__)
    else:
        asyncio.run(consume(options))


main()
