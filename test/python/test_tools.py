"""kapell.doctor, check, bench and place: results as objects, text, JSON and tables, and what a user reads when something is wrong."""

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import kapell
from kapell import tools


@pytest.fixture(scope="module")
def digits(root):
    return root / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def chain():
    """y = |-x + w| * w in four nodes."""
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["a"], name="a"), helper.make_node("Add", ["a", "w"], ["b"], name="b"),
         helper.make_node("Abs", ["b"], ["c"], name="c"), helper.make_node("Mul", ["c", "w"], ["y"], name="y")],
        "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


# --- doctor ------------------------------------------------------------------------------------------------------------------------

def test_doctor():
    report = kapell.doctor(files_only=True)
    assert report.usable[0] == "CPUExecutionProvider" and report["CPU"] is report["cpuexecutionprovider"] and report.ready
    assert report["CPU"]["state"] == "built-in" and not report["CUDA"]["usable"]
    assert str(report).startswith(f"Kapell {kapell.__version__} on ") and "\nCPU " in str(report) and "to fix it: " in str(report)
    assert json.loads(report.to_json())["providers"] == report.data["providers"]
    assert repr(report).startswith("<Doctor: Kapell ")
    table = report._repr_html_()
    assert table.count("<tr>") == 1 + len(report.data["providers"]) and "<script" not in table
    with pytest.raises(KeyError, match="Nonsense: no such provider; there are CPU"):
        report["Nonsense"]


def test_doctor_requires():
    with pytest.raises(tools.NotReady, match="^CUDA: .+ .to fix it: ") as caught:
        kapell.doctor(require=["CPU", "CUDA"], files_only=True)
    assert not caught.value.report.ready and caught.value.report["CPU"]["usable"]
    assert kapell.doctor(require="CPU", files_only=True).ready
    with pytest.raises(ValueError, match="Nonsense"):
        kapell.doctor(require="Nonsense", files_only=True)
    with pytest.raises(ValueError, match="there is no '/nonexistent.so'"):
        kapell.doctor(library="/nonexistent.so")


def test_doctor_looks_into_this_environment():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run([sys.executable, "-c", "import kapell; print(kapell.doctor(files_only=True).to_json())"], env=environment, capture_output=True, text=True, check=True)
    if sys.prefix != sys.base_prefix:
        assert any(place["path"].startswith(sys.prefix) for place in json.loads(done.stdout)["places"]["packages"])


# --- check -------------------------------------------------------------------------------------------------------------------------

def test_check(digits, chain):
    report = kapell.check(digits, accuracy=True)
    assert report and report.ok and report.checks[0]["check"] == "opened" and "11 of 11 nodes" in str(report)
    assert report._repr_html_().count("<tr>") == 1 + len(report.checks)
    assert kapell.check(chain, "CPU", accuracy=True, dims={"N": 4}).ok
    assert kapell.check(chain.SerializeToString(), ["Mock", "CPU"], provider_options={"Mock.ops": "all,-Abs"}, shapes={"x": (2, 3)}).ok


def test_check_fails(chain, tmp_path):
    with pytest.raises(tools.CheckFailed, match="CUDA") as caught:
        kapell.check(chain, "CUDA")
    assert not caught.value.report and "KAPELL-E" in str(caught.value)
    with pytest.raises(tools.CheckFailed, match="FAILED  accuracy") as caught:
        kapell.check(chain, "Mock,CPU", accuracy=True, provider_options={"Mock.fail": "wrong"})
    assert [c["check"] for c in caught.value.report.checks if c["ok"] is False] == ["accuracy"]
    lock = tmp_path / "m.lock"
    lock.write_text(kapell.place(chain, "Mock,CPU").lock(), encoding="utf-8")
    assert kapell.check(chain, "Mock,CPU", lock=lock).ok
    with pytest.raises(tools.CheckFailed, match='- "Abs" "c" on MockExecutionProvider'):
        kapell.check(chain, "Mock,CPU", lock=lock, provider_options={"Mock.ops": "all,-Abs"})
    with pytest.raises(ValueError, match="--atol 'much' is no number"):
        kapell.check(chain, atol="much")
    with pytest.raises(tools.CheckFailed, match="nonexistent"):
        kapell.check("/nonexistent.onnx")


def test_check_runs_data(chain, tmp_path):
    x = np.float32([[1, -2, 3.5]])
    for name, value in (("input_0", x), ("output_0", np.abs(-x + np.float32([1, 2, 3])) * np.float32([1, 2, 3]))):
        (tmp_path / f"{name}.pb").write_bytes(numpy_helper.from_array(value, name).SerializeToString())
    assert "largest difference 0" in str(kapell.check(chain, data=tmp_path))
    (tmp_path / "output_0.pb").write_bytes(numpy_helper.from_array(x, "y").SerializeToString())
    with pytest.raises(tools.CheckFailed, match="output 'y'"):
        kapell.check(chain, data=tmp_path)


# --- bench -------------------------------------------------------------------------------------------------------------------------

def test_bench(digits, tmp_path):
    image = np.random.default_rng(0).random((1, 1, 8, 8), np.float32)
    report = kapell.bench(digits, ["CPU", "Mock,CPU"], threads=[1], inputs={"image": image}, seconds=0.3, html_path=tmp_path / "b.html", csv_path=tmp_path / "b.csv")
    assert [row["label"] for row in report.rows] == ["CPU, 1 thread", "Mock,CPU, 1 thread"] and report.best in report.rows
    assert report.rows[0]["ratio"] == 1 and len(report.rows[0]["times"]) >= 3 and report.rows[0]["p50"] > 0 and report.rows[1]["error"] < 1e-5
    text = str(report)
    assert text.splitlines()[0].split()[:2] == ["p50", "ms"] and report.advice in text
    assert report._repr_html_().count("<tr>") == 3
    assert (tmp_path / "b.html").stat().st_size > 1000 and (tmp_path / "b.csv").read_text(encoding="utf-8").startswith("configuration,")


def test_bench_says_what_could_not_be_measured(chain):
    report = kapell.bench(chain, ["CPU", "CUDA"], threads=1, batch=[1, 2], dims={"N": 1}, seconds=0.1)
    assert [row["measured"] for row in report.rows].count(False) == 2 and "not measured: " in str(report) and "CUDA" in str(report)
    with pytest.raises(RuntimeError, match="no configuration could be measured: .*CUDA"):
        kapell.bench(chain, "CUDA", seconds=0.1)
    with pytest.raises(ValueError, match="seconds"):
        kapell.bench(chain, seconds="long")


# --- place -------------------------------------------------------------------------------------------------------------------------

def test_place(chain, digits):
    placement = kapell.place(chain, ["Mock", "CPU"])
    assert [node.provider for node in placement.nodes] == ["MockExecutionProvider"] * 4
    assert "11 of 11 nodes" in str(kapell.place(digits)) and kapell.place(str(digits)).totals["CPUExecutionProvider"].nodes == 11
    with pytest.raises(kapell.EPFail, match="CUDA"):
        kapell.place(chain, "CUDA")


def test_a_command_that_dies_is_said(chain, monkeypatch, tmp_path):
    program = tmp_path / "kapell"
    program.write_text("#!/bin/sh\necho not well >&2\nkill -9 $$\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(tools, "find", lambda: str(program))
    with pytest.raises(RuntimeError, match="the command was ended by signal 9: not well"):
        kapell.check(chain)


def test_a_path_is_no_option(chain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    onnx.save(chain, "--help.onnx")
    assert kapell.check("--help.onnx").ok
