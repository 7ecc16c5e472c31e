"""Row `catchup`: a reader of everything beside producers and consumers of what is new.

A broker with 64 MiB of buffers holds 5 GB. In pairs, in an order drawn by chance: a producer in open loop and a consumer of
the tail alone; and the same while another consumer reads the 5 GB from the beginning, again and again as long as they run.
The tail's latency is end to end, from the time a batch was due to the time the consumer had it. The broker is in a memory
cgroup that allows it 32 MiB beside its budget, where the machine lets us make one. A run that is VOID is made once more, and
again, before it counts as void.

In life each of them runs on a machine of its own; here they share the broker's cores. Who reads everything takes what is left
of them (SCHED_IDLE); producer and consumer of the tail are never late because somebody else has the core (SCHED_RR, where we may).

    BENCH_CATCHUP_GB=5         held
    BENCH_CATCHUP_PAIRS=3      pairs
    BENCH_CATCHUP_SECONDS=10   of each run of a pair, at least one whole reading
    BENCH_CATCHUP_RATE=50      MB/s of the producer
"""
import os
import random
import statistics
import time

from measure import GB, MIB, Broker, Load, Machine, MemoryGroup, met, number, said_ratio, warm_memory
import raw

BUDGET = 64 * MIB
BESIDE = 32 * MIB
TRIES = 3
SETTLE_SECONDS_MAX = 60
OLD = dict(topic="old", partitions=16)
LIVE = dict(topic="live", partitions=16)
READING_SECONDS_MAX = 120
GOAL = 1.5


def after_all_others():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def before_all_others():
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass  # then more runs are VOID


class Reader:
    """Reads `old` from its beginning, and once more, until it is told to stop after the reading it is at."""

    def __init__(self, broker, cores=None):
        self.broker, self.cores = broker, cores
        self.readings = []
        self._start()

    def _start(self):
        self.load = Load("fetch", self.broker, cores=self.cores, bytes=MIB, connections=4, warmup=0,
                         seconds=READING_SECONDS_MAX, until_end="yes", prepare=after_all_others, **OLD)

    def _end(self):
        figures = self.load.finish()
        if figures["complete"] != "yes" or figures["gaps"] != 0:
            raise SystemExit(f"error: the catch-up reader did not read everything: {figures}")
        self.readings.append(figures)

    def go_on(self):
        if not self.load.running():
            self._end()
            self._start()

    def stop(self):
        """What is read at the moment is not waited for, unless it is the first time."""
        if self.readings and self.load.running():
            self.load.process.kill()
            self.load.process.wait()
        else:
            self._end()
        return self.readings


def settled(broker):
    """Waits until what was filled is filed, which would be measured otherwise; at most SETTLE_SECONDS_MAX."""
    begin = time.monotonic()
    written = None
    while time.monotonic() - begin < SETTLE_SECONDS_MAX:
        now = broker.counters()["log_pack_write_bytes_total"]
        if now == written:
            break
        written = now
        time.sleep(2)
    return time.monotonic() - begin


def live(broker, seconds, rate, beside, cores=None):
    """The tail's and the producer's figures, and the readings that were made beside them."""
    reader = Reader(broker, cores) if beside else None
    tail = Load("fetch", broker, cores=cores, bytes=MIB, per_request=LIVE["partitions"], connections=1, warmup=1, seconds=seconds,
                **{"from": "end"}, stamped="yes", prepare=before_all_others, **LIVE)
    producer = Load("produce", broker, cores=cores, batch=16384, rate=rate, warmup=1, seconds=seconds, stamped="yes",
                    prepare=before_all_others, **LIVE)
    machine = Machine(broker.pid)
    while tail.running() or producer.running():
        if reader:
            reader.go_on()
        time.sleep(0.002)
    foreign, stolen = machine.foreign()
    readings = reader.stop() if reader else []
    return tail.finish(), producer.finish(), readings, f"others {foreign:.2f} cores, stolen {stolen:.1%}"


def live_valid(broker, seconds, rate, beside):
    """live(), as often as it takes to be no VOID, and all the readings; the figures of the last."""
    all_readings = []
    for _ in range(TRIES):
        tail, producer, readings, others = live(broker, seconds, rate, beside)
        all_readings += readings
        if "VOID" not in producer:
            break
    return tail, producer, all_readings, others


def run():
    size = number("BENCH_CATCHUP_GB", 5.0) * GB
    pairs = number("BENCH_CATCHUP_PAIRS", 3)
    seconds = number("BENCH_CATCHUP_SECONDS", 10.0)
    rate = number("BENCH_CATCHUP_RATE", 50.0)
    warm_memory()
    with MemoryGroup(BUDGET + BESIDE) as group:
        broker = Broker(options=["--memory", str(BUDGET)], prepare=group.join).ready()
        with raw.Client(broker.address) as client:
            for topic in (OLD, LIVE):
                client.create_topic(topic["topic"], topic["partitions"])
        filled = Load("produce", broker, batch=65536, total=int(size), warmup=0, seconds=300, **OLD).finish()
        print(f"catchup: {filled['bytes'] / GB:.1f} GB written at {filled['MB/s']:.0f} MB/s with {BUDGET // MIB} MiB of buffers; "
              f"{group.said()}; nothing more to file after {settled(broker):.0f} s", flush=True)
        measured = {False: [], True: []}
        acks = {False: [], True: []}
        all_readings = []
        voids = 0
        for _ in range(pairs):
            for beside in random.sample([False, True], 2):
                tail, producer, readings, others = live_valid(broker, seconds, rate, beside)
                measured[beside].append(tail["e2e_p99_us"])
                acks[beside].append(producer["p99_us"])
                all_readings += readings
                read = "".join(f", {r['bytes'] / GB:.1f} GB read in {r['seconds']:.1f} s" for r in readings[:1])
                void = " VOID" if "VOID" in producer else ""
                voids += bool(void)
                print(f"catchup, {'beside' if beside else 'alone'}: tail at {rate:g} MB/s end to end p50 {tail['e2e_p50_us']:.0f} us, "
                      f"p99 {tail['e2e_p99_us']:.0f}, p99.9 {tail['e2e_p999_us']:.0f}; ack p99 {producer['p99_us']:.0f}, due requests late by "
                      f"{producer['late_p99_us']:.0f}{void}{read}; {others}", flush=True)
        ratios = [b / a for a, b in zip(measured[False], measured[True])]
        middle = statistics.median(ratios)
        reading = statistics.median(r["MB/s"] for r in all_readings)
        print(f"catchup: {len(all_readings)} readings of {size / GB:g} GB finished, {reading:.0f} MB/s; tail p99 beside / alone, median of "
              f"{pairs} pairs {said_ratio(ratios)} (goal {GOAL}: {met(middle <= GOAL)}), {voids} of {2 * pairs} runs VOID; ack p99 beside "
              f"{statistics.median(acks[True]) / 1000:.2f} ms (goal 2: {met(statistics.median(acks[True]) <= 2000)}), alone "
              f"{statistics.median(acks[False]) / 1000:.2f}")
        peak, how = group.peak(broker)
        print(f"catchup, memory: at most {peak / MIB:.0f} MiB of {(BUDGET + BESIDE) / MIB:.0f}, the budget and {BESIDE // MIB} ({how}): "
              f"{met(peak <= BUDGET + BESIDE)}")
        broker.stop()
