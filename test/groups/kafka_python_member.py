"""A group member on kafka-python; what it prints is in run."""

import logging
import sys

import kafka
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

import member


class Listener(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer
        self.ends = {}  # what is read and not committed yet: a commit that fails is tried again

    def on_partitions_revoked(self, revoked):
        self.ends.clear()
        member.say_revoked(part.partition for part in revoked)

    def on_partitions_assigned(self, assigned):
        # The generation has no public name; the coordinator sends it with each commit.
        generation = self.consumer._coordinator._generation.generation_id
        member.say_assigned((part.partition for part in assigned), generation)


def make(options):
    admin = KafkaAdminClient(bootstrap_servers=options.brokers)
    admin.create_topics(
        [NewTopic(options.topic, num_partitions=options.partitions, replication_factor=1)]
    )
    admin.close()
    member.say_created()
    for codec in member.CODECS:
        producer = KafkaProducer(
            bootstrap_servers=options.brokers, compression_type=None if codec == "none" else codec
        )
        sent = [
            producer.send(options.topic, value, partition=partition)
            for partition, value in member.records(options)
        ]
        for future in sent:
            future.get(timeout=20)
        producer.close()
        member.say_produced(codec)


def main():
    logging.disable(logging.CRITICAL)  # the broker is killed on purpose
    options = member.parse()
    if options.version:
        print(kafka.__version__)
        return
    if options.make:
        make(options)
        return
    consumer = KafkaConsumer(
        bootstrap_servers=options.brokers,
        group_id=options.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=options.session_ms,
        heartbeat_interval_ms=300,
        retry_backoff_ms=100,
        reconnect_backoff_max_ms=500,
        fetch_max_wait_ms=100,
    )
    listener = Listener(consumer)
    consumer.subscribe([options.topic], listener=listener)
    stopped = member.stop_wanted()
    while not stopped.is_set():
        try:
            polled = consumer.poll(timeout_ms=100)
            ends = listener.ends
            for partition, messages in polled.items():
                for message in messages:
                    member.say_got(message.partition, message.offset)
                ends[partition] = OffsetAndMetadata(messages[-1].offset + 1, "", -1)
            if ends:
                committed = dict(ends)
                consumer.commit(committed, timeout_ms=10000)
                ends.clear()
                for partition, end in committed.items():
                    member.say_committed(partition.partition, end.offset)
        except KafkaError as failure:
            print(f"poll or commit: {failure!r}", file=sys.stderr)
    consumer.close()
    print("left", flush=True)


main()
