"""clients: who is connected, asked of a broker's HTTP port, of one that has none, of pages that make
no sense."""

import json
import socket
import subprocess

from harness import Odradek, check
from shell import eventually
from state import Http

PAGE = "/api/v1/clients"


def case_who_is_connected(shell):
    shell.run("topic", "create", "l-topic")
    http = ["--http", shell.http]
    member = subprocess.Popen(
        ["kcat", "-b", shell.address, "-q", "-X", "client.id=l-kcat", "-G", "l-group", "l-topic"],
        stdout=subprocess.DEVNULL,
    )
    try:

        def mine():
            listed = [c for c in shell.json("clients", *http) if c["client_id"] == "l-kcat"]
            return listed if any(c["group"] == "l-group" for c in listed) else None

        listed = eventually(mine, "kcat among the clients, with its group")
        for client in listed:
            check(client["software"] == "librdkafka" and client["software_version"], f"{client}")
            check(client["principal"] == "User:ANONYMOUS" and client["listener"] == "PLAINTEXT", f"{client}")
            check(client["bytes_in"] > 0 and client["bytes_out"] > 0 and client["requests"] > 0, f"{client}")
            check(client["age_ms"] >= 0 and client["since_ms"] > 1700000000000, f"{client}")
        shell.run("clients", *http).says(
            r"^ADDRESS +CLIENT +SOFTWARE +VERSION +GROUP +LAST API +AGE +IDLE +REQUESTS +IN +OUT$",
            r"^127\.0\.0\.1:\d+ +l-kcat +librdkafka +[\d.]+ +l-group +\w+ +\d+s +\d+s +\d+ +\S+B +\S+B$",
        )
        shell.run("clients", *http, "-o", "wide").says(r"UNANSWERED +IN +OUT +LISTENER +PRINCIPAL +SINCE$", r" PLAINTEXT +User:ANONYMOUS +20\d\d-")
        names = shell.run("clients", *http, "-o", "name").lines()
        check({c["address"] for c in listed} <= set(names), f"{names}")
        for line in shell.run("clients", *http, "-o", "jsonl").lines():
            json.loads(line)
        shell.run("clients", *http, "-o", "yaml").says(r'^  client_id: "l-kcat"$')
        shell.terminal("clients", "--watch", "--interval", "20ms", *http, until="l-kcat").says("l-group")
    finally:
        member.terminate()
        member.wait()


def case_the_port_is_found(shell):
    """By the broker's configuration, by a context, or not at all."""
    with Odradek("cli-http", options=["odradek.http.listen=off"]) as silent:
        shell.bare("clients", "-b", silent.address, code=1).warns(
            "^error ODK-6020: only the broker's HTTP port says who is connected",
            "^  odradek.http.listen is off there$",
            "^  next: odradek serve --set odradek.http.listen=127.0.0.1:8080   switches it on$",
        )
        shell.bare("top", "-b", silent.address, "--interval", "10ms").says("^BROKERS 1")
        shell.bare("health", "-b", silent.address)
    shell.run("clients", code=1).warns("odradek.http.listen is 127.0.0.1:0 there, a free port", "next: --http HOST:PORT")
    with socket.create_server(("127.0.0.1", 0)) as kept:
        free = kept.getsockname()[1]
    with Odradek("cli-http", options=[f"odradek.http.listen=127.0.0.1:{free}"]) as told:
        shell.bare("clients", "-b", told.address).says("^ADDRESS.*OUT$")


def case_contexts_know_the_port(shell):
    shell.bare("context", "set", "l-ctx", shell.address, "--http", shell.http)
    shell.bare("clients", "--context", "l-ctx").says("^ADDRESS")
    (context,) = shell.bare("context", "ls", "-o", "json").json()
    check(context["http"] == shell.http, f"{context}")
    shell.bare("context", "ls", "-o", "wide").says(rf"^l-ctx +{shell.address} +{shell.http} ")
    shell.bare("context", "set", "l-ctx", "h:1").warns(f"undo: odradek context set l-ctx {shell.address} --http {shell.http}")
    shell.bare("context", "set", "l-ctx", shell.address, "--http", "127.0.0.1:1")
    shell.bare("clients", "--context", "l-ctx", code=1).warns("ODK-6020", "127.0.0.1:1: Connection refused")
    shell.bare("clients", "--context", "l-ctx", "--http", shell.http).says("^ADDRESS")


def case_pages_that_make_no_sense(shell):
    for body, status, why in (
        ("[+] loop failed: the broker is starting\nnot ok\n", 503, "answers with status 503: .* the broker is starting"),
        ("not found\n", 404, "answers with status 404: not found"),
        ("{", 200, "the HTTP port does not say who is connected"),
        ('{"clients": 3}', 200, "there is no list of clients in its answer"),
        ("[]", 200, "there is no list of clients in its answer"),
    ):
        with Http({PAGE: (body, status)}) as page:
            shell.run("clients", "--http", page.address, code=1).warns(why)
    odd = {"address": 5, "client_id": "a\x1b[31m\n", "requests": "many", "bytes_in": 1e30, "since_ms": -5}
    said = {"now_ms": 1000, "left_out": 7, "clients": [odd, {}, 3]}
    with Http({PAGE: (json.dumps(said), 200)}) as page:
        done = shell.run("clients", "--http", page.address).says(r"^- +a\\x1b\[31m\\x0a ").warns("^7 more are connected$")
        check(len(done.lines()) == 4, f"{done}")
    shell.run("clients", "--http", "127.0.0.1:1", code=1).warns("ODK-6020", "Connection refused")
    shell.run("clients", "-o", "xml", "--http", shell.http, code=2)
    shell.bare("clients", "-b", "127.0.0.1:1", code=1).warns("no broker answers")
    shell.run("clients", "--interval", "often", "--watch", "--http", shell.http, code=2)
