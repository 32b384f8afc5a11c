#!/usr/bin/env python3
"""`truepair audit` beside simple detectors of mismatched pairs, where the mismatches are known.

    scripts/noise_protocol.py --data DIR [--binary target/release/truepair] [--seeds 1,2,3] [--work DIR]
                              [--sets f8k_clip,rsicd,emoji,wiki] [--kinds random,near,category]
                              [--rates 0.2,0.4] [--crowd]

Captions of matched pairs change places, every detector is asked which pairs are mismatched, and its
answer is held against the truth. Printed: a markdown table with a row for each data set, kind of
noise, share and detector, its figures being means over the seeds. `--work` keeps `rows.jsonl`, a line
for each seed of each row. Nothing is tuned on the truth. NumPy is the only library needed;
`audit_cases.py` beside this file plants the noise and reads verdicts.

Data (folders of `--data`, split train):

    f8k_clip    1,628 photos with five captions each: CLIP image vectors, MiniLM caption vectors; no classes
    rsicd       8,838 aerial photos in 31 classes: EfficientNet-Lite0 vectors; one caption vector an
                image, the mean MiniLM vector of its five captions, which moves as one
    emoji       folder emoji_mini, 1,063 emoji with five texts each in 9 groups: EfficientNet-Lite0
                vectors. `truepair` reads the texts; the others get tf-idf of the words reduced to 300
                numbers, made once and not in their seconds
    wiki        2,173 Wikipedia sections in 10 classes: 128 SIFT counts an image, 10 topics a text
    made        needs no files: the clusters of `audit_cases.py`, 300 images with five captions each in 20
                classes, images and captions in one space

Noise of share `rate`. Captions change places in pairs or in circles, so that every image keeps as many
as it had, which is also what a noise file of `truepair` must do:

    random      with captions of any other images
    near        with a caption of one of the 10 nearest images, by cosine of the image vectors
    category    with a caption of another image of the same class; only where there are classes

A moved caption that the new image has too (the very text, or the very vector), or that met a copy of
its image, is not mismatched: `truth` is the share that is. Near and category captions count as
mismatched although some of them do describe their new image, most of all in rsicd, where captions
repeat; no detector can reach an AUC of 1 there.

Detectors. Where one needs a threshold it is Otsu's, from the histogram of its own scores; the folds are
three, cut by image, and whatever is fitted is fitted on the other two folds, mismatches included:

    cosine            of the vectors as given, where images and captions share a space (`made`)
    cosine (CCA)      in the space of a ridge CCA
    CCA rank          log-softmax of the own pair among the captions of its fold plus that among the
                      images, of the same cosines. Ridge (0.1, 0.3, 1 or 3 mean eigenvalues) and scale (10,
                      20, 40 or 80) are those under which the given pairs are likeliest, held out
    neighbors         in the manner of LEMoN (Zhang et al., "LEMoN: Label Error Detection using
                      Multimodal Neighbors", ICML 2025, arXiv 2407.18941), with the values its authors fix
                      where no labels choose them: d + 5 s_n + 5 s_m. d is the cosine distance of image
                      and caption (given space where shared, else CCA). s_n is the mean, over the 30 pairs
                      whose images are nearest, the own pair left out, of
                      exp(-0.1 d(image, image')) exp(-5 d') d(caption, caption'), d' being the distance
                      d of the other pair; s_m is the same with images and captions exchanged.
                      Distances inside a modality are of the given vectors. The authors choose the
                      threshold on labeled pairs; here it is Otsu's
    confident         confident learning (Northcutt et al., 2021) of the image's class from the caption:
                      softmax regression of unit rows with scikit-learn's default penalty. The
                      score is one minus the probability of the image's class, and a pair is called where
                      the confident joint counts it off its diagonal. It alone is told the images' true
                      classes, which helps; it tells classes, not pairs, so it cannot see category noise
    truepair          `truepair audit` as it is: posterior, and as its call what its cleaned list drops
    truepair --fast   without the search for near misses
    truepair --frozen given vectors by cosine, only where they share a space

Figures: AUC and AUPRC (average precision) of the score, F1 of the call, the share called, ECE (20 bins
of equal count) where the score is a probability, and seconds by the clock and of processors: all the
detector did after the vectors were there (those in the CCA space each count its fit), the whole program
for truepair. A busy machine lengthens the clock's most; with OPENBLAS_NUM_THREADS=1 NumPy's threads do
not wait for each other there. A pair without a posterior counts with the estimated noise rate. A refused
audit has no figures and is named on standard error. An audit that finds no verdict drops nothing: F1 0.

`--crowd` prints another table instead, from `f8k_clip/human_crowd.tsv`: three or more people said
whether a caption, mostly another image's, describes a test image. All 12,140 pairs of the three splits
and the 4,322 judged ones whose captions have vectors here are audited as one set of embeddings; the
other judged captions belong to images outside it. P(match) = 1 - posterior is then held against what
most people said (a tie is no) on half of the judged images, as it is and after isotonic or Platt
calibration on the other half; `--seeds` also draws the halves. `ECE (share)` is against the share of
people who said yes. Other detectors are calibrated likewise. Nine in ten judged pairs are mismatched,
most of them near misses, while the other pairs are not: what holds of all audited pairs on average need
not hold of these, and a calibration on half of them repairs that, too. The estimated noise rates are
printed; were the other pairs all right and the crowd too, the true one would be the share printed first.
"""
import argparse
import csv
import dataclasses
import functools
import json
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zlib

import numpy as np

from audit_cases import Moves, Pairs, auc, calibration_error, clustered, in_cluster, mean, read_posteriors, real, text

FOLDS = 3
RIDGES = (0.1, 0.3, 1.0, 3.0)
SCALE, DOUBLINGS = 10.0, 4          # scales 10, 20, 40, 80
NEAR = 10                           # images that a near caption may come from
NEIGHBORS, BETA, GAMMA, TAU_1, TAU_2 = 30, 5.0, 5.0, 0.1, 5.0
PENALTY = 1.0                       # scikit-learn's C


# --- data ------------------------------------------------------------------------------------------


def unit(rows):
    rows = np.asarray(rows, "f4")
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def words_as_vectors(texts, width=300):
    """tf-idf of the words, sublinear and smoothed, reduced by a randomized SVD."""
    vocabulary, rows, columns = {}, [], []
    for row, line in enumerate(texts):
        for word in re.findall(r"\w+", line.lower()):
            rows.append(row)
            columns.append(vocabulary.setdefault(word, len(vocabulary)))
    counts = np.zeros((len(texts), len(vocabulary)), "f4")
    np.add.at(counts, (rows, columns), 1)
    idf = np.log((1 + len(texts)) / (1 + (counts > 0).sum(axis=0))) + 1
    table = unit(np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf)
    basis = np.random.default_rng(0).normal(size=(table.shape[1], width + 20)).astype("f4")
    for _ in range(4):
        basis, _ = np.linalg.qr(table.T @ (table @ basis))
    _, _, directions = np.linalg.svd(table @ basis, full_matrices=False)
    return table @ (basis @ directions[:width].T)


def one_caption_each(images, captions, classes):
    """Vectors alone; equal rows are copies, and a copied caption belongs to all images that have it."""
    images, captions = images.astype("f4"), captions.astype("f4")
    _, content = np.unique(images, axis=0, return_inverse=True)
    return Pairs(
        owner=np.arange(len(images)),
        content=content.reshape(-1),
        images=images,
        captions=captions,
        texts=[row.tobytes() for row in captions],
        cluster=classes,
    )


def f8k_clip(data):
    pairs = real(data / "f8k_clip", "train_", True)
    return dataclasses.replace(pairs, captions=np.load(data / "f8k_clip" / "train_caps_minilm.npy"))


def rsicd(data):
    return one_caption_each(*(np.load(data / "rsicd" / f"train_{part}.npy") for part in ("ims", "txtmean", "labels")))


def emoji(data):
    pairs = real(data / "emoji_mini", "train_", True)
    groups = np.load(data / "emoji_mini" / "train_labels.npy")[:, 0]
    return dataclasses.replace(pairs, captions=words_as_vectors(pairs.texts), cluster=groups)


def wiki(data):
    with np.load(data / "wiki" / "wiki_sift_lda.npz") as arrays:
        return one_caption_each(*(arrays[f"train_{part}"] for part in ("img", "txt", "lab")))


def made(data):
    return clustered(np.random.default_rng(0))


SETS = {"f8k_clip": f8k_clip, "rsicd": rsicd, "emoji": emoji, "wiki": wiki, "made": made}
SHARED = {"made"}                   # one space for images and captions


# --- noise -----------------------------------------------------------------------------------------


def nearest_images(pairs):
    """The images nearest to each by cosine, copies of it left out."""
    images, rows = unit(pairs.images), []
    for start in range(0, len(images), 1024):
        part = slice(start, start + 1024)
        scores = images[part] @ images.T
        scores[pairs.content[part, None] == pairs.content] = -np.inf
        rows.append(np.argpartition(-scores, NEAR, axis=1)[:, :NEAR])
    return np.concatenate(rows)


KINDS = {
    "random": lambda moves, share: moves.at_random(share),
    "near": lambda moves, share: moves.nearby(share, nearest_images(moves.pairs).__getitem__),
    "category": lambda moves, share: in_cluster(share)(moves),
}


# --- detectors -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Answer:
    """Of one detector about every pair."""
    score: np.ndarray               # higher: rather mismatched
    called: np.ndarray              # its own decision
    is_probability: bool = False
    seconds: np.ndarray = None      # by the clock and of processors
    noise_rate: dict = None         # of truepair: estimate, low, high


def clocks():
    """Seconds by the clock, and those of processors in this process and in programs that it ran."""
    ran = resource.getrusage(resource.RUSAGE_CHILDREN)
    return np.array([time.perf_counter(), time.process_time() + ran.ru_utime + ran.ru_stime])


def otsu(score, bins=256):
    """The threshold that parts the histogram with the largest variance between the sides."""
    count, edges = np.histogram(score, bins)
    middle = (edges[:-1] + edges[1:]) / 2
    below, mass = np.cumsum(count)[:-1], np.cumsum(count * middle)[:-1]
    above, rest = len(score) - below, (count * middle).sum() - mass
    between = below * above * (mass / np.maximum(below, 1) - rest / np.maximum(above, 1)) ** 2
    best = np.flatnonzero(between == between.max())     # a gap in the histogram is a plateau: its middle
    return edges[1 + best[len(best) // 2]]


def cut(score):
    return Answer(score, score > otsu(score))


class Case:
    """Pairs as a detector sees them, and what several detectors share."""

    def __init__(self, pairs, image_of, shared, seed):
        self.image_of, self.shared, self.classes = image_of, shared, pairs.cluster
        self.images, self.captions = unit(pairs.images), unit(pairs.captions)
        order = np.random.default_rng([seed, 1]).permutation(pairs.content.max() + 1)
        self.fold = (order % FOLDS)[pairs.content]      # of each image; copies stay together

    @functools.cached_property
    def cca(self):
        """Cosine and log-softmax of every pair in cross-fitted CCA spaces, and the seconds it took."""
        start = clocks()
        cosine = np.zeros((len(RIDGES), len(self.image_of)))
        chance = np.zeros((len(RIDGES), DOUBLINGS, len(self.image_of)))
        for fold in range(FOLDS):
            judged = self.fold[self.image_of] == fold
            here = np.flatnonzero(self.fold == fold)
            own = np.searchsorted(here, self.image_of[judged])
            spaces = cca_spaces(self.images[self.image_of[~judged]], self.captions[~judged])
            for n, (image_side, caption_side) in enumerate(spaces):
                scores = image_side(self.images[here]) @ caption_side(self.captions[judged]).T
                mine = scores[own, np.arange(len(own))]
                cosine[n, judged] = mine
                weight = np.exp(SCALE * (scores - 1))
                for m in range(DOUBLINGS):
                    scale = SCALE * 2 ** m
                    total = np.log(weight.sum(axis=1) + 1e-30)[own] + np.log(weight.sum(axis=0) + 1e-30)
                    chance[n, m, judged] = 2 * scale * (mine - 1) - total
                    np.square(weight, out=weight)
        ridge, scale = np.unravel_index(chance.mean(axis=2).argmax(), chance.shape[:2])
        return cosine[ridge], chance[ridge, scale], clocks() - start

    @property
    def given_cosine(self):
        return (self.images[self.image_of] * self.captions).sum(axis=1)


def cca_spaces(images, captions):
    """For every ridge, two functions that take rows of either side to unit rows of one space."""
    centers, values, bases, centered = [], [], [], []
    for rows in (images, captions):
        centers.append(rows.mean(axis=0))
        centered.append(rows - centers[-1])
        value, basis = np.linalg.eigh((centered[-1].T @ centered[-1] / len(rows)).astype("f8"))
        values.append(np.maximum(value, 0))
        bases.append(basis)
    cross = bases[0].T @ (centered[0].T @ centered[1] / len(images)) @ bases[1]
    for ridge in RIDGES:
        shrink = [1 / np.sqrt(value + ridge * value.mean()) for value in values]
        whitened = shrink[0][:, None] * cross * shrink[1]
        square, right = np.linalg.eigh(whitened.T @ whitened)
        # The directions of both sides, each as long as its canonical correlation.
        turns = (whitened @ right, right * np.sqrt(np.maximum(square, 0)))
        maps = [(basis * by @ turn).astype("f4") for basis, by, turn in zip(bases, shrink, turns)]
        yield [lambda rows, center=center, turn=turn: unit((rows - center) @ turn)
               for center, turn in zip(centers, maps)]


def cosine_given(case):
    return cut(-case.given_cosine) if case.shared else None


def cosine_cca(case):
    return cut(-case.cca[0])


def cca_rank(case):
    return cut(-case.cca[1])


def neighbors(case):
    distance = 1 - (case.given_cosine if case.shared else case.cca[0])
    images = case.images[case.image_of]
    score = distance.astype("f8")
    for start in range(0, len(score), 1024):
        part = np.arange(start, min(start + 1024, len(score)))
        alike = images[part] @ images.T, case.captions[part] @ case.captions.T
        for here, there, weight in ((0, 1, BETA), (1, 0, GAMMA)):
            own = alike[here][np.arange(len(part)), part]
            alike[here][np.arange(len(part)), part] = -np.inf
            found = np.argpartition(-alike[here], NEIGHBORS, axis=1)[:, :NEIGHBORS]
            alike[here][np.arange(len(part)), part] = own
            near, apart = (1 - np.take_along_axis(alike[side], found, axis=1) for side in (here, there))
            score[part] += weight * (np.exp(-TAU_1 * near - TAU_2 * distance[found]) * apart).mean(axis=1)
    return cut(score)


def softmax(rows):
    rows = np.exp(rows - rows.max(axis=1, keepdims=True))
    return rows / rows.sum(axis=1, keepdims=True)


def softmax_regression(rows, classes, n_classes, steps=300):
    """Weights with intercept, by Nesterov's accelerated gradient; the intercept is not penalized."""
    rows = np.hstack([rows, np.ones((len(rows), 1), "f4")])
    penalty = np.full((rows.shape[1], 1), 1 / (PENALTY * len(rows)), "f4")
    penalty[-1] = 0
    truth = np.eye(n_classes, dtype="f4")[classes]
    rate = 1 / (0.5 * np.linalg.eigvalsh(rows.T @ rows / len(rows))[-1] + penalty.max())
    weight = ahead = np.zeros((rows.shape[1], n_classes), "f4")
    for step in range(steps):
        slope = rows.T @ (softmax(rows @ ahead) - truth) / len(rows) + penalty * ahead
        weight, before = (ahead - rate * slope).astype("f4"), weight
        ahead = weight + step / (step + 3) * (weight - before)
    return weight


def confident(case):
    if case.classes is None:
        return None
    _, classes = np.unique(case.classes, return_inverse=True)
    given = classes[case.image_of]
    likely = np.zeros((len(given), classes.max() + 1))
    for fold in range(FOLDS):
        judged = case.fold[case.image_of] == fold
        weight = softmax_regression(case.captions[~judged], given[~judged], likely.shape[1])
        likely[judged] = softmax(case.captions[judged] @ weight[:-1] + weight[-1])
    level = np.array([likely[given == c, c].mean() if (given == c).any() else np.inf for c in range(likely.shape[1])])
    sure = np.where(likely >= level, likely, -1)
    called = (sure.max(axis=1) >= 0) & (sure.argmax(axis=1) != given)
    return Answer(1 - likely[np.arange(len(given)), given], called, is_probability=True)


DETECTORS = {
    "cosine": cosine_given,
    "cosine (CCA)": cosine_cca,
    "CCA rank": cca_rank,
    "neighbors": neighbors,
    "confident": confident,
}
USES_CCA = {"cosine (CCA)", "CCA rank", "neighbors"}
AUDITS = {"truepair": [], "truepair --fast": ["--fast"], "truepair --frozen": ["--frozen"]}


def answers_of(case):
    """Every simple detector that applies, with its seconds; a shared fit counts for each that uses it."""
    for name, detect in DETECTORS.items():
        fitted = "cca" in case.__dict__
        start = clocks()
        answer = detect(case)
        if answer:
            answer.seconds = clocks() - start
            if fitted and name in USES_CCA and not (name == "neighbors" and case.shared):
                answer.seconds += case.cca[2]
            yield name, answer


def truepair(binary, folder, options, n_pairs, seed, place):
    """One audit; None where it gave no posteriors."""
    command = [binary, "audit", folder, "--json", "--seed", str(seed), "--out", place, *options]
    start = clocks()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seconds = clocks() - start
    if done.returncode:
        print(f"truepair failed: {done.stderr.strip()[-600:]}", file=sys.stderr)
        return None
    summary = json.loads(done.stdout)
    posterior = read_posteriors(place / "verdicts.csv", n_pairs)
    called = np.zeros(n_pairs, bool)
    with open(place / "verdicts.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            called[int(row["pair"])] = row["keep"] == "false"
    shutil.rmtree(place)
    if summary["verdict"] == "refused" or np.isnan(posterior).all():
        print(f"truepair gave no posteriors, verdict {summary['verdict']}", file=sys.stderr)
        return None
    posterior = np.where(np.isnan(posterior), summary["noise_rate"]["estimate"], posterior)
    return Answer(posterior, called, is_probability=True, seconds=seconds, noise_rate=summary["noise_rate"])


# --- figures ---------------------------------------------------------------------------------------


def average_precision(score, truth):
    """Equal scores are one step of the curve."""
    if not truth.any():
        return None
    _, place, count = np.unique(-score, return_inverse=True, return_counts=True)
    found = np.bincount(place, weights=truth)
    return float((found * np.cumsum(found) / np.cumsum(count)).sum() / truth.sum())


def figures(answer, truth):
    hits = (answer.called & truth).sum()
    return {
        "auc": auc(answer.score, truth),
        "auprc": average_precision(answer.score, truth),
        "f1": float(2 * hits / max(answer.called.sum() + truth.sum(), 1)),
        "called": float(answer.called.mean()),
        "ece": calibration_error(answer.score, truth) if answer.is_probability else None,
        "seconds": float(answer.seconds[0]),
        "processors": float(answer.seconds[1]),
        "noise_rate": answer.noise_rate,
    }


def table(head):
    print("| " + " | ".join(head) + " |\n" + "|" + "---|" * len(head), flush=True)


def line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def log(work, rows):
    if work:
        with open(work / "rows.jsonl", "a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


# --- planted noise ---------------------------------------------------------------------------------


def draw(pairs, shared, name, kind, rate, seed, binary, place):
    """All answers for one draw of noise, as rows by detector."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{name}-{kind}-{rate}".encode())])
    moves = Moves(pairs, rng)
    KINDS[kind](moves, rate)
    truth = moves.mismatched()
    folder = pairs.folder
    if folder is None:
        folder = place / "data"
        folder.mkdir(exist_ok=True)
        np.save(folder / "images.npy", pairs.images.astype("f4"))
        np.save(folder / "captions.npy", pairs.captions.astype("f4"))
    np.save(place / "noise.npy", moves.image_of.astype("i8"))
    answers = dict(answers_of(Case(pairs, moves.image_of, shared, seed)))
    for audit, options in AUDITS.items():
        if shared or "--frozen" not in options:
            options = [*options, "--noise", place / "noise.npy"]
            answers[audit] = truepair(binary, folder, options, len(truth), seed, place / "audit")
    about = {"set": name, "kind": kind, "rate": rate, "seed": seed, "truth": float(truth.mean())}
    return [about | {"detector": key} | (figures(answer, truth) if answer else {}) for key, answer in answers.items()]


def protocol(args, place):
    table(["data", "noise", "truth", "detector", "AUC", "AUPRC", "F1", "called", "ECE", "seconds", "of processors"])
    for name in args.sets:
        pairs = SETS[name](args.data)
        for kind in args.kinds:
            if kind == "category" and pairs.cluster is None:
                continue
            for rate in args.rates:
                rows = []
                for seed in args.seeds:
                    drawn = draw(pairs, name in SHARED, name, kind, rate, seed, args.binary, place)
                    log(args.work, drawn)
                    rows += drawn
                for detector in dict.fromkeys(row["detector"] for row in rows):
                    mine = [row for row in rows if row["detector"] == detector]
                    line([name, f"{kind} {rate:.0%}", text(mean(mine, "truth")), detector,
                          *(text(mean(mine, key)) for key in ("auc", "auprc", "f1", "called", "ece")),
                          *(text(mean(mine, key), ".1f") for key in ("seconds", "processors"))])


# --- the crowd -------------------------------------------------------------------------------------


def judged_pairs(data):
    """All pairs of the three splits and then the judged ones; and for these the share of yes."""
    folder, ids, captions, images = data / "f8k_clip", [], [], []
    for split in ("train", "dev", "test"):
        ids += (folder / f"{split}_ids.txt").read_text(encoding="utf-8").split()
        images.append(np.load(folder / f"{split}_ims.npy"))
        captions.append(np.load(folder / f"{split}_caps_minilm.npy"))
    images, captions = np.concatenate(images), np.concatenate(captions)
    per_image = len(captions) // len(images)
    row_of = {name: row for row, name in enumerate(ids)}
    pairs = [(caption // per_image, caption) for caption in range(len(captions))]
    given, told, yes = set(pairs), [], []
    place = {pair: n for n, pair in enumerate(pairs)}
    with open(folder / "human_crowd.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["image"] in row_of and row["caption_owner"] in row_of:
                pair = row_of[row["image"]], row_of[row["caption_owner"]] * per_image + int(row["caption_no"])
                if pair not in given:
                    place[pair] = len(pairs)
                    pairs.append(pair)
                told.append(place[pair])
                yes.append(float(row["frac_yes"]))
    return images, captions, np.array(pairs), np.array(told), np.array(yes)


def isotonic(score, truth):
    """Pool adjacent violators; straight lines between the pooled scores."""
    at, place, count = np.unique(score, return_inverse=True, return_counts=True)
    blocks = []                     # sum of truth, count, first and last score
    for total, n, x in zip(np.bincount(place, weights=truth), count, at):
        blocks.append([total, n, x, x])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            total, n, _, last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + n, blocks[-1][2], last]
    x = [end for block in blocks for end in block[2:]]
    y = [block[0] / block[1] for block in blocks for _ in range(2)]
    return lambda new: np.interp(new, x, y)


def platt(score, truth):
    """A logistic curve of the standardized score, by Newton's method, with Platt's softened targets."""
    center, spread = score.mean(), score.std() + 1e-12
    rows = lambda new: np.column_stack([(new - center) / spread, np.ones(len(new))])
    target = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    x, weight = rows(score), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weight))
        step = np.linalg.solve(x.T * (p * (1 - p)) @ x + 1e-9 * np.eye(2), x.T @ (target - p))
        weight += step * min(1, 2 / (np.abs(step).max() + 1e-12))
    return lambda new: 1 / (1 + np.exp(-rows(new) @ weight))


def crowd(args, place):
    images, captions, pairs, told, yes = judged_pairs(args.data)
    folder = place / "data"
    folder.mkdir()
    np.save(folder / "images.npy", images.astype("f4"))
    np.save(folder / "captions.npy", captions.astype("f4"))
    np.save(folder / "pairs.npy", pairs.astype("i8"))
    match = yes > 0.5
    print(f"{(~match).sum() / len(pairs):.3f} of {len(pairs):,} audited pairs are mismatched, as far as told: "
          f"most people said yes to {match.mean():.1%} of {len(told):,} judged ones\n")
    seen = Pairs(owner=pairs[:, 0], content=np.arange(len(images)), images=images, captions=captions[pairs[:, 1]])
    rows = []
    for seed in args.seeds:
        answers = dict(answers_of(Case(seen, pairs[:, 0], False, seed)))
        for audit in ("truepair", "truepair --fast"):
            answers[audit] = truepair(args.binary, folder, AUDITS[audit], len(pairs), seed, place / "audit")
        judged = np.unique(pairs[told, 0])
        half = np.random.default_rng([seed, 2]).permutation(judged)[:len(judged) // 2]
        learn = np.isin(pairs[told, 0], half)
        for name, answer in answers.items():
            if answer is None:
                continue
            if rate := answer.noise_rate:
                bounds = f"[{rate['low']:.3f}, {rate['high']:.3f}]"
                print(f"{name}, seed {seed}: noise rate {rate['estimate']:.3f} {bounds}\n")
            score = (1 - answer.score if answer.is_probability else -answer.score)[told]
            odds = score
            if answer.is_probability:
                safe = np.clip(score, 1e-6, 1 - 1e-6)
                odds = np.log(safe / (1 - safe))
            ways = {
                "as it is": score,
                "isotonic": isotonic(score[learn], match[learn])(score),
                "Platt": platt(odds[learn], match[learn])(odds),
            }
            for way, p in ways.items():
                told_p, truth, share = p[~learn], match[~learn], yes[~learn]
                probable = answer.is_probability or way != "as it is"
                rows.append({
                    "detector": name, "way": way, "seed": seed, "auc": auc(told_p, truth),
                    "mean": float(told_p.mean()) if probable else None,
                    "ece": calibration_error(told_p, truth) if probable else None,
                    "ece_share": calibration_error(told_p, share) if probable else None,
                })
    log(args.work, rows)
    table(["detector", "P(match)", "AUC", "mean", "ECE", "ECE (share)"])
    for detector, way in dict.fromkeys((row["detector"], row["way"]) for row in rows):
        mine = [row for row in rows if (row["detector"], row["way"]) == (detector, way)]
        line([detector, way, *(text(mean(mine, key)) for key in ("auc", "mean", "ece", "ece_share"))])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def names(known):
        def read(value):
            chosen = [name.strip() for name in value.split(",")]
            if unknown := [name for name in chosen if name not in known]:
                raise argparse.ArgumentTypeError(f"no {unknown[0]}; there are {', '.join(known)}")
            return chosen
        return read

    def numbers(kind):
        return lambda value: [kind(part) for part in value.split(",")]

    parser.add_argument("--binary", default="target/release/truepair")
    parser.add_argument("--data", type=pathlib.Path, default=".", help="folder of the data sets")
    parser.add_argument("--work", type=pathlib.Path, help="folder for rows.jsonl and what is under way")
    parser.add_argument("--seeds", type=numbers(int), default="1", help="numbers, separated by commas")
    parser.add_argument("--sets", type=names(SETS), default="f8k_clip,rsicd,emoji,wiki")
    parser.add_argument("--kinds", type=names(KINDS), default="random,near,category")
    parser.add_argument("--rates", type=numbers(float), default="0.2,0.4")
    parser.add_argument("--crowd", action="store_true", help="hold an audit of f8k_clip against people's judgments")
    args = parser.parse_args()
    args.data = args.data.resolve()
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="noise-protocol-", dir=args.work) as place:
        (crowd if args.crowd else protocol)(args, pathlib.Path(place))


if __name__ == "__main__":
    main()
