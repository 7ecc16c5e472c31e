"""A Kafka client of a few requests, so that the test knows every byte: which batch was acknowledged
at which offset of which partition, and what is read there later.

A batch has one record. Batches are made from a number, and made once; offsets stand outside their
CRC, so what is stored is the batch that was sent but for its first 16 bytes.
"""

import collections
import socket
import struct
import time

OFFSET_OUT_OF_RANGE = 1
KAFKA_STORAGE_ERROR = 56
EARLIEST, LATEST = -2, -1
CHANGED_BYTES = 16  # base offset, length, leader epoch: the broker sets the first and the last


class Refused(Exception):
    """An answer with an error code."""

    def __init__(self, what, code):
        super().__init__(f"{what} answered error {code}")
        self.code = code


# ------------------------------------------------------------------------------
# Batches


def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def batch(number, size, timestamp_ms):
    """A batch of one record; its value begins with the number and does not compress by chance."""
    value = (struct.pack(">I", number) * (size // 4 + 1))[:size]
    record = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    record = varint(len(record)) + record
    covered = (
        struct.pack(">hiqqqhii", 0, 0, timestamp_ms, timestamp_ms, -1, -1, -1, 1) + record
    )
    tail = struct.pack(">ibI", -1, 2, crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(tail)) + tail


def batches(size, count=32):
    now_ms = int(time.time() * 1000)
    return [batch(number, size, now_ms) for number in range(count)]


# ------------------------------------------------------------------------------
# Requests


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


def array(parts):
    return struct.pack(">i", len(parts)) + b"".join(parts)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def text(self):
        size = self.take("h")
        self.at += max(size, 0)
        return None if size < 0 else bytes(self.data[self.at - size : self.at]).decode()

    def each(self):
        return range(self.take("i"))


class Client:
    """One connection. Requests may be sent ahead; answers come in their order."""

    def __init__(self, address, timeout=30):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def send(self, key, version, *parts):
        self.correlation += 1
        head = struct.pack(">hhih", key, version, self.correlation, 5) + b"space"
        size = len(head) + sum(map(len, parts))
        left = [memoryview(part) for part in (struct.pack(">i", size) + head, *parts)]
        while left:
            sent = self.socket.sendmsg(left[:512])
            while left and sent >= len(left[0]):
                sent -= len(left.pop(0))
            if left:
                left[0] = left[0][sent:]

    def exactly(self, size):
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self.socket.recv_into(view)
            if got == 0:
                raise ConnectionError("the broker closed the connection")
            view = view[got:]
        return data

    def receive(self):
        (size,) = struct.unpack(">i", self.exactly(4))
        reader = Reader(memoryview(self.exactly(size)))
        reader.take("i")
        return reader

    def call(self, key, version, *parts):
        self.send(key, version, *parts)
        return self.receive()

    def create_topic(self, name, partitions, **configs):
        rows = [text(key.replace("_", ".")) + text(str(value)) for key, value in configs.items()]
        topic = text(name) + struct.pack(">ih", partitions, 1) + array([]) + array(rows)
        answer = self.call(19, 2, array([topic]), struct.pack(">i?", 30000, False))
        answer.take("ii")
        answer.text()
        expect(f"CreateTopics of {name}", answer.take("h"))

    def delete_topic(self, name):
        answer = self.call(20, 1, array([text(name)]), struct.pack(">i", 30000))
        answer.take("ii")
        answer.text()
        expect(f"DeleteTopics of {name}", answer.take("h"))

    def delete_records(self, topic, offsets):
        """Everything below offsets[partition]; the new starts."""
        rows = [struct.pack(">iq", *row) for row in enumerate(offsets)]
        answer = self.call(21, 1, array([text(topic) + array(rows)]), struct.pack(">i", 30000))
        answer.take("ii")
        answer.text()
        starts = [0] * len(offsets)
        for _ in answer.each():
            partition, starts[partition], code = answer.take("iqh")
            expect(f"DeleteRecords of {topic}", code)
        return starts

    def offsets(self, topic, partitions, which):
        rows = [struct.pack(">iq", partition, which) for partition in range(partitions)]
        answer = self.call(2, 2, struct.pack(">ib", -1, 0), array([text(topic) + array(rows)]))
        answer.take("ii")
        answer.text()
        found = [0] * partitions
        for _ in answer.each():
            partition, code, _time, found[partition] = answer.take("ihqq")
            expect(f"ListOffsets of {topic}", code)
        return found

    def stored_bytes(self, topic):
        """What DescribeLogDirs says of the topic."""
        answer = self.call(35, 1, struct.pack(">i", -1))
        answer.take("i")
        total = 0
        for _ in answer.each():
            expect("DescribeLogDirs", answer.take("h"))
            answer.text()
            for _ in answer.each():
                name = answer.text()
                for _ in answer.each():
                    _partition, size, _lag, _future = answer.take("iqq?")
                    total += size if name == topic else 0
        return total

    def commit(self, group, topic, offset):
        row = struct.pack(">iq", 0, offset) + text("")
        head = text(group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1)
        answer = self.call(8, 2, head, array([text(topic) + array([row])]))
        answer.take("i")
        answer.text()
        expect(f"OffsetCommit of {group}", answer.take("iih")[2])

    def committed(self, group, topic):
        answer = self.call(9, 1, text(group), array([text(topic) + array([struct.pack(">i", 0)])]))
        answer.take("i")
        answer.text()
        _count, _partition, offset = answer.take("iiq")
        answer.text()
        expect(f"OffsetFetch of {group}", answer.take("h"))
        return offset

    def find_coordinator(self, group):
        answer = self.call(10, 1, text(group), struct.pack(">b", 0))
        answer.take("i")
        expect(f"FindCoordinator of {group}", answer.take("h"))

    def fetch(self, topic, partition, offset, size=4 << 20):
        """Error code, and (base offset, batch without its first bytes) of the whole batches."""
        row = struct.pack(">iqi", partition, offset, size)
        head = struct.pack(">iiiib", -1, 500, 1, size, 0)
        answer = self.call(1, 4, head, array([text(topic) + array([row])]))
        answer.take("ii")
        answer.text()
        _count, _partition, code, _high, _stable, aborted = answer.take("iihqqi")
        answer.at += 16 * max(aborted, 0)
        end = answer.take("i") + answer.at
        found = []
        while answer.at + 61 <= end:
            base, length = struct.unpack_from(">qi", answer.data, answer.at)
            if answer.at + 12 + length > end:
                break
            found.append((base, answer.data[answer.at + CHANGED_BYTES : answer.at + 12 + length]))
            answer.at += 12 + length
        return code, found


def expect(what, code):
    if code != 0:
        raise Refused(what, code)


# ------------------------------------------------------------------------------
# A topic whose every batch is known


class Ledger:
    """What of a topic was acknowledged: for each offset the number of its batch, 255 for unknown."""

    def __init__(self, topic, partitions, size):
        self.topic, self.partitions = topic, partitions
        self.batches = batches(size)
        self.acked = [bytearray() for _ in range(partitions)]
        self.acked_bytes = 0
        self.turn = 0

    def note(self, partition, offset, number):
        acked = self.acked[partition]
        acked.extend(b"\xff" * (offset + 1 - len(acked)))
        acked[offset] = number
        self.acked_bytes += len(self.batches[number])

    def send(self, client, width):
        """One Produce with a batch for each of `width` partitions; returns what was sent."""
        sent = []
        parts = [struct.pack(">hhi", -1, -1, 30000) + struct.pack(">i", 1) + text(self.topic)]
        parts[0] += struct.pack(">i", width)
        for _ in range(width):
            partition = self.turn % self.partitions
            number = (self.turn * 7 + self.turn // self.partitions) % len(self.batches)
            self.turn += 1
            data = self.batches[number]
            parts.append(struct.pack(">ii", partition, len(data)))
            parts.append(data)
            sent.append((partition, number))
        client.send(0, 7, *parts)
        return dict(sent)

    def hear(self, client, sent):
        """Notes what an answer acknowledges; the error codes of the rest."""
        answer = client.receive()
        answer.take("i")
        answer.text()
        codes = []
        for _ in answer.each():
            partition, code, base, _time, _start = answer.take("ihqqq")
            if code == 0:
                self.note(partition, base, sent[partition])
            else:
                codes.append(code)
        return codes

    def produce(self, client, size, width=8, depth=4):
        """About so many bytes, all of which must be acknowledged."""
        produce_all(client, [self], size, width, depth)

    def verify(self, client, from_offsets=None, until=None):
        """Reads everything that is there; every acknowledged batch from the given offsets on must
        be. The number of batches read."""
        starts = client.offsets(self.topic, self.partitions, EARLIEST)
        ends = client.offsets(self.topic, self.partitions, LATEST)
        count = 0
        for partition in range(self.partitions):
            wanted = from_offsets[partition] if from_offsets else 0
            acked = self.acked[partition]
            if starts[partition] > wanted and len(acked) > wanted:
                raise AssertionError(
                    f"{self.topic}-{partition} begins at {starts[partition]}, not {wanted}"
                )
            if ends[partition] < len(acked):
                raise AssertionError(
                    f"{self.topic}-{partition} ends at {ends[partition]}, "
                    f"{len(acked)} were acknowledged"
                )
            count += self.verify_partition(client, partition, starts[partition], ends[partition])
        return count

    def verify_partition(self, client, partition, offset, end):
        acked = self.acked[partition]
        count = 0
        while offset < end:
            code, found = client.fetch(self.topic, partition, offset)
            expect(f"Fetch of {self.topic}-{partition} at {offset}", code)
            if not found:
                raise AssertionError(f"{self.topic}-{partition} has nothing at {offset} of {end}")
            for base, data in found:
                if base < offset:
                    continue
                if base != offset:
                    raise AssertionError(f"{self.topic}-{partition}: {base} follows {offset - 1}")
                known = acked[base] if base < len(acked) else 255
                if known != 255 and data != self.batches[known][CHANGED_BYTES:]:
                    raise AssertionError(f"{self.topic}-{partition}: other bytes at {base}")
                offset += 1
                count += 1
        return count


def produce_all(client, ledgers, size, width=8, depth=4):
    """So many bytes in all, the topics in turn, some requests ahead of the answers."""
    flying = collections.deque()
    sent = 0
    while sent < size or flying:
        if sent < size and len(flying) < depth:
            for ledger in ledgers:
                batch_of = ledger.send(client, min(width, ledger.partitions))
                flying.append((ledger, batch_of))
                sent += sum(len(ledger.batches[number]) for number in batch_of.values())
            continue
        ledger, batch_of = flying.popleft()
        for code in ledger.hear(client, batch_of):
            expect(f"Produce to {ledger.topic}", code)
