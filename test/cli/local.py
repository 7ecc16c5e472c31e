"""What needs no broker, and what happens when there is none: help, references, contexts, wrong
command lines, addresses where nobody answers, output that cannot be written."""

import os
import re
import shutil
import socket
import threading

from harness import check


def case_help(shell):
    shell.bare("help").says(r"^  odradek group rewind GROUP", r"^Exit codes: 0 ok, 1 failed")
    topics = re.search(r"explains a command, (.*), a configuration key, an error code", shell.bare("help").out)[1].split(", ")
    check(len(topics) == 7, topics)
    for topic in topics:
        shell.bare("help", topic).says(f"^{topic}: \\S")
    shell.bare("help", "config", "retention.ms").says(r"^retention.ms \(topic\)$", r"^  default   604800000$")
    shell.bare("help", "log.retention.hours").says(r"^log.retention.hours \(broker\)$")
    shell.bare("help", "config", "retention.msx", code=3).warns('did you mean "retention.ms"')
    shell.bare("help", "ODK-3101").says("^ODK-3101 data_locked ", "^  next: One broker at a time ")
    shell.bare("help", "secur", code=2).warns('^error ODK-6002: there is no command "secur"; did you mean "secure"')
    shell.bare("help", "no-such-thing", code=2).warns('there is no command "no-such-thing"$')
    shell.bare("help", "topic").says(r"^odradek topic ls", r"^odradek topic stats")
    shell.bare("group", "info", "--help").says(r"-o, --output FORMAT", r"-b, --brokers HOST:PORT")


def case_bounds_of_options(shell):
    """What help says of a bound is what is checked, and what is refused names it."""
    for words, option, low, high in (
        ("topic create", "partitions", 1, 100000),
        ("topic edit", "partitions", 1, 100000),
        ("topic create", "replication-factor", 1, 32767),
        ("bench pub", "rate", 1, 10000000),
        ("bench latency", "rate", 1, 10000000),
    ):
        (line,) = [line for line in shell.bare("help", *words.split()).lines() if f"--{option} " in line]
        check(str(high) in line, f"{words} --{option}: {line}")
        for value in (low - 1, high + 1, "many"):
            shell.run(*words.split(), "l-bounds", f"--{option}", value, code=2).warns(f"--{option} {value} is not a number from {low} to {high}$")
    for command in ("serve", "dev"):
        (line,) = [line for line in shell.bare("help", command).lines() if "--memory " in line]
        check("at least 16MiB" in line and "at most 1GiB" in line, line)
        shell.bare(command, "--memory", "16777215", "--listen", "127.0.0.1:0", code=2).warns("^error ODK-\\d{4}: ", "16 ?MiB")
    for option, value in (("--timeout", "0s"), ("--timeout", "soon"), ("--interval", "-1s")):
        words = ("topic", "ls", "--watch") if option == "--interval" else ("topic", "ls")
        shell.run(*words, option, value, code=2).warns(f"{option} {value} is not a duration as ")


def case_version(shell):
    version = shell.bare("version").says(r"^odradek \d+\.\d+\.\d+").out
    shell.bare("--version").prints(version)


def case_wrong_command_lines(shell):
    shell.bare("topics", code=2).warns(r'no command "topics"; did you mean "topic ls"\?')
    shell.bare("topic", "lss", code=2).warns(r'did you mean "topic ls"')
    shell.bare("qqqqqq", code=2).warns(r'^error ODK-6002: there is no command "qqqqqq"$')
    shell.bare("topic", "ls", "--nonsense", code=2).warns("has no option --nonsense", "help topic ls")
    for words in (["topic", "ls"], ["health"], ["version"], ["doctor"], ["dev"], ["context", "ls"]):
        shell.bare(*words, "word", code=2).warns(f'^error ODK-6002: odradek {" ".join(words)} takes no "word"$')
    shell.bare("serve", "server.properties", code=2).warns("next: odradek serve --config server.properties ")
    shell.bare("topic", "create", code=2).warns("needs the name of a topic")
    shell.bare("group", "info", code=2).warns("needs the name of a group")
    shell.bare("topic", "ls", "--timeout", "soon", code=2).warns("--timeout soon is not a duration")
    shell.bare("cat", code=2).warns("needs the name of one topic")
    shell.bare("pub", code=2).warns("needs the name of a topic")


def case_nobody_answers(shell):
    for words in (["topic", "ls"], ["group", "ls"], ["cat", "t"], ["pub", "t", "v"]):
        shell.bare(*words, "-b", "127.0.0.1:1", code=1).warns(
            "no broker answers at 127.0.0.1:1", "Connection refused", "next: start one: odradek serve"
        )
    shell.bare("topic", "ls", "-b", "no..host:9092", code=1).warns("no..host:9092: ")


def case_the_first_that_answers(shell):
    """Addresses are tried in their order, whatever is wrong with the first; what was wrong is said once."""
    good = shell.address
    for listed, said in (
        (f"127.0.0.1:1,{good}", "^warn ODK-6021: 127.0.0.1:1: Connection refused; going on with " + good),
        (f"no..host:1,,127.0.0.1:1,{good}", r"no..host:1: .*; 127.0.0.1:1: Connection refused; going on"),
    ):
        done = shell.bare("topic", "ls", "-b", listed).warns(said)
        check(done.err.count("\n") == 1, f"{done}")
    check(shell.bare("topic", "ls", "-b", f"{good},127.0.0.1:1").err == "", "the second was asked")
    with socket.create_server(("127.0.0.1", 0)) as mute:  # it accepts, and says nothing
        address = "127.0.0.1:%d" % mute.getsockname()[1]
        quick = ["--timeout", "300ms"]
        shell.bare("topic", "ls", "-b", f"{address},{good}", "--timeout", "2s").warns(f"{address} did not answer in time; going on")
        shell.bare("topic", "ls", "-b", f"{address},{address}", *quick, code=6).warns("no broker answers at any of", "did not answer in time; .*did not")
        shell.bare("topic", "ls", "-b", address, *quick, code=6).warns(f"{address} did not answer in time")
    shell.bare("topic", "ls", "-b", "127.0.0.1:1,127.0.0.1:2", code=1).warns(
        "^error ODK-6001: no broker answers at any of 127.0.0.1:1,127.0.0.1:2$",
        "^  127.0.0.1:1: Connection refused; 127.0.0.1:2: Connection refused$",
    )
    shell.bare("topic", "ls", "-b", "", code=1).warns("no address was given")
    shell.bare("pub", "first-that-answers", "v", "-b", f"127.0.0.1:1,{good}").says("^1 record")
    shell.bare("cat", "first-that-answers", "-b", f"127.0.0.1:1,{good}").prints("v\n")


def case_somebody_else_answers(shell):
    """A socket that accepts and says nothing; one that hangs up; one that talks nonsense."""
    for answer, code, words in (
        (None, 6, "did not answer in time"),
        (b"", 1, "the connection to .* broke"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1, "no sensible answer"),
        (b"\0\0\0\6\0\0\0\1\0\0", 1, "no sensible answer"),
    ):
        with socket.create_server(("127.0.0.1", 0)) as server:
            kept = []

            def serve(answer=answer, server=server, kept=kept):
                peer = server.accept()[0]
                peer.recv(4096)
                if answer is None:
                    kept.append(peer)  # open, and silent
                    return
                peer.sendall(answer)
                peer.close()

            thread = threading.Thread(target=serve)
            thread.start()
            address = "127.0.0.1:%d" % server.getsockname()[1]
            shell.bare("topic", "ls", "-b", address, "--timeout", "300ms", code=code).warns(words)
            thread.join()
            for peer in kept:
                peer.close()


def case_output_that_cannot_be_written(shell):
    with open("/dev/full", "w") as full:
        shell.run("topic", "ls", code=1, stdout=full).warns(
            "standard output could not be written", "No space left"
        )
        shell.bare("docs", "commands", code=1, stdout=full).warns("No space left")
    reader, writer = os.pipe()
    os.close(reader)
    done = shell.bare("docs", "commands", code=1, stdout=writer)
    os.close(writer)
    done.warns("Broken pipe", "has gone")


def case_contexts(shell):
    prod = shell.address
    shell.bare("context", "ls").prints("CONTEXT  BROKERS  IN USE\n")
    shell.bare("context", "set", "prod", prod, "--dry-run").prints("would set prod\n")
    shell.bare("context", "use", "prod", code=3).warns('no context "prod"', "odradek context set prod")
    shell.bare("context", "set", "prod", prod).prints("set prod\n").warns("undo: odradek context rm prod$")
    shell.bare("context", "set", "test", "127.0.0.1:1").prints("set test\n")
    shell.bare("context", "set", "test", "127.0.0.1:2").warns("undo: odradek context set test 127.0.0.1:1")
    shell.bare("context", "use", "test").prints("using test\n")
    shell.bare("topic", "ls", code=1).warns("127.0.0.1:2")
    shell.bare("topic", "ls", "--context", "prod")
    shell.bare("topic", "ls", "--context", "none", code=3).warns('no context "none"')
    shell.bare("topic", "ls", "-b", prod)  # says it itself
    shell.bare("context", "use", "prod").warns("undo: odradek context use test")
    changed = shell.bare("context", "use", "test", "-o", "json").json()
    check(changed == [{"kind": "context", "name": "test", "result": "using", "undo": "odradek context use prod"}], f"{changed}")
    changed = shell.bare("context", "set", "test", "127.0.0.1:2", "-o", "json", "--dry-run").json()
    check(changed[0]["result"] == "would set" and changed[0]["undo"] == "odradek context set test 127.0.0.1:2", f"{changed}")
    shell.bare("context", "use", "prod", "--dry-run").prints("would use prod\n")
    shell.bare("context", "use", "prod").prints("using prod\n")
    shell.bare("topic", "ls")
    listed = shell.bare("context", "ls", "-o", "json").json()
    check(
        listed
        == [
            {"name": "prod", "brokers": prod, "http": None, "in_use": True},
            {"name": "test", "brokers": "127.0.0.1:2", "http": None, "in_use": False},
        ],
        f"contexts are {listed}",
    )
    shell.bare("context", "set", "gone", "127.0.0.1:3", "--http", "127.0.0.1:4")
    shell.bare("context", "use", "gone")
    undo = "undo: odradek context set gone 127.0.0.1:3 --http 127.0.0.1:4$"
    shell.bare("context", "rm", "gone", "--dry-run").prints("would delete gone\n")
    done = shell.bare("context", "rm", "none", "gone", code=3).prints("deleted gone\n")
    done.warns(undo, '^error ODK-6003: there is no context "none"$')
    check(shell.bare("context", "ls", "-o", "name").lines() == ["prod", "test"], "it is still there")
    removed = shell.bare("context", "rm", "prod", "-o", "json").json()
    check(removed[0]["result"] == "deleted" and removed[0]["undo"] == f"odradek context set prod {prod}", f"{removed}")
    shell.bare("context", "rm", code=2).warns("needs the name of a context")
    elsewhere = {"XDG_CONFIG_HOME": os.path.join(shell.home, "elsewhere")}
    shell.bare("context", "ls", "-o", "name", env=elsewhere).prints("")
    shell.bare("context", "set", "x", "h:1", env=elsewhere)
    shell.bare("context", "ls", "-o", "name", env=elsewhere).prints("x\n")
    shell.bare("context", "set", "../up", "h:1", code=2)
    shell.bare("context", "set", "alone", code=2).warns("needs a name and the address")
    shell.bare("context", "use", code=2)
    nowhere = {"HOME": None, "XDG_CONFIG_HOME": None}
    shell.bare("context", "ls", code=1, env=nowhere).warns("no place for contexts")
    shell.bare("context", "set", "x", "h:1", code=1, env=nowhere)
    shell.bare("context", "use", "x", code=1, env=nowhere)
    shell.bare("context", "rm", "x", code=1, env=nowhere)
    shell.bare("topic", "ls", "-b", prod, env=nowhere)
    blocked = os.path.join(shell.home, "a-file")
    open(blocked, "w").close()
    shell.bare("context", "set", "x", "h:1", code=1, env={"XDG_CONFIG_HOME": blocked}).warns("cannot make")
    shutil.rmtree(os.path.join(shell.home, ".config"))


def case_manual_page(shell):
    page = shell.bare("docs", "man").out
    check(page.startswith(".TH ODRADEK 1"), f"the page begins with {page[:60]!r}")
    named = re.findall(r"^\.SS odradek (.*)", page, re.M)
    shown = re.findall(r"^## odradek (.*)", shell.bare("docs", "commands").out, re.M)
    check(len(named) == len(shown) > 10, f"{len(named)} commands in the page, {len(shown)} in the reference")
    shell.bare("docs", "nonsense", code=2).warns("completion-bash")
