"""Runs `odradek` commands for test/cli/run: with pipes, or with a terminal of its own.

A Shell knows the broker's address and a folder for contexts. `run` returns a Done with code, out and
err; on a terminal out is everything that was seen there, without carriage returns."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from harness import PROGRAM, Failed, check

PATIENCE = 60  # seconds; only a hang takes that long


class Done:
    def __init__(self, shell, words, code, out, err):
        self.shell, self.words, self.code, self.out, self.err = shell, words, code, out, err

    def __str__(self):
        return f"{' '.join(self.words)}: code {self.code}, stdout {self.out!r}, stderr {self.err!r}"

    def json(self):
        try:
            tree = json.loads(self.out)
        except ValueError as error:
            raise Failed(f"no JSON ({error}) from {self}") from error
        self.shell.note(self.words, "json")
        return tree

    def lines(self):
        return self.out.splitlines()

    def says(self, *patterns):
        """Each is a regular expression found in stdout."""
        for pattern in patterns:
            check(re.search(pattern, self.out, re.M), f"no {pattern!r} on stdout of {self}")
        return self

    def warns(self, *patterns):
        for pattern in patterns:
            check(re.search(pattern, self.err, re.M), f"no {pattern!r} on stderr of {self}")
        return self

    def prints(self, text):
        check(self.out == text, f"stdout is not {text!r}: {self}")
        return self


class Shell:
    def __init__(self, home, address=None):
        self.home = home
        self.address = address
        self.seen = set()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""),
        }

    def note(self, words, how):
        """A command was seen to do something: print text, json, an error, stand on a terminal. What
        every command of the table must have been seen to do is in every.py."""
        self.seen.add((*words[:2], how))

    def _command(self, words):
        return [PROGRAM, *[str(word) for word in words]]

    def variables(self, changes):
        environment = dict(self.environment, **(changes or {}))
        return {key: value for key, value in environment.items() if value is not None}

    def bare(self, *words, code=0, stdin="", env=None, stdout=subprocess.PIPE):
        """Without -b. stdin is text or bytes; code None: any."""
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run(
            self._command(words),
            input=data,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.variables(env),
            cwd=self.home,
            timeout=PATIENCE,
        )
        out = (done.stdout or b"").decode(errors="replace")
        result = Done(self, [str(w) for w in words], done.returncode, out, done.stderr.decode(errors="replace"))
        check(code is None or result.code == code, f"exit code is not {code}: {result}")
        if result.code == 0 and out and "-o" not in result.words and "--help" not in result.words:
            self.note(result.words, "text")
        elif result.code != 0 and re.match(r"error ODK-\d{4}: ", result.err):
            self.note(result.words, "error")
        return result

    def run(self, *words, **options):
        return self.bare(*words, "-b", self.address, **options)

    def json(self, *words, **options):
        return self.run(*words, "-o", "json", **options).json()

    def background(self, *words, **options):
        return subprocess.Popen(
            self._command([*words, "-b", self.address]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.variables(None),
            cwd=self.home,
            text=True,
            **options,
        )

    def terminal(self, *words, answers=(), code=0, env=None, until=None, local=False):
        """On a terminal of its own. answers: what is typed when a line ends with a question.
        until: a regular expression; when it is seen the program is interrupted."""
        words = [str(w) for w in words] + ([] if local else ["-b", self.address])
        self.note(words, "terminal")
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execve(PROGRAM, self._command(words), self.variables(env))
        seen = b""
        answers = list(answers)
        interrupted = False
        deadline = time.monotonic() + PATIENCE
        while True:
            ready = select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise Failed(f"{' '.join(words)} did not end on a terminal; it showed {seen!r}")
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other side is gone
                piece = b""
            if not piece:
                break
            seen += piece
            if answers and seen.rstrip(b" ").endswith(b":"):
                os.write(master, answers.pop(0).encode() + b"\n")
            if until and not interrupted and re.search(until.encode(), seen):
                interrupted = True
                os.kill(pid, signal.SIGINT)
        os.close(master)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        result = Done(self, words, status, seen.decode(errors="replace").replace("\r\n", "\n"), "")
        check(code is None or status == code, f"exit code is not {code}: {result}")
        return result

    def terminal_stderr(self, *words, env=None):
        """Only stderr is a terminal; what it showed."""
        master, slave = pty.openpty()
        done = subprocess.Popen(
            self._command([*words, "-b", self.address]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=slave,
            env=self.variables(env),
            cwd=self.home,
        )
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        os.close(master)
        check(done.wait(PATIENCE) == 0, f"{' '.join(words)} ended with {done.returncode}: {seen!r}")
        return seen.decode(errors="replace")


def eventually(condition, what):
    """Waits for a condition of the world, never for a time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise Failed(f"waited {PATIENCE} s in vain for {what}")
