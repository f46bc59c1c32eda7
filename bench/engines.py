"""Kapell and ONNX Runtime through their C interfaces (bench/tools/engine_run.c): session creation, peak memory, small models.

Each engine opens each model in processes of its own, in turn: milliseconds until the session is there, and the largest resident size of
the process after one run. Small models run in one process, in turn, where no binding for Python hides what a run costs.
"""

import json
import os
import pathlib
import statistics
import subprocess

import numpy as np
import onnx
import onnxruntime
from kapell_c import _TYPE_OF
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "build/release/test/engine_run"
OPENINGS = 3  # processes of each engine


def library():
    """ONNX Runtime's C library: BENCH_ORT_LIBRARY (that of the npm package onnxruntime-node, say), else the one inside the Python package."""
    given = os.environ.get("BENCH_ORT_LIBRARY")
    if given:
        return given
    found = sorted((pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    return str(found[0]) if found else None


def write_feeds(path, feeds):
    with open(path, "wb") as file:
        file.write(b"%d\n" % len(feeds))
        for name, array in feeds.items():
            array = np.asarray(array)
            head = [_TYPE_OF[array.dtype], array.ndim, *array.shape]
            file.write((" ".join(map(str, head)) + f" {name}\n").encode() + array.tobytes())


def call(*args):
    out = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True)
    if out.returncode:
        raise RuntimeError(out.stderr.strip())
    return json.loads(out.stdout)


def openings(folder, model, feeds):
    """{engine: (milliseconds, MiB)}, medians."""
    path, given = folder / "model.onnx", folder / "feeds"
    path.write_bytes(model)
    write_feeds(given, feeds)
    seen = {"kapell": [], library(): []}
    for _ in range(OPENINGS):
        for engine in seen:
            seen[engine].append(call("open", engine, path, given, 1))
    return {engine: (statistics.median(s["open_ms"] for s in all), statistics.median(s["peak_kib"] for s in all) / 1024) for engine, all in seen.items()}


def latency(folder, model, feeds, threads, seconds):
    """Median microseconds of a run: Kapell's, ONNX Runtime's."""
    path, given = folder / "small.onnx", folder / "feeds"
    path.write_bytes(model)
    write_feeds(given, feeds)
    seen = call("latency", library(), path, given, threads, seconds)
    return seen["kapell_us"], seen["ort_us"]


# --- small models ---
def graph(nodes, inputs, constants):
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in inputs.items()]
    made = helper.make_graph(nodes, "small", values, [helper.make_empty_tensor_value_info("y")], [numpy_helper.from_array(v, n) for n, v in constants.items()])
    return helper.make_model(onnx.shape_inference.infer_shapes(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])).graph,
                             opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def normal(*shape):
    return np.random.default_rng(sum(shape)).normal(0, 0.1, shape).astype(np.float32)


def add():
    return graph([helper.make_node("Add", ["a", "b"], ["y"])], {"a": [4], "b": [4]}, {}), {"a": normal(4), "b": normal(4)}


def matmul():
    return graph([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": [1, 64]}, {"w": normal(64, 64)}), {"x": normal(1, 64)}


def mlp():
    nodes, constants, last = [], {}, "x"
    for i in range(3):
        constants |= {f"w{i}": normal(128, 128), f"b{i}": normal(128)}
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"h{i}" if i < 2 else "y"]))
        if i < 2:
            nodes.append(helper.make_node("Relu", [f"h{i}"], [f"r{i}"]))
        last = f"r{i}"
    return graph(nodes, {"x": [1, 128]}, constants), {"x": normal(1, 128)}


def pipeline():
    """StandardScaler and LogisticRegression as skl2onnx writes them."""
    ml = {"domain": "ai.onnx.ml"}
    nodes = [helper.make_node("Scaler", ["x"], ["scaled"], offset=normal(20).tolist(), scale=(1 + normal(20)).tolist(), **ml),
             helper.make_node("LinearClassifier", ["scaled"], ["label", "scores"], classlabels_ints=[0, 1, 2], coefficients=normal(60).tolist(),
                              intercepts=[0.1, 0.0, -0.1], multi_class=1, post_transform="SOFTMAX", **ml),
             helper.make_node("Normalizer", ["scores"], ["probabilities"], norm="L1", **ml)]
    values = [helper.make_tensor_value_info("label", TensorProto.INT64, [1]), helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3])]
    made = helper.make_graph(nodes, "pipeline", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20])], values)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)], ir_version=8)
    return model.SerializeToString(), {"x": normal(1, 20)}


def lstm():
    constants = {"w": normal(1, 64, 8), "r": normal(1, 64, 16), "b": normal(1, 128)}
    return graph([helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=16)], {"x": [8, 1, 8]}, constants), {"x": normal(8, 1, 8)}


def digits():
    return (ROOT / "examples/digits/digits.onnx").read_bytes(), {"image": np.random.default_rng(0).random((1, 1, 8, 8), np.float32)}


SMALL = {"digits": digits, "Add of 4": add, "MatMul 64 x 64": matmul, "MLP of three 128": mlp, "sklearn pipeline": pipeline, "LSTM 8 to 16": lstm}
