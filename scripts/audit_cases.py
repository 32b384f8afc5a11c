#!/usr/bin/env python3
"""How well `truepair audit` does on paired data whose mismatched pairs are known.

    scripts/audit_cases.py [--binary target/release/truepair] [--draws 10] [--cases 'A*,B,C'] [--seed 0]
                           [--work DIR] [--jobs 1] [--data DIR] [--extra='--frozen'] [--list]

Every draw of a case is made anew from the seed, the case's name and its number, audited with that
number as the program's own seed, and held against the truth. Printed: one row a case as markdown.
`--data` names a folder of real data sets and adds their cases; `--extra` is handed to every audit.
`--work` keeps `draws.jsonl`, one line a draw; data and verdicts are removed once they are read.
NumPy is the only library needed.

Made data: embeddings of 32 numbers on the unit sphere, 300 images with 5 captions each. A caption is
normalize(image + s * noise), the noise of length about 1, s = 1 where nothing else is said. Names
that end in 20 have 20 % of the captions moved at random to images of other content.

    N, N20     nothing special: the homogeneous data that every audit should get right
    A, A20     half of the captions with s = 4
    B, C       images are sums of three of 32 concepts; 60 % of the captions are read well (s = 0.5),
               40 % are nearly noise (s = 20). 20 % mismatched, all of them among the captions that
               cannot be read (B) or among those that can (C)
    D, Dh, H   20 clusters of 15 images. 28 % swapped inside their cluster (D); half of the 28 %
               inside, half at random (Dh); nothing (H)
    E, E20     30 % generic captions, whatever the image: their cosines are above 0.97
    F, F20     images share a direction, and 20 % of the captions lie near it: hubs
    G          150 images twice, each copy with the same five captions; 20 %
    S60c       60 pairs, one caption an image, none mismatched; 60 pairs are audited with two folds,
               since three leave fewer pairs to a fold than the program judges
    S60, S120, S300    as many pairs, one caption an image, 20 % mismatched

Real data: `f8k` (folder f8k_clip), `rsicd` and `emoji` (emoji_mini) in their split `train`, and
`clipart` (openclipart, all of it). NAME is the data as given, and

    NAME-r20, -r40, -r60    that share of the captions moved at random
    NAME-n20, -n40          that share swapped with a caption of one of the five nearest images

A moved caption whose very text, or whose image's very features, the new image has too is not
mismatched; what was swapped nearby counts as mismatched and may still fit. The truth of `clipart` is
not known: its titles came with mistakes of their own, so it has no coverage, calibration or false
alarms, and its AUC is that of what was planted.

The columns: `truth` and `estimate` are means over the draws; `[low, high]` is the mean interval and
`covers` the share of draws whose interval holds that draw's truth. A `false alarm` is a verdict
`mismatched-pairs` where nothing is mismatched. `AUC` is that of the posterior against the truth, `ECE`
its calibration error in 20 bins of equal count. Draws that were refused or failed count among the
verdicts alone (a refusal is no false alarm). `seconds` is the whole program's time, which `--jobs`
above 1 makes longer.
"""
import argparse
import collections
import csv
import dataclasses
import fnmatch
import functools
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

DIM, IMAGES, CAPTIONS = 32, 300, 5
BINS = 20
FOUND = "mismatched-pairs"
NO_VERDICT = ("refused", "failed")


# --- paired data, and captions that move -----------------------------------------------------------


@dataclasses.dataclass
class Pairs:
    """Matched pairs; every array over captions has one entry a caption, in the order of the data."""
    owner: np.ndarray                   # image of each caption
    content: np.ndarray                 # per image; copies share it
    images: np.ndarray = None           # embeddings
    captions: np.ndarray = None         # embeddings of made data
    texts: list = None                  # of real data
    folder: pathlib.Path = None         # of real data
    readable: np.ndarray = None         # per caption, where the case tells them apart
    cluster: np.ndarray = None          # per image, likewise
    truth_known: bool = True            # whether all given pairs are matched


class Moves:
    """The image of every caption while captions change places; a caption moves once."""

    def __init__(self, pairs, rng):
        self.pairs, self.rng = pairs, rng
        self.image_of = pairs.owner.copy()
        self.free = np.ones(len(pairs.owner), bool)

    def count(self, share):
        return round(share * len(self.image_of))

    def at_random(self, share, among=None):
        """A derangement: none of the chosen captions meets its own image or a copy of it."""
        candidates = np.flatnonzero(self.free if among is None else self.free & among)
        chosen = self.rng.choice(candidates, self.count(share), replace=False)
        owner, content = self.pairs.owner, self.pairs.content
        if len(np.unique(content[owner[chosen]])) < 2:
            raise ValueError("captions of one image only cannot be deranged")
        target = self.rng.permutation(chosen)
        while len(stuck := np.flatnonzero(content[owner[chosen]] == content[owner[target]])):
            for n in stuck:
                other = self.rng.integers(len(chosen))
                target[n], target[other] = target[other], target[n]
        self.image_of[chosen] = owner[target]
        self.free[chosen] = False

    def nearby(self, share, near):
        """Swaps with a caption of one of the images that `near` gives for the caption's own image."""
        wanted, owner = self.count(share), self.pairs.owner
        captions_of = collections.defaultdict(list)
        for caption, image in enumerate(owner):
            captions_of[image].append(caption)
        for one in self.rng.permutation(len(owner)):
            if wanted < 2:
                break
            others = [c for image in near(owner[one]) for c in captions_of[image] if self.free[c]]
            if not self.free[one] or not others:
                continue
            other = self.rng.choice(others)
            self.image_of[one], self.image_of[other] = owner[other], owner[one]
            self.free[[one, other]] = False
            wanted -= 2

    def mismatched(self):
        """What is really wrong: the new image has neither this caption's text nor its image's content."""
        owner, content = self.pairs.owner, self.pairs.content
        wrong = content[self.image_of] != content[owner]
        if self.pairs.texts:
            known = collections.defaultdict(set)
            for text, image in zip(self.pairs.texts, owner):
                known[image].add(text)
            for n in np.flatnonzero(wrong):
                wrong[n] = self.pairs.texts[n] not in known[self.image_of[n]]
        return wrong


# --- the made cases --------------------------------------------------------------------------------


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def noise(rng, *shape):
    """Rows of length about 1."""
    return rng.normal(size=(*shape, DIM)) / np.sqrt(DIM)


def captioned(rng, images, strength=1.0, per_image=CAPTIONS, **more):
    """Captions of `images` with that much noise, one number or one a caption."""
    owner = np.repeat(np.arange(len(images)), per_image)
    strength = np.broadcast_to(strength, len(owner))[:, None]
    captions = unit(images[owner] + strength * noise(rng, len(owner)))
    return Pairs(owner=owner, content=np.arange(len(images)), images=images, captions=captions, **more)


def share_of(rng, n, share):
    """A mask of exactly that share, at random."""
    return rng.permutation(n) < round(share * n)


def homogeneous(rng, images=IMAGES, per_image=CAPTIONS):
    return captioned(rng, unit(noise(rng, images)), per_image=per_image)


def two_strengths(rng):
    weak = share_of(rng, IMAGES * CAPTIONS, 0.5)
    return captioned(rng, unit(noise(rng, IMAGES)), np.where(weak, 4.0, 1.0))


def sparse(rng):
    concepts, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    chosen = rng.permuted(np.tile(np.arange(DIM), (IMAGES, 1)), axis=1)[:, :3]
    weights = rng.uniform(0.5, 1.5, size=chosen.shape)
    images = unit(np.einsum("nk,nkd->nd", weights, concepts[chosen]))
    readable = share_of(rng, IMAGES * CAPTIONS, 0.6)
    return captioned(rng, images, np.where(readable, 0.5, 20.0), readable=readable)


def clustered(rng, clusters=20, spread=0.5):
    cluster = np.arange(IMAGES) % clusters
    centers = unit(noise(rng, clusters))
    return captioned(rng, unit(centers[cluster] + spread * noise(rng, IMAGES)), cluster=cluster)


def generic(rng):
    pairs = homogeneous(rng)
    bland = share_of(rng, len(pairs.owner), 0.3)
    pairs.captions[bland] = unit(unit(noise(rng)) + 0.1 * noise(rng, bland.sum()))
    return pairs


def hubs(rng):
    shared = unit(noise(rng))
    images = unit(0.5 * shared + unit(noise(rng, IMAGES)))
    pairs = captioned(rng, images)
    hub = share_of(rng, len(pairs.owner), 0.2)
    middle = unit(images.mean(axis=0))
    pairs.captions[hub] = unit(1.5 * middle + images[pairs.owner[hub]] + noise(rng, hub.sum()))
    return pairs


def duplicated(rng):
    """Every image and each of its captions twice, equal to the bit."""
    once = homogeneous(rng, IMAGES // 2)
    return Pairs(
        owner=np.repeat(np.arange(IMAGES), CAPTIONS),
        content=np.tile(once.content, 2),
        images=np.tile(once.images, (2, 1)),
        captions=np.tile(once.captions, (2, 1)),
    )


def one_caption(n):
    return lambda rng: homogeneous(rng, n, per_image=1)


def nothing(moves):
    pass


def at_random(share):
    return lambda moves: moves.at_random(share)


def in_cluster(share):
    def plant(moves):
        cluster = moves.pairs.cluster
        moves.nearby(share, lambda image: np.setdiff1d(np.flatnonzero(cluster == cluster[image]), [image]))
    return plant


def half_in_cluster(moves):
    in_cluster(0.14)(moves)
    moves.at_random(0.14)


MADE = {
    "N": (homogeneous, nothing),
    "N20": (homogeneous, at_random(0.2)),
    "A": (two_strengths, nothing),
    "A20": (two_strengths, at_random(0.2)),
    "B": (sparse, lambda moves: moves.at_random(0.2, among=~moves.pairs.readable)),
    "C": (sparse, lambda moves: moves.at_random(0.2, among=moves.pairs.readable)),
    "D": (clustered, in_cluster(0.28)),
    "Dh": (clustered, half_in_cluster),
    "H": (clustered, nothing),
    "E": (generic, nothing),
    "E20": (generic, at_random(0.2)),
    "F": (hubs, nothing),
    "F20": (hubs, at_random(0.2)),
    "G": (duplicated, at_random(0.2)),
    "S60c": (one_caption(60), nothing),
    "S60": (one_caption(60), at_random(0.2)),
    "S120": (one_caption(120), at_random(0.2)),
    "S300": (one_caption(300), at_random(0.2)),
}

# What a case needs, unless --extra says how to judge.
NEEDS = {"S60c": ["--folds", "2"], "S60": ["--folds", "2"]}


# --- the real cases --------------------------------------------------------------------------------

# Name of the cases, folder, prefix of the files, whether the given pairs are matched.
REAL = [
    ("f8k", "f8k_clip", "train_", True),
    ("rsicd", "rsicd", "train_", True),
    ("emoji", "emoji_mini", "train_", True),
    ("clipart", "openclipart", "", False),
]


@functools.cache
def real(folder, prefix, truth_known):
    images = np.load(folder / f"{prefix}ims.npy").astype("f4")
    images = unit(images.reshape(len(images), -1, images.shape[-1]).mean(axis=1))
    texts = (folder / f"{prefix}caps.txt").read_bytes().decode().removesuffix("\n").split("\n")
    _, content = np.unique(images, axis=0, return_inverse=True)
    return Pairs(
        owner=np.repeat(np.arange(len(images)), len(texts) // len(images)),
        content=content.reshape(-1),
        images=images,
        texts=texts,
        folder=folder,
        truth_known=truth_known,
    )


@functools.cache
def nearest(folder, prefix, truth_known, k=5):
    """The `k` images nearest to each by cosine, copies of it left out."""
    pairs = real(folder, prefix, truth_known)
    rows = []
    for start in range(0, len(pairs.images), 1024):
        part = slice(start, start + 1024)
        scores = pairs.images[part] @ pairs.images.T
        scores[pairs.content[part, None] == pairs.content] = -np.inf
        rows.append(np.argpartition(-scores, k, axis=1)[:, :k])
    return np.concatenate(rows)


def real_cases(data):
    cases = {}
    for name, folder, prefix, known in REAL:
        key = (data / folder, prefix, known)
        if not (key[0] / f"{prefix}ims.npy").exists():
            continue
        make = lambda rng, key=key: real(*key)
        near = lambda share, key=key: lambda moves: moves.nearby(share, lambda image: nearest(*key)[image])
        cases[name] = (make, nothing)
        cases |= {f"{name}-r{percent}": (make, at_random(percent / 100)) for percent in (20, 40, 60)}
        cases |= {f"{name}-n{percent}": (make, near(percent / 100)) for percent in (20, 40)}
    return cases


# --- one audit, and what it is worth ---------------------------------------------------------------


def auc(score, truth):
    """Chance that a mismatched pair has the higher score, ties one half; None without both kinds."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    bad, good = truth.sum(), (~truth).sum()
    if not bad or not good:
        return None
    return float((rank[truth].sum() - bad * (bad + 1) / 2) / (bad * good))


def calibration_error(posterior, truth):
    """Mean |mean posterior - share mismatched| over bins of equal count. Pairs of one posterior count
    as their mean truth, so that the order of equal ones does not matter."""
    _, place, count = np.unique(posterior, return_inverse=True, return_counts=True)
    share = (np.bincount(place, weights=truth) / count)[place]
    order = np.argsort(posterior, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(abs(posterior[part].sum() - share[part].sum()) for part in bins) / len(order))


def read_posteriors(path, n_pairs):
    """Posterior of every pair; not a number where the table has none."""
    posterior = np.full(n_pairs, np.nan)
    csv.field_size_limit(sys.maxsize)
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            posterior[int(row["pair"])] = float(row["posterior"] or "nan")
    return posterior


def audit(binary, extra, case, name, draw, seed, place):
    """Makes one draw in the folder `place`, audits it and measures the answer."""
    make, plant = case
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), draw])
    pairs = make(rng)
    moves = Moves(pairs, rng)
    plant(moves)
    truth = moves.mismatched()
    place.mkdir(parents=True)
    folder = pairs.folder
    if folder is None:
        folder = place / "data"
        folder.mkdir()
        np.save(folder / "images.npy", pairs.images.astype("f4"))
        np.save(folder / "captions.npy", pairs.captions.astype("f4"))
    command = [binary, "audit", folder, "--json", "--seed", str(seed + draw), "--out", place / "audit", *extra]
    if not any(option.startswith(("--frozen", "--folds")) for option in extra):
        command += NEEDS.get(name, [])
    if (moves.image_of != pairs.owner).any():
        np.save(place / "noise.npy", moves.image_of.astype("i8"))
        command += ["--noise", place / "noise.npy"]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    row = {
        "case": name, "draw": draw, "truth": float(truth.mean()), "truth_known": pairs.truth_known,
        "verdict": "failed", "seconds": time.perf_counter() - start,
    }
    if done.returncode not in (0, 1):       # 1: a gate of --fail-above in --extra
        print(f"{name}, draw {draw}: {done.stderr.strip()[-600:]}", file=sys.stderr)
    else:
        summary = json.loads(done.stdout)
        row["verdict"] = summary["verdict"]
        row |= {key: summary["noise_rate"][key] for key in ("estimate", "low", "high")}
        row["dropped"] = summary["decision"]["dropped"]
        row["unknown"] = summary["judgments"]["unknown"]
        posterior = read_posteriors(place / "audit" / "verdicts.csv", len(truth))
        told = ~np.isnan(posterior)
        if told.any():
            row["auc"] = auc(posterior[told], truth[told])
            row["ece"] = calibration_error(posterior[told], truth[told])
    shutil.rmtree(place)
    return row


# --- the table -------------------------------------------------------------------------------------

HEAD = ["data", "truth", "estimate", "[low, high]", "covers", "verdicts", "false alarm", "dropped", "unknown", "AUC",
        "ECE", "seconds"]


def mean(rows, key):
    values = [row[key] for row in rows if row.get(key) is not None]
    return sum(values) / len(values) if values else None


def text(value, form=".3f"):
    return "-" if value is None else format(value, form)


def covers(row):
    slack = 1e-9        # the truth is a quotient, the bounds may be the same number reached otherwise
    return row["low"] - slack <= row["truth"] <= row["high"] + slack


def table_row(name, rows):
    known = rows[0]["truth_known"]
    told = [row for row in rows if row["verdict"] not in NO_VERDICT]
    clean = [row["verdict"] == FOUND for row in rows if row["truth"] == 0 and row["verdict"] != "failed"]
    counts = collections.Counter(row["verdict"] for row in rows)
    interval = f"[{text(mean(told, 'low'))}, {text(mean(told, 'high'))}]" if told else "-"
    truth = mean(rows, "truth")
    return [
        name,
        text(truth) if known else f"≥ {truth:.3f}",
        text(mean(told, "estimate")),
        interval,
        f"{sum(map(covers, told)) / len(told):.0%}" if told and known else "-",
        ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()),
        f"{sum(clean) / len(clean):.0%}" if clean and known else "-",
        text(mean(told, "dropped"), ".1f"),
        text(mean(told, "unknown"), ".1f"),
        text(mean(told, "auc")),
        text(mean(told, "ece")) if known else "-",
        text(mean(rows, "seconds"), ".2f"),
    ]


def chosen(cases, patterns):
    """The cases that match, in the order of the table; a pattern that matches none is an error."""
    patterns = [pattern.strip() for pattern in patterns.split(",")]
    for pattern in patterns:
        if not fnmatch.filter(cases, pattern):
            sys.exit(f"no case is called {pattern}; there are {', '.join(cases)}")
    return [name for name in cases if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/truepair")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--cases", default="*", help="names or patterns, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=pathlib.Path, help="folder for draws.jsonl and what is under way")
    parser.add_argument("--jobs", type=int, default=1, help="audits at the same time")
    parser.add_argument("--data", type=pathlib.Path, help="folder of real data sets")
    parser.add_argument("--extra", default="", metavar="ARGS", help="for every audit, written --extra='--frozen'")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    args = parser.parse_args()
    cases = MADE | (real_cases(args.data.resolve()) if args.data else {})
    names = chosen(cases, args.cases)
    if args.list:
        return print("\n".join(names))
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="audit-cases-", dir=args.work) as work, \
            ThreadPoolExecutor(args.jobs) as pool:
        extra = shlex.split(args.extra)
        pending = {
            name: [pool.submit(audit, args.binary, extra, cases[name], name, draw, args.seed,
                               pathlib.Path(work) / f"{name}-{draw}") for draw in range(args.draws)]
            for name in names
        }
        print("| " + " | ".join(HEAD) + " |")
        print("|" + "---|" * len(HEAD), flush=True)
        try:
            for name, futures in pending.items():
                rows = [future.result() for future in futures]
                if args.work:
                    with open(args.work / "draws.jsonl", "a", encoding="utf-8") as log:
                        log.writelines(json.dumps(row) + "\n" for row in rows)
                print("| " + " | ".join(table_row(name, rows)) + " |", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


if __name__ == "__main__":
    main()
