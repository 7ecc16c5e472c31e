"""One Apache Kafka node (KRaft, broker and controller in one process), jars from Maven Central.

The yardstick: a case that fails on Odradek is run on this first, to tell a broker that is wrong
from a test that is. `COMPAT_BROKER=kafka test/compat/run` runs the whole suite on it. By hand:

    python3 test/compat/kafka_node.py            starts a node and prints its address until Ctrl-C

It has the methods of harness.Odradek, and waits like it until the broker answers.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import harness

CLUSTER_ID = "b2RyYWRlay1jb21wYXQtMQ"

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.ms=-1
"""


def kafka_version():
    pom = os.path.join(harness.COMPAT, "java", "pom.xml")
    return re.search(r"<kafka.version>(.*?)</kafka.version>", open(pom).read()).group(1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class KafkaNode:
    kind = "kafka"

    def __init__(self, name, extra_properties=""):
        self.data = os.path.join(harness.data_root(), f"kafka-{name}-{os.getpid()}")
        shutil.rmtree(self.data, ignore_errors=True)
        os.makedirs(self.data)
        self.log_path = self.data + ".log"
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.process = None
        self.ready_ms = None
        self.properties = os.path.join(self.data, "server.properties")
        with open(self.properties, "w") as file:
            file.write(
                PROPERTIES.format(
                    port=self.port,
                    controller_port=free_port(),
                    data=os.path.join(self.data, "logs"),
                )
                + extra_properties
            )
        harness.run(
            self.java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", self.properties)
        )

    def java(self, main_class, *arguments):
        return [
            "java",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Xmx1g",
            "-cp",
            harness.java_jars("broker"),
            main_class,
            *arguments,
        ]

    def start(self, timeout=60):
        started = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.java("kafka.Kafka", self.properties),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        client = harness.rdkafka_client()
        while time.monotonic() - started < timeout:
            if self.process.poll() is not None:
                raise harness.Failed(
                    f"Kafka ended, status {self.process.returncode}: {self.log_tail()}"
                )
            answer = subprocess.run(
                [client, "settled", "--brokers", self.address],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            if answer.returncode == 0:
                self.ready_ms = (time.monotonic() - started) * 1000
                return self
            time.sleep(0.2)
        self.kill()
        raise harness.Failed(f"Kafka was not ready after {timeout} s: {self.log_tail()}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait(30)

    def stop(self, timeout=60):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        return 0 if status == 143 else status  # the JVM's exit status after SIGTERM

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def epitaph(self):
        return "" if self.alive() else f"; Kafka ended by itself: {self.log_tail()}"

    def log_tail(self, count=4):
        with open(self.log_path, errors="replace") as log:
            return harness.last_lines(log.read()[-8000:], count)

    def destroy(self, keep=False):
        self.kill()
        if not keep:
            shutil.rmtree(self.data, ignore_errors=True)
            if os.path.exists(self.log_path):
                os.remove(self.log_path)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        self.destroy()


if __name__ == "__main__":
    node = KafkaNode("by-hand")
    try:
        node.start()
        print(f"Kafka {kafka_version()} is ready on {node.address}", flush=True)
        node.process.wait()
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy()
    sys.exit(0)
