#!/usr/bin/env python3
"""Asks a served gallery whatever its OpenAPI description allows and forbids, and fails on an answer that it should not give:
a status of 500 or above, a body or a type of body that the description does not know, a method that it does not name.

    cargo run --release -p truepair-serve --example fake -- 127.0.0.1:8000 &
    python3 scripts/check_openapi.py http://127.0.0.1:8000 [--requests 20000] [--token TOKEN]

Needs schemathesis 4 (PyPI). Without it the script says so and ends with 3. Two of its checks are left out: which of
`text`, `image` and `like` a query has is not in the description, so a body that fits it may be refused; and lists and
streams refuse one by one, inside an answer of 200.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OPERATIONS = 12


def hooks():
    """Schemathesis imports this file to learn what JSON lines are."""
    import schemathesis

    @schemathesis.serializer("application/x-ndjson")
    def write(_context, value):
        return json.dumps(value).encode() + b"\n"

    @schemathesis.deserializer("application/x-ndjson")
    def read(_context, response):
        return json.loads(response.content.splitlines()[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--requests", type=int, default=2000, help="about how many")
    parser.add_argument("--token")
    given = parser.parse_args()
    program = shutil.which("schemathesis", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if not program:
        print("NOT CHECKED: schemathesis is not at hand; pip install schemathesis", file=sys.stderr)
        return 3
    here = Path(__file__).resolve()
    command = [program, "run", f"{given.address.rstrip('/')}/openapi.json", "--no-color", "--seed", "1",
               "--max-examples", str(max(1, given.requests // OPERATIONS)),
               "--exclude-checks", "positive_data_acceptance,negative_data_rejection"]
    if given.token:
        command += ["--header", f"Authorization: Bearer {given.token}"]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": here.stem, "PYTHONPATH": str(here.parent)}
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
else:
    hooks()
