"""Fusions of the CPU provider: two exporters' forms of each, and forms that look alike and must not be fused.

What fired is read from the profile: the operators and kernels that ran. Numbers are compared with ONNX Runtime.
"""

import json

import kapell_c
import models
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

F = TensorProto.FLOAT


def serialized(builder, inputs, outputs):
    """As Builder.model, but outputs need no shape: what a form gives is part of what is tested."""
    info = [[helper.make_tensor_value_info(*i) for i in side] for side in (inputs, outputs)]
    graph = helper.make_graph(builder.nodes, builder.name, *info, builder.initializers)
    opsets = [helper.make_opsetid("", builder.opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def run(builder, inputs, outputs, feeds):
    """Runs through Kapell and ONNX Runtime, compares, gives the events of the run as (op, kernel, nodes)."""
    model = serialized(builder, inputs, outputs)
    session = kapell_c.Session(model, profile_path="/dev/null", threads=1)
    got = session.run(feeds)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # its own fusions are not the reference
    want = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, feeds)
    for mine, theirs in zip(got, want):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * max(1, np.abs(theirs).max()))
    events = json.loads(session.profile_json())["traceEvents"]
    return [(e["args"]["op"], e["args"]["kernel"] or "", e["args"]["nodes"]) for e in events if e["cat"] != "partition"]


def ops(events):
    return [op for op, _, _ in events]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def f32(x):
    return np.float32(x)


# --- activations -----------------------------------------------------------------------------------------------------------
def erf_gelu(b, x, order="pytorch", divide=True, root=2**0.5, half=0.5, one=1.0, number=f32):
    """Gelu as nodes. Orders: pytorch x * (1 + erf) * half; half first: (x * half) * (1 + erf); last: ((1 + erf) * half) * x."""
    scaled = b.op("Div", x, b.const(number(root))) if divide else b.op("Mul", x, b.const(number(1 / root)))
    e = b.op("Add", b.op("Erf", scaled), b.const(number(one)))
    h = b.const(number(half))
    if order == "pytorch":
        return b.op("Mul", b.op("Mul", x, e), h)
    if order == "half first":
        return b.op("Mul", b.op("Mul", x, h), e)
    return b.op("Mul", x, b.op("Mul", e, h))


def hard_swish(b, x, form="pytorch", three=3.0, six=6.0):
    gate = b.op("Clip", b.op("Add", x, b.const(f32(three))), b.const(f32(0)), b.const(f32(six)))
    if form == "pytorch":
        return b.op("Div", b.op("Mul", x, gate), b.const(f32(6)))
    if form == "gate":
        return b.op("Mul", x, b.op("Div", gate, b.const(f32(6))))
    return b.op("Mul", b.op("Mul", x, gate), b.const(f32(1 / 6)))


ACTIVATIONS = {
    "gelu, PyTorch": lambda b, x: erf_gelu(b, x),
    "gelu, half first": lambda b, x: erf_gelu(b, x, "half first", divide=False),
    "gelu, half last": lambda b, x: erf_gelu(b, x, "half last"),
    "silu": lambda b, x: b.op("Mul", x, b.op("Sigmoid", x)),
    "silu, turned": lambda b, x: b.op("Mul", b.op("Sigmoid", x), x),
    "hard swish, PyTorch": lambda b, x: hard_swish(b, x),
    "hard swish, division on the gate": lambda b, x: hard_swish(b, x, "gate"),
    "hard swish, multiplied": lambda b, x: hard_swish(b, x, "times"),
    "hard swish, HardSigmoid": lambda b, x: b.op("Mul", x, b.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
    "mish": lambda b, x: b.op("Mul", x, b.op("Tanh", b.op("Softplus", x))),
    "mish, turned": lambda b, x: b.op("Mul", b.op("Tanh", b.op("Softplus", x)), x),
}
NOT_ACTIVATIONS = {
    "gelu with another root": lambda b, x: erf_gelu(b, x, root=1.5),
    "gelu with another half": lambda b, x: erf_gelu(b, x, half=0.6),
    "gelu with another one": lambda b, x: erf_gelu(b, x, one=1.1),
    "gelu of another x": lambda b, x: b.op("Mul", b.op("Mul", b.op("Neg", x), b.op("Add", b.op("Erf", b.op("Div", x, b.const(f32(2**0.5)))), b.const(f32(1)))), b.const(f32(0.5))),
    "gelu that adds an axis": lambda b, x: erf_gelu(b, x, number=lambda v: np.full((1, 1, 1, 1), v, np.float32)),
    "silu of another x": lambda b, x: b.op("Mul", b.op("Neg", x), b.op("Sigmoid", x)),
    "hard swish with another three": lambda b, x: hard_swish(b, x, three=2.5),
    "hard swish with another six": lambda b, x: hard_swish(b, x, six=5.0),
    "hard swish of another sigmoid": lambda b, x: b.op("Mul", x, b.op("HardSigmoid", x, alpha=0.2, beta=0.5)),
    "mish of another x": lambda b, x: b.op("Mul", b.op("Neg", x), b.op("Tanh", b.op("Softplus", x))),
}


@pytest.mark.asan_slice
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_one_step(name):
    b = models.Builder("activation")
    y = ACTIVATIONS[name](b, "x")
    events = run(b, [("x", F, ["N", 5, 7])], [(y, F, None)], {"x": normal(2, 5, 7) * 3})
    assert len(events) == 1
    assert len(events[0][2]) == len(b.nodes)  # stands for every node of the file


@pytest.mark.parametrize("name", NOT_ACTIVATIONS)
def test_what_looks_like_an_activation_is_left(name):
    b = models.Builder("activation")
    y = NOT_ACTIVATIONS[name](b, "x")
    events = run(b, [("x", F, ["N", 5, 7])], [(y, F, None)], {"x": normal(2, 5, 7) * 3})
    assert not {"Gelu", "Swish", "HardSwish", "Mish"} & set(ops(events))


@pytest.mark.parametrize("name", ["gelu, PyTorch", "silu", "hard swish, PyTorch", "mish"])
def test_activation_is_left_where_its_middle_is_an_output(name):
    b = models.Builder("activation")
    y = ACTIVATIONS[name](b, "x")
    middle = b.nodes[-2].output[0]
    events = run(b, [("x", F, ["N", 5, 7])], [(y, F, None), (middle, F, None)], {"x": normal(2, 5, 7) * 3})
    assert not {"Gelu", "Swish", "HardSwish", "Mish"} & set(ops(events))


# --- convolutions ----------------------------------------------------------------------------------------------------------
def convs(events):
    return [e for e in events if e[0] == "Conv"]


@pytest.mark.asan_slice
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 8])
def test_normalisation_and_activation_go_into_the_convolution(bias, groups):
    b = models.Builder("conv")
    y = b.op("Relu", b.norm(b.conv("x", 8, 16, 3, groups=groups, bias=bias), 16))
    events = run(b, [("x", F, ["N", 8, 9, 7])], [(y, F, None)], {"x": normal(2, 8, 9, 7)})
    assert len(convs(events)) == 1 and len(convs(events)[0][2]) == 3
    assert "BatchNormalization" not in ops(events) and "Relu" not in ops(events)
    assert convs(events)[0][1].startswith(("conv", "depthwise", "gemm")), convs(events)


@pytest.mark.parametrize("act", ["Relu", "Sigmoid", "HardSwish", "Tanh", "LeakyRelu", "Elu", "clip", "silu"])
def test_every_activation_after_a_convolution(act):
    b = models.Builder("conv")
    y = b.conv("x", 3, 12, 3, 2, bias=True)
    if act == "clip":
        y = b.op("Clip", y, b.const(f32(0)), b.const(f32(6)))
    elif act == "silu":
        y = b.op("Mul", y, b.op("Sigmoid", y))
    else:
        y = b.op(act, y)
    events = run(b, [("x", F, ["N", 3, 11, 13])], [(y, F, None)], {"x": normal(2, 3, 11, 13) * 2})
    assert set(ops(events)) <= {"Conv", "Transpose"}


def test_a_residual_goes_into_the_later_convolution():
    b = models.Builder("conv")
    left = b.conv("x", 8, 16, 1)
    right = b.conv(b.op("Relu", b.conv("x", 8, 8, 3)), 8, 16, 3)
    y = b.op("Relu", b.op("Add", left, right))
    events = run(b, [("x", F, ["N", 8, 6, 6])], [(y, F, None)], {"x": normal(2, 8, 6, 6)})
    assert len(convs(events)) == 3
    assert set(ops(events)) <= {"Conv", "Transpose"}
    assert ops(events).count("Transpose") <= 2  # at the border only


def test_a_block_is_channels_last_throughout():
    b = models.Builder("conv")
    x = b.op("MaxPool", b.op("Relu", b.conv("x", 8, 16, 3)), kernel_shape=[2, 2], strides=[2, 2])
    x = b.op("Concat", b.conv(x, 16, 8, 1), b.op("Sigmoid", b.conv(x, 16, 8, 3)), axis=1)
    y = b.op("GlobalAveragePool", b.conv(x, 16, 12, 3))
    events = run(b, [("x", F, ["N", 8, 10, 10])], [(y, F, None)], {"x": normal(2, 8, 10, 10)})
    assert ops(events).count("Transpose") <= 2


def test_a_convolution_read_twice_keeps_its_normalisation():
    b = models.Builder("conv")
    c = b.conv("x", 8, 16, 3)
    y = b.norm(c, 16)
    z = b.op("Neg", c)
    events = run(b, [("x", F, ["N", 8, 6, 6])], [(y, F, None), (z, F, None)], {"x": normal(2, 8, 6, 6)})
    assert [len(e[2]) for e in convs(events)] == [1]
    assert "ScaleShift" in ops(events)  # the normalization, as a step of its own


def test_a_convolution_that_is_an_output_keeps_its_activation():
    b = models.Builder("conv")
    c = b.conv("x", 8, 16, 3)
    events = run(b, [("x", F, ["N", 8, 6, 6])], [(b.op("Relu", c), F, None), (c, F, None)], {"x": normal(2, 8, 6, 6)})
    assert "Relu" in ops(events)


@pytest.mark.asan_slice
@pytest.mark.parametrize("read", [None, "normalised", "activated"])
@pytest.mark.parametrize("act", ["Relu", "clip", "silu"])
@pytest.mark.parametrize("kind", ["ScaleShift", "InstanceNormalization"])
def test_an_activation_goes_into_the_normalisation_before_it(kind, act, read):
    b = models.Builder("conv")
    c = b.conv("x", 8, 16, 3)
    n = b.norm(c, 16) if kind == "ScaleShift" else b.op(kind, c, b.const(normal(16, seed=5)), b.const(normal(16, seed=6)))
    if act == "clip":
        y = b.op("Clip", n, b.const(f32(-0.5)), b.const(f32(0.5)))
    else:
        y = b.op("Mul", n, b.op("Sigmoid", n)) if act == "silu" else b.op("Relu", n)
    outputs = [(y, F, None), (b.op("Neg", c), F, None)]  # what else reads the convolution keeps a BatchNormalization out of it
    if read:
        outputs.append((b.op("Abs", n if read == "normalised" else y), F, None))
    events = run(b, [("x", F, ["N", 8, 6, 6])], outputs, {"x": normal(2, 8, 6, 6)})
    assert kind in ops(events)
    assert bool({"Relu", "Clip", "Swish", "Sigmoid"} & set(ops(events))) == (read == "normalised")


@pytest.mark.parametrize("what", ["training", "second output", "fewer statistics than channels"])
def test_what_looks_like_a_normalisation_to_fold(what):
    b = models.Builder("conv", opset=17)
    c = b.conv("x", 8, 16, 3)
    parts = [b.const(normal(16, seed=5)), b.const(normal(16, seed=6)), b.const(np.zeros(16, np.float32)), b.const(np.ones(16, np.float32))]
    if what == "fewer statistics than channels":  # one element, which numpy would repeat
        parts = [b.const(np.ones(1, np.float32))] * 4
        y = b.op("BatchNormalization", c, *parts)
        with pytest.raises(kapell_c.KapellError, match="BatchNormalization"):
            kapell_c.Session(serialized(b, [("x", F, ["N", 8, 6, 6])], [(y, F, None)])).run({"x": normal(2, 8, 6, 6)})
        return
    more = b.op("BatchNormalization", c, *parts, training_mode=1, outputs=3)
    outputs = [(more[0], F, None)] + [(m, F, None) for m in more[1:]] * (what == "second output")
    assert "BatchNormalization" in ops(run(b, [("x", F, ["N", 8, 6, 6])], outputs, {"x": normal(2, 8, 6, 6)}))


@pytest.mark.parametrize("what, left", [("cast to its own type", False), ("cast to another", True), ("kept in place", False), ("moved", True)])
def test_nodes_that_change_nothing(what, left):
    """What load-time simplification drops, and what is left to the provider's own pass: types that an input decides."""
    b = models.Builder("nops", opset=17)
    if "cast" in what:
        op, inputs = "CastLike", [("x", F, ["N", 4, 5]), ("like", F if not left else TensorProto.DOUBLE, [1])]
        y = b.op(op, b.op("Neg", "x"), "like")
        feeds = {"x": normal(2, 4, 5), "like": np.zeros(1, np.float64 if left else np.float32)}
    else:
        op, inputs, feeds = "Transpose", [("x", F, ["N", 4, 5])], {"x": normal(2, 4, 5)}
        y = b.op(op, b.op("Neg", "x"), perm=[0, 2, 1] if left else [0, 1, 2])
    outputs = [(b.op("Abs", y), inputs[-1][1] if "cast" in what else F, None)]
    assert (op in ops(run(b, inputs, outputs, feeds))) == left


def test_normalisation_whose_statistics_are_inputs_is_left():
    b = models.Builder("conv")
    c = b.conv("x", 8, 16, 3)
    one = b.const(np.ones(16, np.float32))
    y = b.op("BatchNormalization", c, one, "shift", one, one)
    events = run(b, [("x", F, ["N", 8, 6, 6]), ("shift", F, [16])], [(y, F, None)], {"x": normal(2, 8, 6, 6), "shift": normal(16)})
    assert "BatchNormalization" in ops(events)


def test_an_addition_that_broadcasts_is_left():
    b = models.Builder("conv")
    y = b.op("Add", b.conv("x", 8, 16, 3), "s")
    events = run(b, [("x", F, ["N", 8, 6, 6]), ("s", F, ["N", 1, 6, 6])], [(y, F, None)], {"x": normal(2, 8, 6, 6), "s": normal(2, 1, 6, 6)})
    assert "Add" in ops(events)


PADS = {  # opset, mode, begins, ends, axes, attributes of the convolution; fires
    "Keras": (13, "constant", [0, 0, 1, 1], [0, 0, 1, 1], None, dict(strides=[2, 2]), True),
    "PyTorch": (18, "constant", [2, 0], [1, 3], [3, 2], dict(pads=[1, 0, 1, 0]), True),
    "attribute": (10, "constant", [0, 0, 0, 3], [0, 0, 1, 0], None, dict(dilations=[2, 1]), True),
    "valid": (13, "constant", [0, 0, 1, 1], [0, 0, 1, 1], None, dict(auto_pad="VALID"), True),
    "same": (13, "constant", [0, 0, 1, 1], [0, 0, 1, 1], None, dict(auto_pad="SAME_UPPER"), False),
    "mirrored": (13, "reflect", [0, 0, 1, 1], [0, 0, 1, 1], None, {}, False),
    "channels": (13, "constant", [0, 1, 1, 1], [0, 0, 1, 1], None, {}, False),
    "cut": (13, "constant", [0, 0, -1, 1], [0, 0, 1, 1], None, {}, False),
}


@pytest.mark.parametrize("what", [None, "ones", "read twice", "an output", "computed"])
@pytest.mark.parametrize("name", PADS)
def test_padding_goes_into_the_convolution(name, what):
    opset, mode, begins, ends, axes, attributes, fires = PADS[name]
    b = models.Builder("pad", opset=opset)
    inputs, feeds, channels = [("x", F, ["N", 5, 9, 8])], {"x": normal(2, 5, 9, 8)}, 6 if name == "channels" else 5
    if opset < 11:
        y = b.op("Pad", "x", pads=begins + ends, mode=mode, **({"value": 1.0} if what == "ones" else {}))
    else:
        pads = b.i64(begins + ends)
        if what == "computed":
            pads, inputs, feeds = "p", [*inputs, ("p", TensorProto.INT64, [2 * len(begins)])], {**feeds, "p": np.array(begins + ends, np.int64)}
        value = [b.const(f32(what == "ones"))] if what == "ones" or axes else []
        y = b.op("Pad", "x", pads, *value, *([b.i64(axes)] if axes else []), mode=mode)
    z = b.op("Conv", y, b.const(normal(4, channels, 3, 3, seed=1)), **attributes)
    outputs = [(z, F, None)] + {"read twice": [(b.op("Neg", y), F, None)], "an output": [(y, F, None)]}.get(what, [])
    events = run(b, inputs, outputs, feeds)
    assert ("Pad" not in ops(events)) == (fires and (what is None or (what == "computed" and opset < 11)))


# --- layer normalisation ---------------------------------------------------------------------------------------------------
def decomposed_norm(b, x, c, square="pow", keepdims=1, axis=-1, exponent=2.0, epsilon=1e-5, beta=True):
    gamma, shift = b.const(b.rng.uniform(0.5, 1.5, c).astype(np.float32)), b.const(normal(c, seed=3))
    mean = b.op("ReduceMean", x, axes=[axis], keepdims=keepdims)
    d = b.op("Sub", x, mean)
    s = b.op("Pow", d, b.const(f32(exponent))) if square == "pow" else b.op("Mul", d, d)
    sd = b.op("Sqrt", b.op("Add", b.op("ReduceMean", s, axes=[axis], keepdims=keepdims), b.const(f32(epsilon))))
    y = b.op("Mul", b.op("Div", d, sd), gamma)
    return b.op("Add", y, shift) if beta else y


NORMS = {
    "one node": lambda b, x: b.layer_norm(x, 24),
    "PyTorch before opset 17": lambda b, x: b.layer_norm(x, 24, decomposed=True),
    "square as a product": lambda b, x: decomposed_norm(b, x, 24, square="mul", axis=2),
}


@pytest.mark.asan_slice
@pytest.mark.parametrize("name", NORMS)
def test_layer_norm_is_one_step(name):
    b = models.Builder("norm")
    y = NORMS[name](b, "x")
    events = run(b, [("x", F, ["N", "S", 24])], [(y, F, None)], {"x": normal(2, 5, 24) * 4 + 1})
    assert [e[1] for e in events] == ["layer_norm_f32"]
    assert len(events[0][2]) == len(b.nodes)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("read", [False, True])
def test_the_addition_in_front_goes_in(name, read):
    b = models.Builder("norm")
    total = b.op("Add", "x", "r")
    y = NORMS[name](b, total)
    outputs = [(y, F, None)] + ([(b.op("Neg", total), F, None)] if read else [])
    shape = ["N", "S", 24]
    events = run(b, [("x", F, shape), ("r", F, shape)], outputs, {"x": normal(2, 5, 24), "r": normal(2, 5, 24, seed=1)})
    assert "Add" not in ops(events)
    assert "layer_norm_f32" in [e[1] for e in events]


@pytest.mark.parametrize("what", ["axis", "exponent", "no shift", "sum is an output", "sum broadcasts", "deviation is read"])
def test_what_looks_like_a_layer_norm(what):
    b = models.Builder("norm")
    shape, feeds, inputs, outputs = ["N", 6, 6], {"x": normal(2, 6, 6)}, [], []
    fires = False
    if what == "axis":
        y = decomposed_norm(b, "x", 6, axis=1)
    elif what == "exponent":
        y = decomposed_norm(b, b.op("Abs", "x"), 6, exponent=4.0)
    elif what == "no shift":
        y = decomposed_norm(b, "x", 6, beta=False)
    elif what == "sum is an output":
        total = b.op("Add", "x", "r")
        y, fires = decomposed_norm(b, total, 6), True
        inputs, outputs = [("r", F, shape)], [(total, F, None)]
        feeds["r"] = normal(2, 6, 6, seed=5)
    elif what == "sum broadcasts":
        y, fires = decomposed_norm(b, b.op("Add", "x", "r"), 6), True
        inputs, feeds["r"] = [("r", F, [6])], normal(6)
    else:
        y = decomposed_norm(b, "x", 6)
        outputs = [(next(n.output[0] for n in b.nodes if n.op_type == "Sub"), F, None)]
    events = run(b, [("x", F, shape), *inputs], [(y, F, None), *outputs], feeds)
    assert ("layer_norm_f32" in [e[1] for e in events]) == fires
    if fires:
        assert "Add" in ops(events)  # the sum stays a node of its own


def test_a_norm_that_adds_an_axis_is_left():
    b = models.Builder("norm", opset=17)
    gamma, shift = b.const(normal(6)), b.const(normal(6, seed=2))
    d = b.op("Sub", "x", b.op("ReduceMean", "x", axes=[-1]))
    var = b.op("ReduceMean", b.op("Pow", d, b.const(np.full((1, 1, 1), 2, np.float32))), axes=[-1])
    sd = b.op("Sqrt", b.op("Add", var, b.const(f32(1e-5))))
    y = b.op("Add", b.op("Mul", b.op("Div", d, sd), gamma), shift)
    run(b, [("x", F, ["N", 6])], [(y, F, None)], {"x": normal(4, 6)})


# --- attention -------------------------------------------------------------------------------------------------------------
BATCH, SEQUENCE, HEADS, HEAD = 2, 9, 3, 8
ROWS, TURNED = ["B", "S", HEADS, HEAD], ["B", HEADS, "S", HEAD]


def attention(b, form, scale=1 / HEAD**0.5, mask=None, v="v", axis=-1, key_turn=True, scores_out=None):
    """pytorch: [batch, sequence, head, i], transposed; turned: [batch, head, sequence, i]; scaled q and k: as PyTorch's SDPA."""
    q, k = "q", "k"
    if form != "turned":
        q, v = b.op("Transpose", q, perm=[0, 2, 1, 3]), b.op("Transpose", v, perm=[0, 2, 1, 3])
        if form == "pytorch":
            kt = b.op("Transpose", k, perm=[0, 2, 3, 1])
        else:
            kt = b.op("Transpose", b.op("Transpose", k, perm=[0, 2, 1, 3]), perm=[0, 1, 3, 2])
    else:
        kt = b.op("Transpose", k, perm=[0, 1, 3, 2]) if key_turn else k
    if form == "scaled q and k":
        q, kt = b.op("Mul", q, b.const(f32(scale**0.5))), b.op("Mul", kt, b.const(f32(scale**0.5)))
        s = b.op("MatMul", q, kt)
    else:
        s = b.op("Div", b.op("MatMul", q, kt), b.const(f32(1 / scale)))
    if mask:
        s = b.op("Add", s, mask)
    if scores_out is not None:
        scores_out.append(s)
    y = b.op("MatMul", b.op("Softmax", s, axis=axis), v)
    return b.op("Transpose", y, perm=[0, 2, 1, 3]) if form != "turned" else y


def attention_inputs(form, mask=None):
    shape = ROWS if form != "turned" else TURNED
    numbers = (BATCH, SEQUENCE, HEADS, HEAD) if form != "turned" else (BATCH, HEADS, SEQUENCE, HEAD)
    inputs = [(n, F, shape) for n in "qkv"]
    feeds = {n: normal(*numbers, seed=i) for i, n in enumerate("qkv")}
    if mask:
        inputs.append(("mask", F, mask))
        sizes = {"B": BATCH, "S": SEQUENCE}
        feeds["mask"] = np.where(normal(*[sizes.get(d, d) for d in mask], seed=7) > 0, 0, -1e4).astype(np.float32)
    return inputs, feeds


@pytest.mark.asan_slice
@pytest.mark.parametrize("mask", [None, ["B", 1, 1, "S"], ["S", "S"], ["B", HEADS, "S", "S"], [1, 1, "S", "S"], ["S", 1]], ids=str)
@pytest.mark.parametrize("form", ["pytorch", "turned", "scaled q and k"])
def test_attention_is_one_step(form, mask):
    b = models.Builder("attention")
    inputs, feeds = attention_inputs(form, mask)
    y = attention(b, form, mask="mask" if mask else None)
    events = run(b, inputs, [(y, F, None)], feeds)
    assert [e[1] for e in events] == ["attention_f32"]
    assert {"MatMul", "Softmax"} <= {n.op_type for n in b.nodes if n.name in events[0][2]} or not b.nodes[0].name


ALTERED = ["softmax axis", "scores read", "probabilities out", "masked scores out", "key not turned", "one head of v"]


@pytest.mark.parametrize("what", ALTERED)
def test_what_looks_like_attention_is_left(what):
    b = models.Builder("attention")
    form = "turned"
    inputs, feeds = attention_inputs(form)
    outputs, scores = [], []
    if what == "softmax axis":
        y = attention(b, form, axis=2)
    elif what == "scores read":
        y = attention(b, form, scores_out=scores)
        outputs = [(b.op("Neg", scores[0]), F, None)]
    elif what == "probabilities out":
        y = attention(b, form)
        outputs = [(next(n.output[0] for n in b.nodes if n.op_type == "Softmax"), F, None)]
    elif what == "masked scores out":
        inputs, feeds = attention_inputs(form, ["S", "S"])
        y = attention(b, form, mask="mask", scores_out=scores)
        outputs = [(scores[0], F, None)]
    elif what == "key not turned":
        y = attention(b, form, key_turn=False)
        inputs[1] = ("k", F, ["B", HEADS, HEAD, "S"])
        feeds["k"] = normal(BATCH, HEADS, HEAD, SEQUENCE, seed=1)
    else:
        y = attention(b, form)
        inputs[2] = ("v", F, ["B", 1, "S", HEAD])
        feeds["v"] = normal(BATCH, 1, SEQUENCE, HEAD, seed=2)
    events = run(b, inputs, [(y, F, None), *outputs], feeds)
    assert "attention_f32" not in [e[1] for e in events]
    assert "Softmax" in ops(events)


def test_attention_of_other_lengths():
    """Cross attention: fewer queries than keys, values of another width."""
    b = models.Builder("attention")
    y = attention(b, "turned")
    inputs = [("q", F, ["B", HEADS, "Q", HEAD]), ("k", F, ["B", HEADS, "S", HEAD]), ("v", F, ["B", HEADS, "S", 5])]
    events = run(b, inputs, [(y, F, None)], {"q": normal(2, HEADS, 4, HEAD), "k": normal(2, HEADS, 11, HEAD, seed=1), "v": normal(2, HEADS, 11, 5, seed=2)})
    assert [e[1] for e in events] == ["attention_f32"]


GROUP, PAST = 2, 4


def repeated(b, x, heads, size):
    """Keys or values of each head given to GROUP heads of the queries, as the exporters write repeat_kv."""
    dims = [b.op("Shape", x, start=i, end=i + 1) for i in range(4)]
    wide = b.op("Concat", dims[0], dims[1], b.const(np.array([GROUP], np.int64)), dims[2], dims[3], axis=0)
    y = b.op("Expand", b.op("Unsqueeze", x, b.const(np.array([2], np.int64))), wide)
    return b.op("Reshape", y, b.op("Concat", dims[0], b.const(np.array([heads * GROUP], np.int64)), dims[2], b.const(np.array([size], np.int64)), axis=0))


def decoder(b, form, fill=-3.4e38, group=True):
    """A decoder's layer. gpt2: a product divided, a causal Where, then the mask of padding; llama: heads of k and v repeated, one mask;
    llama, bool mask: weights that are no numbers become 0."""
    q = b.op("Transpose", "q", perm=[0, 2, 1, 3])
    new = [b.op("Transpose", n, perm=[0, 2, 1, 3]) for n in "kv"]
    k, v = [b.op("Concat", f"past_{n}", x, axis=2) for n, x in zip("kv", new)]
    presents = [k, v]
    if form == "gpt2":
        s = b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2]))
        s = b.op("Where", "seen", b.op("Div", s, b.const(f32(HEAD**0.5))), b.const(fill) if not isinstance(fill, str) else fill)
        weights = b.op("Softmax", b.op("Add", s, "mask"), axis=-1)
    else:
        if group:
            k, v = repeated(b, k, HEADS, HEAD), repeated(b, v, HEADS, HEAD)
        root = b.const(f32(HEAD**-0.25))
        s = b.op("MatMul", b.op("Mul", q, root), b.op("Mul", b.op("Transpose", k, perm=[0, 1, 3, 2]), root))
        if form == "llama":
            weights = b.op("Softmax", b.op("Add", s, "mask"), axis=-1)
        else:
            hidden = b.op("Not", "seen")
            p = b.op("Softmax", b.op("Where", hidden, b.const(f32(-np.inf)), s), axis=-1)
            weights = b.op("Where", b.op("IsNaN", p), b.const(f32(0)), p)
    y = b.op("Transpose", b.op("MatMul", weights, v), perm=[0, 2, 1, 3])
    return [y] + presents


def decoder_inputs(form):
    heads, total = HEADS if form == "gpt2" else HEADS * GROUP, PAST + SEQUENCE
    inputs = [("q", F, ["B", "S", heads, HEAD]), ("k", F, ["B", "S", HEADS, HEAD]), ("v", F, ["B", "S", HEADS, HEAD])]
    inputs += [(f"past_{n}", F, ["B", HEADS, "P", HEAD]) for n in "kv"]
    feeds = {"q": normal(BATCH, SEQUENCE, heads, HEAD), "k": normal(BATCH, SEQUENCE, HEADS, HEAD, seed=1), "v": normal(BATCH, SEQUENCE, HEADS, HEAD, seed=2)}
    feeds |= {f"past_{n}": normal(BATCH, HEADS, PAST, HEAD, seed=i) for i, n in enumerate("kv", 3)}
    seen = np.tril(np.ones((1, 1, SEQUENCE, total), bool), PAST)
    if form != "llama":
        inputs.append(("seen", TensorProto.BOOL, [1, 1, "S", "T"]))
        feeds["seen"] = seen
    if form == "llama, bool mask":
        feeds["seen"] = seen & (np.arange(SEQUENCE) != 3).reshape(1, 1, -1, 1)  # one query sees nothing
    elif form == "gpt2":
        inputs.append(("mask", F, ["B", 1, 1, "T"]))
        feeds["mask"] = np.where(normal(BATCH, 1, 1, total, seed=6) > 1, -3.4e38, 0).astype(np.float32)
        feeds["mask"][..., 0] = 0
    else:
        inputs.append(("mask", F, ["B", 1, "S", "T"]))
        feeds["mask"] = np.broadcast_to(np.where(seen, 0, -3.4e38), (BATCH, 1, SEQUENCE, total)).astype(np.float32)
    return inputs, feeds


@pytest.mark.asan_slice
@pytest.mark.parametrize("form", ["gpt2", "llama", "llama, bool mask"])
def test_attention_of_a_decoder_is_one_step(form):
    b = models.Builder("decoder", opset=18)
    inputs, feeds = decoder_inputs(form)
    outputs = decoder(b, form, f32(-3.4e38))
    events = run(b, inputs, [(o, F, None) for o in outputs], feeds)
    assert [e[1] for e in events].count("attention_f32") == 1
    assert not {"MatMul", "Softmax", "Where", "Expand"} & set(ops(events))


def test_a_where_of_unknown_filling_is_left():
    b = models.Builder("decoder", opset=18)
    inputs, feeds = decoder_inputs("gpt2")
    outputs = decoder(b, "gpt2", "fill")
    events = run(b, inputs + [("fill", F, [])], [(o, F, None) for o in outputs], feeds | {"fill": np.array(-9, np.float32)})
    assert "attention_f32" not in [e[1] for e in events]


# --- products --------------------------------------------------------------------------------------------------------------
@pytest.mark.asan_slice
@pytest.mark.parametrize("form", ["MatMul", "MatMul, bias first", "Gemm", "Gemm, transposed", "Gemm without a bias"])
@pytest.mark.parametrize("act", [None, "Relu", "gelu", "Tanh"])
def test_bias_and_activation_go_into_the_product(form, act):
    b = models.Builder("product")
    w, bias = normal(12, 20, seed=1), b.const(normal(20, seed=2))
    if form == "Gemm":
        y = b.op("Gemm", "x", b.const(w), bias)
    elif form == "Gemm, transposed":
        y = b.op("Gemm", "x", b.const(np.ascontiguousarray(w.T)), bias, transB=1)
    elif form == "Gemm without a bias":
        y = b.op("Add", b.op("Gemm", "x", b.const(w)), bias)
    else:
        y = b.op("MatMul", "x", b.const(w))
        y = b.op("Add", bias, y) if "first" in form else b.op("Add", y, bias)
    if act:
        y = b.gelu(y) if act == "gelu" else b.op(act, y)
    events = run(b, [("x", F, ["N", 12])], [(y, F, None)], {"x": normal(5, 12)})
    assert ops(events) == ["MatMul"]
    assert events[0][1].startswith("gemm_f32")
    assert len(events[0][2]) == len(b.nodes)


def test_a_residual_goes_into_the_product():
    b = models.Builder("product")
    y = b.op("Relu", b.op("Add", b.linear("x", 12, 20), "r"))
    events = run(b, [("x", F, ["N", "S", 12]), ("r", F, ["N", "S", 20])], [(y, F, None)], {"x": normal(2, 5, 12), "r": normal(2, 5, 20, seed=3)})
    assert ops(events) == ["MatMul"]


PRODUCTS_LEFT = {
    "the product is an output": ("Add", lambda b, y: (b.op("Add", y, b.const(normal(20))), [y])),
    "the bias is one a row": ("Add", lambda b, y: (b.op("Add", y, b.const(normal(5, 1))), [])),
    "the bias adds an axis": ("Add", lambda b, y: (b.op("Add", y, b.const(normal(2, 1, 20))), [])),
    "the residual broadcasts": ("Add", lambda b, y: (b.op("Add", y, "r"), [])),
    "the product is added to itself": ("Add", lambda b, y: (b.op("Add", y, y), [])),
    "bounds of the Clip are inputs": ("Clip", lambda b, y: (b.op("Clip", y, "low"), [])),
}


@pytest.mark.parametrize("name", PRODUCTS_LEFT)
def test_what_cannot_go_into_the_product(name):
    b = models.Builder("product")
    op, make = PRODUCTS_LEFT[name]
    product = b.op("MatMul", "x", b.const(normal(12, 20, seed=1)))
    y, more = make(b, product)
    feeds = {"x": normal(5, 12), "r": normal(1, 20), "low": np.array(-0.2, np.float32)}
    used = {i for n in b.nodes for i in n.input}
    inputs = [i for i in [("x", F, [5, 12]), ("r", F, [1, 20]), ("low", F, [])] if i[0] in used]
    events = run(b, inputs, [(y, F, None)] + [(m, F, None) for m in more], {k: v for k, v in feeds.items() if k in used})
    assert op in ops(events)


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}, {"transA": 1}], ids=str)
def test_a_gemm_with_factors_is_right(attributes):
    b = models.Builder("product")
    y = b.op("Relu", b.op("Gemm", "x", b.const(normal(12, 20, seed=1)), b.const(normal(20, seed=2)), **attributes))
    shape = (12, 5) if "transA" in attributes else (5, 12)
    run(b, [("x", F, list(shape))], [(y, F, None)], {"x": normal(*shape)})


# --- 16-bit floats ----------------------------------------------------------------------------------------------------------
H, B = TensorProto.FLOAT16, TensorProto.BFLOAT16


def halves(b, x, rows=16):
    """Two layers in float16, a move of elements between them."""
    def const(*shape):
        return b.const((b.rng.standard_normal(shape) * 0.3).astype(np.float16))
    y = b.op("Relu", b.op("Add", b.op("MatMul", x, const(rows, 24)), const(24)))
    y = b.op("Reshape", b.op("Transpose", y, perm=[1, 0]), b.i64([-1, 24]))
    return b.op("Softmax", b.op("MatMul", y, const(24, 8)), axis=-1)


def run_halves(b, y, infos, feeds):
    model = serialized(b, *infos)
    session = kapell_c.Session(model, profile_path="/dev/null", threads=1)
    got = session.run(feeds)[0]
    want = ort.InferenceSession(model).run(None, feeds)[0]
    np.testing.assert_allclose(got.astype(np.float32), want.astype(np.float32), atol=2e-3)
    events = json.loads(session.profile_json())["traceEvents"]
    return [e["args"]["op"] for e in events if e["cat"] != "partition"]


@pytest.mark.asan_slice
def test_halves_are_widened_once_with_inputs_in_float16():
    b = models.Builder("halves")
    y = halves(b, "x")
    kinds = run_halves(b, y, ([("x", H, [24, 16])], [(y, H, None)]), {"x": normal(24, 16).astype(np.float16)})
    assert kinds.count("Cast") == 2 and kinds.count("MatMul") == 2 and "Add" not in kinds


def test_halves_are_widened_once_with_inputs_in_float32():
    b = models.Builder("halves")
    y = b.op("Cast", halves(b, b.op("Cast", "x", to=H)), to=F)
    kinds = run_halves(b, y, ([("x", F, [24, 16])], [(y, F, None)]), {"x": normal(24, 16)})
    assert kinds.count("MatMul") == 2 and "Add" not in kinds
    assert kinds.count("Cast") == 2  # to float16, which rounds, and back: the model's own rounding stays


def test_a_choice_between_halves_is_not_rounded():
    """Where, whose first input is no float: 1 + 2^-12 survives it."""
    b = models.Builder("chosen")
    one = b.op("Cast", b.const(f32([1])), to=H)
    chosen = b.op("Where", "c", b.op("Add", b.op("Cast", "x", to=H), one), one)
    y = b.op("Cast", b.op("Sub", chosen, one), to=F)
    session = kapell_c.Session(serialized(b, [("x", F, [2]), ("c", TensorProto.BOOL, [2])], [(y, F, None)]))
    got = session.run({"x": f32([2.0**-12, 2.0**-12]), "c": np.array([True, False])})[0]
    np.testing.assert_array_equal(got, f32([2.0**-12, 0]))


def test_a_rounding_that_the_model_writes_stays():
    """Cast to float16 in the middle of float32: 1 + 2^-12 becomes 1 there."""
    b = models.Builder("rounding")
    y = b.op("Mul", b.op("Cast", b.op("Cast", b.op("Add", "x", b.const(f32(1))), to=H), to=F), b.const(f32(2)))
    session = kapell_c.Session(serialized(b, [("x", F, [3])], [(y, F, None)]))
    np.testing.assert_array_equal(session.run({"x": np.array([2.0**-12, 2.0**-9, 0.5], np.float32)})[0], f32([2, 2 + 2.0**-8, 3]))


def test_bfloat16_between_layers_is_not_rounded():
    """Differences that bfloat16 cannot hold survive from one node to the next, as the pass promises."""
    b = models.Builder("wide")
    y = b.op("Cast", b.op("Sub", b.op("Add", b.op("Cast", "x", to=B), b.op("Cast", b.const(f32(256)), to=B)), b.op("Cast", b.const(f32(256)), to=B)), to=F)
    b.opset = 18
    session = kapell_c.Session(serialized(b, [("x", F, [2])], [(y, F, None)]))
    np.testing.assert_array_equal(session.run({"x": f32([0.5, 0.25])})[0], f32([0.5, 0.25]))
