"""The records every client writes, and the check that what was read back is exactly them.

Record i of a run is a function of (shape, seed, i), written once per language: here, in
rdkafka_client.c and in go/main.go. It has keys and values that are absent, empty, text and bytes,
and headers that are absent, empty, null and repeated. Shapes say what a client can express:

  full   everything, in partition i % partitions, with timestamp base + i
  bytes  the same but for what kafka-python refuses to send: null headers, null key with null value
  line   what Java's ConsoleProducer can read from a line of text; it picks the partitions itself
  kcat   what kcat can read from a line: empty is null, and all records have the same headers

A consumer leaves a dump, a file of records in the order it got them, big-endian:

  partition i32, offset i64, timestamp i64, key, value, header count i32, (name, value) of each

where key, value and names are a length i32 (-1: null) and bytes.
"""

import collections
import struct

Record = collections.namedtuple("Record", "partition offset timestamp key value headers")


def filler(i, shape):
    """Every second record has bytes that do not compress, the others an alphabet that does."""
    length = i * 7919 % 200
    if i % 2 == 0:
        return bytes(97 + (i + j) % 26 for j in range(length))
    state = (i * 2654435761 + 1) & 0xFFFFFFFF
    out = bytearray()
    for _ in range(length):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        if shape in ("full", "bytes"):
            out.append(0x80 | state >> 24 & 0x7F)
        else:
            out += chr(0xC0 + (state >> 24 & 0x3F)).encode()
    return bytes(out)


def make(shape, seed, i):
    """(key, value, headers) of record i; headers is a tuple of (name, value)."""
    key = None if i % 7 == 3 else b"" if i % 17 == 9 else b"key-%d-%d" % (seed, i)
    value = (
        None
        if i % 11 == 5
        else b"" if i % 13 == 6 else b"value-%d-%d-" % (seed, i) + filler(i, shape)
    )
    if shape == "kcat":
        return key or None, value or None, (("h", b"kcat"), ("seed", b"%d" % seed))
    if shape == "bytes" and key is None and value is None:
        value = b""
    headers = []
    if i % 5 != 0:
        headers += [("h", b"%d" % i), ("seed", b"%d" % seed)]
        if i % 3 == 0:
            headers.append(("empty", b""))
        if i % 4 == 1 and shape != "bytes":
            headers.append(("null", None))
        if i % 10 == 7:
            headers.append(("h", b"again"))
    return key, value, tuple(headers)


def write_dump(file, record):
    """Append one record to a dump; used by the clients written in Python."""

    def text(data):
        return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data

    file.write(
        struct.pack(">iqq", record.partition, record.offset, record.timestamp)
        + text(record.key)
        + text(record.value)
        + struct.pack(">i", len(record.headers))
        + b"".join(text(name.encode()) + text(value) for name, value in record.headers)
    )


def read_dump(path):
    data = open(path, "rb").read()
    position = 0

    def integer():
        nonlocal position
        position += 4
        return struct.unpack_from(">i", data, position - 4)[0]

    def text():
        nonlocal position
        length = integer()
        if length < 0:
            return None
        position += length
        return data[position - length : position]

    while position < len(data):
        partition, offset, timestamp = struct.unpack_from(">iqq", data, position)
        position += 20
        key, value = text(), text()
        headers = tuple((text().decode(), text()) for _ in range(integer()))
        yield Record(partition, offset, timestamp, key, value, headers)


def show(content):
    key, value, headers = content
    cut = value if value is None or len(value) < 40 else value[:40] + b"..."
    return f"(key {key!r}, value {cut!r}, headers {headers!r})"


def verify(path, shape, seed, count, partitions, base_ms, exact=True):
    """Why the dump is not what was produced, or None. exact=False lets records come twice."""
    by_partition = collections.defaultdict(list)
    for record in read_dump(path):
        by_partition[record.partition].append(record)
    for partition, records in by_partition.items():
        for expected, record in enumerate(records):
            if record.offset != expected:
                return f"partition {partition}: offset {record.offset} where {expected} was due"
    total = sum(len(records) for records in by_partition.values())
    if exact and total != count:
        return f"{total} records, not {count}"
    if shape == "line":
        return _verify_anywhere(by_partition, shape, seed, count, exact)
    for partition in range(partitions):
        wanted = range(partition, count, partitions)
        why = _verify_partition(by_partition[partition], wanted, shape, seed, base_ms, exact)
        if why:
            return f"partition {partition}: {why}"
    return None


def _verify_partition(records, wanted, shape, seed, base_ms, exact):
    if exact:
        if len(records) != len(wanted):
            return f"{len(records)} records, not {len(wanted)}"
        for record, i in zip(records, wanted):
            content = record[3:]
            if content != make(shape, seed, i):
                wanted_content = show(make(shape, seed, i))
                return (
                    f"offset {record.offset} has {show(content)}, not record {i} {wanted_content}"
                )
            if shape in ("full", "bytes") and record.timestamp != base_ms + i:
                return f"offset {record.offset} has timestamp {record.timestamp}, not {base_ms + i}"
        return None
    have = {record[3:] for record in records}
    for i in wanted:
        if make(shape, seed, i) not in have:
            return f"record {i} is missing"
    return None


def _verify_anywhere(by_partition, shape, seed, count, exact):
    """The client chose the partitions: all records are there, each partition in rising order."""
    numbers = collections.defaultdict(list)
    for i in range(count):
        numbers[make(shape, seed, i)].append(i)
    seen = collections.Counter()
    for partition, records in by_partition.items():
        last = -1
        for record in records:
            content = record[3:]
            if content not in numbers:
                return f"[{partition}] offset {record.offset}: {show(content)} was never produced"
            seen[content] += 1
            if exact and len(numbers[content]) == 1:
                if numbers[content][0] <= last:
                    number = numbers[content][0]
                    return f"[{partition}] offset {record.offset}: record {number} after {last}"
                last = numbers[content][0]
    for content, wanted in numbers.items():
        if seen[content] < len(wanted) or (exact and seen[content] != len(wanted)):
            return f"{show(content)} is there {seen[content]} times, not {len(wanted)}"
    return None


def check_the_check(path):
    """Dumps with one fault each must be found wrong, one without must not. path is scratch."""
    seed, count, partitions, base_ms = 3, 400, 2, 1000

    def dump(shape, change):
        lists = [[], []]
        for i in range(count):
            lists[i % partitions].append((base_ms + i, *make(shape, seed, i)))
        change(lists[1])
        with open(path, "wb") as file:
            for partition, contents in enumerate(lists):
                for offset, content in enumerate(contents):
                    write_dump(file, Record(partition, offset, *content))
        return verify(path, shape, seed, count, partitions, base_ms)

    def alter(place, content):
        return lambda contents: contents.__setitem__(place, content(*contents[place]))

    changes = {
        "a lost record": lambda contents: contents.pop(50),
        "a record twice": lambda contents: contents.insert(60, contents[59]),
        "two records exchanged": lambda contents: contents.insert(70, contents.pop(72)),
        "one lost, another twice": lambda contents: contents.__setitem__(80, contents[81]),
        "another key": alter(90, lambda time, key, value, headers: (time, b"x", value, headers)),
        "a null value now empty": alter(
            2, lambda time, key, value, headers: (time, key, b"", headers)
        ),
        "a header less": alter(
            99, lambda time, key, value, headers: (time, key, value, headers[1:])
        ),
    }
    for shape in ("full", "bytes", "line", "kcat"):
        why = dump(shape, lambda contents: None)
        if why is not None:
            return f"{shape}: a good dump is called wrong: {why}"
        for name, change in changes.items():
            if dump(shape, change) is None:
                return f"{shape}: {name} is not noticed"
    later = alter(95, lambda time, key, value, headers: (time + 1, key, value, headers))
    return None if dump("full", later) else "full: another timestamp is not noticed"
