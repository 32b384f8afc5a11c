#!/usr/bin/env bash
# Builds for a GPU and holds it against the golden numbers: the golden tests of `truepair-train` on the device, then one
# run each of `sgr` and `pcme` on data made for it, and what they found beside the same runs on the processor.
#
#     scripts/check_gpu.sh [webgpu|gpu]
#
# The build takes as long as a whole build of the program and longer, and lies in `target/gpu`. Where there is no GPU,
# the loader of Vulkan finds a software driver if one is installed (Debian: `apt-get install libvulkan1
# mesa-vulkan-drivers`); `VK_DRIVER_FILES` names another one by its `.json` file.
set -euo pipefail
cd "$(dirname "$0")/.."

feature=${1:-webgpu}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/gpu TRUEPAIR_TEST_DEVICE=gpu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo test --release -p truepair-train --features "$feature" --test golden
cargo build --release -p truepair --no-default-features --features "$feature"
truepair=$CARGO_TARGET_DIR/release/truepair

python3 - "$work/data" <<'PY'
"""Images of regions, and captions whose words name what the regions show."""
import random
import struct
import sys
from pathlib import Path

folder, rng = Path(sys.argv[1]), random.Random(5)
folder.mkdir()
TOPICS, REGIONS, DIM = 24, 6, 32
shown = [[rng.gauss(0, 1) for _ in range(DIM)] for _ in range(TOPICS)]
for split, images in (("train", 192), ("dev", 48), ("test", 48)):
    values, captions = [], []
    for _ in range(images):
        topics = [rng.randrange(TOPICS) for _ in range(REGIONS)]
        values += [x + rng.gauss(0, 0.3) for topic in topics for x in shown[topic]]
        for _ in range(2):
            captions.append(" ".join(f"thing{topic}" for topic in rng.sample(topics, 4)))
    header = repr({"descr": "<f4", "fortran_order": False, "shape": (images, REGIONS, DIM)})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    (folder / f"{split}_ims.npy").write_bytes(head + struct.pack(f"<{len(values)}f", *values))
    (folder / f"{split}_caps.txt").write_text("\n".join(captions) + "\n")
PY

for recipe in sgr pcme; do
    for device in cpu gpu; do
        "$truepair" train "$work/data" --recipe "$recipe" --device "$device" --seed 1 --out "$work/$recipe-$device" --json \
            >"$work/$recipe-$device.json"
    done
done
