"""Debian's Prometheus scrapes the broker, and is asked for every name of kafka_exporter and Strimzi
that we have.

The names are those of kafka_exporter and of Strimzi's JMX rules; what the boards ask with them is
in boards.py.
"""

import json
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request

from web import check, harness, metrics, wait_for

# Name -> what its value is, of the case's topic or group; None: only that it is there.
EXPORTER = {
    "kafka_brokers": 1,
    "kafka_broker_info": 1,
    "kafka_topic_partitions": "partitions",
    "kafka_topic_partition_current_offset": "end",
    "kafka_topic_partition_oldest_offset": "start",
    "kafka_topic_partition_leader": 1,
    "kafka_topic_partition_leader_is_preferred": 1,
    "kafka_topic_partition_replicas": 1,
    "kafka_topic_partition_in_sync_replica": 1,
    "kafka_topic_partition_under_replicated_partition": 0,
    "kafka_consumergroup_current_offset": "committed",
    "kafka_consumergroup_current_offset_sum": "committed",
    "kafka_consumergroup_lag": "lag",
    "kafka_consumergroup_lag_sum": "lag",
    "kafka_consumergroup_members": 0,
    "kafka_consumergroup_uncommitted_offsets": "lag",
    "kafka_consumer_lag_millis": None,
    "kafka_exporter_build_info": 1,
}
STRIMZI = {
    "kafka_server_brokertopicmetrics_messagesin_total": "messages",
    "kafka_server_brokertopicmetrics_bytesin_total": "bytes",
    "kafka_server_brokertopicmetrics_bytesout_total": 0,
    "kafka_server_brokertopicmetrics_totalproducerequests_total": "produces",
    "kafka_server_brokertopicmetrics_totalfetchrequests_total": 0,
    "kafka_server_brokertopicmetrics_failedproducerequests_total": 0,
    "kafka_server_brokertopicmetrics_failedfetchrequests_total": 0,
    "kafka_server_replicamanager_partitioncount": "all_partitions",
    "kafka_server_replicamanager_leadercount": "all_partitions",
    "kafka_server_replicamanager_underreplicatedpartitions": 0,
    "kafka_controller_kafkacontroller_activecontrollercount": 1,
    "kafka_controller_kafkacontroller_offlinepartitionscount": 0,
    "kafka_controller_controllerstats_uncleanleaderelections_total": 0,
    "kafka_cluster_partition_underminisr": 0,
    "kafka_cluster_partition_atminisr": 1,
    "kafka_cluster_partition_replicascount": 1,
    "kafka_log_log_size": "bytes",
    "kafka_network_socketserver_networkprocessoravgidle_percent": None,
    "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent": None,
    "kafka_server_kafkaserver_linux_disk_write_bytes": None,
    "kafka_server_kafkaserver_linux_disk_read_bytes": None,
    "kafka_server_socket_server_metrics_connection_count": None,
}
OTHERS = {
    "process_cpu_seconds_total": None,
    "process_start_time_seconds": None,
    "process_resident_memory_bytes": None,
    "process_virtual_memory_bytes": None,
    "process_open_fds": None,
    "process_max_fds": None,
    "odradek_build_info": 1,
    "odradek_group_lag_seconds": None,
    "odradek_commit_seconds_count": None,
    "odradek_requests_total": None,
}


class Prometheus:
    def __init__(self, target, labels=None):
        program = shutil.which("prometheus")
        if not program:
            raise harness.Unavailable("no prometheus: apt-get install prometheus")
        self.program = program
        self.target = target
        self.labels = labels or {}
        self.folder = os.path.join(harness.data_root(), f"prometheus-{os.getpid()}")
        self.process = None
        self.address = None

    def __enter__(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        with open(os.path.join(self.folder, "config.yml"), "w") as config:
            config.write(
                "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                "scrape_configs:\n  - job_name: odradek\n    static_configs:\n"
                f"      - targets: ['{self.target}']\n        labels: {json.dumps(self.labels)}\n"
            )
        wait_for("Prometheus runs", self.start)
        return self

    def start(self):
        """On a port that was free a moment ago; true once it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program,
                    f"--config.file={self.folder}/config.yml",
                    f"--storage.tsdb.path={self.folder}/data",
                    f"--web.listen-address={self.address}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def answers():
            try:
                self.ask("up")
                return True
            except OSError:
                return self.process.poll() is not None

        wait_for("Prometheus answers", answers)
        return self.process.poll() is None

    def __exit__(self, kind, error, trace):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, query):
        """The samples of an instant query: labels and value."""
        url = f"http://{self.address}/api/v1/query?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            result = json.load(answer)
        return [(row["metric"], float(row["value"][1])) for row in result["data"]["result"]]


def scraped(broker, topic, group, truth):
    """truth: what the words of the tables above stand for."""
    with Prometheus(broker.http) as server:
        wait_for("Prometheus has scraped twice", lambda: server.ask("count_over_time(up[1m]) > 1"))
        check(server.ask("up")[0][1] == 1, "Prometheus says that the target is down")
        ours = metrics(broker)
        wrong = []
        for name, meaning in {**EXPORTER, **STRIMZI, **OTHERS}.items():
            rows = server.ask(name)
            rows = [
                row
                for row in rows
                if row[0].get("topic", topic) == topic
                and row[0].get("consumergroup", group) == group
                and row[0].get("partition", "0") == "0"
                and not (name.endswith("_total") and "brokertopic" in name and "topic" not in row[0])
            ]
            wanted = truth.get(meaning, meaning)
            if len(rows) != 1 or (wanted is not None and rows[0][1] != wanted):
                wrong.append(f"{name}: {rows}, expected {wanted}")
        check(not wrong, "; ".join(wrong))
        names = {name for name, _ in ours.samples}

        def all_kept():
            return names <= {row[0]["__name__"] for row in server.ask('{job="odradek"}')}

        wait_for("Prometheus has kept every name", all_kept)
        lost = server.ask("scrape_samples_scraped - scrape_samples_post_metric_relabeling")
        check(lost[0][1] == 0, f"{lost[0][1]} samples were scraped and not kept")
        total = server.ask("scrape_samples_scraped")[0][1]
    return f"{len(names)} names, {total:.0f} series"
