"""config get, set, explain, check; errors."""

import os
import re

from harness import check


def case_get_and_set(shell):
    shell.run("topic", "create", "c-topic")
    shell.run("config", "get", "topic/c-topic").prints("KEY  VALUE  SOURCE\n")
    shell.run("config", "set", "topic/c-topic", "retention.ms=1000", "cleanup.policy=compact").prints(
        "changed topic/c-topic\n"
    ).warns("undo: odradek config set topic/c-topic --unset retention.ms --unset cleanup.policy")
    shell.run("config", "get", "topic/c-topic").says(r"^retention.ms +1000 +topic$", r"^cleanup.policy +compact +topic$")
    (one,) = shell.json("config", "get", "topic/c-topic", "retention.ms")
    check(one["value"] == "1000" and one["source"] == "topic" and one["type"] == "long" and one["doc"], f"{one}")
    everything = shell.json("config", "get", "topic/c-topic", "--all")
    check(len(everything) > 15 and any(c["source"] == "default" for c in everything), f"{len(everything)} keys")
    done = shell.run("config", "set", "topic/c-topic", "--unset", "cleanup.policy", "retention.ms=2000")
    undo = done.err.split("odradek ", 1)[1].split()
    shell.run(*undo)
    check(
        {c["key"]: c["value"] for c in shell.json("config", "get", "topic/c-topic")}
        == {"retention.ms": "1000", "cleanup.policy": "compact"},
        "the undo command did not undo",
    )
    shell.run("config", "set", "topic/c-topic", "retention.ms=5", "--dry-run").prints("would change topic/c-topic\n")
    check(shell.json("config", "get", "topic/c-topic", "retention.ms")[0]["value"] == "1000", "a dry run changed it")


def case_of_brokers_and_groups(shell):
    shell.run("config", "get", "broker/1", "num.partitions").says(r"^num.partitions +1 +\w+$")
    shell.run("config", "set", "cluster", "log.retention.ms=123456789").warns("undo: odradek config set cluster --unset log.retention.ms")
    shell.run("config", "get", "cluster").says(r"^log.retention.ms +123456789 +cluster$")
    shell.run("config", "get", "broker/1").says(r"^log.retention.ms +123456789 +cluster$")
    shell.run("config", "set", "cluster", "--unset", "log.retention.ms")
    shell.run("config", "get", "broker/1", "-o", "wide").says(r"^KEY +VALUE +SOURCE +TYPE +READ-ONLY +WHAT IT DOES$")
    names = shell.run("config", "get", "group/any", "--all", "-o", "name").lines()
    check("consumer.session.timeout.ms" in names, f"keys of a group are {names}")


def case_refused(shell):
    shell.run("config", "get", code=2).warns("needs to know whose configuration")
    shell.run("config", "get", "orders", code=2).warns('"orders" does not say whose', "topic/NAME")
    shell.run("config", "get", "topic/", code=2)
    shell.run("config", "get", "topic/c-none", code=3)
    shell.run("topic", "create", "c-no")
    shell.run("config", "get", "topic/c-no", "nonsense", code=3).warns('has no configuration "nonsense"')
    shell.run("config", "set", "topic/c-no", code=2).warns("nothing to set")
    shell.run("config", "set", "topic/c-no", "retention.ms", code=2).warns("is not KEY=VALUE")
    shell.run("config", "set", "topic/c-no", "retention.ms=soon", code=1).warns("cannot change topic/c-no", "INVALID")
    shell.run("config", "set", "topic/c-none", "retention.ms=1", code=3)
    shell.run("config", "set", "topic/c-no", "retention.ms=1", "-o", "xml", code=2)
    changed = shell.json("config", "set", "topic/c-no", "retention.ms=1")
    check(changed[0]["undo"] == "odradek config set topic/c-no --unset retention.ms", f"{changed}")


def case_explain(shell):
    shell.bare("config", "explain", "num.partitions").says("^num.partitions", "default +1")
    shell.bare("config", "explain", "num.partitoins", code=3).warns('did you mean "num.partitions"')
    shell.bare("config", "explain", code=2)
    (row,) = shell.bare("config", "explain", "num.partitions", "-o", "json").json()
    check(row["key"] == "num.partitions" and row["scope"] == "broker" and row["type"] == "int" and row["default"] == "1", f"{row}")
    check(row["status"] == "works" and row["update"] == "read-only" and row["valid"] and row["doc"], f"{row}")
    rows = shell.bare("config", "explain", "cleanup.policy", "-o", "json").json()
    check([r["scope"] for r in rows] == ["topic"], f"{rows}")
    shell.bare("config", "explain", "retention.ms", "-o", "yaml").says('^- key: "retention.ms"$', '^  scope: "topic"$', "^  synonyms: ")
    shell.bare("config", "explain", "retention.ms", "-o", "name").prints("retention.ms\n")
    shell.bare("config", "explain", "num.partitoins", "-o", "json", code=3).prints("").warns("did you mean")
    shell.bare("config", "explain", "num.partitions", "-o", "xml", code=2)
    retired = shell.bare("config", "explain", "zookeeper.connect").says("of older Kafkas").lines()[1].strip()
    (row,) = shell.bare("config", "explain", "zookeeper.connect", "-o", "json").json()
    check(row == {"key": "zookeeper.connect", "status": "of older Kafkas", "doc": retired}, f"{row}")


def case_check(shell):
    path = os.path.join(shell.home, "server.properties")
    with open(path, "w") as file:
        file.write("num.partitions=3\n")
    shell.bare("config", "check", path).says("0 errors")
    with open(path, "w") as file:
        file.write("num.partitions=three\nlog.retention.hours=never\n")
    shell.bare("config", "check", path, code=1).says("2 errors").warns("num.partitions", "log.retention.hours")
    found = shell.bare("config", "check", path, "-o", "json", code=1).json()
    check(found["file"] == path and found["errors"] == 2 and found["warnings"] == 0 and len(found["problems"]) == 2, f"{found}")
    for one in found["problems"]:
        check(one["code"].startswith("ODK-") and one["level"] == "error" and one["what"] and one["next"], f"{one}")
    shell.bare("config", "check", path, "-o", "yaml", code=1).says("^errors: 2$", '^  - code: "ODK-')
    with open(path, "w") as file:
        file.write("num.partitions=3\nnum.partitoins=4\n")
    found = shell.bare("config", "check", path, "-o", "jsonl").json()
    check(found["errors"] == 0 and [p["level"] for p in found["problems"]] == ["warn"], f"{found}")
    shell.bare("config", "check", path, "-o", "xml", code=2)
    shell.bare("config", "check", path + ".none", code=1)
    check(shell.bare("config", "check", path + ".none", "-o", "json", code=1).json()["errors"] == 1, "no error")
    shell.bare("config", "check", code=2)


def case_errors(shell):
    shell.bare("errors", "3").says(r"^3 UNKNOWN_TOPIC_OR_PARTITION \(kafka\)$", "no such topic")
    shell.bare("errors", "not_leader_or_follower").says("^6 NOT_LEADER", "next: Clients try again")
    shell.bare("errors", "ODK-1002").says(r"^ODK-1002 \w+ \(warn\)$", "next: ")
    listed = shell.bare("errors", "-o", "json").json()
    codes = [one["code"] for one in listed]
    check("ODK-1002" in codes and "3" in codes and len(codes) == len(set(codes)) > 150, f"{len(codes)} codes")
    shell.bare("errors").says("^CODE +NAME +WHAT IT SAYS$")
    shell.bare("errors", "REQUEST_TIMED_OT", code=3).warns("did you mean REQUEST_TIMED_OUT")
    shell.bare("errors", "qqqq", code=3).warns('no error "qqqq"$')
    shell.bare("errors", "3", "-o", "xml", code=2)


def case_codes_are_in_the_catalogue(shell):
    """What an error is called, `odradek errors` explains."""
    for words, code in (
        (["topic", "info", "c-none"], 3),
        (["group", "info", "c-none"], 3),
        (["topic", "lss"], 2),
        (["topic", "create", "__consumer_offsets"], 5),
        (["topic", "create", "a b"], 1),
    ):
        done = shell.bare(*words, *([] if code == 2 else ["-b", shell.address]), code=code)
        found = re.match(r"error (ODK-\d{4}): \S", done.err)
        check(found, f"no code in {done}")
        shell.bare("errors", found[1]).says(f"^{found[1]} \\w+ \\(error\\)$")
