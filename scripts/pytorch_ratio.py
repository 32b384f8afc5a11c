#!/usr/bin/env python3
"""Times of `truepair bench` beside those of a PyTorch program that knows the same workloads.

    scripts/pytorch_ratio.py --peer PEER.py [--truepair target/release/truepair] [--only TEXT]
                             [--rounds 3] [--runs 5] [--device cpu] [--precision f32]

PEER.py prints one JSON object a workload with `workload` and `median_ms`, and takes `--only`,
`--runs`, `--device` and `--dtype`. Both programs run alternately, one workload at a time, so that
a change of the machine's speed touches both. Printed: the median over the rounds, the ratio ours /
theirs, the rate of our matrix products, its share of the machine's own rate, and both peaks.
"""
import argparse
import json
import statistics
import subprocess
import sys

WORKLOADS = [
    "train/vse/small", "train/scan_t2i/small", "train/sgr/small", "train/pcme/small",
    "train/vse/paper", "train/scan_t2i/paper", "train/sgr/paper", "train/pcme/paper",
    "train/mrl/b100", "train/clip_head/b1024",
    "eval/recall/1000x5000", "eval/recall/5000x25000",
]


def run(command, workload):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    decoder, text, at = json.JSONDecoder(), done.stdout.strip(), 0
    while at < len(text):
        row, at = decoder.raw_decode(text, at)
        for timing in row.get("timings", [row]):
            if timing["workload"] == workload:
                return timing
        while at < len(text) and text[at].isspace():
            at += 1
    sys.exit(f"{' '.join(command)}: printed no row for {workload}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--truepair", default="target/release/truepair")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    args = parser.parse_args()
    peer_device = "cuda" if args.device == "gpu" else "cpu"
    ours = [args.truepair, "bench", "--json", "--device", args.device, "--precision", args.precision,
            "--runs", str(args.runs)]
    theirs = [args.python, args.peer, "--device", peer_device, "--dtype", args.precision, "--runs", str(args.runs)]
    machine = run(ours + ["--only", "product/"], "product/4608x2048x1024")["gflop_per_s"]
    print(f"machine's own rate, {args.precision}: {machine:.0f} GFLOP/s")
    print("| workload | PyTorch ms | truepair ms | ratio | GFLOP/s | share of own rate | peak MiB (PyTorch) |")
    print("|---|---|---|---|---|---|---|")
    for workload in WORKLOADS:
        if args.only not in workload:
            continue
        rounds = []
        for _ in range(args.rounds):
            rounds.append((run(theirs + ["--only", workload], workload), run(ours + ["--only", workload], workload)))
        their_ms = statistics.median(row["median_ms"] for row, _ in rounds)
        our_ms = statistics.median(row["median_ms"] for _, row in rounds)
        rate = rounds[0][1]["gflop"] / our_ms * 1e3
        peaks = max(row["peak_mib"] or 0 for _, row in rounds), max(row["peak_mib"] for row, _ in rounds)
        print(f"| `{workload}` | {their_ms:.1f} | {our_ms:.1f} | {our_ms / their_ms:.2f} | {rate:.0f} "
              f"| {rate / machine:.0%} | {peaks[0]} ({peaks[1]}) |", flush=True)


if __name__ == "__main__":
    main()
