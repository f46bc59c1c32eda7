"""What libraries of providers are shown of a model, beside what ONNX Runtime shows them of the same (test/plugins/show.c writes both down)."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

REAL = """
import sys, onnxruntime
library, model = sys.argv[1:]
onnxruntime.set_default_logger_severity(4)
onnxruntime.register_execution_provider_library("Show", library)
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.add_provider_for_devices([device for device in onnxruntime.get_ep_devices() if device.ep_name == "Show"], {})
try:
    onnxruntime.InferenceSession(model, options)
except Exception as error:
    print(error)
"""

CONTROL = """<ir_version: 8, opset_import: ["":17]>
g (bool c, float[N,4] x) => (float[N,4] r, float[N,M] q, int64[4] v)
<float[4] w = {1,2,3,4}, float[4] o = {5,6,7,8}, float high = {9}>
{
  [add] a = Add(x, w)
  [clip] b = Clip(a, , high)
  [square] d = Mul(b, b)
  [mul] e = Mul(d, o)
  [if] r = If(c) <
    then_branch = t () => (float[N,4] t0) { [inner_add] t0 = Add(e, o) },
    else_branch = u () => (float[N,4] u0) {
      [inner_if] n = If(c) <
        then_branch = t2 () => (float[N,4] t20) { [deep_sub] t20 = Sub(d, w) },
        else_branch = u2 () => (float[N,4] u20) { [deep_mul] u20 = Mul(a, a) }>
      [neg] u0 = Neg(n)
    }>
  [unique] q, , v = Unique<axis = 1>(b)
}"""


def control():
    return parser.parse_model(CONTROL)


def pictures():
    weights = numpy_helper.from_array(np.linspace(-1, 1, 8 * 27, dtype=np.float32).reshape(8, 3, 3, 3), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "conv", strides=[1, 2]), helper.make_node("LeakyRelu", ["c"], ["r"], "relu", alpha=0.25),
             helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2]), helper.make_node("Flatten", ["p"], ["f"], "flat"),
             helper.make_node("Softmax", ["f"], ["s"], "soft"), helper.make_node("Gelu", ["s"], ["y"], "gelu", domain="com.microsoft")]
    graph = helper.make_graph(nodes, "pictures", [helper.make_tensor_value_info("x", 1, ["B", 3, 8, 8])], [helper.make_tensor_value_info("y", 1, None)],
                              [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=8)


def save(model, folder, external):
    path = folder / "model.onnx"
    onnx.save(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    return path


@pytest.mark.parametrize("make, ops, external, drop", [(control, "Add,Clip,Mul", False, False), (pictures, "Conv,LeakyRelu", True, False),
                                                       pytest.param(pictures, "LeakyRelu,MaxPool,Conv", False, True, marks=pytest.mark.full)])
def test_libraries_see_what_onnx_runtime_shows(build_dir, kapell, tmp_path, make, ops, external, drop):
    model = save(make(), tmp_path, external)
    library = build_dir / "test/plugins/libshow.so"
    environment = {**os.environ, "SHOW_OPS": ops, **({"SHOW_DROP": "1"} if drop else {})}
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    subprocess.run([sys.executable, "-c", REAL, library, model], env={**environment, "SHOW_FILE": str(theirs)}, check=True, timeout=120)
    done = kapell("check", model, "--provider-library", f"Show={library}", "--providers", "Show?,CPU", env={**environment, "SHOW_FILE": str(ours)})
    assert ours.exists(), done.stderr
    expected, got = (sorted(set(path.read_text().splitlines())) for path in (theirs, ours))
    assert len(expected) > 40
    assert not [line for line in expected + got if line.startswith("error")]
    assert got == expected
