"""What bench/curves.py measured, as tables in docs/performance.md, between two markers, and as plots in docs/plots.

A result is a dict: curve, who, x, date, commit and figures by the names of bench/load.c, or `failed` and why.
"""
import os
import statistics

import measure
import plot_svg

BROKERS = OURS, KAFKA = ("Odradek", "Apache Kafka")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
DOCUMENT = os.path.join(measure.ROOT, "docs", "performance.md")
PLOTS = os.path.join(measure.ROOT, "docs", "plots")
BEGIN, END = "<!-- curves: begin, written by ./dev bench-full -->", "<!-- curves: end -->"
RECORD_BYTES = 1024
OTHERS_MAX = 0.3  # cores, from which on a point is no claim

# name: heading, what x is, what is done.
CURVES = {
    "partitions": ("Partitions", "partitions", "Batches of 16 KiB, each to the next partition, 8 connections with 5 requests in "
                   "flight. Kafka ends at 5,000 partitions: its files and maps stand against this machine's limits of 20,000 descriptors "
                   "and 65,530 maps a process."),
    "connections": ("Connections", "connections", "100 partitions, batches of 4 KiB, every connection with one request in flight."),
    "record-size": ("Record size", "bytes of a record", "100 partitions, batches of 64 KiB or one record, 8 connections with 5 requests "
                    "in flight. The batch's own bytes count: of records of 10 bytes nearly half is framing. A record of 1 MiB is above the "
                    "default max.message.bytes, which is 2 MiB here."),
    "batch": ("Batch size", "records of 1 KiB in a batch", "100 partitions, a request has one batch, 8 connections with 5 requests in "
              "flight."),
    "producers": ("Producers with keys", "producers", "What keys make of a producer's records: every request has small batches for many "
                  "partitions. 100 partitions, 20 batches of 2 records of 1 KiB in a request, every producer with 5 requests in "
                  "flight."),
    "codecs": ("Codecs", "codec", "64 JSON records of 1 KiB in a batch, each one different, 100 partitions. The broker looks into "
               "every batch and validates its records. MB/s and cpu-s/GB are of the records before compression."),
    "backlog": ("Backlog", "GB stored", "16 partitions. MB/s, cpu-s/GB and RSS: four connections read the log from its start, from the "
                "disk (what the page cache had of it is dropped first; a small one still stands in Odradek's own buffers). Latencies: "
                "end to end of a consumer at the end of the log while 50 MB/s are produced, before the catch-up."),
    "retention": ("Across retention", "seconds", "100 MB/s of 16 KiB batches in open loop to 100 partitions that keep 20 MiB each: "
                  "deletes begin after some twenty seconds and go on."),
}
COLUMNS = ["MB/s", "records/s", "cpu-s/GB", "p50 ms", "p99 ms", "p99.9 ms", "RSS MiB", "others"]


def figures_of(line):
    """The columns of a line; None where it has no such figure."""
    def of(key, factor=1.0):
        return line[key] * factor if line.get(key) is not None else None

    figures = {"MB/s": of("MB/s"), "records/s": of("records/s"), "cpu-s/GB": of("broker_cpu_s/GB"),
               "p50 ms": of("p50_us", 1e-3), "p99 ms": of("p99_us", 1e-3), "p99.9 ms": of("p999_us", 1e-3),
               "RSS MiB": of("rss_mib"), "others": of("others")}
    if line["curve"] == "codecs" and figures["MB/s"]:
        before = figures["records/s"] * RECORD_BYTES / 1e6
        figures["cpu-s/GB"] *= figures["MB/s"] / before
        figures["MB/s"] = before
    if line["curve"] == "backlog" and line["MB/s"] == 0:
        figures["MB/s"] = None
    return figures


def place(curve, x):
    return CODECS.index(x) if curve == "codecs" else x


def points(results, curve):
    """(x, who): medians of its runs, whether one was void or disturbed; or why there are none."""
    found = {}
    for line in results:
        if line["curve"] == curve:
            found.setdefault((line["x"], line["who"]), []).append(line)
    out = {}
    for key in sorted(found, key=lambda key: (place(curve, key[0]), BROKERS.index(key[1]))):
        good = [line for line in found[key] if "failed" not in line]
        if not good:
            out[key] = {"failed": found[key][-1]["failed"]}
            continue
        rows = [figures_of(line) for line in good]
        out[key] = {name: statistics.median(row[name] for row in rows) if all(row[name] is not None for row in rows) else None
                    for name in COLUMNS}
        void = any(line.get("void") for line in good)
        out[key].update(void=void, hollow=void or (out[key]["others"] or 0) > OTHERS_MAX)
    return out


# ---- tables -------------------------------------------------------------------------------------


def said(name, value):
    if value is None:
        return "–"
    if name in ("MB/s", "records/s", "RSS MiB"):
        return f"{value:,.0f}"
    if name == "others":
        return f"**{value:.2f}**" if value > OTHERS_MAX else f"{value:.2f}"
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def table(curve, x_name, found):
    out = [f"| {x_name} | broker | " + " | ".join(COLUMNS) + " |", "|---|---|" + "--:|" * len(COLUMNS)]
    for (x, who), figures in found.items():
        head = f"| {x if isinstance(x, str) else f'{x:,}'} | {who}"
        if "failed" in figures:
            out.append(f"{head} | failed: {figures['failed']} |" + " |" * (len(COLUMNS) - 1))
            continue
        void = " VOID" if figures["void"] else ""
        out.append(f"{head}{void} | " + " | ".join(said(name, figures[name]) for name in COLUMNS) + " |")
    if curve == "retention":
        out = [line.replace("| 0 |", "| all |", 1) for line in out]
    return out


def seconds_said(results):
    """Of the run across retention: the first twenty seconds beside the rest."""
    out = []
    for line in results:
        series = line.get("series")
        if line["curve"] == "retention" and series and len(series) > 25:
            early, late = series[:15], series[25:]
            out.append(f"- {line['who']}: p99 of a second, median {statistics.median(p for _, p in early) / 1000:.2f} ms in the first 15 s, "
                       f"{statistics.median(p for _, p in late) / 1000:.2f} ms from 25 s, worst {max(p for _, p in late) / 1000:.3g} ms; "
                       f"least rate of a second {min(r for r, _ in late):.0f} MB/s.")
    return out[-len(BROKERS):]


# ---- plots --------------------------------------------------------------------------------------


def plot(curve, found, results):
    x_name = CURVES[curve][1]
    if curve == "retention":
        last = {line["who"]: line["series"] for line in results if line["curve"] == curve and "series" in line}
        panels = [("MB/s in each second", {who: [(i, rate, False) for i, (rate, _) in enumerate(s)] for who, s in last.items()}),
                  ("ack p99 of each second, ms", {who: [(i, p99 / 1000, False) for i, (_, p99) in enumerate(s) if p99 > 0]
                                                  for who, s in last.items()})]
        return plot_svg.figure(panels, x_name, BROKERS)
    titles = {"MB/s": "MB/s", "p99 ms": "ack p99, ms", "cpu-s/GB": "broker cpu-s/GB"}
    if curve == "backlog":
        titles = {"MB/s": "catch-up, MB/s", "p99 ms": "end to end p99 at the end, ms", "cpu-s/GB": "catch-up, broker cpu-s/GB"}
    panels = []
    for name, title in titles.items():
        lines = {}
        for (x, who), figures in found.items():
            if figures.get(name) is not None:
                lines.setdefault(who, []).append((place(curve, x), figures[name], figures["hollow"]))
        panels.append((title, lines))
    return plot_svg.figure(panels, x_name, BROKERS, x_log=curve not in ("codecs", "backlog"),
                           names=CODECS if curve == "codecs" else None)


# ---- the document -------------------------------------------------------------------------------


def absent(results):
    """What is not measured, in words."""
    have = {(line["curve"], line["who"]) for line in results}
    out = [f"{who} in {', '.join(gone)}" for who in BROKERS if (gone := [name for name in CURVES if (name, who) not in have])]
    return f"Not measured yet: {'; '.join(out)}." if out else "Every curve has points of both."


def section(results):
    dates = sorted({line["date"] for line in results})
    seconds = sorted({line["point_s"] for line in results})
    warm = sorted({line["jvm_warm"] for line in results})
    out = [f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}, commits {', '.join(sorted({line['commit'] for line in results}))}; "
           f"{', '.join(f'{s:g}' for s in seconds)} s a point, Kafka's JVM warmed {', '.join(f'{s:g}' for s in warm)} s before a curve. "
           + absent(results),
           "", f"A point at which others used more than {OTHERS_MAX:g} cores is no claim; that figure is bold, and the point is hollow in its plot."]
    for curve, (heading, x_name, how) in CURVES.items():
        found = points(results, curve)
        if not found:
            continue
        out += ["", f"### {heading}", "", how, "", f"![{heading}: Odradek and Apache Kafka](plots/{curve}.svg)", ""]
        out += table(curve, x_name, found)
        if curve == "retention":
            out += ["", *seconds_said(results)]
    return "\n".join(out)


def write(results):
    if not results:
        return print("bench-full: nothing was measured yet")
    os.makedirs(PLOTS, exist_ok=True)
    for curve in CURVES:
        found = points(results, curve)
        if any("failed" not in figures for figures in found.values()):
            with open(os.path.join(PLOTS, curve + ".svg"), "w") as file:
                file.write(plot(curve, found, results))
    with open(DOCUMENT) as file:
        document = file.read()
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    with open(DOCUMENT, "w") as file:
        file.write(f"{before}{BEGIN}\n{section(results)}\n{END}{after}")
    return print("bench-full: docs/performance.md and docs/plots are written")
