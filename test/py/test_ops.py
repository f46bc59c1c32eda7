"""Generated comparisons of the CPU provider's operators with the onnx package's reference evaluator, and with ONNX Runtime where the
reference refuses. Each operator and version gets DRAWS draws; both ways to run (single node, partition) are compared.

KAPELL_DRAWS sets the number, KAPELL_CPU_LEVEL the instruction set ("scalar").
"""

import os
import zlib

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import op_driver
from op_draws import SPECS

DRAWS = int(os.environ.get("KAPELL_DRAWS", "20"))
LEVEL = os.environ.get("KAPELL_CPU_LEVEL", "native")
NEWEST = 22  # beyond it ONNX Runtime of the test environment has gaps; the versions that exist are taken from the schemas

# Where the reference evaluator departs from the operator's words (up to the version, inclusive): ONNX Runtime is asked instead.
NOT_REFERENCE = {
    "AveragePool": (22, "windows of ceil_mode past the padding"),
    "BatchNormalization": (13, "it updates the statistics although a single output is wanted"),
    "GlobalMaxPool": (22, "it reduces the wrong axes of tensors that are not of rank 4"),
    "Hardmax": (12, "it takes one axis where the old operator took all dims from the axis on"),
    "LogSoftmax": (12, "the same"),
    "MaxPool": (22, "padding with ceil_mode and dilations"),
    "Softmax": (12, "as Hardmax"),
}


def versions_of(name):
    """Versions of the operator that differ, from 7 on (before, broadcasting was by attribute), as opsets to import."""
    since = sorted({s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == name and s.domain == ""})
    return [v for i, v in enumerate(since) if v <= NEWEST and (i + 1 == len(since) or since[i + 1] > 7)]


CASES = [(name, version) for name in sorted(SPECS) for version in versions_of(name)]


def make_model(name, version, attrs, inputs):
    opset = max(version, 7)
    names = [f"i{i}" if v is not None else "" for i, v in enumerate(inputs)]
    schema = onnx.defs.get_schema(name, opset)
    outputs = ["y"] if len(schema.outputs) < 2 or name in ("BatchNormalization", "MaxPool", "LayerNormalization") else ["y", "z"]
    node = helper.make_node(name, names, outputs, **attrs)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in zip(names, inputs) if n]
    graph = helper.make_graph([node], name, infos, [helper.make_empty_tensor_value_info(o) for o in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def by_reference(model, feeds):
    with np.errstate(all="ignore"):
        return [np.asarray(v) for v in ReferenceEvaluator(model).run(None, feeds)]


def by_runtime(model, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def wanted_of(name, version, model, feeds):
    """What the operator should give, or None where nobody can tell."""
    order = [by_runtime, by_reference] if version <= NOT_REFERENCE.get(name, (0, ""))[0] else [by_reference, by_runtime]
    for oracle in order:
        try:
            return oracle(model, feeds)
        except Exception:  # pylint: disable=broad-except  # whatever an oracle trips over, the other is asked
            continue
    return None


def tolerance(inputs):
    """Relative tolerance by the coarsest type among the inputs."""
    widths = [v.dtype for v in inputs if v is not None and v.dtype.kind in "fV"]
    if any(w.itemsize == 2 and w != np.float16 for w in widths):
        return 2e-2, 1e-2
    return (4e-3, 1e-3) if any(w == np.float16 for w in widths) else (1e-4, 1e-5)


@pytest.mark.parametrize("name,version", CASES, ids=[f"{n}-{v}" for n, v in CASES])
def test_operator(name, version, tmp_path):
    cases = []
    for draw in range(DRAWS):
        rng = np.random.default_rng([zlib.crc32(name.encode()), version, draw])
        attrs, inputs = SPECS[name](rng, version, name)
        model = make_model(name, version, attrs, inputs)
        wanted = wanted_of(name, version, model, {f"i{i}": v for i, v in enumerate(inputs) if v is not None})
        if wanted is None:
            continue
        path = tmp_path / f"{draw}.onnx"
        onnx.save(op_driver.embed(model, [v for v in inputs if v is not None]), path)
        cases.append((path, attrs, inputs, wanted))
    assert len(cases) >= DRAWS // 2, "most draws have no oracle"
    op_driver.run([c[0] for c in cases], "--mask", LEVEL)
    wrong = []
    for path, attrs, inputs, wanted in cases:
        rtol, atol = tolerance(inputs)
        words = op_driver.agree(op_driver.read_out(path), wanted, rtol, atol)
        if words:
            shapes = [None if v is None else f"{v.dtype}{list(v.shape)}" for v in inputs]
            wrong.append(f"{path.name} {attrs} {shapes}: {words.splitlines()[0]}")
    assert not wrong, f"{len(wrong)} of {len(cases)} draws:\n" + "\n".join(wrong[:5])
