#!/usr/bin/env python3
"""Made-up data of the shape of published data sets, to measure what a table would cost.

    scripts/table_shapes.py --out DIR [--only f30k,cc152k,coco,cub,coco-pictures,weights]
    cd DIR && truepair compare cc152k --rows report-cc152k --dry-run --out ../dry

The files have the published numbers of images, captions, regions and words, and nothing can be learned from
them: of every image one region is noise and 35 are zeros, which a file of 44 GB holds in 1.2; captions are words drawn by
Zipf's law; pictures are noise, one file under all names. `weights` writes resnet50.pth, resnet152.pth and
glove.840B.300d.txt under their names, with untrained numbers. `weights` needs torch and torchvision, pictures
need Pillow, all of it NumPy.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np

REGIONS, NUMBERS = 36, 2048


def sparse_features(path, n_images, rng):
    """`[n_images, 36, 2048]` in f32: the first region of every image is noise, the others are holes of zeros."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (n_images, REGIONS, NUMBERS)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start, size = file.tell(), REGIONS * NUMBERS * 4
        for image in range(n_images):
            file.seek(start + image * size)
            file.write(rng.random(NUMBERS, np.float32).tobytes())
        file.truncate(start + n_images * size)


def captions(rng, n, n_words, mean=10.5):
    """`n` captions of at least five words out of `n_words`, by Zipf's law; every word appears."""
    shares = 1 / np.arange(1, n_words + 1)
    lengths = np.maximum(5, rng.poisson(mean, n))
    words = rng.choice(n_words, lengths.sum(), p=shares / shares.sum())
    # Five of each word, as vocabularies of the publications leave out rarer ones.
    if len(words) >= 10 * n_words:
        words[rng.permutation(len(words))[: 5 * n_words]] = np.arange(5 * n_words) % n_words
    ends = np.cumsum(lengths)[:-1]
    return [" ".join(f"w{word}" for word in caption) for caption in np.split(words, ends)]


def precomp(folder, splits, per_image, n_words):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for split, n_images in splits.items():
        sparse_features(folder / f"{split}_ims.npy", n_images, rng)
        texts = captions(rng, n_images * per_image, n_words)
        (folder / f"{split}_caps.txt").write_text("\n".join(texts) + "\n")


def picture(path, side=(500, 375)):
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (side[1] // 8, side[0] // 8, 3), np.uint8)
    Image.fromarray(noise).resize(side, Image.Resampling.BICUBIC).save(path, quality=85)


LINKS = 30_000


def linked(original, link, at):
    """`link` is the same file as `original`, of which a copy is made for every 30,000 names: file systems have a limit."""
    if link.exists():
        return
    copy = original.with_name(f"{original.stem}_{at // LINKS}.jpg")
    if not copy.exists():
        shutil.copy(original, copy)
    os.link(copy, link)


def cub(folder):
    """11,788 pictures of 200 classes, ten captions each; 150 classes to train."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    picture(folder / "picture.jpg")
    names = [f"{c + 1:03}.Bird_{c + 1}" for c in range(200)]
    of_class = np.sort(np.arange(11788) % 200)
    images, labels, seen = [], [], []
    texts = captions(rng, 11788 * 10, 5000, 15.0)
    at = dict.fromkeys(range(200), 0)
    for image, c in enumerate(of_class):
        name = f"{names[c]}/bird_{image + 1}"
        for kind in ("images", "text_c10"):
            (folder / kind / names[c]).mkdir(parents=True, exist_ok=True)
        linked(folder / "picture.jpg", folder / "images" / f"{name}.jpg", image)
        (folder / "text_c10" / f"{name}.txt").write_text(
            "\n".join(texts[10 * image : 10 * image + 10]) + "\n"
        )
        images.append(f"{image + 1} {name}.jpg")
        labels.append(f"{image + 1} {c + 1}")
        if c < 150 and at[c] % 5 == 0:
            seen.append(f"{name}.jpg")
        at[c] += 1
    lists = {
        "images.txt": images,
        "image_class_labels.txt": labels,
        "classes.txt": [f"{c + 1} {name}" for c, name in enumerate(names)],
        "trainvalclasses.txt": names[:150],
        "testclasses.txt": names[150:],
        "seen_test_images.txt": seen,
    }
    for file, lines in lists.items():
        (folder / file).write_text("\n".join(lines) + "\n")


def coco_pictures(folder):
    """113,287, 5,000 and 5,000 pictures under the names of MS-COCO's folders, five captions each."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    picture(folder / "picture.jpg", (640, 480))
    records, sentence = [], 0
    for split, n_images in {"train": 113287, "val": 5000, "test": 5000}.items():
        texts = captions(rng, 5 * n_images, 11353)
        kind = "train2014" if split == "train" else "val2014"
        (folder / kind).mkdir(exist_ok=True)
        for image in range(n_images):
            name = f"COCO_{kind}_{len(records) + 1:012}.jpg"
            linked(folder / "picture.jpg", folder / kind / name, len(records))
            own = texts[5 * image : 5 * image + 5]
            sentences = [
                {"raw": text, "tokens": text.split(), "imgid": len(records), "sentid": sentence + at}
                for at, text in enumerate(own)
            ]
            sentence += 5
            records.append(
                {
                    "filepath": kind,
                    "filename": name,
                    "split": split,
                    "imgid": len(records),
                    "cocoid": len(records) + 1,
                    "sentids": [one["sentid"] for one in sentences],
                    "sentences": sentences,
                }
            )
    (folder / "dataset_coco.json").write_text(json.dumps({"images": records, "dataset": "coco"}))


def weights(folder):
    import torch
    import torchvision

    for depth in (50, 152):
        network = getattr(torchvision.models, f"resnet{depth}")(weights=None)
        torch.save(network.state_dict(), folder / f"resnet{depth}.pth")
    rng = np.random.default_rng(0)
    with open(folder / "glove.840B.300d.txt", "w") as file:
        for word in range(12000):
            numbers = " ".join(f"{number:.5f}" for number in rng.normal(0, 0.3, 300))
            file.write(f"w{word} {numbers}\n")


def main():
    made = {
        "f30k": lambda out: precomp(out / "f30k", {"train": 29000, "dev": 1014, "test": 1000}, 5, 8481),
        "cc152k": lambda out: precomp(out / "cc152k", {"train": 150000, "dev": 1000, "test": 1000}, 1, 11000),
        "coco": lambda out: precomp(out / "coco", {"train": 113287, "dev": 5000, "test": 1000}, 5, 11353),
        "cub": lambda out: cub(out / "cub"),
        "coco-pictures": lambda out: coco_pictures(out / "coco-pictures"),
        "weights": weights,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default=",".join(made), help="which, separated by commas")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only.split(","):
        if name not in made:
            parser.error(f"--only {name}: choose from {', '.join(made)}")
        made[name](args.out)


if __name__ == "__main__":
    main()
