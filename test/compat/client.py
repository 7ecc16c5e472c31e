"""What the client programs written in Python share: their command line and the pace of a producer.

    produce --brokers B --topic T --partitions P --count N --codec C --idempotent yes|no --acks A
            --seed S --base-ms M [--pause]
    consume --brokers B --topic T --partitions P --out FILE
    version

With --pause a producer prints "half" once two fifths of the records are in, waits for a line on
stdin, and sends the rest at an easy pace over some seconds: the time in which the broker is killed.
At the end it prints "done N".
"""

import argparse
import sys
import time

PACE_STEPS = 100
PACE_STEP_SECONDS = 0.025


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["produce", "consume", "version"])
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--topic", default="compat")
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--idempotent", choices=["yes", "no"], default="yes")
    parser.add_argument("--acks", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base-ms", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--pause", action="store_true")
    return parser.parse_args()


def produce_at_pace(options, send, flush):
    """Call send(i) for every record; flush() returns when all sent so far are acknowledged."""
    first = options.count * 2 // 5 if options.pause else options.count
    for i in range(first):
        send(i)
    flush()
    if options.pause:
        print("half", flush=True)
        if not sys.stdin.readline():
            sys.exit("stdin ended where a line was due")
        step = -(-(options.count - first) // PACE_STEPS)
        for i in range(first, options.count):
            send(i)
            if (i - first) % step == 0:
                time.sleep(PACE_STEP_SECONDS)
        flush()
    print(f"done {options.count}", flush=True)
