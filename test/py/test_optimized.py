"""SetOptimizedModelFilePath: the file that is written is a model, as the onnx package sees it, and ONNX Runtime gets from it what it gets from the
model as it came."""

import ctypes
import pathlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import backend_cases
import ort_c

F = TensorProto.FLOAT
# They give Range one element in a dimension, which its schema does not allow; folding makes that known.
UNKNOWN_BEFORE = {"test_affine_grid_2d_expanded", "test_affine_grid_2d_align_corners_expanded"}


@pytest.fixture(scope="module")
def optimise(build_dir, preset):
    """Opens a model through the C API with the path set; gives the file's bytes."""
    if preset != "release":
        pytest.skip("Python loads a sanitizer's library only when that is preloaded; src/graph/export_test.c runs under it")
    api = ort_c.Api(build_dir / "lib" / "libonnxruntime.so.1")
    env = api.make("CreateEnv", 3, b"test")

    def run(model, path):
        options = api.make("CreateSessionOptions")
        api.SetOptimizedModelFilePath(options, str(path).encode())
        try:
            session = api.make("CreateSessionFromArray", env, model, ctypes.c_size_t(len(model)), options)
        finally:
            api.ReleaseSessionOptions(options)
        api.ReleaseSession(session)
        return pathlib.Path(path).read_bytes()

    return run


def test_constants_are_folded_and_idle_nodes_gone(optimise, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["a"]), helper.make_node("Add", ["w", "w"], ["v"]), helper.make_node("Mul", ["a", "v"], ["b"]),
         helper.make_node("Dropout", ["b"], ["y"])],
        "g", [helper.make_tensor_value_info("x", F, ["N", 2])], [helper.make_tensor_value_info("y", F, ["N", 2])], [numpy_helper.from_array(np.float32([1, 2]), "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.metadata_props.add(key="who", value="me")
    made = onnx.load_from_string(optimise(model.SerializeToString(), tmp_path / "m.onnx"))
    onnx.checker.check_model(made, full_check=True)
    assert [node.op_type for node in made.graph.node] == ["Mul"]
    assert numpy_helper.to_array(made.graph.initializer[0]).tolist() == [2, 4]
    assert made.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N" and made.metadata_props[0].value == "me"
    assert [v.name for v in made.graph.output] == ["y"]


def test_bodies_read_what_is_around_them(optimise, tmp_path):
    """Both branches and a loop use the outer x and have values of the same names as outside."""
    def branch(op):
        return helper.make_graph([helper.make_node(op, ["x"], ["a"]), helper.make_node("Add", ["a", "x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", F, [2])])
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Add", ["s", "x"], ["t"])], "l",
                             [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", TensorProto.BOOL, []), helper.make_tensor_value_info("s", F, [2])],
                             [helper.make_tensor_value_info("d", TensorProto.BOOL, []), helper.make_tensor_value_info("t", F, [2])])
    graph = helper.make_graph(
        [helper.make_node("If", ["k"], ["a"], then_branch=branch("Neg"), else_branch=branch("Exp")), helper.make_node("Loop", ["n", "", "a"], ["y"], body=body)],
        "g", [helper.make_tensor_value_info("x", F, [2]), helper.make_tensor_value_info("k", TensorProto.BOOL, []), helper.make_tensor_value_info("n", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("y", F, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    made = optimise(model, tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    for k in (True, False):
        feeds = {"x": np.float32([1, 2]), "k": np.array(k), "n": np.array(3)}
        want, got = (onnxruntime.InferenceSession(m).run(None, feeds)[0] for m in (model, made))
        np.testing.assert_allclose(got, want, rtol=1e-6)


def compare(case, optimise, folder):
    """None where the file does what the model does, else what is wrong; "" where ONNX Runtime does not run the model."""
    model, sets = case.load()
    model = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    inputs = [v for v in sets[0][0] if v is not None]
    try:
        session = onnxruntime.InferenceSession(model, options)
        names = [i.name for i in session.get_inputs()]
        if len(names) != len(inputs):
            return ""
        want = session.run(None, dict(zip(names, inputs)))
        made = optimise(model, folder / f"{case.name}.onnx")
    except (ort_c.OrtError, Exception):  # pylint: disable=broad-except  # it is not for this test to say what a library runs
        return ""
    try:
        got = onnxruntime.InferenceSession(made, options).run(None, dict(zip(names, inputs)))
        for mine, theirs in zip(got, want):
            if isinstance(theirs, np.ndarray) and theirs.dtype.kind in "fiub":
                np.testing.assert_allclose(np.float64(mine), np.float64(theirs), rtol=2e-3, atol=1e-4)
    except Exception as error:  # pylint: disable=broad-except
        return f"{case.name}: {str(error)[:300]}"
    return None


def check_cases(cases, optimise, folder):
    said = [compare(case, optimise, folder) for case in cases 
            if case.name not in UNKNOWN_BEFORE and "random" not in case.name and "bernoulli" not in case.name]
    wrong = [text for text in said if text]
    assert not wrong, f"{len(wrong)} of {len(said)}:\n" + "\n".join(wrong[:40])
    assert said.count(None) > len(said) // 2


@pytest.mark.full
@pytest.mark.timeout(900)
def test_all_backend_cases(optimise, tmp_path):
    check_cases(backend_cases.all_cases(), optimise, tmp_path)
