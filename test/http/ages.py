"""The age of the oldest unread record against the truth, for every codec: batches that are large,
that expand a lot, whose times do not rise evenly, or not at all. Offsets are committed at their
beginnings, in their middles and at their ends.

The codecs are the C libraries that the broker is linked with, through ctypes: Debian's Python has
gzip only.
"""

import ctypes
import os
import struct
import zlib

from web import batch_of, check, commit, metrics, now_ms, produce, raw, record

AGE_MS = 7000 * 1000  # of the oldest
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def gzip(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def snappy(data):
    library = ctypes.CDLL("libsnappy.so.1")
    library.snappy_max_compressed_length.restype = ctypes.c_size_t
    size = ctypes.c_size_t(library.snappy_max_compressed_length(ctypes.c_size_t(len(data))))
    out = ctypes.create_string_buffer(size.value)
    code = library.snappy_compress(data, ctypes.c_size_t(len(data)), out, ctypes.byref(size))
    check(code == 0, f"snappy_compress: {code}")
    return out.raw[: size.value]


def lz4(data):
    """One frame of blocks that do not refer to each other, as Java reads it."""
    library = ctypes.CDLL("liblz4.so.1")
    independent = 1
    preferences = struct.pack("<IIIIQIIiI12x", 0, independent, 0, 0, 0, 0, 0, 0, 0)
    library.LZ4F_compressFrameBound.restype = ctypes.c_size_t
    library.LZ4F_compressFrame.restype = ctypes.c_size_t
    cap = library.LZ4F_compressFrameBound(ctypes.c_size_t(len(data)), preferences)
    out = ctypes.create_string_buffer(cap)
    size = library.LZ4F_compressFrame(
        out, ctypes.c_size_t(cap), data, ctypes.c_size_t(len(data)), preferences
    )
    check(size <= cap, f"LZ4F_compressFrame: {size}")
    return out.raw[:size]


def zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = ctypes.c_size_t
    library.ZSTD_compress.restype = ctypes.c_size_t
    cap = library.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    out = ctypes.create_string_buffer(cap)
    size = library.ZSTD_compress(
        out, ctypes.c_size_t(cap), data, ctypes.c_size_t(len(data)), ctypes.c_int(1)
    )
    check(size <= cap, f"ZSTD_compress: {size}")
    return out.raw[:size]


PACK = {"none": lambda data: data, "gzip": gzip, "snappy": snappy, "lz4": lz4, "zstd": zstd}


def timed(codec, times_ms, values):
    """A batch with a record for each time, and how many bytes its records have unpacked."""
    records = b"".join(
        record(index, time_ms - times_ms[0], values[index % len(values)])
        for index, time_ms in enumerate(times_ms)
    )
    return batch_of(CODECS.index(codec), times_ms, PACK[codec](records)), len(records)


def shapes(base_ms):
    """Name -> times of the records, and values to take in turn."""
    start = base_ms - AGE_MS
    text = [b"the same words again and again, number %d " % n * 4 for n in range(7)]
    noise = [os.urandom(75_000) for _ in range(30)]
    return {
        # Expands to several MiB; nearly all of it in the last seconds of two hours.
        "many": ([start + int(AGE_MS * (i / 30_000) ** 0.1) for i in range(30_000)], text),
        # Does not shrink; a jump of an hour in the middle.
        "wide": ([start + i * 1000 + (3600_000 if i > 20 else 0) for i in range(30)], noise),
        # The header's times are the same: the first is the newest.
        "falling": ([start + 6000_000 - i * 600_000 for i in range(10)], text),
    }


def produce_all(client, base_ms):
    """(topic, offset) -> when the record there was written; None: there is no such record."""
    truth = {}
    for shape, (times_ms, values) in shapes(base_ms).items():
        for codec in CODECS:
            topic = f"{shape}-{codec}"
            client.create_topic(topic, 1, max_message_bytes=16 << 20)
            data, unpacked = timed(codec, times_ms, values)
            check(shape != "many" or unpacked > 2 << 20, f"{topic} has {unpacked} bytes unpacked")
            check(shape != "wide" or len(data) > 2 << 20, f"{topic} has {len(data)} bytes")
            check(produce(client, topic, 0, data) == 0, f"{topic} does not begin at 0")
            count = len(times_ms)
            for offset in {0, 1, count // 10, count // 2, count - 2, count - 1}:
                truth[topic, offset] = times_ms[offset]
            truth[topic, count] = None
    return truth


def compare(broker, truth, when):
    before_ms = now_ms()
    m = metrics(broker)
    after_ms = now_ms()
    wrong = []
    for (topic, offset), written_ms in truth.items():
        place = {"consumergroup": f"{topic}-{offset}", "topic": topic, "partition": 0}
        if not m.has("odradek_group_lag_seconds", **place):
            wrong.append(f"{topic} at {offset}: left out")
            continue
        said = m.value("odradek_group_lag_seconds", **place)
        low, high = (0, 0)
        if written_ms is not None:
            low, high = (before_ms - written_ms) / 1000, (after_ms - written_ms) / 1000
        if not low - 1 <= said <= high + 1:
            wrong.append(f"{topic} at {offset}: {said}, the truth is {low} to {high}")
    check(not wrong, f"{when}: {len(wrong)} of {len(truth)} wrong: " + "; ".join(wrong[:6]))


def committed(broker):
    """What compare needs, of a broker that has just been started."""
    with raw.Client(broker.address) as client:
        truth = produce_all(client, now_ms())
        for topic, offset in truth:
            commit(client, f"{topic}-{offset}", topic, {0: offset})
    return truth
