"""Brokers that are not ours: one that knows old versions only and denies everything, one that lacks
APIs. Made here, of the few bytes they have to say."""

import socket
import struct
import threading

from harness import check

API_VERSIONS, METADATA, CREATE_TOPICS, LIST_GROUPS = 18, 3, 19, 16


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Stranger:
    """Answers each request by answers[api key](version); ApiVersions lists versions."""

    def __init__(self, versions, answers):
        self.versions, self.answers = versions, answers
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.close()
        self.thread.join()

    def serve(self):
        peer = self.server.accept()[0]
        with peer, peer.makefile("rwb") as stream:
            while True:
                size = stream.read(4)
                if len(size) < 4:
                    return
                frame = stream.read(struct.unpack(">i", size)[0])
                key, version, correlation = struct.unpack(">hhi", frame[:8])
                if key == API_VERSIONS:  # an old broker answers in version 0: it has no other
                    rows = b"".join(struct.pack(">hhh", *row) for row in self.versions)
                    body = struct.pack(">hi", 35, len(self.versions)) + rows
                else:
                    body = self.answers[key](version)
                answer = struct.pack(">i", correlation) + body
                stream.write(struct.pack(">i", len(answer)) + answer)
                stream.flush()


def metadata_of_one_topic(version, error=0):
    """Version 4: throttle, brokers, cluster id, controller, topics."""
    check(version == 4, f"Metadata came in version {version}")
    broker = struct.pack(">i", 1) + struct.pack(">i", 7) + text("host") + struct.pack(">ih", 9092, -1)
    topic = struct.pack(">h", error) + text("t") + b"\0" + struct.pack(">i", 0)
    return struct.pack(">i", 0) + broker + text("cluster") + struct.pack(">i", 7) + struct.pack(">i", 1) + topic


def case_old_versions(shell):
    with Stranger([(METADATA, 0, 4)], {METADATA: metadata_of_one_topic}) as old:
        shell.bare("topic", "ls", "-b", old.address).says(r"^t +0$")
    with Stranger([(METADATA, 0, 4)], {}) as old:
        shell.bare("group", "ls", "-b", old.address, code=1).warns("does not have ListGroups")


def case_denied(shell):
    def denied(version):
        check(version == 2, f"CreateTopics came in version {version}")
        return struct.pack(">ii", 0, 1) + text("t") + struct.pack(">h", 29) + text("no CREATE for you")

    with Stranger([(CREATE_TOPICS, 0, 2)], {CREATE_TOPICS: denied}) as strict:
        shell.bare("topic", "create", "t", "-b", strict.address, code=4).warns(
            'cannot create topic "t"', r"no CREATE for you \(TOPIC_AUTHORIZATION_FAILED\)"
        )
    with Stranger([(METADATA, 0, 4)], {METADATA: lambda v: metadata_of_one_topic(v, 29)}) as strict:
        shell.bare("topic", "info", "t", "-b", strict.address, code=4).warns("TOPIC_AUTHORIZATION_FAILED")

    def group_denied(version):
        check(version == 0, f"ListGroups came in version {version}")
        return struct.pack(">hi", 30, 0)

    with Stranger([(LIST_GROUPS, 0, 0)], {LIST_GROUPS: group_denied}) as strict:
        shell.bare("group", "ls", "-b", strict.address, code=4).warns("groups cannot be listed")


def case_error_of_no_name(shell):
    with Stranger([(METADATA, 0, 4)], {METADATA: lambda v: metadata_of_one_topic(v, 999)}) as odd:
        shell.bare("topic", "info", "t", "-b", odd.address, code=1).warns("answered with error 999")


def case_answers_that_make_no_sense(shell):
    for body in (b"", b"\0\0\0\0\x7f\xff\xff\xff", b"\xff" * 40):
        with Stranger([(METADATA, 0, 4)], {METADATA: lambda v, body=body: body}) as odd:
            shell.bare("topic", "ls", "-b", odd.address, code=1).warns("no sensible answer to Metadata")


def case_topics_that_nobody_makes(shell):
    """Where the broker makes no topics by itself, pub says so at once."""
    with Stranger([(METADATA, 0, 4)], {METADATA: lambda v: metadata_of_one_topic(v, 3)}) as strict:
        shell.bare("pub", "tt", "value", "-b", strict.address, code=3).warns('topic "tt" not found')
