"""A Fetch written by hand, for what no client shows: the codec that batches are stored with, and
(in test/limits) a consumer that stops reading in the middle of an answer.

Fetch v11 [KIP-392]: the last version before flexible encodings that names topics.
"""

import socket
import struct

VERSION = 11
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def request(topic, partitions, correlation, max_bytes, offset=0, max_wait_ms=500):
    """The frame of a Fetch for the given partition numbers, all from one offset."""
    body = struct.pack(">iiiibii", -1, max_wait_ms, 1, max_bytes, 0, 0, -1)
    body += struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic.encode()
    body += struct.pack(">i", len(partitions))
    for partition in partitions:
        body += struct.pack(">iiqqi", partition, -1, offset, -1, max_bytes)
    body += struct.pack(">i", 0) + struct.pack(">h", 0)
    client = b"raw-fetch"
    header = struct.pack(">hhih", 1, VERSION, correlation, len(client)) + client
    return struct.pack(">i", len(header) + len(body)) + header + body


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def receive(connection):
    def exactly(count):
        data = b""
        while len(data) < count:
            part = connection.recv(count - len(data))
            if not part:
                raise ConnectionError("the broker closed the connection of a Fetch")
            data += part
        return data

    (size,) = struct.unpack(">i", exactly(4))
    return exactly(size)


def records_of(answer):
    """The record bytes of an answer for one topic with one partition."""
    error, _session, topics = struct.unpack_from(">hii", answer, 8)
    if error or topics != 1:
        raise ConnectionError(f"Fetch answered error {error}, {topics} topics")
    (name,) = struct.unpack_from(">h", answer, 18)
    position = 20 + name + 4
    _partition, error = struct.unpack_from(">ih", answer, position)
    if error:
        raise ConnectionError(f"Fetch answered error {error} for the partition")
    position += 6 + 24
    (aborted,) = struct.unpack_from(">i", answer, position)
    position += 4 + max(aborted, 0) * 16 + 4
    (size,) = struct.unpack_from(">i", answer, position)
    return answer[position + 4 : position + 4 + max(size, 0)]


def stored_codecs(address, topic, partition):
    """How many batches of a partition are stored with which codec: {"zstd": 12}."""
    found = {}
    offset = 0
    with connect(address) as connection:
        while True:
            connection.sendall(request(topic, [partition], 1, 1 << 20, offset, max_wait_ms=0))
            data = records_of(receive(connection))
            position = 0
            while position + 61 <= len(data):
                base, size = struct.unpack_from(">qi", data, position)
                attributes, last = struct.unpack_from(">hi", data, position + 21)
                if position + 12 + size > len(data):
                    break
                codec = CODECS[attributes & 7]
                found[codec] = found.get(codec, 0) + 1
                offset = base + last + 1
                position += 12 + size
            if position == 0:
                return found
