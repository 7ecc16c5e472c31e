"""Every command of the table: on a terminal without colour, and, when all other cases have run, that
each was seen to print text, JSON where it has -o, an error, and to stand on a terminal."""

import os
import re
import socket

from harness import check
from screens import Terminal

SERVERS = ("serve", "dev")


def table(shell):
    """The commands as `odradek docs commands` prints them: name -> the names of its options."""
    commands = {}
    for line in shell.bare("docs", "commands").lines():
        if heading := re.match(r"## odradek (.+)$", line):
            commands[heading[1]] = set()
        elif commands:
            commands[list(commands)[-1]].update(re.findall(r"`--([a-z-]+)[ `]", line))
    check(len(commands) > 30, f"commands are {commands}")
    return commands


def example(shell, command):
    """Operands and options with which a command does something here."""
    folder = os.path.join(shell.home, "every")
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    properties = os.path.join(folder, "server.properties")
    with open(properties, "w") as file:
        file.write("num.partitions=3\n")
    http = ["--http", shell.http]
    return {
        "topic ls": [],
        "topic create": ["e-made"],
        "topic info": ["e-topic"],
        "topic edit": ["e-topic", "-c", "retention.ms=-1"],
        "topic stats": ["--during", "10ms"],
        "topic rm": ["e-made", "-y"],
        "group ls": [],
        "group info": ["e-group"],
        "group rewind": ["e-group", "--topic", "e-topic", "--to-start"],
        "group rm": ["e-group", "-y"],
        "config get": ["topic/e-topic"],
        "config set": ["topic/e-topic", "retention.ms=77"],
        "config explain": ["num.partitions"],
        "config check": [properties],
        "health": http,
        "clients": http,
        "top": ["-n", 1, "--interval", "10ms", *http],
        "bench pub": ["-n", 20],
        "bench sub": ["e-topic", "-n", 1],
        "bench latency": ["-n", 5, "-r", 100],
        "bundle": ["-f", os.path.join(folder, "terminal.tar"), *http],
        "errors": ["3"],
        "context ls": [],
        "context set": ["e-context", "127.0.0.1:1"],
        "context use": ["e-context"],
        "context rm": ["e-context"],
        "pub": ["e-topic", "value"],
        "cat": ["e-topic"],
        "tail": ["e-topic", "--from", "start", "-e"],
        "docs": ["errors"],
        "version": [],
        "help": ["topic", "ls"],
        "doctor": ["--data", os.path.join(folder, "data")],
    }[command]


def prepare(shell):
    """The topic is made when it is written to."""
    shell.run("pub", "e-topic", "one")
    shell.run("group", "rewind", "e-group", "--topic", "e-topic", "--to-start")


def case_on_a_terminal(shell):
    """No colour where none is wanted, and nothing else that moves a cursor; top has a case of its own."""
    prepare(shell)
    contexts = os.path.join(shell.home, "every-contexts")
    for command, options in table(shell).items():
        if command in SERVERS or command == "top":
            continue
        words = [*command.split(), *example(shell, command)]
        plain = {"NO_COLOR": "1", "XDG_CONFIG_HOME": contexts}
        done = shell.terminal(*words, env=plain, local="brokers" not in options, code=None)
        check(done.code == (10 if command == "doctor" else 0) or command == "doctor", f"{done}")
        shown = re.sub(r"\r\x1b\[K", "", done.out)  # a progress bar
        check(shown.strip() and "\x1b" not in shown, f"{done}")


def case_servers_on_a_terminal(shell):
    """Words for people, Ctrl-C ends it, and the terminal is as it was."""
    for words in (["serve", "--data", os.path.join(shell.home, "every-serve")], ["dev"]):
        with Terminal(shell, *words, "--listen", "127.0.0.1:0", "--set", "odradek.http.listen=off", local=True, columns=120) as t:
            t.until(lambda lines: any("Ready in" in line for line in lines), "its Ready line")
            t.type("\x03")
            t.ends()
    shell.bare("dev", "--until-eof", "--listen", "127.0.0.1:0").says(r"^ ?Ready in \d+ ms on 127\.0\.0\.1:\d+\.")
    for command in SERVERS:
        shell.bare(command, "--listen", "nonsense", code=None).warns(r"^error ODK-\d{4}: ")
        shell.bare(command, "--nonsense", code=2).warns("has no option --nonsense")


def case_wrong_options(shell):
    """Whatever the command, an option it lacks is told as such, and help says which it has."""
    for command, options in table(shell).items():
        shell.bare(*command.split(), "--no-such-option", code=2).warns(
            f"^error ODK-6002: odradek {command} has no option --no-such-option$", f"next: odradek help {command} "
        )
        shown = shell.bare("help", *command.split()).out
        missing = [option for option in options if f"--{option}" not in shown]
        check(not missing, f"help {command} lacks {missing}")


def case_other_formats(shell):
    """The formats that no other case asks of each command: YAML, one line of JSON, the names, wide."""
    prepare(shell)
    shell.run("topic", "create", "e-made")
    shell.bare("context", "set", "e-context", "127.0.0.1:1")
    for command, options in table(shell).items():
        changes = {"dry-run"} & options
        if "output" not in options or command in ("cat", "tail", "bundle", "doctor", "context use", "context rm", "topic create"):
            continue
        words = [*command.split(), *example(shell, command), *(["--dry-run"] if changes else [])]
        words += ["-b", shell.address] if "brokers" in options else []
        somebody = socket.create_connection(shell.address.rsplit(":", 1))  # for clients to list
        for format, pattern in (("yaml", r"^(- )?\w+: \S|^\[\]$"), ("jsonl", r"^[{\[].*[}\]]$"), ("wide", r"\S"), ("name", r"")):
            shell.bare(*words, "-o", format).says(pattern)
        somebody.close()


def missing(shell):
    """What a command of the table was not seen to do, by all cases together."""
    return [
        f"{command}: no case of {how}"
        for command, options in table(shell).items()
        for how in ("text", "error", "terminal", *(["json"] if "output" in options else []))
        if not any(seen[-1] == how and " ".join(seen[:-1]).split()[: len(command.split())] == command.split() for seen in shell.seen)
    ]
