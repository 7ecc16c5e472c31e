"""Kafka's command line tools, unmodified, one after the other in one JVM (ToolDriver.java)."""

import base64
import os
import select
import shutil
import subprocess

import harness
from harness import BUILD, Failed, Unavailable, newer, run

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "org.apache.kafka.tools."
PATIENCE = 45  # seconds for one command, on a busy machine


def driver():
    source = os.path.join(HERE, "ToolDriver.java")
    folder = os.path.join(BUILD, "tools-java")
    classes = harness.java_jars()
    if not newer(os.path.join(folder, "ToolDriver.class"), source):
        if not shutil.which("javac"):
            raise Unavailable("no Java compiler: apt-get install openjdk-17-jdk-headless")
        os.makedirs(folder, exist_ok=True)
        run(["javac", "-cp", classes, "-d", folder, source], timeout=120)
    return ["java", *harness.JAVA_FLAGS, "-cp", f"{folder}:{classes}", "ToolDriver"]


class Tools:
    """tools("TopicCommand", "--list") -> status, standard output, standard error."""

    def __init__(self, address):
        self.address = address
        self.process = subprocess.Popen(
            driver(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __call__(self, tool, *arguments, stdin="", server="--bootstrap-server"):
        if server:
            at = 1 if tool == "ClusterTool" else 0
            arguments = [*arguments[:at], server, self.address, *arguments[at:]]
        fields = [PACKAGE + tool, stdin, *arguments]
        line = " ".join(base64.b64encode(field.encode()).decode() for field in fields)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            raise Failed(f"{tool} {' '.join(arguments)} has not ended after {PATIENCE} s")
        answer = self.process.stdout.readline().decode().rstrip("\n")
        if not answer:
            self.process.kill()
            raise Failed(f"the JVM of the tools ended: {self.process.stderr.read().decode()[-500:]}")
        status, out, err = answer.split(" ")
        return int(status), base64.b64decode(out).decode(), base64.b64decode(err).decode()

    def alone(self, tool, *arguments):
        """The same in a JVM of its own, for a tool that ends its work in a shutdown hook of the JVM."""
        classes = harness.java_jars()
        command = ["java", *harness.JAVA_FLAGS, "-cp", classes, PACKAGE + tool, "--bootstrap-server", self.address, *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"{tool} {' '.join(arguments)} has not ended after {PATIENCE} s") from None
        return done.returncode, done.stdout, done.stderr

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
