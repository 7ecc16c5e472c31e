"""Client ids and names made to damage a log, told by a real broker in both forms: every line is whole,
of its form and harmless; what was sent is in it where it can be; a flood is counted, not printed."""

import json
import os
import re
import subprocess
import time
import unicodedata

from web import check, harness, new_broker, raw, started

IDS = (
    b"\x1b[2J\x1b]0;title\x07",
    b'new\nline\r\n{"level":"error","code":"ODK-9999"}',
    b'quote" backslash\\ both\\"',
    "turned \u202e\u2066 around \u200f".encode(),
    "line \u2028 paragraph \u2029 next \x85".encode(),
    b"no utf-8 \xff\xfe\xc3( \xed\xa0\x80 \xf4\x90\x80\x80",
    b"nul \0 inside",
    b"y" * 511 + "é".encode() + b"cut in the middle of a letter",
    "é".encode() * 4000,
    b"%s%n%n%d",
    "größe ✓ 日本".encode(),
    b"",
)
FLOOD = 200
BURST, WINDOW_S = 20, 10  # lines of one code in a while
TEXT = re.compile(r"\d\d:\d\d:\d\d\.\d{3}Z (debug|info |warn |error) (ODK-\d{4}): \S")


def bad_request(address, client_id):
    """Metadata of five topics, asked for by that client; and it ends there."""
    body = b"\0\x03\0\x01\0\0\0\x01" + len(client_id).to_bytes(2, "big") + client_id + b"\0\0\0\x05"
    with raw.Client(address) as client:
        client.socket.sendall(len(body).to_bytes(4, "big") + body)
        check(client.socket.recv(1) == b"", f"{client_id!r} was answered")


def harmless(text):
    """No character that a terminal obeys, or that hides or turns what stands beside it."""
    return all(unicodedata.category(c) not in ("Cc", "Zl", "Zp") and c not in "\u200e\u200f\u202a\u202b"
               "\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff" for c in text)


def shown(client_id):
    """What a JSON line has for it; None: not compared."""
    try:
        return client_id.decode() if 0 < len(client_id) <= 512 else None
    except UnicodeDecodeError:
        return None


def json_line(line):
    pairs = json.loads(line, object_pairs_hook=list)
    event = dict(pairs)
    check(len(pairs) == len(event), f"a key twice: {line}")
    check({"time", "level", "code", "event", "text"} <= event.keys(), f"a line lacks something: {line}")
    return event["code"], event


def text_line(line):
    check(TEXT.match(line), f"no line of text: {line!r}")
    found = re.search(r"of_code=(ODK-\d{4}) of_event=\S+ count=(\d+)", line)
    return TEXT.match(line)[2], {"of_code": found[1], "count": int(found[2])} if found else {}


def told(form):
    broker = started(new_broker(f"hostile-{form}", f"odradek.log.format={form}"))
    try:
        began = time.monotonic()
        for client_id in IDS:
            bad_request(broker.address, client_id)
        for _ in range(FLOOD):
            bad_request(broker.address, b"flood")
        check(broker.stop() == 0, "it did not stop cleanly")
        windows = 2 + (time.monotonic() - began) / WINDOW_S
        with open(broker.log_path, "rb") as file:
            text = file.read().decode("utf-8")  # strictly
    finally:
        broker.destroy()
    check(text.endswith("\n"), "the last line is not whole")
    lines = text[:-1].split("\n")
    check(all(harmless(line) for line in lines), f"{[line for line in lines if not harmless(line)]}")
    events = [json_line(line) if form == "json" else text_line(line) for line in lines]
    codes = [code for code, _ in events]
    for once in ("ODK-5001", "ODK-5002", "ODK-5003"):
        check(codes.count(once) == 1, f"{once} was said {codes.count(once)} times")
    check("ODK-9999" not in codes, "a client wrote a line of its own")
    printed = codes.count("ODK-1002")
    held_back = sum(
        event["count"]
        for code, event in events
        if code == "ODK-5004" and event["of_code"] == "ODK-1002"
    )
    check(printed + held_back == len(IDS) + FLOOD, f"{printed} printed and {held_back} counted")
    check(printed <= windows * BURST, f"{printed} lines in {windows:.1f} windows")
    if form == "json":
        ids = [event.get("client_id") for code, event in events if code == "ODK-1002"]
        for sent, said in zip(IDS, ids):
            check(shown(sent) in (None, said), f"{sent!r} became {said!r}")
    return f"{form}: {printed} lines, {held_back} counted"


def start_words():
    """The same on the command line and in a directory's name, before there is a log."""
    folder = os.path.join(os.fsencode(harness.data_root()), b"dir \x1b[2J \xff\n name %d" % os.getpid())
    cases = (
        [b"serve", b"--set", b"a\x1b[2J\nb\xff=1"],
        [b"serve", b"--data", folder + b"/not/\x1b[31m/there\n", b"--set", b"num.partitions=\x1b[2J\nx"],
        [b"serve", b"\x1b[2J\nfake\x07"],
        [b"topic", b"info", b"\x1b]0;t\x07\nx", b"-b", b"127.0.0.1:1"],
        [b"errors", b"\x1b[2J\nx"],
    )
    for words in cases:
        done = subprocess.run([harness.PROGRAM.encode(), *words], capture_output=True, timeout=60)
        check(done.returncode != 0, f"{words} was taken")
        said = (done.stdout + done.stderr).decode("utf-8", "surrogateescape")
        for line in said.split("\n"):
            check(harmless(line), f"{words}: {line!r}")
            check(not line.startswith(("fake", "x", "b")), f"{words} wrote a line of its own: {line!r}")


def cases():
    found = [told("json"), told("text")]
    start_words()
    return "; ".join(found)
