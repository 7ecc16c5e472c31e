"""health, against the broker and against one that is ill."""

import http.server
import re
import threading

from harness import check


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body, status = self.server.pages[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Http:
    """An HTTP port that says what a test wants it to say."""

    def __init__(self, pages):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Page)
        self.server.pages = pages
        self.address = "127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def case_healthy(shell):
    shell.run("health", "--http", shell.http).says(
        r"^HEALTH healthy  BROKERS 1  TOPICS \d+  PARTITIONS \d+$",
        r"^CHECK +STATE +REASON$",
        r"^controller +ok +broker 1$",
        r"^storage +ok ",
    )
    health = shell.json("health", "--http", shell.http)
    check(health["healthy"] and health["failed"] == 0, f"{health}")
    names = [one["check"] for one in health["checks"]]
    check({"brokers", "controller", "partitions", "loop", "storage"} <= set(names), f"{names}")
    shell.run("health", "-o", "name", "--http", shell.http).prints("healthy\n")


def case_unhealthy(shell):
    said = "[+] loop ok: it answered\n[-] space failed: produce is refused until space is free\nnot ok\n"
    with Http({"/healthz?verbose": (said, 503)}) as page:
        done = shell.run("health", "--http", page.address, code=10)
        done.says("^HEALTH UNHEALTHY", r"^space +FAILED +produce is refused until space is free$")
        health = shell.run("health", "--http", page.address, "-o", "json", code=10).json()
        check(not health["healthy"] and health["failed"] == 1, f"{health}")
    shell.run("health", "--http", "127.0.0.1:1", code=10).says(r"^http +FAILED +127.0.0.1:1: Connection refused$")
    shell.run("health", "--http", shell.address, "--timeout", "500ms", code=10).says(r"^http +FAILED")
    with Http({"/healthz?verbose": ("teapot", 418)}) as page:
        shell.run("health", "--http", page.address, code=10).says("answers with status 418")
    shell.bare("health", "-b", "127.0.0.1:1", code=1).warns("no broker answers")
