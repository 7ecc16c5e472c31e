"""Row `partitions`: many partitions in one broker.

Creates them with one request, writes a few, kills the broker with SIGKILL, starts it again and times exec to the first
acknowledged Produce; what was written is read and compared, before and after. Then the same once more when every partition
has records, so that none of them is only a name.

    BENCH_PARTITIONS=100000   of them
    BENCH_PARTITIONS_RUNS=3   starts after kill -9
"""
import signal
import statistics
import struct
import time

from measure import MIB, Broker, Client, Load, met, number, others
import raw

TOPICS = 10
WRITTEN = 20


def create(broker, names, partitions):
    """Seconds from the request to its answer, and to the answer of ListOffsets for every partition."""
    with raw.Client(broker.address, timeout=300) as client:
        rows = [raw.text(name) + (partitions).to_bytes(4, "big") + b"\0\1" + raw.array([]) * 2 for name in names]
        begun = time.monotonic()
        answer = client.call(19, 2, raw.array(rows), (300000).to_bytes(4, "big") + b"\0")
        created = time.monotonic() - begun
        answer.take("i")
        for _ in answer.each():
            name, code = answer.text(), answer.take("h")
            raw.expect(f"CreateTopics of {name}", code)
            answer.text()
        for name in names:
            assert client.offsets(name, partitions, raw.LATEST) == [0] * partitions
        return created, time.monotonic() - begun


class Written:
    """Some partitions of the topics, and at which offset of them which batch was acknowledged."""

    def __init__(self, names, partitions):
        self.places = [(names[i % len(names)], i * partitions // WRITTEN) for i in range(WRITTEN)]
        self.batches = raw.batches(16 * 1024)
        self.acked = {place: {} for place in self.places}
        self.turn = 0

    def write(self, client, rounds):
        for _ in range(rounds):
            for name, partition in self.places:
                which = self.turn % len(self.batches)
                self.turn += 1
                data = self.batches[which]
                head = struct.pack(">hhii", -1, -1, 30000, 1) + raw.text(name)
                answer = client.call(0, 7, head, struct.pack(">iii", 1, partition, len(data)), data)
                answer.take("i")
                answer.text()
                _count, _partition, code, base, _time, _start = answer.take("iihqqq")
                raw.expect(f"Produce to {name}-{partition}", code)
                assert base not in self.acked[name, partition], (name, partition, base)
                self.acked[name, partition][base] = which

    def check(self, client):
        """Reads all of it; the number of batches."""
        for (name, partition), acked in self.acked.items():
            offset, end = min(acked), max(acked) + 1
            while offset < end:
                code, found = client.fetch(name, partition, offset)
                raw.expect(f"Fetch of {name}-{partition}", code)
                assert found, (name, partition, offset)
                for base, data in found:
                    assert base == offset, (name, partition, base, offset)
                    if base in acked:
                        assert data == self.batches[acked[base]][raw.CHANGED_BYTES :], (name, partition, base)
                    offset += 1
        return sum(map(len, self.acked.values()))


def first_ack_ms(broker, place, batch):
    name, partition = place
    client = Client(broker.port, time.monotonic() + 60)
    while client.produce(name.encode(), partition, batch) != 0:
        pass
    return (time.monotonic() - broker.started) * 1000


def start_again(written, runs):
    """Kills and starts, so many times: milliseconds to the first acknowledged Produce, and the broker of the last one."""
    place = written.places[0]
    took = []
    for turn in range(runs):
        broker = Broker(fresh=False)
        took.append(first_ack_ms(broker, place, written.batches[turn]))
        if turn < runs - 1:
            broker.stop(signal.SIGKILL)
    return took, broker


def said_start(what, took, broker, count):
    middle = statistics.median(took)
    print(f"partitions, {what}: after kill -9 the first acknowledged Produce {middle:.0f} ms after exec, median of {len(took)} "
          f"(best {min(took):.0f}, goal 300: {met(middle <= 300)}); {said_memory(broker)}; {count} batches, of before and after, "
          f"read and compared ({others()})", flush=True)


def said_memory(broker):
    resident, charged = broker.resident_mib() * MIB, broker.counters()["memory_used_bytes"]
    beside = max(resident - charged, 0)
    return (f"{resident / 1e6:.0f} MB resident, of which buffers and caches at most {charged / 1e6:.0f}, so {beside / 1e6:.0f} beside "
            f"them (goal 150: {met(beside <= 150e6)})")


def run():
    total = number("BENCH_PARTITIONS", 100000)
    runs = number("BENCH_PARTITIONS_RUNS", 3)
    names = [f"many-{i}" for i in range(TOPICS)]
    each = total // TOPICS
    broker = Broker().ready()
    created, usable = create(broker, names, each)
    written = Written(names, each)
    with raw.Client(broker.address) as client:
        written.write(client, 8)
        count = written.check(client)
    print(f"partitions, {each * TOPICS:,} created: answered after {created:.3f} s, every one listed after {usable:.3f} s "
          f"(goal 2: {met(usable <= 2)}); {said_memory(broker)}; {count} batches in {WRITTEN} of them read and compared "
          f"({others()})", flush=True)
    broker.stop(signal.SIGKILL)
    took, broker = start_again(written, runs)
    with raw.Client(broker.address) as client:
        written.write(client, 4)
        said_start(f"{WRITTEN} written", took, broker, written.check(client))

    written = Written(names, each)
    with raw.Client(broker.address) as client:
        for name in names:
            Load("produce", broker, topic=name, partitions=each, batch=200, record=200, per_request=min(each, 1000),
                 depth=1, warmup=0, seconds=number("BENCH_PARTITIONS_SECONDS", 0.1)).finish()
            ends = client.offsets(name, each, raw.LATEST)
            assert min(ends) > 0, f"{name}-{ends.index(0)} was not written"
        written.write(client, 4)
        written.check(client)
    print(f"partitions, every one written: {said_memory(broker)} ({others()})", flush=True)
    broker.stop(signal.SIGKILL)
    took, broker = start_again(written, runs)
    with raw.Client(broker.address) as client:
        written.write(client, 4)
        said_start("every one written", took, broker, written.check(client))
    broker.stop()
