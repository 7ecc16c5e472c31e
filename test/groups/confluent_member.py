"""A group member on confluent-kafka-python, that is on librdkafka; what it prints is in run."""

import struct
import sys

import confluent_kafka
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

import member


def make(options):
    admin = AdminClient({"bootstrap.servers": options.brokers})
    for done in admin.create_topics([NewTopic(options.topic, options.partitions, 1)]).values():
        done.result(20)
        member.say_created()
    for codec in member.CODECS:
        producer = Producer({"bootstrap.servers": options.brokers, "compression.type": codec})
        failures = []

        def delivered(error, _message):
            if error:
                failures.append(error)

        for partition, value in member.records(options):
            producer.produce(options.topic, value, partition=partition, on_delivery=delivered)
        left = producer.flush(20)
        if left or failures:
            sys.exit(f"{codec}: {left} records not acknowledged, {failures[:3]}")
        member.say_produced(codec)


def main():
    options = member.parse()
    if options.version:
        print(f"{confluent_kafka.version()} on librdkafka {confluent_kafka.libversion()[0]}")
        return
    if options.make:
        make(options)
        return
    settings = {
        "bootstrap.servers": options.brokers,
        "group.id": options.group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": options.session_ms,
        "heartbeat.interval.ms": 300,
        "reconnect.backoff.max.ms": 500,
        "fetch.wait.max.ms": 100,
        "partition.assignment.strategy": options.assignor or "range,roundrobin",
        "error_cb": lambda _error: None,
        "log_level": 0,
    }
    if options.instance:
        settings["group.instance.id"] = options.instance
    consumer = Consumer(settings)
    owned = set()
    ends = {}  # what is read and not committed yet: a commit that fails is tried again

    def assigned(consumer, partitions):
        owned.update(part.partition for part in partitions)
        # The only sight of the generation: librdkafka's serialized "CGMDv2:", generation, ...
        metadata = consumer.consumer_group_metadata()
        member.say_assigned(owned, struct.unpack_from("=i", metadata, len(b"CGMDv2:"))[0])

    def revoked(_consumer, partitions):
        owned.difference_update(part.partition for part in partitions)
        for part in partitions:
            ends.pop(part.partition, None)
        member.say_revoked(part.partition for part in partitions)

    consumer.subscribe(
        [options.topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked
    )
    stopped = member.stop_wanted()
    while not stopped.is_set():
        for message in consumer.consume(500, timeout=0.1):
            if message.error():
                continue  # a lost connection: the broker is killed on purpose
            member.say_got(message.partition(), message.offset())
            ends[message.partition()] = message.offset() + 1
        if ends:
            offsets = [
                confluent_kafka.TopicPartition(options.topic, p, end) for p, end in ends.items()
            ]
            try:
                for done in consumer.commit(offsets=offsets, asynchronous=False):
                    if done.error is None:
                        member.say_committed(done.partition, done.offset)
                        ends.pop(done.partition, None)
            except confluent_kafka.KafkaException as failure:
                print(f"commit: {failure}", file=sys.stderr)
    consumer.close()
    print("left", flush=True)


main()
