#!/usr/bin/env python3
"""Growth curves: `./dev bench-full`. Every point is a short run of Odradek and, where it can, of Apache Kafka.

    bench/curves.py                      all curves
    bench/curves.py partitions codecs    these
    bench/curves.py --plot               only draws and writes what was measured before

A point that was measured is a line of build/bench-results/curves.jsonl, and is not measured again: a run that was interrupted
goes on where it was. Remove the file, or lines of it, to measure anew. Each run ends with the tables in docs/performance.md and
the plots in docs/plots made of all points there are. Of several runs of a point its tables show the medians.

Odradek starts afresh for every point. Kafka stays up for a curve, as the row `kafka` has it (bench/beside_kafka.py), and is left
out where there is no Java. Who of the two is first at a point is drawn by chance.

    BENCH_CURVES_SECONDS=5     of each point
    BENCH_CURVES_WARMUP=2      before it, not counted
    BENCH_CURVES_JVM_WARM=20   seconds of produce before Kafka's first point of a curve
    BENCH_CURVES_ROUNDS=1      runs of each point
    BENCH_CURVES_HELD=60       seconds of the run across retention
    BENCH_CURVES_KAFKA=1       0: without Kafka
"""
import functools
import json
import os
import random
import resource
import shutil
import signal
import sys
import time

import beside_kafka
import catchup
import curves_report
import harness
import measure
import raw
from beside_kafka import Topic, warm
from measure import GB, MIB, Broker, Load, Machine, number, tidy, warm_memory

RESULTS = os.path.join(measure.BUILD, "bench-results", "curves.jsonl")
OURS, KAFKA = curves_report.BROKERS
SECONDS = number("BENCH_CURVES_SECONDS", 5.0)
WARMUP = number("BENCH_CURVES_WARMUP", 2.0)
JVM_WARM = number("BENCH_CURVES_JVM_WARM", 20.0)
ROUNDS = number("BENCH_CURVES_ROUNDS", 1)
HELD = number("BENCH_CURVES_HELD", 60.0)
OWN_CORES_MAX = 0.85

TOPIC = "curve"
RETENTION_CHECK = "log.retention.check.interval.ms=1000"
RETAINED_BYTES = 20 * MIB  # of each of 100 partitions
SEGMENT_BYTES = 8 * MIB
LIVE_RATE = 50

# ---- what is measured ---------------------------------------------------------------------------

SIZES = [10, 100, 1000, 10000, 100000, 1048576]
CONNECTIONS = [1, 10, 100, 1000, 5000, 15000]
BATCHES = [1, 3, 10, 30, 100, 300, 1000]
PRODUCERS = [1, 5, 20, 100, 500]
# name: our points, Kafka's, and the options of the load at a point.
PRODUCE = {
    "partitions": ([1, 10, 100, 1000, 10000, 100000], [1, 10, 100, 1000, 5000], lambda x: dict(partitions=x, batch=16384)),
    "record-size": (SIZES, SIZES, lambda x: dict(partitions=100, batch=max(x, 65536), record=x)),
    "batch": (BATCHES, BATCHES, lambda x: dict(partitions=100, batch=x * 1024)),
    "producers": (PRODUCERS, PRODUCERS,
                  lambda x: dict(partitions=100, batch=2048, per_request=20, connections=x, key=16, json="yes")),
    "connections": (CONNECTIONS, CONNECTIONS, lambda x: dict(partitions=100, batch=4096, connections=x, depth=1)),
    "codecs": (curves_report.CODECS, curves_report.CODECS,
               lambda x: dict(partitions=100, batch=65536, json="yes", codec=x)),
}
BACKLOGS = [0, 1, 2, 5, 10, 20]
KAFKA_BACKLOG_MAX = 5
TOPIC_CONFIGS = {"max_message_bytes": 2 * MIB}


def open_many():
    """In the load's process: a descriptor for each connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def resident_mib(broker):
    with open(f"/proc/{broker.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def watched(load, broker):
    """The load's figures when it is through, with the broker's memory and what others used."""
    machine = Machine(broker.pid)
    load.process.wait()
    foreign, stolen = machine.foreign()
    rss = resident_mib(broker)
    figures = load.finish()
    figures.update(rss_mib=rss, others=foreign, stolen=stolen)
    figures["void"] = "VOID" in figures or figures["own_cores"] > OWN_CORES_MAX
    return figures


class CurveTopic(Topic):
    """Odradek ends with its point, and its topics need not be deleted."""

    def __init__(self, broker, partitions, **configs):
        super().__init__(broker, TOPIC, partitions)
        self.configs.update(TOPIC_CONFIGS, **configs)

    def __exit__(self, *how):
        if not isinstance(self.broker, Broker):
            super().__exit__(*how)


def produce_point(broker, options):
    with CurveTopic(broker, options["partitions"]):
        return watched(Load("produce", broker, topic=TOPIC, warmup=WARMUP, seconds=SECONDS, pid=broker.pid, prepare=open_many,
                            **options), broker)


def retention_point(broker):
    """100 MB/s in open loop; what was acknowledged in every second."""
    lines = os.path.join(measure.DATA, "seconds")
    with CurveTopic(broker, 100, retention_bytes=RETAINED_BYTES, segment_bytes=SEGMENT_BYTES):
        figures = watched(Load("produce", broker, topic=TOPIC, partitions=100, batch=16384, rate=100, warmup=WARMUP, seconds=HELD,
                               pid=broker.pid, each_second=lines), broker)
    with open(lines) as file:
        words = [dict(word.split("=") for word in line.split()) for line in file]
    figures["series"] = [(float(w["MB/s"]), float(w["p99_us"])) for w in words]
    return figures


def forget_cached(folder):
    """What a broker has written is on the disk, and not in the page cache: a backlog is read from the disk."""
    os.sync()
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                with open(os.path.join(parent, name), "rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            except OSError:
                pass  # removed meanwhile


class Backlog:
    """One topic that grows from point to point."""

    PARTITIONS = 16

    def __init__(self, brokers, who):
        self.brokers, self.who, self.broker, self.filled = brokers, who, None, 0

    def begin(self):
        self.broker = self.brokers.of(self.who)
        CurveTopic(self.broker, self.PARTITIONS).__enter__()

    def load(self, mode, **options):
        return Load(mode, self.broker, topic=TOPIC, partitions=self.PARTITIONS, **options)

    def point(self, gigabytes):
        if self.broker is None:
            self.begin()
        more = gigabytes * GB - self.filled
        if more > 0:
            self.filled += self.load("produce", batch=65536, total=int(more), warmup=0, seconds=300).finish()["bytes"]
        if isinstance(self.broker, Broker):
            catchup.settled(self.broker)
        tail = self.load("fetch", bytes=MIB, per_request=self.PARTITIONS, connections=1, warmup=WARMUP, seconds=SECONDS,
                         stamped="yes", **{"from": "end"})
        live = watched(self.load("produce", batch=16384, rate=LIVE_RATE, warmup=WARMUP, seconds=SECONDS, stamped="yes"),
                       self.broker)
        followed = tail.finish()
        self.filled += live["bytes"]
        figures = {"MB/s": 0, "void": live["void"], "rss_mib": live["rss_mib"], "others": live["others"],
                   "p50_us": followed["e2e_p50_us"], "p99_us": followed["e2e_p99_us"], "p999_us": followed["e2e_p999_us"],
                   "ack_p99_us": live["p99_us"]}
        if gigabytes > 0:
            forget_cached(self.broker.data)
            read = watched(self.load("fetch", bytes=MIB, connections=4, warmup=0, seconds=SECONDS, until_end="yes",
                                     pid=self.broker.pid), self.broker)
            figures.update({key: read[key] for key in ("MB/s", "broker_cpu_s/GB", "rss_mib")})
        return figures


# ---- brokers ------------------------------------------------------------------------------------


class Brokers:
    """Odradek afresh whenever it is asked for, Kafka once for a curve."""

    def __init__(self, with_kafka):
        self.with_kafka, self.ours, self.kafka = with_kafka, None, None
        os.makedirs(measure.DATA, exist_ok=True)

    def of(self, who):
        if who == OURS:
            self.ours = Broker(fresh=False, name="ours", options=["--set", RETENTION_CHECK])
            return self.ours.ready()
        if self.kafka is None:
            self.kafka = beside_kafka.Kafka()
            self.kafka.start()
            warm(self.kafka, JVM_WARM)
        return self.kafka

    def point(self, who, run):
        """Figures, or why there are none. A Kafka that failed a point is not asked again."""
        figures = guarded(lambda: run(self.of(who)))
        self.close_ours()
        if "failed" in figures:
            self.close()
        return figures

    def close_ours(self):
        if self.ours is not None:
            self.ours.stop(signal.SIGKILL)
            shutil.rmtree(self.ours.data, ignore_errors=True)
            self.ours = None

    def close(self):
        self.close_ours()
        if self.kafka is not None:
            self.kafka.destroy()
            self.kafka = None


def kafka_there():
    if not number("BENCH_CURVES_KAFKA", 1):
        return False
    try:
        harness.java_jars("broker")
        return True
    except harness.Unavailable as why:
        print(f"bench-full: without Apache Kafka: {why}", flush=True)
        return False


# ---- results ------------------------------------------------------------------------------------


def results():
    if not os.path.exists(RESULTS):
        return []
    with open(RESULTS) as file:
        return [json.loads(line) for line in file]


def keep(curve, who, x, figures):
    """Flushed at once: the next point may be the one that is interrupted."""
    os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
    line = {"curve": curve, "who": who, "x": x, "date": time.strftime("%Y-%m-%d"), "commit": beside_kafka.commit(), "point_s": SECONDS,
            "jvm_warm": JVM_WARM, **figures}
    with open(RESULTS, "a") as file:
        file.write(json.dumps(line) + "\n")
    said = figures.get("failed") or ", ".join(
        f"{figures[key]:.4g} {name}" for key, name in (("MB/s", "MB/s"), ("broker_cpu_s/GB", "cpu-s/GB"), ("p99_us", "us p99"),
                                                       ("rss_mib", "MiB")) if key in figures)
    print(f"{curve} {x}, {who}: {said}{' VOID' if figures.get('void') else ''}", flush=True)


def missing(curve, points):
    """Of (x, who) those that have not been measured as often as wanted, in an order drawn by chance within a point."""
    have = [(line["curve"], line["who"], line["x"]) for line in results() if "failed" not in line]
    for x, brokers in points:
        for who in random.sample(brokers, len(brokers)):
            for _ in range(ROUNDS - have.count((curve, who, x))):
                yield x, who


def guarded(run):
    """The figures of a point, or why there are none; only an order to end ends the curves."""
    try:
        return run()
    except SystemExit as end:
        if not isinstance(end.code, str):
            raise
        return {"failed": end.code.splitlines()[0][:200]}
    except (OSError, raw.Refused, harness.Failed) as error:
        return {"failed": f"{type(error).__name__}: {error}"[:200]}


def produce_points(curve, with_kafka):
    """(x, who has it), in the order of growth."""
    ours, theirs, _ = PRODUCE[curve]
    every = sorted({*ours, *theirs}, key=lambda x: curves_report.place(curve, x))
    return [(x, [OURS] * (x in ours) + [KAFKA] * (with_kafka and x in theirs)) for x in every]


def run_produce(curve, brokers):
    options = PRODUCE[curve][2]
    for x, who in missing(curve, produce_points(curve, brokers.with_kafka)):
        keep(curve, who, x, brokers.point(who, lambda broker: produce_point(broker, options(x))))


def run_retention(brokers):
    for x, who in missing("retention", [(0, [OURS, KAFKA] if brokers.with_kafka else [OURS])]):
        keep("retention", who, x, brokers.point(who, retention_point))


def run_backlog(brokers):
    """One broker after the other: each holds its backlog for all its points."""
    for who, last in ((OURS, BACKLOGS[-1]), (KAFKA, KAFKA_BACKLOG_MAX)):
        points = [(x, [who]) for x in BACKLOGS if x <= last and (who == OURS or brokers.with_kafka)]
        wanted = list(missing("backlog", points))
        if not wanted:
            continue
        backlog = Backlog(brokers, who)
        for x, _ in wanted:
            figures = guarded(lambda: backlog.point(x))
            keep("backlog", who, x, figures)
            if "failed" in figures:
                break
        brokers.close()


CURVES = {**{name: functools.partial(run_produce, name) for name in PRODUCE}, "backlog": run_backlog, "retention": run_retention}


def measure_curves(names):
    beside_kafka.PROPERTIES += RETENTION_CHECK + "\n"
    with_kafka = kafka_there()
    for name in names:
        brokers = Brokers(with_kafka)
        warm_memory()
        CURVES[name](brokers)
        brokers.close()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    only_plot = "--plot" in arguments
    names = [name for name in arguments if name != "--plot"] or list(CURVES)
    for name in names:
        if name not in CURVES:
            sys.exit(f"error: there is no curve {name}; there are {', '.join(CURVES)}")
    if not only_plot:
        with tidy():
            measure_curves(names)
    curves_report.write(results())
