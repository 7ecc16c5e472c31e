"""What known Grafana boards ask of Prometheus, asked of one that scrapes a broker, and the values
compared with what was sent.

The table is ours, one row for each query of a board: how its samples are put together, the series,
what it selects, by what it groups, and what the answer must be. The boards [all read in 2026]:

  7589      Kafka Exporter Overview: both versions in danielqsj/kafka_exporter
            (kafka_exporter_overview.json, kafka-mixin/dashboards/kafka-overview.json)
  exporter  Strimzi's strimzi-kafka-exporter.json
  kafka     Strimzi's strimzi-kafka.json
  lag       Strimzi's strimzi-kafka-consumer-groups-lag.json
"""

import os
import re
import struct

from prometheus import Prometheus
from web import HERE, batch, check, commit, metrics, now_ms, produce, raw, wait_for

# Labels that Kubernetes and Strimzi give a target; the boards' variables hold their values.
TARGET = {
    "namespace": "kafka",
    "strimzi_io_cluster": "one",
    "strimzi_io_name": "one-kafka",
    "kubernetes_pod_name": "one-kafka-0",
    "container": "kafka",
}
CLUSTER = 'namespace="kafka",strimzi_io_cluster="one"'
ANY_CLUSTER = 'namespace=~"kafka",strimzi_io_cluster=~"one"'
BROKER = CLUSTER + ',kubernetes_pod_name=~"one-.*"'
POD = 'namespace="kafka",kubernetes_pod_name=~"one-.*",container="kafka"'
EACH_TOPIC = BROKER + ',topic=~".+",topic!=""'
TOPICS = 'topic=~"fed|quiet|seen"'
STILL = 'topic=~"quiet|seen"'  # exact while records go to "fed"
GROUPS = 'consumergroup=~"follower|viewer|worker",' + TOPICS
STILL_GROUPS = 'consumergroup=~"viewer|worker",' + STILL
INSTANCE = 'instance=~".+",'

# Of the boards, but not of a broker without a JVM, or of a broker at all: docs/metrics.md says why.
ABSENT = (
    "jvm_memory_bytes_used",
    "jvm_gc_collection_seconds_sum",
    "jvm_gc_collection_seconds_count",
    "jvm_threads_current",
    "container_memory_working_set_bytes",
    "kubelet_volume_stats_available_bytes",
)


def positive(value):
    return value > 0


def percent(value):
    return 0 <= value <= 100


def at_least_zero(value):
    return value >= 0


ALL_PARTITIONS = 2 + 1 + 1 + 50  # seen, quiet, fed, __consumer_offsets
POD_NAME = ("one-kafka-0",)

# (board, form of the query, series, selected, grouped by, answer). In the form, S stands for the
# series with its selection. The answer: a number or a test of one; by group: {labels: answer}.
ROWS = (
    # 7589, first version
    ("7589", "sum(rate(S[1m])) by (topic)", "kafka_topic_partition_current_offset",
     'topic!="__consumer_offsets"', ("topic",), {("fed",): positive, ("quiet",): 0, ("seen",): 0}),
    ("7589", "sum(S) by (consumergroup, topic)", "kafka_consumergroup_lag", "",
     ("consumergroup", "topic"),
     {("viewer", "seen"): 2, ("worker", "seen"): 0, ("follower", "fed"): positive}),
    ("7589", "sum by (topic) (S)", "kafka_topic_partitions", 'topic!="__consumer_offsets"',
     ("topic",), {("fed",): 1, ("quiet",): 1, ("seen",): 2}),
    # 7589, later version
    ("7589", "sum(S) by (consumergroup, topic, partition)", "kafka_consumer_lag_millis",
     INSTANCE + STILL_GROUPS, ("consumergroup", "topic", "partition"),
     {("viewer", "seen", "0"): lambda ms: 3600_000 <= ms < 7200_000, ("worker", "seen", "0"): 0}),
    ("7589", "sum(S) by (consumergroup, topic, partition)",
     "kafka_consumergroup_uncommitted_offsets", INSTANCE + STILL_GROUPS,
     ("consumergroup", "topic", "partition"),
     {("viewer", "seen", "0"): 2, ("worker", "seen", "0"): 0}),
    ("7589", "sum(delta(S[5m])/5) by (topic)", "kafka_topic_partition_current_offset",
     INSTANCE + TOPICS, ("topic",), {("fed",): positive, ("quiet",): 0, ("seen",): 0}),
    ("7589", "sum(delta(S[5m])/5) by (consumergroup, topic, partition)",
     "kafka_consumergroup_current_offset", INSTANCE + GROUPS,
     ("consumergroup", "topic", "partition"),
     {("follower", "fed", "0"): positive, ("viewer", "seen", "0"): 0, ("worker", "seen", "0"): 0}),
    ("7589", "sum(S) by (consumergroup, topic, partition)", "kafka_consumergroup_current_offset",
     INSTANCE + STILL_GROUPS, ("consumergroup", "topic", "partition"),
     {("viewer", "seen", "0"): 3, ("worker", "seen", "0"): 5}),
    ("7589", "count(S) by (consumergroup)", "kafka_consumergroup_members", "", ("consumergroup",),
     {("follower",): 1, ("viewer",): 1, ("worker",): 1}),
    # Strimzi's exporter board
    ("exporter", "S", "kafka_exporter_build_info", CLUSTER, ("namespace", "strimzi_io_cluster"),
     {("kafka", "one"): 1}),
    ("exporter", "count(S)", "kafka_topic_partitions", TOPICS, (), 3),
    ("exporter", "sum(S)", "kafka_topic_partitions", TOPICS, (), 4),
    ("exporter", "sum(S)", "kafka_topic_partition_replicas", TOPICS, (), 4),
    ("exporter", "sum(S)", "kafka_topic_partition_in_sync_replica", TOPICS, (), 4),
    ("exporter", "sum(S)", "kafka_topic_partition_under_replicated_partition", TOPICS, (), 0),
    ("exporter", "sum(S)", "kafka_cluster_partition_atminisr", TOPICS, (), 4),
    ("exporter", "sum(S)", "kafka_cluster_partition_underminisr", TOPICS, (), 0),
    ("exporter", "count(S<1)", "kafka_topic_partition_leader_is_preferred", TOPICS, (), None),
    ("exporter", "sum(rate(S[1m])) by (topic)", "kafka_topic_partition_current_offset", TOPICS,
     ("topic",), {("fed",): positive, ("quiet",): 0, ("seen",): 0}),
    ("exporter", "sum(delta(S[1m])/60) by (consumergroup, topic)",
     "kafka_consumergroup_current_offset", GROUPS, ("consumergroup", "topic"),
     {("follower", "fed"): positive, ("viewer", "seen"): 0, ("worker", "seen"): 0}),
    ("exporter", "sum(S) by (consumergroup, topic)", "kafka_consumergroup_lag", STILL_GROUPS,
     ("consumergroup", "topic"), {("viewer", "seen"): 2, ("worker", "seen"): 0}),
    ("exporter", "sum(S) by (consumergroup,partition,topic)", "kafka_consumergroup_current_offset",
     STILL_GROUPS, ("consumergroup", "partition", "topic"),
     {("viewer", "0", "seen"): 3, ("worker", "0", "seen"): 5}),
    ("exporter", "sum(S) by (consumergroup,partition,topic)", "kafka_consumergroup_lag",
     STILL_GROUPS, ("consumergroup", "partition", "topic"),
     {("viewer", "0", "seen"): 2, ("worker", "0", "seen"): 0}),
    ("exporter", "sum(S) by (topic)", "kafka_topic_partitions", TOPICS, ("topic",),
     {("fed",): 1, ("quiet",): 1, ("seen",): 2}),
    ("exporter", "sum(S) by (partition,topic)", "kafka_topic_partition_current_offset", STILL,
     ("partition", "topic"), {("0", "quiet"): 0, ("0", "seen"): 5, ("1", "seen"): 0}),
    ("exporter", "sum(S) by (partition,topic)", "kafka_topic_partition_oldest_offset", STILL,
     ("partition", "topic"), {("0", "quiet"): 0, ("0", "seen"): 1, ("1", "seen"): 0}),
    # Strimzi's board of the brokers
    ("kafka", "count(S)", "kafka_server_replicamanager_leadercount", CLUSTER, (), 1),
    ("kafka", "sum(S)", "kafka_controller_kafkacontroller_activecontrollercount", CLUSTER, (), 1),
    ("kafka", "sum(irate(S[5m]))", "kafka_controller_controllerstats_uncleanleaderelections_total",
     CLUSTER, (), 0),
    ("kafka", "sum(S)", "kafka_server_replicamanager_partitioncount", CLUSTER, (), ALL_PARTITIONS),
    ("kafka", "sum(S)", "kafka_server_replicamanager_underreplicatedpartitions", CLUSTER, (), 0),
    ("kafka", "sum(S)", "kafka_cluster_partition_atminisr", CLUSTER, (), ALL_PARTITIONS),
    ("kafka", "sum(S)", "kafka_cluster_partition_underminisr", CLUSTER, (), 0),
    ("kafka", "sum(S)", "kafka_controller_kafkacontroller_offlinepartitionscount", CLUSTER, (), 0),
    ("kafka", "sum(rate(S[5m])) by (kubernetes_pod_name)", "process_cpu_seconds_total", POD,
     ("kubernetes_pod_name",), {POD_NAME: at_least_zero}),
    ("kafka", "sum(S) by (kubernetes_pod_name)", "process_open_fds", POD, ("kubernetes_pod_name",),
     {POD_NAME: positive}),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_bytesin_total", EACH_TOPIC, (),
     positive),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_bytesout_total", EACH_TOPIC, (),
     positive),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_messagesin_total", EACH_TOPIC,
     (), positive),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_totalproducerequests_total",
     EACH_TOPIC, (), positive),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_failedproducerequests_total",
     EACH_TOPIC, (), positive),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_totalfetchrequests_total",
     EACH_TOPIC, (), positive),
    ("kafka", "sum(irate(S[1m]))", "kafka_server_brokertopicmetrics_failedfetchrequests_total",
     EACH_TOPIC, (), positive),
    ("kafka", "sum(S*100) by (kubernetes_pod_name)",
     "kafka_network_socketserver_networkprocessoravgidle_percent", BROKER,
     ("kubernetes_pod_name",), {POD_NAME: percent}),
    ("kafka", "sum(S*100) by (kubernetes_pod_name)",
     "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", BROKER,
     ("kubernetes_pod_name",), {POD_NAME: percent}),
    ("kafka", "sum(irate(S[1m])) by (kubernetes_pod_name)",
     "kafka_server_kafkaserver_linux_disk_write_bytes", BROKER, ("kubernetes_pod_name",),
     {POD_NAME: at_least_zero}),
    ("kafka", "sum(irate(S[1m])) by (kubernetes_pod_name)",
     "kafka_server_kafkaserver_linux_disk_read_bytes", BROKER, ("kubernetes_pod_name",),
     {POD_NAME: at_least_zero}),
    ("kafka", "sum(S) by (kubernetes_pod_name, listener)",
     "kafka_server_socket_server_metrics_connection_count", BROKER,
     ("kubernetes_pod_name", "listener"), {("one-kafka-0", "PLAINTEXT"): 2}),
    ("kafka", "S", "kafka_log_log_size", BROKER + ',topic=~"seen",partition=~".*"',
     ("topic", "partition"), {("seen", "0"): "bytes", ("seen", "1"): 0}),
    ("kafka", "count(S) by (topic)", "kafka_cluster_partition_replicascount",
     BROKER + ',topic!="__consumer_offsets"', ("topic",),
     {("fed",): 1, ("quiet",): 1, ("seen",): 2}),
    # Strimzi's board of groups
    ("lag", "count(count(S>0) by (consumergroup))", "kafka_consumergroup_members", ANY_CLUSTER, (),
     1),
    ("lag", "count(count(S==0) by (consumergroup))", "kafka_consumergroup_members", ANY_CLUSTER,
     (), 2),
    ("lag", "count(count((S)>0) by (consumergroup))+count(count((S)==0) by (consumergroup))",
     "kafka_consumergroup_lag", ANY_CLUSTER, (), 3),
    ("lag", "count(count((S)>0) by (consumergroup))", "kafka_consumergroup_lag", ANY_CLUSTER, (),
     2),
    ("lag", "count(count((S)==0) by (consumergroup))", "kafka_consumergroup_lag", ANY_CLUSTER, (),
     1),
    ("lag", "count(S>0) by (consumergroup)", "kafka_consumergroup_members", ANY_CLUSTER,
     ("consumergroup",), {("worker",): 1}),
    ("lag", "S and on (consumergroup) kafka_consumergroup_members{" + ANY_CLUSTER + "}>0",
     "kafka_consumergroup_lag", ANY_CLUSTER, ("consumergroup", "topic", "partition"),
     {("worker", "seen", "0"): 0}),
    ("lag", "S and on (consumergroup) kafka_consumergroup_members{" + ANY_CLUSTER + "}==0",
     "kafka_consumergroup_lag", ANY_CLUSTER, ("consumergroup", "topic", "partition"),
     {("viewer", "seen", "0"): 2, ("follower", "fed", "0"): positive}),
)


def join(client, group):
    """A member of a classic group, its only one; it stays for as long as the sessions here last."""
    protocol = raw.text("range") + struct.pack(">i", 0)
    answer = client.call(
        11,
        2,
        raw.text(group) + struct.pack(">ii", 300_000, 300_000) + raw.text("") + raw.text("consumer"),
        raw.array([protocol]),
    )
    _throttle, code, generation = answer.take("ihi")
    raw.expect(f"JoinGroup of {group}", code)
    answer.text()
    answer.text()
    member = answer.text()
    assignment = raw.text(member) + struct.pack(">i", 0)
    answer = client.call(
        14,
        1,
        raw.text(group) + struct.pack(">i", generation) + raw.text(member),
        raw.array([assignment]),
    )
    raw.expect(f"SyncGroup of {group}", answer.take("ih")[1])


def feed(client):
    """One step of every kind of traffic: records, a commit one step behind, failures."""
    base = produce(client, "fed", 0, batch([now_ms()] * 10))
    commit(client, "follower", "fed", {0: base})
    code, _ = client.fetch("fed", 0, base)
    raw.expect("Fetch of fed", code)
    code, _ = client.fetch("fed", 0, base + 1_000_000)
    check(code == 1, f"a Fetch beyond the end was answered with {code}")
    broken = bytearray(batch([now_ms()]))
    broken[-1] ^= 1
    try:
        produce(client, "fed", 0, bytes(broken))
    except raw.Refused as refused:
        check(refused.code == 2, f"a broken batch was answered with {refused.code}")
    else:
        check(False, "a broken batch was taken")


def query_of(row):
    _board, form, series, selected, _by, _answer = row
    return re.sub(r"\bS\b", lambda _: f"{series}{{{selected}}}" if selected else series, form)


def fits(value, answer):
    return answer(value) if callable(answer) else value == answer


def unlike(server, row, facts):
    """What is wrong with the answer to a row's query; None: nothing."""
    by, answer = row[4], row[5]
    query = query_of(row)
    rows = server.ask(query)
    if answer is None:
        return f"{query}: {rows}, expected nothing" if rows else None
    if not by:
        good = len(rows) == 1 and fits(rows[0][1], answer)
        return None if good else f"{query}: {rows}"
    found = {tuple(labels.get(name) for name in by): value for labels, value in rows}
    good = (
        len(found) == len(rows)
        and found.keys() == answer.keys()
        and all(fits(found[key], facts.get(want, want)) for key, want in answer.items())
    )
    return None if good else f"{query}: {found}"


def asked(broker):
    with open(os.path.join(HERE, "..", "..", "docs", "metrics.md")) as page:
        reasons = page.read()
    for name in ABSENT:
        check(not metrics(broker).of(name), f"{name} is told")
        check(f"`{name}`" in reasons, f"docs/metrics.md does not say why {name} is not here")
    data = batch([now_ms() - 3600_000] * 5)
    with raw.Client(broker.address) as client, raw.Client(broker.address) as member:
        for topic, partitions in (("seen", 2), ("quiet", 1), ("fed", 1)):
            client.create_topic(topic, partitions)
        produce(client, "seen", 0, data)
        client.delete_records("seen", [1, 0])
        commit(client, "viewer", "seen", {0: 3})
        commit(client, "worker", "seen", {0: 5})
        join(member, "worker")
        feed(client)
        facts = {"bytes": metrics(broker).value("kafka_log_log_size", topic="seen", partition=0)}
        check(facts["bytes"] == len(data), f"the log of seen has {facts['bytes']} bytes")
        with Prometheus(broker.http, TARGET) as server:
            wrong = [""]

            def all_right():
                feed(client)
                wrong[:] = filter(None, (unlike(server, row, facts) for row in ROWS))
                return not wrong

            try:
                wait_for("every query has its answer", all_right)
            except Exception as error:
                raise type(error)("; ".join(wrong)) from error
    return f"{len(ROWS)} queries of {len({row[0] for row in ROWS})} boards"
