"""Models in ONNX Runtime's own format (.ort), as its Python package converts them: the same outputs as from the .onnx, through kapell.h, the
command and libonnxruntime.so.1. Field by field: test_onnx_reader.py; hostile ones: hostile/ort_format.py."""

import json
import pathlib
import subprocess
import sys

import kapell_c
import models
import numpy as np
import onnx
import onnxruntime as ort
import ort_flat
import pytest
from models import reduced
from onnx import TensorProto, helper, numpy_helper

LEVELS = {"basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL}
F, I64, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL


def convert(model, path, level, nchwc=False):
    """Writes ModelProto |model| to |path| in the format, optimized as onnxruntime.tools.convert_onnx_models_to_ort does it."""
    options = ort.SessionOptions()
    options.graph_optimization_level, options.optimized_model_filepath, options.log_severity_level = LEVELS[level], str(path), 3
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"],
                         disabled_optimizers=None if nchwc else ["NchwcTransformer"])
    assert path.read_bytes()[4:8] == b"ORTM"


def make(nodes, inputs, outputs, constants=(), **more):
    infos = [[helper.make_tensor_value_info(name, kind, dims) for name, kind, dims in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *infos, [numpy_helper.from_array(v, k) for k, v in constants.items()] if constants else [], **more)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])


# --- small models of what the format stores apart ------------------------------------------------------------------------------------
def control():
    """If in a Loop, with values of outside, a sequence and a loop that scans."""
    node = helper.make_node
    then = helper.make_graph([node("Add", ["v", "w"], ["t"])], "then", [], [helper.make_tensor_value_info("t", F, [2])])
    other = helper.make_graph([node("Mul", ["v", "v"], ["e"])], "else", [], [helper.make_tensor_value_info("e", F, [2])])
    body = helper.make_graph([node("Greater", ["i", "one"], ["late"]), node("If", ["late"], ["n"], then_branch=then, else_branch=other),
                              node("Identity", ["c"], ["c2"]), node("SequenceInsert", ["s", "n"], ["s2"])], "body",
                             [helper.make_tensor_value_info("i", I64, []), helper.make_tensor_value_info("c", BOOL, []),
                              helper.make_tensor_value_info("v", F, [2]), helper.make_tensor_sequence_value_info("s", F, None)],
                             [helper.make_tensor_value_info("c2", BOOL, []), helper.make_tensor_value_info("n", F, [2]),
                              helper.make_tensor_sequence_value_info("s2", F, None)])
    model = make([node("SequenceEmpty", [], ["s0"]), node("Loop", ["trips", "", "x", "s0"], ["y", "s1"], body=body),
                  node("ConcatFromSequence", ["s1"], ["all"], axis=0)],
                 [("x", F, [2]), ("trips", I64, [])], [("y", F, [2]), ("all", F, None)], {"w": np.float32([1, 2]), "one": np.int64(1)})
    return model, {"x": np.float32([3, -1]), "trips": np.int64(4)}


def strings():
    model = make([helper.make_node("Concat", ["x", "more"], ["c"], axis=0),
                  helper.make_node("LabelEncoder", ["c"], ["n"], domain="ai.onnx.ml", keys_strings=["ä", ""], values_int64s=[1, 2], default_int64=-1),
                  helper.make_node("LabelEncoder", ["c"], ["y"], domain="ai.onnx.ml", keys_strings=["a"], values_strings=["été"], default_string="none")],
                 [("x", STRING, ["N"])], [("n", I64, None), ("y", STRING, None)], {"more": np.array(["ä", "", "tail"], object)})
    return model, {"x": np.array(["a", "bc", ""], object)}


def maps():
    """A map as an output: TypeInfo with map and sequence."""
    model = make([helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_strings=["a", "b"])], [("x", F, ["N", 2])], [])
    model.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(
        helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(F, [])))))
    return model, {"x": np.float32([[1, 2], [3, 4]])}


def sparse():
    weights = helper.make_sparse_tensor(numpy_helper.from_array(np.float32([1, 2, 3]), "w"), numpy_helper.from_array(np.int64([0, 5, 11]), "w_i"), [3, 4])
    model = make([helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Constant", [], ["k"], sparse_value=weights),
                  helper.make_node("MatMul", ["x", "k"], ["o"]), helper.make_node("Add", ["m", "o"], ["y"])],
                 [("x", F, ["N", 3])], [("y", F, ["N", 4])], sparse_initializer=[weights])
    return model, {"x": np.float32([[1, 2, 3], [-1, 0, 1]])}


def types():
    """Initializers of many types, 4 bits among them, and empty ones."""
    rng = np.random.default_rng(3)
    arrays = {f"c{i}": rng.integers(0, 2, (3, 5)).astype(t) for i, t in enumerate(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?"])}
    arrays["none"] = np.zeros((0, 5), "f4")
    nodes = [helper.make_node("Cast", [name], [name + "f"], to=F) for name in arrays]
    nodes.append(helper.make_node("Concat", ["x", *[name + "f" for name in arrays]], ["y"], axis=0))
    return make(nodes, [("x", F, [1, 5])], [("y", F, None)], arrays), {"x": np.float32([[1, 2, 3, 4, 5]])}


def digits(root):
    return onnx.load(root / "examples/digits/digits.onnx"), {"image": np.random.default_rng(0).random((3, 1, 8, 8), np.float32)}


SMALL_FORMS = {"control": control, "strings": strings, "maps": maps, "sparse": sparse, "types": types}
QUICK = ["mobilenet_v3", "bert", "llama_cache"]
QUANTIZED = {"qdq": reduced.qdq, "qlinear": reduced.qlinear, "dynamic": reduced.dynamic, "4 bit": reduced.four_bit, "float16": reduced.float16}


def assert_same(got, want, close):
    assert len(got) == len(want)
    for mine, theirs in zip(got, want):
        if isinstance(mine, list):
            assert_same(mine, theirs, close)
        elif isinstance(mine, dict) or mine.dtype.kind == "O":
            assert np.all(mine == theirs)
        else:
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(mine, theirs, rtol=close, atol=close * max(1, np.abs(theirs).max(initial=0)))


def check(model, feeds, path, level, close=1e-5):
    """The .ort gives what the .onnx gives, from the file and from bytes."""
    convert(model, path, level)
    want = kapell_c.Session(model.SerializeToString()).run(feeds)
    assert_same(kapell_c.Session(path).run(feeds), want, close)
    assert_same(kapell_c.Session(path.read_bytes()).run(feeds), want, close)


@pytest.mark.asan_slice
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", SMALL_FORMS)
def test_forms(name, level, tmp_path):
    check(*SMALL_FORMS[name](), tmp_path / "model.ort", level)


@pytest.mark.parametrize("level", LEVELS)
def test_digits(root, level, tmp_path):
    check(*digits(root), tmp_path / "model.ort", level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.full) for n in models.SMALL])
def test_architectures(name, level, tmp_path):
    build, feeds = models.SMALL[name]
    check(build(), feeds(), tmp_path / "model.ort", level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "form"), [("resnet", f) for f in QUANTIZED if f != "4 bit"] + [("bert", f) for f in QUANTIZED if f != "qlinear"])
@pytest.mark.full
def test_reduced(name, form, level, tmp_path):
    """Against the float model: which roundings are left out is the optimizer's choice."""
    build, make_feeds = models.SMALL[name]
    model, path = build(), tmp_path / "model.ort"
    less = QUANTIZED[form](model, [make_feeds(seed=s) for s in range(4)])
    convert(less, path, level)
    theirs = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    ours, plain, feeds = kapell_c.Session(path), kapell_c.Session(model.SerializeToString()), make_feeds()
    for mine, their, want in zip(ours.run(feeds), theirs.run(None, feeds), plain.run(feeds)):
        scale = np.sqrt(np.mean(np.square(want.astype(np.float64))))
        far = [np.sqrt(np.mean(np.square(a.astype(np.float64) - want))) / scale for a in (mine, their)]
        assert far[0] <= 1.2 * far[1] + 1e-3, f"{far[0]:.2e} from the float model, ONNX Runtime {far[1]:.2e}"


# --- libonnxruntime.so.1 beside ONNX Runtime's own --------------------------------------------------------------------------------------
# Where ours opens what ONNX Runtime refuses: it goes by the ending of a path, ours by the bytes.
READ_HERE = {"path without the ending", "onnx by the ending"}


def test_dropin(build_dir, preset, root, tmp_path):
    if preset != "release":
        pytest.skip("Python loads a sanitizer's library only when that is preloaded; the other tests read such models under it")
    model = digits(root)[0]
    (tmp_path / "digits.onnx").write_bytes(model.SerializeToString())
    convert(model, tmp_path / "digits.ort", "basic")
    libraries = [build_dir / "lib/libonnxruntime.so.1", next(pathlib.Path(ort.__file__).parent.glob("capi/libonnxruntime.so.*"))]
    done = [subprocess.run([sys.executable, str(root / "test/py/ort_format_run.py"), str(x), str(tmp_path)], capture_output=True, text=True, timeout=120, check=False) for x in libraries]
    ours, real = (json.loads(d.stdout) if d.returncode == 0 else pytest.fail(d.stderr[-2000:]) for d in done)
    for name, theirs in real.items():
        if name in READ_HERE:
            assert isinstance(theirs, int), f"{name}: ONNX Runtime opens it too"
            theirs = real["path"]
        if isinstance(theirs, list) and isinstance(ours[name], list):
            np.testing.assert_allclose(ours[name], theirs, atol=1e-5, err_msg=name)
        else:
            assert ours[name] == theirs, name


# --- the command -------------------------------------------------------------------------------------------------------------------------
@pytest.mark.asan_programs
def test_command(kapell, root, tmp_path):
    """What a file in the format is, a bundle of it, and what stands where a processor's layout is in it."""
    model, path, blocked, optimized = digits(root)[0], tmp_path / "digits.ort", tmp_path / "blocked.ort", tmp_path / "bundle.tar"
    path.write_bytes(ort_flat.encode(model))
    seen = kapell("inspect", path)
    assert seen.returncode == 0, seen.stderr
    assert "metadata  kapell:ort_format: 6\n" in seen.stdout
    assert "kapell:ort_format" not in kapell("inspect", root / "examples/digits/digits.onnx").stdout
    done = kapell("bundle", path, "-o", optimized)
    assert done.returncode == 0, done.stderr
    assert "opens and runs" in done.stdout
    node = helper.make_node("Conv", ["image", "w"], ["probabilities"], "first", domain="com.microsoft.nchwc")
    del model.graph.node[:]
    model.graph.node.append(node)
    model.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((8, 1, 3, 3), np.float32), "w"))
    blocked.write_bytes(ort_flat.encode(model))
    done = kapell("inspect", blocked)
    assert done.returncode == 3
    assert "com.microsoft.nchwc:Conv" in done.stderr
    assert "save it again at ORT_ENABLE_EXTENDED" in done.stderr
