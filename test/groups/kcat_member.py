"""A group member that is kcat: its lines put into the words of run.

kcat commits by itself, every 200 ms and at its end, and tells its partitions on stderr. It ends
when all brokers are gone; it is then started again, as whoever keeps a service running would."""

import os
import re
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat"))
import harness
import member


def tell_partitions(errors):
    for line in errors:
        if "rebalanced" not in line:
            sys.stderr.write(line)
        elif "assigned" in line:
            member.say_assigned(int(p) for p in re.findall(r"\[(\d+)\]", line))


def consume(command, stopped):
    """One kcat, until it ends or is to leave."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    threading.Thread(target=tell_partitions, args=(process.stderr,), daemon=True).start()

    def leave():
        stopped.wait()
        process.send_signal(signal.SIGINT)

    threading.Thread(target=leave, daemon=True).start()
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
    process.wait()


def make(options):
    """kcat has no admin client: the broker creates the topic at its first Metadata request."""
    features = harness.run([harness.kcat_program(), "-V"]).stdout
    for codec in member.CODECS:
        if codec != "none" and not re.search(rf"\b{codec}\b", features):
            continue
        values = {}
        for partition, value in member.records(options):
            values.setdefault(partition, []).append(value.decode())
        for partition, lines in values.items():
            harness.run(
                [
                    *(harness.kcat_program(), "-P", "-q", "-b", options.brokers, "-z", codec),
                    *("-t", options.topic, "-p", str(partition)),
                ],
                input="\n".join(lines) + "\n",
            )
        member.say_produced(codec)


def main():
    options = member.parse()
    if options.version:
        text = harness.run([harness.kcat_program(), "-V"]).stdout
        print(re.search(r"Version (.*)", text).group(1))
        return
    if options.make:
        make(options)
        return
    settings = {
        "session.timeout.ms": options.session_ms,
        "heartbeat.interval.ms": 300,
        "auto.offset.reset": "earliest",
        "auto.commit.interval.ms": 200,
        "fetch.wait.max.ms": 100,
        "reconnect.backoff.max.ms": 500,
    }
    command = [
        *(harness.kcat_program(), "-b", options.brokers, "-f", "got %p %o\n", "-u"),
        *(part for name, value in settings.items() for part in ("-X", f"{name}={value}")),
        *("-G", options.group, options.topic),
    ]
    stopped = member.stop_wanted()
    while not stopped.is_set():
        consume(command, stopped)
        stopped.wait(0.3)
    print("left", flush=True)


main()
