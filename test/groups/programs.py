"""The clients of test/groups: how each member program is got and called."""

import os
import shutil
import subprocess
import sys

import harness
from harness import BUILD, Failed, Unavailable, newer, run

HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    """A member program. `commits` is False for one that does not tell its commits, `has_admin` and
    `tells_generation` for one that has no admin client or does not show its generations. `without`
    names the codecs that the client itself does not have."""

    def __init__(
        self,
        name,
        find,
        assignor="",
        static=False,
        commits=True,
        has_admin=True,
        tells_generation=True,
        without=(),
    ):
        self.name = name
        self.find = find
        self.assignor = assignor
        self.static = static
        self.commits = commits
        self.has_admin = has_admin
        self.tells_generation = tells_generation
        self.without = without
        self.program = None
        self.missing = None

    def prepare(self):
        try:
            self.program = self.find()
            done = run([*self.program, "--version"])
            return done.stdout.strip()
        except (Unavailable, Failed, subprocess.TimeoutExpired) as reason:
            self.missing = str(reason)
            return f"missing: {self.missing}"


def confluent(script):
    return [harness.python_environment(), os.path.join(HERE, script)]


def rdkafka_member():
    return [harness.c_program(os.path.join(HERE, "rdkafka_member.c"), ["rdkafka"])]


def java_member():
    """GroupMember.java, compiled once against the jars of Kafka's tools."""
    source = os.path.join(HERE, "GroupMember.java")
    folder = os.path.join(BUILD, "groups-java")
    classes = harness.java_jars()
    if not newer(os.path.join(folder, "GroupMember.class"), source):
        if not shutil.which("javac"):
            raise Unavailable("no Java compiler: apt-get install openjdk-17-jdk-headless")
        os.makedirs(folder, exist_ok=True)
        run(["javac", "-cp", classes, "-d", folder, source], timeout=120)
    return ["java", *harness.JAVA_FLAGS, "-cp", f"{folder}:{classes}", "GroupMember"]


def go_member(client):
    """The Go program of all three Go clients."""
    folder = os.path.join(HERE, "go")
    target = os.path.join(BUILD, "compat", "go_member")
    if not newer(
        target, *(os.path.join(folder, name) for name in os.listdir(folder) if name != ".")
    ):
        go = shutil.which("go")
        if not go:
            raise Unavailable("no Go toolchain in PATH")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            run([go, "build", "-o", target, "."], timeout=300, cwd=folder)
        except (Failed, subprocess.TimeoutExpired) as failure:
            raise Unavailable(f"the Go members do not build here: {failure}") from failure
    return [target, "--client", client]


def node_member(script):
    """A member on Node, its packages installed in the build folder by npm from the lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise Unavailable("no Node.js with npm in PATH")
    source = os.path.join(HERE, "node")
    folder = os.path.join(BUILD, "groups-node")
    os.makedirs(folder, exist_ok=True)
    lock = os.path.join(source, "package-lock.json")
    stamp = os.path.join(folder, "installed")
    for name in os.listdir(source):
        shutil.copy(os.path.join(source, name), folder)
    if not newer(stamp, lock):
        try:
            run(
                [npm, "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"],
                timeout=300,
                cwd=folder,
            )
        except (Failed, subprocess.TimeoutExpired) as failure:
            raise Unavailable(f"npm could not fetch the Node clients: {failure}") from failure
        open(stamp, "w").close()
    return [node, os.path.join(folder, script)]


def kcat_member():
    harness.kcat_program()
    return [sys.executable, os.path.join(HERE, "kcat_member.py")]


CLIENTS = [
    Client("librdkafka", rdkafka_member),
    Client("librdkafka-cooperative", rdkafka_member, assignor="cooperative-sticky"),
    Client("librdkafka-static", rdkafka_member, static=True),
    Client("java", java_member),
    Client("java-cooperative", java_member, assignor="cooperative-sticky"),
    Client("java-static", java_member, static=True),
    Client("confluent-kafka-python", lambda: confluent("confluent_member.py")),
    Client("kafka-python", lambda: confluent("kafka_python_member.py")),
    Client("aiokafka", lambda: confluent("aiokafka_member.py")),
    Client("franz-go", lambda: go_member("franz-go")),
    Client("sarama", lambda: go_member("sarama"), commits=False),
    Client("kafka-go", lambda: go_member("kafka-go")),
    Client(
        "kafkajs",
        lambda: node_member("kafkajs_member.mjs"),
        without=("snappy", "lz4", "zstd"),  # separate packages
    ),
    Client(
        "platformatic-kafka",
        lambda: node_member("platformatic_member.mjs"),
        without=("zstd",),  # Node has it from 22.15 on: then it may be there
    ),
    Client("kcat", kcat_member, commits=False, has_admin=False, tells_generation=False),
]
