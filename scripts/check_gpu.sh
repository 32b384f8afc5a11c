#!/usr/bin/env bash
# Builds the networks for a GPU and holds them against the golden numbers: the golden tests of `truepair-train` on the
# device, then a run each of `sgr` and `pcme` there, epoch by epoch beside the same run on the processor.
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
check=(cargo test --release -p truepair-train --features "$feature")

"${check[@]}" --test golden
"${check[@]}" --test region_matchers -- a_run_on_another_device_has_the_losses_of_the_processor
