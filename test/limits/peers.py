"""What peers may do to a broker: too many connections, idle ones, thousands that never finish a
request, no descriptor left. Raw sockets; run by test/limits/run."""

import resource
import select
import socket
import struct
import time

import harness
from harness import check

MIB = 1 << 20
SLOW_SOCKETS = 10000
SLOW_SECONDS = 13  # a request that does not move is given up after 10
FRAME_BYTES = 4_000_000  # what each of them announces


def api_versions(correlation):
    frame = struct.pack(">hhih", 18, 0, correlation, 4) + b"slow"
    return struct.pack(">i", len(frame)) + frame


def connect(address, timeout=10):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=timeout)


def answered(connection, correlation=1):
    """Does the broker answer ApiVersions on it? False: it closed the connection."""
    try:
        connection.sendall(api_versions(correlation))
        head = connection.recv(8, socket.MSG_WAITALL)
        if len(head) < 8:
            return False
        size, got = struct.unpack(">ii", head)
        check(got == correlation, f"the answer to {correlation} says {got}")
        connection.recv(size - 4, socket.MSG_WAITALL)
        return True
    except (ConnectionError, BrokenPipeError):
        return False


def per_address():
    """max.connections.per.ip=5, six connects: the sixth is closed, the five are served."""
    broker = harness.new_broker("per-address", options=["max.connections.per.ip=5"])
    try:
        broker.start()
        five = [connect(broker.address) for _ in range(5)]
        check(all(answered(one) for one in five), "one of five connections is not served")
        with connect(broker.address) as sixth:
            check(not answered(sixth), "the sixth connection is served")
        check(all(answered(one, 2) for one in five), "the five are not served any more")
        five.pop().close()
        deadline = time.monotonic() + 10
        while True:  # the broker hears of the end in its own time
            with connect(broker.address) as again:
                if answered(again):
                    break
            check(time.monotonic() < deadline, "nobody is served after one of five has left")
        for one in five:
            one.close()
        check(broker.stop() == 0, f"the broker did not stop cleanly: {broker.log_tail()}")
        with open(broker.log_path, errors="replace") as log:
            check("too_many_from_address" in log.read(), "the refusal was not told")
        refused = broker.final_counters()["connections_refused_total"]
        return f"{refused} refused and told"
    finally:
        broker.destroy()


def idle_closed():
    """connections.max.idle.ms=1000: an idle connection is closed after a second, not before."""
    broker = harness.new_broker("idle-closed", options=["connections.max.idle.ms=1000"])
    try:
        broker.start()
        with connect(broker.address) as idle:
            check(answered(idle), "a connection is not served")
            begun = time.monotonic()
            end = idle.recv(1)
            took = time.monotonic() - begun
        check(end == b"", f"an idle connection received {end!r}")
        check(0.9 <= took <= 5, f"closed after {took:.2f} s")
        return f"closed after {took:.2f} s"
    finally:
        broker.destroy()


def ping_ms(connection, count):
    """The time of every of so many requests, in order of size."""
    times = []
    for correlation in range(count):
        begun = time.monotonic()
        check(answered(connection, correlation), "a healthy connection was closed")
        times.append((time.monotonic() - begun) * 1000)
    return sorted(times)


def slow_requests(resident):
    """Thousands of sockets that announce megabytes and send a byte a second: memory follows what
    was received, others are served, and all of them are closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(SLOW_SOCKETS, hard - 500)
    broker = harness.new_broker("slow-requests", arguments=["--memory", "64MiB"])
    slow = []
    try:
        broker.start()
        healthy = connect(broker.address)
        alone = ping_ms(healthy, 500)
        before = resident(broker.process.pid)
        poll = select.epoll()
        begun = time.monotonic()
        for _ in range(count):
            one = connect(broker.address)
            one.sendall(struct.pack(">i", FRAME_BYTES) + b"\0\3")
            one.setblocking(False)
            poll.register(one, select.EPOLLRDHUP)
            slow.append(one)
        beside, largest = [], 0
        while time.monotonic() - begun < SLOW_SECONDS:
            at = time.monotonic()
            for one in slow:
                try:
                    one.send(b"\0")
                except OSError:
                    pass  # closed by the broker
            beside += ping_ms(healthy, 50)
            largest = max(largest, resident(broker.process.pid))
            time.sleep(max(0, at + 1 - time.monotonic()))
        deadline = time.monotonic() + 15
        closed = set()
        while len(closed) < count and time.monotonic() < deadline:
            for descriptor, _ in poll.poll(1, 1024):
                closed.add(descriptor)
                poll.unregister(descriptor)
        check(len(closed) == count, f"{len(closed)} of {count} were closed")
        beside.sort()
        p99_alone, p99 = alone[len(alone) * 99 // 100], beside[len(beside) * 99 // 100]
        each = (largest - before) / count
        check(largest <= (64 + 32) * MIB, f"{largest / MIB:.1f} MiB resident, budget 64")
        check(each <= 2048, f"{each:.0f} bytes resident per connection")
        # In the same turn they are read: that takes microseconds each, not the length of a frame.
        check(p99 <= p99_alone + 250, f"p99 {p99:.1f} ms beside them, {p99_alone:.1f} ms alone")
        return (
            f"{count} sockets, {each:.0f} bytes each, {largest / MIB:.1f} MiB resident, "
            f"p99 {p99:.1f} ms beside them, {p99_alone:.1f} ms alone"
        )
    finally:
        for one in slow:
            one.close()
        broker.destroy()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def no_descriptors(cpu_ticks):
    """64 descriptors, a hundred connects: those that do not fit are closed, the broker does not
    spin, and serves again when there is room."""
    broker = harness.new_broker("no-descriptors")
    broker.preexec = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        broker.start()
        pid = broker.process.pid
        served, refused = [], 0
        for _ in range(100):
            one = connect(broker.address)
            if answered(one):
                served.append(one)
            else:
                refused += 1
                one.close()
        check(served and refused, f"{len(served)} served, {refused} refused")
        before = cpu_ticks(pid)
        time.sleep(1)
        ticks = cpu_ticks(pid) - before
        check(ticks <= 5, f"{ticks} CPU ticks in a second without descriptors")
        check(all(answered(one, 2) for one in served), "those who were there are not served")
        for one in served:
            one.close()
        deadline = time.monotonic() + 10
        while True:
            with connect(broker.address) as again:
                if answered(again):
                    break
            check(time.monotonic() < deadline, "nobody is served although descriptors are free")
        with open(broker.log_path, errors="replace") as log:
            check("out_of_descriptors" in log.read(), "the refusals were not told")
        return f"{len(served)} served, {refused} refused and told"
    finally:
        broker.destroy()
