"""A bit of a cold pack changes on the disk while the broker runs: the scrubber names it within the
period it was told, exactly those offsets are refused from then on, everything else is served."""

import json
import os
import re
import struct
import subprocess
import time

import harness
import raw
from harness import check
from raw import Client, Ledger

MIB = 1 << 20
PERIOD_MS = 8000
STORAGE_ERROR = 56
SETTLE_SECONDS = 30
TRAILER = 64  # docs/internals/formats.md, "The pack"


def packs(broker):
    folder = os.path.join(broker.data, "packs")
    found = {}
    for name in os.listdir(folder):
        if re.fullmatch(r"[0-9a-f]{16}", name):
            try:
                found[os.path.join(folder, name)] = os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                pass  # rewritten meanwhile
    return found


def packs_at_rest(broker):
    """The packs, when for three seconds none was made or rewritten."""
    before, since = packs(broker), time.monotonic()
    deadline = since + SETTLE_SECONDS
    while not before or time.monotonic() - since < 3:
        check(time.monotonic() < deadline, f"packs do not come to rest: {before}")
        time.sleep(0.1)
        now = packs(broker)
        if now != before:
            before, since = now, time.monotonic()
    return before


def flip(path):
    """One bit in the middle of the largest part, the batches; where."""
    with open(path, "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - TRAILER + 4)
        (end_of_batches,) = struct.unpack("<I", file.read(4))
        at = (4096 + end_of_batches) // 2
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x20]))
        os.fsync(file.fileno())
    return at


def told(broker):
    """The lines about damage."""
    lines = []
    with open(broker.log_path, errors="replace") as log:
        for line in log:
            if "ODK-3010" in line or "ODK-3011" in line:
                lines.append(json.loads(line))
    return lines


def wait_told(broker, seconds):
    begun = time.monotonic()
    while not told(broker):
        check(
            time.monotonic() - begun < seconds,
            f"nothing was told within {seconds} s: {broker.log_tail()}",
        )
        time.sleep(0.05)
    return time.monotonic() - begun


def verify_around(client, ledger, line):
    """All but the offsets of the line; the number of batches read."""
    first, last = line["first_offset"], line["last_offset"]
    ends = client.offsets(ledger.topic, ledger.partitions, raw.LATEST)
    count = 0
    for partition in range(ledger.partitions):
        if partition != line["partition"]:
            count += ledger.verify_partition(client, partition, 0, ends[partition])
            continue
        for offset in (first, (first + last) // 2, last):
            code, found = client.fetch(ledger.topic, partition, offset)
            check(code == STORAGE_ERROR, f"Fetch at the damaged offset {offset} says {code}")
            check(not found, "damaged batches were given")
        offset = 0
        while offset < first:
            code, found = client.fetch(ledger.topic, partition, offset)
            raw.expect(f"Fetch at {offset}, before the damage", code)
            check(found, f"nothing at {offset}, the damage begins at {first}")
            for base, data in found:
                known = ledger.batches[ledger.acked[partition][base]]
                check(base == offset and data == known[raw.CHANGED_BYTES :], f"others at {offset}")
                offset += 1
                count += 1
        check(offset == first, f"batches up to {offset} were given, the damage begins at {first}")
        count += ledger.verify_partition(client, partition, last + 1, ends[partition])
    return count


def check_advice(broker, line):
    """The command that the line names finds the same, or of it the batch alone."""
    command = [harness.PROGRAM, "doctor", "--data", broker.data]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    name = os.path.basename(line["file"])
    check(name in said, f"the doctor does not say {name}: {harness.last_lines(said)}")
    place = re.escape(f"{line['topic']}-{line['partition']}, offset")
    found = re.search(place + r"s? (\d+)(?: to (\d+))?", said)
    check(found, f"the doctor does not name the place: {harness.last_lines(said)}")
    first = int(found.group(1))
    last = int(found.group(2) or first)
    inside = line["first_offset"] <= first <= last <= line["last_offset"]
    check(inside, f"the doctor says {found.group(0)}, told was {line}")
    check(done.returncode != 0, "the doctor finds everything in order")


def bit_rot():
    options = [f"odradek.scrub.period.ms={PERIOD_MS}", f"odradek.memory={64 * MIB}"]
    broker = harness.Odradek("rot", options=options)
    try:
        broker.start()
        with Client(broker.address) as client:
            client.create_topic("rot", 4)
            ledger = Ledger("rot", 4, 16 * 1024)
            ledger.produce(client, 96 * MIB)
            found = packs_at_rest(broker)
            check(not told(broker), f"damage before there was any: {told(broker)}")
            path = max(found, key=found.get)
            at = flip(path)
            seconds = wait_told(broker, PERIOD_MS / 1000)
            (line,) = told(broker)
            check(line["file"] == path, f"{path} was changed, told was {line}")
            check(line["topic"] == "rot", f"told was {line}")
            check(line["byte"] <= at < line["byte"] + 64 * 1024, f"byte {at}, told was {line}")
            check("odradek doctor --data" in line["text"], f"no advice: {line}")
            count = verify_around(client, ledger, line)
            refused = line["last_offset"] - line["first_offset"] + 1
            stored = sum(map(len, ledger.acked))
            check(count + refused == stored, f"{count} read, {refused} refused, {stored} stored")
        check(broker.stop() == 0, "the broker did not end well")
        check_advice(broker, line)
        counters = broker.final_counters()
        check(counters["log_scrub_damage_total"] == 1, f"{counters['log_scrub_damage_total']} told")
        passes = counters["log_scrub_passes_total"]
        check(passes > 0, "no pass was finished")
    finally:
        broker.destroy()
    return (
        f"told after {seconds:.1f} of {PERIOD_MS / 1000:.0f} s, {refused} batches refused, "
        f"{count} read; {passes} passes of {sum(found.values()) / MIB:.0f} MiB"
    )
