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


def case_check(shell):
    path = os.path.join(shell.home, "server.properties")
    with open(path, "w") as file:
        file.write("num.partitions=3\n")
    shell.bare("config", "check", path).says("0 errors")
    with open(path, "w") as file:
        file.write("num.partitions=three\nlog.retention.hours=never\n")
    shell.bare("config", "check", path, code=1).says("2 errors").warns("num.partitions", "log.retention.hours")
    shell.bare("config", "check", path + ".none", code=1)
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
