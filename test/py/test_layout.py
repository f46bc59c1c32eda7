"""Channels-last layout: operators between convolutions follow it, nothing is transposed around them, and the numbers are right.

The draws of test_ops.py have no constant filters and so never come here. Numbers are compared with ONNX Runtime.
"""

import kapell_c
import models
import numpy as np
import pytest
from onnx import TensorProto
from test_fusion import normal, ops, run, serialized

F = TensorProto.FLOAT


def builder(opset=17, channels=8):
    b = models.Builder("layout", opset=opset)
    b.first = b.op("Conv", "x", b.const(normal(channels, 3, 3, 3, seed=1)), pads=[1, 1, 1, 1])
    return b


def finish(b, y, feeds, channels=8):
    """A convolution after |y|, so that both sides are channels-last."""
    y = b.op("Conv", y, b.const(normal(4, channels, 1, 1, seed=2)))
    return run(b, [("x", F, ["n", 3, 9, 11])], [(y, F, None)], feeds)


RESIZES = {
    "nearest": dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "nearest, half pixel": dict(mode="nearest", coordinate_transformation_mode="half_pixel"),
    "linear": dict(mode="linear", coordinate_transformation_mode="half_pixel"),
    "linear, aligned": dict(mode="linear", coordinate_transformation_mode="align_corners"),
    "cubic": dict(mode="cubic", coordinate_transformation_mode="pytorch_half_pixel"),
}


@pytest.mark.parametrize("form", ["scales", "sizes"])
@pytest.mark.parametrize("name", RESIZES)
def test_resize_follows(name, form):
    b = builder()
    extra = [b.const(np.array([1, 1, 2, 2], np.float32))] if form == "scales" else ["", b.const(np.array([1, 8, 13, 30], np.int64))]
    y = b.op("Resize", b.first, "", *extra, **RESIZES[name])
    events = finish(b, y, {"x": normal(1, 3, 9, 11)})
    assert ops(events) == ["Conv", "Resize", "Conv", "Transpose"]


@pytest.mark.parametrize("axes", [[2, 3], [3, 2], [-1], [1, 2]])
def test_resize_with_axes_follows(axes):
    b = builder(18)
    y = b.op("Resize", b.first, "", b.const(np.array([2.0, 3.0][:len(axes)], np.float32)), axes=axes, mode="nearest")
    events = finish(b, y, {"x": normal(2, 3, 9, 11)}, 16 if 1 in axes else 8)
    assert ops(events) == ["Conv", "Resize", "Conv", "Transpose"]


def test_upsample_follows():
    b = builder(9)
    y = b.op("Upsample", b.first, b.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    assert ops(finish(b, y, {"x": normal(1, 3, 9, 11)})) == ["Conv", "Resize", "Conv", "Transpose"]


def test_a_decoder_is_not_transposed():
    b = builder()
    small = b.op("MaxPool", b.op("Relu", b.first), kernel_shape=[1, 1], strides=[1, 1])
    up = b.op("Resize", small, "", b.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    wide = b.op("ConvTranspose", b.first, b.const(normal(8, 8, 2, 2, seed=4)), b.const(normal(8, seed=5)), strides=[2, 2])
    y = b.op("Concat", up, wide, axis=1)
    assert ops(finish(b, y, {"x": normal(1, 3, 9, 11)}, 16)).count("Transpose") == 1


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_split_follows(opset):
    b = builder(opset)
    if opset == 13:
        parts = b.op("Split", b.first, b.i64([3, 5]), axis=1, outputs=2)
    else:
        parts = b.op("Split", b.first, axis=-3, outputs=2, **({"num_outputs": 2} if opset == 18 else {"split": [6, 2]}))
    y = b.op("Concat", b.op("Relu", parts[1]), parts[0], b.first, axis=1)
    assert ops(finish(b, y, {"x": normal(1, 3, 9, 11)}, 16)).count("Transpose") == 1


TRANSPOSED = {
    "2x2": (dict(strides=[2, 2]), [2, 2]),
    "4x4": (dict(strides=[2, 2], pads=[1, 1, 1, 1]), [4, 4]),
    "3x3, output padding": (dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]), [3, 3]),
    "uneven": (dict(strides=[3, 2], dilations=[2, 3], pads=[1, 0, 2, 1]), [3, 2]),
    "gaps": (dict(strides=[3, 4]), [2, 1]),
    "same upper": (dict(strides=[2, 3], auto_pad="SAME_UPPER"), [3, 4]),
    "same lower": (dict(strides=[2, 3], auto_pad="SAME_LOWER"), [3, 4]),
    "output shape": (dict(strides=[2, 2], output_shape=[17, 20]), [3, 3]),
    "stride 1": (dict(pads=[1, 1, 1, 1]), [3, 3]),
}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name, groups):
    attributes, kernel = TRANSPOSED[name]
    b = builder(channels=16)
    filters, bias = b.const(normal(16, 24 // groups, *kernel, seed=3)), b.const(normal(24, seed=4))
    y = b.op("Relu", b.op("ConvTranspose", b.first, filters, bias, group=groups, **attributes))
    assert ops(finish(b, y, {"x": normal(2, 3, 9, 11)}, 24)) == ["Conv", "ConvTranspose", "Conv", "Transpose"]


def test_transposed_convolution_of_a_wide_row():
    b = models.Builder("layout", opset=17)
    y = b.op("ConvTranspose", "x", b.const(normal(3, 130, 3, seed=1)), strides=[2], pads=[1, 0])
    run(b, [("x", F, [1, 3, 500])], [(y, F, None)], {"x": normal(1, 3, 500)})


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("activation,params", [("Relu", []), ("Clip", [-1.0, 1.0]), ("LeakyRelu", [0.2]), ("HardSigmoid", [0.3, 0.4])])
def test_fused_convolution(activation, params, added):
    b = builder()
    extra = {"activation_params": params} if params else {}
    inputs = [b.first, b.const(normal(8, 8, 3, 3, seed=3)), b.const(normal(8, seed=4))] + [b.op("Neg", b.first)] * added
    y = b.op("FusedConv", *inputs, domain="com.microsoft", pads=[1, 1, 1, 1], activation=activation, **extra)
    events = finish(b, y, {"x": normal(1, 3, 9, 11)})
    assert ops(events) == ["Conv"] + ["Neg"] * added + ["Conv", "Conv", "Transpose"]


# --- three spatial dims ----------------------------------------------------------------------------------------------------------------
def solid(channels=8):
    b = models.Builder("layout", opset=19)
    b.first = b.op("Conv", "x", b.const(normal(channels, 3, 3, 3, 3, seed=1)), pads=[1] * 6)
    return b


def finish_solid(b, y, channels=8, batch=2):
    y = b.op("Conv", y, b.const(normal(4, channels, 1, 1, 1, seed=2)))
    return run(b, [("x", F, ["n", 3, 5, 9, 11])], [(y, F, None)], {"x": normal(batch, 3, 5, 9, 11)})


SOLIDS = {
    "3x3x3": (dict(pads=[1] * 6), [3, 3, 3]),
    "one slice deep": (dict(pads=[0, 1, 1, 0, 1, 1], strides=[1, 2, 1]), [1, 3, 3]),
    "one slice deep, every other": (dict(strides=[2, 1, 1]), [1, 3, 3]),
    "one pixel wide": (dict(pads=[1, 0, 0, 2, 0, 0], strides=[2, 1, 1], dilations=[2, 1, 1]), [3, 1, 1]),
    "one pixel, every other": (dict(strides=[2, 2, 2]), [1, 1, 1]),
    "uneven": (dict(pads=[0, 1, 2, 1, 0, 1], strides=[2, 1, 2], dilations=[1, 2, 1]), [2, 3, 2]),
    "same upper": (dict(auto_pad="SAME_UPPER", strides=[2, 2, 1]), [2, 3, 4]),
    "same lower": (dict(auto_pad="SAME_LOWER", strides=[2, 2, 1]), [2, 3, 4]),
    "slices of padding": (dict(pads=[6, 1, 1, 9, 1, 1], dilations=[2, 1, 1]), [3, 3, 3]),
    "groups": (dict(pads=[1] * 6, group=2), [3, 3, 3]),
    "depthwise": (dict(pads=[1] * 6, strides=[1, 2, 2], group=8), [3, 3, 3]),
}


@pytest.mark.asan_slice
@pytest.mark.parametrize("name", SOLIDS)
def test_solid_convolution(name):
    attributes, kernel = SOLIDS[name]
    b = solid()
    y = b.op("Conv", b.first, b.const(normal(8, 8 // attributes.get("group", 1), *kernel, seed=3)), b.const(normal(8, seed=4)), **attributes)
    y = b.op("LeakyRelu", y, alpha=0.1)
    assert ops(finish_solid(b, y)) == ["Transpose", "Conv", "Conv", "Conv", "Transpose"]


SOLID_TRANSPOSED = {
    "2x2x2": (dict(strides=[2, 2, 2]), [2, 2, 2]),
    "4x4x3": (dict(strides=[2, 2, 1], pads=[1] * 6, output_padding=[1, 0, 0]), [4, 4, 3]),
    "uneven": (dict(strides=[3, 1, 2], dilations=[1, 2, 3], pads=[1, 0, 2, 0, 1, 0]), [2, 3, 2]),
    "gaps": (dict(strides=[3, 2, 4]), [1, 2, 1]),
    "same upper": (dict(strides=[2, 3, 2], auto_pad="SAME_UPPER"), [3, 3, 4]),
}


@pytest.mark.asan_slice
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", SOLID_TRANSPOSED)
def test_solid_transposed_convolution(name, groups):
    attributes, kernel = SOLID_TRANSPOSED[name]
    b = solid(16)
    filters, bias = b.const(normal(16, 24 // groups, *kernel, seed=3)), b.const(normal(24, seed=4))
    y = b.op("Relu", b.op("ConvTranspose", b.first, filters, bias, group=groups, **attributes))
    assert ops(finish_solid(b, y, 24)) == ["Transpose", "Conv", "ConvTranspose", "Conv", "Transpose"]


@pytest.mark.parametrize("name", ["3x3x3", "slices of padding", "depthwise"])
def test_solid_convolution_takes_a_residual(name):
    attributes, kernel = {"3x3x3": SOLIDS["3x3x3"], "slices of padding": (dict(pads=[2, 1, 1, 2, 1, 1], dilations=[2, 1, 1]), [3, 3, 3]),
                          "depthwise": (dict(pads=[1] * 6, group=8), [3, 3, 3])}[name]
    b = solid()
    y = b.op("Conv", b.op("Relu", b.first), b.const(normal(8, 8 // attributes.get("group", 1), *kernel, seed=3)), b.const(normal(8, seed=4)), **attributes)
    y = b.op("Sigmoid", b.op("Add", y, b.first))
    assert ops(finish_solid(b, y)) == ["Transpose", "Conv", "Relu", "Conv", "Conv", "Transpose"]


POOLS = {
    "max": ("MaxPool", dict(kernel_shape=[2, 2, 2], strides=[2, 2, 2])),
    "max, overlapping": ("MaxPool", dict(kernel_shape=[3, 3, 2], pads=[1, 1, 0, 1, 1, 1], dilations=[2, 1, 1])),
    "max, ceil": ("MaxPool", dict(kernel_shape=[2, 3, 2], strides=[2, 2, 3], ceil_mode=1)),
    "average": ("AveragePool", dict(kernel_shape=[2, 2, 3], pads=[1, 1, 1, 0, 1, 1])),
    "average, padding counts": ("AveragePool", dict(kernel_shape=[3, 2, 3], pads=[2, 1, 1, 1, 1, 2], count_include_pad=1, strides=[2, 1, 1])),
    "average, ceil": ("AveragePool", dict(kernel_shape=[2, 2, 2], strides=[2, 2, 2], ceil_mode=1)),
    "global average": ("GlobalAveragePool", {}),
    "global max": ("GlobalMaxPool", {}),
}


@pytest.mark.asan_slice
@pytest.mark.parametrize("name", POOLS)
def test_solid_pool(name):
    op, attributes = POOLS[name]
    b = solid()
    events = finish_solid(b, b.op(op, b.first, **attributes))
    assert ops(events) == ["Transpose", "Conv", op, "Conv", "Transpose"]


@pytest.mark.asan_slice
@pytest.mark.parametrize("act", [None, "Relu", "LeakyRelu"])
@pytest.mark.parametrize("rank", [3, 4, 5])
def test_instance_normalization_follows(rank, act):
    b = models.Builder("layout", opset=17)
    rest = [9, 11, 5][:rank - 2]
    y = b.op("Conv", "x", b.const(normal(70, 3, *[3] * (rank - 2), seed=1)), pads=[1] * (2 * rank - 4))
    y = b.op("InstanceNormalization", y, b.const(normal(70, seed=3)), "shift", epsilon=1e-3)
    y = b.op(act, y) if act else y
    y = b.op("Conv", y, b.const(normal(4, 70, *[1] * (rank - 2), seed=2)))
    events = run(b, [("x", F, ["n", 3, *rest]), ("shift", F, [70])], [(y, F, None)], {"x": normal(2, 3, *rest), "shift": normal(70, seed=4)})
    assert ops(events)[-4:] == ["Conv", "InstanceNormalization", "Conv", "Transpose"]


def test_an_instance_normalization_without_a_convolution_is_left():
    b = models.Builder("layout", opset=17)
    y = b.op("InstanceNormalization", "x", b.const(normal(3, seed=3)), b.const(normal(3, seed=4)))
    assert ops(run(b, [("x", F, ["n", 3, 9])], [(y, F, None)], {"x": normal(2, 3, 9)})) == ["InstanceNormalization"]


def test_convolution_that_is_channels_last_in_the_file():
    w, bias = normal(6, 4, 3, 3, seed=1), normal(6, seed=2)
    x = normal(2, 9, 11, 4)
    graph = {}
    for name in ("NhwcFusedConv", "Conv"):
        b = models.Builder("layout")
        if name == "Conv":
            y = b.op("Transpose", "x", perm=[0, 3, 1, 2])
            y = b.op("Relu", b.op("Conv", y, b.const(w), b.const(bias), pads=[1, 1, 1, 1], strides=[2, 1]))
            y = b.op("Transpose", y, perm=[0, 2, 3, 1])
        else:
            y = b.op(name, "x", b.const(w), b.const(bias), domain="com.microsoft", pads=[1, 1, 1, 1], strides=[2, 1], activation="Relu")
        session = kapell_c.Session(serialized(b, [("x", F, ["n", 9, 11, 4])], [(y, F, None)]), threads=1)
        graph[name] = session.run({"x": x})[0]
    np.testing.assert_allclose(graph["NhwcFusedConv"], graph["Conv"], rtol=1e-5, atol=1e-5)
