"""What the end-to-end suites share: test/compat, test/crash and test/limits.

Three things live here.

  Report     prints `ok NAME`, `FAIL NAME why`, `skip NAME why` as they happen, counts them, and
             closes with a line that says how many.
  Toolbox    gets what the tests stand on, once, into the build folder: a Python environment, jars,
             a Go program, C programs. A tool that cannot be had is a skip with its reason, except
             in CI (CI=true), where it is a failure: nothing is skipped there.
  Odradek    one broker process on its own data folder: start, kill, stop, start again on the same
             port. Dev is `odradek dev`, for what nobody restarts. kafka_node.KafkaNode has the same methods, so every case can be tried on Apache
             Kafka first.

Standard library only: this file runs before anything is installed.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPAT = os.path.join(ROOT, "test", "compat")
BUILD = os.environ.get("ODRADEK_BUILD", os.path.join(ROOT, "build"))
PROGRAM = os.environ.get("ODRADEK_PROGRAM", os.path.join(BUILD, "odradek"))
IN_CI = os.environ.get("CI") == "true"


class Failed(Exception):
    """A check did not hold; the message is the reason that is printed after FAIL."""


class Unavailable(Exception):
    """A tool is not on this machine; the message says which and how to get it."""


def check(condition, why):
    if not condition:
        raise Failed(why)


def end_in_order(_signal, _frame):
    """A suite over its budget gets SIGTERM: leave by an exception, so that brokers are stopped."""
    sys.exit(143)


class Report:
    """Counts results of one suite. `case` runs a function as one named result."""

    def __init__(self, suite):
        signal.signal(signal.SIGTERM, end_in_order)
        self.suite = suite
        self.passed = self.failed = self.skipped = 0
        self.started = time.monotonic()
        self.versions = []
        self.lock = threading.Lock()

    def say(self, text):
        with self.lock:
            print(text, flush=True)

    def ok(self, name, detail=""):
        self.passed += 1
        self.say(f"ok {name}" + (f" ({detail})" if detail else ""))

    def fail(self, name, why):
        self.failed += 1
        self.say(f"FAIL {name} {why}")

    def skip(self, name, why):
        if IN_CI:
            self.fail(name, f"would be a skip, which CI does not allow: {why}")
            return
        self.skipped += 1
        self.say(f"skip {name} {why}")

    def case(self, name, function, *arguments):
        """Run one case; True when it passed. A string it returns is printed with the ok."""
        started = time.monotonic()
        try:
            detail = function(*arguments)
        except Failed as failure:
            self.fail(name, str(failure))
            return False
        except Unavailable as missing:
            self.skip(name, str(missing))
            return False
        except subprocess.TimeoutExpired as late:
            self.fail(name, f"took longer than {late.timeout:.0f} s: {shorten(late.cmd)}")
            return False
        except Exception as surprise:  # a broken harness must show as a failure of its case
            self.fail(name, f"{type(surprise).__name__}: {surprise}")
            return False
        seconds = time.monotonic() - started
        self.ok(name, f"{detail}, {seconds:.1f} s" if detail else f"{seconds:.1f} s")
        return True

    def version(self, what, version):
        self.versions.append((what, version))

    def finish(self):
        """Print the table of versions and the count; return the exit status."""
        if self.versions:
            width = max(len(what) for what, _ in self.versions)
            self.say("")
            for what, version in self.versions:
                self.say(f"  {what:<{width}}  {version}")
        seconds = time.monotonic() - self.started
        self.say(f"\n{self.suite} took {seconds:.0f} s")
        self.say(
            f"{self.suite}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        )
        return 1 if self.failed or not self.passed else 0


def shorten(command):
    text = command if isinstance(command, str) else " ".join(str(part) for part in command)
    return text if len(text) < 160 else text[:157] + "..."


def run(command, timeout=60, check_status=True, **options):
    """Run a command to its end and return the CompletedProcess with text output."""
    options.setdefault("text", True)
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **options
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"took longer than {timeout} s: {shorten(command)}") from late
    if check_status and done.returncode != 0:
        errors = (
            done.stderr if isinstance(done.stderr, str) else done.stderr.decode(errors="replace")
        )
        output = done.stdout if isinstance(done.stdout, str) else ""
        raise Failed(
            f"exit {done.returncode} from {shorten(command)}: {last_lines(errors or output)}"
        )
    return done


def last_lines(text, count=3):
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " | ".join(lines[-count:]) if lines else "(no output)"


# ------------------------------------------------------------------------------
# Tools


def newer(target, *sources):
    """True when target exists and is not older than any of the sources."""
    return os.path.exists(target) and all(
        os.path.getmtime(target) >= os.path.getmtime(s) for s in sources
    )


def data_root():
    """Where the brokers under test keep their data: on the build's disk, where O_DIRECT works."""
    folder = os.environ.get("ODRADEK_TEST_DATA", os.path.join(BUILD, "test-data"))
    os.makedirs(folder, exist_ok=True)
    return folder


COMPILING = threading.Lock()  # cases run in threads and ask for the same program


def c_program(source, libraries=()):
    """Compile one C file of the tests and return the path of the program."""
    with COMPILING:
        return c_program_compiled(source, libraries)


def c_program_compiled(source, libraries):
    name = os.path.splitext(os.path.basename(source))[0]
    target = os.path.join(BUILD, "compat", name)
    if newer(target, source):
        return target
    compiler = (
        os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    )
    if not compiler:
        raise Unavailable("no C compiler: apt-get install gcc")
    flags = []
    if libraries:
        asked = subprocess.run(
            ["pkg-config", "--cflags", "--libs", *libraries],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if asked.returncode != 0:
            raise Unavailable(
                f"{' '.join(libraries)} is not installed: apt-get install librdkafka-dev pkg-config"
            )
        flags = asked.stdout.split()
    os.makedirs(os.path.dirname(target), exist_ok=True)
    partial = f"{target}.{os.getpid()}"
    run(
        [
            *compiler.split(),
            "-std=gnu17",
            "-O2",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-D_GNU_SOURCE",
            "-o",
            partial,
            source,
            *flags,
        ],
        timeout=120,
    )
    os.replace(partial, target)
    return target


def rdkafka_client():
    return c_program(os.path.join(COMPAT, "rdkafka_client.c"), ["rdkafka"])


def python_environment():
    """The Python interpreter of a virtual environment with the packages of requirements.txt."""
    requirements = os.path.join(COMPAT, "requirements.txt")
    folder = os.path.join(BUILD, "compat-venv")
    python = os.path.join(folder, "bin", "python3")
    stamp = os.path.join(folder, "installed")
    if newer(stamp, requirements):
        return python
    try:
        run([sys.executable, "-m", "venv", "--clear", folder], timeout=120)
        run(
            [
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
                "-r",
                requirements,
            ],
            timeout=300,
        )
    except (Failed, subprocess.TimeoutExpired) as failure:
        raise Unavailable(
            f"no Python environment (needs python3-venv and PyPI): {failure}"
        ) from failure
    open(stamp, "w").close()
    return python


def java_jars(profile=None):
    """The class path of Kafka's tools, or with profile "broker" of a whole Kafka node."""
    pom = os.path.join(COMPAT, "java", "pom.xml")
    folder = os.path.join(BUILD, "compat-java" + (f"-{profile}" if profile else ""))
    stamp = os.path.join(folder, "installed")
    if not shutil.which("java"):
        raise Unavailable("no Java: apt-get install openjdk-17-jre-headless maven")
    if not newer(stamp, pom):
        if not shutil.which("mvn"):
            raise Unavailable("no Maven to fetch Kafka's tools with: apt-get install maven")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        command = [
            "mvn",
            "-q",
            "-B",
            "-f",
            pom,
            "dependency:copy-dependencies",
            f"-DoutputDirectory={folder}",
        ]
        try:
            run(command + ([f"-P{profile}"] if profile else []), timeout=300)
        except (Failed, subprocess.TimeoutExpired) as failure:
            raise Unavailable(f"Maven could not fetch Kafka's tools: {failure}") from failure
        open(stamp, "w").close()
    return os.path.join(folder, "*")


# The tools live for a second or two: the first compiler and the plain collector start fastest.
JAVA_FLAGS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Xshare:auto"]


def java_command(main_class, *arguments):
    return ["java", *JAVA_FLAGS, "-cp", java_jars(), main_class, *arguments]


def go_client():
    """The franz-go client, built by the Go toolchain on this machine."""
    folder = os.path.join(COMPAT, "go")
    target = os.path.join(BUILD, "compat", "franz_go_client")
    if newer(target, *(os.path.join(folder, name) for name in ("main.go", "go.mod", "go.sum"))):
        return target
    go = shutil.which("go")
    if not go:
        raise Unavailable("no Go toolchain in PATH")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        run([go, "build", "-o", target, "."], timeout=300, cwd=folder)
    except (Failed, subprocess.TimeoutExpired) as failure:
        raise Unavailable(f"the Go client does not build here: {failure}") from failure
    return target


def kcat_program():
    found = shutil.which("kcat") or shutil.which("kafkacat")
    if not found:
        raise Unavailable("no kcat: apt-get install kcat")
    return found


# ------------------------------------------------------------------------------
# The broker


class Odradek:
    """A broker process. `address` is HOST:PORT once it is ready, the same over restarts."""

    kind = "odradek"
    READY = re.compile(r"Ready in (\d+(?:\.\d+)?) ms on (\S+:\d+)\.")

    def __init__(self, name, options=(), wrapper=(), arguments=()):
        self.data = os.path.join(data_root(), f"{name}-{os.getpid()}")
        shutil.rmtree(self.data, ignore_errors=True)
        self.log_path = self.data + ".log"
        self.options = list(options)  # key=value, each given as --set
        self.arguments = list(arguments)  # further arguments as they are
        self.wrapper = list(wrapper)  # a command that execs the broker
        self.address = None
        self.process = None
        self.ready_ms = None
        self.announced = ""  # what it printed before the Ready line
        self.preexec = None
        open(self.log_path, "w").close()

    def command(self):
        settings = [part for option in self.options for part in ("--set", option)]
        return [
            *self.wrapper,
            PROGRAM,
            "serve",
            "--data",
            self.data,
            "--listen",
            self.address or "127.0.0.1:0",
            *self.arguments,
            *settings,
        ]

    def start(self, timeout=30):
        if not os.path.exists(PROGRAM):
            raise Failed(f"no broker at {PROGRAM}: ./dev build")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=self.preexec,
            )
        line = self._ready_line(timeout)
        match = self.READY.search(line)
        check(match, f"the broker's Ready line is {line!r}")
        self.ready_ms = float(match.group(1))
        if self.address:
            check(
                self.address == match.group(2),
                f"asked for {self.address}, the Ready line says {match.group(2)}",
            )
        self.address = match.group(2)
        return self

    def _ready_line(self, timeout):
        found = []
        before = []

        def read():
            for line in self.process.stdout:
                if not found and "Ready in" in line:
                    found.append(line.rstrip())
                    ready.set()
                elif not found:
                    before.append(line)
            ready.set()

        ready = threading.Event()
        threading.Thread(target=read, daemon=True).start()
        if not ready.wait(timeout):
            self.kill()
            raise Failed(f"the broker was not ready after {timeout} s: {self.log_tail()}")
        if not found:
            status = self.process.wait(10)
            raise Failed(
                f"the broker ended before it was ready, status {status}: {self.log_tail()}"
            )
        self.announced = "".join(before)
        return found[0]

    def kill(self):
        """kill -9, and wait until the process is gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait(30)

    def stop(self, timeout=30):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"SIGTERM did not end the broker within {timeout} s: {self.log_tail()}")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def epitaph(self):
        """What to add to a failure: how the broker ended, if it ended by itself."""
        if self.process is None or self.process.poll() is None:
            return ""
        return f"; the broker ended by itself, status {self.process.returncode}: {self.log_tail()}"

    def log_tail(self, count=4):
        with open(self.log_path, errors="replace") as log:
            return last_lines(log.read()[-8000:], count)

    def final_counters(self):
        """The counters the broker prints as one JSON line on stderr when it stops gracefully."""
        counters = None
        with open(self.log_path, errors="replace") as log:
            for line in log:
                if "log_appends_total" not in line:
                    continue
                try:
                    counters = json.loads(line)
                except ValueError:
                    continue
        if counters is None:
            raise Failed(f"no JSON line with log_appends_total on stderr: {self.log_tail()}")
        return flatten(counters)

    def destroy(self, keep=False):
        self.kill()
        if keep or os.environ.get("ODRADEK_TEST_KEEP"):
            return
        shutil.rmtree(self.data, ignore_errors=True)
        if os.path.exists(self.log_path):
            os.remove(self.log_path)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        self.destroy()


class Dev(Odradek):
    """`odradek dev`: in memory, and gone with this process, however that ends."""

    def command(self):
        settings = [part for option in self.options for part in ("--set", option)]
        listen = ("--listen", self.address or "127.0.0.1:0", "--parent", str(os.getpid()))
        return [*self.wrapper, PROGRAM, "dev", *listen, *self.arguments, *settings]

    def stop(self, timeout=30):
        status = super().stop(timeout)
        check(not os.path.exists(self.data), f"odradek dev has written {self.data}")
        return status


def flatten(tree):
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value))
        else:
            flat[key] = value
    return flat


def new_broker(name, **settings):
    """The broker under test: ours, or with COMPAT_BROKER=kafka an Apache Kafka node."""
    if os.environ.get("COMPAT_BROKER") == "kafka":
        from kafka_node import KafkaNode

        return KafkaNode(name)
    return Odradek(name, **settings)


def dev_broker(name, options=()):
    """The same for what nobody restarts: ours is `odradek dev`."""
    if os.environ.get("COMPAT_BROKER") == "kafka":
        from kafka_node import KafkaNode

        return KafkaNode(name, "".join(f"{option}\n" for option in options))
    return Dev(name, options)


def broker_version():
    if os.environ.get("COMPAT_BROKER") == "kafka":
        from kafka_node import kafka_version

        return "Apache Kafka " + kafka_version()
    if not os.path.exists(PROGRAM):
        return "not built"
    lines = run([PROGRAM, "version"], check_status=False).stdout.splitlines()
    return lines[0] if lines else "unknown"


def create_topics(broker, *specifications, timeout=30):
    """Create topics; each specification is NAME:PARTITIONS."""
    run([rdkafka_client(), "create", "--brokers", broker.address, *specifications], timeout=timeout)
