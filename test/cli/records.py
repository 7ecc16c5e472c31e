"""pub, cat, tail."""

import json
import re

from harness import check


def case_values_and_lines(shell):
    shell.run("topic", "create", "r-plain")
    shell.run("pub", "r-plain", "one", "two").prints(
        "2 records acknowledged on stable storage in topic r-plain\n"
    )
    shell.run("pub", "r-plain", stdin="three\n\nfive").says("^3 records")
    shell.run("cat", "r-plain").prints("one\ntwo\nthree\n\nfive\n")
    shell.run("tail", "r-plain", "--from", "start", "-e").prints("one\ntwo\nthree\n\nfive\n")
    shell.run("tail", "r-plain", "--from", "-2", "-n", 1).prints("\n")
    done = shell.json("pub", "r-plain", "six")
    check(done == {"topic": "r-plain", "acknowledged": 1, "sent": 1, "partition": 0, "offset": 5}, f"{done}")


def case_every_codec(shell):
    shell.run("topic", "create", "r-codec")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        shell.run("pub", "r-codec", "-z", codec, codec * 50)
    check(len(shell.run("cat", "r-codec").lines()) == 5, "a codec is missing")
    shell.run("pub", "r-codec", "-z", "rar", "x", code=2).warns(
        "^error ODK-6002: --compression rar is not none, gzip, snappy, lz4 or zstd$", "^  next: odradek help pub "
    )


def case_large_records(shell):
    """How large a record may be says the topic, no default of the client's."""
    shell.run("topic", "create", "r-large", "-c", "max.message.bytes=3000000")
    shell.run("pub", "r-large", "-D", "\\0", stdin="x" * 2500000)
    check(len(shell.run("cat", "r-large").out) == 2500001, "it came back otherwise")
    shell.run("pub", "r-large", "-D", "\\0", stdin="x" * 3500000, code=1).warns(
        'not acknowledged by topic "r-large"', "MESSAGE_TOO_LARGE", "^  next: odradek topic edit TOPIC -c max.message.bytes=BYTES "
    )


def case_keys_headers_partitions(shell):
    shell.run("topic", "create", "r-keys", "-p", 3)
    shell.run("pub", "r-keys", "-k", "k1", "-H", "a=1", "-H", "b=", "-p", 2, "v1")
    shell.run("pub", "r-keys", "-K", ":", stdin="k2:v:2\nk3:\n")
    shell.run("pub", "r-keys", "-f", "%p|%k|%h|%v", stdin="1|k4|x=y,z|v4\n")
    shell.run("pub", "r-keys", "-Z", "-k", "gone", "-D", r"\0", stdin="\0")
    shell.run("cat", "r-keys", "-f", r"%k=%v\n", "-k", "k2").prints("k2=v:2\n")
    shell.run("cat", "r-keys", "-p", 2, "-k", "k1", "-K").prints("k1\tv1\n")
    shell.run("cat", "r-keys", "-k", "k4", "-f", r"%t %p %h %H %K %S\n").prints("r-keys 1 x=y,z= 2 2 2\n")
    shell.run("cat", "r-keys", "-k", "gone", "-f", r"%S %V %v{json}\n").prints("-1 -1 null\n")
    shell.run("pub", "r-keys", "-f", "%k|%v", stdin="no bar\n", code=2).warns(
        "record 1 of standard input is not understood", "does not follow the format"
    )
    shell.run("pub", "r-keys", "-f", "%p|%v", stdin="x|v\n", code=2).warns("should be a number")
    shell.run("pub", "r-keys", "-f", "%o|%v", stdin="1|v\n", code=2).warns("format to read by")
    shell.run("pub", "r-keys", "-f", "%v", "-K", ":", code=2).warns("exclude each other")
    shell.run("pub", "r-keys", "-D", "ab", "v", code=2).warns("is not one byte")
    shell.run("pub", "r-keys", "-H", "novalue", "v", code=2).warns("is not NAME=VALUE")
    shell.run("pub", "r-keys", "-p", "x", "v", code=2)
    shell.run("pub", "r-keys", "-p", 7, "v", code=3).warns("1 of 1 records were not acknowledged", "UNKNOWN_PARTITION")


def case_json_lines(shell):
    """What cat prints, pub reads: byte for byte, with nulls and bytes that are no text."""
    shell.run("topic", "create", "r-json", "r-json2", "-c", "retention.ms=-1")
    shell.run("pub", "r-json", "-k", 'q"\\\u00e9', "-H", "h=\x01", "tab\tand \u20ac \x1b[31m")
    shell.run("pub", "r-json", "-D", r"\0", stdin=b"\xff\x00")
    lines = shell.run("cat", "r-json", "-o", "jsonl").out
    shell.run("pub", "r-json2", "--json", stdin=lines)
    again = shell.run("cat", "r-json2", "-o", "jsonl").out
    check(again == lines.replace('"r-json"', '"r-json2"'), f"{again!r} after {lines!r}")
    first, second = (json.loads(line) for line in lines.splitlines())
    check(first["value"] == "tab\tand \u20ac \x1b[31m" and first["key"] == 'q"\\\u00e9', f"{first}")
    check(first["headers"] == [{"key": "h", "value": "\x01"}], f"{first}")
    check(second["value_base64"] == "/w==" and second["key"] is None, f"{second}")
    check(shell.json("cat", "r-json")[0] == first, "-o json is something else")
    check(shell.json("cat", "r-json", "-n", 0) == [], "no records are no list")
    check(shell.json("tail", "r-json", "--from", "start", "-e") == [first, second], "tail prints something else")
    shell.run("cat", "r-json", "-o", "yaml", "-n", 1).says(r'^- topic: "r-json"$', r"^  offset: 0$")
    shell.run("cat", "r-json", "-o", "wide").says(r"^0\t0\t\d{4}-\d\d-\d\dT[\d:.]+Z\t.*tab\\x09and \u20ac \\x1b\[31m$", r"\t\\xff$")
    shell.run("pub", "r-json2", "-j", stdin='{"value": {"n": 1}, "headers": {"a": "b"}, "timestamp": 1000}')
    last = json.loads(shell.run("cat", "r-json2", "-o", "jsonl", "--from", "-1").out)
    check(last["value"] == '{"n": 1}' and last["timestamp"] == 1000, f"{last}")
    for bad, why in (
        ("{", "member"),
        ("[1]", "not an object"),
        ('{"value": tru}', "no JSON value"),
        ('{"value": "x', "does not end"),
        ('{"value": 1} 2', "follows"),
        ('{"partition": 1.5}', "whole number"),
        ('{"headers": 3}', "headers are"),
        ('{"headers": [{}]}', "headers are"),
        ('{"value_base64": "*"}', "base64"),
        ("[" * 100, "deep"),
        ("", "empty"),
    ):
        shell.run("pub", "r-json2", "-j", stdin=bad + "\n", code=2).warns(why)


def case_formats(shell):
    shell.run("topic", "create", "r-format")
    shell.run("pub", "r-format", "-k", "K\u00e9y", "-H", "a=1", "-H", "b=2", "Val")
    stamp = json.loads(shell.run("cat", "r-format", "-o", "jsonl").out)["timestamp"]
    for format, wanted in (
        (r"%t/%p/%o\n", "r-format/0/0\n"),
        (r"%k|%v|%s\n", "K\u00e9y|Val|Val\n"),
        (r"%K %S %V %H %i\n", "4 3 3 2 1\n"),
        (r"%R%s", "\0\0\0\3Val"),
        (r"%T\x21", f"{stamp}!"),
        (r"%k{hex} %v{base64} %v{json} %v{text}", '4bc3a979 VmFs "Val" Val'),
        (r"%h", "a=1,b=2"),
        (r"%h{%k:%v;}", "a:1;b:2;"),
        (r"%%%{%}", "%{}"),
        (r"%d{%Y}", "20\\d\\d"),
        (r"%d", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
        (r"\t\r\\", "\t\r\\"),
    ):
        out = shell.run("cat", "r-format", "-f", format).out
        matches = re.fullmatch(wanted, out) if "\\d" in wanted else out.replace("\r\n", "\n") == wanted
        check(matches, f"{format} printed {out!r}")
    shell.run("cat", "r-format", "-f", "%q", code=2).warns("no %q")
    shell.run("cat", "r-format", "-f", "%k{rot13}", code=2).warns("not understood")
    shell.run("cat", "r-format", "-f", "%k{hex", code=2).warns("not understood")
    shell.run("cat", "r-format", "-f", "%", code=2)


def case_places(shell):
    shell.run("topic", "create", "r-place", "-p", 2, "-c", "retention.ms=-1")
    lines = "".join(f"{p}|{1000 * t}|{p}-{t}\n" for t in range(1, 6) for p in range(2))
    shell.run("pub", "r-place", "-f", "%p|%T|%v", stdin=lines)
    for words, wanted in (
        (["--from", 3], "0-4 0-5 1-4 1-5"),
        (["--from", 1, "--to", 2], "0-2 1-2"),
        (["--from", "-1"], "0-5 1-5"),
        (["--from", "@3500", "-p", 1], "1-4 1-5"),
        (["--to", "@2000"], "0-1 1-1"),
        (["--from", "1970-01-01T00:00:04", "--to", "1970-01-01T00:00:05Z"], "0-4 1-4"),
        (["--from", "-1h"], ""),
        (["--from", 99], ""),
        (["--from", "end"], ""),
        (["-p", 0, "-n", 2], "0-1 0-2"),
        (["--to", "start"], ""),
    ):
        got = " ".join(sorted(shell.run("cat", "r-place", *words).lines()))
        check(got == wanted, f"{words}: {got!r}, not {wanted!r}")
    shell.run("cat", "r-place", "--from", "yesterday", code=2).warns("--from yesterday is not start, end")
    shell.run("cat", "r-place", "-p", 5, code=3).warns('"r-place" has no partition 5', "it has 2, from 0")
    shell.run("cat", "r-place", "-n", "x", code=2)
    shell.run("cat", "r-plaec", code=3).warns('did you mean "r-place"')


def case_tail_follows(shell):
    shell.run("topic", "create", "r-tail")
    shell.run("pub", "r-tail", "before")
    tail = shell.background("tail", "r-tail", "-n", 2, "--from", "start")
    check(tail.stdout.readline() == "before\n", "the first record is another")
    shell.run("pub", "r-tail", "after")
    out, err = tail.communicate(timeout=60)
    check(tail.returncode == 0 and out == "after\n", f"tail ended with {tail.returncode}: {out!r} {err!r}")
    tail = shell.background("tail", "r-tail", "--from", "start", "-o", "json")
    check(tail.stdout.readline() == "[\n", "no list begins")
    tail.stdout.readline()
    tail.terminate()
    out, err = tail.communicate(timeout=60)
    check(tail.returncode == 0 and out.endswith("]\n"), f"an interrupted list ends {out!r} {err!r}")


def case_terminals_get_no_control_characters(shell):
    shell.run("topic", "create", "r-control")
    shell.run("pub", "r-control", "-k", "k\x07", "a\x1b[31mb\tc\u20ac")
    shell.run("cat", "r-control").prints("a\x1b[31mb\tc\u20ac\n")
    shell.terminal("cat", "r-control", "-K").prints("k\\x07\ta\\x1b[31mb\tc\u20ac\n")


def case_reader_goes_away(shell):
    shell.run("topic", "create", "r-gone")
    shell.run("pub", "r-gone", stdin="x" * 1000 + "\n" + "y\n" * 100000)
    cat = shell.background("cat", "r-gone")
    cat.stdout.readline()
    cat.stdout.close()
    err = cat.stderr.read()
    check(cat.wait(60) == 1 and "standard output could not be written" in err, f"{cat.returncode} {err!r}")


def case_progress_on_a_terminal(shell):
    """cat into a file shows on the terminal how far it is; into a pipe nobody sees it."""
    shell.run("topic", "create", "r-bar")
    shell.run("pub", "r-bar", stdin="line\n" * 1000)
    seen = shell.terminal_stderr("cat", "r-bar")
    check(re.search(r"[█░]{24} +\d+%  \d+ records  \d+/s  ETA ", seen), f"the terminal showed {seen!r}")
    seen = shell.terminal_stderr("cat", "r-bar", env={"LANG": "C"})
    check(re.search(r"[#-]{24} +\d+%  \d+ records", seen), f"without UTF-8 the terminal showed {seen!r}")
    check(shell.run("cat", "r-bar").err == "", "a pipe gets a bar")


def case_topics_made_when_written_to(shell):
    shell.run("pub", "r-new", "first").says("^1 record")
    shell.run("cat", "r-new").prints("first\n")
