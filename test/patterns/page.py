"""A page of documentation, run as it stands: every ```sh block in one shell each, in order, against a broker, with what
the page says is printed ("#>") compared line by line with what is. Used by the suites that have pages: test/patterns/run,
test/service/run.

  - `odradek` in a block is the program under test (ODRADEK_PROGRAM, or build/odradek); so is `odk`.
  - A block that begins with ```sh broker is the command of a broker: it is started, and stays up until a block stops it with
    `kill $BROKER_PID`, which is waited for at the end of that block, or until the page ends.
  - `kill -9 $BROKER_PID` and `restart_broker` in two lines: the broker is killed, and started again by the same command.
  - A block with another word, or none, is only shown.
  - `...` in an expected line stands for anything; a line that is only `...` for any lines. Columns may be wider.

Port 9092 may be taken: isolate() runs a suite in a network namespace of its own where that can be made.
"""
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("ODRADEK_PROGRAM", os.path.join(ROOT, "build", "odradek"))
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SECONDS = 120  # for a block; only what hangs takes so long
CRASH = r"^kill -9 \$BROKER_PID\nrestart_broker\n"


def isolate(script):
    """Runs the script again in a network namespace of its own, if that can be; returns in that run, or when it cannot."""
    if os.environ.get("PAGE_INSIDE") == "1":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:  # the loopback interface, up
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    elif os.geteuid() == 0 and shutil.which("unshare"):
        inside = dict(os.environ, PAGE_INSIDE="1")
        if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0:
            sys.exit(subprocess.run(["unshare", "-n", sys.executable, script, *sys.argv[1:]], env=inside).returncode)


def blocks(page):
    """(heading, is a broker's, lines) of each block that is run."""
    heading = ""
    fence = None
    lines = []
    for line in page.splitlines():
        if line.startswith("#") and fence is None:
            heading = line.lstrip("# ")
        if line.startswith("```"):
            if fence is None:
                fence, lines = line[3:].strip(), []
            else:
                if fence in ("sh", "sh broker"):
                    yield heading, fence == "sh broker", lines
                fence = None
        elif fence is not None:
            lines.append(line)


def agrees(expected, printed):
    """Whether the lines printed are those expected, with `...` for what varies."""
    pattern = ""
    for line in expected:
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in " ".join(line.split()).split("...")) + r"\n"
    return re.fullmatch(pattern, "".join(" ".join(line.split()) + "\n" for line in printed)) is not None


class Broker:
    """One process at a time, started by a shell command in the page's folder; up when it has said Ready."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment
        self.command = None
        self.process = None

    def start(self, command):
        self.stop()
        self.command = command
        self.process = subprocess.Popen(
            ["bash", "-c", "exec " + command], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
            stderr=open(os.path.join(self.folder, "broker.log"), "a"), text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ready in" in line:
                return said
        self.process.wait()
        raise SystemExit("FAIL start the broker did not start: " + open(os.path.join(self.folder, "broker.log")).read()[-2000:])

    def crash(self):
        self.process.kill()
        self.process.wait()
        self.process = None
        self.start(self.command)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.await_end()

    def await_end(self):
        if self.process is not None:
            status = self.process.wait(SECONDS)
            self.process = None
            if status != 0:
                raise SystemExit(f"FAIL stop the broker ended with status {status}")


def run_page(path, broker_command=None, prefix=""):
    """Runs the page in a folder of its own, prints a result line for every heading's block; returns how many failed."""
    folder = tempfile.mkdtemp(prefix="odradek-page-")
    binaries = os.path.join(folder, ".bin")
    os.mkdir(binaries)
    for name in ("odradek", "odk"):
        os.symlink(PROGRAM, os.path.join(binaries, name))
    environment = dict(os.environ, PATH=binaries + ":" + os.environ["PATH"], HOME=folder, LC_ALL="C.UTF-8", no_proxy="*",
                       KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="500")
    broker = Broker(folder, environment)
    failed = 0
    seen = {}
    try:
        if broker_command is not None:
            broker.start(broker_command)
        for heading, is_broker, lines in blocks(open(path).read()):
            name = prefix + re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
            seen[name] = seen.get(name, 0) + 1
            name += f"-{seen[name]}" if seen[name] > 1 else ""
            commands = "\n".join(line for line in lines if not line.startswith("#>"))
            expected = [line[3:] for line in lines if line.startswith("#>")]
            errors = ""
            printed = []
            status = 0
            if is_broker:
                printed = [line.rstrip("\n") for line in broker.start(commands)]
            else:
                for index, part in enumerate(re.split(CRASH, commands, flags=re.M)):
                    if index > 0:
                        broker.crash()
                    if broker.process is not None:
                        environment["BROKER_PID"] = str(broker.process.pid)
                    run = subprocess.run(["bash", "-c", part], capture_output=True, text=True, timeout=SECONDS, cwd=folder,
                                         env=environment)
                    printed += run.stdout.splitlines()
                    errors += run.stderr
                    status = run.returncode
                if re.search(r"^kill \$BROKER_PID$", commands, flags=re.M):
                    broker.await_end()
            if status == 0 and (is_broker and not expected or agrees(expected, printed)):
                print(f"ok {name}", flush=True)
            else:
                failed += 1
                print(f"FAIL {name} status {status}, expected {expected}, printed {printed}: {errors[-600:]}", flush=True)
        broker.stop()
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.process.kill()
            broker.process.wait()
        shutil.rmtree(folder)
    return failed
