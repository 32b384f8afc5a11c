#!/usr/bin/env bash
# Fuzzes every target, or those named, for SECONDS each, one core a target and two targets at a time; then
# minimises what was kept and prints one row a target:
#
#     scripts/fuzz_all.sh SECONDS [TARGET...]
#
# FUZZ_FEATURES="libfuzzer encode train" builds the targets that stand on the tensor framework too; FUZZ_JOBS is
# how many targets run at a time; FUZZ_PROGRAMS is a folder of programs that are built already. Needs
# `cargo install cargo-fuzz`. Inputs that fail lie in `fuzz/artifacts/`.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?seconds for each target}
shift
features=${FUZZ_FEATURES:-libfuzzer encode}
jobs=${FUZZ_JOBS:-2}
# Bytes of a corpus: with some twenty targets the whole stays under 3 MB.
kept=${FUZZ_KEPT:-130000}
# Finds of one target after which it stops.
most=20
target_dir=${CARGO_TARGET_DIR:-target}/fuzzer
work=${CARGO_TARGET_DIR:-target}/fuzz-corpus
# A sanitizer would find little in code without `unsafe`, at half the speed; the targets count memory themselves.
# The flags of coverage are those of nightly compilers.
export RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$PWD/fuzz/rustc_quick.sh

programs=${FUZZ_PROGRAMS:-$target_dir/$(rustc -vV | sed -n 's/host: //p')/release}
[ -n "${FUZZ_PROGRAMS:-}" ] ||
    cargo fuzz build --fuzz-dir fuzz -s none --no-default-features --features "$features" --target-dir "$target_dir" >&2

# Files of an input lie in memory, and go with this script.
TMPDIR=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)" truepair-fuzz.XXXXXX)
export TMPDIR RAYON_NUM_THREADS=1
trap 'rm -rf "$TMPDIR"' EXIT

# A shared machine stretches the seconds of the clock; a loop without an end takes any number.
limits=(-rss_limit_mb=4096 -malloc_limit_mb=4096 -timeout=60 -max_len=32768)

# One target: runs until its time is over, again after each find.
fuzz() {
    local name=$1 begun=$SECONDS executions=0 finds=0 left coverage log=$TMPDIR/$1.log
    mkdir -p "$work/$name" "fuzz/artifacts/$name" "fuzz/corpus/$name"
    while left=$((seconds - (SECONDS - begun))) && [ "$left" -gt 0 ] && [ "$finds" -lt "$most" ]; do
        if "$programs/$name" "$work/$name" "fuzz/corpus/$name" "${limits[@]}" -max_total_time="$left" \
            -dict="fuzz/dictionaries/$name.dict" -artifact_prefix="fuzz/artifacts/$name/" \
            -print_final_stats=1 >"$log" 2>&1; then :; else
            finds=$((finds + 1))
            cp "$log" "fuzz/artifacts/$name/find-$finds.log"
        fi
        executions=$((executions + $(sed -n 's/stat::number_of_executed_units: *//p' "$log" | tail -1 || echo 0)))
    done
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)
    local took=$((SECONDS - begun))
    [ "$took" -gt 0 ] || took=1
    minimise "$name"
    printf '| `%s` | %d | %d | %d | %s | %d | %d |\n' "$name" "$took" "$executions" "$((executions / took))" \
        "${coverage:-0}" "$(find "fuzz/corpus/$name" -type f | wc -l)" "$finds"
}

# Keeps the inputs that reach what no smaller one reaches, the smallest first, as many as fit.
minimise() {
    local name=$1 merged=$TMPDIR/$1.merged total=0 size file
    mkdir "$merged"
    # Edges alone: how often each was taken would keep five times as many.
    "$programs/$name" -set_cover_merge=1 -use_counters=0 "${limits[@]}" "$merged" "fuzz/corpus/$name" "$work/$name" \
        >>"$TMPDIR/$name.log" 2>&1 || return 0
    rm -f "fuzz/corpus/$name"/*
    while read -r size file; do
        total=$((total + size))
        [ "$total" -le "$kept" ] || break
        cp "$file" "fuzz/corpus/$name/"
    done < <(find "$merged" -type f -printf '%s %p\n' | sort -n)
    rm -r "$merged"
}

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for program in fuzz/fuzz_targets/*.rs; do
        name=$(basename "$program" .rs)
        [ ! -x "$programs/$name" ] || names+=("$name")
    done
fi
echo '| target | seconds | executions | a second | coverage | corpus | finds |'
echo '|---|---|---|---|---|---|---|'
for name in "${names[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
    fuzz "$name" &
done
wait
