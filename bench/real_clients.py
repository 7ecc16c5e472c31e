"""Row `clients`: what real clients see of Odradek and of Apache Kafka, in the same run.

The clients are the programs people measure with: librdkafka's rdkafka_performance, built from the copy among the examples of
Debian's librdkafka-dev, and Kafka's own ProducerPerformance and ConsumerPerformance, in JVMs with the flags of their scripts.
acks=all, no compression, their defaults but for linger.ms=5 of rdkafka_performance, which by itself lingers for a second. In a
pair each of the two brokers, in an order drawn by chance, gets

    produce    one producer as fast as it goes, to a new topic of 6 partitions, records of 100 bytes and of 1 KiB
    consume    one consumer reads that topic from its start
    latency    one producer of 1 KiB records at 5,000 a second (rdkafka_performance: somewhat less, it counts its pauses only)

Kafka is one node as it comes (bench/beside_kafka.py): what it acknowledges may be lost with the power. What Odradek acknowledges
is durable. Kafka's JVM is warmed first and stays up; Odradek starts afresh for each pair. The tools count latency from when
they called send, so a stall is seen by fewer records than it would delay in life. ConsumerPerformance's rate is without the
time it waits for its group.

    BENCH_CLIENTS_PAIRS=3       pairs
    BENCH_CLIENTS_SCALE=1.0     the records of a run (`records` of each tool, below) times this
    BENCH_CLIENTS_WARM=20       seconds for Kafka's JVM
    BENCH_CLIENTS_KEEP=         a file: figures of pairs are added to those it has, and all of them are printed
"""
import glob
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import time

import measure
from beside_kafka import Kafka, warm
from measure import BUILD, DATA, GB, Broker, Machine, cpu_seconds, median_interval, number, warm_memory
from peers import shown

import harness
import kafka_node
import raw

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = "/usr/share/doc/librdkafka-dev/examples/rdkafka_performance.c"
PARTITIONS = 6
RATE = 5000
LATENCY_SECONDS = 5
WARMUP = 0.4  # of the records of a latency run, and of Kafka's producer always, since its JVM begins cold: not counted
PATIENCE = 180  # seconds for one run
# Of bin/kafka-producer-perf-test.sh, by way of bin/kafka-run-class.sh.
JAVA = ["java", "-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
        "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"]
OURS, THEIRS = "Odradek", "Kafka"


# ---- librdkafka ----------------------------------------------------------------------------------


def example_source(folder):
    """Installed, or out of the package where the system keeps no documentation."""
    if not os.path.exists(EXAMPLE):
        subprocess.run(["apt-get", "download", "-q", "librdkafka-dev"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["dpkg-deb", "-x", glob.glob(os.path.join(folder, "*.deb"))[0], folder], check=True)
        return folder + EXAMPLE
    return EXAMPLE


def rdkafka_performance():
    """It includes headers of librdkafka's inside: empty ones here, and what it takes from them is in the shim."""
    folder = os.path.join(BUILD, "rdkafka")
    program, shim = os.path.join(folder, "rdkafka_performance"), os.path.join(HERE, "rdkafka_shim.h")
    if harness.newer(program, shim):
        return program
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "src"))
    for name in ("rd.h", "rdtime.h"):
        open(os.path.join(folder, "src", name), "w").close()
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "rdkafka"], check=True, capture_output=True, text=True).stdout.split()
    include = subprocess.run(["pkg-config", "--variable=includedir", "rdkafka"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-w", "-include", shim, "-I", os.path.join(folder, "src"), "-I",
                    os.path.join(include, "librdkafka"), "-o", program, example_source(folder), *flags], check=True)
    return program


def client(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[-1000:]}")
    return done.stdout


def found_in(pattern, text):
    """The numbers of the last line that looks so."""
    lines = list(re.finditer(pattern, text))
    if not lines:
        raise SystemExit(f"error: a client printed {text[-1000:]!r}")
    return [float(value) for value in lines[-1].groups()]


class Librdkafka:
    name = "rdkafka_performance"
    records = {100: 4000000, 1024: 800000}  # by their size

    def __init__(self):
        self.program = rdkafka_performance()

    def _command(self, mode, address, topic, *arguments):
        return [self.program, mode, "-t", topic, "-b", address, *map(str, arguments)]

    def _produce(self, address, topic, size, count, *arguments):
        return client(self._command("-P", address, topic, "-s", size, "-c", count, "-a", -1, "-X", "linger.ms=5", *arguments))

    def produce(self, address, topic, size, count):
        delivered, failed, rate = found_in(r"(\d+) delivered \(offset \d+, (\d+) failed\) in \d+ms: (\d+) msgs/s",
                                           self._produce(address, topic, size, count))
        return delivered if failed == 0 else 0, rate

    def consume(self, address, topic, count):
        partitions = [part for partition in range(PARTITIONS) for part in ("-p", partition)]
        return found_in(r"(\d+) messages \(\d+ bytes\) consumed in \d+ms: (\d+) msgs/s",
                        client(self._command("-C", address, topic, "-o", "beginning", "-c", count, *partitions)))

    def latency(self, address, topic, size, count):
        """p50 and p99 in ms, after the warm-up."""
        path = os.path.join(DATA, "latency")
        self._produce(address, topic, size, count, "-r", RATE, "-l", "-A", path)
        with open(path) as file:
            waits = [int(line) for line in file]
        waits = sorted(waits[int(len(waits) * WARMUP) :])
        return waits[len(waits) // 2] / 1000, waits[len(waits) * 99 // 100] / 1000


# ---- Kafka's tools --------------------------------------------------------------------------------


class JavaTools:
    name = "Kafka's perf tools"
    records = {100: 1500000, 1024: 300000}

    def __init__(self):
        self.jars = harness.java_jars()

    def _tool(self, tool, address, topic, count, *arguments):
        return client([*JAVA, "-cp", self.jars, f"org.apache.kafka.tools.{tool}", "--bootstrap-server", address, "--topic", topic,
                       "--num-records", str(count), *map(str, arguments)])

    def _produce(self, address, topic, size, count, rate):
        """All records; then of those after the warm-up: records a second, p50 and p99 in ms."""
        text = self._tool("ProducerPerformance", address, topic, count, "--record-size", size, "--throughput", rate,
                          "--warmup-records", int(count * WARMUP), "--command-property", "acks=all")
        steady = r"steady state records sent, ([\d.]+) records/sec .* (\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th"
        return found_in(r"(\d+) records sent, .* 99\.9th", text)[:1] + found_in(steady, text)

    def produce(self, address, topic, size, count):
        return self._produce(address, topic, size, count, -1)[:2]

    def consume(self, address, topic, count):
        text = self._tool("ConsumerPerformance", address, topic, count)
        fields = text.strip().splitlines()[-1].split(", ")
        return float(fields[4]), float(fields[9])  # data.consumed.in.nMsg, fetch.nMsg.sec

    def latency(self, address, topic, size, count):
        return self._produce(address, topic, size, count, RATE)[2:4]


# ---- runs ----------------------------------------------------------------------------------------


class Topic:
    """A new topic that takes records, and is gone afterwards."""

    def __init__(self, broker, name):
        self.broker, self.name = broker, name

    def __enter__(self):
        until = time.monotonic() + PATIENCE
        with raw.Client(self.broker.address, timeout=PATIENCE) as control:
            control.create_topic(self.name, PARTITIONS)
            while True:
                try:
                    control.offsets(self.name, PARTITIONS, raw.LATEST)
                    return self.name
                except raw.Refused:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)

    def __exit__(self, *_):
        with raw.Client(self.broker.address, timeout=PATIENCE) as control:
            control.delete_topic(self.name)


def complete(what, done, wanted):
    if done < wanted:
        raise SystemExit(f"error: {what}: {done:.0f} of {wanted} records")


def contend(who, broker, tools, scale, turn):
    """The figures of one broker in one pair, by (tool, figure)."""
    found = {}
    machine = Machine(broker.pid)
    for tool in tools:
        print(f"  {who}, {tool.name}:", end="", flush=True)
        for size, records in tool.records.items():
            count = int(records * scale)
            what = f"{size} bytes" if size < 1024 else "1 KiB"
            with Topic(broker, f"t{turn}-{tool.name[:1]}-{size}") as topic:
                before = cpu_seconds(broker.pid)
                sent, rate = tool.produce(broker.address, topic, size, count)
                complete(f"{tool.name}, produce", sent, count)
                found[tool.name, f"produce {what}, records/s"] = rate
                found[tool.name, f"produce {what}, broker cpu-s/GB"] = (cpu_seconds(broker.pid) - before) / (count * size / GB)
                read, rate = tool.consume(broker.address, topic, count)
                complete(f"{tool.name}, consume", read, count)
                found[tool.name, f"consume {what}, records/s"] = rate
        with Topic(broker, f"t{turn}-{tool.name[:1]}-latency") as topic:
            p50, p99 = tool.latency(broker.address, topic, 1024, RATE * LATENCY_SECONDS)
        found[tool.name, f"1 KiB at {RATE:,}/s, p50 ms"] = p50
        found[tool.name, f"1 KiB at {RATE:,}/s, p99 ms"] = p99
        print("; ".join(f" {name} {shown(value)}" for (whose, name), value in found.items() if whose == tool.name), flush=True)
    print(f"  {who}: others used {machine.foreign()[0]:.2f} cores", flush=True)
    return found


def pair(kafka, tools, scale, turn):
    figures = {}
    for who in random.sample([OURS, THEIRS], 2):
        warm_memory()
        # DATA holds Kafka's folder: only ours is to be fresh.
        broker = kafka if who == THEIRS else Broker(fresh=False, name=f"clients-{turn}").ready()
        try:
            figures[who] = contend(who, broker, tools, scale, turn)
        finally:
            if broker is not kafka:
                broker.stop()
                shutil.rmtree(broker.data, ignore_errors=True)
    return figures


def print_table(pairs):
    """A line for each figure: medians of both, the median of the ratios within pairs and its range or interval."""
    print(f"\n| client | | {OURS} | {THEIRS} | {OURS} / {THEIRS} |\n|---|---|---|---|---|")
    for tool, figure in pairs[0][OURS]:
        both = {who: [found[who][tool, figure] for found in pairs] for who in (OURS, THEIRS)}
        ratio, low, high = median_interval([ours / max(theirs, 1e-9) for ours, theirs in zip(both[OURS], both[THEIRS])])
        middle = [shown(statistics.median(both[who])) for who in (OURS, THEIRS)]
        print(f"| {tool} | {figure} | {' | '.join(middle)} | {ratio:.2f} ({low:.2f} to {high:.2f}) |")


def kept(path):
    """Keys of two words do not survive in JSON; a list of three does."""
    if not path or not os.path.exists(path):
        return []
    with open(path) as file:
        return [{who: {(tool, name): value for tool, name, value in found} for who, found in figures.items()}
                for figures in json.load(file)]


def keep(path, pairs):
    with open(path, "w") as file:
        json.dump([{who: [[*key, value] for key, value in found.items()] for who, found in figures.items()} for figures in pairs], file)


def run():
    count = number("BENCH_CLIENTS_PAIRS", 3)
    scale = number("BENCH_CLIENTS_SCALE", 1.0)
    warm_seconds = number("BENCH_CLIENTS_WARM", 20.0)
    path = os.environ.get("BENCH_CLIENTS_KEEP", "")
    try:
        tools = [Librdkafka(), JavaTools()]
        kafka = Kafka()
    except harness.Unavailable as missing:
        print(f"clients: not run, {missing}")
        return
    pairs = kept(path)
    try:
        kafka.start()
        print(f"clients: beside Apache Kafka {kafka_node.kafka_version()}, warmed {warm_seconds:g} s; {count} pairs; "
              f"{measure.others()}", flush=True)
        warm(kafka, warm_seconds)
        for turn in range(count):
            pairs.append(pair(kafka, tools, scale, turn))
            if path:
                keep(path, pairs)
    finally:
        kafka.destroy()
    print_table(pairs)
