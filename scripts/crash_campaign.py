#!/usr/bin/env python3
"""Stops commands of truepair where it hurts, and holds what is left against a run that was never stopped.

    python3 scripts/crash_campaign.py target/release/truepair [--trials 100] [--seed 0] [--only train,audit]

Three faults, each at `--trials` places of every command:

kill    kill -9 at a random moment
full    from the n-th write on the disk is full (a preloaded library answers ENOSPC)
sync    the n-th fsync fails (EIO), as a dying disk does

and `tmpfs`, a real file system that is too small, in ten sizes (where this user may mount one). After each fault the
output is absent (nothing but hidden files), unfinished (only of commands that go on), or whole and equal to that of
the run that was never stopped; then the command is typed again and must end with the same output. Any other outcome
is printed and ends the script with 1. Needs a C compiler for the library; everything is made in a temporary folder.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FAULTS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls;

/* Whether this call on a file below FAULT_UNDER is the one to fail: the FAULT_AT-th of its kind, or any after it. */
static int fails(const char *kind, int fd) {
    const char *wanted = getenv("FAULT"), *under = getenv("FAULT_UNDER"), *at = getenv("FAULT_AT");
    if (!wanted || !under || !at || strcmp(wanted, kind)) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    if (strncmp(path, under, strlen(under))) return 0;
    long call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    const char *count = getenv("FAULT_COUNT");
    if (count) {
        int out = open(count, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (out >= 0) { dprintf(out, "x"); close(out); }
    }
    long first = atol(at);
    return strcmp(kind, "sync") ? call >= first : call == first;
}

#define FULL(fd) if (fails("full", fd)) { errno = ENOSPC; return -1; }
#define SYNC(fd) if (fails("sync", fd)) { errno = EIO; return -1; }
#define NEXT(name) dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *b, size_t n) { FULL(fd) return ((ssize_t (*)(int, const void *, size_t))NEXT("write"))(fd, b, n); }
ssize_t writev(int fd, const struct iovec *v, int n) { FULL(fd) return ((ssize_t (*)(int, const struct iovec *, int))NEXT("writev"))(fd, v, n); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { FULL(fd) return ((ssize_t (*)(int, const void *, size_t, off64_t))NEXT("pwrite64"))(fd, b, n, o); }
int fsync(int fd) { SYNC(fd) return ((int (*)(int))NEXT("fsync"))(fd); }
int fdatasync(int fd) { SYNC(fd) return ((int (*)(int))NEXT("fdatasync"))(fd); }
"""

# Files whose bytes do not depend on the clock.
COMPARED = {".npy", ".safetensors", ".csv", ".parquet", ".tsv", ".txt"}


def npy(path, kind, shape, values):
    header = repr({"descr": kind, "fortran_order": False, "shape": shape})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    code = {"<f4": "f", "<i8": "q"}[kind]
    data = struct.pack(f"<{len(values)}{code}", *values)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def precomp(folder, split, images, seed, name="photo"):
    """Images of 16 numbers with two captions near each."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[rng.gauss(0, 1) for _ in range(16)] for _ in range(images)]
    near = [x + rng.gauss(0, 0.4) for row in rows for _ in range(2) for x in row]
    npy(folder / f"{split}_ims.npy", "<f4", (images, 16), [x for row in rows for x in row])
    npy(folder / f"{split}_caps_near.npy", "<f4", (images * 2, 16), near)
    texts = "".join(f"{name} {n // 2} seen for time {n}\n" for n in range(images * 2))
    (folder / f"{split}_caps.txt").write_text(texts)
    (folder / f"{split}_ids.txt").write_text("".join(f"{name}-{n}\n" for n in range(images)))


def labeled(folder):
    rng = random.Random(3)
    folder.mkdir(parents=True)
    centers = {part: [[rng.gauss(0, 1) for _ in range(16)] for _ in range(3)] for part in ("ims", "txtmean")}
    for split, n in (("train", 240), ("test", 60)):
        labels = [rng.randrange(3) for _ in range(n)]
        for part, of in centers.items():
            values = [x + rng.gauss(0, 0.6) for label in labels for x in of[label]]
            npy(folder / f"{split}_{part}.npy", "<f4", (n, 16), values)
        npy(folder / f"{split}_labels.npy", "<i8", (n,), [label + 1 for label in labels])


def pictures(folder, n):
    """Bitmaps of 32 by 32 pixels with a caption each."""
    rng = random.Random(4)
    folder.mkdir(parents=True)
    for at in range(n):
        head = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54 + 3072, 0, 54, 40, 32, 32, 1, 24, 0, 3072, 0, 0, 0, 0)
        (folder / f"{at:03}.bmp").write_bytes(head + bytes(rng.randrange(256) for _ in range(3072)))
        (folder / f"{at:03}.txt").write_text(f"a red dog number {at}\n")


class Job:
    """A command with its output folder."""

    def __init__(self, name, words, goes_on=False, again=None):
        self.name, self.words, self.goes_on = name, words, goes_on
        self.again = again or words

    def prepare(self, home):
        shutil.rmtree(home / "out", ignore_errors=True)
        for rest in home.glob(".out*"):
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink()

    def finish(self, run, home):
        """Types the command again; the digest of what is there then."""
        if state(home / "out") != "whole" or self.goes_on:
            done = run(self.again)
            if done.returncode:
                return f"failed again: {done.stderr.decode().strip()[-300:]}"
        return digest(home / "out")

    def left(self, home):
        """What a fault left, in a word, and the digest of a whole output."""
        what = state(home / "out")
        if what != "absent" and self.goes_on:
            return "unfinished", None
        return what, digest(home / "out") if what == "whole" else None


class Change(Job):
    """A command that changes an index that is there."""

    def __init__(self, name, words, index, before, after):
        super().__init__(name, words)
        self.index, self.before, self.after = index, before, after

    def prepare(self, home):
        shutil.rmtree(home / "out", ignore_errors=True)
        shutil.copytree(home / self.index, home / "out")

    def count(self, run):
        done = run(["index", "out", "--check", "--json"])
        if done.returncode:
            return f"does not open: {done.stderr.decode().strip()[-300:]}"
        return json.loads(done.stdout)["images"]

    def check(self, run):
        count = self.count(run)
        return count if count not in (self.before, self.after) else None

    def finish(self, run, home):
        if self.count(run) == self.before:
            done = run(self.words)
            if done.returncode:
                return f"failed again: {done.stderr.decode().strip()[-300:]}"
        found = run(["search", "out", "--like", "photo-5", "--top", "50", "--json"])
        hits = [(hit["id"], hit["score"]) for hit in json.loads(found.stdout)["hits"]]
        return f"{self.count(run)} {hashlib.sha256(repr(hits).encode()).hexdigest()}"

    def left(self, home):
        return "unfinished", None


def state(out):
    if not out.exists() or all(entry.name.startswith(".") for entry in out.iterdir()):
        return "absent"
    return "whole"


def digest(folder):
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        # The table of `compare` has the seconds of every run.
        is_timed = path.name == "table.csv"
        if path.is_file() and path.suffix in COMPARED and not hidden and not is_timed:
            total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


class Campaign:
    def __init__(self, program, home, trials, seed):
        self.program, self.home, self.trials = program, home, trials
        self.rng = random.Random(seed)
        self.faults = []
        self.library = home / "faults.so"
        (home / "faults.c").write_text(FAULTS)
        build = ["cc", "-O1", "-shared", "-fPIC", "-o", str(self.library), str(home / "faults.c"), "-ldl"]
        subprocess.run(build, check=True)

    def start(self, words, **more):
        environment = {**os.environ, "TRUEPAIR_CACHE": str(self.home / "cache"), **more}
        return subprocess.Popen(
            [self.program, *words], cwd=self.home, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def run(self, words, **more):
        process = self.start(words, **more)
        out, err = process.communicate()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def must(self, words):
        done = self.run(words)
        if done.returncode:
            sys.exit(f"{' '.join(words)}: {done.stderr.decode()}")

    def wrong(self, job, fault, problem):
        self.faults.append(f"{job.name}, {fault}: {problem}")
        print(f"  WRONG {self.faults[-1]}", flush=True)

    def judge(self, job, fault, whole):
        """What a fault left, and whether the end is the same; a word for the table."""
        what, left = job.left(self.home)
        if what == "whole" and left != whole:
            self.wrong(job, fault, "left an output that differs")
        problem = job.check(self.run) if isinstance(job, Change) else None
        if problem is not None:
            self.wrong(job, fault, f"left an index with {problem}")
        end = job.finish(self.run, self.home)
        if end != whole:
            self.wrong(job, fault, f"ended otherwise: {end}")
        return what

    def counted(self, job, fault):
        """How many calls of a kind the whole command makes."""
        count = self.home / "count"
        count.unlink(missing_ok=True)
        job.prepare(self.home)
        self.run(job.words, **self.preload(fault, 10**9), FAULT_COUNT=str(count))
        return count.stat().st_size if count.exists() else 0

    def preload(self, fault, at):
        under = str(self.home)
        return {"LD_PRELOAD": str(self.library), "FAULT": fault, "FAULT_AT": str(at), "FAULT_UNDER": under}

    def job(self, job):
        seconds = float("inf")
        for _ in range(3):
            job.prepare(self.home)
            began = time.monotonic()
            self.must(job.words)
            seconds = min(seconds, time.monotonic() - began)
        whole = job.finish(self.run, self.home)
        rows = []

        seen, kills, early = {}, 0, 0
        while kills < self.trials:
            job.prepare(self.home)
            began = time.monotonic()
            process = self.start(job.words)
            moment = self.rng.uniform(0, seconds)
            try:
                process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
            if process.returncode != -signal.SIGKILL:
                # It was faster than before: nothing was killed, and the next moments come earlier.
                seconds, early = min(seconds, time.monotonic() - began), early + 1
                if early > self.trials:
                    sys.exit(f"{job.name}: ends before it can be killed")
                continue
            kills += 1
            found = self.judge(job, f"kill at {moment:.3f} s (trial {kills})", whole)
            seen[found] = seen.get(found, 0) + 1
        rows.append(("kill", self.trials, seen))

        for fault in ("full", "sync"):
            calls, seen = self.counted(job, fault), {}
            places = list(range(1, calls + 1))
            if len(places) > self.trials:
                places = sorted(self.rng.sample(places, self.trials))
            for at in places:
                job.prepare(self.home)
                done = self.run(job.words, **self.preload(fault, at))
                named = f"{fault} at call {at} of {calls}"
                if done.returncode not in (0, 2):
                    self.wrong(job, named, f"exit code {done.returncode}: {done.stderr.decode()[-300:]}")
                found = self.judge(job, named, whole)
                what = "succeeded" if done.returncode == 0 else found
                seen[what] = seen.get(what, 0) + 1
            rows.append((fault, len(places), seen))

        rows.append(("tmpfs", *self.small_disks(job, whole)))
        for fault, trials, seen in rows:
            told = ", ".join(f"{n} {what}" for what, n in sorted(seen.items()))
            print(f"| {job.name} | {fault} | {trials} | {told} |", flush=True)

    def small_disks(self, job, whole):
        """Real file systems of ten sizes up to what the output needs."""
        if isinstance(job, Change):
            return 0, {"not tried": 0}
        size = sum(path.stat().st_size for path in (self.home / "out").rglob("*") if path.is_file())
        seen, disk = {}, self.home / "disk"
        disk.mkdir(exist_ok=True)
        words = [word if word != "out" else "disk/out" for word in job.words]
        for tenth in range(1, 11):
            mount = ["mount", "-t", "tmpfs", "-o", f"size={max(4096, size * tenth // 10)}", "tmpfs", str(disk)]
            if subprocess.run(mount, capture_output=True).returncode:
                return 0, {"may not mount": 0}
            done = self.run(words)
            left = state(disk / "out")
            same = left != "whole" or digest(disk / "out") == whole
            subprocess.run(["umount", str(disk)], check=True)
            what = "succeeded" if done.returncode == 0 else left
            if done.returncode not in (0, 2) or not (same or job.goes_on):
                self.wrong(job, f"tmpfs of {tenth} tenths", f"exit code {done.returncode}, left {left}")
            if job.goes_on and what == "whole":
                what = "unfinished"
            seen[what] = seen.get(what, 0) + 1
        return 10, seen


def jobs(campaign, fixtures):
    home = campaign.home
    for split, n in (("train", 150), ("dev", 40), ("test", 40)):
        precomp(home / "data", split, n, n, "photo" if split == "test" else split)
    precomp(home / "more", "test", 30, 9, "later")
    labeled(home / "labeled")
    pictures(home / "pictures", 40)
    for name in ("tiny_image.onnx", "tiny_text.onnx", "tokenizer.json"):
        shutil.copy(fixtures / name, home / name)
    short = ["--set", "training.epochs=3", "--set", "training.batch=32"]
    train = ["train", "data", "--strategy", "plain", *short, "--out", "out"]
    encode = ["--image-encoder", "tiny_image.onnx", "--text-encoder", "tiny_text.onnx", "--assume", "imagenet"]
    compare = ["compare", "data", "--strategies", "plain", "--noise", "none", "--seeds", "1", *short, "--out", "out"]
    campaign.must(["index", "data", "--split", "test", "--out", "index"])
    delete = ["index", "out", "--delete", "photo-1,photo-2,photo-3"]
    # An index of several parts, of which rows are gone.
    shutil.copytree(home / "index", home / "grown")
    campaign.must(["index", "more", "--append", "grown"])
    campaign.must(["index", "grown", *delete[2:]])
    return [
        Job("train", train, goes_on=True, again=[*train, "--resume"]),
        Job("compare", compare, goes_on=True),
        Job("embed", ["embed", "pictures", *encode, "--out", "out"], goes_on=True),
        Job("audit", ["audit", "data", "--out", "out"]),
        Job("labels", ["labels", "audit", "labeled", "--out", "out"]),
        Job("index", ["index", "data", "--split", "test", "--out", "out"]),
        Change("index --append", ["index", "more", "--append", "out"], "index", 40, 70),
        Change("index --delete", delete, "index", 40, 37),
        Change("index --compact", ["index", "out", "--compact"], "grown", 67, 67),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    fixtures = Path(__file__).resolve().parent.parent / "crates/truepair-encode/fixtures/encoders"
    with tempfile.TemporaryDirectory() as home:
        campaign = Campaign(args.program.resolve(), Path(home), args.trials, args.seed)
        print("| command | fault | trials | what was left |\n|---|---|---|---|")
        for job in jobs(campaign, fixtures):
            if not args.only or job.name in args.only.split(","):
                campaign.job(job)
        print(f"\n{len(campaign.faults)} wrong")
        sys.exit(1 if campaign.faults else 0)


if __name__ == "__main__":
    main()
