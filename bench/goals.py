"""Row `kafka`: the goal table, every line of it measured beside Apache Kafka in one session, and printed as one table.

    bench/run kafka                    all rows; a second time with BENCH_CORES=split, the hot ones, with a core each
    bench/run kafka produce-1000 rate  only these; `bench/run kafka rows` names them
    bench/run table                    the table of what was measured so far

Every run is added to a file of JSON lines, so that a table can be put together from several sittings: remove the file to begin
a new table. A round measures everybody once, in an order drawn by chance; compared are ratios within a round: the median
and its 95 % interval (fewer than five rounds: the range), or how much is above the null broker of the same round. A run that
is VOID is made again. Rows of bench/goals_hot.py are rounds with brokers that are warm; in those of bench/goals_cold.py
everybody is started anew.

    BENCH_GOALS_ROUNDS=3              seven for a claim
    BENCH_GOALS_SECONDS=3             of each run, after half of it, one to ten, that is not counted; ten for a claim
    BENCH_GOALS_WARM=20               seconds for the JVM, and for the Odradek of the rows -up; sixty for a claim
    BENCH_GOALS_WHO=                  measure only these, by comma: ours,kafka,durable,null,control
    BENCH_GOALS_FILE=build/goals.jsonl
    BENCH_GOALS_PROBE=2               rate: seconds for each step
    BENCH_GOALS_CATCHUP_GB=5, BENCH_GOALS_LIVE=5      catchup: backlog; seconds of the live producer
    BENCH_GOALS_HELD=60               held: seconds
    BENCH_GOALS_RECOVERY_GB=10, BENCH_GOALS_RECOVERY_MORE_GB=50
    BENCH_GOALS_CONNECTIONS=15000
    BENCH_CORES=shared                split: broker on core 0, load on core 1
"""
import json
import os
import random
import statistics
import time

import beside_kafka
import goals_cold
import goals_hot
import measure
from beside_kafka import CONTROL, DURABLE, NULL, OURS, UNSAFE, core_mode
from measure import median_interval, met, number

FILE = os.environ.get("BENCH_GOALS_FILE", os.path.join(measure.BUILD, "goals.jsonl"))
TRIES = 3
WHO = {"ours": OURS, "kafka": UNSAFE, "durable": DURABLE, "null": NULL, "control": CONTROL}
ONE_ROUND = ("held",)
ONCE_BEFORE = ("produce-1000-up",)  # a first run of everybody that stays up is not counted
SHARED_ONLY = ("create", "held")
SHORT = ("produce-1000", "ack-100")

# What a row is called in the table.
NAMES = {
    "produce-1000": "produce, 1,000 partitions x 64 KiB",
    "produce-1000-up": "the same, Odradek warmed and kept up as Kafka is",
    "held": "the same held 60 s, filing and retention on",
    "produce-100": "produce, 100 x 64 KiB",
    "produce-1m": "produce, 1 x 1 MB",
    "rate": "100 x 16 KiB, rate held with p99 <= 2 ms",
    "ack-100": "100 MB/s, 100 x 16 KiB",
    "end-to-end": "10 MB/s, 100 x 16 KiB, with a consumer",
    "one-record": "one-record requests",
    "fetch": "fetch, hot",
    "catchup": "fetch, catch-up of 5 GB",
    "start": "start, empty",
    "start-6000": "start, 6,000 partitions",
    "start-100000": "start, 100,000 partitions",
    "create": "5,000 partitions, until usable",
    "create-100000": "100,000 partitions, until usable",
    "recovery": "kill -9 to first Produce, 10 GB",
    "recovery-more": "kill -9 to first Produce, 50 GB",
    "connections": "15,000 idle connections",
}

# Row, figure, and what is wanted of it: ours over theirs, ours by itself, or ours against the null broker's plus so much.
GOALS = [
    ("produce-1000", "MB/s", [(UNSAFE, ">=", 2), (DURABLE, ">=", 10), (OURS, ">=", 1500)]),
    ("produce-1000", "cpu-s/GB", [(UNSAFE, "<=", 1 / 6), (DURABLE, "<=", 1 / 12), (NULL, "<=", 0.2)]),
    ("produce-1000", "ack p99 ms", []),
    ("produce-1000-up", "MB/s", [(UNSAFE, ">=", 2), (OURS, ">=", 1500)]),
    ("produce-1000-up", "cpu-s/GB", [(UNSAFE, "<=", 1 / 6)]),
    ("held", "MB/s", [(OURS, ">=", 1000)]),
    ("rate", "MB/s", [(DURABLE, ">=", 10), (OURS, ">=", 200)]),
    ("produce-1m", "MB/s", [(UNSAFE, ">=", 1), (DURABLE, ">=", 2.5), (OURS, ">=", 1300)]),
    ("produce-1m", "cpu-s/GB", [(UNSAFE, "<=", 1 / 2.5), (NULL, "<=", 0.2)]),
    ("produce-100", "MB/s", []),
    ("produce-100", "cpu-s/GB", [(UNSAFE, "<=", 1 / 4), (DURABLE, "<=", 1 / 12), (NULL, "<=", 0.2)]),
    ("ack-100", "cpu-s/GB", [(UNSAFE, "<=", 1 / 8), (OURS, "<=", 0.7)]),
    ("ack-100", "ack p50 ms", []),
    ("ack-100", "ack p99 ms", [(UNSAFE, "<=", 1 / 4), (OURS, "<=", 0.5)]),
    ("ack-100", "ack p99.9 ms", [(OURS, "<=", 5)]),
    ("end-to-end", "end to end p99 ms", [(UNSAFE, "<=", 1 / 3), (OURS, "<=", 0.8)]),
    ("one-record", "requests/cpu-s", [(UNSAFE, ">=", 2), (DURABLE, ">=", 10), (OURS, ">=", 100000)]),
    ("fetch", "1 MiB MB/s", []),
    ("fetch", "1 MiB cpu-s/GB", [(UNSAFE, "<=", 1), (OURS, "<=", 0.2), (NULL, "<=", 0.2)]),
    ("fetch", "64 KiB MB/s", []),
    ("fetch", "64 KiB cpu-s/GB", [(UNSAFE, "<=", 1 / 3), (OURS, "<=", 0.35), (NULL, "<=", 0.2)]),
    ("catchup", "MB/s", []),
    ("catchup", "cpu-s/GB", [(UNSAFE, "<=", 1 / 4), (OURS, "<=", 0.3)]),
    ("catchup", "live ack p99 ms", [(UNSAFE, "<=", 1 / 100), (OURS, "<=", 2)]),
    ("start", "ms", [(UNSAFE, "<=", 1 / 100), (OURS, "<=", 20)]),
    ("start-6000", "ms", [(UNSAFE, "<=", 1 / 200), (OURS, "<=", 50)]),
    ("start-100000", "ms", [(OURS, "<=", 300)]),
    ("start", "RSS MB", [(UNSAFE, "<=", 1 / 25), (OURS, "<=", 15)]),
    ("start-6000", "KiB per partition", [(UNSAFE, "<=", 1 / 36), (OURS, "<=", 1.5)]),
    ("start-100000", "KiB per partition", [(OURS, "<=", 1.5)]),
    ("create", "s", [(UNSAFE, "<=", 1 / 100), (OURS, "<=", 0.1)]),
    ("create-100000", "s", [(OURS, "<=", 2)]),
    ("recovery", "s", [(UNSAFE, "<=", 1 / 15), (OURS, "<=", 1)]),
    ("recovery-more", "s", [(OURS, "<=", 1)]),
    ("connections", "KiB RSS each", [(UNSAFE, "<=", 1)]),
    ("connections", "KiB each with the kernel's", [(OURS, "<=", 5)]),
]

# Without these nothing else counts. Of full produce both are told, see docs/decisions/0028-full-produce-of-brokers-that-are-up.md.
MANDATORY = [
    ("produce-1000", "MB/s", (UNSAFE, ">=", 2)),
    ("produce-1000-up", "MB/s", (UNSAFE, ">=", 2)),
    ("ack-100", "ack p99 ms", (OURS, "<=", 1)),
    ("catchup", "live ack p99 ms", (OURS, "<=", 5)),
    ("recovery", "s", (OURS, "<=", 1)),
    ("recovery-more", "s", (OURS, "<=", 1)),
]

# ---- measuring ----------------------------------------------------------------------------------


class Keeper:
    """Writes what was measured, on the terminal and into the file."""

    def __init__(self, path):
        self.path, self.commit = path, beside_kafka.commit()

    def keep(self, row, turn, who, figures, note):
        void = figures.pop("VOID", False)
        others = {name: figures.pop(name) for name in ("seconds", "foreign", "stolen") if name in figures}
        record = dict(time=round(time.time()), commit=self.commit, cores=core_mode(), row=row, round=turn, who=who, void=void,
                      note=note, **others, figures=figures)
        with open(self.path, "a") as file:
            file.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        words = [word for word in (note, "VOID" if void else "") if word]
        if "foreign" in others:
            words.append(f"others {others['foreign']:.2f} cores, stolen {others['stolen']:.1%}")
        print(f"  {row}, {who}: {shown}" + (f" ({'; '.join(words)})" if words else ""), flush=True)
        return void


def alone(row, who, measured):
    """What fails does so alone: the rows after it are measured. None when it did."""
    try:
        return measured()
    except SystemExit as failure:
        if isinstance(failure.code, int):
            raise
        why = failure.code
    except Exception as failure:  # whatever a broker or a client of it may raise
        why = f"{type(failure).__name__}: {failure}"
    print(f"  {row}, {who}: FAILED, {why}", flush=True)
    return None


def attempt(keeper, row, turn, who, measured):
    """One run, made again while it is VOID."""
    for _ in range(TRIES):
        found = alone(row, who, measured)
        if found is None or not keeper.keep(row, turn, who, *found):
            return


def hot(row, session, keeper, kafka, rounds):
    what, everybody = goals_hot.ROWS[row]
    chosen = [WHO[name] for name in os.environ.get("BENCH_GOALS_WHO", ",".join(WHO)).split(",")]
    people = [who for who in everybody if who in chosen and (kafka or who not in (UNSAFE, DURABLE))]
    state = what(session) if isinstance(what, type) else None
    run = state.measure if state else what
    try:
        for who in reversed(people) if row in ONCE_BEFORE else ():  # Odradek last: what it freed waits a minute
            alone(row, who, lambda who=who: run(session, who))
        for _ in range(1 if row in ONE_ROUND else rounds):
            turn = f"{time.time():.3f}"
            for who in random.sample(people, len(people)):
                attempt(keeper, row, turn, who, lambda who=who: run(session, who))
    finally:
        session.close_ours()
        if state:
            state.close()


def cold(row, keeper, kafka):
    counts = {}
    begun = f"{time.time():.3f}"

    def all_of_it():
        for who, figures, note in goals_cold.ROWS[row](kafka):
            counts[who] = counts.get(who, 0) + 1
            keeper.keep(row, f"{begun}-{counts[who]}", who, figures, note)

    alone(row, "everybody", all_of_it)


def rows_of_mode():
    """Cold rows first: there is no other Kafka then."""
    if core_mode() == "split":
        return [row for row in goals_hot.ROWS if row not in SHARED_ONLY]
    return [*goals_cold.ROWS, *goals_hot.ROWS]


def run(rows=()):
    known = [*goals_cold.ROWS, *goals_hot.ROWS]
    if "rows" in rows:
        print(*known)
        return
    for row in rows:
        if row not in known:
            raise SystemExit(f"error: there is no row {row}; there are {', '.join(known)}")
    measure_rows(rows or rows_of_mode(), FILE, kafka_there(), number("BENCH_GOALS_ROUNDS", 3))
    table(all_rows=not rows)


def short():
    """Of the short benchmark: one round of the rows that tell most; beside Kafka where its jars are already there."""
    path = os.path.join(measure.BUILD, "goals-short.jsonl")
    if os.path.exists(path):
        os.remove(path)
    measure_rows(SHORT, path, beside_kafka.java_there(), 1)
    table(path, all_rows=False)


def measure_rows(rows, path, kafka, rounds):
    os.makedirs(measure.DATA, exist_ok=True)
    session, keeper = goals_hot.Session(number("BENCH_GOALS_SECONDS", 3.0)), Keeper(path)
    try:
        for row in rows:
            begun = time.monotonic()
            if row in goals_cold.ROWS:
                session.close()
                cold(row, keeper, kafka)
            else:
                hot(row, session, keeper, kafka, rounds)
            print(f"  {row}: {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        session.close()


def kafka_there():
    try:
        beside_kafka.harness.java_jars("broker")
        return True
    except beside_kafka.harness.Unavailable as missing:
        print(f"kafka: measured without it, {missing}")
        return False


# ---- the table ----------------------------------------------------------------------------------


def records(path):
    try:
        with open(path) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        raise SystemExit(f"error: nothing was measured yet: {path} is not there") from None


class Measured:
    """All figures of one row and mode: by who and round."""

    def __init__(self, found, row, mode):
        self.of, self.seconds = {}, set()
        for record in found:
            if record["row"] == row and record["cores"] == mode and not record["void"]:
                if "seconds" in record:
                    self.seconds.add(f"{record['seconds']:g} s")
                self.of.setdefault(record["who"], {})[record["round"]] = record["figures"]

    def values(self, who, figure):
        return [f[figure] for f in self.of.get(who, {}).values() if figure in f]

    def median(self, who, figure):
        values = self.values(who, figure)
        return statistics.median(values) if values else None

    def pairs(self, figure, who, other):
        """Within rounds."""
        ours, theirs = self.of.get(who, {}), self.of.get(other, {})
        return [(ours[turn][figure], theirs[turn][figure]) for turn in ours if turn in theirs and figure in ours[turn]]

    def ratios(self, figure, who, other):
        return [one / max(another, 1e-9) for one, another in self.pairs(figure, who, other)]

    def differences(self, figure, who, other):
        return [one - another for one, another in self.pairs(figure, who, other)]

    def rounds(self, who):
        return len(self.of.get(who, {}))


def shown(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def said_fraction(value):
    return "1" if value == 1 else f"1/{1 / max(value, 1e-9):.3g}"


def said_ratio(ratios):
    """The median and its interval; small ones as fractions of one."""
    if not ratios:
        return "-"
    middle, low, high = median_interval(ratios)
    say = said_fraction if middle < 0.5 else "{:.3g}".format
    return say(middle) + (f" ({say(low)} to {say(high)})" if len(ratios) > 1 else "")


def judged(measured, figure, goal):
    """Ratio, goal and verdict of one line."""
    against, relation, bound = goal
    ours = measured.median(OURS, figure)
    ratio = "-"
    if against == OURS:
        value, wanted = ours, f"{relation} {shown(bound)}"
    elif against == NULL:
        above = measured.differences(figure, OURS, NULL)
        value = statistics.median(above) if above else None
        wanted, ratio = f"<= null broker + {bound}", "-" if value is None else f"null + {value:.3g}"
    else:
        ratios = measured.ratios(figure, OURS, against)
        value, ratio = (statistics.median(ratios) if ratios else None), said_ratio(ratios)
        wanted = f"{relation} {bound:.3g} of {against}" if relation == ">=" else f"<= {said_fraction(bound)} of {against}"
    if value is None:
        return ratio, wanted, "not measured"
    return ratio, wanted, met(value >= bound if relation == ">=" else value <= bound)


def table_lines(found, all_rows):
    for row, figure, goals in GOALS:
        for mode in ("shared", "split"):
            measured = Measured(found, row, mode)
            if measured.median(OURS, figure) is None:
                if mode == "shared" and all_rows:
                    yield [NAMES[row], figure, mode, *"----", "-", "", "not measured"]
                continue
            figures = [shown(measured.median(who, figure)) for who in (UNSAFE, DURABLE, NULL, OURS)]
            kind = "any" if row in goals_cold.ROWS else ", ".join([mode, *sorted(measured.seconds)])
            head = [NAMES[row], figure, kind, *figures]
            for goal in goals:
                yield [*head, *judged(measured, figure, goal)]
                head = [""] * len(head)
            if not goals:
                yield [*head, said_ratio(measured.ratios(figure, OURS, UNSAFE)), "none", ""]


def control_lines(found):
    for row, (_what, people) in goals_hot.ROWS.items():
        for mode in ("shared", "split"):
            measured = Measured(found, row, mode)
            if CONTROL in people and measured.rounds(CONTROL):
                spread = (f"{figure} {said_ratio(measured.ratios(figure, OURS, CONTROL))}" for figure in ("MB/s", "cpu-s/GB", "ack p99 ms"))
                yield f"control, {NAMES[row]}, {mode}: Odradek / Odradek again: " + ", ".join(spread)


def mandatory_lines(found):
    for row, figure, goal in MANDATORY:
        for mode in ("shared", "split"):
            measured = Measured(found, row, mode)
            if measured.rounds(OURS):
                ratio, wanted, verdict = judged(measured, figure, goal)
                said = shown(measured.median(OURS, figure)) + f", ratio {ratio}" * (goal[0] != OURS)
                yield f"mandatory, {NAMES[row]}, {figure}, {mode}: {said}; {wanted}: {verdict}"


def table(path=FILE, all_rows=True):
    """What was measured, as the table of goals."""
    found = records(path)
    lines = list(table_lines(found, all_rows))
    head = ["row", "figure", "run", UNSAFE, DURABLE, NULL, OURS, f"{OURS} / theirs", "goal", ""]
    beside_kafka.table([head, ["---"] * len(head), *lines])
    print()
    for line in [*mandatory_lines(found), *control_lines(found)]:
        print(line)
    verdicts = [line[-1] for line in lines]
    voids = sum(record["void"] for record in found)
    times = [time.strftime("%Y-%m-%d %H:%M", time.localtime(record["time"])) for record in (found[0], found[-1])]
    foreign = [record["foreign"] for record in found if "foreign" in record]
    stolen = [record["stolen"] for record in found if "stolen" in record]
    print(f"{verdicts.count('met')} met, {verdicts.count('NOT met')} NOT met, {verdicts.count('not measured')} not measured; "
          f"{len(found)} runs, {voids} VOID; {times[0]} to {times[1]}; commits {', '.join(sorted({r['commit'] for r in found}))}")
    if foreign:
        print(f"others used {statistics.median(foreign):.2f} cores at the median, {max(foreign):.2f} at most (the kernel's writeback "
              f"for Kafka is among them); the host took {statistics.median(stolen):.1%}, at most {max(stolen):.1%}")
