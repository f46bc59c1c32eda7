"""Draws of quantization in ai.onnx: linear quantization both ways, and the integer and quantized products."""

import ml_dtypes
import numpy as np
from onnx.helper import np_dtype_to_tensor_dtype

from .base import axis, dims, oracle, pick, spec
from .window import window

BF16 = ml_dtypes.bfloat16
BYTES = [np.int8, np.uint8]
FP8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]


def quantized_types(version):
    """The narrow types of QuantizeLinear and DequantizeLinear."""
    types = list(BYTES)
    if version >= 19:
        types += FP8
    if version >= 21:
        types += [np.int16, np.uint16, ml_dtypes.int4, ml_dtypes.uint4]
    if version >= 23:
        types += [ml_dtypes.float4_e2m1fn]
    if version >= 25:
        types += [ml_dtypes.int2, ml_dtypes.uint2]
    if version >= 28:
        types += [ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn]
    return types


def is_integer(dtype):
    return np.dtype(dtype).kind in "iu" or dtype in (ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2)


def bounds(dtype):
    info = ml_dtypes.iinfo(dtype)
    return int(info.min), int(info.max)


def numbers(rng, shape, dtype):
    """Anything that |dtype| holds."""
    if is_integer(dtype):
        low, high = bounds(dtype)
        return np.asarray(rng.integers(low, high + 1, shape, dtype=np.int64)).astype(dtype)
    return np.asarray(rng.normal(0, 3, shape)).astype(dtype)


def granularity(rng, version, shape):
    """Attributes and the shape of scales over a tensor of |shape|."""
    kind = rng.random()
    if not shape or kind < 0.3 or version < 13:
        return {}, pick(rng, [[], [], [1]])
    at = axis(rng, len(shape))
    attrs = {} if len(shape) > 1 and at == 1 and rng.random() < 0.5 else {"axis": at}
    if version < 21 or kind < 0.65:
        return attrs, [shape[at]]
    block = int(rng.integers(1, max(shape[at], 1) + 1))
    scales = list(shape)
    scales[at] = -(-shape[at] // block)
    return {**attrs, "block_size": block}, scales


def scales(rng, shape, dtype):
    if dtype == ml_dtypes.float8_e8m0fnu:
        return np.asarray(2.0 ** rng.integers(-4, 4, shape)).astype(dtype)
    if dtype == np.int32:
        return np.asarray(rng.integers(1, 5, shape)).astype(dtype)
    return np.asarray(rng.uniform(0.05, 2, shape)).astype(dtype)


@spec("QuantizeLinear")
def quantize(rng, version, name):
    wide = [np.float32, np.int32] + ([np.float16, BF16] if version >= 19 else [])
    x_type = pick(rng, wide) if rng.random() < 0.5 else np.float32
    scale_type = np.float32
    if 19 <= version < 23:
        scale_type = x_type
    elif version >= 23:
        scale_type = pick(rng, [x_type, np.float32, np.float16, BF16] + ([ml_dtypes.float8_e8m0fnu] if version >= 24 else []))
    y_type = pick(rng, quantized_types(version)) if rng.random() < 0.8 else np.uint8
    shape = dims(rng, low=0, high=pick(rng, [4, 8, 40]))
    attrs, scale_shape = granularity(rng, version, shape)
    scale = scales(rng, scale_shape, scale_type)
    spread = max(abs(b) for b in bounds(y_type)) if is_integer(y_type) else 200
    if version >= 23 and rng.random() < 0.3:
        attrs["precision"] = pick(rng, [1, 10, 16])
    if np.float16 in (x_type, scale_type) or attrs.get("precision") == 10:
        spread = min(spread, 500)  # quotients beyond float16 are infinite, which the reference makes INT_MIN of
    x = np.asarray(rng.normal(0, spread, shape))
    if x_type != np.int32 and not is_integer(y_type) and y_type in FP8:
        x = np.where(rng.random(shape) < 0.05, pick(rng, [np.inf, -np.inf, np.nan, 1e6]), x)
    x = np.asarray(x).astype(x_type)
    zero = None
    if is_integer(y_type):
        zero = numbers(rng, scale_shape, y_type)
    elif y_type != np.uint8:
        zero = np.zeros(scale_shape, y_type)
    if version >= 19 and rng.random() < 0.3:
        attrs["saturate"] = 0
    if version >= 21 and rng.random() < 0.4:
        attrs["output_dtype"] = int(np_dtype_to_tensor_dtype(np.dtype(y_type)))
        zero = pick(rng, [zero, None])
    elif y_type == np.uint8 and rng.random() < 0.5:
        zero = None
    return attrs, [x, scale, zero]


@spec("DequantizeLinear")
def dequantize(rng, version, name):
    x_type = pick(rng, [*quantized_types(version), np.int32, np.int8, np.uint8])
    scale_type = np.float32 if version < 19 else pick(rng, [np.float32, np.float32, np.float16, BF16])
    if version >= 24 and rng.random() < 0.2:
        scale_type = ml_dtypes.float8_e8m0fnu
    shape = dims(rng, low=0, high=pick(rng, [4, 8, 40]))
    attrs, scale_shape = granularity(rng, version, shape)
    x = numbers(rng, shape, x_type) if x_type != np.int32 else rng.integers(-1000000, 1000000, shape).astype(np.int32)
    zero = None
    if x_type == np.int32:
        zero = pick(rng, [None, np.zeros(scale_shape, np.int32)])
    elif is_integer(x_type):
        zero = pick(rng, [None, numbers(rng, scale_shape, x_type)])
    if version >= 23 and (scale_type == ml_dtypes.float8_e8m0fnu or rng.random() < 0.3):
        attrs["output_dtype"] = pick(rng, [1, 10, 16])
    return attrs, [x, scales(rng, scale_shape, scale_type), zero]


@spec("DynamicQuantizeLinear", tolerance=(1e-6, 1e-7))
def dynamic_quantize(rng, version, name):
    shape = dims(rng, low=1, high=pick(rng, [4, 40]))
    x = np.asarray(rng.normal(rng.normal(0, 3), 2, shape)).astype(np.float32)
    return {}, [np.zeros_like(x) if rng.random() < 0.1 else x], ["y", "scale", "zero"]


def product_shapes(rng):
    """Shapes of two factors that numpy.matmul takes."""
    m, k, n = (int(rng.integers(1, pick(rng, [4, 20, 70]))) for _ in range(3))
    if rng.random() < 0.05:
        m, k, n = rng.permutation([0, k, n])
    a, b = [m, k], [k, n]
    batch = dims(rng, rank=int(rng.integers(0, 3)), low=1, high=4)
    lead_a = [1 if rng.random() < 0.2 else d for d in batch]
    lead_b = [1 if rng.random() < 0.2 else d for d in batch][int(rng.integers(0, len(batch) + 1)):]
    if rng.random() < 0.1:
        return a[1:], lead_b + b
    if rng.random() < 0.1:
        return lead_a + a, b[:1]
    return lead_a + [int(v) for v in a], lead_b + [int(v) for v in b]


def along(rng, shape, rows):
    """Shape of zero points over a factor: one, or one a row of A, or one a column of B."""
    if len(shape) < 2 or rng.random() < 0.5:
        return pick(rng, [[], [1]])
    if len(shape) == 2 and rng.random() < 0.5:
        return [shape[0 if rows else 1]]
    return [*shape[:-1], 1] if rows else [*shape[:-2], 1, shape[-1]]


def spread(values, shape, rows):
    """|values| as they broadcast against a factor."""
    values = np.asarray(values)
    if rows and values.ndim == 1 and values.size != 1:
        return values[:, None]
    return values.reshape(()) if values.size == 1 and values.ndim == 1 else values


@spec("MatMulInteger")
def matmul_integer(rng, version, name):
    a, b = product_shapes(rng)
    a_type, b_type = pick(rng, BYTES), pick(rng, BYTES)
    return {}, [numbers(rng, a, a_type), numbers(rng, b, b_type), pick(rng, [None, numbers(rng, along(rng, a, True), a_type)]),
                pick(rng, [None, numbers(rng, along(rng, b, False), b_type)])]


def exact_product(a, b, a_zero, b_zero):
    a32, b32 = a.astype(np.int32), b.astype(np.int32)
    if a_zero is not None:
        a32 = a32 - spread(a_zero, a.shape, True).astype(np.int32)
    if b_zero is not None:
        b32 = b32 - spread(b_zero, b.shape, False).astype(np.int32)
    return np.matmul(a32, b32)


@oracle("MatMulInteger", why="the reference broadcasts zero points of rows along columns")
def matmul_integer_oracle(version, attrs, inputs):
    return [exact_product(*inputs, *[None] * (4 - len(inputs)))]


@spec("QLinearMatMul")
def qlinear_matmul(rng, version, name):
    a, b = product_shapes(rng)
    types = BYTES + (FP8 if version >= 21 and rng.random() < 0.3 else [])
    a_type, b_type, y_type = (pick(rng, types) for _ in range(3))
    if {a_type, b_type, y_type} & set(FP8):
        a_type, b_type, y_type = (pick(rng, FP8) for _ in range(3))
    scale_type = pick(rng, [np.float32, np.float16, BF16]) if version >= 21 and rng.random() < 0.4 else np.float32
    a_zero, b_zero = along(rng, a, True), along(rng, b, False)
    def zero(shape, dtype):
        return numbers(rng, shape, dtype) if is_integer(dtype) else np.zeros(shape, dtype)
    k = max(a[-1], 1)
    y_scale = np.asarray(rng.uniform(0.5, 1) * np.sqrt(k) * 60 * 0.05).astype(scale_type)
    return {}, [numbers(rng, a, a_type), (scales(rng, a_zero, np.float32) * 0.1).astype(scale_type), zero(a_zero, a_type),
                numbers(rng, b, b_type), scales(rng, b_zero, np.float32).astype(scale_type), zero(b_zero, b_type),
                y_scale, zero([], y_type)]


def requantize(sums, scale, zero):
    """Rounded before the zero point is added, as the schema has it."""
    if not is_integer(zero.dtype.type):
        return (sums.astype(np.float32) * scale).astype(zero.dtype)
    low, high = bounds(zero.dtype.type)
    return np.clip(np.rint(sums.astype(np.float32) * scale) + zero.astype(np.float32), low, high).astype(zero.dtype)


@oracle("QLinearMatMul", why="the reference rounds after adding the zero point, and knows no scale of a row")
def qlinear_matmul_oracle(version, attrs, inputs):
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    if not is_integer(a.dtype.type):
        left, right = a.astype(np.float64), b.astype(np.float64)
        sums = np.matmul(left, right)
        scale = np.asarray(spread(a_scale, a.shape, True).astype(np.float64) * spread(b_scale, b.shape, False).astype(np.float64))
        return [(sums * fit(scale, sums, a, b) / y_scale.astype(np.float64)).astype(np.float32).astype(y_zero.dtype)]
    sums = exact_product(a, b, a_zero, b_zero)
    rows = spread(a_scale, a.shape, True).astype(np.float32)
    columns = spread(b_scale, b.shape, False).astype(np.float32)
    if rows.size != 1:
        columns = (columns / y_scale.astype(np.float32))
    else:
        rows, columns = np.float32(1), rows.reshape(()) * columns / y_scale.astype(np.float32)
    scale = np.asarray(rows * columns, np.float32)
    return [requantize(sums, fit(scale, sums, a, b), y_zero)]


def fit(scale, sums, a, b):
    """Scales of rows and columns against a product whose factors may have been vectors."""
    if scale.ndim < 2:
        return scale
    if a.ndim == 1:
        scale = scale[..., 0, :]
    if b.ndim == 1:
        scale = scale[..., 0]
    return scale


@spec("ConvInteger")
def conv_integer(rng, version, name):
    attrs, x, w = conv_factors(rng)
    x_zero = pick(rng, [None, numbers(rng, [], x.dtype.type)])
    w_zero = pick(rng, [None, numbers(rng, pick(rng, [[], [w.shape[0]]]), w.dtype.type)])
    return attrs, [x, w, x_zero, w_zero]


def conv_factors(rng):
    rank = int(rng.integers(1, 4))
    groups, ic, oc = int(rng.integers(1, 4)), int(rng.integers(1, 20)), int(rng.integers(1, 20))
    kind = rng.random()
    if kind < 0.3:
        groups, ic, oc = int(rng.integers(2, 40)), 1, int(rng.integers(1, 3))
    elif kind < 0.6:
        groups = 1
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    attrs = {**window(rng, rank), "group": groups}
    if rng.random() < 0.7:
        attrs["kernel_shape"] = kernel
    batch = 0 if rng.random() < 0.03 else int(rng.integers(1, 3))
    x = numbers(rng, [batch, groups * ic, *[int(rng.integers(7, 12)) for _ in range(rank)]], pick(rng, BYTES))
    return attrs, x, numbers(rng, [groups * oc, ic, *kernel], pick(rng, BYTES))


def exact_conv(attrs, x, w, x_zero, w_zero):
    """Sums of a convolution: numpy over a padded picture, tap by tap."""
    rank, groups = x.ndim - 2, attrs["group"]
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    kernel, size = w.shape[2:], x.shape[2:]
    pads = attrs.get("pads", [0] * 2 * rank)
    mode = attrs.get("auto_pad", "NOTSET")
    if mode.startswith("SAME"):
        total = [max((-(-s // st) - 1) * st + (k - 1) * d + 1 - s, 0) for s, st, k, d in zip(size, strides, kernel, dilations)]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if mode == "SAME_UPPER" else large + small
    x32 = x.astype(np.int32) - (0 if x_zero is None else x_zero.astype(np.int32))
    zero = 0 if w_zero is None else w_zero.astype(np.int32).reshape([-1] + [1] * (w.ndim - 1))
    w32 = w.astype(np.int32) - zero
    x32 = np.pad(x32, [(0, 0), (0, 0)] + list(zip(pads[:rank], pads[rank:])))
    out = [(p - (k - 1) * d - 1) // st + 1 for p, k, d, st in zip(x32.shape[2:], kernel, dilations, strides)]
    y = np.zeros([x.shape[0], groups, w.shape[0] // groups, *out], np.int32)
    for tap in np.ndindex(*kernel):
        seen = x32[(slice(None), slice(None), *[slice(t * d, t * d + (o - 1) * st + 1, st)
                                                for t, d, o, st in zip(tap, dilations, out, strides)])]
        seen = seen.reshape([x.shape[0], groups, x.shape[1] // groups, *out])
        taps = w32[(slice(None), slice(None), *tap)].reshape([groups, w.shape[0] // groups, -1])
        y += np.einsum("bgc...,goc->bgo...", seen, taps)
    return y.reshape([x.shape[0], w.shape[0], *out])


@oracle("ConvInteger", why="the reference takes zero points of channels for two spatial dims alone")
def conv_integer_oracle(version, attrs, inputs):
    return [exact_conv(attrs, *inputs, *[None] * (4 - len(inputs)))]


@spec("QLinearConv")
def qlinear_conv(rng, version, name):
    attrs, x, w = conv_factors(rng)
    channels = pick(rng, [[], [1], [w.shape[0]]])
    taps = max(int(np.prod(w.shape[1:])), 1)
    bias = pick(rng, [None, rng.integers(-5000, 5000, w.shape[0]).astype(np.int32)])
    y_type = pick(rng, BYTES)
    y_scale = np.asarray(rng.uniform(0.5, 1) * np.sqrt(taps) * 60 * 0.05, np.float32)
    w_zero = numbers(rng, channels, w.dtype.type) if rng.random() < 0.5 else np.zeros(channels, w.dtype)
    return attrs, [x, np.asarray(0.05, np.float32), numbers(rng, [], x.dtype.type), w, scales(rng, channels, np.float32), w_zero,
                   y_scale, numbers(rng, [], y_type), bias]


@oracle("QLinearConv", why="the reference rounds after adding the zero point, and takes scales of channels for two spatial dims alone")
def qlinear_conv_oracle(version, attrs, inputs):
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = inputs[:8]
    sums = exact_conv(attrs, x, w, x_zero, w_zero)
    if len(inputs) > 8 and inputs[8] is not None:
        sums = sums + inputs[8].reshape([-1] + [1] * (x.ndim - 2))
    scale = x_scale * w_scale / y_scale
    if scale.size > 1:
        scale = scale.reshape([-1] + [1] * (x.ndim - 2))
    return [requantize(sums, scale.astype(np.float32), y_zero)]
