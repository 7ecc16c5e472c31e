"""Row `kafka`: the goal table's produce rows, Odradek and Apache Kafka in the same run.

Kafka is one KRaft node of the jars test/compat fetches from Maven Central, with the flags of its start script (1 GB heap,
G1) and its defaults; only retention is off and deleted files go at once. Its JVM is warmed first and then stays up; Odradek
is started for each run. Both are driven by bench/load.c with acks=all, on topics of their own that are deleted afterwards;
a run begins when ListOffsets answers for every partition and each has a first record, on memory that is warm
(measure.warm_memory), and after the broker has become idle.

Kafka runs in two ways: as it comes, where an acknowledged record may be lost with the power; and with flush.messages=1,
which is what Odradek always does. Three runs, one of each, are a round; their order is drawn by chance. What is compared are
ratios within a round: the median and its 95 % interval (fewer than five rounds: the range).

    BENCH_KAFKA_ROUNDS=1     rounds; seven for a claim
    BENCH_KAFKA_SECONDS=3    of each run, after a third of it, at least one, that is not counted; ten for a claim
    BENCH_KAFKA_WARM=20      seconds for the JVM; sixty for a claim
    BENCH_KAFKA_CONTROL=0    1: Odradek runs twice in each round, and the ratio of both is printed: the least we may claim
    BENCH_KAFKA_ROWS=        only rows whose name contains this
    BENCH_CORES=shared       split: broker on core 0, load on core 1
"""
import os
import random
import statistics
import time

import measure
from measure import DATA, MIB, Broker, Load, Machine, cpu_seconds, median_interval, met, number, warm_memory

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
UNSAFE, DURABLE, OURS, CONTROL = "Kafka", "Kafka durable", "Odradek", "Odradek again"

# name, options of the load, is there a consumer; then the goals: figure, against whom, ratio ours/Kafka at least or at most.
ROWS = [
    ("1 x 1 MiB", dict(partitions=1, batch=1000000, depth=3), False,
     [("MB/s", UNSAFE, ">=", 1.0), ("MB/s", DURABLE, ">=", 2.5), ("cpu-s/GB", UNSAFE, "<=", 1 / 2.5)]),
    ("100 x 64 KiB", dict(partitions=100, batch=65536), False,
     [("cpu-s/GB", UNSAFE, "<=", 1 / 4), ("cpu-s/GB", DURABLE, "<=", 1 / 12)]),
    ("1,000 x 64 KiB", dict(partitions=1000, batch=65536), False,
     [("MB/s", UNSAFE, ">=", 2.0), ("MB/s", DURABLE, ">=", 10.0), ("cpu-s/GB", UNSAFE, "<=", 1 / 6),
      ("cpu-s/GB", DURABLE, "<=", 1 / 12)]),
    ("100 x 16 KiB, 10 MB/s", dict(partitions=100, batch=16384, rate=10), False, []),
    ("100 x 16 KiB, 100 MB/s", dict(partitions=100, batch=16384, rate=100), False,
     [("cpu-s/GB", UNSAFE, "<=", 1 / 8), ("ack p99 ms", UNSAFE, "<=", 1 / 4)]),
    ("the same with a consumer, 10 MB/s", dict(partitions=100, batch=16384, rate=10), True,
     [("end to end p99 ms", UNSAFE, "<=", 1 / 3)]),
]
FIGURES = ["MB/s", "cpu-s/GB", "ack p50 ms", "ack p99 ms", "ack p99.9 ms", "end to end p50 ms", "end to end p99 ms"]


def cores():
    split = os.environ.get("BENCH_CORES", "shared") == "split"
    return ("0", "1") if split else (None, None)


class Kafka(kafka_node.KafkaNode):
    """One node; topics with flush.messages=1 are its durable form."""

    def __init__(self):
        super().__init__("bench", PROPERTIES)

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

    def warm(self, seconds):
        """The compiler gets to see produce requests, large and small, until the time is over."""
        until = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < until:
            with Topic(self, f"warm-{turn}", 100, flush=turn % 4 == 3):
                left = max(min(until - time.monotonic(), 5), 1)
                Load("produce", self, topic=f"warm-{turn}", partitions=100, batch=WARM_BATCHES[turn % 2], total=2e9,
                     warmup=0, seconds=left).finish()
            turn += 1


class Topic:
    """There, every partition usable and with a record in it; and afterwards gone, with the broker idle."""

    def __init__(self, broker, name, partitions, flush=False):
        self.broker, self.name, self.partitions = broker, name, partitions
        self.configs = {"flush_messages": 1} if flush else {}

    def __enter__(self):
        with raw.Client(self.broker.address, timeout=120) as client:
            client.create_topic(self.name, self.partitions, **self.configs)
            until = time.monotonic() + 120
            while min(self._ends(client, until)) == 0:
                # One connection goes through the partitions in order.
                Load("produce", self.broker, topic=self.name, partitions=self.partitions, batch=100, record=100, depth=1,
                     per_request=min(self.partitions, 50), connections=1, warmup=0, seconds=60, total=self.partitions * 150).finish()
        idle(self.broker)
        return self

    def _ends(self, client, until):
        """CreateTopics answers before the topic works."""
        while True:
            try:
                return client.offsets(self.name, self.partitions, raw.LATEST)
            except raw.Refused:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def __exit__(self, kind, *_):
        if kind is None:
            idle(self.broker)
            with raw.Client(self.broker.address, timeout=120) as client:
                client.delete_topic(self.name)
            idle(self.broker, quiet=2)


def idle(broker, quiet=1, seconds=60):
    """Waits until the broker uses less than a tenth of a core, for so many quarters of a second."""
    until = time.monotonic() + seconds
    calm = 0
    while calm < quiet and time.monotonic() < until:
        before = cpu_seconds(broker.pid)
        time.sleep(0.25)
        calm = calm + 1 if cpu_seconds(broker.pid) - before < 0.025 else 0


def one_run(broker, topic, options, consumer, seconds):
    """The figures of one run, by the names in FIGURES."""
    load_cores = cores()[1]
    times = dict(warmup=max(1, seconds / 3), seconds=seconds)
    tail = None
    if consumer:
        tail = Load("fetch", broker, cores=load_cores, topic=topic, partitions=options["partitions"], bytes=MIB,
                    per_request=options["partitions"], connections=1, stamped="yes", **{"from": "end"}, **times)
    load = Load("produce", broker, cores=load_cores, topic=topic, pid=broker.pid, stamped="yes" if consumer else "no",
                **options, **times)
    machine = Machine(broker.pid)
    load.process.wait()
    foreign, stolen = machine.foreign()
    produced = load.finish()
    found = {"VOID": False, "MB/s": produced["MB/s"], "cpu-s/GB": produced["broker_cpu_s/GB"]}
    for name, key in (("ack p50 ms", "p50_us"), ("ack p99 ms", "p99_us"), ("ack p99.9 ms", "p999_us")):
        found[name] = produced[key] / 1000
    if tail:
        consumed = tail.finish()
        found["end to end p50 ms"] = consumed["e2e_p50_us"] / 1000
        found["end to end p99 ms"] = consumed["e2e_p99_us"] / 1000
    # A broker that cannot keep the pace makes the generator late: that is its latency, and no fault of the generator.
    kept = options.get("rate", 0) == 0 or produced["MB/s"] >= 0.95 * options["rate"]
    found["VOID"] = "VOID" in produced and kept
    void = " VOID: the generator was late" if found["VOID"] else ""
    note = f"{'' if kept else ' (collapsed)'}{void}; others {foreign:.2f} cores, stolen {stolen:.1%}"
    return found, note


def contend(who, kafka, turn, row, seconds):
    name, options, consumer, _goals = row
    warm_memory()
    if who in (OURS, CONTROL):
        # DATA holds Kafka's folder: only ours is to be fresh.
        broker = Broker(fresh=False, name=f"ours-{turn}", cores=cores()[0]).ready()
    else:
        broker = kafka
    topic = f"run-{turn}"
    try:
        with Topic(broker, topic, options["partitions"], flush=who == DURABLE):
            found, note = one_run(broker, topic, options, consumer, seconds)
    finally:
        if broker is not kafka:
            broker.stop()
            measure.shutil.rmtree(broker.data, ignore_errors=True)
    shown = ", ".join(f"{figure} {found[figure]:.3g}" for figure in FIGURES if figure in found)
    print(f"  {name}, {who}: {shown}{note}", flush=True)
    return found


def judged(row, results):
    """Lines of the table for one row: a figure, all three, ratios, and the goal where there is one."""
    name, _options, _consumer, goals = row
    first = True
    for figure in FIGURES:
        if figure not in results[OURS][0]:
            continue
        middle = {who: statistics.median(r[figure] for r in results[who]) for who in results}
        line = [name if first else "", figure, *(f"{middle[who]:.3g}" for who in (OURS, UNSAFE, DURABLE))]
        first = False
        for other in (UNSAFE, DURABLE):
            ratio, low, high = ratios(results, figure, other)
            line.append(f"{ratio:.3g}" + f" ({low:.3g}-{high:.3g})" * (low != high))
        said = []
        for goal_figure, other, relation, bound in goals:
            if goal_figure == figure:
                ratio = ratios(results, figure, other)[0]
                holds = ratio >= bound if relation == ">=" else ratio <= bound
                said.append(f"{relation} {bound:.2f} of {other}: {met(holds)}")
        line.append("; ".join(said))
        yield line


def ratios(results, figure, other):
    return median_interval([ours[figure] / max(theirs[figure], 1e-9) for ours, theirs in zip(results[OURS], results[other])])


def table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def run():
    rounds = number("BENCH_KAFKA_ROUNDS", 1)
    seconds = number("BENCH_KAFKA_SECONDS", 3.0)
    warm_seconds = number("BENCH_KAFKA_WARM", 20.0)
    control = number("BENCH_KAFKA_CONTROL", 0) == 1
    rows = [row for row in ROWS if os.environ.get("BENCH_KAFKA_ROWS", "") in row[0]]
    contenders = [OURS, UNSAFE, DURABLE] + [CONTROL] * control
    results = {row[0]: {who: [] for who in contenders} for row in rows}
    try:
        kafka = Kafka()
    except harness.Unavailable as missing:
        print(f"kafka: not run, {missing}")
        return
    try:
        kafka.start()
        print(f"kafka: Apache Kafka {kafka_node.kafka_version()}, ready after {kafka.ready_ms / 1000:.1f} s, warmed "
              f"{warm_seconds:g} s; {rounds} rounds of {seconds:g} s, cores {os.environ.get('BENCH_CORES', 'shared')}", flush=True)
        kafka.warm(warm_seconds)
        turn = 0
        for _ in range(rounds):
            for row in rows:
                for who in random.sample(contenders, len(contenders)):
                    results[row[0]][who].append(contend(who, kafka, turn, row, seconds))
                    turn += 1
    finally:
        kafka.destroy()
    voids = sum(found["VOID"] for of_row in results.values() for runs in of_row.values() for found in runs)
    head = ["row", "figure", OURS, UNSAFE, DURABLE, f"{OURS} / {UNSAFE}", f"{OURS} / {DURABLE}", "goal"]
    table([head] + [line for row in rows for line in judged(row, results[row[0]])])
    print(f"{voids} of {turn} runs VOID")
    if control:
        for name, found in results.items():
            spread = {figure: ratios(found, figure, CONTROL) for figure in ("MB/s", "cpu-s/GB", "ack p99 ms")}
            print(f"control, {name}: " + ", ".join(f"{figure} {r:.2f} ({low:.2f}-{high:.2f})" for figure, (r, low, high) in spread.items()))
