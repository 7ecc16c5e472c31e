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
    return parser.parse_args()


def say_assigned(partitions):
    print("assigned", ",".join(str(p) for p in sorted(partitions)) or "-", flush=True)


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
