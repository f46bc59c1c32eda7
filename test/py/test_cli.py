"""The command as people call it: every subcommand, every kind of input, exit codes, and messages instead of crashes."""

import json
import pathlib
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"
PICTURES = sorted((ROOT / "examples" / "digits" / "pictures").glob("*.png"))
COMMANDS = ["run", "inspect", "place", "providers", "bundle", "compare", "doctor", "bench"]

pytestmark = pytest.mark.asan_programs


def done(result):
    """The call went well."""
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(result, code, *words):
    """The call ended with this exit code and one message that has these words: no crash, no report of a sanitizer."""
    assert result.returncode == code, result.stdout + result.stderr
    for word in words:
        assert word in result.stderr
    assert "Sanitizer" not in result.stderr and "runtime error" not in result.stderr
    assert len(result.stderr.splitlines()) < 25


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """y = 2 x + 1 for x float32[N,3], and t = an int64 passed through."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["d"], name="double"), helper.make_node("Add", ["d", "one"], ["y"], name="increment"),
         helper.make_node("Identity", ["n"], ["m"], name="hand on")],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3]), helper.make_tensor_value_info("n", TensorProto.INT64, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3]), helper.make_tensor_value_info("m", TensorProto.INT64, [2])],
        [numpy_helper.from_array(np.float32(2), "two"), numpy_helper.from_array(np.float32(1), "one")])
    path = tmp_path_factory.mktemp("linear") / "linear.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


X = np.array([[1, -2, 3.5], [0, 100, 1e-3]], np.float32)
N = np.array([7, -8], np.int64)


@pytest.fixture
def files(tmp_path):
    """x and n in every kind of file, with the text that --input takes."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "turned.npy", np.asfortranarray(X))
    np.save(tmp_path / "n.npy", N)
    np.savez(tmp_path / "both.npz", x=X, n=N)
    np.savez_compressed(tmp_path / "small.npz", first=X)
    (tmp_path / "x.pb").write_bytes(numpy_helper.from_array(X, "x").SerializeToString())
    return tmp_path


# --- calls -----------------------------------------------------------------------------------------------------------------
def test_without_arguments_it_says_what_it_can_do(kapell):
    refused(kapell(), 2, *[f"kapell {c}" for c in COMMANDS])


def test_help_and_version(kapell):
    assert all(f"kapell {c}" in done(kapell("--help")) for c in COMMANDS)
    assert re.search(r"\d+\.\d+\.\d+", done(kapell("--version")))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_subcommand_has_examples_that_exist(kapell, command):
    text = done(kapell(command, "--help"))
    assert "Examples:" in text
    for path in re.findall(r"examples/[\w./-]+\.(?:onnx|png)", text):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("arguments, words", [
    (["nonsense"], ["nonsense"]),
    (["run"], ["MODEL"]),
    (["inspect"], ["MODEL"]),
    (["place"], ["MODEL"]),
    (["run", DIGITS, "--nonsense"], ["--nonsense"]),
    (["run", DIGITS, "--input"], ["--input"]),
    (["run", DIGITS], ["'image'"]),
    (["run", DIGITS, "--input", "image"], ["image"]),
    (["run", DIGITS, "--input", "picture=random"], ["picture", "image"]),
    (["run", DIGITS, "--input", "image=/nowhere.npy"], ["/nowhere.npy"]),
    (["run", DIGITS, "--input", "image=file.xyz"], ["file.xyz"]),
    (["run", DIGITS, "--input", "image=random:x"], ["random:x"]),
    (["run", DIGITS, "--input", "image=random", "--threads", "many"], ["many"]),
    (["run", DIGITS, "--input", "image=random", "--output", "nothing=/tmp/x.npy"], ["nothing"]),
    (["run", DIGITS, "--input", "image=random", "--dim", "N=x"], ["N=x"]),
    (["run", DIGITS, "--input", "image=random:"], ["random:"]),
    (["inspect", DIGITS, "second.onnx"], ["second.onnx"]),
    (["inspect", DIGITS, "--threads", "257"], ["257"]),
    (["doctor", "MODEL"], ["MODEL"]),
    (["doctor", "--library", "/nowhere.so"], ["/nowhere.so"]),
    (["place", DIGITS, "--option", "nonsense"], ["nonsense", "NAME.KEY=VALUE"]),
], ids=lambda value: " ".join(map(str, value)).replace(str(ROOT), "") if isinstance(value, list) else None)
def test_a_wrong_call(kapell, arguments, words):
    refused(kapell(*arguments), 2, *words)


@pytest.mark.parametrize("command", ["run", "inspect", "place"])
def test_a_model_that_cannot_be_opened(kapell, command, tmp_path):
    more = ["--input", "image=random"] if command == "run" else []
    refused(kapell(command, "/nowhere.onnx", *more), 3, "/nowhere.onnx")
    refused(kapell(command, tmp_path, *more), 3, str(tmp_path))
    for name, content in {"empty": b"", "text": b"hello, world\n", "page": b"<!DOCTYPE html><html></html>",
                          "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
                          "cut": DIGITS.read_bytes()[:1000], "zeros": bytes(4096), "noise": np.random.default_rng(1).bytes(5000)}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        refused(kapell(command, path, *more), 3, f"{name}.onnx")


@pytest.mark.parametrize("command", ["run", "inspect", "place"])
@pytest.mark.parametrize("providers, word", [("NoSuch,CPU", "NoSuch"), ("CUDA,CPU", "CUDA"), ("CPU;;nonsense=1", "nonsense"), (",,", ",")])
def test_providers_that_are_not_there(kapell, command, providers, word):
    more = ["--input", "image=random"] if command == "run" else []
    refused(kapell(command, DIGITS, "--providers", providers, *more), 3, word)


def test_an_optional_provider_is_only_a_warning(kapell):
    result = kapell("run", DIGITS, "--input", "image=random", "--providers", "CUDA?,CPU")
    done(result)
    assert "CUDA" in result.stderr


# --- run -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("x", ["x.npy", "turned.npy", "both.npz", "both.npz:x", "small.npz:first", "x.pb"])
def test_every_kind_of_input_file(kapell, linear, files, x):
    out = files / "y.npy"
    done(kapell("run", linear, "--input", f"x={files / x}", "--input", f"n={files / 'n.npy'}", "--output", f"y={out}"))
    np.testing.assert_array_equal(np.load(out), X * 2 + 1)


@pytest.mark.parametrize("kind", ["npy", "pb"])
def test_outputs_are_saved_and_compared(kapell, linear, files, kind):
    inputs = ["--input", f"x={files / 'x.npy'}", "--input", f"n={files / 'n.npy'}"]
    y, m = files / f"y.{kind}", files / f"m.{kind}"
    done(kapell("run", linear, *inputs, "--output", f"y={y}", "--output", f"m={m}"))
    if kind == "pb":
        tensor = TensorProto.FromString(m.read_bytes())
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), N)
    else:
        assert np.load(m).dtype == np.int64
    done(kapell("run", linear, *inputs, "--expect", f"y={y}", "--expect", f"m={m}", "--atol", "0", "--rtol", "0"))
    np.save(files / "wrong.npy", X * 2 + 1.5)
    result = kapell("run", linear, *inputs, "--expect", f"y={files / 'wrong.npy'}")
    assert result.returncode == 1
    assert "y" in result.stdout + result.stderr
    np.save(files / "shape.npy", (X * 2 + 1)[:1])
    assert kapell("run", linear, *inputs, "--expect", f"y={files / 'shape.npy'}").returncode == 1
    done(kapell("run", linear, *inputs, "--expect", f"y={files / 'wrong.npy'}", "--atol", "1"))


def test_wrong_inputs_name_the_input(kapell, linear, files):
    np.save(files / "wide.npy", np.zeros((2, 4), np.float32))
    np.save(files / "whole.npy", np.zeros((2, 3), np.int64))
    for name in ("wide.npy", "whole.npy"):
        refused(kapell("run", linear, "--input", f"x={files / name}", "--input", f"n={files / 'n.npy'}"), 1, "'x'", "float32[N,3]")


@pytest.mark.parametrize("name, content", {
    "empty.npy": b"", "cut.npy": None, "noise.npy": b"\x93NUMPY\x01\x00\xff\xffnonsense", "object.npy": None, "text.npz": b"PK\x03\x04nonsense",
    "noise.pb": b"\xff\xff\xff", "text.png": b"no picture", "cut.png": None, "text.jpg": b"\xff\xd8\xff\xe0nonsense",
}.items(), ids=str)
def test_files_that_are_broken(kapell, tmp_path, name, content):
    path = tmp_path / name
    if name == "cut.npy":
        np.save(path, np.zeros((1, 1, 8, 8), np.float32))
        content = path.read_bytes()[:150]
    elif name == "object.npy":
        np.save(path, np.array([{}], object), allow_pickle=True)
        content = path.read_bytes()
    elif name == "cut.png":
        content = PICTURES[0].read_bytes()[:60]
    path.write_bytes(content)
    refused(kapell("run", DIGITS, "--input", f"image={path}"), 2, name)


def test_random_inputs_depend_on_the_seed_alone(kapell, tmp_path):
    def probabilities(seed, *more):
        out = tmp_path / "p.npy"
        done(kapell("run", DIGITS, "--input", f"image=random:{seed}", "--output", f"probabilities={out}", *more))
        return np.load(out)

    np.testing.assert_array_equal(probabilities(1), probabilities(1))
    assert np.abs(probabilities(1) - probabilities(2)).max() > 0
    assert probabilities(3, "--dim", "N=5").shape == (5, 10)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_pictures_are_recognised(kapell, picture):
    text = done(kapell("run", DIGITS, "--input", f"image={picture}", "--labels", "--time"))
    numbers = re.findall(r"(\d)\D+?(\d+(?:\.\d+)?) ?%", text.replace(picture.name, ""))
    assert numbers and numbers[0][0] == picture.name[0], text


def test_several_pictures_in_one_call(kapell):
    inputs = [argument for p in PICTURES[:3] for argument in ("--input", f"image={p}")]
    text = done(kapell("run", DIGITS, *inputs, "--labels"))
    assert all(p.name in text for p in PICTURES[:3])


def test_jpeg_as_an_input(kapell, tmp_path):
    path = tmp_path / f"{PICTURES[0].stem}.jpg"
    Image.open(PICTURES[0]).convert("L").save(path, quality=95)
    result = kapell("run", DIGITS, "--input", f"image={path}", "--output", f"probabilities={tmp_path / 'p.npy'}")
    if "without libjpeg" in result.stderr:
        pytest.skip("built without libjpeg")
    done(result)
    assert np.load(tmp_path / "p.npy").argmax() == int(path.name[0])


def test_profile_is_a_trace(kapell, tmp_path):
    path = tmp_path / "trace.json"
    done(kapell("run", DIGITS, "--input", "image=random", "--profile", path))
    events = json.loads(path.read_text())["traceEvents"]
    assert {"conv1", "dense"} <= {node for e in events for node in e["args"].get("nodes", [])}


# --- inspect, place, providers -----------------------------------------------------------------------------------------------
def test_inspect_lists_inputs_outputs_and_metadata(kapell):
    text = done(kapell("inspect", DIGITS))
    for word in ("float32[N,1,8,8]", "float32[N,10]", "labels", "Conv", "accuracy"):
        assert word in text
    assert "of FLOPs" not in done(kapell("inspect", DIGITS, "--no-ops"))


def test_place_as_json_names_every_node(kapell, linear):
    for path in (DIGITS, linear):
        report = json.loads(done(kapell("place", path, "--json", "--providers", "CUDA?,CPU")))
        assert [n["name"] for n in report["nodes"]] == [n.name for n in onnx.load(path).graph.node]
        assert all(n["how"] in ("run", "folded", "removed", "executor") for n in report["nodes"])
        assert [p["asked"] for p in report["providers"]][0] == "CUDA?"
        assert report["providers"][0]["reason"]


def test_place_as_text_counts_nodes(kapell):
    assert "11 of 11 nodes" in done(kapell("place", DIGITS))


def test_providers_say_what_is_missing(kapell):
    text = done(kapell("providers"))
    assert re.search(r"^CPU +available", text, re.M)
    assert re.search(r"^CUDA +not here", text, re.M) and "to fix it" in text
