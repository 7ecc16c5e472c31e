"""The confluent-kafka-python client of test/compat; its command line is in client.py."""

import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition

import client
import records


def quiet(_error):
    """Lost connections are expected: the broker is killed on purpose."""


def produce(options):
    settings = {
        "bootstrap.servers": options.brokers,
        "enable.idempotence": options.idempotent == "yes",
        "compression.type": options.codec,
        "linger.ms": 5,
        "reconnect.backoff.max.ms": 500,
        "error_cb": quiet,
        "log_level": 0,
    }
    if options.idempotent == "no":
        settings["acks"] = options.acks
    producer = Producer(settings)

    def delivered(error, _message):
        if error is not None:
            sys.exit(f"not delivered: {error}")

    def send(i):
        key, value, headers = records.make("full", options.seed, i)
        producer.produce(
            options.topic,
            partition=i % options.partitions,
            key=key,
            value=value,
            headers=list(headers),
            timestamp=options.base_ms + i,
            on_delivery=delivered,
        )
        producer.poll(0)

    def flush():
        if producer.flush(120) > 0:
            sys.exit("records left in the queue after 120 s")

    client.produce_at_pace(options, send, flush)


def consume(options):
    consumer = Consumer(
        {
            "bootstrap.servers": options.brokers,
            "group.id": "compat",  # asked for by the library; assignment makes no use of it
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "check.crcs": True,
            "fetch.wait.max.ms": 100,
            "error_cb": quiet,
            "log_level": 0,
        }
    )
    unfinished = {}
    assignment = []
    for p in range(options.partitions):
        first, end = consumer.get_watermark_offsets(TopicPartition(options.topic, p), timeout=20)
        if first < end:
            unfinished[p] = end
            assignment.append(TopicPartition(options.topic, p, first))
    consumer.assign(assignment)
    deadline = time.monotonic() + 60
    with open(options.out, "wb") as dump:
        while unfinished:
            if time.monotonic() > deadline:
                sys.exit(f"60 s passed, unfinished: {unfinished}")
            for message in consumer.consume(1000, timeout=0.2):
                if message.error():
                    sys.exit(f"partition {message.partition()}: {message.error()}")
                p, offset = message.partition(), message.offset()
                if p not in unfinished:
                    continue
                records.write_dump(
                    dump,
                    records.Record(
                        p,
                        offset,
                        message.timestamp()[1],
                        message.key(),
                        message.value(),
                        tuple(message.headers() or ()),
                    ),
                )
                if offset + 1 >= unfinished[p]:
                    del unfinished[p]
    consumer.close()


def main():
    options = client.parse()
    if options.command == "version":
        print(f"{confluent_kafka.version()} on librdkafka {confluent_kafka.libversion()[0]}")
    elif options.command == "produce":
        produce(options)
    else:
        consume(options)


main()
