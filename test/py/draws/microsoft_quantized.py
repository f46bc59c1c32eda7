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
        # Where strides pass over pixels, ONNX Runtime crops by a negative padding; pads are not negative.
        attrs["strides"] = [min(s, k) for s, k in zip(attrs.get("strides", [1] * rank), attrs["kernel_shape"])]
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


# --- tables and matrices in blocks -------------------------------------------------------------------------------------------
SMALL_FLOATS = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz, ml_dtypes.float4_e2m1fn]


def finite(rng, shape, kind):
    return np.asarray(rng.normal(0, 1, shape), np.float32).astype(kind)


@spec("GatherBlockQuantized", domain=MS, constants=(0, 2, 3))
def gather_block_quantized(rng, version, name):
    rank = int(rng.integers(2, 4))
    shape = [int(rng.integers(1, 40)) for _ in range(rank)]
    block = pick(rng, [16, 32, 128])
    family = pick(rng, ["bytes", "bytes", "nibbles", "floats"])
    if family == "bytes":
        bits = pick(rng, [2, 4, 8])
        attrs = {"bits": bits, "gather_axis": pick(rng, [0, -rank]), "quantize_axis": pick(rng, [rank - 1, -1])}
        shape[-1] = -(-shape[-1] * bits // 8) * 8 // bits
        data = rng.integers(0, 256, [*shape[:-1], shape[-1] * bits // 8]).astype(np.uint8)
    else:
        attrs = {"gather_axis": axis(rng, rank), "quantize_axis": axis(rng, rank)}
        kind = pick(rng, [ml_dtypes.int4, ml_dtypes.uint4] if family == "nibbles" else SMALL_FLOATS)
        data = rng.integers(0, 8, shape).astype(kind) if family == "nibbles" else finite(rng, shape, kind)
        block = 0 if family == "floats" and rng.random() < 0.3 else block
    attrs["block_size"] = block
    quantize, gather = attrs["quantize_axis"] % rank, attrs["gather_axis"] % rank
    scale_shape = list(shape)
    scale_shape[quantize] = -(-shape[quantize] // (block or shape[quantize]))
    if family == "floats" and rng.random() < 0.3:
        scale_shape = [d if i == quantize else 1 for i, d in enumerate(scale_shape)]
    scales = (rng.random(scale_shape) + 0.1).astype(pick(rng, HALVES))
    zeros = None
    if family != "floats" and rng.random() < 0.5:
        zeros = rng.integers(0, 8, scale_shape).astype(data.dtype)
        if family == "bytes":
            zeros = rng.integers(0, 256, [*scale_shape[:-1], -(-scale_shape[-1] * bits // 8)]).astype(np.uint8)
    dim = shape[gather]
    out = 2 if rng.random() < 0.2 else 0
    indices = rng.integers(-dim - out, dim + out, dims(rng, rank=int(rng.integers(0, 3)))).astype(pick(rng, [np.int32, np.int64]))
    return attrs, [data, np.asarray(indices), scales, zeros]


@oracle("GatherBlockQuantized", domain=MS, why="ONNX Runtime has no bfloat16, and takes some types through initializers only")
def gather_block_quantized_oracle(version, attrs, inputs):
    data, indices, scales, zeros = inputs
    bits, default = attrs.get("bits", 4), 0
    if data.dtype == np.uint8:
        default = 2**(bits - 1)
        data = unpack(data, bits, data.shape[-1] * 8 // bits)
        zeros = None if zeros is None else unpack(zeros, bits, scales.shape[-1])
    rank = data.ndim
    quantize, gather = attrs["quantize_axis"] % rank, attrs["gather_axis"] % rank
    block = attrs["block_size"] or data.shape[quantize]
    spread = lambda x: np.broadcast_to(np.take(x, np.arange(data.shape[quantize]) // block, axis=quantize), data.shape)
    full = data.astype(np.float32) - (default if zeros is None else spread(zeros.astype(np.float32)))
    full = full * spread(scales.astype(np.float32))
    dim = data.shape[gather]
    there = (indices >= -dim) & (indices < dim)
    y = np.take(full, np.where(there, indices, 0), axis=gather)
    shape = [1] * gather + list(indices.shape) + [1] * (rank - gather - 1)
    return [np.where(there.reshape(shape), y, 0).astype(scales.dtype)]


NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1.0]
FP4 = [0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4]


@spec("MatMulBnb4", domain=MS, constants=(1, 2))
def matmul_bnb4(rng, version, name):
    k, n, block = int(rng.integers(1, 60)), int(rng.integers(1, 60)), pick(rng, [16, 32, 64])
    attrs = {"K": k, "N": n, "block_size": block, "quant_type": int(rng.integers(2))}
    kind = pick(rng, HALVES)
    b = rng.integers(0, 256, [(n * k + 1) // 2]).astype(np.uint8)
    scales = rng.random([-(-n * k // block)]).astype(kind)
    inner = k
    if rng.random() < 0.5:
        attrs["transB"] = int(rng.integers(2))
        inner = k if attrs["transB"] else n
    return attrs, [array(rng, [*pick(rng, [[], [1], [7], [2, 3], [0]]), inner], kind), b, scales]


@oracle("MatMulBnb4", domain=MS, why="ONNX Runtime's CPU provider has float32 alone, and transB = 1")
def matmul_bnb4_oracle(version, attrs, inputs):
    a, b, scales = inputs
    if a.dtype == np.float32 and attrs.get("transB", 1) and a.size:
        raise NotImplementedError
    k, n = attrs["K"], attrs["N"]
    codes = np.stack([b >> 4, b & 15], axis=-1).reshape(-1)[:n * k]
    table = np.array(NF4 if attrs["quant_type"] else FP4 + [-x for x in FP4])
    w = (table[codes] * scales.astype(np.float64)[np.arange(n * k) // attrs["block_size"]]).reshape(n, k)
    return [(a.astype(np.float64) @ (w.T if attrs.get("transB", 1) else w)).astype(a.dtype)]


# --- mixtures of experts -------------------------------------------------------------------------------------------------------
def moe_attributes(rng, experts):
    attrs = {"k": int(rng.integers(1, min(experts, 4) + 1)), "activation_type": pick(rng, ["relu", "gelu", "silu", "identity", "swiglu", "swiglu"])}
    if rng.random() < 0.5:
        attrs["normalize_routing_weights"] = int(rng.integers(2))
    if attrs["k"] == 2 and rng.random() < 0.2:
        attrs["use_sparse_mixer"] = 1
    if attrs["activation_type"] == "swiglu":
        attrs["swiglu_fusion"] = pick(rng, [0, 1, 1, 2])
        attrs["activation_alpha"], attrs["activation_beta"] = pick(rng, [(1.0, 0.0), (1.702, 1.0)])
        if rng.random() < 0.5:
            attrs["swiglu_limit"] = float(rng.uniform(0.5, 3))
    return attrs


def moe_shapes(rng, attrs, hidden, inner):
    """Rows and columns of the three products; None for one that is absent."""
    fused = attrs["activation_type"] == "swiglu" and attrs["swiglu_fusion"]
    third = not fused and (attrs["activation_type"] == "swiglu" or rng.random() < 0.3)
    return [(inner * (2 if fused else 1), hidden), (hidden, inner), (inner, hidden) if third else None]


def moe_tokens(rng, experts, hidden, kind):
    lead = pick(rng, [[1], [5], [2, 3], [1, 1], [9]])
    return (rng.normal(0, 0.3, [*lead, hidden])).astype(kind), array(rng, [int(np.prod(lead)), experts], kind)


@spec("MoE", domain=MS, constants=(2, 3, 4, 5, 6, 7))
def moe(rng, version, name):
    experts, hidden, inner = int(rng.integers(1, 6)), int(rng.integers(1, 40)), int(rng.integers(1, 40))
    attrs, kind = moe_attributes(rng, experts), pick(rng, HALVES)
    inputs = list(moe_tokens(rng, experts, hidden, kind))
    for shape in moe_shapes(rng, attrs, hidden, inner):
        if shape is None:
            inputs += [None, None]
            continue
        inputs += [(rng.normal(0, 0.2, [experts, *shape])).astype(kind), maybe(rng, array(rng, [experts, shape[0]], kind))]
    return attrs, inputs


@spec("QMoE", domain=MS, constants=(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13))
def qmoe(rng, version, name):
    experts, block = int(rng.integers(1, 6)), pick(rng, [0, 0, 16, 32])
    unit = block or 8
    hidden, inner = int(rng.integers(1, 4)) * unit, int(rng.integers(1, 4)) * unit
    attrs, kind = moe_attributes(rng, experts), pick(rng, HALVES)
    attrs["expert_weight_bits"] = pick(rng, [2, 3, 4, 4, 8])
    own = [attrs["expert_weight_bits"]] * 3
    if rng.random() < 0.2:
        attrs["fc2_expert_weight_bits"] = own[1] = pick(rng, [2, 4, 8])
    if block:
        attrs["block_size"] = block
    inputs, zeros = list(moe_tokens(rng, experts, hidden, kind)), []
    given = rng.random() < 0.4
    for shape, bits in zip(moe_shapes(rng, attrs, hidden, inner), own):
        if shape is None:
            inputs, zeros = inputs + [None, None, None], zeros + [None]
            continue
        n, k = shape
        blocks = k // block if block else 1
        scales = (rng.random([experts, n, blocks]) / 2**bits).astype(kind)
        inputs += [rng.integers(0, 256, [experts, n, k * bits // 8]).astype(np.uint8), scales if block else scales[..., 0]]
        inputs.append(maybe(rng, array(rng, [experts, n], kind)))
        zero_shape = [experts, n, -(-blocks * bits // 8)] if block else [experts, -(-n * bits // 8)]
        zeros.append(rng.integers(0, 256, zero_shape).astype(np.uint8) if given else None)
    weights = rng.random(inputs[1].shape).astype(kind) if rng.random() < 0.2 else None
    return attrs, [*inputs, *zeros, weights]


def bit_stream(data, bits, count):
    """|count| numbers of |bits| bits along the last axis, lowest bits first, across bytes."""
    stream = np.unpackbits(data, axis=-1, bitorder="little")[..., :count * bits].reshape(*data.shape[:-1], count, bits)
    return (stream.astype(np.int64) << np.arange(bits)).sum(-1)


def mixer_weights(logits):
    """The two experts of a sparse mixer and their weights."""
    chosen, weights, left = [], [], logits.copy()
    for _ in range(2):
        best = int(np.argmax(left))
        there = (left[best] - logits) / np.maximum(np.abs(logits), np.abs(left[best])) <= 0.02
        there &= np.isfinite(left)
        chosen.append(best)
        weights.append(1 / np.exp(logits[there] - left[best]).sum())
        left[best] = -np.inf
    return chosen, np.array(weights)


def gated(attrs, up, value):
    kind, limit = attrs["activation_type"], attrs.get("swiglu_limit", np.inf)
    if kind != "swiglu":
        act = {"relu": lambda x: np.maximum(x, 0), "identity": lambda x: x, "silu": lambda x: x / (1 + np.exp(-x)),
               "gelu": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))}[kind](up)
        return act if value is None else act * value
    if attrs["swiglu_fusion"] == 1:
        up, value = up[0::2], up[1::2]
    elif attrs["swiglu_fusion"] == 2:
        up, value = np.split(up, 2)
    g, l = np.minimum(up, limit), np.clip(value, -limit, limit)
    return g / (1 + np.exp(-attrs["activation_alpha"] * g)) * (l + attrs["activation_beta"])


def mixture(attrs, x, router, matrices, biases, mixing=None):
    y = np.zeros([router.shape[0], x.shape[-1]])
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    for t, logits in enumerate(router.astype(np.float64)):
        if attrs.get("use_sparse_mixer") and mixing is None:
            chosen, weights = mixer_weights(logits)
        else:
            chosen = np.argsort(-logits, kind="stable")[:attrs["k"]]
            p = np.exp(logits - logits.max())
            weights = (p / p.sum())[chosen] if mixing is None else mixing[t].astype(np.float64)[chosen]
            if attrs.get("normalize_routing_weights"):
                weights = weights / weights.sum()
        for e, w in zip(chosen, weights):
            product = lambda p, v: matrices[p][e] @ v + (0 if biases[p] is None else biases[p][e].astype(np.float64))
            value = None if matrices[2] is None else product(2, rows[t])
            y[t] += w * product(1, gated(attrs, product(0, rows[t]), value))
    return [y.reshape(x.shape).astype(x.dtype)]


@oracle("MoE", domain=MS, why="ONNX Runtime's CPU provider has neither fc3, nor other fusions of SwiGLU, nor bfloat16")
def moe_oracle(version, attrs, inputs):
    matrices = [None if m is None else m.astype(np.float64) for m in inputs[2::2]]
    return mixture(attrs, inputs[0], inputs[1], matrices, inputs[3::2])


@oracle("QMoE", domain=MS, why="the same; it computes some widths with A in int8, and always normalizes the weights of the experts")
def qmoe_oracle(version, attrs, inputs):
    matrices, block = [], attrs.get("block_size", 0)
    for p in range(3):
        data, scales, zeros = inputs[2 + 3 * p], inputs[3 + 3 * p], inputs[11 + p]
        if data is None:
            matrices.append(None)
            continue
        bits = attrs.get(f"fc{p + 1}_expert_weight_bits", attrs["expert_weight_bits"])
        n, k = data.shape[1], data.shape[2] * 8 // bits
        scales = scales.reshape(len(data), n, -1).astype(np.float64)
        z = np.full(scales.shape, 2**(bits - 1))
        if zeros is not None:
            z = bit_stream(zeros, bits, k // block) if block else bit_stream(zeros, bits, n)[..., None]
        spread = lambda v: np.repeat(v, block or k, axis=-1)
        matrices.append((bit_stream(data, bits, k) - spread(z)) * spread(scales))
    return mixture(attrs, inputs[0], inputs[1], matrices, inputs[4:11:3], inputs[14])


# --- QuantizeLinear, DequantizeLinear ------------------------------------------------------------------------------------------
QUANTIZED = [np.int8, np.uint8, np.int16, np.uint16, ml_dtypes.int4, ml_dtypes.uint4]


def parameters(rng, shape, kind, float_kind):
    """(attributes, scale, zero point) for all of a tensor or along an axis."""
    attrs, size = {}, []
    if shape and rng.random() < 0.6:
        attrs["axis"] = axis(rng, len(shape))
        size = [shape[attrs["axis"]]]
    scale = (rng.random(size) + 0.1).astype(float_kind)
    zero = rng.integers(0 if np.dtype(kind).kind == "u" or "uint" in np.dtype(kind).name else -7, 8, size)
    return attrs, np.asarray(scale), np.asarray(zero).astype(kind)


@spec("QuantizeLinear", domain=MS, tolerance=ONE_STEP)
def quantize_linear(rng, version, name):
    shape = dims(rng)
    kind, float_kind = pick(rng, QUANTIZED), pick(rng, [np.float32, np.float16])
    attrs, scale, zero = parameters(rng, shape, kind, float_kind)
    return attrs, [(array(rng, shape, np.float32) * 4).astype(float_kind), scale, zero if kind != np.uint8 or rng.random() < 0.7 else None]


@spec("DequantizeLinear", domain=MS)
def dequantize_linear(rng, version, name):
    shape = dims(rng)
    kind, float_kind = pick(rng, [*QUANTIZED, np.int32]), pick(rng, [np.float32, np.float16])
    attrs, scale, zero = parameters(rng, shape, kind, float_kind)
    low = -8 if np.asarray(zero).astype(np.int32).min(initial=0) < 0 else 0
    x = rng.integers(low, 8, shape) if "int4" in np.dtype(kind).name else array(rng, shape, kind, True)
    x = np.clip(x, 0, 15) if kind == ml_dtypes.uint4 else x
    return attrs, [np.asarray(x).astype(kind), scale, maybe(rng, zero * 0 if kind == np.int32 else zero)]


def spread_along(attrs, x, parameter):
    shape = [1] * x.ndim
    if "axis" in attrs:
        shape[attrs["axis"]] = -1
    return parameter.reshape(shape)


@oracle("QuantizeLinear", domain=MS, why="ONNX Runtime has no absent zero point along an axis, and some types through initializers only")
def quantize_linear_oracle(version, attrs, inputs):
    x, scale, zero = inputs
    kind = np.uint8 if zero is None else zero.dtype
    bits, low = {"int4": (4, -8), "uint4": (4, 0)}.get(np.dtype(kind).name, (np.dtype(kind).itemsize * 8, 0))
    if np.dtype(kind).kind == "i":
        low = -(1 << bits - 1)
    q = np.rint((x / spread_along(attrs, x, scale)).astype(np.float32))
    q = q + (0 if zero is None else spread_along(attrs, x, zero.astype(np.int32)))
    return [np.clip(q, low, low + (1 << bits) - 1).astype(np.int32).astype(kind)]


@oracle("DequantizeLinear", domain=MS, why="the same")
def dequantize_linear_oracle(version, attrs, inputs):
    x, scale, zero = inputs
    q = x.astype(np.int64) - (0 if zero is None else spread_along(attrs, x, zero.astype(np.int64)))
    return [(q * spread_along(attrs, x, scale).astype(np.float64)).astype(scale.dtype)]


# --- products of bytes -------------------------------------------------------------------------------------------------------
def factors(rng):
    """Shapes of A and B that multiply."""
    m, k, n = (int(rng.integers(1, 40)) for _ in range(3))
    a, b = pick(rng, [([], []), ([2], []), ([2, 3], []), ([2], [2]), ([2, 1], [3]), ([1], [2])])
    return [*a, m, k], [*b, k, n]


def many(rng, value, count):
    """|value|, or |count| of its kind."""
    if rng.random() < 0.5:
        return np.asarray(value)
    spread = rng.random(count) if value.dtype == np.float32 else rng.integers(0, 20, count)
    return np.asarray(value + spread).astype(value.dtype) if value.dtype == np.float32 else np.asarray(spread).astype(value.dtype)


@spec("MatMulIntegerToFloat", domain=MS, constants=(1, 2, 3, 5))
def matmul_integer_to_float(rng, version, name):
    a_shape, b_shape = factors(rng)
    a, a_scale, a_zero = quantized(rng, a_shape)
    b, b_scale, b_zero = quantized(rng, b_shape)
    n, k, kind = b_shape[-1], a_shape[-1], pick(rng, [np.float32, np.float32, np.float16])
    b_scale = many(rng, b_scale, [n])
    b_zero = many(rng, b_zero, b_scale.shape) if b_scale.ndim else b_zero
    if rng.random() < 0.15:
        a_scale = many(rng, a_scale, [k])
    bias = array(rng, [n], kind) if rng.random() < 0.5 else None
    shrink = lambda s: np.asarray(s / 16).astype(kind)
    return {}, [a, b, shrink(a_scale), shrink(b_scale), maybe(rng, a_zero), maybe(rng, b_zero), bias]


def product(a, a_scale, a_zero, b, b_scale, b_zero, bias):
    wide = lambda x: 0 if x is None else x.astype(np.float64)
    y = ((a.astype(np.float64) - wide(a_zero)) * wide(a_scale)) @ ((b.astype(np.float64) - wide(b_zero)) * wide(b_scale))
    return y + wide(bias)


SATURATES = "ONNX Runtime saturates sums of uint8 times int8 on AVX2, and reads past one scale a column where B is a batch"


@oracle("MatMulIntegerToFloat", domain=MS, why=SATURATES)
def matmul_integer_to_float_oracle(version, attrs, inputs):
    a, b, a_scale, b_scale, a_zero, b_zero, bias = inputs
    return [product(a, a_scale, a_zero, b, b_scale, b_zero, bias).astype(a_scale.dtype)]


@spec("DynamicQuantizeMatMul", domain=MS, constants=(1, 2, 3), tolerance=(1e-3, 2e-2))  # a step of A may fall either way
def dynamic_quantize_matmul(rng, version, name):
    a_shape, b_shape = factors(rng)
    b, b_scale, b_zero = quantized(rng, b_shape)
    n = b_shape[-1]
    b_scale = many(rng, b_scale, [n])
    b_zero = many(rng, b_zero, b_scale.shape) if b_scale.ndim else b_zero
    bias = array(rng, [n]) if rng.random() < 0.5 else None
    return {}, [array(rng, a_shape) / 8, b, np.asarray(b_scale / 64), maybe(rng, b_zero), bias]


@oracle("DynamicQuantizeMatMul", domain=MS, why=SATURATES)
def dynamic_quantize_matmul_oracle(version, attrs, inputs):
    a, b, b_scale, b_zero, bias = inputs
    low, high = min(a.min(initial=0), 0), max(a.max(initial=0), 0)
    scale = np.float32((high - low) / np.float32(255)) if high > low else np.float32(1 / 255)
    zero = np.rint(np.clip(-low / scale, 0, 255))
    q = np.clip(np.rint(a / scale) + zero, 0, 255)
    return [product(q, scale, zero, b, b_scale, b_zero, bias).astype(np.float32)]


@oracle("QGemm", domain=MS, why=SATURATES)
def qgemm_oracle(version, attrs, inputs):
    a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = inputs
    a, b = (a.T if attrs.get("transA") else a), (b.T if attrs.get("transB") else b)
    if attrs.get("transB") and b_zero.ndim:
        b_zero = b_zero[None]
    sums = (a.astype(np.int64) - a_zero.astype(np.int64)) @ (b.astype(np.int64) - b_zero.astype(np.int64))
    value = (sums + (0 if c is None else c)) * attrs.get("alpha", 1.0) * float(a_scale) * b_scale.astype(np.float64)
    return [value.astype(np.float32) if y_scale is None else steps(value, y_scale, y_zero, y_zero.dtype)]


@spec("QGemm", domain=MS, constants=(3, 4, 5, 6), tolerance=(1e-4, 1))
def qgemm(rng, version, name):
    m, k, n = (int(rng.integers(1, 40)) for _ in range(3))
    attrs = {t: int(rng.integers(2)) for t in ("transA", "transB") if rng.random() < 0.6}
    if rng.random() < 0.5:
        attrs["alpha"] = float(rng.uniform(0.25, 2))
    a, a_scale, a_zero = quantized(rng, [k, m] if attrs.get("transA") else [m, k])
    b, b_scale, b_zero = quantized(rng, [n, k] if attrs.get("transB") else [k, n])
    b_scale = many(rng, b_scale, [n])
    b_zero = many(rng, b_zero, b_scale.shape) if b_scale.ndim else b_zero
    c = None
    if rng.random() < 0.6:
        c = rng.integers(-3000, 3000, pick(rng, [[n], [m, n], [1, n], [m, 1], [1], [], [1, 1]])).astype(np.int32)
    _, y_scale, y_zero = quantized(rng, [], a.dtype.type)
    tail = [np.asarray(y_scale * 40), y_zero] if rng.random() < 0.7 else [None, None]
    return attrs, [a, np.asarray(a_scale), a_zero, b, np.asarray(b_scale), b_zero, None if c is None else np.asarray(c), *tail]


# --- integers without scales, convolution, embeddings ------------------------------------------------------------------------------
@spec("MatMulInteger16", domain=MS)
def matmul_integer16(rng, version, name):
    a, b = factors(rng)
    low, kinds = (-300, [np.int16, np.int16]) if rng.random() < 0.7 else (0, [np.uint16, np.uint16])
    return {}, [rng.integers(low, 300, a).astype(kinds[0]), rng.integers(low, 300, b).astype(kinds[1])]


@oracle("MatMulInteger16", domain=MS, why="ONNX Runtime's CPU provider has int16 alone")
def matmul_integer16_oracle(version, attrs, inputs):
    a, b = inputs
    unsigned = a.dtype == np.uint16
    return [(a.astype(np.int64) @ b.astype(np.int64)).astype(np.uint32 if unsigned else np.int32)]


@spec("MulInteger", domain=MS)
def mul_integer(rng, version, name):
    a, b = broadcast_pair(rng)
    x, _, x_zero = quantized(rng, a)
    y, _, y_zero = quantized(rng, b, x.dtype.type)
    return {}, [x, maybe(rng, x_zero), y, maybe(rng, y_zero)]


@oracle("MulInteger", domain=MS, why="ONNX Runtime has no kernel for it")
def mul_integer_oracle(version, attrs, inputs):
    x, x_zero, y, y_zero = (0 if i is None else i.astype(np.int32) for i in inputs)
    return [np.asarray((x - x_zero) * (y - y_zero), np.int32)]


@spec("ReduceSumInteger", domain=MS)
def reduce_sum_integer(rng, version, name):
    x = quantized(rng, dims(rng, rank=int(rng.integers(1, 5))))[0]
    return {"axes": sorted({axis(rng, x.ndim) % x.ndim for _ in range(2)}), "keepdims": int(rng.integers(2))}, [x]


@oracle("ReduceSumInteger", domain=MS, why="ONNX Runtime has no kernel for it")
def reduce_sum_integer_oracle(version, attrs, inputs):
    kind = np.uint32 if inputs[0].dtype == np.uint8 else np.int32
    return [inputs[0].sum(axis=tuple(attrs["axes"]), keepdims=bool(attrs["keepdims"]), dtype=kind)]


@spec("QLinearConv", domain=MS, tolerance=ONE_STEP, constants=(3, 4, 5, 8))
def qlinear_conv(rng, version, name):
    rank, last = int(rng.integers(1, 4)), rng.random() < 0.5
    group, in_c, out_c = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    attrs = {k: v for k, v in pool_attributes(rng, rank, True).items() if k not in ("ceil_mode", "pads")}
    kernel = attrs["kernel_shape"]
    if rng.random() < 0.5 and "auto_pad" not in attrs:
        attrs["pads"] = [1] * (2 * rank)
    attrs |= {"group": group, "channels_last": int(last)}
    pixels = [int(rng.integers(7, 12)) for _ in range(rank)]
    x, x_scale, x_zero = quantized(rng, [2, *pixels, group * in_c] if last else [2, group * in_c, *pixels], np.uint8)
    w, w_scale, w_zero = quantized(rng, [group * out_c, in_c, *kernel], np.uint8)
    w_scale = many(rng, w_scale, [group * out_c])
    bias = rng.integers(-2000, 2000, [group * out_c]).astype(np.int32) if rng.random() < 0.5 else None
    return attrs, [x, x_scale, x_zero, w, w_scale, w_zero, np.asarray(scale_of(rng) * 40), np.asarray(rng.integers(256), np.uint8), bias]


@spec("QEmbedLayerNormalization", domain=MS)
def qembed_layer_normalization(rng, version, name):
    batch, length, hidden = int(rng.integers(1, 4)), int(rng.integers(1, 9)), int(rng.integers(2, 40))
    words, positions, segments = int(rng.integers(1, 30)), length + int(rng.integers(0, 4)), int(rng.integers(1, 4))
    kind = pick(rng, [np.int8, np.uint8])
    tables = [quantized(rng, shape, kind) for shape in ([words, hidden], [positions, hidden], [segments, hidden], [hidden], [hidden])]
    if rng.random() < 0.4:
        tables[2] = (None, None, None)
    ids = rng.integers(0, words, [batch, length]).astype(np.int32)
    segment_ids = rng.integers(0, segments, [batch, length]).astype(np.int32) if tables[2][0] is not None else None
    mask = rng.integers(0, 2, [batch, length]).astype(np.int32) if rng.random() < 0.5 else None
    data, scales, zeros = zip(*tables)
    attrs = {"epsilon": 1e-5} if rng.random() < 0.5 else {}
    return attrs, [ids, segment_ids, data[0], data[1], data[2], data[3], data[4], mask, *scales, *zeros], ["y", "index"]


# --- QAttention ----------------------------------------------------------------------------------------------------------------
@spec("QAttention", domain=MS, constants=(1, 2, 3, 4, 6, 7), tolerance=(1e-3, 1e-3))
def qattention(rng, version, name):
    batch, heads, size, features, length = (int(rng.integers(1, n)) for n in (4, 4, 17, 20, 7))
    hidden, before, past = heads * size, 0, None
    x, x_scale, x_zero = quantized(rng, [batch, length, features], pick(rng, [np.uint8, np.uint8, np.uint8, np.int8]))
    w, w_scale, w_zero = quantized(rng, [features, 3 * hidden])
    w //= 4  # sums that ONNX Runtime does not saturate
    w_scale = many(rng, w_scale, [3 * hidden])
    w_zero = many(rng, w_zero, w_scale.shape) if w_scale.ndim else w_zero
    if rng.random() < 0.4:
        before = int(rng.integers(0, 6))
        past = array(rng, [2, batch, heads, before, size])
    mask = None
    if rng.random() < 0.5:
        mask = pick(rng, [rng.integers(1, before + length + 1, [batch]), rng.integers(0, 2, [batch, before + length])]).astype(np.int32)
    attrs = {"num_heads": heads}
    if rng.random() < 0.4:
        attrs["unidirectional"] = 1
    if rng.random() < 0.3:
        attrs["mask_filter_value"] = -50.0
    outputs = ["y", "present"] if past is not None else ["y"]
    return attrs, [x, w, array(rng, [3 * hidden]), np.asarray(x_scale / 64), np.asarray(w_scale / 16), mask, x_zero, w_zero, past], outputs
