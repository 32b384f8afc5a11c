#!/usr/bin/env bash
# Runs the compiler for `scripts/fuzz_all.sh`. Crates of tensors are built without coverage and with few
# optimizations: their loops are long to instrument and say nothing about what stands in a file. Our own
# crates are built in several parts at a time.
compiler=$1
shift
name=
previous=
for argument in "$@"; do
    [ "$previous" != --crate-name ] || name=$argument
    previous=$argument
done
left_out=()
level=3
case $name in
rten | rten_* | burn | burn_* | cubecl | cubecl_* | gemm | gemm_* | faer | faer_* | nano_gemm | nano_gemm_* | pulp | \
    equator | truepair_kernel)
    left_out=(-Cpasses=sancov-module -Cllvm-args=-sanitizer- -Ccodegen-units=1)
    level=1
    ;;
truepair_*)
    left_out=(-Ccodegen-units=1)
    ;;
esac
arguments=()
for argument in "$@"; do
    for start in "${left_out[@]}"; do
        [ "${argument#"$start"}" = "$argument" ] || continue 2
    done
    arguments+=("${argument/#opt-level=3/opt-level=$level}")
done
exec "$compiler" "${arguments[@]}"
