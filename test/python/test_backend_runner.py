"""ONNX's own backend test runner over kapell.backend: every case that the onnx package carries, under the package's own tolerances."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper

import kapell
import kapell.backend
from backend_exceptions import BY_CHANCE, EXCEPTIONS

# Cases that the runner itself cannot compare: it asks each item of a sequence for its length, and these are numbers.
RUNNER = {"test_loop16_seq_none"}

PROGRAM = """
import json, sys, unittest, warnings
warnings.simplefilter("ignore")
import kapell.backend, onnx.backend.test
class Result(unittest.TestResult):
    def addSuccess(self, test): print(json.dumps([name(test), None]), flush=True)
    def addFailure(self, test, error): print(json.dumps([name(test), self._exc_info_to_string(error, test)[-1500:]]), flush=True)
    addError = addFailure
def name(test): return test.id().rpartition(".")[2].removesuffix("_cpu")
runner = onnx.backend.test.BackendTest(kapell.backend.KapellBackend, "cases")
def leaves(suite): return [leaf for part in suite for leaf in leaves(part)] if isinstance(suite, unittest.TestSuite) else [suite]
cases = sorted((case for case in leaves(runner.test_suite) if case.id().endswith("_cpu")), key=name)
unittest.TestSuite(case for i, case in enumerate(cases) if i % int(sys.argv[1]) == 0 or name(case) in sys.argv[2:]).run(Result())
"""


def results(every, folder):
    """What the runner says of each |every|-th case and of those that are known to fail: name -> None or what is wrong."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "ONNX_HOME": str(folder)}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(every), *EXCEPTIONS, *RUNNER], env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-3000:]
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.full)])
def test_cases_pass_but_the_known_ones(every, tmp_path):
    found = results(every, tmp_path)
    failed = {name: words for name, words in found.items() if words is not None}
    assert {name: words for name, words in failed.items() if name not in EXCEPTIONS and name not in RUNNER} == {}
    assert (set(EXCEPTIONS) | RUNNER) - set(failed) - BY_CHANCE == set(), "they pass now"
    assert len(found) > 2000 / every
    assert every > 1 or len(failed) <= 0.005 * len(found), f"{len(failed)} of {len(found)}"


# --- the interface -----------------------------------------------------------------------------------------------------------------

def two_inputs():
    graph = helper.make_graph(
        [helper.make_node("Sub", ["a", "b"], ["0"]), helper.make_node("Add", ["a", "b"], ["sum"])], "g",
        [helper.make_tensor_value_info(n, 1, ["N"]) for n in "ab"], [helper.make_tensor_value_info(n, 1, ["N"]) for n in ("0", "sum")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


A, B = np.float32([1, 2]), np.float32([10, 30])


@pytest.mark.parametrize("form", ["model", "bytes", "path", "session", "prepared"])
def test_prepare_takes(form, tmp_path):
    model = two_inputs()
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    given = {"model": model, "bytes": model.SerializeToString(), "path": str(tmp_path / "m.onnx"),
             "session": kapell.InferenceSession(model.SerializeToString()), "prepared": kapell.backend.prepare(model)}[form]
    outputs = kapell.backend.prepare(given, "CPU", intra_op_num_threads=1).run([A, B])
    np.testing.assert_array_equal(outputs[0], A - B)
    np.testing.assert_array_equal(outputs["sum"], A + B)
    np.testing.assert_array_equal(outputs.sum, A + B)


def test_run():
    model = two_inputs()
    np.testing.assert_array_equal(kapell.backend.run_model(model, {"b": B, "a": A})["0"], A - B)
    node = helper.make_node("Mul", ["x", "y"], ["z"])
    np.testing.assert_array_equal(kapell.backend.run_node(node, [A, B])[0], A * B)
    np.testing.assert_array_equal(kapell.backend.run_node(helper.make_node("Clip", ["x", "", "m"], ["z"]), [B, np.float32(20)])[0], np.float32([10, 20]))


def test_devices():
    assert kapell.backend.supports_device("CPU") and kapell.backend.supports_device("CPU:0") and kapell.backend.is_compatible(two_inputs())
    for device in ("CUDA", "CUDA:1", "TPU", "cpu "):
        assert not kapell.backend.supports_device(device)
    with pytest.raises(RuntimeError, match="Incompatible device expected 'CUDA', got 'CPUExecutionProvider'"):
        kapell.backend.prepare(two_inputs(), "CUDA")


def test_what_is_wrong_is_said():
    with pytest.raises(RuntimeError, match="'optimized_model_filepath' is not permitted via the backend API"):
        kapell.backend.prepare(two_inputs(), optimized_model_filepath="x")
    with pytest.raises(RuntimeError, match="'terminate' is not permitted"):
        kapell.backend.prepare(two_inputs()).run([A, B], terminate=True)
    with pytest.raises(RuntimeError, match="2 inputs, and 3 values"):
        kapell.backend.prepare(two_inputs()).run([A, B, A])
    with pytest.raises(RuntimeError, match="Model expect 2 inputs"):
        kapell.backend.prepare(two_inputs()).run(A)
    with pytest.raises(kapell.KapellError, match="CUDA"):
        kapell.backend.prepare(two_inputs(), providers=["CUDA"])
