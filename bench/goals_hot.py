"""Rows of the goal table on brokers that are warm: produce, fetch, catch-up, creation.

A row is a function of a Session and of who is measured, which returns figures by name (see goals.GOALS) and a note. "VOID" is
among the figures when it was no measurement. Odradek and the null broker are started for each run; Kafka's JVM is warmed
once and stays up, but does not run while others are measured. In the rows that end in -up Odradek stays up, too, and was
warmed as long, with the same requests; and a first run of both is not counted. The same memory for everybody: warm
(measure.warm_memory), and in catch-up and rows of full produce, which go through gigabytes of it, full.
"""
import contextlib
import os
import shutil
import signal
import struct
import time

import catchup
import filing
from beside_kafka import CONTROL, DURABLE, NULL, OURS, UNSAFE, Kafka, Null, Topic, cores, idle, warm
from measure import DATA, GB, MIB, Broker, Load, Machine, full_memory, number, one_record_batch, warm_memory
import raw

# 63 records of 1 KiB: one batch fits a fetch of 64 KiB, sixteen one of 1 MiB.
FETCH_BATCH = 64512
FETCH_PARTITIONS = 16
FETCH_BYTES = 256e6
LADDER = [5, 10, 20, 40, 70, 100, 150, 200, 250, 300, 400, 600]
RATE_P99_US = 2000
WARMUP_SECONDS_MAX = 10
RATE_TRIES = 2
CREATED = 5000
HELD_PARTITION_BYTES = filing.KEPT_BYTES // filing.PARTITIONS
RETENTION_OFTEN = ("--set", "log.retention.check.interval.ms=500")


class Session:
    """One run of the program: the warm brokers, which are started when a row first needs them, and a number for each run."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.node = None
        self.warm_ours = None
        self.turn = 0

    def only(self, who, up=False):
        """Whoever else is up is stopped meanwhile. The threads of an idle JVM wake often, on the core of who is measured; and
        where the host or the kernel has taken their memory, that takes 20 ms a time. Kafka that goes on is given a second."""
        for broker, measured in ((self.node, who in (UNSAFE, DURABLE)), (self.warm_ours, who == OURS and up)):
            if broker:
                broker.process.send_signal(signal.SIGCONT if measured else signal.SIGSTOP)
        if self.node and who in (UNSAFE, DURABLE):
            time.sleep(1)

    def kafka(self):
        if self.node is None:
            self.node = Kafka(may_be_stopped=True)
            self.node.start()
            warm_seconds = number("BENCH_GOALS_WARM", 20.0)
            warm(self.node, warm_seconds)
            print(f"  Kafka ready after {self.node.ready_ms / 1000:.1f} s, warmed {warm_seconds:g} s", flush=True)
        return self.node

    def ours(self):
        if self.warm_ours is None:
            warm_seconds = number("BENCH_GOALS_WARM", 20.0)
            self.warm_ours = odradek("ours-up")
            warm(self.warm_ours, warm_seconds)
            print(f"  Odradek stays up, warmed {warm_seconds:g} s", flush=True)
        return self.warm_ours

    def close_ours(self):
        """It gives back space for minutes, which must not go on beside the next row."""
        if self.warm_ours:
            self.only(OURS, up=True)  # or it could not end
            self.warm_ours.stop()
            shutil.rmtree(self.warm_ours.data, ignore_errors=True)
            self.warm_ours = None

    def close(self):
        self.close_ours()
        if self.node:
            self.node.destroy()
            self.node = None


@contextlib.contextmanager
def running(session, who, options=(), up=False):
    """A broker; one that was started for this, Odradek with these options, is gone afterwards. up: the Odradek that stays. Who
    else is up must have been stopped, see Session.only."""
    session.turn += 1
    if who in (UNSAFE, DURABLE):
        yield session.kafka()
        return
    if who == OURS and up:
        yield session.ours()
        return
    broker = Null() if who == NULL else odradek(f"ours-{session.turn}", options)
    try:
        yield broker
    finally:
        broker.stop()
        if who != NULL:
            shutil.rmtree(broker.data, ignore_errors=True)


def odradek(name, options=()):
    """On a folder of this name beside Kafka's."""
    return Broker(fresh=False, name=name, cores=cores()[0], options=options).ready()


@contextlib.contextmanager
def prepared(session, who, partitions, options=(), up=False, full=False, **configs):
    """A broker with a topic that is ready, and the topic's name. full: the page cache is full instead of warm."""
    session.only(who, up)
    if who in (UNSAFE, DURABLE):
        session.kafka()  # it is not started on memory that was warmed for the run
    if who == OURS and up:
        session.ours()
    (full_memory if full else warm_memory)()
    with running(session, who, options, up) as broker:
        topic = f"run-{session.turn}"
        if who == NULL:
            yield broker, topic
        else:
            with Topic(broker, topic, partitions, flush=who == DURABLE, **configs):
                yield broker, topic


# ---- produce ------------------------------------------------------------------------------------


def produce_figures(broker, topic, options, seconds, consumer=False):
    """Figures and note of one run."""
    load_cores = cores()[1]
    times = dict(warmup=min(max(1, seconds / 2), WARMUP_SECONDS_MAX), seconds=seconds)
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
    figures = {"MB/s": produced["MB/s"], "cpu-s/GB": produced["broker_cpu_s/GB"], "requests/cpu-s": produced["requests/cpu_s"],
               "seconds": seconds, "foreign": foreign, "stolen": stolen}
    for name, key in (("ack p50 ms", "p50_us"), ("ack p99 ms", "p99_us"), ("ack p99.9 ms", "p999_us")):
        figures[name] = produced[key] / 1000
    if options.get("rate", 0):
        figures["late p99 ms"] = produced["late_p99_us"] / 1000
    if tail:
        consumed = tail.finish()
        figures["end to end p50 ms"] = consumed["e2e_p50_us"] / 1000
        figures["end to end p99 ms"] = consumed["e2e_p99_us"] / 1000
    # A broker that cannot keep the pace makes the generator late: that is its latency, and no fault of the generator.
    kept = options.get("rate", 0) == 0 or produced["MB/s"] >= 0.95 * options["rate"]
    figures["VOID"] = "VOID" in produced and kept
    return figures, "" if kept else "collapsed"


def producing(consumer=False, up=False, full=False, **options):
    """The row that does this."""

    def run(session, who):
        with prepared(session, who, options["partitions"], up=up, full=full) as (broker, topic):
            return produce_figures(broker, topic, options, session.seconds, consumer)

    return run


def held(session, who):
    """Odradek with filing and retention by size. Kafka without retention, which is less work."""
    seconds = number("BENCH_GOALS_HELD", 60.0)
    configs = {"retention_bytes": HELD_PARTITION_BYTES} if who == OURS else {}
    with prepared(session, who, filing.PARTITIONS, RETENTION_OFTEN, full=True, **configs) as (broker, topic):
        return produce_figures(broker, topic, dict(partitions=filing.PARTITIONS, batch=65536), seconds)


def rate_held(broker, topic, rate):
    """Whether this rate is held with p99 within 2 ms, once in so many tries. Latency counts from the due time, so that a
    generator that was late makes it larger, never smaller."""
    for _ in range(RATE_TRIES):
        load = Load("produce", broker, cores=cores()[1], topic=topic, partitions=100, batch=16384, rate=rate, warmup=0.7,
                    seconds=number("BENCH_GOALS_PROBE", 2.0)).finish()
        if load["MB/s"] >= 0.97 * rate and load["p99_us"] <= RATE_P99_US:
            return True
        idle(broker)
    return False


def highest_rate(session, who):
    """By halving the ladder. What does not even hold its first step counts as 1 MB/s."""
    with prepared(session, who, 100) as (broker, topic):
        machine = Machine(broker.pid)
        low, high = -1, len(LADDER)  # low is held, high is not
        while high - low > 1:
            middle = (low + high) // 2
            if rate_held(broker, topic, LADDER[middle]):
                low = middle
            else:
                high = middle
        foreign, stolen = machine.foreign()
    return {"MB/s": LADDER[low] if low >= 0 else 1, "foreign": foreign, "stolen": stolen}, ""


# ---- fetch --------------------------------------------------------------------------------------


def hot_fetch(session, who):
    """256 MB that were just written, read again and again by four connections, a partition a request."""
    figures, totals = {}, dict(foreign=0, stolen=0)
    with prepared(session, who, FETCH_PARTITIONS) as (broker, topic):
        of_topic = dict(topic=topic, partitions=FETCH_PARTITIONS)
        Load("produce", broker, batch=FETCH_BATCH, total=FETCH_BYTES, warmup=0, seconds=60, **of_topic).finish()
        idle(broker)
        for name, size in (("1 MiB", MIB), ("64 KiB", 65536)):
            load = Load("fetch", broker, cores=cores()[1], bytes=size, connections=4, again="yes", warmup=1,
                        seconds=session.seconds, pid=broker.pid, **of_topic)
            machine = Machine(broker.pid)
            load.process.wait()
            foreign, stolen = machine.foreign()
            read = load.finish()
            figures[f"{name} MB/s"], figures[f"{name} cpu-s/GB"] = read["MB/s"], read["broker_cpu_s/GB"]
            totals = dict(foreign=max(totals["foreign"], foreign), stolen=max(totals["stolen"], stolen))
    return {**figures, **totals}, ""


# ---- catch-up -----------------------------------------------------------------------------------


class Backlog:
    """Brokers that hold so many bytes in topic `old`; each run begins with nothing of it in memory, and memory is full."""

    def __init__(self, session):
        self.session = session
        self.size = number("BENCH_GOALS_CATCHUP_GB", 5.0) * GB
        self.ours = None
        self.filled = set()

    def broker(self, who):
        if self.ours:
            self.ours.stop()
            self.ours = None
        self.session.only(who)
        if who == OURS:
            self.ours = odradek("backlog")
        broker = self.ours or self.session.kafka()
        if who not in self.filled:
            self._fill(broker)
            self.filled.add(who)
            if who == OURS:
                catchup.settled(broker)
                return self.broker(who)
        idle(broker)
        forget(broker.data)
        full_memory()
        return broker

    def _fill(self, broker):
        for of_topic in (catchup.OLD, catchup.LIVE):
            Topic(broker, of_topic["topic"], of_topic["partitions"]).__enter__()
        Load("produce", broker, batch=FETCH_BATCH, total=int(self.size), warmup=0, seconds=300, **catchup.OLD).finish()

    def measure(self, _session, who):
        broker = self.broker(who)
        load = Load("fetch", broker, cores=cores()[1], bytes=MIB, connections=4, warmup=0, seconds=120, until_end="yes",
                    pid=broker.pid, **catchup.OLD)
        machine = Machine(broker.pid)
        load.process.wait()
        foreign, stolen = machine.foreign()
        read = load.finish()
        if read["complete"] != "yes" or read["gaps"] != 0:
            raise SystemExit(f"error: the catch-up reader did not read everything: {read}")
        figures = {"MB/s": read["MB/s"], "cpu-s/GB": read["broker_cpu_s/GB"], "foreign": foreign, "stolen": stolen}
        broker = self.broker(who)
        tail, producer, _readings, said = catchup.live(broker, number("BENCH_GOALS_LIVE", 5.0), 50, True, cores()[1])
        figures["live ack p99 ms"] = producer["p99_us"] / 1000
        figures["live end to end p99 ms"] = tail["e2e_p99_us"] / 1000
        # Kafka's kernel is what makes the generator late here: its latency counts.
        figures["VOID"] = "VOID" in producer and who == OURS
        return figures, f"beside it: {said}"

    def close(self):
        if self.ours:
            self.ours.stop()
        shutil.rmtree(os.path.join(DATA, "backlog"), ignore_errors=True)
        if UNSAFE in self.filled:
            self.session.only(UNSAFE)
            with raw.Client(self.session.kafka().address, timeout=120) as client:
                for of_topic in (catchup.OLD, catchup.LIVE):
                    client.delete_topic(of_topic["topic"])
            idle(self.session.kafka(), quiet=2)


def forget(folder):
    """The page cache lets go of these files."""
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                file = os.open(os.path.join(parent, name), os.O_RDONLY)
            except FileNotFoundError:
                continue
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


# ---- creation -----------------------------------------------------------------------------------


class Made:
    """So many partitions of some topics, asked for by one request. Requests are made before the clock runs."""

    WIDTH = 1000  # partitions of a Produce

    def __init__(self, topics, partitions):
        self.names = [f"made-{i}" for i in range(topics)]
        self.partitions = partitions
        rows = [raw.text(name) + struct.pack(">ih", partitions, 1) + raw.array([]) * 2 for name in self.names]
        self.creation = raw.array(rows) + struct.pack(">i?", 300000, False)
        numbers = [struct.pack(">iq", partition, raw.LATEST) for partition in range(partitions)]
        self.listings = [struct.pack(">ib", -1, 0) + raw.array([raw.text(name) + raw.array(numbers)]) for name in self.names]
        batch = one_record_batch()
        rows = [struct.pack(">ii", partition, len(batch)) + batch for partition in range(partitions)]
        self.produces = []
        for name in self.names:
            for first in range(0, partitions, self.WIDTH):
                some = rows[first : first + self.WIDTH]
                head = struct.pack(">hhi", -1, -1, 30000)
                self.produces.append((name, head + raw.array([raw.text(name) + raw.array(some)])))

    def usable_after(self, address):
        """Seconds until every partition answered ListOffsets, and until every one took a Produce."""
        with raw.Client(address, timeout=300) as client:
            begun = time.monotonic()
            answer = client.call(19, 2, self.creation)
            answer.take("i")
            for _ in answer.each():
                name, code = answer.text(), answer.take("h")
                raw.expect(f"CreateTopics of {name}", code)
                answer.text()
            for name, listing in zip(self.names, self.listings):
                while codes_of(client.call(2, 2, listing), name, 22, 8) != 0:
                    if time.monotonic() > begun + 120:
                        raise SystemExit(f"error: {name} is not there after two minutes")
                    time.sleep(0.005)
            listed = time.monotonic() - begun
            for name, produce in self.produces:
                code = codes_of(client.call(0, 7, produce), name, 30, 4)
                if code != 0:
                    raise SystemExit(f"error: Produce to a new partition of {name} was refused")
            return listed, time.monotonic() - begun


def codes_of(answer, name, stride, before):
    """Zero when no partition of the one topic of an answer has an error code; the answer has `before` bytes and the name
    first, and `stride` bytes for each partition."""
    data = bytes(answer.data)
    at = 4 + before + 2 + len(name) + 4 + 4
    return max(max(data[at::stride]), max(data[at + 1 :: stride]))


def created(session, who):
    made = Made(1, CREATED)
    session.only(who)
    with running(session, who) as broker:
        idle(broker)
        machine = Machine(broker.pid)
        listed, usable = made.usable_after(broker.address)
        foreign, stolen = machine.foreign()
        if who == UNSAFE:
            with raw.Client(broker.address, timeout=120) as client:
                client.delete_topic(made.names[0])
            idle(broker, quiet=4)
    return {"listed s": listed, "s": usable, "foreign": foreign, "stolen": stolen}, ""


# Name: what it does; who is measured.
ALL_BUT_CATCHUP = [OURS, UNSAFE, DURABLE, NULL]
ROWS = {
    "produce-1000": (producing(full=True, partitions=1000, batch=65536), ALL_BUT_CATCHUP + [CONTROL]),
    "produce-1000-up": (producing(full=True, up=True, partitions=1000, batch=65536), [OURS, UNSAFE]),
    "produce-100": (producing(full=True, partitions=100, batch=65536), ALL_BUT_CATCHUP),
    "produce-1m": (producing(full=True, partitions=1, batch=1000000, depth=3), ALL_BUT_CATCHUP),
    "ack-100": (producing(partitions=100, batch=16384, rate=100), ALL_BUT_CATCHUP + [CONTROL]),
    "end-to-end": (producing(consumer=True, partitions=100, batch=16384, rate=10), [OURS, UNSAFE, DURABLE]),
    "one-record": (producing(partitions=100, batch=100, record=100, depth=64), ALL_BUT_CATCHUP),
    "rate": (highest_rate, [OURS, UNSAFE, DURABLE]),
    "fetch": (hot_fetch, [OURS, UNSAFE, NULL]),
    "catchup": (Backlog, [OURS, UNSAFE]),
    "create": (created, [OURS, UNSAFE]),
    "held": (held, [OURS, UNSAFE]),
}
