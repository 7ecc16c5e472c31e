"""top, --watch and progress bars as they are seen: on screens of several sizes, while they change, and
what is left of the terminal afterwards."""

import re
import signal

from harness import check
from screens import Terminal, column_at, fits

LONG = "a-" + "long" * 30


def prepare(shell):
    if not prepare.done:
        shell.run("topic", "create", LONG, *[f"k-{i:02}" for i in range(40)])
        for group in ("k-one", "k-two"):
            shell.run("group", "rewind", group, "--topic", "k-00", "--to-start")
        prepare.done = True


prepare.done = False


def top(shell, **options):
    prepare(shell)
    return Terminal(shell, "top", "--interval", "200ms", "--http", shell.http, **options)


def shows_groups(lines):
    return any(line.startswith("GROUP ") for line in lines) and "q quits" in lines[-1]


def aligned(lines, heading, rows):
    """Numbers of the rows end where their headings end."""
    spans = column_at(lines, heading)
    for row in rows:
        for start, end in spans[1:]:
            check(len(row) < end or row[end - 1] != " ", f"{row!r} has nothing under {start}..{end}: {lines}")
            check(len(row) <= end or row[end] == " ", f"{row!r} goes beyond {end}: {lines}")


def case_top_on_a_usual_screen(shell):
    with top(shell) as t:
        lines = t.until(shows_groups, "topics and groups")
        fits(lines, 80)
        check(re.match(r"BROKERS 1  CONNECTIONS \d+  REQUESTS/S [\d.]+  RECORDS IN/S [\d.]+ ", lines[0]), str(t))
        check(lines[1].startswith("BYTES ") and "MEMORY" in lines[1] and lines[2] == "", str(t))
        check(re.search(r"^TOPIC +PARTITIONS +END +RECORDS/S$", "\n".join(lines), re.M), str(t))
        topics = [line for line in lines if line.startswith(("a-long", "k-"))]
        check(any(line.startswith("a-long") and "\u2026" in line for line in topics), f"no shortened name: {t}")
        aligned(lines, "TOPIC", [line for line in topics if not line.startswith(("k-one", "k-two"))])
        check(any(re.match(r"\.\.\. and \d+ more$", line) for line in lines), f"what is left out is not counted: {t}")
        check(re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  every 0.2 s  q quits$", lines[-1]), str(t))
        heads = [t.screen.buffer[y][0].bold for y, line in enumerate(lines) if line.startswith(("TOPIC", "GROUP"))]
        check(heads == [True, True], f"headings are not bold: {t}")
        t.type("q")
        t.ends()
        check(not any("BROKERS" in line for line in t.lines), f"it left something behind: {t}")


def case_top_on_a_large_screen(shell):
    with top(shell, rows=80, columns=200) as t:
        lines = t.until(shows_groups, "topics and groups")
        fits(lines, 200)
        check("MEMORY" in lines[0] and lines[1] == "", f"one line is enough for the head: {t}")
        check(any(line.startswith(LONG + " ") for line in lines), f"a name is cut where there is room: {t}")
        t.kill(signal.SIGTERM)
        t.ends()


def case_top_when_the_size_changes(shell):
    with top(shell, rows=30, columns=120) as t:
        t.until(shows_groups, "topics and groups")
        for rows, columns in ((16, 50), (60, 150), (3, 20), (24, 80)):
            t.resize(rows, columns)
            lines = t.until(lambda seen: seen[0].startswith("BROKERS 1") and re.match(r"\d{4}-", seen[-1]), f"{rows} x {columns}")
            fits(lines, columns)
            if rows > 10:
                t.until(shows_groups if columns > 60 else lambda seen: any(line.startswith("GROUP") for line in seen), "groups")
        t.type("\x03")  # Ctrl-C
        t.ends()


def case_top_without_colour(shell):
    with top(shell, env={"NO_COLOR": "1"}) as t:
        t.until(shows_groups, "topics and groups")
        check(not any(cell.bold or cell.fg != "default" for row in t.screen.buffer.values() for cell in row.values()), str(t))
        t.type("\x04")
        t.ends()
    with top(shell, env={"TERM": "dumb"}, rows=200) as t:  # lines after lines
        t.until(lambda lines: sum(line.startswith("BROKERS") for line in lines) >= 2, "two looks")
        check(b"\x1b" not in t.raw, f"a dumb terminal got {t.raw!r}")
        t.kill(signal.SIGINT)
        t.ends()


def case_top_into_a_pipe(shell):
    prepare(shell)
    done = shell.run("top", "--interval", "20ms", "--http", shell.http)
    check("\x1b" not in done.out and "\f" not in done.out and "more" not in done.out, f"{done}")
    check(sum(line.startswith("k-") for line in done.lines()) >= 42, f"{done}")
    names = [topic["topic"] for topic in shell.json("top", "--interval", "20ms", "--http", shell.http)["topics"]]
    check(set(shell.run("topic", "ls", "-o", "name").lines()) - {"__consumer_offsets"} == set(names), f"{names}")


def case_the_error_stays(shell):
    """A command that fails while it is watched says so on the screen that stays."""
    shell.run("topic", "create", "k-gone")
    with Terminal(shell, "topic", "info", "k-gone", "--watch", "--interval", "50ms") as t:
        t.until(lambda lines: lines[0].startswith("TOPIC k-gone"), "the topic")
        shell.run("topic", "rm", "k-gone", "-y")
        t.ends(3)
        check(any('topic "k-gone" not found' in line for line in t.lines), str(t))


def case_watching_health(shell):
    """What is unhealthy goes on being watched, and is the exit code."""
    shell.note(["health"], "terminal")
    with Terminal(shell, "health", "--watch", "--interval", "50ms", "--http", "127.0.0.1:1") as t:
        t.until(lambda lines: lines[0].startswith("HEALTH UNHEALTHY") and "q quits" in lines[-1], "the state")
        t.type("q")
        t.ends(10)


def case_help_in_columns(shell):
    """No line is broken by the terminal; where none is there is one line for each option."""
    for columns in (40, 60, 80, 200):
        for words in (("help", "group", "rewind"), ("errors", "ODK-3207"), ("help", "secure"), ("help",)):
            with Terminal(shell, *words, columns=columns, local=True) as t:
                t.ends()
                lines = t.raw.decode().split("\r\n")
                check(len(lines) > 3, f"{t}")
                if columns > 40 or len(words) > 1:  # what is to be typed is never broken
                    check(max(map(len, lines)) < max(columns, 45), f"{columns} columns: {lines}")
    check(any(len(line) > 100 for line in shell.bare("help", "group", "rewind").lines()), "a pipe has columns")


def records(lines):
    found = re.search(r"(\d+) records", lines[0])
    return int(found[1]) if found else 0


def case_progress_bars(shell):
    for columns, pattern, env in (
        (80, r"^[\u2588\u2591]{24} +\d+%  \d+ records  \d+/s  ETA \S+$", {}),
        (80, r"^[#-]{24} +\d+%  \d+ records  \d+/s  ETA \S+$", {"LANG": "C"}),
        (55, r"^[\u2588\u2591]{6,24} +\d+%  \d+ records  \d+/s  ETA \S+$", {}),
        (36, r"^ *\d+%  \d+ records", {}),
    ):
        # It would take minutes, and is interrupted when enough was seen.
        words = ("bench", "pub", "-n", 100000, "-r", 300)
        with Terminal(shell, *words, columns=columns, quiet=True, env=env) as t:
            # What a terminal is given may come in two pieces.
            lines = t.until(lambda lines, pattern=pattern: re.search(pattern, lines[0]), pattern)
            check(not any(lines[1:]), f"more than a bar: {t}")
            fits(lines, columns)
            first = records(lines)
            lines = t.until(lambda lines, first=first: records(lines) > first, "more of it")
            check(not any(lines[1:]), f"it is on one line: {t}")
            t.kill(signal.SIGINT)
            t.ends()
            check(not any(t.lines), f"the bar is wiped: {t}")
