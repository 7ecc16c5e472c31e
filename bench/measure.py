"""What the rows of bench/run share: a broker on a folder of its own, the load generator, a client of a few requests, and
what is said about the machine and about a handful of figures.

Everything that is started is stopped, and every folder removed, when a row ends, however it ends (tidy).
"""
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("ODRADEK_BUILD", os.path.join(ROOT, "build"))
PROGRAM = os.environ.get("ODRADEK_PROGRAM", os.path.join(BUILD, "odradek"))
LOAD = os.path.join(BUILD, "bench", "odradek-load")
DATA = os.path.join(BUILD, "bench-data")
MIB = 1 << 20
GB = 1000 * 1000 * 1000

# The suites' client: CreateTopics, ListOffsets, ledgers of what was acknowledged.
for suite in ("compat", "space"):
    sys.path.insert(0, os.path.join(ROOT, "test", suite))


def number(name, initial):
    """A size of a run, to be made longer or shorter by an environment variable."""
    return type(initial)(os.environ.get(name, initial))


# ---- a client of a few lines: enough to be acknowledged ------------------------------------------


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def one_record_batch():
    now = int(time.time() * 1000)
    record = b"\x00\x00\x00\x01\x02x\x00"
    record = bytes([len(record) * 2]) + record
    body = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + record
    batch = struct.pack(">ibI", -1, 2, crc32c(body)) + body
    return struct.pack(">qi", 0, len(batch)) + batch


class Client:
    def __init__(self, port, until):
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.0002)

    def call(self, key, version, body):
        self.send(key, version, body)
        return self.receive()

    def send(self, key, version, body):
        message = struct.pack(">hhih", key, version, 1, 5) + b"bench" + body
        self.socket.sendall(struct.pack(">i", len(message)) + message)

    def receive(self):
        length = struct.unpack(">i", self.socket.recv(4, socket.MSG_WAITALL))[0]
        return self.socket.recv(length, socket.MSG_WAITALL)

    def create_topic(self, name):
        """By asking for its metadata."""
        self.call(3, 4, struct.pack(">ih", 1, len(name)) + name + b"\1")

    def produce(self, name, partition, batch):
        body = struct.pack(">hhii", -1, -1, 10000, 1) + struct.pack(">h", len(name)) + name
        answer = self.call(0, 3, body + struct.pack(">iii", 1, partition, len(batch)) + batch)
        at = 4 + 4 + 2 + len(name) + 4 + 4
        return struct.unpack(">h", answer[at : at + 2])[0]


# ---- processes ----------------------------------------------------------------------------------

STARTED = []


class UsualReadAhead:
    """The kernel reads ahead 128 KiB, as it does where nobody said otherwise. Some machines say 8 MiB: then a first touch of
    one of Kafka's sparse index files, 10 MB of zeros, reads all of it, and Kafka has a hundredth of its speed where many
    partitions are new. Odradek reads past the page cache. Where it may not be set it stays, and that is said."""

    USUAL_KIB = "128"

    def __init__(self):
        device = os.stat(ROOT).st_dev
        folder = os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        places = [os.path.join(folder, "queue"), os.path.join(os.path.dirname(folder), "queue")]  # a disk, a part of one
        self.file = next((os.path.join(place, "read_ahead_kb") for place in places if os.path.isdir(place)), None)
        self.before = None

    def set(self):
        if self.file is None:
            return
        with open(self.file) as file:
            found = file.read().strip()
        if found != self.USUAL_KIB and self._write(self.USUAL_KIB):
            self.before = found
        elif found != self.USUAL_KIB:
            print(f"note: the kernel reads ahead {found} KiB here, and that cannot be changed: page faults cost Kafka more")

    def restore(self):
        if self.before is not None:
            self._write(self.before)

    def _write(self, kib):
        try:
            with open(self.file, "w") as file:
                file.write(kib)
            return True
        except OSError:
            return False


class tidy:
    """Whatever happens inside: afterwards no process runs that was started there, no folder is left, and the kernel reads
    ahead as before."""

    def __init__(self):
        self.read_ahead = UsualReadAhead()

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.read_ahead.set()

    def __exit__(self, *_):
        for process in STARTED:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(DATA, ignore_errors=True)
        self.read_ahead.restore()


def spawn(command, **options):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    STARTED.append(process)
    return process


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def pinned(command, cores):
    return ["taskset", "-c", cores, *command] if cores is not None else list(command)


class Broker:
    """Odradek on the folder DATA/name, or `odradek dev` in memory. Before it starts, `prepare` is called in its process."""

    def __init__(self, fresh=True, cores=None, options=(), name="d", prepare=None, in_memory=False):
        if fresh:
            shutil.rmtree(DATA, ignore_errors=True)
            os.makedirs(DATA)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.data = os.path.join(DATA, name)
        self.log = os.path.join(DATA, "log")
        where = ["dev"] if in_memory else ["serve", "--data", self.data]
        command = [PROGRAM, *where, "--listen", self.address, *options]
        self.started = time.monotonic()
        with open(self.log, "w") as log:
            self.process = spawn(pinned(command, cores), stdout=subprocess.PIPE, stderr=log, preexec_fn=prepare)
        self.pid = self.process.pid

    def ready(self):
        for line in self.process.stdout:
            if b"Ready in" in line:
                return self
        raise SystemExit("the broker did not start: " + self.said())

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()

    def resident_mib(self, which="VmRSS"):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith(which))

    def counters(self):
        """What the broker counted so far: it says so on SIGUSR1."""
        with open(self.log) as log:
            log.seek(0, os.SEEK_END)
            self.process.send_signal(signal.SIGUSR1)
            until = time.monotonic() + 10
            text = ""
            while time.monotonic() < until:
                text += log.read()
                for line in text.splitlines(keepends=True):
                    if line.endswith("\n") and '"event":"stats"' in line:
                        return json.loads(line)
                time.sleep(0.005)
        raise SystemExit("the broker did not print its counters: " + self.said())


class Load:
    """bench/load.c in the background. Before it starts, `prepare` is called in its process."""

    BESIDE_SECONDS_MAX = 120  # for what it does before and after it measures

    def __init__(self, mode, broker, cores=None, prepare=None, **options):
        command = [LOAD, mode, broker.address]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        self.process = spawn(pinned(command, cores), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=prepare)
        self.seconds_max = options.get("seconds", 0) + options.get("warmup", 0) + self.BESIDE_SECONDS_MAX

    def running(self):
        return self.process.poll() is None

    def finish(self):
        """Its figures by name; a number where it is one. Errors end the row."""
        try:
            out, errors = self.process.communicate(timeout=self.seconds_max)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise SystemExit(f"error: the load failed: it had not ended after {self.seconds_max:.0f} s") from None
        figures = {}
        for word in out.split():
            name, _, value = word.partition("=")
            try:
                figures[name] = float(value)
            except ValueError:
                figures[name] = value
        if self.process.returncode != 0 or figures.get("errors") != 0:
            raise SystemExit(f"error: the load failed: {out.strip()} {errors.strip()}")
        return figures


class Watch:
    """The largest of what a function returns, called again and again in the background."""

    def __init__(self, pause_s, look):
        self.largest = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(pause_s, look), daemon=True)
        self.thread.start()

    def _run(self, pause_s, look):
        while not self.over.wait(pause_s):
            self.largest = max(self.largest, look())

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.largest


def used_bytes(folder):
    """What the files of a folder take on the disk."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                pass  # removed meanwhile
    return total


# ---- the machine --------------------------------------------------------------------------------

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Machine:
    """What others used while something was measured: cores, and the share of time the host took. The kernel's own work
    for our writes counts as others'."""

    def __init__(self, pid):
        self.pid = pid
        self.begin = self._look()

    def _look(self):
        with open("/proc/stat") as stat:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
        own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        busy = (user + nice + system + irq + softirq) / TICKS
        return time.monotonic(), busy - own - cpu_seconds(self.pid), steal / TICKS

    def foreign(self):
        """While the broker still runs: cores that others used, share that was stolen."""
        seconds, busy, stolen = (now - then for now, then in zip(self._look(), self.begin))
        return max(busy / seconds, 0.0), stolen / seconds / os.cpu_count()


class MemoryGroup:
    """A memory cgroup with a limit, below our own one; where none can be made only the process itself is looked at."""

    def __init__(self, limit):
        self.limit = limit
        self.folder, self.why, self.peak_file = None, "no memory cgroup here", None

    def __enter__(self):
        with open("/proc/self/cgroup") as file:
            own = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
        ways = [("memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
                ("", "/sys/fs/cgroup", "memory.max", "memory.peak")]
        for controller, mount, limit_file, peak_file in ways:
            if controller not in own:
                continue
            folder = mount + own[controller].rstrip("/") + f"/odradek-bench-{os.getpid()}"
            try:
                os.mkdir(folder)
            except OSError as error:
                self.why = f"no memory cgroup: {error.strerror}"
                continue
            try:
                with open(os.path.join(folder, limit_file), "w") as file:
                    file.write(str(self.limit))
                self.folder, self.peak_file = folder, os.path.join(folder, peak_file)
                return self
            except OSError as error:
                self.why = f"a memory cgroup without a limit: {error.strerror}"
                os.rmdir(folder)
        return self

    def join(self):
        """In the process that is to be limited."""
        if self.folder:
            with open(os.path.join(self.folder, "cgroup.procs"), "w") as file:
                file.write(str(os.getpid()))

    def said(self):
        return f"in a memory cgroup of {self.limit // MIB} MiB" if self.folder else self.why

    def peak(self, broker):
        """Bytes, and how they were found."""
        if self.folder and os.path.exists(self.peak_file):
            with open(self.peak_file) as file:
                return int(file.read()), f"peak of its memory cgroup; resident at most {broker.resident_mib('VmHWM'):.0f} MiB"
        return broker.resident_mib("VmHWM") * MIB, f"resident at most; {self.said()}"

    def __exit__(self, *_):
        if self.folder:
            for process in STARTED:
                if process.poll() is None:
                    process.kill()
                process.wait()
            until = time.monotonic() + 5
            while True:
                try:
                    return os.rmdir(self.folder)
                except OSError:  # a process that is gone may be counted for a moment
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.01)


FULL = os.path.join(DATA, "full")


def full_memory():
    """The page cache is full of clean pages, as on a machine that has been up: of a file without blocks that was read. The
    host backs all of them (see warm_memory), so a broker that goes through many gigabytes of page cache does not pay for it.
    The file stays: what becomes free is offered to the host, and while that takes it everybody stands still for up to 100 ms."""
    os.makedirs(DATA, exist_ok=True)
    block = bytearray(8 * MIB)
    with open(FULL, "a+b", buffering=0) as file:
        file.truncate(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        file.seek(0)
        while file.readinto(block):
            pass


def warm_memory(size=3 * GB):
    """Pages the host has backed and nobody holds: a first touch of others costs up to twenty times as much, and would
    be paid by whoever comes first."""
    os.makedirs(DATA, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.remove(FULL)
    path = os.path.join(DATA, "warm")
    block = bytes(8 * MIB)
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // len(block)):
            file.write(block)
    os.remove(path)


# ---- figures ------------------------------------------------------------------------------------


def median_interval(values):
    """The median and its 95 % interval, by drawing from the values again and again. Few values: their range."""
    middle = statistics.median(values)
    if len(values) < 5:
        return middle, min(values), max(values)
    chance = random.Random(1)
    drawn = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(2000))
    return middle, drawn[49], drawn[1949]


def said_ratio(values):
    middle, low, high = median_interval(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def met(holds):
    return "met" if holds else "NOT met"


def first_ack_ms(broker, topic, batch):
    client = Client(broker.port, time.monotonic() + 30)
    while client.produce(topic, 0, batch) != 0:
        client.create_topic(topic)
    return (time.monotonic() - broker.started) * 1000


def others():
    return f"load average {os.getloadavg()[0]:.1f}"


def topic_create(broker, name, partitions):
    subprocess.run([PROGRAM, "topic", "create", "-b", f"127.0.0.1:{broker.port}", name, "-p", str(partitions)], check=True,
                   stdout=subprocess.DEVNULL)


