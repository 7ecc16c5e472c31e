"""What the cases of test/http share: a broker with an HTTP port, requests over raw sockets, /metrics
taken apart as strictly as Prometheus does, and batches with a timestamp per record."""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("compat", "space"):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))

import harness
import raw
from harness import Failed, check

HTTP = re.compile(r"HTTP http://(\S+)/ ")
TIMEOUT = 60


def new_broker(name, *options, **settings):
    return harness.Odradek(
        f"http-{name}", options=["odradek.http.listen=127.0.0.1:0", *options], **settings
    )


def started(broker):
    """Starts it, and finds its HTTP port in what it announced; None: it has none."""
    broker.start()
    found = HTTP.search(broker.announced)
    broker.http = found.group(1) if found else None
    return broker


def dial(broker, timeout=TIMEOUT):
    host, port = broker.http.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=timeout)


def read_all(connection):
    """Up to the end of the stream; a reset ends it too."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionError:
        pass
    return data


def talk(broker, request, timeout=TIMEOUT):
    """The bytes that answer the bytes of a request. What cannot be sent any more is not."""
    with dial(broker, timeout) as connection:
        try:
            connection.sendall(request)
        except ConnectionError:
            pass
        return read_all(connection)


class Answer:
    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        found = re.match(r"HTTP/1\.[01] (\d{3})", lines[0])
        check(found, f"no status line: {data[:200]!r}")
        self.status = int(found.group(1))
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.text = self.body.decode("utf-8", "replace")


def get(broker, path, method="GET", headers=(), host="localhost", timeout=TIMEOUT):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return Answer(talk(broker, "\r\n".join(lines).encode(), timeout))


def wait_for(what, look, timeout=TIMEOUT):
    """Looks until it returns something true."""
    end = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        check(time.monotonic() < end, f"after {timeout} s still not so: {what}")
        time.sleep(0.05)


# ------------------------------------------------------------------------------
# /metrics

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SUFFIXES = ("_bucket", "_sum", "_count")


def unescape(value):
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value)


def labels_of(text):
    found = {}
    at = 0
    while at < len(text):
        match = LABEL.match(text, at)
        check(match, f"labels that cannot be read: {text!r}")
        check(match[1] not in found, f"a label twice: {text!r}")
        found[match[1]] = unescape(match[2])
        at = match.end()
    return found


class Metrics:
    """Every sample by name and labels. What Prometheus would refuse, or take with a warning, is a
    failure: a sample outside its family, a family twice, a series twice."""

    def __init__(self, answer):
        check(answer.status == 200, f"/metrics answered {answer.status}: {answer.text[:200]}")
        kind = answer.headers["content-type"]
        check(kind == "text/plain; version=0.0.4; charset=utf-8", f"its type is {kind}")
        text = answer.body.decode("utf-8")  # strictly
        check(text.endswith("\n"), "the last line has no end")
        self.samples = {}
        self.kinds = {}
        self.helps = {}
        family = None
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                family, _, self.helps[line.split(" ")[2]] = line[7:].partition(" ")
                check(family not in self.kinds, f"{family} comes twice")
                continue
            if line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                check(name == family, f"TYPE of {name} in the family {family}")
                check(kind in ("gauge", "counter", "histogram"), f"{name} is a {kind}")
                self.kinds[name] = kind
                continue
            self.add(family, line)

    def add(self, family, line):
        name = NAME.match(line)
        check(name, f"a line without a name: {line!r}")
        rest = line[name.end() :]
        labels = {}
        if rest.startswith("{"):
            end = rest.rindex("}")
            labels = labels_of(rest[1:end])
            rest = rest[end + 1 :]
        name = name.group()
        own = name == family or (
            self.kinds[family] == "histogram" and name in [family + s for s in SUFFIXES]
        )
        check(own, f"{name} among the samples of {family}")
        key = (name, frozenset(labels.items()))
        check(key not in self.samples, f"a series twice: {line}")
        self.samples[key] = float(rest)

    def value(self, name, **labels):
        key = (name, frozenset((k, str(v)) for k, v in labels.items()))
        check(key in self.samples, f"no {name} {labels}: {self.of(name)}")
        return self.samples[key]

    def has(self, name, **labels):
        return (name, frozenset((k, str(v)) for k, v in labels.items())) in self.samples

    def of(self, name):
        return [(dict(labels), value) for (n, labels), value in self.samples.items() if n == name]


def metrics(broker):
    return Metrics(get(broker, "/metrics"))


# ------------------------------------------------------------------------------
# Kafka


def record(delta, time_delta, value):
    """A record without key and headers, with its length before it."""
    body = (
        b"\0"
        + raw.varint(time_delta)
        + raw.varint(delta)
        + raw.varint(-1)
        + raw.varint(len(value))
        + value
        + raw.varint(0)
    )
    return raw.varint(len(body)) + body


def batch_of(attributes, times_ms, records):
    """The batch around records that are packed as the attributes say."""
    covered = (
        struct.pack(
            ">hiqqqhii",
            attributes,
            len(times_ms) - 1,
            times_ms[0],
            max(times_ms),
            -1,
            -1,
            -1,
            len(times_ms),
        )
        + records
    )
    tail = struct.pack(">ibI", -1, 2, raw.crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(tail)) + tail


def batch(times_ms, compressed=False, size=40):
    """A batch with one record for each time."""
    records = b"".join(
        record(delta, time_ms - times_ms[0], os.urandom(size))
        for delta, time_ms in enumerate(times_ms)
    )
    if compressed:
        packer = zlib.compressobj(wbits=31)
        records = packer.compress(records) + packer.flush()
    return batch_of(1 if compressed else 0, times_ms, records)


def produce(client, topic, partition, records):
    """The base offset of a batch, once it is durable."""
    row = struct.pack(">ii", partition, len(records)) + records
    answer = client.call(
        0,
        7,
        struct.pack(">h", -1),
        struct.pack(">hi", -1, 30000),
        raw.array([raw.text(topic) + raw.array([row])]),
    )
    answer.take("i")
    answer.text()
    answer.take("i")
    _partition, code, base = answer.take("ihq")
    raw.expect(f"Produce to {topic}", code)
    return base


def commit(client, group, topic, offsets):
    """Commits offsets[partition] for a group without members."""
    rows = [struct.pack(">iq", *row) + raw.text("") for row in offsets.items()]
    body = group if isinstance(group, bytes) else group.encode()
    head = struct.pack(">h", len(body)) + body + struct.pack(">i", -1) + raw.text("")

    def attempt():
        answer = client.call(
            8, 2, head + struct.pack(">q", -1), raw.array([raw.text(topic) + raw.array(rows)])
        )
        answer.take("i")
        answer.text()
        codes = {answer.take("ih")[1] for _ in answer.each()}
        if codes & {14, 15, 16}:  # the coordinator is not ready, or was never asked for
            client.call(10, 0, struct.pack(">h", len(body)) + body)
            return False
        for code in codes:
            raw.expect(f"OffsetCommit of {group}", code)
        return True

    wait_for("the group coordinator takes commits", attempt)


def odradek(broker, *words):
    """What a client command prints with -o json."""
    done = subprocess.run(
        [harness.PROGRAM, *words, "-b", broker.address, "-o", "json"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    check(done.returncode == 0, f"odradek {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout)


def now_ms():
    return int(time.time() * 1000)


__all__ = ["Failed", "check", "harness", "raw"]
