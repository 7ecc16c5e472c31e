"""Row `filing`: what moving the log into packs costs, and whether it keeps up.

In pairs, in an order drawn by chance: full produce into 1,000 partitions x 64 KiB with filing, and with
odradek.test.hold_filing, which leaves everything in the WAL. The ratio of a pair's rates is what filing leaves; the goal is
0.7. Then a longer run with filing and retention by size, in which the WAL must stay within its bound.

    BENCH_FILING_PAIRS=3     pairs
    BENCH_FILING_SECONDS=6   of each run of a pair
    BENCH_FILING_HELD=60     seconds of the longer run
"""
import os
import random

from measure import GB, MIB, Broker, Load, Machine, Watch, met, number, said_ratio, used_bytes, warm_memory
import raw

PARTITIONS = 1000
WAL_BYTES_MAX = 392 * MIB  # with the default memory
WAL_SLACK = 6 * 64 * MIB  # the extent that is written, the next, three that were filed, one a pack holds up
KEPT_BYTES = 4 * GB
GOAL = 0.7


def produce(seconds, options, retention_bytes=-1):
    """Figures of one run: of the load, the broker's counters, the largest WAL, what others used."""
    settings = [word for option in options for word in ("--set", option)]
    broker = Broker(options=["--set", "log.retention.check.interval.ms=500", *settings]).ready()
    with raw.Client(broker.address) as client:
        client.create_topic("load", PARTITIONS, retention_bytes=retention_bytes)
    wal = Watch(0.1, lambda: used_bytes(os.path.join(broker.data, "wal")))
    load = Load("produce", broker, partitions=PARTITIONS, batch=65536, warmup=2, seconds=seconds, pid=broker.pid)
    machine = Machine(broker.pid)
    load.process.wait()
    foreign, stolen = machine.foreign()
    figures = load.finish()
    figures.update(broker.counters())
    figures.update(wal=wal.stop(), disk=used_bytes(broker.data), foreign=foreign, stolen=stolen)
    broker.stop()
    return figures


def said(name, f):
    return (f"filing, {name}: {f['MB/s']:.0f} MB/s, ack p99 {f['p99_us'] / 1000:.1f} ms, "
            f"{f['broker_cpu_s/GB']:.2f} cpu-s/GB, WAL at most {f['wal'] / MIB:.0f} MiB; "
            f"others {f['foreign']:.2f} cores, stolen {f['stolen']:.1%}")


def amplification(f):
    """Bytes written, and read back, for every byte that was accepted."""
    accepted = max(f["log_append_bytes_total"], 1)
    wal, packs = f["wal_write_bytes_total"] / accepted, f["log_pack_write_bytes_total"] / accepted
    return wal, packs, f["log_filing_read_bytes_total"] / accepted


def run():
    pairs = number("BENCH_FILING_PAIRS", 3)
    seconds = number("BENCH_FILING_SECONDS", 6.0)
    held_seconds = number("BENCH_FILING_HELD", 60.0)
    warm_memory()
    ratios, without_rates = [], []
    for _ in range(pairs):
        rates = {}
        for filed in random.sample([True, False], 2):
            figures = produce(seconds, [] if filed else ["odradek.test.hold_filing=true"])
            rates[filed] = figures["MB/s"]
            print(said(f"with it, {seconds:g} s" if filed else f"held off, {seconds:g} s", figures), flush=True)
        ratios.append(rates[True] / rates[False])
        without_rates.append(rates[False])
    middle = sorted(ratios)[len(ratios) // 2]
    print(f"filing: rate with it / without, median of {pairs} pairs {said_ratio(ratios)} (goal {GOAL}: {met(middle >= GOAL)})")

    held = produce(held_seconds, [], retention_bytes=KEPT_BYTES // PARTITIONS)
    print(said(f"with it and retention, {held_seconds:g} s", held))
    wal, packs, read_back = amplification(held)
    bound = WAL_BYTES_MAX + WAL_SLACK
    print(f"filing, held: rate / without {held['MB/s'] / (sum(without_rates) / pairs):.2f}; "
          f"WAL at most {held['wal'] / MIB:.0f} MiB of {bound / MIB:.0f}, its bound and six extents ({met(held['wal'] <= bound)}); "
          f"{held['log_filed_bytes_total'] / max(held['log_append_bytes_total'], 1):.0%} of what came was filed; "
          f"written per byte {wal + packs:.2f} (WAL {wal:.2f}, packs {packs:.2f}), read back {read_back:.2f}; "
          f"on the disk in the end {held['disk'] / MIB:.0f} MiB, {KEPT_BYTES / MIB:.0f} to be kept")
