"""kcat and Java's console tools behind the same command line as the other clients of test/compat
(client.py), the tool's name first:  tool_client.py kcat produce ...

Producing, each tool gets its records as lines on its standard input, at the pace of client.py:
  kcat    one process per partition (kcat gives all records of a run the same headers, partition)
  java    one ConsoleProducer, which picks the partitions itself
Consuming, one process per partition prints lines or fields that are parsed into a dump:
  kcat    -f with lengths before the bytes
  java    ConsoleConsumer --partition P --offset earliest, tab separated
"""

import re
import subprocess
import sys
import time

import client
import harness
import records


def ends(options):
    """First and end offset of every partition, asked by the C client."""
    answer = harness.run(
        [
            harness.rdkafka_client(),
            "ends",
            "--brokers",
            options.brokers,
            "--topic",
            options.topic,
            "--partitions",
            str(options.partitions),
        ]
    )
    return [tuple(map(int, line.split()))[1:] for line in answer.stdout.splitlines()]


def produce_lines(options, processes, line_of):
    """Feed line_of(i) to process i % len(processes); the tools say nothing: ask for offsets."""
    sent = 0

    def send(i):
        nonlocal sent
        processes[i % len(processes)].stdin.write(line_of(i))
        sent += 1

    def flush():
        for process in processes:
            process.stdin.flush()
        if sent == options.count:
            for process in processes:
                process.stdin.close()
            for process in processes:
                if process.wait(120) != 0:
                    sys.exit(f"the tool's exit status is {process.returncode}")
            return
        deadline = time.monotonic() + 30
        while (
            sum(end for _, end in ends(options)) < sent * 4 // 5
        ):  # kcat reads its input in blocks
            if time.monotonic() > deadline:
                sys.exit("the first records were not stored within 30 s")
            for process in processes:
                if process.poll() is not None:
                    sys.exit(f"the tool ended early, exit status {process.returncode}")
            time.sleep(0.1)

    client.produce_at_pace(options, send, flush)


# ------------------------------------------------------------------------------
# kcat


def kcat_version():
    answer = subprocess.run(
        [harness.kcat_program(), "-V"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    found = re.search(r"Version (\S+) .*librdkafka (\S+)", answer.stdout.decode())
    return f"{found.group(1)} on librdkafka {found.group(2)}" if found else "unknown"


def kcat_produce(options):
    acks = [] if options.idempotent == "yes" else ["-X", f"acks={options.acks}"]
    idempotent = "true" if options.idempotent == "yes" else "false"
    processes = [
        subprocess.Popen(
            [
                harness.kcat_program(),
                "-P",
                "-q",
                "-E",
                "-u",
                "-b",
                options.brokers,
                "-t",
                options.topic,
                "-p",
                str(p),
                "-K",
                "\t",
                "-Z",
                "-z",
                options.codec,
                "-H",
                "h=kcat",
                "-H",
                f"seed={options.seed}",
                "-X",
                f"enable.idempotence={idempotent}",
                *acks,
                "-X",
                "linger.ms=5",
                "-X",
                "reconnect.backoff.max.ms=500",
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for p in range(options.partitions)
    ]

    def line_of(i):
        key, value, _ = records.make("kcat", options.seed, i)
        return (key or b"") + b"\t" + (value or b"") + b"\n"

    produce_lines(options, processes, line_of)


def kcat_consume(options):
    with open(options.out, "wb") as dump:
        for p, (first, end) in enumerate(ends(options)):
            if first == end:
                continue
            output = subprocess.run(
                [
                    harness.kcat_program(),
                    "-C",
                    "-q",
                    "-b",
                    options.brokers,
                    "-t",
                    options.topic,
                    "-p",
                    str(p),
                    "-o",
                    "beginning",
                    "-c",
                    str(end - first),
                    "-X",
                    "check.crcs=true",
                    "-f",
                    "%p %o %T %K %S\n%k%s\n%h\n",
                ],
                stdout=subprocess.PIPE,
                timeout=60,
            )
            if output.returncode != 0:
                sys.exit(f"kcat -C of partition {p}: exit status {output.returncode}")
            for record in kcat_records(output.stdout):
                records.write_dump(dump, record)


def kcat_records(data):
    position = 0
    while position < len(data):
        line_end = data.index(b"\n", position)
        partition, offset, timestamp, key_size, value_size = map(
            int, data[position:line_end].split()
        )
        position = line_end + 1
        key = data[position : position + key_size] if key_size >= 0 else None
        position += max(key_size, 0)
        value = data[position : position + value_size] if value_size >= 0 else None
        position += max(value_size, 0)
        line_end = data.index(b"\n", position + 1)
        pairs = data[position + 1 : line_end].decode()
        position = line_end + 1
        headers = tuple(header_of(pair, "=") for pair in pairs.split(",")) if pairs else ()
        yield records.Record(partition, offset, timestamp, key, value, headers)


def header_of(pair, separator):
    name, _, value = pair.partition(separator)
    return name, None if value == "NULL" else value.encode()


# ------------------------------------------------------------------------------
# Java


def java_produce(options):
    acks = [] if options.idempotent == "yes" else ["--command-property", f"acks={options.acks}"]
    idempotent = "true" if options.idempotent == "yes" else "false"
    properties = ["parse.key=true", "parse.headers=true", "null.marker=NULL"]
    process = subprocess.Popen(
        harness.java_command(
            "org.apache.kafka.tools.ConsoleProducer",
            "--bootstrap-server",
            options.brokers,
            "--topic",
            options.topic,
            "--compression-codec",
            options.codec,
            "--message-send-max-retries",
            "1000000",
            "--command-property",
            f"enable.idempotence={idempotent}",
            *acks,
            "--command-property",
            "linger.ms=5",
            *(part for text in properties for part in ("--reader-property", text)),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )

    def line_of(i):
        key, value, headers = records.make("line", options.seed, i)
        fields = [
            ",".join(
                name + ":" + ("NULL" if text is None else text.decode()) for name, text in headers
            )
            or "NULL"
        ]
        fields += ["NULL" if text is None else text.decode() for text in (key, value)]
        return "\t".join(fields).encode() + b"\n"

    produce_lines(options, [process], line_of)
    errors = [
        line
        for line in process.stderr.read().decode(errors="replace").splitlines()
        if "ERROR" in line or "Exception" in line
    ]
    if errors:
        sys.exit(errors[0])


def java_consume(options):
    properties = [
        "print.timestamp=true",
        "print.partition=true",
        "print.offset=true",
        "print.headers=true",
        "print.key=true",
        "print.value=true",
        "null.literal=NULL",
    ]
    running = []
    for p, (first, end) in enumerate(ends(options)):
        if first < end:
            running.append(
                (
                    p,
                    subprocess.Popen(
                        harness.java_command(
                            "org.apache.kafka.tools.consumer.ConsoleConsumer",
                            "--bootstrap-server",
                            options.brokers,
                            "--topic",
                            options.topic,
                            "--partition",
                            str(p),
                            "--offset",
                            "earliest",
                            "--max-messages",
                            str(end - first),
                            "--timeout-ms",
                            "30000",
                            *(
                                part
                                for text in properties
                                for part in ("--formatter-property", text)
                            ),
                        ),
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                    ),
                )
            )
    with open(options.out, "wb") as dump:
        for p, process in running:
            output, errors = process.communicate(timeout=90)
            if process.returncode != 0:
                sys.exit(
                    f"ConsoleConsumer of partition {p}: exit status {process.returncode}, "
                    + harness.last_lines(errors.decode(errors="replace"))
                )
            for line in output.split(b"\n")[:-1]:
                records.write_dump(dump, java_record(line))


def java_record(line):
    timestamp, partition, offset, headers, key, value = line.split(b"\t")
    pairs = headers.decode()
    return records.Record(
        int(partition.split(b":")[1]),
        int(offset.split(b":")[1]),
        int(timestamp.split(b":")[1]),
        None if key == b"NULL" else key,
        None if value == b"NULL" else value,
        () if pairs == "NO_HEADERS" else tuple(header_of(pair, ":") for pair in pairs.split(",")),
    )


def java_version():
    answer = harness.run(harness.java_command("org.apache.kafka.tools.TopicCommand", "--version"))
    runtime = subprocess.run(
        ["java", "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return f"{answer.stdout.split()[0]} on Java {runtime.stdout.split(chr(34))[1]}"


TOOLS = {
    "kcat": {
        "produce": kcat_produce,
        "consume": kcat_consume,
        "version": lambda _: print(kcat_version()),
    },
    "java": {
        "produce": java_produce,
        "consume": java_consume,
        "version": lambda _: print(java_version()),
    },
}


def main():
    tool = sys.argv.pop(1)
    options = client.parse()
    TOOLS[tool][options.command](options)


main()
