"""Names that ONNX Runtime reads in ai.onnx before, or without, a schema of ONNX's: compared with ONNX Runtime itself."""

import numpy as np
import onnxruntime
import pytest
from onnx import helper

import kapell_c
from draws.base import array, dims


def draws(rng, name):
    """Attributes, inputs and how many outputs."""
    shape = dims(rng, 4, 2)
    x = array(rng, shape)
    if name == "MeanVarianceNormalization":
        return {k: int(rng.integers(2)) for k in ("across_channels", "normalize_variance") if rng.random() < 0.7}, [x], 1
    if name == "ThresholdedRelu":
        return {"alpha": 0.75}, [x], 1
    at = int(rng.integers(-4, 4))
    scale = [array(rng, shape[at:]) for _ in range(1 if name[0] == "S" else int(rng.integers(1, 3)))]
    return {"axis": at, "epsilon": 1e-2}, [x] + scale, int(rng.integers(1, 3 if name[0] == "S" else 4))


@pytest.mark.parametrize("name,opset", [("MeanVarianceNormalization", 8), ("ThresholdedRelu", 7), ("LayerNormalization", 11),
                                        ("LayerNormalization", 16), ("SimplifiedLayerNormalization", 11), ("SimplifiedLayerNormalization", 18)])
def test_names_of_onnx_runtime(name, opset):
    rng = np.random.default_rng(opset)
    for _ in range(30):
        attrs, inputs, count = draws(rng, name)
        outputs = [f"y{i}" for i in range(count)]
        infos = [helper.make_tensor_value_info(f"i{k}", helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in enumerate(inputs)]
        graph = helper.make_graph([helper.make_node(name, [i.name for i in infos], outputs, **attrs)], "g", infos,
                                  [helper.make_empty_tensor_value_info(o) for o in outputs])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        feeds = {i.name: v for i, v in zip(infos, inputs)}
        wanted = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)
        for got, want in zip(kapell_c.Session(model).run(feeds), wanted):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
