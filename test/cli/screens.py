"""A terminal that is looked at: a program runs on a pty of a given size, pyte keeps what would be
seen. Waits for what is to be seen, never for a time."""

import copy
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's pyte, for a python that is not Debian's

import pyte
from harness import PROGRAM, check

PATIENCE = 60  # seconds; only a hang takes that long


class Screen(pyte.Screen):
    """With the second screen that pyte lacks."""

    ALTERNATE = 1049

    def set_mode(self, *modes, **options):
        if self.ALTERNATE in modes and options.get("private"):
            self.kept = (copy.deepcopy(self.buffer), copy.copy(self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes, **options):
        super().reset_mode(*modes, **options)
        if self.ALTERNATE in modes and options.get("private"):
            self.buffer, cursor = self.kept
            self.cursor.x, self.cursor.y = cursor.x, min(cursor.y, self.lines - 1)
            self.dirty.update(range(self.lines))


class Terminal:
    """`with Terminal(shell, "top", rows=24, columns=80) as t`: t.lines is the screen now."""

    def __init__(self, shell, *words, rows=24, columns=80, env=None, local=False, quiet=False, program=None):
        """quiet: standard output is not the terminal. program: another one, without -b."""
        local = local or program is not None
        self.words = [str(w) for w in words] + ([] if local else ["-b", shell.address])
        if program is None:
            shell.note(self.words, "terminal")
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.status = None
        self.master, slave = pty.openpty()
        self._size(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(os.open(os.devnull, os.O_WRONLY) if fd == 1 and quiet else slave, fd)
            os.chdir(shell.home)
            os.execve(program or PROGRAM, [program or PROGRAM, *self.words], shell.variables(env))
        self.slave = slave  # kept open: its settings are compared at the end

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)

    def _size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            piece = os.read(self.master, 65536)
            self.raw += piece
            self.stream.feed(piece)
            return True
        return False

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def __str__(self):
        return f"{' '.join(self.words)} shows\n" + "\n".join(f"|{line}|" for line in self.screen.display)

    def until(self, condition, what):
        """The screen, once condition(lines) holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition(self.lines):
            check(time.monotonic() < deadline, f"waited in vain for {what}: {self}")
            self._read(0.1)
        return self.lines

    def resize(self, rows, columns):
        self.screen.resize(rows, columns)
        self._size(rows, columns)

    def type(self, text):
        os.write(self.master, text.encode())

    def kill(self, number):
        os.kill(self.pid, number)

    def ends(self, code=0):
        """Waits for the end; the terminal must be as it was."""
        deadline = time.monotonic() + PATIENCE
        while self.status is None:
            check(time.monotonic() < deadline, f"it does not end: {self}")
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid != 0 else None
        while self._read(0):
            pass
        check(self.status == code, f"exit code is {self.status}, not {code}: {self}")
        check(termios.tcgetattr(self.slave) == self.before, f"its settings are not what they were: {self}")
        check(not self.screen.cursor.hidden, f"the cursor is gone: {self}")
        check(self.raw.count(b"\x1b[?1049h") == self.raw.count(b"\x1b[?1049l"), f"still on the other screen: {self}")
        return self


def fits(lines, columns):
    check(all(len(line) <= columns for line in lines), f"wider than {columns}: {lines}")


def column_at(lines, heading):
    """Where each heading of the line that begins with it stands: [(start, end)]."""
    (line,) = [line for line in lines if line.startswith(heading)]
    spans, at = [], 0
    for word in line.split("  "):
        if word.strip():
            start = line.index(word.strip(), at)
            at = start + len(word.strip())
            spans.append((start, at))
    return spans

