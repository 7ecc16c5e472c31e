"""A disk that is full; run by test/space/run. The disk is a small file system made here, and undone
whatever happens."""

import os
import shutil
import subprocess
import time

import harness
import raw
from harness import Unavailable, check
from raw import Client, Ledger

LONG = os.environ.get("ODRADEK_LONG") == "1"
MIB = 1 << 20
DISK_BYTES = 400 * MIB
CYCLES = 1000 if LONG else 20
REFUSED_SECONDS = 1
RESUME_SECONDS = 5


class SmallDisk:
    """A file system of its own: ext4 on a loop device, else tmpfs."""

    def __init__(self, name):
        if os.geteuid() != 0:
            raise Unavailable("only root can mount a small file system")
        self.folder = os.path.join(harness.data_root(), f"{name}-{os.getpid()}-disk")
        self.image = self.folder + ".img"
        os.makedirs(self.folder)
        self.kind = "ext4"
        if not self._mount_image():
            self._remove_image()
            self.kind = "tmpfs"
            try:
                harness.run(
                    ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", self.folder]
                )
            except harness.Failed as failure:
                os.rmdir(self.folder)
                raise Unavailable(f"no file system can be mounted here: {failure}") from failure

    def _mount_image(self):
        try:
            with open(self.image, "wb") as image:
                image.truncate(DISK_BYTES)
            harness.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image])
            harness.run(["mount", "-o", "loop", self.image, self.folder])
            return True
        except (harness.Failed, OSError):
            return False

    def _remove_image(self):
        if os.path.exists(self.image):
            os.remove(self.image)

    def free_bytes(self):
        space = os.statvfs(self.folder)
        return space.f_bavail * space.f_frsize

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for _ in range(50):
            done = subprocess.run(["umount", self.folder], stderr=subprocess.DEVNULL, check=False)
            if done.returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", self.folder], check=False)
        os.rmdir(self.folder)
        self._remove_image()


class Broker(harness.Odradek):
    """On the small disk; its log stays outside."""

    def __init__(self, name, disk):
        super().__init__(
            name,
            options=["log.retention.check.interval.ms=500"],
            arguments=["--memory", "128MiB"],
        )
        self.data = os.path.join(disk.folder, "data")


def on_small_disk(name, function):
    with SmallDisk(name) as disk:
        broker = Broker(name, disk)
        try:
            broker.start()
            direct = "buffered" if "O_DIRECT" in broker.announced else "O_DIRECT"
            return f"{disk.kind}, {direct}, {function(broker, disk)}"
        except (harness.Failed, raw.Refused, AssertionError, OSError) as failure:
            raise harness.Failed(f"{failure}{broker.epitaph()}") from failure
        finally:
            broker.destroy()


def fill(broker, ledger):
    """Produces until the broker refuses; the longest it took to answer a request, refusals
    included."""
    slowest = 0
    with Client(broker.address) as client:
        while True:
            begun = time.monotonic()
            sent = ledger.send(client, ledger.partitions)
            codes = ledger.hear(client, sent)
            took = time.monotonic() - begun
            if codes:
                check(
                    set(codes) == {raw.KAFKA_STORAGE_ERROR},
                    f"a full disk is answered with {sorted(set(codes))}",
                )
                check(took <= REFUSED_SECONDS, f"the refusal took {took:.1f} s")
                return max(slowest, took)
            slowest = max(slowest, took)
            check(
                ledger.acked_bytes < 100 * DISK_BYTES, "more was acknowledged than the disk holds"
            )


def fill_for_good(broker, ledger):
    """Until a second has passed in which nothing was acknowledged: what the broker makes room for
    by itself is used, too."""
    slowest = fill(broker, ledger)
    refused_since = time.monotonic()
    while time.monotonic() - refused_since < 1:
        before = ledger.acked_bytes
        slowest = max(slowest, fill(broker, ledger))
        if ledger.acked_bytes > before:
            refused_since = time.monotonic()
        time.sleep(0.02)
    return slowest


def resume(broker, ledger):
    """Until a Produce is acknowledged; seconds it took."""
    begun = time.monotonic()
    with Client(broker.address) as client:
        while ledger.hear(client, ledger.send(client, ledger.partitions)):
            check(
                time.monotonic() - begun < RESUME_SECONDS,
                f"Produce is still refused {RESUME_SECONDS} s after space was freed",
            )
            time.sleep(0.02)
    return time.monotonic() - begun


def full(broker, disk):
    with Client(broker.address) as client:
        client.find_coordinator("full")
        client.create_topic("kept", 4)
        client.create_topic("gone", 4)
        kept, gone = Ledger("kept", 4, 64 * 1024), Ledger("gone", 4, 64 * 1024)
        kept.produce(client, 32 * MIB, width=4)
        client.commit("full", "kept", 1)
        slowest = fill_for_good(broker, gone)
        held = gone.acked_bytes
        for offset in range(2, 500):
            client.commit("full", "kept", offset)
        check(client.committed("full", "kept") == 499, "the commit on a full disk is lost")
        kept.verify(client)
        gone.verify(client)
        ends = client.offsets("gone", 4, raw.LATEST)
        half = [end // 2 for end in ends]
        check(client.delete_records("gone", half) == half, "DeleteRecords moved other starts")
        gone.verify(client, half)
        fill_for_good(broker, gone)
        client.create_topic("another", 4)
        client.delete_topic("gone")
        took = resume(broker, kept)
        bounded = Ledger("bounded", 4, 64 * 1024)
        client.create_topic("bounded", 4, retention_bytes=4 * MIB)
        while bounded.acked_bytes < DISK_BYTES:
            fill_some(client, bounded)
        kept.verify(client)
    broker.kill()
    broker.start()
    with Client(broker.address) as client:
        kept.verify(client)
        check(client.committed("full", "kept") == 499, "the commit is lost after kill -9")
    return (
        f"{held / MIB:.0f} MiB of {DISK_BYTES / MIB:.0f} stored until refused, every answer within "
        f"{slowest * 1000:.0f} ms, Produce again {took * 1000:.0f} ms after DeleteTopics"
    )


def fill_some(client, ledger):
    """One Produce; while retention has not made room yet it is tried again."""
    begun = time.monotonic()
    while ledger.hear(client, ledger.send(client, ledger.partitions)):
        check(time.monotonic() - begun < 30, "retention made no room within 30 s")
        time.sleep(0.02)


def cycles(broker, disk):
    with Client(broker.address) as client:
        client.create_topic("kept", 4)
        kept = Ledger("kept", 4, 4 * 1024)
        slowest = total = 0
        begun = time.monotonic()
        for cycle in range(CYCLES):
            name = f"cycle-{cycle}"
            client.create_topic(name, 4)
            ledger = Ledger(name, 4, 64 * 1024)
            resume(broker, kept)
            slowest = max(slowest, fill(broker, ledger))
            total += ledger.acked_bytes
            check(
                ledger.acked_bytes >= DISK_BYTES // 16,
                f"cycle {cycle}: only {ledger.acked_bytes / MIB:.1f} MiB fitted",
            )
            if cycle % 10 == 0:
                ledger.verify(client)
            if cycle % 2:
                client.delete_records(name, client.offsets(name, 4, raw.LATEST))
                resume(broker, kept)
            client.delete_topic(name)
        resume(broker, kept)
        seconds = time.monotonic() - begun
        kept.verify(client)
    broker.kill()
    broker.start()
    with Client(broker.address) as client:
        count = kept.verify(client)
    return (
        f"{CYCLES} cycles in {seconds:.0f} s, {total / MIB:.0f} MiB acknowledged and deleted, "
        f"every answer within {slowest * 1000:.0f} ms, {count} kept batches read after kill -9"
    )


def disk_full():
    return on_small_disk("disk-full", full)


def fill_free():
    return on_small_disk("fill-free", cycles)
