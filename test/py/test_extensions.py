"""onnxruntime-extensions, a real library of custom operators (C++, built by others), in our libonnxruntime.so.1 and in ONNX Runtime's own."""

import json
import pathlib
import subprocess
import sys

import pytest

# What people expect of these operators, whatever any library says.
KNOWN = {
    "upper": [[[2], ["ABC", "GR\u00fc\u00dfE"]]], "concat": [[[2], ["ac", "bd"]]], "join": [[[1], ["a-b-c"]]], "equal": [[[2], [True, False]]],
    "regex": [[[2], ["fn f(x):", "pass"]]], "mapping": [[[3], ["apple", "berry", "q"]]], "length": [[[3], [3, 0, 3]]],
    "split": [[[3, 2], [0, 0, 0, 1, 1, 0]], [[3], ["a", "b", "c"]], [[2], [2, 2]]], "inverse": [[[2, 2], [0.5, 0.0, 0.0, 0.25]]],
    "bert": [[[10], [1, 5, 6, 7, 9, 10, 11, 12, 13, 2]], [[10], [0] * 10], [[10], [1] * 10]],  # [CLS] un ##want ##ed runn ##ing , low ##er [SEP]
    "gpt2": [[[2, 6], [6, 9, 7, 0, 0, 0, 10, 3, 2, 7, 0, 0]], [[2, 6], [1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0]]],
    "sentence": [14.0, 15.0],  # mean of the table's rows 1, 12, 13 and 2
}
FAILURES = {"throws_when_made": "Incompatible dimension", "no_vocab": "No attribute with name:'vocab_file'"}


def run_in(library, root):
    done = subprocess.run([sys.executable, root / "test/py/extensions_run.py", library], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ours(root, build_dir, preset):
    if preset != "release":
        pytest.skip("Python loads a sanitizer's library only when that is preloaded; the C tests in test/dropin/ run under it")
    return run_in(build_dir / "lib" / "libonnxruntime.so.1", root)


@pytest.mark.parametrize("case", KNOWN)
def test_known_results(ours, case):
    assert ours[case] == KNOWN[case]


@pytest.mark.parametrize("case", FAILURES)
def test_failures_are_statuses(ours, case):
    assert ours[case].startswith("error ") and FAILURES[case] in ours[case]


def test_as_in_the_other_library(ours, root):
    import onnxruntime

    real = run_in(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")), root)
    assert {name: said for name, said in ours.items() if name not in FAILURES} == {name: said for name, said in real.items() if name not in FAILURES}
