"""Writes seeds of the fuzz targets that take whole models: `python tools/make_model_corpus.py FOLDER`.

One small model of each operator that test/py/draws knows, and those chains of nodes that runtimes fuse. What is worth keeping of them, and
of what a fuzzer makes of them, is what libFuzzer's -merge=1 leaves (fuzz/README.md).
"""

import pathlib
import sys
import zlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "py"))

import draws.base  # noqa: E402
import test_ops  # noqa: E402

MOST_BYTES = 3000


def operators():
    """(name, bytes): the newest version of each operator, its inputs constants every other time."""
    newest = {}
    for case in draws.base.cases():
        newest[case[0], case[1]] = case
    for (domain, name), (_, _, version, opset, spec) in newest.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        attrs, inputs, *rest = spec.draw(rng, version, name)
        if any(isinstance(v, (tuple, dict)) for v in inputs):
            continue
        model = test_ops.make_model(domain, name, opset, attrs, inputs, *rest)
        given = zip(model.graph.node[0].input, inputs)
        fixed = [numpy_helper.from_array(np.asarray(v), n) for n, v in given if v is not None and not isinstance(v, list)]
        keep = 1 if rng.random() < 0.5 else 0  # the first input stays one
        names = {t.name for t in fixed[keep:]}
        inputs_left = [i for i in model.graph.input if i.name not in names]
        del model.graph.input[:]
        model.graph.input.extend(inputs_left)
        model.graph.initializer.extend(t for t in fixed if t.name in names)
        yield f"{domain}_{name}".strip("_"), model.SerializeToString()


def info(name, dims):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)


def whole(rng, *dims):
    return rng.integers(-2, 3, dims).astype("f4")


def chain(name, dims, nodes, weights):
    """A model of |nodes| = [(op, inputs, output, attributes)] from x to y."""
    made = [helper.make_node(op, ins, [out], **attrs) for op, ins, out, attrs in nodes]
    graph = helper.make_graph(made, name, [info("x", dims)], [info("y", None)], [numpy_helper.from_array(v, k) for k, v in weights.items()])
    return name, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def chains():
    rng = np.random.default_rng(1)
    pads = {"pads": [1, 1, 1, 1]}
    norm = {k: whole(rng, 4) for k in ("g", "b", "m")} | {"v": np.ones(4, "f4")}
    yield chain("conv_norm_relu", ["N", 3, 6, 6], [("Conv", ["x", "w"], "c", pads), ("BatchNormalization", ["c", "g", "b", "m", "v"], "n", {}),
                                                 ("Relu", ["n"], "y", {})], {"w": whole(rng, 4, 3, 3, 3), **norm})
    yield chain("conv_add", ["N", 4, "H", 6], [("Conv", ["x", "w"], "c", pads), ("Add", ["c", "x"], "a", {}), ("Relu", ["a"], "y", {})],
                {"w": whole(rng, 4, 4, 3, 3)})
    yield chain("depthwise", ["N", 8, 5, "W"], [("Conv", ["x", "w"], "c", {"group": 8, **pads}), ("HardSwish", ["c"], "h", {}),
                                              ("GlobalAveragePool", ["h"], "y", {})], {"w": whole(rng, 8, 1, 3, 3)})
    yield chain("pools", [1, 2, 8, 8], [("MaxPool", ["x"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]}),
                                        ("AveragePool", ["p"], "y", {"kernel_shape": [3, 3], **pads})], {})
    yield chain("dense", ["N", 5], [("MatMul", ["x", "w"], "m", {}), ("Add", ["m", "b"], "a", {}), ("Relu", ["a"], "r", {}), ("Gemm", ["r", "v"], "y", {})],
                {"w": whole(rng, 5, 7), "b": whole(rng, 7), "v": whole(rng, 7, 3)})
    yield chain("attention", ["B", "S", 8], [("MatMul", ["x", "w"], "q", {}), ("Transpose", ["x"], "t", {"perm": [0, 2, 1]}), ("MatMul", ["q", "t"], "s", {}),
                                           ("Softmax", ["s"], "p", {"axis": -1}), ("MatMul", ["p", "x"], "y", {})], {"w": whole(rng, 8, 8)})
    yield chain("reshape", ["N", 4, 3], [("Shape", ["x"], "s", {}), ("Gather", ["s", "i"], "g", {}), ("Concat", ["g", "m"], "t", {"axis": 0}),
                                         ("Reshape", ["x", "t"], "y", {})], {"i": np.int64([0]), "m": np.int64([-1])})
    yield chain("slices", ["N", "C", 6], [("Split", ["x"], "a", {"axis": 2}), ("Slice", ["a", "z", "e"], "b", {}), ("Concat", ["b", "x"], "y", {"axis": 1})],
                {"z": np.int64([0]), "e": np.int64([1])})
    scale = {"s": np.float32(0.5), "z": np.int8(0)}
    yield chain("quantized", ["N", 6], [("QuantizeLinear", ["x", "s", "z"], "q", {}), ("DequantizeLinear", ["q", "s", "z"], "d", {}),
                                        ("DequantizeLinear", ["w", "s", "z"], "e", {}), ("MatMul", ["d", "e"], "m", {}), ("QuantizeLinear", ["m", "s", "z"], "r", {}),
                                        ("DequantizeLinear", ["r", "s", "z"], "y", {})], {"w": rng.integers(-9, 9, (6, 4)).astype("i1"), **scale})


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in [*operators(), *chains()]:
        if len(data) <= MOST_BYTES:
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
