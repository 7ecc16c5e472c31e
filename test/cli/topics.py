"""topic ls, create, info, edit, stats, rm."""

from harness import check


def case_create_and_list(shell):
    shell.run("topic", "create", "t-one", "t-two", "-p", 3, "-c", "retention.ms=100000").prints(
        "created t-one\ncreated t-two\n"
    ).warns("undo: odradek topic rm t-one")
    shell.run("topic", "ls").says(r"^TOPIC +PARTITIONS$", r"^t-one +3$", r"^t-two +3$")
    shell.run("topic", "ls", "-o", "wide").says(r"^TOPIC +PARTITIONS +REPLICAS +INTERNAL +ID$")
    names = shell.run("topic", "ls", "-o", "name").lines()
    check(names == sorted(names) and "t-one" in names, f"names are {names}")
    one = [t for t in shell.json("topic", "ls") if t["topic"] == "t-one"]
    check(len(one) == 1 and one[0]["partition_count"] == 3 and one[0]["replicas"] == 1, f"{one}")
    lines = shell.run("topic", "ls", "-o", "jsonl").lines()
    check(len(lines) == len(names), f"{len(lines)} lines for {len(names)} topics")
    shell.run("topic", "ls", "-o", "yaml").says(r'^- topic: "t-one"$', r"^  partition_count: 3$")
    shell.run("topic", "ls", "-o", "xml", code=2).warns('no format "xml"', "jsonl")


def case_choose(shell):
    """--columns, --sort, --filter, of whatever prints one table."""
    for name, partitions in (("t-ch-a", 2), ("t-ch-b", 10), ("t-ch-c", 2)):
        shell.run("topic", "create", name, "-p", partitions)
    ours = ["topic", "ls", "--filter", "topic~t-ch-"]
    shell.run(*ours, "--sort", "-partitions", "--columns", "partitions,TOPIC").prints(
        "PARTITIONS  TOPIC\n        10  t-ch-b\n         2  t-ch-a\n         2  t-ch-c\n"
    )
    shell.run(*ours, "--sort", "partition_count", "-o", "name").prints("t-ch-a\nt-ch-c\nt-ch-b\n")
    shell.run(*ours, "--filter", "partitions=2", "--filter", "topic!=t-ch-a", "-o", "name").prints("t-ch-c\n")
    check([t["topic"] for t in shell.json(*ours, "--sort", "-topic")] == ["t-ch-c", "t-ch-b", "t-ch-a"], "not backwards")
    shell.run(*ours, "--columns", "id,topic").says(r"^ID +TOPIC$", r"^[\w-]{22} +t-ch-a$")
    shell.run("topic", "ls", "--filter", "topic=nobody").prints("TOPIC  PARTITIONS\n")
    check(shell.json("topic", "ls", "--filter", "internal=maybe") == [], "an empty list is a list")
    for words, why in (
        (["--columns", "topic,colour"], '--columns: there is no column "colour"'),
        (["--columns", ""], "is not a list of columns"),
        (["--columns", ",".join(["topic"] * 30)], "is not a list of columns"),
        (["--sort", "-colour"], '--sort: there is no column "colour"'),
        (["--filter", "colour=red"], '--filter: there is no column "colour"'),
        (["--filter", "topic"], "is not NAME=TEXT, NAME!=TEXT or NAME~PART"),
        (["--filter", "=x"], "is not NAME=TEXT"),
        (["--filter", "topic!x"], "is not NAME=TEXT"),
    ):
        shell.run("topic", "ls", *words, code=2).warns(why)
    shell.bare("errors", "--filter", "name~TIMED_OUT", "--columns", "code").prints("CODE\n7\n")


def case_create_refused(shell):
    shell.run("topic", "create", "t-here")
    shell.run("topic", "create", "t-here", code=5).warns('cannot create topic "t-here"', "TOPIC_ALREADY_EXISTS")
    shell.run("topic", "create", "a b", code=1).warns("INVALID_TOPIC_EXCEPTION")
    shell.run("topic", "create", "t-x", "-c", "nonsense=1", code=1).warns("INVALID_CONFIG", "config explain")
    shell.run("topic", "create", "t-x", "-c", "nonsense", code=2).warns("is not KEY=VALUE")
    shell.run("topic", "create", "t-x", "-p", 0, code=2).warns("--partitions 0 is not a number from 1")
    shell.run("topic", "create", "t-x", "-r", "many", code=2)
    shell.run("topic", "create", "t-x", "-o", "xml", code=2)
    shell.run("topic", "create", "t-dry", "--dry-run").prints("would create t-dry\n")
    check("t-dry" not in shell.run("topic", "ls", "-o", "name").lines(), "a dry run made a topic")
    made = shell.json("topic", "create", "t-json", "t-here", code=5)
    check(
        made == [{"kind": "topic", "name": "t-json", "result": "created", "undo": "odradek topic rm t-json"}],
        f"{made}",
    )


def case_info(shell):
    shell.run("topic", "create", "t-info", "-p", 2, "-c", "cleanup.policy=compact,delete")
    shell.run("pub", "t-info", "a", "b", "c", "-p", 1, "-k", "key")
    shell.run("topic", "info", "t-info").says(
        r"^TOPIC t-info  PARTITIONS 2  RECORDS 3  SIZE \d+B$",
        r"^PARTITION +LEADER +START +END +RECORDS +SIZE$",
        r"^ +1 +1 +0 +3 +3 +\d+B$",
        r"^cleanup.policy +compact,delete$",
    )
    (info,) = shell.json("topic", "info", "t-info")
    check(info["records"] == 3 and info["partitions"][1]["end"] == 3, f"{info}")
    check(info["configs"] == [{"key": "cleanup.policy", "value": "compact,delete"}], f"{info}")
    shell.run("topic", "info", "t-info", "-o", "name").prints("t-info\n")
    shell.run("topic", "info", "t-inf", code=3).warns(
        'topic "t-inf" not found; did you mean "t-info"?', "odradek topic ls"
    )
    shell.run("topic", "info", "zzzzzzzzzzzzzzzzz", code=3).warns(r'"zzzzzzzzzzzzzzzzz" not found$')


def case_edit(shell):
    shell.run("topic", "create", "t-edit", "-c", "retention.ms=5000")
    done = shell.run("topic", "edit", "t-edit", "-p", 4, "-c", "segment.bytes=2000000", "--unset", "retention.ms")
    done.prints("changed t-edit\nchanged topic/t-edit\n")
    done.warns("undo: odradek config set topic/t-edit --unset segment.bytes retention.ms=5000")
    (info,) = shell.json("topic", "info", "t-edit")
    check(info["partition_count"] == 4, f"{info}")
    check(info["configs"] == [{"key": "segment.bytes", "value": "2000000"}], f"{info}")
    changed = shell.json("topic", "edit", "t-edit", "-c", "retention.ms=8000")
    undo = "odradek config set topic/t-edit --unset retention.ms"
    check(changed == [{"kind": "config", "name": "topic/t-edit", "result": "changed", "undo": undo}], f"{changed}")
    shell.run(*undo.split()[1:])
    shell.run("topic", "edit", "t-edit", "-p", 2, code=1).warns('"t-edit" cannot have 2 partitions', "INVALID_PARTITIONS")
    shell.run("topic", "edit", "t-edit", "-c", "retention.ms=soon", code=1).warns("cannot change topic/t-edit")
    shell.run("topic", "edit", "t-edit", "-p", 9, "-c", "retention.ms=7", "--dry-run").says("would change")
    (after,) = shell.json("topic", "info", "t-edit")
    check(after["partition_count"] == 4 and after["configs"] == info["configs"], f"a dry run changed {after}")
    shell.run("topic", "edit", "t-edit", code=2).warns("nothing to change")
    shell.run("topic", "edit", "t-none", "-p", 2, code=3)


def case_stats(shell):
    shell.run("topic", "create", "t-stats")
    shell.run("pub", "t-stats", *["x" * 100] * 5)
    (stats,) = shell.json("topic", "stats", "t-stats", "--during", "10ms")
    check(stats["records"] == 5 and stats["bytes"] > 0 and stats["records_per_second"] == 0, f"{stats}")
    shell.run("topic", "stats", "--during", "10ms").says(r"^TOPIC +PARTITIONS +RECORDS", r"^t-stats +1 +5 ")
    shell.run("topic", "stats", "t-none", code=3)
    shell.run("topic", "stats", "--during", "0s", code=2)


def case_rm(shell):
    shell.run("topic", "create", "t-rm", "t-rm2", "-p", 2, "-c", "retention.ms=9")
    shell.run("topic", "rm", "t-rm", code=2).warns("nobody can confirm", "not a terminal", "--yes")
    shell.run("topic", "rm", "t-rm", "--dry-run").prints("would delete t-rm\n")
    shell.run("topic", "rm", "t-rm", "--yes").prints("deleted t-rm\n").warns(
        "undo: odradek topic create t-rm -p 2 -c retention.ms=9   .empty"
    )
    shell.run("topic", "rm", "t-rm", "-y", code=3).warns("not found")
    gone = shell.json("topic", "rm", "t-rm2", "-y")
    check(gone[0]["result"] == "deleted" and gone[0]["name"] == "t-rm2", f"{gone}")


def case_rm_on_a_terminal(shell):
    shell.run("topic", "create", "t-typed")
    shell.terminal("topic", "rm", "t-typed", answers=["t-tipo"], code=2).says(
        'This deletes topic "t-typed" and all its records. Type its name', "that is another name"
    )
    shell.run("topic", "info", "t-typed")
    shell.terminal("topic", "rm", "t-typed", answers=["t-typed"]).says("deleted t-typed")
    shell.run("topic", "info", "t-typed", code=3)


def case_terminals(shell):
    """Bold headings on a terminal, none with NO_COLOR or a dumb one, none in a pipe."""
    shell.run("topic", "create", "t-colour")
    bold = "\x1b[1mTOPIC"
    check(bold in shell.terminal("topic", "ls").out, "no bold heading on a terminal")
    check(bold not in shell.terminal("topic", "ls", env={"NO_COLOR": "1"}).out, "NO_COLOR has colour")
    check(bold not in shell.terminal("topic", "ls", env={"TERM": "dumb"}).out, "a dumb terminal has colour")
    check(bold not in shell.run("topic", "ls").out, "a pipe has colour")
    shell.terminal("topic", "info", "nothing", code=3).says("\x1b\\[31merror\x1b\\[0m ODK-2107: topic")


def case_watch(shell):
    shell.run("topic", "create", "t-watch")
    shell.terminal("topic", "ls", "--watch", "--interval", "20ms", until=r"(t-watch[^\0]*){3}").says(
        "\x1b\\[\\?1049h\x1b\\[\\?25l\x1b\\[H"
    )
    shell.run("topic", "ls", "--watch", "--interval", "often", code=2)
    shell.run("topic", "info", "t-none", "--watch", code=3)
