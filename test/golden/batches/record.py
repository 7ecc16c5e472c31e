#!/usr/bin/env python3
"""Records the batches of this folder: every client of test/compat writes a few records with every codec
to an Apache Kafka node, and the first batch of each topic is taken from the node's log, which keeps a
batch as the client sent it (but for base offset and leader epoch, put back to 0 and -1 here).

    python3 test/golden/batches/record.py [CLIENT...]

Run by hand, when a client is added or changes what it writes. Needs what test/compat needs for all of
its clients and for kafka_node.py. FILE.bin is a run of frames (length, i32 big-endian, and the batch),
one per codec; then write FILE.text with Kafka's own reading (README.md says how).
"""

import importlib.machinery
import importlib.util
import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COMPAT = os.path.join(HERE, "..", "..", "compat")
sys.path.insert(0, COMPAT)
import harness
import kafka_node

COUNT = 12
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BASE_MS = 1700000000000


def compat_run():
    """test/compat/run as a module: it knows how each client is called."""
    loader = importlib.machinery.SourceFileLoader("compat_run", os.path.join(COMPAT, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compat_run", loader))
    loader.exec_module(module)
    return module


def first_batch(node, topic):
    path = os.path.join(node.data, "logs", f"{topic}-0", "00000000000000000000.log")
    with open(path, "rb") as log:
        data = log.read()
    length = struct.unpack(">i", data[8:12])[0]
    batch = bytearray(data[:12 + length])
    batch[0:8] = bytes(8)
    batch[12:16] = b"\xff\xff\xff\xff"
    return bytes(batch)


def record(node, client):
    frames = []
    for codec in CODECS:
        topic = f"{client.name}-{codec}"
        harness.create_topics(node, f"{topic}:1")
        subprocess.run([*client.program, "produce", "--brokers", node.address, "--topic", topic,
                        "--partitions", "1", "--count", str(COUNT), "--codec", codec,
                        "--idempotent", "yes", "--acks", "-1", "--seed", "1",
                        "--base-ms", str(BASE_MS)],
                       check=True, timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        frames.append(first_batch(node, topic))
    with open(os.path.join(HERE, f"{client.name}.bin"), "wb") as out:
        for frame in frames:
            out.write(struct.pack(">i", len(frame)) + frame)
    print(client.name, [len(frame) for frame in frames], flush=True)


def main():
    clients = [c for c in compat_run().CLIENTS if not sys.argv[1:] or c.name in sys.argv[1:]]
    with kafka_node.KafkaNode("golden") as node:
        for client in clients:
            client.prepare()
            if client.missing:
                print(client.name, "is missing:", client.missing)
            else:
                record(node, client)


if __name__ == "__main__":
    main()
