"""Who is measured for the goal table: Apache Kafka, Odradek, and the null broker; and topics on them.

Kafka is one KRaft node of the jars test/compat fetches from Maven Central, with the flags of its start script (1 GB heap,
G1) and its defaults; only retention is off and deleted files go after a second. It runs in two ways: as it comes, where an
acknowledged record may be lost with the power; and with flush.messages=1 on the topic, which is what Odradek always does.

All are driven by bench/load.c with acks=all. A topic is ready when ListOffsets answers for every partition and each has a
first record: CreateTopics answers before that, and a first append costs Kafka several synchronous writes. Before and after
a run the broker has become idle.

    BENCH_CORES=shared       split: broker on core 0, load on core 1
"""
import os
import shutil
import subprocess
import time

import measure
from measure import DATA, Load, cpu_seconds

os.environ["ODRADEK_TEST_DATA"] = DATA  # where kafka_node puts its folder
import harness
import kafka_node
import raw

WARM_BATCHES = (65536, 16384)
# Of the JVM as bin/kafka-server-start.sh and bin/kafka-run-class.sh start it.
SERVER_FLAGS = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15",
                "-Djava.awt.headless=true"]
PROPERTIES = "log.segment.delete.delay.ms=1000\n"
# While others are measured it is stopped, and must not be taken for dead when it goes on. Killed, it could not come back.
MAY_BE_STOPPED = "broker.session.timeout.ms=3600000\n"
UNSAFE, DURABLE, OURS, CONTROL, NULL = "Kafka", "Kafka durable", "Odradek", "Odradek again", "null broker"
NULL_BROKER = os.path.join(measure.BUILD, "bench", "odradek-null-broker")


def core_mode():
    return "split" if os.environ.get("BENCH_CORES") == "split" else "shared"


def cores():
    """Of the broker, of the load."""
    return ("0", "1") if core_mode() == "split" else (None, None)


class Kafka(kafka_node.KafkaNode):
    """One node; topics with flush.messages=1 are its durable form."""

    def __init__(self, name="bench", may_be_stopped=False):
        super().__init__(name, PROPERTIES + (MAY_BE_STOPPED if may_be_stopped else ""))

    def java(self, main_class, *arguments):
        if not main_class.endswith("kafka.Kafka"):
            return super().java(main_class, *arguments)
        command = ["java", *SERVER_FLAGS, "-cp", harness.java_jars("broker"), main_class, *arguments]
        return measure.pinned(command, cores()[0])

    def start(self, timeout=120):
        super().start(timeout)
        measure.STARTED.append(self.process)
        self.pid = self.process.pid
        return self

    def launch(self):
        """Starts it and waits for nothing."""
        self.started = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = measure.spawn(self.java("kafka.Kafka", self.properties), stdout=log, stderr=log)
        self.pid = self.process.pid
        return self


class Null:
    """bench/null_broker.c: the least that a broker can do. It has every topic."""

    def __init__(self):
        self.port = measure.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = measure.spawn(measure.pinned([NULL_BROKER, str(self.port)], cores()[0]))
        self.pid = self.process.pid
        measure.Client(self.port, time.monotonic() + 10).socket.close()

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Topic:
    """There, every partition usable and with a record in it; and afterwards gone, with the broker idle."""

    def __init__(self, broker, name, partitions, flush=False, **configs):
        self.broker, self.name, self.partitions = broker, name, partitions
        self.configs = {**configs, "flush_messages": 1} if flush else configs

    def __enter__(self):
        with raw.Client(self.broker.address, timeout=120) as client:
            client.create_topic(self.name, self.partitions, **self.configs)
            until = time.monotonic() + 120
            while min(ends(client, self.name, self.partitions, until)) == 0:
                # One connection goes through the partitions in order.
                Load("produce", self.broker, topic=self.name, partitions=self.partitions, batch=100, record=100, depth=1,
                     per_request=min(self.partitions, 50), connections=1, warmup=0, seconds=60, total=self.partitions * 250).finish()
        idle(self.broker)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            idle(self.broker)
            with raw.Client(self.broker.address, timeout=120) as client:
                client.delete_topic(self.name)
            idle(self.broker, quiet=2)


def warm(broker, seconds):
    """It gets to see produce requests, large and small, until the time is over: Java's compiler, and the disk. Kafka flushes
    in every fourth turn; Odradek always does."""
    until = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < until:
        with Topic(broker, f"warm-{turn}", 100, flush=turn % 4 == 3):
            left = max(min(until - time.monotonic(), 5), 1)
            Load("produce", broker, topic=f"warm-{turn}", partitions=100, batch=WARM_BATCHES[turn % 2], total=2e9,
                 warmup=0, seconds=left).finish()
        turn += 1


def ends(client, topic, partitions, until):
    """Of every partition, as soon as all of them answer: CreateTopics answers before the topic works."""
    while True:
        try:
            return client.offsets(topic, partitions, raw.LATEST)
        except raw.Refused:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def idle(broker, quiet=1, seconds=60):
    """Waits until the broker uses less than a tenth of a core, for so many quarters of a second."""
    until = time.monotonic() + seconds
    calm = 0
    while calm < quiet and time.monotonic() < until:
        before = cpu_seconds(broker.pid)
        time.sleep(0.25)
        calm = calm + 1 if cpu_seconds(broker.pid) - before < 0.025 else 0


def table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")


def java_there():
    """Whether Kafka can be had without fetching anything."""
    return shutil.which("java") is not None and os.path.exists(os.path.join(measure.BUILD, "compat-java-broker", "installed"))


def commit():
    """What was measured: the commit of the checkout, and whether files were changed."""
    said = subprocess.run(["git", "-C", measure.ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return said.stdout.strip() or "unknown"
