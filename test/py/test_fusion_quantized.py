"""Fusions of quantized models: the form of ONNX Runtime's quantizer, PyTorch's form, and forms that must be left.

Numbers are compared twice: with ONNX Runtime, where one step of the output may lie between (its sums saturate, ours do not), and with
the same model in floats, from which Kapell may not be further than ONNX Runtime is.
"""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import kapell_c
import models
from test_fusion import ops, serialized

F = TensorProto.FLOAT
I8, U8 = np.int8, np.uint8


def q(b, x, scale, zero):
    return b.op("QuantizeLinear", x, b.const(np.float32(scale)), b.const(zero))


def dq(b, x, scale, zero, **attrs):
    return b.op("DequantizeLinear", x, b.const(np.asarray(scale, np.float32)), b.const(np.asarray(zero)), **attrs)


def qdq(b, x, scale=0.05, zero=U8(110)):
    return dq(b, q(b, x, scale, zero), scale, zero)


def weights(b, shape, form, axis=0, seed=3):
    """Dequantized weights with a scale a channel, and those scales. Runtime's form: bytes; PyTorch's: floats through a QuantizeLinear."""
    rng = np.random.default_rng(seed)
    channels = shape[axis]
    scale = rng.uniform(0.002, 0.01, channels).astype(np.float32)
    w = rng.integers(-127, 128, shape).astype(I8)
    zero = np.zeros(channels, I8)
    if form == "runtime":
        return dq(b, b.const(w), scale, zero, axis=axis), scale
    view = [-1 if d == axis else 1 for d in range(len(shape))]
    real = b.const(w.astype(np.float32) * scale.reshape(view))
    scales, zeros = b.const(scale), b.const(zero)
    made = b.op("QuantizeLinear", real, scales, zeros, axis=axis)
    return b.op("DequantizeLinear", made, scales, zeros, axis=axis), scale


def bias(b, channels, form, x_scale, scale):
    """In steps of the sums (runtime's form), or plain floats (PyTorch's)."""
    number = np.random.default_rng(9).integers(-3000, 3000, channels).astype(np.int32)
    step = (np.float32(x_scale) * scale).astype(np.float32)
    if form == "runtime":
        return dq(b, b.const(number), step, np.zeros(channels, np.int32), axis=0)
    return b.const(number.astype(np.float32) * step)


def run(b, inputs, outputs, feeds, steps=1.0):
    """Runs both ways; events of Kapell's run. |steps|: the largest distance from ONNX Runtime, in steps of 0.05."""
    model = serialized(b, inputs, outputs)
    session = kapell_c.Session(model, profile_path="/dev/null", threads=1)
    got = session.run(feeds)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    want = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)
    for mine, theirs in zip(got, want):
        assert mine.shape == theirs.shape
        distance = np.abs(mine.astype(np.float64) - theirs.astype(np.float64))
        assert distance.max() <= steps * 0.0501 + 1e-4 * np.abs(theirs).max()
        assert (distance > 1e-3).mean() < 0.02  # ties of rounding alone
    events = json.loads(session.profile_json())["traceEvents"]
    return [(e["args"]["op"], e["args"]["kernel"] or "", e["args"]["nodes"]) for e in events if e["cat"] != "partition"]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def conv(b, x, ic, oc, form, act=None, kernel=3, group=1, out=0.05, out_zero=U8(110), x_scale=0.05, **attrs):
    w, scale = weights(b, [oc, ic // group, kernel, kernel], form)
    y = b.op("Conv", x, w, bias(b, oc, form, x_scale, scale), group=group, pads=[kernel // 2] * 4, **attrs)
    if act == "Relu":
        y = b.op("Relu", y)
    elif act == "Clip":
        y = b.op("Clip", y, b.const(np.float32(0)), b.const(np.float32(2.5)))
    return qdq(b, y, out, out_zero)


FORMS = ["runtime", "pytorch"]
PICTURE = ("x", F, ["N", 8, 9, 9])


@pytest.mark.asan_slice
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("act", [None, "Relu", "Clip"])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "strided"])
def test_conv_multiplies_bytes(form, act, kind):
    b = models.Builder("quantized", opset=17)
    extra = {"conv": {}, "depthwise": {"group": 8}, "strided": {"strides": [2, 2], "group": 2}}[kind]
    y = conv(b, qdq(b, "x"), 8, 8 if kind == "depthwise" else 12, form, act, **extra)
    events = run(b, [PICTURE], [(y, F, None)], {"x": normal(2, 8, 9, 9)})
    assert "QLinearConv" in ops(events) and not {"Conv", "Relu", "Clip"} & set(ops(events))
    assert ops(events).count("DequantizeLinear") == 1  # at the end


@pytest.mark.parametrize("act", [None, "Relu", "Clip"])
@pytest.mark.parametrize("zero", [U8(110), I8(-3)])
def test_normalization_maps_bytes(act, zero):
    """A batch normalization that the quantizer met unfolded, between two convolutions."""
    b = models.Builder("quantized", opset=17)
    y = conv(b, qdq(b, "x"), 8, 12, "runtime")
    rng = np.random.default_rng(4)
    factors = [b.const(rng.uniform(0.5, 1.5, 12).astype(np.float32)) for _ in range(4)]
    y = b.op("BatchNormalization", y, *factors)
    y = {"Relu": lambda: b.op("Relu", y), "Clip": lambda: b.op("Clip", y, b.const(np.float32(-1)), b.const(np.float32(1.5)))}.get(act, lambda: y)()
    y = conv(b, qdq(b, y, 0.04, zero), 12, 4, "runtime", kernel=1, x_scale=0.04)
    events = run(b, [PICTURE], [(y, F, None)], {"x": normal(2, 8, 9, 9)}, steps=2)
    assert "QLinearScaleShift" in ops(events)
    assert not {"BatchNormalization", "ScaleShift", "Relu", "Clip"} & set(ops(events)) and ops(events).count("DequantizeLinear") == 1


@pytest.mark.parametrize("what", ["not quantized behind", "read in between", "tanh in between"])
def test_what_looks_like_a_normalization_of_bytes(what):
    b = models.Builder("quantized", opset=17)
    y = conv(b, qdq(b, "x"), 8, 12, "runtime")
    factors = [b.const(np.random.default_rng(4).uniform(0.5, 1.5, 12).astype(np.float32)) for _ in range(4)]
    n = b.op("BatchNormalization", y, *factors)
    outputs = [] if what != "read in between" else [(b.op("Neg", n), F, None)]
    y = qdq(b, b.op("Tanh", n) if what == "tanh in between" else n, 0.04) if what != "not quantized behind" else b.op("Abs", n)
    events = run(b, [PICTURE], [(y, F, None), *outputs], {"x": normal(2, 8, 9, 9)}, steps=2)
    assert "QLinearScaleShift" not in ops(events) and "ScaleShift" in ops(events)


@pytest.mark.parametrize("form", FORMS)
def test_a_chain_stays_bytes(form):
    """Convolutions, a pool, an addition and a linear layer: one quantization at the front, floats at the end alone."""
    b = models.Builder("quantized", opset=17)
    x = conv(b, qdq(b, "x"), 8, 16, form, "Relu")
    pooled = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    if form == "runtime":
        pooled = qdq(b, pooled)
    left, right = conv(b, pooled, 16, 16, form), conv(b, pooled, 16, 16, form, kernel=1)
    total = qdq(b, b.op("Relu", b.op("Add", left, right)))
    flat = b.op("Flatten", total)
    if form == "runtime":
        flat = qdq(b, flat)
        w, scale = weights(b, [10, 256], form)
        y = b.op("Gemm", flat, w, bias(b, 10, form, 0.05, scale), transB=1)
    else:
        w, scale = weights(b, [10, 256], form)
        y = b.op("Add", b.op("MatMul", flat, b.op("Transpose", w, perm=[1, 0])), bias(b, 10, form, 0.05, scale))
    events = run(b, [PICTURE], [(y, F, None)], {"x": normal(2, 8, 9, 9)}, steps=4)
    names = [o for o in ops(events) if o != "Transpose"]
    assert "NhwcMaxPool" in names and ops(events).count("Transpose") <= 2  # in front, and before the linear layer: channels-last between
    assert names.count("QuantizeLinear") == 1 and "DequantizeLinear" not in names
    assert names.count("QLinearConv") == 3 and "QLinearAdd" in names and "QLinearMatMul" in names
    assert not {"Conv", "Add", "Relu", "Gemm", "MatMul"} & set(names)


@pytest.mark.asan_slice
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("quantized", [False, True])
def test_matmul_multiplies_bytes(form, quantized):
    b = models.Builder("quantized", opset=17)
    w, scale = weights(b, [24, 17], form, axis=1)
    y = b.op("MatMul", qdq(b, "x"), w)
    if form == "pytorch":
        y = b.op("Relu", b.op("Add", y, bias(b, 17, form, 0.05, scale)))
    y = qdq(b, y) if quantized else y
    events = run(b, [("x", F, ["N", 5, 24])], [(y, F, None)], {"x": normal(2, 5, 24)})
    assert "QLinearMatMul" in ops(events) and "MatMul" not in ops(events)


def test_two_computed_factors():
    b = models.Builder("quantized", opset=17)
    y = qdq(b, b.op("MatMul", qdq(b, "x"), qdq(b, "z", 0.04, I8(-3))), 0.2)
    feeds = {"x": normal(2, 3, 5, 24), "z": normal(2, 3, 24, 7, seed=1)}
    events = run(b, [("x", F, ["N", 3, 5, 24]), ("z", F, ["N", 3, 24, 7])], [(y, F, None)], feeds, steps=4)
    assert "QLinearMatMul" in ops(events)


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_elementwise_is_exact(op):
    b = models.Builder("quantized", opset=17)
    y = q(b, b.op("Relu", b.op(op, qdq(b, "x"), qdq(b, "z", 0.03, I8(4)))), 0.05, U8(7))
    feeds = {"x": normal(2, 37), "z": normal(2, 37, seed=1)}
    events = run(b, [("x", F, ["N", 37]), ("z", F, ["N", 37])], [(y, TensorProto.UINT8, None)], feeds, steps=0)
    assert f"QLinear{op}" in ops(events)


MOVES = {
    "Reshape": lambda b, x: b.op("Reshape", x, b.const(np.array([0, -1], np.int64))),
    "Transpose": lambda b, x: b.op("Transpose", x, perm=[0, 2, 3, 1]),
    "MaxPool": lambda b, x: b.op("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "Slice": lambda b, x: b.op("Slice", x, b.const(np.array([1], np.int64)), b.const(np.array([5], np.int64)), b.const(np.array([2], np.int64))),
    "Concat": lambda b, x: b.op("Concat", x, x, axis=1),
    "DepthToSpace": lambda b, x: b.op("DepthToSpace", x, blocksize=2),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("form", FORMS)
def test_bytes_are_moved(name, form):
    """Runtime's form has a pair around the operator, PyTorch's none behind it."""
    b = models.Builder("quantized", opset=17)
    y = MOVES[name](b, qdq(b, "x"))
    y = b.op("Neg", qdq(b, y) if form == "runtime" else y)
    events = run(b, [PICTURE], [(y, F, None)], {"x": normal(2, 8, 9, 9)}, steps=0)
    assert [o for o in ops(events) if o in ("QuantizeLinear", "DequantizeLinear", name)] in (
        ["QuantizeLinear", name, "DequantizeLinear"], ["QuantizeLinear", "DequantizeLinear"])


@pytest.mark.parametrize("what", ["scale of the input channels", "computed scale", "16 bits", "middle is an output", "other scale", "tanh"])
def test_what_looks_like_a_product_of_bytes(what):
    b = models.Builder("quantized", opset=21)
    inputs, outputs, feeds, fires = [PICTURE], [], {"x": normal(2, 8, 9, 9)}, False
    x = qdq(b, "x")
    if what == "scale of the input channels":
        w, _ = weights(b, [8, 8, 3, 3], "runtime", axis=1)
        y = qdq(b, b.op("Conv", x, w))
    elif what == "computed scale":
        inputs, feeds = [*inputs, ("s", F, [])], {**feeds, "s": np.array(0.05, np.float32)}
        x = b.op("DequantizeLinear", b.op("QuantizeLinear", "x", "s", b.const(U8(110))), "s", b.const(U8(110)))
        w, _ = weights(b, [8, 8, 3, 3], "runtime")
        y = qdq(b, b.op("Conv", x, w))
    elif what == "16 bits":
        w, _ = weights(b, [8, 8, 3, 3], "runtime")
        y = qdq(b, b.op("Conv", qdq(b, "x", 0.001, np.int16(0)), w))
    elif what == "middle is an output":
        w, _ = weights(b, [8, 8, 3, 3], "runtime")
        middle = b.op("Conv", x, w)
        y, outputs, fires = qdq(b, middle), [(middle, F, None)], True  # to f32, quantized apart
    elif what == "other scale":
        y = qdq(b, b.op("Transpose", x, perm=[0, 2, 3, 1]), 0.06)
        events = run(b, inputs, [(y, F, None)], feeds, steps=0)
        assert ops(events).count("QuantizeLinear") == 2
        return
    else:
        w, _ = weights(b, [8, 8, 3, 3], "runtime")
        y, fires = qdq(b, b.op("Tanh", b.op("Conv", x, w))), True
    events = run(b, inputs, [(y, F, None), *outputs], feeds)
    assert ("QLinearConv" in ops(events)) == fires
    if fires:
        assert "QuantizeLinear" in ops(events)[1:]
    else:
        assert "Conv" in ops(events)


def float_twin(model):
    """The model without its quantizations of activations: what it approximates."""
    initial = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in initial:
            nodes.append(helper.make_node("Identity", [node.input[0]], [node.output[0]]))
        elif node.op_type == "DequantizeLinear" and node.input[0] in made and made[node.input[0]].input[0] not in initial:
            nodes.append(helper.make_node("Identity", [node.input[0]], [node.output[0]]))
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("form", FORMS)
def test_no_further_from_floats_than_the_runtime(form):
    b = models.Builder("quantized", opset=17)
    y = conv(b, conv(b, conv(b, qdq(b, "x"), 8, 32, form, "Relu", out_zero=U8(0)), 32, 32, form, "Relu", out_zero=U8(0)), 32, 16, form)
    model = serialized(b, [PICTURE], [(y, F, None)])
    feeds = {"x": normal(4, 8, 9, 9)}
    real = ort.InferenceSession(float_twin(onnx.load_from_string(model)).SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    theirs = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    mine = kapell_c.Session(model, threads=1).run(feeds)[0]
    assert np.abs(mine - real).mean() <= np.abs(theirs - real).mean() * 1.01 + 1e-6
