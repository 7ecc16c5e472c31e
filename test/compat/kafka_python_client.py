"""The kafka-python client of test/compat; its command line is in client.py."""

import logging
import sys
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import client
import records


def produce(options):
    settings = {
        "bootstrap_servers": options.brokers,
        "compression_type": None if options.codec == "none" else options.codec,
        "linger_ms": 5,
        "retry_backoff_ms": 100,
        "reconnect_backoff_max_ms": 500,
        "enable_idempotence": options.idempotent == "yes",
    }
    if options.idempotent == "no":
        settings["acks"] = "all" if options.acks == -1 else options.acks
    producer = KafkaProducer(**settings)
    failures = []
    waiting = []

    def send(i):
        key, value, headers = records.make("bytes", options.seed, i)
        future = producer.send(
            options.topic,
            key=key,
            value=value,
            headers=list(headers),
            partition=i % options.partitions,
            timestamp_ms=options.base_ms + i,
        )
        future.add_errback(failures.append)
        waiting.append(future)

    def flush():
        producer.flush(120)
        if failures:
            sys.exit(f"{len(failures)} not delivered, the first: {failures[0]!r}")
        if not all(future.is_done for future in waiting):
            sys.exit("records not acknowledged after flush")
        waiting.clear()

    client.produce_at_pace(options, send, flush)
    producer.close()


def consume(options):
    consumer = KafkaConsumer(
        bootstrap_servers=options.brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        check_crcs=True,
    )
    partitions = [TopicPartition(options.topic, p) for p in range(options.partitions)]
    firsts = consumer.beginning_offsets(partitions)
    unfinished = {p: end for p, end in consumer.end_offsets(partitions).items() if end > firsts[p]}
    consumer.assign(list(unfinished))
    for partition in unfinished:
        consumer.seek(partition, firsts[partition])
    deadline = time.monotonic() + 60
    with open(options.out, "wb") as dump:
        while unfinished:
            if time.monotonic() > deadline:
                sys.exit(f"60 s passed, unfinished: {unfinished}")
            for partition, messages in consumer.poll(timeout_ms=200, max_records=5000).items():
                for message in messages:
                    if partition not in unfinished:
                        break
                    records.write_dump(
                        dump,
                        records.Record(
                            partition.partition,
                            message.offset,
                            message.timestamp,
                            message.key,
                            message.value,
                            tuple(message.headers),
                        ),
                    )
                    if message.offset + 1 >= unfinished[partition]:
                        del unfinished[partition]
    consumer.close()


def main():
    logging.disable(
        logging.CRITICAL
    )  # lost connections are expected: the broker is killed on purpose
    options = client.parse()
    if options.command == "version":
        print(kafka.__version__)
    elif options.command == "produce":
        produce(options)
    else:
        consume(options)


main()
