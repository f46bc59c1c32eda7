"""Quantized operators of com.microsoft. ONNX Runtime is the oracle where its CPU provider computes what the operator's documentation says;
else numpy, from that documentation (docs/ContribOperators.md of ONNX Runtime)."""

import ml_dtypes
import numpy as np

from .base import array, axis, broadcast_pair, dims, oracle, pick, spec

MS = "com.microsoft"
HALVES = [np.float32, np.float32, np.float16, ml_dtypes.bfloat16]


def unpack(packed, bits, count):
    """Elements of |bits| bits along the last axis of bytes, lowest bits first."""
    shifts = np.arange(0, 8, bits)
    values = packed[..., None] >> shifts & ((1 << bits) - 1)
    return values.reshape(*packed.shape[:-1], -1)[..., :count].astype(np.int32)


# --- MatMulNBits -------------------------------------------------------------------------------------------------------------
@spec("MatMulNBits", domain=MS, constants=(1, 2, 3, 5))
def matmul_nbits(rng, version, name):
    bits, block = pick(rng, [2, 4, 4, 8]), pick(rng, [16, 32, 32, 64, 128])
    k, n = int(rng.integers(1, 150)), int(rng.integers(1, 80))
    blocks = -(-k // block)
    kind = pick(rng, HALVES)
    batch = pick(rng, [[], [1], [3], [7], [2, 3], [1, 1], [0], [2, 9]])
    attrs = {"K": k, "N": n, "bits": bits, "block_size": block}
    if rng.random() < 0.6:
        attrs["accuracy_level"] = int(rng.integers(5))
    b = rng.integers(0, 256, [n, blocks, block * bits // 8]).astype(np.uint8)
    if rng.random() < 0.05:
        b = b[:, :, :0]
    scales = (rng.random([n, blocks]) / 2**bits).astype(kind)
    zeros = None
    if rng.random() < 0.5:
        zeros = rng.integers(0, 256, [n, -(-blocks * bits // 8)]).astype(np.uint8)
        if rng.random() < 0.3:
            zeros = (rng.random([n, blocks]) * 2**bits).astype(kind)
    groups = rng.integers(0, blocks, [k]).astype(np.int32) if rng.random() < 0.15 else None
    bias = pick(rng, [None, array(rng, [n], kind)])
    if rng.random() < 0.5:
        b, scales, zeros = b.reshape(n, -1), scales.reshape(-1), zeros if zeros is None else zeros.reshape(-1)
    return attrs, [array(rng, [*batch, k], kind), b, scales, zeros, groups, bias]


@oracle("MatMulNBits", domain=MS, why="ONNX Runtime 1.32 has no bfloat16, quantizes A at accuracy_level 4 and takes fewer forms")
def matmul_nbits_oracle(version, attrs, inputs):
    a, b, scales, zeros, groups, bias = inputs
    bits, block, k, n = (attrs[x] for x in ("bits", "block_size", "K", "N"))
    blocks = -(-k // block)
    y = np.zeros([*a.shape[:-1], n])
    if b.size:
        q = unpack(b.reshape(n, -1), bits, blocks * block)[:, :k]
        if zeros is None:
            z = np.full([n, blocks], 2**(bits - 1))
        elif zeros.dtype == np.uint8:
            z = unpack(zeros.reshape(n, -1), bits, blocks)
        else:
            z = zeros.reshape(n, blocks).astype(np.float64)
        at = np.arange(k) // block if groups is None else groups
        w = (q - z[:, at]) * scales.reshape(n, blocks).astype(np.float64)[:, at]
        y = a.astype(np.float64) @ w.T
    return [(y + (0 if bias is None else bias.astype(np.float64))).astype(a.dtype)]


# --- 8 bits, one scale -------------------------------------------------------------------------------------------------------
# ONNX Runtime rounds an f32 product of reciprocal scales, looks up fixed-point exponentials, or divides: a step of difference is its own.
ONE_STEP = (0, 1)


def quantized(rng, shape, kind=None):
    """(tensor, scale, zero point) of int8 or uint8; the zero point is sometimes absent."""
    kind = kind or pick(rng, [np.int8, np.uint8])
    info = np.iinfo(kind)
    x = rng.integers(info.min, info.max, shape, endpoint=True).astype(kind)
    return np.asarray(x), scale_of(rng), np.asarray(rng.integers(info.min, info.max, endpoint=True), kind)


def scale_of(rng):
    return np.asarray(pick(rng, [0.5, 0.25, 0.0625, rng.uniform(0.01, 0.5)]), np.float32)


def maybe(rng, value):
    return value if rng.random() < 0.8 else None


@spec("QLinearAdd", "QLinearMul", domain=MS, tolerance=ONE_STEP)
def qlinear_pair(rng, version, name):
    a, b = broadcast_pair(rng)
    if rng.random() < 0.3:
        a = b = [2, 37]
    x, x_scale, x_zero = quantized(rng, a)
    y, y_scale, y_zero = quantized(rng, b, x.dtype.type)
    _, scale, zero = quantized(rng, [], x.dtype.type)
    return {}, [x, x_scale, maybe(rng, x_zero), y, y_scale, maybe(rng, y_zero), np.asarray(scale * (20 if name == "QLinearMul" else 1)), maybe(rng, zero)]


def real(x, scale, zero):
    return (np.asarray(x, np.float64) - (0 if zero is None else float(zero))) * float(scale)


def steps(value, scale, zero, kind):
    """|value| quantized to the integer type |kind|."""
    info = np.iinfo(kind)
    return np.clip(np.rint(value / float(scale)) + (0 if zero is None else int(zero)), info.min, info.max).astype(kind)


ABSENT = "ONNX Runtime's inference errs, or it stops the process, where a zero point is absent"


def qlinear_pair_oracle(combine):
    def compute(version, attrs, inputs):
        if all(i is not None for i in inputs):
            raise NotImplementedError
        return [steps(combine(real(*inputs[0:3]), real(*inputs[3:6])), inputs[6], inputs[7], inputs[0].dtype)]
    return compute


oracle("QLinearAdd", domain=MS, why=ABSENT)(qlinear_pair_oracle(np.add))
oracle("QLinearMul", domain=MS, why=ABSENT)(qlinear_pair_oracle(np.multiply))


@spec("QLinearSigmoid", "QLinearLeakyRelu", domain=MS, tolerance=ONE_STEP)
def qlinear_unary(rng, version, name):
    x, scale, zero = quantized(rng, dims(rng))
    _, y_scale, y_zero = quantized(rng, [], x.dtype.type)
    attrs = {"alpha": float(np.float32(rng.uniform(0, 1)))} if name == "QLinearLeakyRelu" and rng.random() < 0.7 else {}
    return attrs, [x, scale, maybe(rng, zero), np.asarray(y_scale / (64 if name == "QLinearSigmoid" else 1)), maybe(rng, y_zero)]


@oracle("QLinearSigmoid", domain=MS, why=ABSENT)
def qlinear_sigmoid_oracle(version, attrs, inputs):
    if inputs[2] is not None and inputs[4] is not None:
        raise NotImplementedError
    x = real(*inputs[:3])
    return [steps(1 / (1 + np.exp(-x)), inputs[3], inputs[4], inputs[0].dtype)]


@oracle("QLinearLeakyRelu", domain=MS, why=ABSENT)
def qlinear_leaky_relu_oracle(version, attrs, inputs):
    if inputs[2] is not None and inputs[4] is not None:
        raise NotImplementedError
    x = real(*inputs[:3])
    return [steps(np.where(x >= 0, x, x * attrs.get("alpha", 0.01)), inputs[3], inputs[4], inputs[0].dtype)]


@spec("QLinearSoftmax", domain=MS, tolerance=ONE_STEP)
def qlinear_softmax(rng, version, name):
    x, scale, zero = quantized(rng, dims(rng, rank=int(rng.integers(1, 5)), low=1, high=12))
    y_zero = np.asarray(pick(rng, [0, -128] if x.dtype == np.int8 else [0, 7]), x.dtype)
    attrs = {"axis": axis(rng, x.ndim), "opset": pick(rng, [1, 11, 12, 13])}
    return attrs, [x, np.asarray(scale / 2), maybe(rng, zero), np.asarray(1 / pick(rng, [64, 128, 256]), np.float32), y_zero]


@spec("QLinearWhere", domain=MS, tolerance=ONE_STEP)
def qlinear_where(rng, version, name):
    a, b = broadcast_pair(rng)
    x, x_scale, x_zero = quantized(rng, a)
    y, y_scale, y_zero = quantized(rng, b, x.dtype.type)
    _, scale, zero = quantized(rng, [], x.dtype.type)
    return {}, [array(rng, pick(rng, [a, b]), np.bool_), x, x_scale, x_zero, y, y_scale, y_zero, scale, zero]


@spec("QLinearConcat", domain=MS, tolerance=ONE_STEP)
def qlinear_concat(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    at = axis(rng, len(shape))
    _, scale, zero = quantized(rng, [])
    inputs = [scale, zero]
    for _ in range(rng.integers(1, 5)):
        part = list(shape)
        part[at] = int(rng.integers(0, 6))
        x, x_scale, x_zero = quantized(rng, part, zero.dtype.type)
        inputs += [x, *([scale, zero] if rng.random() < 0.3 else [x_scale, x_zero])]
    return {"axis": at}, inputs


def pool_attributes(rng, rank, dilations):
    attrs = {"kernel_shape": [int(rng.integers(1, 4)) for _ in range(rank)]}
    if rng.random() < 0.7:
        attrs["strides"] = [int(rng.integers(1, 4)) for _ in range(rank)]
    if dilations and rng.random() < 0.3:
        attrs["dilations"] = [int(rng.integers(1, 3)) for _ in range(rank)]
    if rng.random() < 0.5:
        attrs["pads"] = [int(rng.integers(0, k)) for k in attrs["kernel_shape"]] * 2
    elif rng.random() < 0.4 and "dilations" not in attrs:
        attrs["auto_pad"] = pick(rng, ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    if rng.random() < 0.3 and attrs.get("auto_pad", "NOTSET") == "NOTSET":
        attrs["ceil_mode"] = 1
    return attrs


def picture(rng, rank, last):
    pixels = [int(rng.integers(6, 14)) for _ in range(rank)]
    channels = [int(rng.integers(1, 20))]
    return [int(rng.integers(1, 3)), *(pixels + channels if last else channels + pixels)]


@spec("QLinearAveragePool", domain=MS, tolerance=ONE_STEP)
def qlinear_average_pool(rng, version, name):
    rank, last = int(rng.integers(1, 4)), rng.random() < 0.5
    attrs = pool_attributes(rng, rank, False)
    if last or rng.random() < 0.5:
        attrs["channels_last"] = int(last)
    if rng.random() < 0.5:
        attrs["count_include_pad"] = int(rng.integers(2))
    if attrs.get("count_include_pad"):
        attrs.pop("ceil_mode", None)  # there ONNX Runtime divides by taps beyond the padding
    x, scale, zero = quantized(rng, picture(rng, rank, last))
    _, y_scale, y_zero = quantized(rng, [], x.dtype.type)
    return attrs, [x, scale, maybe(rng, zero), y_scale, maybe(rng, y_zero)]


@spec("QLinearGlobalAveragePool", domain=MS, tolerance=ONE_STEP)
def qlinear_global_average_pool(rng, version, name):
    last = rng.random() < 0.5
    x, scale, zero = quantized(rng, picture(rng, int(rng.integers(1, 4)), last))
    _, y_scale, y_zero = quantized(rng, [], x.dtype.type)
    return {"channels_last": int(last)}, [x, scale, zero, y_scale, y_zero]


@spec("NhwcMaxPool", domain=MS)
def nhwc_max_pool(rng, version, name):
    rank = int(rng.integers(1, 4))
    return pool_attributes(rng, rank, True), [quantized(rng, picture(rng, rank, True))[0]]


@spec("QLinearReduceMean", domain=MS, tolerance=ONE_STEP)
def qlinear_reduce_mean(rng, version, name):
    x, scale, zero = quantized(rng, dims(rng, rank=int(rng.integers(1, 5)), low=1))
    _, y_scale, y_zero = quantized(rng, [], x.dtype.type)
    axes = sorted({axis(rng, x.ndim) % x.ndim for _ in range(rng.integers(1, x.ndim + 1))})
    axes = [a - x.ndim if rng.random() < 0.5 else a for a in axes]
    return {"axes": axes, "keepdims": int(rng.integers(2))}, [x, scale, maybe(rng, zero), y_scale, maybe(rng, y_zero)]


@oracle("QLinearReduceMean", domain=MS, why="ONNX Runtime has no kernel for it")
def qlinear_reduce_mean_oracle(version, attrs, inputs):
    x, scale, zero, y_scale, y_zero = inputs
    mean = real(x, scale, zero).mean(axis=tuple(attrs["axes"]), keepdims=bool(attrs["keepdims"]))
    return [steps(mean, y_scale, y_zero, x.dtype)]
