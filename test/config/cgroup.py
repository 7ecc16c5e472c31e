"""A memory cgroup of its own for one process, version 2 or 1, where one can be made."""

import contextlib
import os
import time

PLACES = (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"))


def make(name, limit):
    """The folder of a new cgroup with that limit in bytes, or None."""
    for root, file_name in PLACES:
        folder = os.path.join(root, name)
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            with open(os.path.join(folder, file_name), "r+") as file:
                file.write(str(limit))
            with open(os.path.join(folder, "cgroup.procs"), "r+"):
                return folder
        except OSError:
            os.rmdir(folder)
    return None


def enter(folder):
    """Called in the child before exec."""
    with open(os.path.join(folder, "cgroup.procs"), "w") as procs:
        procs.write(str(os.getpid()))


def remove(folder):
    """Its processes are dead; the kernel may take a moment to know."""
    for _ in range(50):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
            return
        time.sleep(0.1)


@contextlib.contextmanager
def of(limit):
    """The folder as long as the block runs; None where no cgroup can be made."""
    folder = make(f"odradek-config-{os.getpid()}-{limit}", limit)
    try:
        yield folder
    finally:
        if folder is not None:
            remove(folder)
