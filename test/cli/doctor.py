"""`odradek doctor --data`: directories that a real broker left behind, whole and damaged, in words and
for programs; what a repair would cost, and the repair."""

import glob
import hashlib
import os
import re
import shutil

from harness import Odradek, check

VALUE = "a-record-to-be-found"
OPTIONS = ["odradek.http.listen=off"]


class Directory:
    """What a broker left: three records in partition 1 of a topic, filed by a clean stop, or not
    (kill -9)."""

    def __init__(self, shell, clean):
        self.shell = shell
        self.broker = Odradek("cli-doctor", options=OPTIONS)
        self.broker.start()
        self.path = self.broker.data
        address = ["-b", self.broker.address]
        shell.bare("topic", "create", "d-topic", "-p", 2, *address)
        for number in range(3):
            shell.bare("pub", "d-topic", f"{VALUE}-{number}", "-p", 1, *address)
        if clean:
            self.broker.stop()
        else:
            self.broker.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.broker.kill()
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, pattern):
        found = sorted(glob.glob(os.path.join(self.path, pattern)))
        check(found, f"no {pattern} in {self.path}")
        return found[0]

    def damage(self, pattern, text, before=0):
        """Turns a bit of the byte so many before this text."""
        path = self.file(pattern)
        with open(path, "r+b") as file:
            at = file.read().index(text.encode()) - before
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
        return path[len(self.path) + 1 :]

    def sum(self):
        digest = hashlib.sha256()
        for path in sorted(glob.glob(os.path.join(self.path, "**"), recursive=True)):
            digest.update(path.encode())
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    digest.update(file.read())
        return digest.digest()

    def doctor(self, *words, code):
        return self.shell.bare("doctor", "--data", self.path, *words, code=code)

    def report(self, *words, code):
        return self.doctor(*words, "-o", "json", code=code).json()

    def finding(self, code, *words):
        """The finding of this code, of a directory that is damaged; looking changes nothing."""
        before = self.sum()
        report = self.report(*words, code=10)
        check(self.sum() == before, f"the doctor changed something: {report}")
        check(report["state"] == "damaged" and report["damages"] >= 1, report)
        found = [f for f in report["findings"] if f["code"] == code]
        check(len(found) == 1, f"{len(found)} findings {code}: {report}")
        words = self.doctor(code=10)
        check(found[0]["what"] in words.out, f"{found[0]['what']!r} is not said by {words}")
        return found[0]

    def healthy(self):
        self.doctor(code=0).says("^healthy$")

    def starts(self):
        self.broker.start()
        self.broker.stop()


def case_a_whole_directory(shell):
    with Directory(shell, clean=True) as d:
        d.healthy()
        report = d.report(code=0)
        check(report["state"] == "healthy" and report["directory"] == d.path and report["format"] == 1, report)
        check(report["metadata"]["topics"] == 1 and report["metadata"]["partitions"] == 2, report)
        partition = report["partitions"][0]
        seen = [partition[key] for key in ("topic", "partition", "first_offset", "last_offset", "log_start", "batches")]
        check(seen == ["d-topic", 1, 0, 2, 0, 3], report)
        check(report["findings"] == [] and report["metadata_whole"] is True, report)
        d.doctor("-o", "yaml", code=0).says('^state: "healthy"$', '^  - topic: "d-topic"$')
        lines = d.doctor("-o", "jsonl", code=0).lines()
        check(len(lines) == 1 and '"state":"healthy"' in lines[0], lines)
        d.doctor("-o", "name", code=0).prints("")
        d.doctor("-o", "xml", code=2).warns("^error ODK-6002: ")


def case_no_report(shell):
    """Why there is none is on stderr, with a code, whatever the format; stdout stays empty."""
    with Directory(shell, clean=True) as d:
        d.broker.start()
        for words in ([], ["-o", "json"], ["--repair", "-o", "yaml"]):
            done = d.doctor(*words, code=5).prints("")
            done.warns(f"^error ODK-3101: a broker has the data directory {d.path} open$", f"process id is {d.broker.process.pid};", "^  next: stop the broker")
        d.broker.stop()
        with open(os.path.join(d.path, "format"), "w") as file:
            file.write("odradek-data 2\n")
        d.doctor("-o", "json", code=1).prints("").warns("^error ODK-3102: .* made by a newer Odradek$")
        os.unlink(os.path.join(d.path, "lock"))
        d.doctor("--repair", code=1).warns("^error ODK-3104: the file 'lock' of ")
    shell.bare("doctor", "--data", d.path, "-o", "json", code=3).prints("").warns("^error ODK-3102: ")
    shell.bare("doctor", "--data", shell.home, "-o", "json", code=3).prints("").warns("is not an Odradek data directory$")


def case_records_that_rotted(shell):
    with Directory(shell, clean=True) as d:
        name = d.damage("packs/*", f"{VALUE}-1")
        found = d.finding("ODK-3207")
        check(found["finding"] == "damage" and found["file"] == name and found["byte"] > 0, found)
        check(len(found["ranges"]) == 1, found)
        expected = {"what": "acknowledged records damaged", "topic": "d-topic", "partition": 1, "first_offset": 1, "last_offset": 1}
        check(found["ranges"][0] == expected, found)
        check("DeleteRecords" in found["next"] and found["help"] and not found["repaired"], found)
        d.doctor("-o", "name", code=10).prints(name + "\n")
        d.doctor("-o", "yaml", code=10).says('code: "ODK-3207"')
        shell.bare("errors", "ODK-3207").says("stored records are not what was written")
        d.starts()


def case_a_copy_of_the_metadata(shell):
    with Directory(shell, clean=True) as d:
        path = d.file("meta/*.b")
        os.unlink(path)
        found = d.finding("ODK-3201", "--repair", "--dry-run")
        check(found["file"] == path[len(d.path) + 1 :] and found["price"][0].startswith("nothing is lost"), found)
        check("--repair" in found["next"] and found["repair"] is None, found)
        report = d.report("--repair", code=0)
        check(report["state"] == "healthy" and report["repaired"] == report["damages"] == 1, report)
        check(report["findings"][0]["repaired"] is True and report["findings"][0]["next"] is None, report)
        check(os.path.exists(path), "the copy was not made")
        d.healthy()


def case_a_pack_is_gone(shell):
    """The price is told as a finding of its own, with every offset that is known or feared lost."""
    with Directory(shell, clean=True) as d:
        path = d.file("packs/*")
        os.unlink(path)
        found = d.finding("ODK-3205")
        check(found["file"] == path[len(d.path) + 1 :], found)
        offer = d.finding("ODK-3216", "--repair", "--accept-loss", "--dry-run")
        check(offer["finding"] == "note" and offer["byte"] is None, offer)
        check("--repair --accept-loss" in offer["next"] and "the price" in offer["price"][0], offer)
        feared = [(r["topic"], r["partition"], r["first_offset"], r["last_offset"]) for r in offer["ranges"]]
        check(feared == [("d-topic", 0, 0, None), ("d-topic", 1, 0, None)], offer)
        report = d.report("--repair", code=10)  # costs something, so nothing is done
        check(report["repaired"] == 0, report)
        report = d.report("--repair", "--accept-loss", code=0)
        offer = [f for f in report["findings"] if f["code"] == "ODK-3216"][0]
        check(offer["repaired"] is True and "is given up" in offer["repair"] and offer["next"] is None, report)
        d.starts()
        d.healthy()


def case_progress(shell):
    """A bar on stderr, on a terminal and when there is much to read; findings are not mixed with it."""
    with Directory(shell, clean=False) as d:
        done = shell.terminal("doctor", "--data", d.path, local=True, env={"NO_COLOR": "1"})
        bar = r"[\u2588\u2591]+ +\d+%  \d+ MiB  \d+/s  ETA \S+\r\x1b\[K"
        check(re.search(bar, done.out), f"no bar, or it is not wiped: {done}")
        lines = [line.rsplit("\x1b[K", 1)[-1] for line in done.out.split("\n")]
        check("\n".join(lines) == d.doctor(code=0).out, f"the report is another: {done}")
    with Directory(shell, clean=True) as d:
        done = shell.terminal("doctor", "--data", d.path, local=True)
        check("MiB" not in done.out and "\r\x1b" not in done.out, f"a bar for nothing: {done}")


def case_a_damaged_log(shell):
    with Directory(shell, clean=False) as d:
        path = d.file("wal/*-00000000")
        with open(path, "rb") as file:
            head = file.read(16)  # of a slot's first sector; the next slot begins alike
            rest = file.read(1 << 20)
        second = rest.index(head[:4]) + len(head)
        with open(path, "r+b") as file:
            file.seek(second + 8)
            file.write(b"\xff" * 8)
        found = d.finding("ODK-3209")
        check(found["file"] == path[len(d.path) + 1 :] and found["byte"] == second, found)
        offer = d.finding("ODK-3216")
        check(offer["byte"] == second and offer["ranges"], offer)
        d.doctor("--repair", "--accept-loss", "-o", "json", code=0)
        d.starts()
        d.healthy()
