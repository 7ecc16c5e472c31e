"""The admin calls of the two Python clients: create, describe, grow, delete topics, and the errors.

    admin.py confluent|kafka-python HOST:PORT      prints what was done; exit 1 with the reason
"""

import sys
import time


def check(condition, why):
    if not condition:
        sys.exit(why)


def wait_for(condition, why):
    deadline = time.monotonic() + 10
    while not condition():
        check(time.monotonic() < deadline, why)
        time.sleep(0.1)


def confluent(address):
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import (
        AdminClient,
        ConfigResource,
        NewPartitions,
        NewTopic,
        ResourceType,
    )

    admin = AdminClient({"bootstrap.servers": address})

    def done(futures):
        for future in futures.values():
            future.result(20)

    def partitions(name):
        topics = admin.list_topics(timeout=10).topics
        return len(topics[name].partitions) if name in topics else None

    new = NewTopic(
        "admin-c", num_partitions=2, replication_factor=1, config={"cleanup.policy": "compact"}
    )
    done(admin.create_topics([NewTopic("admin-dry", 1, 1)], validate_only=True))
    check(partitions("admin-dry") is None, "validate_only created the topic")
    done(admin.create_topics([new]))
    wait_for(lambda: partitions("admin-c") == 2, "the topic does not have 2 partitions")
    try:
        done(admin.create_topics([new]))
        sys.exit("creating a topic twice was no error")
    except KafkaException as error:
        check(error.args[0].name() == "TOPIC_ALREADY_EXISTS", f"creating it twice: {error}")
    done(admin.create_partitions([NewPartitions("admin-c", 5)]))
    wait_for(lambda: partitions("admin-c") == 5, "the topic does not have 5 partitions")
    configs = list(
        admin.describe_configs([ConfigResource(ResourceType.TOPIC, "admin-c")]).values()
    )[0].result(20)
    check(
        configs["cleanup.policy"].value == "compact",
        f"cleanup.policy is {configs['cleanup.policy']}",
    )
    check(len(configs) >= 25, f"only {len(configs)} topic configs are described")
    brokers = admin.describe_cluster().result(20)
    check(
        len(brokers.nodes) == 1 and f"{brokers.nodes[0].host}:{brokers.nodes[0].port}" == address,
        f"the cluster is {brokers.nodes}",
    )
    node = str(brokers.nodes[0].id)
    configs = list(admin.describe_configs([ConfigResource(ResourceType.BROKER, node)]).values())[
        0
    ].result(20)
    check("log.retention.ms" in configs, "log.retention.ms is not among the broker configs")
    done(admin.delete_topics(["admin-c"]))
    wait_for(lambda: partitions("admin-c") is None, "the deleted topic is still listed")
    return "create, validate only, twice, grow, configs, cluster, delete"


def kafka_python(address):
    from kafka import KafkaAdminClient
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError

    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic("admin-k", num_partitions=3, replication_factor=1)])
    wait_for(lambda: "admin-k" in admin.list_topics(), "the topic is not listed")
    try:
        admin.create_topics([NewTopic("admin-k", num_partitions=3, replication_factor=1)])
        sys.exit("creating a topic twice was no error")
    except TopicAlreadyExistsError:
        pass
    described = admin.describe_topics(["admin-k"])[0]
    check(len(described["partitions"]) == 3, f"described as {described}")
    cluster = admin.describe_cluster()
    check(len(cluster["brokers"]) == 1, f"the cluster is {cluster}")
    admin.delete_topics(["admin-k"])
    wait_for(lambda: "admin-k" not in admin.list_topics(), "the deleted topic is still listed")
    admin.close()
    return "create, twice, describe, cluster, delete"


print({"confluent": confluent, "kafka-python": kafka_python}[sys.argv[1]](sys.argv[2]))
