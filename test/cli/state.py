"""health, top, bundle, bench. health against the broker and against one that says it is ill."""

import http.server
import json
import os
import re
import shutil
import tarfile
import threading

from harness import Odradek, check


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


def case_top(shell):
    shell.run("topic", "create", "s-top")
    shell.run("pub", "s-top", "a", "b")
    shell.run("group", "rewind", "s-group", "--topic", "s-top", "--to-start")
    once = ["top", "--interval", "20ms", "--http", shell.http]
    shell.run(*once).says(
        r"^BROKERS 1  CONNECTIONS \d+  REQUESTS/S \d+\.\d  RECORDS IN/S \d+\.\d  BYTES IN/S \S+  BYTES OUT/S \S+  MEMORY \S+B$",
        r"^TOPIC +PARTITIONS +END +RECORDS/S$",
        r"^s-top +1 +2 +0\.0$",
        r"^GROUP +STATE +MEMBERS +LAG +SECONDS$",
        r"^s-group +Empty +0 +2 +\d+\.\d$",
    )
    top = shell.json(*once)
    check(top["memory_bytes"] > 0 and {"topic": "s-top", "partitions": 1, "end": 2, "records_per_second": 0.0} in top["topics"], f"{top}")
    without = shell.json("top", "--interval", "20ms", "--http", "127.0.0.1:1")
    check("memory_bytes" not in without and without["topics"], f"{without}")
    two = shell.run(*once, "-n", 2).out
    check(two.count("BROKERS 1") == 2, f"two screens are {two!r}")
    screens = shell.terminal(*once, until=r"(s-group[^\0]*){3}").out
    check(screens.count("\x1b[H") >= 3, f"the terminal showed {screens!r}")
    shell.run("top", "--interval", "often", code=2)
    shell.run("top", "-n", 0, code=2)
    shell.bare("top", "-b", "127.0.0.1:1", code=1)


def case_bundle(shell):
    shell.run("topic", "create", "s-secret", "-c", "retention.ms=77")
    shell.run("pub", "s-secret", "never-in-a-bundle")
    log = os.path.join(shell.home, "broker.log")
    with open(log, "w") as file:
        file.write('started\nsasl.password=hunter2 user=x\n{"token": "abc123"}\n')
    path = os.path.join(shell.home, "b.tar")
    shell.run("bundle", "-f", path, "--log", log, "--http", shell.http).says(r"^BUNDLE \S+b.tar  FILES \d+  SIZE ")
    with tarfile.open(path) as tar:
        files = {name.split("/", 1)[1]: tar.extractfile(name).read().decode() for name in tar.getnames()}
    check({"version.txt", "cluster.json", "topics.json", "groups.json", "metrics.txt", "health.txt", "clients.json", "log.txt", "manifest.txt", "machine/meminfo"} <= set(files), f"{sorted(files)}")
    (topic,) = [t for t in json.loads(files["topics.json"]) if t["topic"] == "s-secret"]
    check(topic["configs"] == [{"key": "retention.ms", "value": "77"}], f"{topic}")
    (broker,) = json.loads(files["cluster.json"])["brokers"]
    check(len(broker["configs"]) > 100, f"{len(broker['configs'])} configs")
    everything = "".join(files.values())
    for secret in ("never-in-a-bundle", "hunter2", "abc123"):
        check(secret not in everything, f"{secret} is in the bundle")
    check("started" in files["log.txt"] and "user=x" in files["log.txt"], files["log.txt"])
    check("log.txt" in files["manifest.txt"], files["manifest.txt"])
    shell.run("bundle", "-f", path, code=5).warns("cannot make .*b.tar", "File exists")
    shell.run("bundle", "-f", "/dev/null/x.tar", code=1)
    shell.run("bundle", "-o", "xml", code=2)
    check("connections" in json.loads(files["clients.json"]), files["clients.json"])
    made = shell.json("bundle", "--http", "127.0.0.1:1", "--log", "/nonexistent")
    missing = {row["missing"]: row["reason"] for row in made["missing"]}
    check(set(missing) == {"metrics.txt", "health.txt", "clients.json", "log.txt"}, missing)
    check(missing["log.txt"] == "/nonexistent: No such file or directory", missing)
    with tarfile.open(os.path.join(shell.home, made["file"])) as tar:
        manifest = [name for name in tar.getnames() if name.endswith("manifest.txt")][0]
        text = tar.extractfile(manifest).read().decode()
    check("metrics.txt  missing: 127.0.0.1:1: Connection refused" in text and "log.txt  missing" in text, text)


def case_bundle_without_a_broker(shell):
    """When no broker answers a bundle is needed most: it has what this machine tells."""
    data = os.path.join(shell.home, "bundle-data")
    path = os.path.join(shell.home, "alone.tar")
    done = shell.bare("bundle", "-b", "127.0.0.1:1", "-f", path, "--data", data, code=1)
    done.says("^BUNDLE .*alone.tar", "^MISSING +WHY$", "^cluster.json +no answer from 127.0.0.1:1$", "^doctor.json +the directory cannot be checked$")
    done.warns("^error ODK-6001: no broker answers at 127.0.0.1:1$", "^error ODK-3102: ")
    with tarfile.open(path) as tar:
        names = [name.split("/", 1)[1] for name in tar.getnames()]
    check("machine/limits" in names and "manifest.txt" in names and "cluster.json" not in names, names)
    broker = Odradek("cli-bundle", options=["odradek.http.listen=off"])
    try:
        broker.start()
        words = ("bundle", "-b", broker.address, "--data", broker.data, "-f")
        shell.bare(*words, os.path.join(shell.home, "open.tar")).says("^doctor.json +a broker has the directory open; stop it first$")
        broker.stop()
        path = os.path.join(shell.home, "stopped.tar")
        shell.bare(*words, path, code=1)
        with tarfile.open(path) as tar:
            name = [name for name in tar.getnames() if name.endswith("doctor.json")][0]
            found = json.loads(tar.extractfile(name).read())
        check(found["state"] == "healthy" and found["directory"] == broker.data, found)
    finally:
        broker.kill()
        shutil.rmtree(broker.data, ignore_errors=True)


def case_bench(shell):
    shell.run("bench", "pub", "-n", 500).says(r"^TOPIC odradek-bench-\w+  RECORDS 500  SECONDS", r"^PERCENTILE +ACKNOWLEDGED AFTER MS$", r"^99 +\d")
    check("odradek-bench" not in shell.run("topic", "ls", "-o", "name").out, "its topic was left")
    shell.run("topic", "create", "s-bench")
    pub = shell.json("bench", "pub", "s-bench", "-n", 300, "-s", 50, "-z", "lz4")
    check([pub[key] for key in ("size", "compression", "acks", "rate")] == [50, "lz4", "all", None], pub)
    check(0 < pub["mean_ms"] <= pub["latency"][-1]["ms"], pub)
    check(pub["records"] == 300 and pub["bytes"] == 15000 and pub["records_per_second"] > 0, f"{pub}")
    times = [row["ms"] for row in pub["latency"]]
    check(len(times) == 6 and times == sorted(times), f"{pub}")
    paced = shell.json("bench", "pub", "s-bench", "-r", 1000, "-d", "200ms")
    check(paced["records"] == 200, f"{paced}")  # open loop: what was due was sent
    shell.run("bench", "sub", "s-bench", "-n", 100).says(r"^TOPIC s-bench  RECORDS 100  SECONDS [\d.]+ ")
    shell.run("bench", "latency", "-r", 500, "-n", 20).says("RECORDS 20 ", r"^PERCENTILE +READ AFTER MS$", r"^50 +\d")
    sub = shell.json("bench", "sub", "s-bench")
    check("latency" not in sub and "acks" not in sub, sub)
    check(sub["records"] >= 500, f"{sub}")
    check(shell.json("bench", "sub", "s-bench", "-n", 10)["records"] == 10, "it read on")
    latency = shell.json("bench", "latency", "-r", 200, "-n", 40)
    check(latency["records"] == 40 and latency["latency"][0]["ms"] > 0, f"{latency}")
    check(shell.json("bench", "latency", "s-bench", "-r", 500, "-d", "100ms")["records"] == 50, "not all came back")
    shell.run("bench", "sub", code=2).warns("needs a topic that has records")
    shell.run("bench", "pub", "s-none", code=3)
    shell.run("bench", "pub", "-s", 3, code=2).warns("--size 3 is not a size from 8 to 8MiB")
    for option, value, wanted in (("-z", "rar", "none, gzip, snappy, lz4 or zstd"), ("--acks", "2", "all, 1 or 0"), ("-s", "9MiB", "a size from 8 to 8MiB")):
        shell.run("bench", "pub", option, value, code=2).warns(f"^error ODK-6002: --[a-z]+ {value} is not {wanted}$", "^  next: odradek help bench pub ")
    shell.run("bench", "pub", "-d", "x", code=2)
    shell.run("bench", "pub", "a", "b", code=2)
    large = shell.json("bench", "pub", "-s", "2MiB", "-n", 1, code=1)  # more than a topic takes
    check(large["records"] == 0 and large["size"] == 2 << 20, large)
    shell.run("bench", "pub", "-s", "2MiB", "-n", 1, code=1).warns("1 record failed$", "next: odradek topic edit TOPIC -c max.message.bytes")


def case_bench_on_a_terminal(shell):
    shell.terminal("bench", "pub", "-r", 100, until=r"\d+ records  \d+/s").says("^.*TOPIC.* odradek-bench")


def case_connection(shell):
    """doctor --from client.properties."""
    path = os.path.join(shell.home, "client.properties")

    def properties(text):
        with open(path, "w") as file:
            file.write(text)

    properties(f"# a client\nacks=all\nbootstrap.servers = {shell.address}\n")
    shell.bare("doctor", "--from", path).says(
        r"^CHECK +ADDRESS +STATE +REASON$",
        rf"^bootstrap +{shell.address} +ok +it speaks Kafka; \d+ ms$",
        rf"^broker 1 +{shell.address} +ok ",
        r"^metadata +- +ok +1 broker, \d+ topics$",
    )
    checks = shell.bare("doctor", "--from", path, "-o", "json").json()
    check([one["state"] for one in checks] == ["ok"] * 3, f"{checks}")
    properties(f"bootstrap.servers=127.0.0.1:1,{shell.address}\nsecurity.protocol=SSL\n")
    done = shell.bare("doctor", "--from", path, code=10)
    done.says(r"^security +- +FAILED +security.protocol=SSL", r"^bootstrap +127.0.0.1:1 +FAILED", r"^broker 1 .* ok ")
    done.says("^bootstrap +127.0.0.1:1 +FAILED +Connection refused$")
    done.warns(
        "^error ODK-6001: the client would speak TLS, and Odradek does not$",
        "^  next: security.protocol=PLAINTEXT in the client's file; odradek help secure$",
        "no broker answers at 127.0.0.1:1",
        "Connection refused",
        f"^  next: start the broker, or correct bootstrap.servers in {path}$",
    )
    with Http({}) as page:
        properties(f"bootstrap.servers:{page.address}\n")
        shell.bare("doctor", "--from", path, "--timeout", "300ms", code=10).says("^bootstrap .* FAILED +no answer in time$")
    properties(f"bootstrap.servers=no-port,127.0.0.1:x,[::1],{shell.address}\n")
    done = shell.bare("doctor", "--from", path, code=10)
    done.says(f"^bootstrap +{shell.address} +ok ")
    for address in ("no-port", "127.0.0.1:x", "[::1]"):
        done.says(f"^bootstrap +{re.escape(address)} +FAILED +it is not HOST:PORT$")
    done.warns('^error ODK-6001: "no-port" is not HOST:PORT$', "^  next: write it as HOST:9092 in ")
    properties("bootstrap.server=x:1\n")
    shell.bare("doctor", "--from", path, code=1).warns("does not say where the brokers are", "bootstrap.servers=HOST:PORT")
    shell.bare("doctor", "--from", path + ".none", code=1).warns("cannot be read")
    shell.bare("doctor", "--from", path, "--timeout", "x", code=2)
    shell.bare("doctor", "--from", path, "-o", "xml", code=2)


def case_connection_with_settings(shell):
    """What a client asks for and cannot have fails, with what to do; secrets are never shown."""
    path = os.path.join(shell.home, "settings.properties")

    def check_with(text, code):
        with open(path, "w") as file:
            file.write(f"bootstrap.servers={shell.address}\n{text}")
        done = shell.bare("doctor", "--from", path, "-o", "json", code=code)
        check("hunter2" not in done.out + done.err, f"a secret is shown: {done}")
        return {row["check"]: row for row in done.json()}, done

    sasl = 'sasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config=x required \\\n  password="hunter2";\nssl.truststore.password hunter2\n'
    rows, done = check_with("security.protocol=SASL_SSL\n" + sasl, 10)
    check(rows["security"]["state"] == "FAILED" and rows["broker 1"]["state"] == "ok", rows)
    check("without sasl.mechanism, sasl.jaas.config, ssl.truststore.password" in rows["security"]["next"], rows)
    done.warns("^error ODK-6001: the client would speak SASL over TLS, and Odradek does not$")
    rows, done = check_with(sasl, 0)
    check(rows["security"]["state"] == "ok" and "without effect then: sasl.mechanism, " in rows["security"]["reason"], rows)
    rows, done = check_with("transactional.id=t\ngroup.protocol = consumer\n", 10)
    check([rows[name]["state"] for name in ("transactions", "groups")] == ["FAILED"] * 2, rows)
    done.warns("in transactions, and there are none$", "next: leave it out; enable.idempotence=true", "next: group.protocol=classic")
    rows, done = check_with("group.protocol=classic\ntransactional.id=\n!transactional.id=x\n", 0)
    check(set(rows) == {"bootstrap", "broker 1", "metadata"}, rows)


def case_connection_to_a_wrong_advertised_address(shell):
    """A client connects, is told an address that it cannot reach, and fails: the doctor says so."""
    options = ["odradek.http.listen=off", "advertised.listeners=PLAINTEXT://127.0.0.1:1"]
    broker = Odradek("cli-advertised", options=options)
    path = os.path.join(shell.home, "advertised.properties")
    try:
        broker.start()
        with open(path, "w") as file:
            file.write(f"metadata.broker.list={broker.address}\n")
        done = shell.bare("doctor", "--from", path, code=10)
        done.says(f"^bootstrap +{broker.address} +ok ", "^broker 1 +127.0.0.1:1 +FAILED +Connection refused$")
        done.warns("^  next: the broker tells clients to come there: its advertised.listeners must name ")
    finally:
        broker.kill()
        shutil.rmtree(broker.data, ignore_errors=True)
