"""The cases of test/config/run: each has a folder of its own and as many brokers as it wants. The
numbers in the names are those of the catalogue in docs/bad-input.md. The few requests of Kafka's
protocol that are needed are made by hand."""

import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import cgroup

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, os.environ.get("ODRADEK_BUILD", "build"), "odradek")
DEADLINE = 60  # seconds until something that should happen has not
MIB = 1 << 20
NOBODY = 65534
DEV_MS = 20  # from exec to the first answer of ApiVersions
DYNAMIC_BROKER, STATIC, DEFAULT = 2, 4, 5  # DescribeConfigs' sources


class Failed(Exception):
    pass


def check(condition, why):
    if not condition:
        raise Failed(why)


# ---- the broker ---------------------------------------------------------------------------------


def environment(extra=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KAFKA_")}
    return {**clean, **(extra or {})}


class Broker:
    """One process; its stderr is kept as JSON lines."""

    def __init__(self, folder, *options, command="serve", env=None, data=True, listen=True, **popen):
        self.errors = tempfile.TemporaryFile(dir=folder)
        arguments = [PROGRAM, command]
        if data and command == "serve":
            arguments += ["--data", os.path.join(folder, "data")]
        if listen:
            arguments += ["--listen", "127.0.0.1:0"]
        arguments += ["--set", "odradek.http.listen=off", *options]
        self.process = subprocess.Popen(
            arguments, stdout=popen.pop("stdout", subprocess.PIPE), stderr=self.errors, env=environment(env), **popen
        )
        self.output = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
        self.errors.close()

    def ready(self):
        deadline = time.monotonic() + DEADLINE
        while b"Ready in " not in self.output or not self.output.endswith(b"\n"):
            left = deadline - time.monotonic()
            check(left > 0, f"it is not ready after {DEADLINE} s: {self.said()[-500:]}")
            if select.select([self.process.stdout], [], [], left)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                if not piece:
                    raise Failed(f"it ended with {self.process.wait(DEADLINE)}: {self.said()[-800:]}")
                self.output += piece
        host, port = re.search(rb" on (\S+):(\d+)\.", self.output).groups()
        self.address = (host.decode().strip("[]"), int(port))
        return self

    def said(self):
        size = os.fstat(self.errors.fileno()).st_size
        return os.pread(self.errors.fileno(), size, 0).decode(errors="replace")

    def lines(self, code):
        return [json.loads(line) for line in self.said().splitlines() if f'"{code}"' in line and line.endswith("}")]

    def wait_for(self, code, count=1):
        deadline = time.monotonic() + DEADLINE
        while len(self.lines(code)) < count:
            check(time.monotonic() < deadline, f"no {code}, but {self.said()[-800:]}")
            check(self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said()[-800:]}")
            time.sleep(0.02)
        return self.lines(code)

    def stop(self, signum=signal.SIGTERM):
        self.process.send_signal(signum)
        return self.ended()

    def ended(self):
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failed(f"it does not end: {self.said()[-500:]}") from None


def refused(folder, *options, status=2, program=PROGRAM, env=None, **popen):
    """Starts what must not start; returns what it said on stderr."""
    arguments = [program, "serve"]
    if not any(o == "--data" for o in options):
        arguments += ["--data", os.path.join(folder, "data")]
    done = subprocess.run(
        [*arguments, "--set", "odradek.http.listen=off", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(env),
        timeout=DEADLINE,
        **popen,
    )
    text = done.stderr.decode(errors="replace")
    check(done.returncode == status, f"status {done.returncode}, not {status}: {text[-800:]}")
    return text


def has(text, *words):
    for word in words:
        check(word in text, f"{word!r} is not in {text[-1200:]!r}")


def has_problem(text, code, what):
    """Three lines: what, why, next."""
    found = re.search(rf"^error {code}: (.*)\n  (.*)\n  next: (.*)$", text, re.M)
    check(found, f"no problem {code} of three lines in {text[-1200:]!r}")
    has(text, what)


def write(folder, name, content):
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


# ---- a little of the protocol -------------------------------------------------------------------


def text16(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from(">" + form, self.data, self.at)[0]
        self.at += struct.calcsize(">" + form)
        return value

    def text(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()


def receive(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        check(piece, "the broker closed the connection")
        data += piece
    return data


def call(address, api, version, body):
    with socket.create_connection(address, DEADLINE) as sock:
        frame = struct.pack(">hhi", api, version, 7) + text16("config-test") + body
        sock.sendall(struct.pack(">i", len(frame)) + frame)
        answer = receive(sock, struct.unpack(">i", receive(sock, 4))[0])
    return Reader(answer[4:])


def advertised(address):
    """Where Metadata v1 sends a client that came in here."""
    r = call(address, 3, 1, struct.pack(">i", 0))
    check(r.take("i") == 1, "there is one broker")
    r.take("i")
    host = r.text()
    return host, r.take("i")


def describe(address, key):
    """DescribeConfigs v1 of the broker: value, source, [(value, source)] of its synonyms."""
    r = call(address, 32, 1, struct.pack(">ib", 1, 4) + text16("1") + struct.pack(">i", 1) + text16(key) + b"\1")
    r.take("i"), r.take("i")
    error, message = r.take("h"), r.text()
    check(error == 0, f"DescribeConfigs fails: {error} {message}")
    r.take("b"), r.text()
    check(r.take("i") == 1, f"DescribeConfigs does not know {key}")
    r.text()
    value = r.text()
    r.take("b")
    source = r.take("b")
    r.take("b")
    synonyms = []
    for _ in range(r.take("i")):
        r.text()
        synonyms.append((r.text(), r.take("b")))
    return value, source, synonyms


def alter(address, key, value):
    """IncrementalAlterConfigs v0: sets a dynamic config of broker 1."""
    body = struct.pack(">ib", 1, 4) + text16("1") + struct.pack(">i", 1) + text16(key) + b"\0" + text16(value) + b"\0"
    r = call(address, 44, 0, body)
    r.take("i"), r.take("i")
    error, message = r.take("h"), r.text()
    check(error == 0, f"IncrementalAlterConfigs fails: {error} {message}")


def alive(address):
    call(address, 3, 1, struct.pack(">i", 0))


# ---- 101, 102: keys, values, files --------------------------------------------------------------


def unknown_keys_101(folder):
    path = write(folder, "p", "num.partition=4\nzookeeper.connect=z:2181\nnum.network.threads=3\nretention.ms=7\n")
    with Broker(folder, "--config", path, env={"KAFKA_NUM_PARTITIO": "2"}) as b:
        b.ready()
        told = " ".join(line["what"] + line["why"] + line["next"] for line in b.wait_for("ODK-5102", 3))
        has(told, "key num.partition", "p:1 sets it", "did you mean num.partitions?", "log.retention.ms", "KAFKA_NUM_PARTITIO")
        ignored = b.wait_for("ODK-5104")[0]
        check(ignored["count"] == 2, f"two keys have no effect: {ignored}")
        has(ignored["keys"], "zookeeper.connect", "num.network.threads")
        check(b.stop() == 0, "a clean stop")
    text = refused(folder, "--set", "num.partition=4")
    has_problem(text, "ODK-5117", "did you mean num.partitions?")


def all_problems_at_once_101(folder):
    path = write(folder, "p", "num.partitions=x\nnum.partitions=2\nlisteners=SSL://:9093,Y://h:1\nlog.retention.ms=0\nfoo=1\n")
    text = refused(folder, "--config", path, env={"KAFKA_MESSAGE_MAX_BYTES": "1 gib"})
    for code, what in (
        ("ODK-5101", 'num.partitions cannot be "x"'),
        ("ODK-5101", 'message.max.bytes cannot be "1 gib"'),
        ("ODK-5111", "listener SSL asks for SSL"),
        ("ODK-5108", "listener Y has no security protocol"),
        ("ODK-5105", "no time at all"),
    ):
        has_problem(text, code, what)
    has(text, "p:1 says so", "environment KAFKA_MESSAGE_MAX_BYTES", "message.max.bytes=1073741824", "p:1 and line 2")
    has(text, "warn ODK-5102: there is no configuration key foo")
    check(not os.path.exists(os.path.join(folder, "data")), "a start that is refused leaves nothing behind")


def odd_values_102(folder):
    for value in ("1 gib", "1e3", "-1", "99999999999999999999", "0x10", "", "1,000", "\N{ARABIC-INDIC DIGIT ONE}"):
        has_problem(refused(folder, "--set", f"num.partitions={value}"), "ODK-5101", "num.partitions cannot be")


def odd_files_102(folder):
    good = {
        "crlf": b"num.partitions=7\r\nlog.retention.ms=\\\r\n  5000\r\n",
        "bom": b"\xef\xbb\xbfnum.partitions=7\nlog.retention.ms:5000",
        "escapes": b"num\\u002epartitions = 7\n!\n   log.retention.ms 5000\n\n",
    }
    for name, content in good.items():
        with Broker(folder, "--config", write(folder, name, content)) as b:
            b.ready()
            check(describe(b.address, "num.partitions")[0] == "7", f"{name}: num.partitions")
            check(describe(b.address, "log.retention.ms")[0] == "5000", f"{name}: log.retention.ms")
            check(b.stop() == 0, "a clean stop")
    bad = {
        "utf16": ("num.partitions=7".encode("utf-16"), "ODK-5107", "UTF-16"),
        "nul": (b"a=b\nnum.partitions=7\0\n", "ODK-5107", "line 2"),
        "unicode": (b"a=\\u12", "ODK-5107", "hexadecimal"),
    }
    for name, (content, code, what) in bad.items():
        has_problem(refused(folder, "--config", write(folder, name, content)), code, what)
    large = write(folder, "large", b"")
    os.truncate(large, 1 << 30)
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    for path, what in (
        (large, "larger than 1 MiB"),
        (fifo, "not a regular file"),
        (folder, "not a regular file"),
        (os.path.join(folder, "absent"), "no such file"),
        ("/dev/zero", "not a regular file"),
    ):
        has_problem(refused(folder, "--config", path), "ODK-5106", what)


# ---- precedence and reload ----------------------------------------------------------------------


def precedence(folder):
    path = write(folder, "p", "max.connections=1000\nlog.retention.ms=1000\nbackground.threads=4\n")
    flags = ["--set", "max.connections=3000"]
    env = {"KAFKA_MAX_CONNECTIONS": "2000", "KAFKA_BACKGROUND_THREADS": "5", "KAFKA_HEAP_OPTS": "-Xmx1G"}
    with Broker(folder, "--config", path, *flags, env=env) as b:
        b.ready()
        alter(b.address, "max.connections", "4000")
        alter(b.address, "log.retention.ms", "4000")
        value, source, synonyms = describe(b.address, "max.connections")
        wanted = [("3000", STATIC), ("2000", STATIC), ("4000", DYNAMIC_BROKER), ("1000", STATIC), ("2147483647", DEFAULT)]
        check((value, source, synonyms) == ("3000", STATIC, wanted), f"max.connections: {value} {source} {synonyms}")
        value, source, synonyms = describe(b.address, "log.retention.ms")
        check((value, source) == ("4000", DYNAMIC_BROKER), f"a dynamic value comes before the file: {value} {source}")
        check(describe(b.address, "background.threads")[0] == "5", "the environment comes before the file")
        hidden = b.wait_for("ODK-5112")[0]
        check(hidden["key"] == "max.connections" and hidden["from"] == "--set", f"what hides it is told: {hidden}")
        check(b.stop() == 0, "a clean stop")


def log_level(folder):
    """From the file, read again; by a dynamic config."""
    path = write(folder, "p", "odradek.log.level=warn\n")
    with Broker(folder, "--config", path) as b:
        b.ready()
        check(not b.lines("ODK-5001"), "at warn the start says nothing")
        write(folder, "p", "odradek.log.level=info\n")
        b.process.send_signal(signal.SIGHUP)
        check(b.wait_for("ODK-5118")[0]["value"] == "info", "the file was read again")
        alter(b.address, "odradek.log.level", "debug")
        b.process.send_signal(signal.SIGHUP)
        b.wait_for("ODK-5113", 2)
        alter(b.address, "odradek.log.level", "error")
        check(b.stop() == 0, "a clean stop")
        check(not b.lines("ODK-5002"), "at error the end says nothing")


def reload_108(folder):
    path = write(folder, "p", "max.connections=1000\nnum.partitions=3\n")
    with Broker(folder, "--config", path) as b:
        b.ready()
        write(folder, "p", "max.connections=oops\nlog.retention.ms=1\n")
        b.process.send_signal(signal.SIGHUP)
        kept = b.wait_for("ODK-5114")[0]
        check(kept["errors"] == 1, f"the count of errors: {kept}")
        has(b.lines("ODK-5116")[0]["what"], 'max.connections cannot be "oops"')
        check(describe(b.address, "max.connections")[0] == "1000", "a broken file changes nothing")
        check(describe(b.address, "log.retention.ms")[0] is None, "not even what is right in it")

        os.unlink(path)
        b.process.send_signal(signal.SIGHUP)
        b.wait_for("ODK-5114", 2)
        check(describe(b.address, "max.connections")[0] == "1000", "a file that is gone changes nothing")

        write(folder, "p", "num.partitions=4\nlog.retention.ms=5000\n")
        b.process.send_signal(signal.SIGHUP)
        check(b.wait_for("ODK-5113")[0]["changed"] == 2, "two keys are in force")
        check(describe(b.address, "max.connections")[0] == "2147483647", "a line that is gone")
        check(describe(b.address, "log.retention.ms")[0] == "5000", "a line that is new")
        waits = b.lines("ODK-5115")[0]
        check((waits["key"], waits["wanted"], waits["in_force"]) == ("num.partitions", "4", "3"), f"the rest: {waits}")
        check(describe(b.address, "num.partitions")[0] == "3", "what needs a restart stays")
        for _ in range(50):
            b.process.send_signal(signal.SIGHUP)
        alive(b.address)
        check(b.stop() == 0, "a clean stop")


# ---- 103, 104: listeners and ports --------------------------------------------------------------


def several_listeners(folder):
    options = [
        "--set",
        "listeners=INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0",
        "--set",
        "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        "--set",
        "advertised.listeners=OUTSIDE://broker.invalid:19092",
    ]
    with Broker(folder, *options, listen=False) as b:
        b.ready()
        ports = dict(re.findall(rb"Kafka 127\.0\.0\.1:(\d+)  \((\w+),", b.output))
        ports = {name.decode(): int(port) for port, name in ports.items()}
        check(set(ports) == {"INSIDE", "OUTSIDE"}, f"both are told: {b.output}")
        inside = ("127.0.0.1", ports["INSIDE"])
        check(advertised(inside) == inside, f"inside: the address one came by, not {advertised(inside)}")
        outside = advertised(("127.0.0.1", ports["OUTSIDE"]))
        check(outside == ("broker.invalid", 19092), f"outside: what is configured, not {outside}")
        told = b.wait_for("ODK-1104")[0]
        check(told["host"] == "broker.invalid" and told["listener"] == "OUTSIDE", f"who cannot be resolved: {told}")
        check(b.stop() == 0, "a clean stop")


def listeners_103(folder):
    two = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT"
    for options, code, what in (
        (["--set", "listeners=A://127.0.0.1:9092,B://:9092", "--set", two], "ODK-5108", "same port 9092"),
        (["--set", "listeners=PLAINTEXT://h:1,PLAINTEXT://h:2"], "ODK-5108", "two listeners are named PLAINTEXT"),
        (["--set", "listeners=SSL://127.0.0.1:9093"], "ODK-5111", "asks for SSL"),
        (["--set", "listeners=SASL_PLAINTEXT://127.0.0.1:9093"], "ODK-5111", "asks for SASL_PLAINTEXT"),
        (["--set", "advertised.listeners=PLAINTEXT://0.0.0.0:9092"], "ODK-5109", "every interface"),
        (["--set", "advertised.listeners=ELSEWHERE://h:9092"], "ODK-5109", "no listener ELSEWHERE"),
        (["--set", "authorizer.class.name=org.example.Rules"], "ODK-5111", "access rules"),
    ):
        has_problem(refused(folder, *options), code, what)


def ports_104(folder):
    for listen in ("127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1", "::1:0", ""):
        has_problem(refused(folder, "--listen", listen), "ODK-5108", "is not a listener")
    has_problem(refused(folder, "--listen", "no.such.host.invalid:0", status=1), "ODK-5201", "no.such.host.invalid:0")
    has_problem(refused(folder, "--listen", "192.0.2.1:0", status=1), "ODK-5201", "192.0.2.1:0")
    with Broker(folder) as b:
        b.ready()
        other = os.path.join(folder, "other")
        text = refused(folder, "--data", other, "--listen", f"127.0.0.1:{b.address[1]}", status=1)
        has_problem(text, "ODK-5201", f"127.0.0.1:{b.address[1]}")
        has(text, f"the port is taken by odradek (pid {b.process.pid})")
        check(b.stop() == 0, "a clean stop")
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            print("[::1]:0 is not looked at: this machine has no IPv6")
            return
    with Broker(folder, "--listen", "[::1]:0", listen=False) as b:
        b.ready()
        check(b.address[0] == "::1" and b" on [::1]:" in b.output, f"told as it is written: {b.output}")
        check(advertised(b.address) == b.address, "clients are told the same")
        check(b.stop() == 0, "a clean stop")


def every_interface(folder):
    with Broker(folder, "--listen", ":0", listen=False) as b:
        b.ready()
        at = ("127.0.0.1", b.address[1])
        check(advertised(at) == at, "each client is told the address it came by")
        check(b.stop() == 0, "a clean stop")


def kafka_s_own_file(folder):
    """As config/server.properties of Apache Kafka 4 has it, but for the ports and the directory."""
    path = write(
        folder,
        "server.properties",
        f"""
############################# Server Basics #############################
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs={folder}/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
""",
    )
    with Broker(folder, "--config", path, data=False, listen=False) as b:
        b.ready()
        check(advertised(b.address) == ("localhost", 9092), "what the file advertises")
        check(os.path.exists(os.path.join(folder, "kraft-combined-logs", "format")), "the data lie where the file says")
        b.wait_for("ODK-5104")
        check(not b.lines("ODK-5102"), f"every key is known: {b.lines('ODK-5102')}")
        check(b.stop() == 0, "a clean stop")


# ---- 105: the data directory --------------------------------------------------------------------


def as_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def data_directory_105(folder):
    file = write(folder, "file", "x")
    below = os.path.join(file, "data")
    has_problem(refused(folder, "--data", below, "--listen", "127.0.0.1:0", status=1), "ODK-3104", below)
    with Broker(folder, "--data", os.path.join(folder, "not", "there"), data=False) as b:
        b.ready()  # what is missing is made
        check(b.stop() == 0, "a clean stop")
    text = refused(folder, "--data", file, "--listen", "127.0.0.1:0", status=1)
    check(re.search(r"error ODK-31\d\d: ", text) and file in text, f"a file for a directory: {text}")
    foreign = os.path.join(folder, "foreign")
    os.mkdir(foreign)
    write(foreign, "meta.properties", "version=1\n")
    text = refused(folder, "--data", foreign, "--listen", "127.0.0.1:0", status=1)
    check("error ODK-3102: " in text and "meta.properties" in text, f"another program's: {text}")
    check(os.listdir(foreign) == ["meta.properties"], "nothing of it was touched")
    two = refused(folder, "--data", f"{folder}/a,{folder}/b", "--listen", "127.0.0.1:0")
    has_problem(two, "ODK-5105", "more than one data directory")

    closed = os.path.join(folder, "closed")
    os.mkdir(closed)
    os.chmod(closed, 0o555)
    os.chmod(folder, 0o755)
    data = os.path.join(closed, "data")
    program = shutil.copy(PROGRAM, folder)  # nobody may not look into somebody's home
    text = refused(
        folder, "--data", data, "--listen", "127.0.0.1:0", status=1, program=program, preexec_fn=as_nobody
    )
    has_problem(text, "ODK-3104", data)
    with Broker(folder) as b:
        b.ready()
        text = refused(folder, "--listen", "127.0.0.1:0", status=1)
        check("error ODK-3101: " in text and str(b.process.pid) in text, f"who has it is told: {text}")
        alive(b.address)
        check(b.stop() == 0, "a clean stop")


def packs_of(folder):
    return sorted(os.listdir(os.path.join(folder, "data", "packs")))


def older_pack_that_rotted(folder):
    """Packs but the newest 16 are read after the start: it ends then, as a start that is refused, and says that meanwhile
    records may have been acknowledged."""
    lives = 20
    for life in range(lives):
        value = "x" * (50_000 if life % 8 == 0 else 1)  # one of eight is most of them: they are not merged
        with Broker(folder) as b:
            b.ready()
            address = f"{b.address[0]}:{b.address[1]}"
            done = subprocess.run([PROGRAM, "pub", "t", value, "-b", address], capture_output=True, timeout=DEADLINE)
            check(done.returncode == 0, f"pub: {done.stderr}")
            check(b.stop() == 0, "a clean stop, which files a pack")
    packs = packs_of(folder)
    check(len(packs) == lives, f"{len(packs)} packs of {lives} lives")
    with open(os.path.join(folder, "data", "packs", packs[0]), "r+b") as file:
        file.seek(-16, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-16, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    with Broker(folder) as b:
        b.ready()
        check(b.ended() == 9, f"status {b.process.returncode}: {b.said()[-500:]}")
        has(b.said(), "ODK-3103", packs[0], "acknowledged since this start")


# ---- 106 to 109: surroundings -------------------------------------------------------------------


def output_106(folder):
    with open("/dev/full", "wb") as full, Broker(folder, stdout=full) as b:
        b.wait_for("ODK-5001")
        host, port = b.lines("ODK-5001")[0]["address"].rsplit(":", 1)
        alive((host, int(port)))
        check(b.stop() == 0, "a clean stop")

    def close_all():
        for fd in (0, 1):
            os.close(fd)

    with Broker(folder, stdout=None, preexec_fn=close_all) as b:
        host, port = b.wait_for("ODK-5001")[0]["address"].rsplit(":", 1)
        for fd in (0, 1):
            at = os.readlink(f"/proc/{b.process.pid}/fd/{fd}")
            check(at == "/dev/null", f"descriptor {fd} is {at}, where prints would go")
        alive((host, int(port)))
        check(b.stop() == 0, "a clean stop")
    text = refused(folder, "--set", "a." + "b" * (127 * 1024) + "=1")
    check(len(text) < 4096 and "ODK-5117" in text, "a huge argument is answered with a short line")


def limits_107(folder):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    with Broker(folder, preexec_fn=few) as b:
        b.ready()
        held = []
        try:
            deadline = time.monotonic() + DEADLINE
            while not b.lines("ODK-1008"):
                check(time.monotonic() < deadline, "it never says that it is out of descriptors")
                held.append(socket.create_connection(b.address, DEADLINE))
                held = held[-200:]
                time.sleep(0.001)
        finally:
            for sock in held:
                sock.close()
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                alive(b.address)
                break
            except (Failed, OSError):
                check(time.monotonic() < deadline, "it serves again when descriptors are free")
                time.sleep(0.05)
        check(b.stop() == 0, "a clean stop")


def cgroup_107(folder):
    """In 64 MiB with nothing configured: a quarter is the budget, and more goes through than fits."""
    with cgroup.of(16 * MIB) as group:
        if group is None:
            print("cgroups: none can be made here, the limit is not forced, only watched")
        else:
            text = refused(folder, "--listen", "127.0.0.1:0", status=1, preexec_fn=lambda: cgroup.enter(group))
            has_problem(text, "ODK-5202", "too little memory for a broker")
            has(text, "has 16 MiB")
    with cgroup.of(64 * MIB) as group:
        options = [] if group else ["--memory", "16MiB"]
        with Broker(folder, *options, preexec_fn=group and (lambda: cgroup.enter(group))) as b:
            b.ready()
            server = "127.0.0.1:%d" % b.address[1]
            bench = ["bench", "pub", "full", "--records", "10000", "--size", "8000", "--timeout", "60s"]
            for command in (["topic", "create", "full", "--partitions", "4"], bench):
                subprocess.run([PROGRAM, *command, "-b", server], check=True, timeout=4 * DEADLINE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            info = subprocess.run([PROGRAM, "topic", "info", "full", "-o", "json", "-b", server], check=True,
                                  timeout=DEADLINE, stdout=subprocess.PIPE)
            ends = sum(p["end"] for p in json.loads(info.stdout)[0]["partitions"])
            check(ends >= 10000, f"{ends} records of 10,000")
            with open(f"/proc/{b.process.pid}/status") as status:
                peak = int(re.search(r"VmHWM:\s*(\d+)", status.read())[1]) * 1024
            check(peak < 64 * MIB, f"{peak / MIB:.0f} MiB resident")
            check(b.stop() == 0, "a clean stop")
    print(f"{10000 * 8000 / MIB:.0f} MiB went through {peak / MIB:.0f} MiB")


def signals_108(folder):
    for wait in (0, 0.001, 0.003, 0.01, 0.03):  # at the start, whenever that is
        with Broker(folder) as b:
            time.sleep(wait)
            status = b.stop()
            check(status in (0, -signal.SIGTERM), f"ended with {status} after {wait} s: {b.said()[-400:]}")
    with Broker(folder) as b:
        b.ready()
        for _ in range(5):
            b.process.send_signal(signal.SIGTERM)
        check(b.ended() == 0, "told again and again it stops as it does when told once")
        check(len(b.lines("ODK-5002")) == 1, "and says so once")
    with Broker(folder) as b:
        b.ready()
        b.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        b.process.send_signal(signal.SIGCONT)
        alive(b.address)
        check(b.stop(signal.SIGINT) == 0, "Ctrl-C is a clean stop")


def locale_109(folder):
    env = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": ":/no/such/zone", "KAFKA_LISTENERS": "plaintext://127.0.0.1:0",
           "KAFKA_MIN_INSYNC_REPLICAS": "1", "KAFKA_LOG_DIRS": os.path.join(folder, "data")}
    with Broker(folder, env=env, data=False, listen=False) as b:
        b.ready()
        check(describe(b.address, "listeners")[0] == "plaintext://127.0.0.1:0", "the dotless i of Turkish is no matter")
        check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", b.lines("ODK-5001")[0]["time"]), "times are UTC")
        check(b.stop() == 0, "a clean stop")


def commands_106_109(folder):
    """The same surroundings for commands that ask a broker: closed files, huge words, a Turkish locale."""

    def command(*words, closed=(), env=None):
        def close():
            for fd in closed:
                os.close(fd)

        done = subprocess.run([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(env),
                              timeout=DEADLINE, preexec_fn=close)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    with Broker(folder, command="dev") as b:
        b.ready()
        at = ["-b", "127.0.0.1:%d" % b.address[1]]
        check(command("topic", "create", "ordini", *at)[0] == 0, "a topic is made")
        status, _, said = command("topic", "ls", *at, closed=(1,))
        check(status == 1, f"no output to write to: status {status}")
        has_problem(said, "ODK-6001", "standard output could not be written")
        check(command("topic", "ls", *at, closed=(0, 1, 2))[0] == 1, "nor anybody to tell")
        status, listed, _ = command("topic", "ls", *at, closed=(0,))
        check(status == 0 and "ordini" in listed, "no input is needed to list")
        status, _, said = command("pub", "ordini", *at, closed=(0,))
        check(status == 0 and "0 records" in said + _, f"no input is an empty one: {status} {said}")
        for words, codes in ((["topic", "info"], (1, 3)), (["group", "info"], (1, 3)), (["topic", "create"], (1,)), ([], (2,))):
            status, _, said = command(*words, "x" * (127 * 1024), *(at if words else []))
            check(status in codes and len(said) < 2048, f"{words} and a word of 127 KiB: {status}, {len(said)} bytes")
            check(said.startswith("error ODK-60"), f"{words} and a word of 127 KiB: {said[:200]}")
        turkish = {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": ":/no/such/zone"}
        for words in (["topic", "info", "ordini", "-o", "json"], ["TOPIC", "LIST"], ["topic", "info", "ORDINI"]):
            check(command(*words, *at, env=turkish) == command(*words, *at), f"{words} is another in Turkish")
        check(b.stop() == 0, "a clean stop")


# ---- odradek dev --------------------------------------------------------------------------------


def dev(folder):
    best = None
    for tries in range(1, 51):  # a machine that has other things to do may be slow for a while
        before = time.monotonic()
        with Broker(folder, command="dev") as b:
            b.ready()
            call(b.address, 18, 0, b"")
            ms = (time.monotonic() - before) * 1000
            best = ms if best is None else min(best, ms)
            check(b.stop() == 0, "a clean stop")
        if tries >= 5 and best <= DEV_MS:
            break
    print(f"odradek dev answers {best:.1f} ms after its start, the best of {tries}")
    check(best <= DEV_MS, f"it takes {best:.1f} ms to answer ApiVersions, {DEV_MS} is the goal")
    check(os.listdir(folder) == [], f"nothing is on disk: {os.listdir(folder)}")

    port_file = os.path.join(folder, "port")
    with Broker(folder, "--port-file", port_file, "--until-eof", command="dev", stdin=subprocess.PIPE) as b:
        b.ready()
        deadline = time.monotonic() + DEADLINE
        while not os.path.exists(port_file):
            check(time.monotonic() < deadline, "no port file")
            time.sleep(0.01)
        with open(port_file) as file:
            check(file.read() == "127.0.0.1:%d\n" % b.address[1], "the port file names the address")
        server = "127.0.0.1:%d" % b.address[1]
        subprocess.run([PROGRAM, "pub", "made-on-first-use", "hello", "-b", server], check=True, timeout=DEADLINE,
                       stdout=subprocess.DEVNULL)
        read = subprocess.run([PROGRAM, "tail", "made-on-first-use", "--from", "start", "-n", "1", "-b", server],
                              check=True, timeout=DEADLINE, stdout=subprocess.PIPE)
        check(read.stdout == b"hello\n", f"what was produced is read: {read.stdout}")
        b.process.stdin.write(b"whatever comes is not looked at\n" * 10000)
        b.process.stdin.flush()
        alive(b.address)
        b.process.stdin.close()
        check(b.ended() == 0, "it stops when its input ends")

    with Broker(folder, "--port-file", os.path.join(folder, "no", "port"), command="dev") as b:
        check(b.ended() == 1, "a port file that cannot be written ends it")
        has_problem(b.said(), "ODK-5204", "port file cannot be written")


def dev_with_a_process(folder):
    """--parent PID: whoever it is, when it ends the broker does, also when it had ended before."""
    somebody = subprocess.Popen(["sleep", "1000"])
    try:
        with Broker(folder, "--parent", str(somebody.pid), command="dev") as b:
            b.ready()
            alive(b.address)
            somebody.kill()  # and not waited for: it is a zombie
            check(b.ended() == 0, "it stops when the process is gone")
    finally:
        somebody.kill()
        somebody.wait()
    with Broker(folder, "--parent", str(somebody.pid), command="dev") as b:
        check(b.ended() == 0, "it stops when the process was gone before")
    for pid in ("0", "-1", "me", "99999999999", ""):
        with Broker(folder, "--parent", pid, command="dev") as b:
            check(b.ended() == 2, "it is no process id")
            has_problem(b.said(), "ODK-5204", "is not a process id")


def dev_with_its_parent(folder):
    port_file = os.path.join(folder, "port")
    parent = subprocess.Popen(
        ["sh", "-c", '"$@" & wait', "sh", PROGRAM, "dev", "--listen", "127.0.0.1:0", "--with-parent", "--port-file", port_file],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + DEADLINE
        while not os.path.exists(port_file):
            check(time.monotonic() < deadline, "no port file")
            time.sleep(0.01)
    finally:
        parent.kill()
        parent.wait()
    # Its end of the pipe is held by the broker alone now.
    while select.select([parent.stdout], [], [], DEADLINE)[0]:
        if not os.read(parent.stdout.fileno(), 4096):
            parent.stdout.close()
            return
    raise Failed("it goes on without the process that started it")
