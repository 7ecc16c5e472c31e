"""What the group members written in Python share: their command line and what they print (run)."""

import argparse
import sys
import threading


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--brokers")
    parser.add_argument("--topic")
    parser.add_argument("--group")
    parser.add_argument("--session-ms", type=int, default=2000)
    parser.add_argument("--assignor", default="")
    parser.add_argument("--instance", default="")
    parser.add_argument("--make", type=int, default=0)
    parser.add_argument("--partitions", type=int, default=1)
    return parser.parse_args()


CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def records(options):
    """What --make writes with each codec: as many of the same value to each partition."""
    for i in range(options.make * options.partitions):
        yield i % options.partitions, b"compressible " * 10


def say_created():
    """The topic was created by the client's own admin client."""
    print("created", flush=True)


def say_produced(codec):
    print("produced", codec, flush=True)


def listed(partitions):
    return ",".join(str(p) for p in sorted(partitions)) or "-"


def say_assigned(partitions, generation="-"):
    print("assigned", listed(partitions), generation, flush=True)


def say_revoked(partitions):
    print("revoked", listed(partitions), flush=True)


def say_got(partition, offset):
    print("got", partition, offset, flush=True)


def say_committed(partition, offset):
    print("committed", partition, offset, flush=True)


def stop_wanted():
    """An event that is set when a line, or the end, comes on stdin."""
    stopped = threading.Event()

    def wait():
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    return stopped
