"""Row `peers`: the same load on NATS JetStream, RabbitMQ, Redis streams and Odradek, by bench/peer_load.c.

Messages of 1 KiB, one producer and one live consumer, then a replay of the stream by a new consumer; load and broker share the
cores, and the load goes before everybody (SCHED_RR, where we may), so that it is late only for reasons of its own. In a round
every broker is started on an empty folder and a free port, once, in an order drawn by chance, and then there are

    a paced run    5,000 messages a second, latency from the time each was due: to its acknowledgement, and to the consumer
    a full run     1,000 unacknowledged messages at any time: messages a second, processor time of all the broker's processes
    a replay       of the full run's stream

A paced run that was VOID is made again on a stream of its own, twice at most. Printed are medians, and the range beside them.

Brokers are Debian's, as ./dev installs them, with their defaults but for what the table says under "durable". Debian's NATS is
2.9, which has no `sync_interval: always`; where there is a Go that can build it (GOTOOLCHAIN=local), NATS is also run in version
2.15 with that. Odradek runs twice: a request for each message, and batches as a Kafka producer's defaults make them (16 KiB, so
15 messages, or what has come after 5 ms).

    BENCH_PEERS_ROUNDS=3     rounds
    BENCH_PEERS_SECONDS=3    of the paced and of the full run, after one that is not counted
    BENCH_PEERS_ONLY=        only brokers whose name contains this
    BENCH_PEERS_KEEP=        a file: figures of rounds are added to those it has, and all of them are printed
"""
import json
import os
import random
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time

import measure
from measure import BUILD, DATA, GB, PROGRAM, free_port, number, spawn, warm_memory

PEER_LOAD = os.path.join(BUILD, "bench", "odradek-peer-load")
RATE = 5000
WINDOW = 1000
SIZE = 1024
NATS_VERSION = "v2.15.2"
NATS_BUILT = os.path.join(BUILD, "peers", "nats-server")
RABBIT_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # Debian's wrapper in /usr/sbin runs it as the service's user
PATIENCE = 120  # seconds

KAFKA_HELLO = struct.pack(">ihhih", 10, 18, 0, 1, 0)  # ApiVersions
RABBIT_HELLO = struct.pack(">ihhii", 12, 17, 1, 0, 0)  # PeerProperties


def wait_until_open(port, process):
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except OSError as closed:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"error: {' '.join(process.args)} does not listen: {closed}") from None
        time.sleep(0.001)


# ---- brokers --------------------------------------------------------------------------------------


class Peer:
    """A broker in a session of its own, so that all of its processes can be told, and ended."""

    name, durable, protocol, hello = "", "", "", b""
    options = {}
    replays = True

    def missing(self):
        """Why it cannot be run here, if so."""
        return None if shutil.which(self.program) else f"no {self.program}"

    def start(self):
        self.folder = os.path.join(DATA, "peer")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.port = free_port()
        self.log = os.path.join(DATA, "peer.log")
        command, environment = self.command()
        begin = time.monotonic()
        with open(self.log, "w") as log:
            self.process = spawn(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                                 env={**os.environ, **environment})
        self.wait_until_it_answers()
        self.start_ms = (time.monotonic() - begin) * 1000
        self.idle_mib = self.resident_mib()
        return self

    def wait_until_it_answers(self):
        until = time.monotonic() + PATIENCE
        while True:
            if self.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"error: {self.name} did not start: {self.said()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
                    client.sendall(self.hello)
                    if client.recv(1):
                        return
            except OSError:
                pass
            time.sleep(0.0005)

    def said(self):
        with open(self.log, errors="replace") as log:
            return log.read()[-2000:]

    def pids(self):
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    session = int(stat.read().rpartition(")")[2].split()[3])
            except OSError:
                continue  # it ended meanwhile
            if session == self.process.pid:
                found.append(int(entry))
        return found

    def resident_mib(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        return total / 1024

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def prepare(self, stream):
        """Where a stream is not made by the one who publishes."""


class Odradek(Peer):
    name, durable, protocol, hello = "Odradek, a request each", "every acknowledgement", "kafka", KAFKA_HELLO
    program = PROGRAM

    def command(self):
        return [PROGRAM, "serve", "--data", os.path.join(self.folder, "data"), "--listen", f"127.0.0.1:{self.port}"], {}

    def prepare(self, stream):
        subprocess.run([PROGRAM, "topic", "create", "-b", f"127.0.0.1:{self.port}", stream, "-p", "1"], check=True,
                       capture_output=True)


class OdradekBatches(Odradek):
    name, options = "Odradek, batches", {"batch": 15, "linger-ms": 5}


class Redis(Peer):
    name, durable, protocol, hello = "Redis 7.0 stream", "each second", "redis", b"PING\r\n"
    program, policy = "redis-server", "everysec"

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder, "--save", "",
                "--appendonly", "yes", "--appendfsync", self.policy], {}


class RedisAlways(Redis):
    name, durable, policy = "Redis 7.0 stream, always", "every acknowledgement", "always"


class Nats(Peer):
    name, durable, protocol = "NATS 2.9 JetStream", "every 2 minutes", "nats"
    program, sync = "nats-server", ""

    def command(self):
        path = os.path.join(self.folder, "nats.conf")
        with open(path, "w") as file:
            file.write(f'listen: "127.0.0.1:{self.port}"\njetstream {{\n  store_dir: "{self.folder}"\n{self.sync}}}\n')
        return [self.program, "-c", path], {}


class NatsAlways(Nats):
    name, durable = "NATS 2.15 JetStream, always", "every acknowledgement"
    program, sync = NATS_BUILT, "  sync_interval: always\n"

    def missing(self):
        if os.path.exists(NATS_BUILT):
            return None
        if not shutil.which("go"):
            return "no Go to build it with"
        built = subprocess.run(["go", "install", f"github.com/nats-io/nats-server/v2@{NATS_VERSION}"], stderr=subprocess.PIPE,
                               env={**os.environ, "GOBIN": os.path.dirname(NATS_BUILT), "GOTOOLCHAIN": "local"}, text=True)
        return None if built.returncode == 0 else "go install failed: " + " ".join(built.stderr.split())[-200:]


class RabbitStream(Peer):
    """With a name, a cookie and an epmd of its own: nothing of an installed service is touched."""

    name, durable, protocol, hello = "RabbitMQ 3.10 stream", "page cache", "rabbit", RABBIT_HELLO
    program, speaks_amqp = RABBIT_SERVER, False
    epmd = None

    def command(self):
        other_port, epmd_port = free_port(), free_port()
        amqp, stream = (self.port, other_port) if self.speaks_amqp else (other_port, self.port)
        config, plugins = os.path.join(self.folder, "rabbitmq.conf"), os.path.join(self.folder, "enabled_plugins")
        with open(config, "w") as file:
            file.write(f"listeners.tcp.1 = 127.0.0.1:{amqp}\nstream.listeners.tcp.1 = 127.0.0.1:{stream}\n")
        with open(plugins, "w") as file:
            file.write("[rabbitmq_stream].\n")
        self.epmd = spawn(["epmd", "-address", "127.0.0.1", "-port", str(epmd_port)], start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until_open(epmd_port, self.epmd)  # else the broker would leave one of its own behind
        return [RABBIT_SERVER], {
            "HOME": self.folder,
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"bench{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": config,
            "RABBITMQ_ADVANCED_CONFIG_FILE": os.path.join(self.folder, "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
            "RABBITMQ_MNESIA_BASE": os.path.join(self.folder, "mnesia"),
            "RABBITMQ_LOG_BASE": os.path.join(self.folder, "log"),
            "RABBITMQ_PID_FILE": os.path.join(self.folder, "pid"),
        }

    def pids(self):
        return super().pids() + [self.epmd.pid]


class RabbitClassic(RabbitStream):
    name, durable, protocol, hello = "RabbitMQ 3.10 classic queue", "in batches, or consumed", "classic", b"AMQP\0\0\x09\1"
    speaks_amqp, replays = True, False


class RabbitQuorum(RabbitClassic):
    name, durable, protocol = "RabbitMQ 3.10 quorum queue", "every acknowledgement", "quorum"


PEERS = [Odradek, OdradekBatches, Nats, NatsAlways, Redis, RedisAlways, RabbitStream, RabbitClassic, RabbitQuorum]


# ---- runs ----------------------------------------------------------------------------------------


def before_all_others():
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass  # then more runs are VOID


def load(mode, peer, stream, **options):
    command = [PEER_LOAD, mode, peer.protocol, f"127.0.0.1:{peer.port}", "--stream", stream, "--size", str(SIZE),
               "--pids", ",".join(map(str, peer.pids()))]
    for name, value in {**options, **peer.options}.items():
        command += ["--" + name, str(value)]
    process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before_all_others)
    out, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"error: the load on {peer.name} failed: {out.strip()} {errors.strip()} {peer.said()}")
    words = out.split()
    return {**dict(word.split("=") for word in words if "=" in word), "VOID": "VOID" in words}


def paced(peer, seconds):
    for attempt in range(3):
        stream = f"paced{attempt}"
        peer.prepare(stream)
        found = load("live", peer, stream, rate=RATE, seconds=seconds)
        if not found["VOID"]:
            break
    return found


def full(peer, seconds):
    peer.prepare("full")
    return load("live", peer, "full", window=WINDOW, seconds=seconds)


def one_round(peer, seconds):
    """Figures by name; the paced run and the full one happen on the same broker, one after the other."""
    warm_memory(GB)
    reader_cores = ""
    try:
        peer.start()
        slow = paced(peer, seconds)
        fast = full(peer, seconds)
        found = {"start ms": peer.start_ms, "idle MB": peer.idle_mib, "loaded MB": peer.resident_mib(),
                 "message/s": float(fast["messages/s"]), "MB/s": float(fast["MB/s"]), "cpu-s/GB": float(fast["broker_cpu_s/GB"]),
                 "VOID": slow["VOID"], "kept": float(slow["messages/s"]) >= 0.95 * RATE}
        for short, key in (("ack", "ack"), ("end", "e2e")):
            for quantile in ("p50", "p99", "p999"):
                found[f"{short} {quantile}"] = float(slow[f"{key}_{quantile}_us"])
        found["paced cpu-s/GB"] = float(slow["broker_cpu_s/GB"])
        if peer.replays:
            again = load("replay", peer, "full", messages=fast["published"], seconds=PATIENCE)
            found["replay/s"] = float(again["messages/s"])
            reader_cores = f", {again['own_cores']} in the replay"
    finally:
        peer.stop()
    print(f"  {peer.name}: " + ", ".join(f"{name} {shown(value)}" for name, value in found.items() if name not in ("VOID", "kept"))
          + " VOID: the generator was late" * found["VOID"] + f" (it did not keep {RATE:,} a second)" * (not found["kept"])
          + f"; generator {fast['own_cores']} cores in the full run{reader_cores}", flush=True)
    return found


def shown(value):
    """Three digits say what such figures can."""
    return f"{float(f'{value:.3g}'):,.10g}"


def cell(rounds, names):
    """Medians, and in brackets the range of each, where there was more than one round; of latencies those that were not VOID."""
    is_latency = any(" p" in name for name in names)
    rounds = [found for found in rounds if not (is_latency and found["VOID"])]
    if not rounds:
        return "VOID"
    if any(name not in found for found in rounds for name in names):
        return "-"
    if is_latency and not all(found["kept"] for found in rounds):
        return f"does not keep {RATE:,} a second"
    middle, ranges = [], []
    for name in names:
        values = [found[name] for found in rounds]
        middle.append(shown(statistics.median(values)))
        ranges.append(f"{shown(min(values))} to {shown(max(values))}")
    return " / ".join(middle) + (f" ({'; '.join(ranges)})" if len(rounds) > 1 else "")


COLUMNS = [
    ("messages/s", ["message/s"]),
    ("MB/s", ["MB/s"]),
    ("cpu-s/GB", ["cpu-s/GB"]),
    ("ack p50 / p99 / p99.9 us", ["ack p50", "ack p99", "ack p999"]),
    ("end to end p50 / p99 us", ["end p50", "end p99"]),
    ("replay, messages/s", ["replay/s"]),
    ("start ms", ["start ms"]),
    ("RSS MB idle / loaded", ["idle MB", "loaded MB"]),
]


def print_tables(results):
    """The full run, then the paced one: together they would be too wide."""
    names = [peer.name for peer in PEERS if results.get(peer.name)]
    durable = {peer.name: peer.durable for peer in PEERS}
    for columns in (COLUMNS[:3] + COLUMNS[5:6], COLUMNS[3:5], COLUMNS[6:]):
        print("\n| broker | durable | " + " | ".join(head for head, _ in columns) + " |")
        print("|---|---|" + "---|" * len(columns))
        for name in names:
            print(f"| {name} | {durable[name]} | " + " | ".join(cell(results[name], wanted) for _, wanted in columns) + " |")


def kept(path):
    try:
        with open(path) as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def run():
    rounds = number("BENCH_PEERS_ROUNDS", 3)
    seconds = number("BENCH_PEERS_SECONDS", 3.0)
    path = os.environ.get("BENCH_PEERS_KEEP", "")
    results = kept(path) if path else {}
    peers = []
    for peer in (kind() for kind in PEERS):
        why = peer.missing()
        if why:
            print(f"{peer.name}: not run, {why}")
        elif os.environ.get("BENCH_PEERS_ONLY", "") in peer.name:
            peers.append(peer)
    print(f"peers: {SIZE} bytes a message, {WINDOW} in flight or {RATE} a second, {rounds} rounds of {seconds:g} s; "
          f"{measure.others()}", flush=True)
    for _ in range(rounds):
        for peer in random.sample(peers, len(peers)):
            results.setdefault(peer.name, []).append(one_round(peer, seconds))
            if path:
                with open(path, "w") as file:
                    json.dump(results, file)
    print_tables(results)
    print(f"\n{sum(found['VOID'] for of in results.values() for found in of)} paced runs VOID")
