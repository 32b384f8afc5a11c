#!/usr/bin/env python3
"""How fast data is read, beside Python's own readers, in one run.

    cargo build --release -p truepair-read --example reading_speed
    scripts/reading_speed.py [--ours target/release/examples/reading_speed] [--rounds 5] [--folder DIR]

Makes a webdataset of 10,000 small pictures (ten shards), and a parquet file and a CSV file of 1,000,000
captions; needs numpy, Pillow, pyarrow and webdataset. Both sides read alternately and have every caption as a
text, and every picture as bytes, in the end; files are in the machine's file cache. Printed: MB/s of the files, the
best of the rounds, wall time, and the ratio ours / theirs (larger is better for us).
"""
import argparse
import csv
import io
import json
import pathlib
import random
import subprocess
import tarfile
import tempfile
import time

import numpy
import pyarrow
import pyarrow.parquet
import webdataset
from PIL import Image

WORDS = "a dog runs on the beach with red ball under blue sky near two men riding bikes in city street at night".split()


def caption(chance):
    return " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 14)))


def make_webdataset(folder, chance):
    folder.mkdir()
    pixels = numpy.random.default_rng(0)
    for shard in range(10):
        with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for sample in range(1000):
                picture, text = io.BytesIO(), caption(chance)
                small = pixels.integers(0, 255, (4, 4, 3), dtype=numpy.uint8)
                Image.fromarray(small).resize((48, 48)).save(picture, "JPEG")
                about = json.dumps({"caption": text, "width": 48}).encode()
                for ending, content in (("jpg", picture.getvalue()), ("txt", text.encode()), ("json", about)):
                    member = tarfile.TarInfo(f"{shard:05d}{sample:04d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


def make_tables(folder, chance):
    images = [f"images/{row:07d}.jpg" for row in range(1_000_000)]
    captions = [caption(chance) for _ in images]
    pyarrow.parquet.write_table(pyarrow.table({"image": images, "caption": captions}), folder / "rows.parquet")
    with open(folder / "rows.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        rows.writerows(zip(images, captions))
    # One number an image: features are mapped, so that only the table is read.
    numpy.save(folder / "rows.npy", numpy.zeros((len(images), 1), numpy.float16))


def by_webdataset(path):
    shards = [str(shard) for shard in sorted(path.iterdir())]
    read = 0
    for sample in webdataset.WebDataset(shards, shardshuffle=False):
        read += bool(sample["jpg"]) and bool(sample["txt"].decode())
    assert read == 10_000


def by_pyarrow(path):
    table = pyarrow.parquet.read_table(path, columns=["image", "caption"])
    assert len(table) == 1_000_000


def by_pyarrow_texts(path):
    table = pyarrow.parquet.read_table(path, columns=["image", "caption"])
    assert len([table[name].to_pylist() for name in ("image", "caption")][1]) == 1_000_000


def by_csv(path):
    with open(path, newline="") as file:
        assert len(list(csv.reader(file))) == 1_000_001


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="target/release/examples/reading_speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder, chance = pathlib.Path(name), random.Random(0)
        make_webdataset(folder / "shards", chance)
        make_tables(folder, chance)
        for label, path, features, peer in (
            ("webdataset, pictures and captions", folder / "shards", [], by_webdataset),
            ("parquet, beside pyarrow's columns", folder / "rows.parquet", [folder / "rows.npy"], by_pyarrow),
            ("parquet, beside Python's texts", folder / "rows.parquet", [folder / "rows.npy"], by_pyarrow_texts),
            ("CSV, beside Python's csv", folder / "rows.csv", [folder / "rows.npy"], by_csv),
        ):
            ours, theirs, size = [], [], 0
            for _ in range(args.rounds):
                printed = subprocess.run([args.ours, path, *features], stdout=subprocess.PIPE, check=True).stdout
                measured = json.loads(printed)
                ours.append(measured["seconds"])
                size = measured["bytes"]
                start = time.perf_counter()
                peer(path)
                theirs.append(time.perf_counter() - start)
            rates = [size / 1e6 / min(seconds) for seconds in (ours, theirs)]
            print(f"{label:36} {rates[0]:8.0f} MB/s  theirs {rates[1]:8.0f} MB/s  ratio {rates[0] / rates[1]:.2f}")


if __name__ == "__main__":
    main()
