"""Every backend case that the onnx package carries, through kapell.h, under the package's own tolerances.

The cases run in worker processes (backend_cases.py), so that a crash is one failed case. What may fail stands in backend_exceptions.py.
"""

import json
import os
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import backend_cases
from backend_exceptions import BY_CHANCE, EXCEPTIONS

NAMES = [case.name for case in backend_cases.all_cases()]
WORKERS = min(os.cpu_count() or 1, 8)
SECONDS = 1500  # for one worker over all its cases


def run_worker(first):
    """Results of the cases of one worker: name -> None or what is wrong."""
    results, todo = {}, True
    while todo:
        command = [sys.executable, str(pathlib.Path(backend_cases.__file__)), str(first), str(WORKERS), *results]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        begun = None
        for line in done.stdout.splitlines():
            word, name, *rest = line.split(" ", 2)
            begun = name if word == "run" else None
            if word != "run":
                results[name] = json.loads(rest[0]) if word == "bad" else None
        todo = done.returncode != 0
        if todo:
            assert begun, done.stderr[-2000:]
            results[begun] = f"the process died ({done.returncode}): {done.stderr[-1500:]}"
    return results


@pytest.fixture(scope="module")
def results():
    """Results of all cases."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return {name: words for part in pool.map(run_worker, range(WORKERS)) for name, words in part.items()}


@pytest.mark.parametrize("name", NAMES)
def test_case(name, results):
    if name in EXCEPTIONS:
        assert results[name] is not None or name in BY_CHANCE, "it passes: take it out of backend_exceptions.py"
    else:
        assert results[name] is None, results[name]


def test_exceptions_are_few():
    unknown = set(EXCEPTIONS) - set(NAMES)
    assert not unknown, f"no such cases: {sorted(unknown)}"
    assert len(EXCEPTIONS) <= 0.005 * len(NAMES), f"{len(EXCEPTIONS)} exceptions of {len(NAMES)} cases are more than 0.5 %"
