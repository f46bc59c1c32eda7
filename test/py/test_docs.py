"""Documents that a program writes are what it writes today."""

import subprocess
import sys

import pytest


def test_operators(root, preset):
    if preset != "release":
        pytest.skip("the document is made from the release build's table")
    made = subprocess.run([sys.executable, root / "tools/gen_operators.py"], capture_output=True, text=True, check=True).stdout
    assert made == (root / "docs/operators.md").read_text(encoding="utf-8"), "run .venv/bin/python tools/lint/generated.py --write"
