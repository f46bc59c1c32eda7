"""kapell bench: configurations interleaved, guests by path, every form of the report, and what a user reads when it goes wrong."""

import csv
import importlib.util
import json
import pathlib
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"
PICTURES = ROOT / "examples" / "digits" / "pictures"
ONNXRUNTIME = next((pathlib.Path(importlib.util.find_spec("onnxruntime").origin).parent / "capi").glob("libonnxruntime.so.*"))

pytestmark = pytest.mark.asan_programs


def measure(kapell, *arguments, code=0):
    """The report of a short run."""
    result = kapell("bench", DIGITS, "--seconds", "0.3", "--json", "-", *arguments)
    assert result.returncode == code, result.stderr
    return json.loads(result.stdout)


def test_configurations_are_multiplied_out(kapell):
    report = measure(kapell, "--threads", "1,2", "--batch", "1,8", "--providers", "CPU", "--providers", "CUDA?,CPU")
    assert [(r["providers"], r["threads"], r["batch"]) for r in report["rows"]] == [
        (p, t, b) for b in (1, 8) for t in (1, 2) for p in ("CPU", "CUDA?,CPU")]
    counts = {len(r["times"]) for r in report["rows"]}
    assert len(counts) == 1 and counts.pop() >= 8, "each configuration runs once a round"
    for row in report["rows"]:
        assert row["measured"] and 0 < row["best"] <= row["p50_low"] <= row["p50"] <= row["p50_high"] <= row["p99"]
        assert row["p50"] <= row["p90"] <= row["p99"] and row["open"] > 0 and row["first_run"] > 0
        assert row["peak_bytes"] > 1 << 20 and row["error"] < 1e-5 and row["peak_share"] > 0
        assert row["inferences_per_second"] == pytest.approx(row["batch"] / row["p50"], rel=1e-6)
        assert "11 of 11 nodes" in row["text"]
    assert report["rows"][4]["flops"] == pytest.approx(8 * report["rows"][0]["flops"])
    assert "CUDA? not in use" in report["rows"][1]["text"]
    assert "docs/choosing-a-provider.md, row" in report["advice"]


def test_a_folder_of_pictures(kapell):
    report = measure(kapell, "--input", f"image={PICTURES}", "--batch", "1,4")
    assert all(r["measured"] for r in report["rows"])


def test_another_form_of_the_model(kapell, tmp_path):
    other = tmp_path / "other.onnx"
    shutil.copy(DIGITS, other)
    report = measure(kapell, "--also", other)
    assert [r["label"].split(":")[0] for r in report["rows"]] == ["digits.onnx", "other.onnx"] and report["rows"][1]["error"] == 0


def test_onnx_runtime_as_a_guest(kapell, preset):
    if preset == "asan":
        pytest.skip("ONNX Runtime's own library is not built for the sanitizer")
    report = measure(kapell, "--guest", f"onnxruntime={ONNXRUNTIME}")
    guest = report["rows"][1]
    assert guest["engine"] == "onnxruntime" and guest["measured"] and guest["error"] < 1e-5 and "ONNX Runtime 1." in guest["text"]


@pytest.mark.full
def test_openvino_as_a_guest(kapell):
    spec = importlib.util.find_spec("openvino")
    if not spec:
        pytest.skip("openvino is not installed")
    library = next((pathlib.Path(spec.origin).parent / "libs").glob("libopenvino_c.so*"))
    guest = measure(kapell, "--guest", f"openvino={library}")["rows"][1]
    assert guest["engine"] == "openvino" and guest["measured"] and guest["error"] < 1e-5


def test_the_table_and_the_files(kapell, tmp_path):
    result = kapell("bench", DIGITS, "--seconds", "0.3", "--threads", "1", "--csv", tmp_path / "b.csv", "--json", tmp_path / "b.json", "--html", tmp_path / "b.html")
    assert result.returncode == 0, result.stderr
    for word in ("CPU, 1 thread", "p99", "GFLOP/s", "rounds", "docs/choosing-a-provider.md"):
        assert word in result.stdout
    assert result.stderr == "", "no progress bar without a terminal"
    report = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader((tmp_path / "b.csv").open(encoding="utf-8")))
    assert len(rows) == len(report["rows"][0]["times"]) and rows[0]["engine"] == "kapell"
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    inside = page.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(inside)["rows"][0]["label"] == "CPU, 1 thread"
    assert "src=" not in page and "href=" not in page and "@import" not in page, "the page stands alone"


@pytest.mark.full
def test_the_page_in_a_browser(kapell, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no chromium")
    page = tmp_path / "b.html"
    assert kapell("bench", DIGITS, "--seconds", "0.3", "--threads", "1,2", "--html", page).returncode == 0
    run = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.count("<svg") == 4 and run.stdout.count("<path") == 4 and "CPU, 2 threads" in run.stdout


def test_several_outputs_inputs_and_types(kapell, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "a"], ["x"]), helper.make_node("Identity", ["t"], ["u"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.INT64, ["N", 2]), helper.make_tensor_value_info("t", TensorProto.STRING, [3])],
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["N", 2]), helper.make_tensor_value_info("u", TensorProto.STRING, [3])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    np.save(tmp_path / "a.npy", np.ones((1, 2), np.int64))
    (tmp_path / "t.pb").write_bytes(helper.make_tensor("t", TensorProto.STRING, [3], ["a", "b", "c"]).SerializeToString())
    result = kapell("bench", tmp_path / "m.onnx", "--seconds", "0.2", "--json", "-", "--input", f"a={tmp_path / 'a.npy'}", "--input", f"t={tmp_path / 't.pb'}")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["rows"][0]["error"] == 0


def test_one_configuration_that_cannot_be_had_does_not_stop_the_others(kapell):
    report = measure(kapell, "--providers", "CPU", "--providers", "CUDA,CPU", code=3)
    assert report["rows"][0]["measured"] and not report["rows"][1]["measured"]
    assert "CUDA is listed and not available" in report["rows"][1]["text"]


@pytest.mark.parametrize("arguments, code, word", [
    (["--threads", "0"], 2, "--threads"),
    (["--threads", "1;2"], 2, "--threads"),
    (["--batch", "x"], 2, "--batch"),
    (["--guest", "tvm=/x"], 2, "onnxruntime=FILE"),
    (["--guest", "onnxruntime=/nowhere.so"], 2, "/nowhere.so"),
    (["--input", "image=/nowhere.png"], 2, "/nowhere.png"),
    (["--input", f"image={PICTURES}", "--batch", "99999999"], 2, "--batch"),
    (["--html", "/nowhere/b.html", "--seconds", "0.1"], 1, "/nowhere/b.html"),
])
def test_a_wrong_call(kapell, arguments, code, word):
    result = kapell("bench", DIGITS, *arguments)
    assert result.returncode == code and word in result.stderr


def test_a_guest_that_is_none(kapell, tmp_path):
    (tmp_path / "x.so").write_text("no library", encoding="utf-8")
    report = measure(kapell, "--guest", f"onnxruntime={tmp_path / 'x.so'}", code=3)
    assert report["rows"][0]["measured"] and "is no library of ONNX Runtime's" in report["rows"][1]["text"]
