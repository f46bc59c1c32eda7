"""Bug reports: bundles without the weights, dumps of every value of a run, and the comparison that names the node that departs."""

import csv
import io
import re
import tarfile

import numpy as np
import onnx
import onnxruntime
import pytest
from models import SMALL
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.asan_slice


def done(result):
    """The call went well."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(result, code, *words):
    """The call ended with this exit code, and these words are on standard error."""
    assert result.returncode == code, result.stdout + result.stderr
    for word in words:
        assert word in result.stderr


def make(name, folder):
    """The small model |name| in a file, and the options that give its inputs."""
    builder, feeds = SMALL[name]
    model, values = builder(), feeds()
    model.doc_string = "a secret doc"
    model.metadata_props.add(key="owner", value="a secret owner")
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    options = []
    for key, value in values.items():
        np.save(folder / f"{name}_{key}.npy", value)
        options += ["--input", f"{key}={folder / f'{name}_{key}.npy'}"]
    return path, values, options


def unpack(path):
    """The files of a bundle: name -> bytes."""
    with tarfile.open(path) as tar:
        return {m.name.removeprefix("bundle/"): tar.extractfile(m).read() for m in tar.getmembers()}


def tensors(model):
    """Initializers and tensors of Constant nodes: name -> array."""
    found = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        found.update({node.output[0]: numpy_helper.to_array(a.t) for a in node.attribute if a.type == onnx.AttributeProto.TENSOR})
    return found


def index(folder):
    """The lines of a dump's index."""
    return list(csv.DictReader(io.StringIO((folder / "index.tsv").read_text()), delimiter="\t", quoting=csv.QUOTE_NONE))


# --- bundles ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["resnet", "bert"])
def test_a_bundle_has_the_graph_and_not_the_weights(kapell, tmp_path, name):
    path, _, options = make(name, tmp_path)
    said = done(kapell("bundle", path, "-o", tmp_path / "b.tar", "--dim", "batch=2", "--dim", "sequence=9", "--runs", 2))
    assert "opens and runs" in said and "Not in it" in said
    files = unpack(tmp_path / "b.tar")
    assert set(files) == {"model.onnx", "README.txt", "options.txt", "environment.txt", "placement.txt", "placement.json", "timings.txt"}
    whole = b"".join(files.values())
    assert b"secret" not in whole and str(tmp_path).encode() not in whole
    assert b"--dim batch=2" in files["options.txt"] and files["timings.txt"].count(b"run: ") == 3
    ours, theirs = onnx.load(path), onnx.load_from_string(files["model.onnx"])
    onnx.checker.check_model(theirs)
    assert [n.op_type for n in ours.graph.node] == [n.op_type for n in theirs.graph.node]
    old, new = tensors(ours), tensors(theirs)
    assert old.keys() == new.keys()
    for key, a in old.items():
        b = new[key]
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a == 0, b == 0)
        if a.dtype.kind == "i" or a.size == 1:
            np.testing.assert_array_equal(a, b)
        elif len(np.unique(a[a != 0])) > 1:
            assert a.tobytes()[:16] not in whole and a.tobytes()[-16:] not in whole
            assert b.min() >= a.min() and b.max() <= a.max()
    (tmp_path / "m.onnx").write_bytes(files["model.onnx"])
    done(kapell("run", tmp_path / "m.onnx", *options))


def test_a_bundle_replaces_no_file_unless_told(kapell, tmp_path):
    path, _, _ = make("resnet", tmp_path)
    (tmp_path / "b.tar").write_text("mine")
    refused(kapell("bundle", path, "-o", tmp_path / "b.tar"), 2, "--force")
    assert (tmp_path / "b.tar").read_text() == "mine"
    done(kapell("bundle", path, "-o", tmp_path / "b.tar", "--force", "--keep-metadata"))
    assert "a secret owner" in str(onnx.load_from_string(unpack(tmp_path / "b.tar")["model.onnx"]))
    refused(kapell("bundle", path), 2, "-o FILE")
    refused(kapell("bundle", tmp_path / "none.onnx", "-o", tmp_path / "c.tar"), 3)
    assert not (tmp_path / "c.tar").exists()


def synthesise(kapell, model, tmp_path, **save):
    """The model of a bundle of |model|."""
    onnx.save(model, tmp_path / "model.onnx", **save)
    done(kapell("bundle", tmp_path / "model.onnx", "-o", tmp_path / "b.tar", "--force", "--runs", 0))
    return onnx.load_from_string(unpack(tmp_path / "b.tar")["model.onnx"])


def test_every_type_of_weight_and_external_data(kapell, tmp_path):
    """Elements are drawn within their bounds, never zero where they were not; what may be an index stays."""
    rng = np.random.default_rng(5)
    kinds = [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE, TensorProto.INT8, TensorProto.UINT8,
             TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT8E4M3FN, TensorProto.INT32, TensorProto.INT64]
    arrays = [(rng.integers(-7, 8, 400) if "U" not in TensorProto.DataType.Name(k) else rng.integers(0, 15, 400)) for k in kinds]
    weights = [numpy_helper.from_array(a.astype(helper.tensor_dtype_to_np_dtype(k)), f"w{k}") for a, k in zip(arrays, kinds, strict=True)]
    weights.append(numpy_helper.from_array(np.arange(400, dtype=np.int32), "indices"))
    graph = helper.make_graph([helper.make_node("Shape", [w.name], [f"s_{w.name}"]) for w in weights], "types", [],
                              [helper.make_tensor_value_info(f"s_{w.name}", TensorProto.INT64, [1]) for w in weights], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    old = tensors(model)
    result = synthesise(kapell, model, tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert all(t.data_location == TensorProto.DEFAULT for t in result.graph.initializer)
    for name, new in tensors(result).items():
        a, b = old[name].astype(np.float64), new.astype(np.float64)
        np.testing.assert_array_equal(a == 0, b == 0)
        assert b.min() >= a.min() and b.max() <= a.max()
        assert np.array_equal(a, b) == (name in ("indices", f"w{TensorProto.INT64}"))


def test_texts_become_letters_and_resize_keeps_its_scales(kapell, tmp_path):
    names = helper.make_tensor("names", TensorProto.STRING, [3], [b"anna", b"bo", b"anna"])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["names"], ["n"]), helper.make_node("Resize", ["x", "", "scales"], ["y"])], "texts",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("n", TensorProto.STRING, [3]), helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [names, numpy_helper.from_array(np.float32([1, 1, 2, 1.5]), "scales")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    found = tensors(synthesise(kapell, model, tmp_path))
    a, b, c = found["names"]
    assert a == c and [len(t) for t in (a, b)] == [4, 2] and re.fullmatch("[a-z]{6}", a + b) and (a, b) != ("anna", "bo")
    np.testing.assert_array_equal(found["scales"], [1, 1, 2, 1.5])


def test_a_model_that_does_not_open_is_bundled_with_the_reason(kapell, tmp_path):
    graph = helper.make_graph([helper.make_node("Riddle", ["x"], ["y"], domain="nobody.knows")], "riddle",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nobody.knows", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "riddle.onnx")
    assert "did not run" in done(kapell("bundle", tmp_path / "riddle.onnx", "-o", tmp_path / "b.tar"))
    files = unpack(tmp_path / "b.tar")
    assert str(tmp_path).encode() not in b"".join(files.values())
    assert b"Riddle" in files["timings.txt"] and b"Riddle" in files["placement.txt"]


# --- dumps -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["resnet", "bert"])
def test_a_dump_has_the_values_that_onnx_runtime_computes(kapell, tmp_path, name):
    path, feeds, options = make(name, tmp_path)
    said = done(kapell("run", path, *options, "--dump", tmp_path / "dump"))
    assert "without rewrites and fusions" in said
    model = onnx.load(path)
    made = [o for n in model.graph.node if n.op_type != "Constant" for o in n.output if o]
    lines = index(tmp_path / "dump")
    assert [line["value"] for line in lines] == [*feeds, *made]
    known = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=o) for o in made if o not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = dict(zip(made, session.run(made, feeds), strict=True)) | feeds
    for line in lines:
        value, want = np.load(tmp_path / "dump" / line["file"]), expected[line["value"]]
        assert value.dtype == want.dtype and value.shape == want.shape and str(list(value.shape)).replace(" ", "") in line["type"]
        np.testing.assert_allclose(value, want, rtol=1e-3, atol=1e-4 * max(1e-3, np.abs(want).max(initial=0)))
    by_name = {o: n for n in model.graph.node for o in n.output}
    assert all(line["op"] == by_name[line["value"]].op_type for line in lines if line["value"] in by_name)


def test_names_are_made_safe_and_a_full_folder_is_refused(kapell, tmp_path):
    graph = helper.make_graph([helper.make_node("Neg", ["a/../x"], ["b/\té:*"], name="n\t1"), helper.make_node("Abs", ["b/\té:*"], ["b_/"]),
                               helper.make_node("Cast", ["b_/"], ["half"], to=TensorProto.BFLOAT16)], "names",
                              [helper.make_tensor_value_info("a/../x", TensorProto.FLOAT, [2])],
                              [helper.make_tensor_value_info("half", TensorProto.BFLOAT16, [2])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "names.onnx")
    call = ("run", tmp_path / "names.onnx", "--input", "a/../x=random:1", "--dump", tmp_path / "d")
    done(kapell(*call))
    lines = index(tmp_path / "d")
    assert {line["file"] for line in lines} | {"index.tsv"} == {p.name for p in (tmp_path / "d").iterdir()}
    assert all(re.fullmatch(r"\d{5}_[A-Za-z0-9_.-]*\.(npy|pb)", line["file"]) for line in lines)
    assert lines[1]["node"] == r"n\x091" and lines[1]["value"] == "b/\\x09é:*" and lines[3]["type"] == "bfloat16[2]"
    assert "4 values agree" in done(kapell("compare", tmp_path / "d", tmp_path / "d"))
    refused(kapell(*call), 2, "new or empty")


# --- comparisons -----------------------------------------------------------------------------------------------------------
def test_compare_names_the_node_whose_weight_was_changed(kapell, tmp_path):
    path, _, options = make("resnet", tmp_path)
    done(kapell("run", path, *options, "--dump", tmp_path / "a"))
    done(kapell("run", path, *options, "--dump", tmp_path / "same", "--cpu-mask", "scalar"))
    model = onnx.load(path)
    convs = [n for n in model.graph.node if n.op_type == "Conv"]
    node = convs[len(convs) // 2]
    weight = next(t for t in model.graph.initializer if t.name == node.input[1])
    array = numpy_helper.to_array(weight).copy()
    array.flat[3] += 1
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    onnx.save(model, tmp_path / "changed.onnx")
    done(kapell("run", tmp_path / "changed.onnx", *options, "--dump", tmp_path / "b"))
    assert "values agree" in done(kapell("compare", tmp_path / "a", tmp_path / "same", "--rtol", "1e-3", "--atol", "1e-4"))
    result = kapell("compare", tmp_path / "a", tmp_path / "b", "--rtol", "1e-3", "--atol", "1e-4")
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"first departure: node '{node.name}' (Conv), value '{node.output[0]}'" in result.stdout
    assert re.search(r"largest difference \S+ at element \d+", result.stdout) and re.search(r"\d+ of \d+ values depart", result.stdout)


def test_compare_knows_nan_infinity_and_missing_values(kapell, tmp_path):
    def folder(name, *arrays):
        (tmp_path / name).mkdir()
        lines = ["file\tkind\tnode\top\tvalue\ttype"]
        for i, array in enumerate(arrays):
            np.save(tmp_path / name / f"{i}.npy", array)
            lines.append(f"{i}.npy\ttensor\tn{i}\tOp\tv{i}\tfloat32{list(array.shape)}")
        (tmp_path / name / "index.tsv").write_text("\n".join(lines) + "\n")
        return tmp_path / name

    a = folder("a", np.float32([np.nan, np.inf, 1]), np.float32([1, 2]))
    assert "2 values agree" in done(kapell("compare", a, folder("same", np.float32([np.nan, np.inf, 1]), np.float32([1, 2]))))
    assert kapell("compare", a, folder("nan", np.float32([0, np.inf, 1]), np.float32([1, 2]))).returncode == 1
    assert kapell("compare", a, folder("inf", np.float32([np.nan, -np.inf, 1]), np.float32([1, 2]))).returncode == 1
    assert kapell("compare", folder("zero", np.float32([np.nan, 5, 1]), np.float32([1, 2])), a).returncode == 1
    shape = kapell("compare", a, folder("shape", np.float32([np.nan, np.inf, 1]), np.float32([[1, 2]])))
    assert shape.returncode == 1 and "node 'n1'" in shape.stdout and "float32[1, 2]" in shape.stdout
    short = kapell("compare", a, folder("short", np.float32([np.nan, np.inf, 1])))
    assert short.returncode == 1 and "1 are only in" in short.stdout


def test_compare_refuses_what_is_no_dump(kapell, tmp_path):
    refused(kapell("compare", tmp_path), 2, "DIR_A DIR_B")
    refused(kapell("compare", tmp_path, tmp_path, tmp_path), 2, "too many")
    refused(kapell("compare", tmp_path, tmp_path), 2, "index.tsv")
    for text in ("", "nonsense\n", "file\tkind\tnode\top\tvalue\ttype\na\tb\n", "file\tkind\tnode\top\tvalue\ttype\n../x\t\t\t\t\t\n"):
        (tmp_path / "index.tsv").write_text(text)
        refused(kapell("compare", tmp_path, tmp_path), 2, "index.tsv:")
