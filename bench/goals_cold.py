"""Rows of the goal table on brokers that were just started: start, memory, recovery after kill -9, idle connections.

A row is a generator of (who, figures, note). Kafka is a node of its own for each row, as it comes; there is none where
`kafka` is false. The mode of cores is of no matter.
"""
import resource
import shutil
import signal
import socket
import struct
import time

from beside_kafka import OURS, UNSAFE, Kafka, Topic, idle
from goals_hot import Made
from measure import GB, Broker, Client, Load, number, one_record_batch

MANY, MOST = 6000, 100000
CONNECTIONS = 15000
KILLED_AFTER_SECONDS = 1.0


def first_answer_ms(broker):
    """Since exec, to the first answer to ApiVersions."""
    client = Client(broker.port, time.monotonic() + 120)
    client.call(18, 0, b"")
    client.socket.close()
    return (time.monotonic() - broker.started) * 1000


def first_produce_ms(broker, topic):
    """Since exec, to the first acknowledged Produce."""
    client = Client(broker.port, time.monotonic() + 300)
    batch = one_record_batch()
    while client.produce(topic.encode(), 0, batch) != 0:
        if time.monotonic() > broker.started + 300:
            raise SystemExit("error: no Produce was acknowledged five minutes after exec")
        time.sleep(0.001)
    client.socket.close()
    return (time.monotonic() - broker.started) * 1000


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Ours:
    """Odradek on one folder, started again and again."""

    who = OURS

    def __init__(self, name):
        self.name = name
        self.broker = None

    def launch(self):
        self.broker = Broker(fresh=False, name=self.name)
        return self.broker

    def stop(self, how=signal.SIGTERM):
        self.broker.stop(how)

    def destroy(self):
        if self.broker.process.poll() is None:
            self.broker.stop(signal.SIGKILL)
        shutil.rmtree(self.broker.data, ignore_errors=True)


class Theirs:
    who = UNSAFE

    def __init__(self, name):
        self.node = self.broker = Kafka(name)

    def launch(self):
        return self.node.launch()

    def stop(self, how=signal.SIGTERM):
        self.node.process.send_signal(how)
        self.node.process.wait()

    def destroy(self):
        self.node.destroy()


def both(name, kafka):
    return [Ours(name), Theirs(name)] if kafka else [Ours(name)]


def start(kafka):
    """An empty directory, each time a new one; and what an idle broker takes."""
    for turn in range(number("BENCH_GOALS_ROUNDS", 3)):
        for one in both(f"start-{turn}", kafka):
            broker = one.launch()
            took = first_answer_ms(broker)
            idle(broker, quiet=4)
            yield one.who, {"ms": took, "RSS MB": resident_kib(broker.pid) * 1024 / 1e6}, ""
            one.destroy()


def start_with(topics, partitions, kafka):
    """A directory with so many partitions, after a clean stop; and what each of them takes."""
    for one in both(f"many-{topics}", kafka):
        broker = one.launch()
        first_answer_ms(broker)
        idle(broker, quiet=4)
        empty = resident_kib(broker.pid)
        Made(topics, partitions).usable_after(broker.address)
        idle(broker)
        one.stop()
        for _ in range(number("BENCH_GOALS_ROUNDS", 3)):
            broker = one.launch()
            took = first_answer_ms(broker)
            idle(broker, quiet=4)
            each = (resident_kib(broker.pid) - empty) / (topics * partitions)
            yield one.who, {"ms": took, "KiB per partition": each}, ""
            one.stop()
        one.destroy()


def start_many(kafka):
    yield from start_with(6, MANY // 6, kafka)


def start_most(_kafka):
    yield from start_with(10, MOST // 10, False)


def create_most(_kafka):
    for turn in range(number("BENCH_GOALS_ROUNDS", 3)):
        made = Made(10, MOST // 10)
        one = Ours(f"create-{turn}")
        broker = one.launch()
        first_answer_ms(broker)
        listed, usable = made.usable_after(broker.address)
        yield OURS, {"listed s": listed, "s": usable}, ""
        one.destroy()


def recovery_of(size_gb, kafka, runs):
    """kill -9 at full produce with so much stored, 100 partitions x 64 KiB; to the first acknowledged Produce. Kafka once:
    after its first recovery it knows that its files are whole."""
    for one in both(f"killed-{size_gb:g}", kafka):
        broker = one.launch()
        first_answer_ms(broker)
        Topic(broker, "full", 100).__enter__()
        Load("produce", broker, topic="full", partitions=100, batch=65536, warmup=0, seconds=600, total=size_gb * GB).finish()
        for _ in range(runs if one.who == OURS else 1):
            load = Load("produce", broker, topic="full", partitions=100, batch=65536, warmup=0, seconds=60)
            time.sleep(KILLED_AFTER_SECONDS)
            one.stop(signal.SIGKILL)
            load.process.communicate()
            broker = one.launch()
            yield one.who, {"s": first_produce_ms(broker, "full") / 1000}, f"{size_gb:g} GB"
        one.destroy()


def recovery(kafka):
    yield from recovery_of(number("BENCH_GOALS_RECOVERY_GB", 10.0), kafka, number("BENCH_GOALS_ROUNDS", 3))


def recovery_more(_kafka):
    yield from recovery_of(number("BENCH_GOALS_RECOVERY_MORE_GB", 50.0), False, number("BENCH_GOALS_ROUNDS", 3))


SOCKET_INODES, DENTRIES = "sock_inode_cache", "dentry"


def kernel_objects():
    """What the kernel holds, by kind: how many are in use, and KiB for each, with what is lost where pages are cut up. Inodes
    and pages of files, which it could give back, are others' and left out; but a socket has an inode and a dentry. Only root
    may know: None."""
    kinds = {}
    try:
        with open("/proc/slabinfo") as file:
            rows = [line.split() for line in file][2:]
        for kind, used, _total, _bytes, per_slab, pages, *_ in rows:
            with open(f"/sys/kernel/slab/{kind}/reclaim_account") as reclaimable:
                if kind in (SOCKET_INODES, DENTRIES) or reclaimable.read().strip() == "0":
                    kinds[kind] = (int(used), resource.getpagesize() / 1024 * int(pages) / int(per_slab))
    except OSError:
        return None
    return kinds


def grown_kib(before, after):
    """What the kernel holds more than before. Objects are counted, not pages: pages may have had room from earlier rows, and
    the first one measured would pay for the next. Of dentries, one for each socket: whoever looks into /proc/PID/fd meanwhile
    leaves one as well."""
    grown = {kind: used - before.get(kind, (0, 0))[0] for kind, (used, _) in after.items()}
    grown[DENTRIES] = grown[SOCKET_INODES]
    return sum(count * after[kind][1] for kind, count in grown.items())


def ask_once(port):
    """A connection that has asked for ApiVersions."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(struct.pack(">ihhih", 10 + 5, 18, 0, 1, 5) + b"bench")
    length = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))[0]
    connection.recv(length, socket.MSG_WAITALL)
    return connection


def reset(connection):
    """Closed without the minute of TIME_WAIT, whose end would be in the next one's figures."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def connections(kafka):
    """Each has asked for ApiVersions once and is idle. Both its ends are here: half of what the kernel takes is the broker's."""
    count = number("BENCH_GOALS_CONNECTIONS", CONNECTIONS)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count + 500:
        raise SystemExit(f"error: {count} connections need as many file descriptors: ulimit -n")
    for one in both("connections", kafka):
        broker = one.launch()
        first_answer_ms(broker)
        idle(broker, quiet=4)
        before, objects = resident_kib(broker.pid), kernel_objects()
        open_ones = [ask_once(broker.port) for _ in range(count)]
        idle(broker, quiet=4)
        each = (resident_kib(broker.pid) - before) / count
        figures = {"KiB RSS each": each}
        if objects is not None:
            figures["KiB each with the kernel's"] = each + grown_kib(objects, kernel_objects()) / 2 / count
        yield one.who, figures, f"{count} connections"
        for connection in open_ones:
            reset(connection)
        one.destroy()


ROWS = {
    "start": start,
    "start-6000": start_many,
    "start-100000": start_most,
    "create-100000": create_most,
    "recovery": recovery,
    "recovery-more": recovery_more,
    "connections": connections,
}
