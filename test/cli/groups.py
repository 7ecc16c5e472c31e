"""group ls, info, rewind, rm; with a member that is kcat."""

import subprocess
import time

from harness import check
from shell import eventually


def consume(shell, group, topic, count):
    """Reads so many records as a member of the group, which commits and leaves."""
    subprocess.run(
        ["kcat", "-b", shell.address, "-q", "-c", str(count), "-X", "auto.offset.reset=earliest", "-G", group, topic],
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


def offsets(shell, group):
    (info,) = shell.json("group", "info", group)
    return {(p["topic"], p["partition"]): p["committed"] for p in info["partitions"] if p["committed"] is not None}


def case_partitions_nobody_has_committed(shell):
    """They are shown, as Kafka's tool does it: without an offset and a lag."""
    shell.run("topic", "create", "g-part", "g-other", "-p", 3)
    shell.run("pub", "g-part", "-f", "%p|%v", stdin="0|a\n2|b\n2|c\n")
    shell.run("group", "rewind", "g-partly", "--topic", "g-part", "-p", 1, "--to-start")
    shell.run("group", "info", "g-partly").says(
        r"^GROUP g-partly .* LAG 0 ",
        r"^g-part +0 +- +1 +- +- +-$",
        r"^g-part +1 +0 +0 +0 +0\.0 +-$",
        r"^g-part +2 +- +2 +- +- +-$",
    )
    (info,) = shell.json("group", "info", "g-partly")
    rows = [(p["topic"], p["partition"], p["start"], p["committed"], p["end"], p["lag"]) for p in info["partitions"]]
    check(rows == [("g-part", 0, 0, None, 1, None), ("g-part", 1, 0, 0, 0, 0), ("g-part", 2, 0, None, 2, None)], f"{rows}")
    shell.run("group", "info", "g-partly", "-o", "wide").says(r"^TOPIC +PARTITION +START +COMMITTED +END ")
    shell.run("group", "rm", "g-partly", "-y").warns(r"--offsets g-part:1=0$")


def case_list_and_info(shell):
    shell.run("topic", "create", "g-topic", "-p", 2)
    shell.run("pub", "g-topic", "-f", "%p|%v", stdin="0|a\n0|b\n1|c\n")
    consume(shell, "g-readers", "g-topic", 3)
    shell.run("group", "ls").says(r"^GROUP +STATE$", r"^g-readers +Empty$")
    shell.run("group", "ls", "-o", "wide").says(r"^g-readers +Empty +[cC]lassic +consumer$")
    check("g-readers" in shell.run("group", "ls", "-o", "name").lines(), "-o name has no g-readers")
    listed = [g for g in shell.json("group", "ls") if g["group"] == "g-readers"]
    check(listed and listed[0]["state"] == "Empty", f"{listed}")
    shell.run("pub", "g-topic", "-f", "%p|%v", stdin="0|d\n0|e\n")
    shell.run("group", "info", "g-readers").says(
        r"^GROUP g-readers  STATE Empty  ASSIGNOR -  MEMBERS 0  LAG 2  SECONDS \d+\.\d$",
        r"^TOPIC +PARTITION +COMMITTED +END +LAG +SECONDS +CLIENT$",
        r"^g-topic +0 +2 +4 +2 +\d+\.\d +-$",
        r"^g-topic +1 +1 +1 +0 +0\.0 +-$",
    )
    (info,) = shell.json("group", "info", "g-readers")
    check(info["lag"] == 2 and 0 <= info["lag_seconds"] < 600, f"{info}")
    check(info["partitions"][1]["lag_seconds"] == 0, f"{info}")
    shell.run("group", "info", "g-reader", code=3).warns('did you mean "g-readers"', "odradek group ls")


def case_lag_in_seconds(shell):
    """The oldest unread record was written an hour ago, says its own timestamp."""
    shell.run("topic", "create", "g-old")
    now = int(time.time() * 1000)
    shell.run("pub", "g-old", "-f", "%T|%v", stdin=f"{now - 3600000}|a\n{now}|b\n")
    shell.run("group", "rewind", "g-clock", "--topic", "g-old", "--to-start")
    (info,) = shell.json("group", "info", "g-clock")
    check(3599 < info["lag_seconds"] < 3600 + 120, f"{info}")
    shell.run("group", "rewind", "g-clock", "--to", 1)
    (info,) = shell.json("group", "info", "g-clock")
    check(0 <= info["lag_seconds"] < 120, f"{info}")


def case_rewind(shell):
    shell.run("topic", "create", "g-rewind", "-p", 2, "-c", "retention.ms=-1")
    shell.run("pub", "g-rewind", "-f", "%p|%T|%v", stdin="".join(f"{p}|{t * 1000}|x\n" for t in range(1, 6) for p in range(2)))
    topic = ["--topic", "g-rewind"]
    done = shell.run("group", "rewind", "g-w", "--to-end", *topic)
    done.says(r"^GROUP g-w  RESULT rewound$", r"^TOPIC +PARTITION +FROM +TO +END$", r"^g-rewind +0 +- +5 +5$")
    done.warns("undo: odradek group rewind g-w --offsets g-rewind:0=none,g-rewind:1=none")

    def at(*wanted):
        got = offsets(shell, "g-w")
        check(got == {("g-rewind", p): o for p, o in enumerate(wanted)}, f"offsets are {got}, not {wanted}")

    at(5, 5)
    shell.run("group", "rewind", "g-w", "--by", -2).warns("undo: .*g-rewind:0=5,g-rewind:1=5")
    at(3, 3)
    shell.run("group", "rewind", "g-w", "--by", "+1", *topic, "-p", 1)
    at(3, 4)
    shell.run("group", "rewind", "g-w", "--to-time", "@3000")
    at(2, 2)
    shell.run("group", "rewind", "g-w", "--to-time", "now")
    at(5, 5)
    shell.run("group", "rewind", "g-w", "--to", 99)  # what is not there cannot be read
    at(5, 5)
    planned = shell.json("group", "rewind", "g-w", "--to-start", "--dry-run")
    check(planned["result"] == "would rewind" and planned["partitions"][0]["to"] == 0, f"{planned}")
    at(5, 5)
    shell.run("group", "rewind", "g-w", "--offsets", "g-rewind:0=1,g-rewind:1=none")
    check(offsets(shell, "g-w") == {("g-rewind", 0): 1}, "one offset was to be forgotten")
    done = shell.json("group", "rewind", "g-w", "--to-start")
    undo = done["undo"].split()
    shell.run(*undo[1:])
    check(offsets(shell, "g-w") == {("g-rewind", 0): 1}, "the undo command did not undo")


def case_rewind_refused(shell):
    shell.run("topic", "create", "g-no")
    for words, why in (
        ([], "one place to go to"),
        (["--to-start", "--to-end"], "one place to go to"),
        (["--to", "x"], "is not an offset"),
        (["--by", "much"], "is not a number of records"),
        (["--to-time", "later"], "is not a time"),
        (["--to-start", "-p", "0"], "--partition needs --topic"),
        (["--to-start", "-p", "x"], "is not the number of a partition"),
        (["--offsets", "g-no:0"], "is not TOPIC:PARTITION=OFFSET"),
        (["--offsets", "g-no:0=1", "--topic", "g-no"], "names its topics"),
        (["--to-start", "-o", "xml"], "no format"),
    ):
        shell.run("group", "rewind", "g-nobody", *words, code=2).warns(why)
    shell.run("group", "rewind", "g-nobody", "--to-start", code=3).warns('group "g-nobody" not found')
    shell.run("group", "rewind", "g-nobody", "--to-start", "--topic", "g-nix", code=3).warns("topic")
    shell.run("group", "rewind", "g-nobody", "--to-start", "--topic", "g-no", "-p", 3, code=3).warns("no partition 3")
    shell.run("group", "rewind", "g-nobody", "--by", 1, "--topic", "g-no", code=1).warns("nothing to move")


def case_active_groups_are_left_alone(shell):
    shell.run("topic", "create", "g-busy")
    shell.run("pub", "g-busy", "x")
    member = subprocess.Popen(
        ["kcat", "-b", shell.address, "-q", "-X", "auto.offset.reset=earliest", "-X", "client.id=busy-one", "-G", "g-active", "g-busy"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def stable():
        done = shell.run("group", "info", "g-active", "-o", "json", code=None)
        info = done.json()[0] if done.code == 0 else {"state": "", "partitions": []}
        return info if info["state"] == "Stable" and info["partitions"] else None

    try:
        info = eventually(stable, "the group to be stable")
        check(info["member_count"] == 1 and info["members"][0]["client"] == "busy-one", f"{info}")
        check(info["partitions"][0]["client"] == "busy-one" and info["assignor"], f"{info}")
        shell.run("group", "info", "g-active").says(r"^MEMBER +CLIENT +HOST +PARTITIONS$", r"^busy-one-\S+ +busy-one +\S+ +1$")
        for words in (["rewind", "g-active", "--to-start"], ["rm", "g-active", "-y"]):
            shell.run("group", *words, code=5).warns("it is in use", "Stable with 1 member", "stop its members")
    finally:
        member.terminate()
        member.wait(30)
    eventually(lambda: shell.json("group", "info", "g-active")[0]["state"] == "Empty", "the member to leave")
    shell.run("group", "rewind", "g-active", "--to-start", "--topic", "g-busy")


def case_rm(shell):
    shell.run("topic", "create", "g-rm-topic")
    shell.run("group", "rewind", "g-rm", "--topic", "g-rm-topic", "--to-end")
    shell.run("group", "rm", "g-rm", code=2).warns("nobody can confirm")
    shell.run("group", "rm", "g-rm", "--dry-run").prints("would delete g-rm\n")
    shell.terminal("group", "rm", "g-rm", answers=["no"], code=2).says("another name")
    done = shell.run("group", "rm", "g-rm", "--yes").prints("deleted g-rm\n")
    done.warns("undo: odradek group rewind g-rm --offsets g-rm-topic:0=0")
    shell.run("group", "rm", "g-rm", "--yes", code=3).warns("not found")
    shell.run("group", "rewind", "g-rm", "--offsets", "g-rm-topic:0=0")
    check(shell.json("group", "rm", "g-rm", "-y")[0]["result"] == "deleted", "it was not deleted")
