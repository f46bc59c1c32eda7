"""com.microsoft: fused products, activations after a bias, and small operators. What ONNX Runtime's CPU does not run has an oracle in numpy."""

import math

import numpy as np

from .base import FLOATS, array, axis, broadcast_pair, dims, oracle, pick, spec

DOMAIN = "com.microsoft"
CUDA_ONLY = "ONNX Runtime runs it on GPUs only"
erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x):
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def fast_gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# --- activations -------------------------------------------------------------------------------------------------------------
@spec("Gelu", "QuickGelu", "FastGelu", "BiasGelu", domain=DOMAIN)
def gelus(rng, version, name):
    dtype = pick(rng, FLOATS)
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    bias = array(rng, shape[-1:], dtype) if name == "BiasGelu" or name == "FastGelu" and rng.random() < 0.6 else None
    attrs = {"alpha": float(np.float32(rng.uniform(0.5, 2)))} if name == "QuickGelu" and rng.random() < 0.6 else {}
    return attrs, [array(rng, shape, dtype)] + ([bias] if bias is not None else [])


def register_gelu(name, function):
    @oracle(name, domain=DOMAIN, why="ONNX Runtime's CPU has f32 alone")
    def compute(version, attrs, inputs):
        x = inputs[0].astype(np.float64) + (inputs[1].astype(np.float64) if len(inputs) > 1 else 0)
        return [np.asarray(function(x, attrs)).astype(inputs[0].dtype)]


register_gelu("Gelu", lambda x, attrs: gelu(x) if x.size else x)
register_gelu("BiasGelu", lambda x, attrs: gelu(x) if x.size else x)
register_gelu("FastGelu", lambda x, attrs: fast_gelu(x))
register_gelu("QuickGelu", lambda x, attrs: x / (1 + np.exp(-np.float64(np.float32(attrs.get("alpha", 1.702))) * x)))


@spec("BiasAdd", "BiasSplitGelu", domain=DOMAIN)
def bias_add(rng, version, name):
    shape, dtype = dims(rng, 3, 1), pick(rng, [np.float32, np.float16])
    shape[-1] *= 2
    inputs = [array(rng, shape, dtype), array(rng, shape[-1:], dtype)]
    return {}, inputs + ([array(rng, shape, dtype)] if name == "BiasAdd" else [])


@oracle("BiasAdd", domain=DOMAIN, why=CUDA_ONLY)
def bias_add_of(version, attrs, inputs):
    return [sum(v.astype(np.float64) for v in inputs).astype(inputs[0].dtype)]


@oracle("BiasSplitGelu", domain=DOMAIN, why=CUDA_ONLY)
def bias_split_gelu(version, attrs, inputs):
    left, right = np.split(inputs[0].astype(np.float64) + inputs[1].astype(np.float64), 2, axis=-1)
    return [(left * gelu(right)).astype(inputs[0].dtype)]


@spec("BiasSoftmax", domain=DOMAIN)
def bias_softmax(rng, version, name):
    shape, dtype = dims(rng, 4, 1), pick(rng, FLOATS[:3])
    at, inner = int(rng.integers(1, 4)), int(rng.integers(2))
    split = int(rng.integers(0, at + 1))
    bias = shape[:split] + [1] * (at - split) if inner else [1] * split + shape[split:at]
    return {"axis": at, "is_inner_broadcast": inner}, [array(rng, shape, dtype), array(rng, bias + shape[at:], dtype)]


@oracle("BiasSoftmax", domain=DOMAIN, why=CUDA_ONLY)
def bias_softmax_of(version, attrs, inputs):
    x = inputs[0].astype(np.float64) + inputs[1].astype(np.float64)
    over = tuple(range(attrs["axis"], x.ndim))
    y = np.exp(x - x.max(axis=over, keepdims=True))
    return [(y / y.sum(axis=over, keepdims=True)).astype(inputs[0].dtype)]


# --- products ----------------------------------------------------------------------------------------------------------------
ACTIVATIONS = {
    "": (lambda x: x), "Relu": (lambda x: np.maximum(x, 0)), "Sigmoid": (lambda x: 1 / (1 + np.exp(-x))), "Tanh": np.tanh,
    "LeakyRelu": (lambda x, alpha: np.where(x < 0, alpha * x, x)), "Softplus": (lambda x: np.logaddexp(x, 0)),
    "HardSigmoid": (lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)), "Softsign": (lambda x: x / (1 + np.abs(x))),
    "Elu": (lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x)), "ThresholdedRelu": (lambda x, alpha: np.where(x > alpha, x, 0)),
}


def draw_activation(rng):
    name = pick(rng, list(ACTIVATIONS))
    attrs = {"activation": name} if name else {}
    parameters = ACTIVATIONS[name].__code__.co_varnames[1:] if hasattr(ACTIVATIONS[name], "__code__") else ()
    return {**attrs, **{f"activation_{p}": float(np.float32(rng.uniform(0.1, 0.9))) for p in parameters}}


def activated(attrs, x):
    return ACTIVATIONS[attrs.get("activation", "")](x, *[attrs[k] for k in ("activation_alpha", "activation_beta") if k in attrs])


@spec("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", domain=DOMAIN, tolerance=(1e-3, 1e-3))
def fused_matmul(rng, version, name):
    m, k, n = (int(rng.integers(1, 12)) for _ in range(3))
    dtype = pick(rng, [np.float32, np.float64])
    batch_a, batch_b = broadcast_pair(rng)
    turns = {t: int(rng.integers(2)) for t in ("transA", "transB")}
    if name != "TransposeMatMul":
        turns.update({t: int(rng.random() < 0.4) for t in ("transBatchA", "transBatchB")})
    a, b = turned(batch_a + [m, k], turns, "A"), turned(batch_b + [k, n], turns, "B")
    attrs = {**turns, "alpha": float(np.float32(rng.uniform(0.1, 2)))}
    if name == "FusedMatMulActivation":
        attrs.update(draw_activation(rng))
        attrs.setdefault("activation", "Relu")
    return attrs, [array(rng, a, dtype), array(rng, b, dtype)]


def turned(shape, turns, which):
    """What the input's shape is, where the product is to see |shape|."""
    shape = list(shape)
    if turns["trans" + which]:
        shape[-1], shape[-2] = shape[-2], shape[-1]
    if turns.get("transBatch" + which) and len(shape) > 2:
        shape = [shape[-2]] + shape[:-2] + shape[-1:]
    return shape


def product(attrs, inputs):
    operands = []
    for x, which in zip(inputs, "AB"):
        if attrs.get("transBatch" + which) and x.ndim > 2:
            x = np.moveaxis(x, 0, -2)
        operands.append(np.swapaxes(x, -1, -2) if attrs.get("trans" + which) and x.ndim > 1 else x)
    return np.float64(np.float32(attrs.get("alpha", 1))) * (operands[0].astype(np.float64) @ operands[1].astype(np.float64))


@oracle("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", domain=DOMAIN, why="ONNX Runtime's CPU has f32 alone")
def fused_matmul_of(version, attrs, inputs):
    return [activated(attrs, product(attrs, inputs)).astype(inputs[0].dtype)]


@spec("FusedGemm", domain=DOMAIN, tolerance=(1e-3, 1e-3))
def fused_gemm(rng, version, name):
    m, k, n = (int(rng.integers(1, 12)) for _ in range(3))
    dtype = pick(rng, [np.float32, np.float64])
    attrs = {"transA": int(rng.integers(2)), "transB": int(rng.integers(2)), "alpha": 0.5, "beta": 2.0, **draw_activation(rng)}
    c = pick(rng, [None, [n], [1, n], [m, 1], [m, n], [1]])
    return attrs, [array(rng, turned([m, k], attrs, "A"), dtype), array(rng, turned([k, n], attrs, "B"), dtype)] + (
        [array(rng, c, dtype)] if c else [])


@oracle("FusedGemm", domain=DOMAIN, why="ONNX Runtime's CPU has f32 and few activations")
def fused_gemm_of(version, attrs, inputs):
    y = product(attrs, inputs[:2]) + (attrs["beta"] * inputs[2].astype(np.float64) if len(inputs) > 2 else 0)
    return [activated(attrs, y).astype(inputs[0].dtype)]


# --- forms of ai.onnx's --------------------------------------------------------------------------------------------------------
@spec("Unique", domain=DOMAIN)
def unique(rng, version, name):
    return {}, [np.round(array(rng, dims(rng, 1, 1, 12), pick(rng, [np.float32, np.int64])) / 3).astype(np.float32)], ["y", "idx", "counts"]


@spec("ExpandDims", domain=DOMAIN)
def expand_dims(rng, version, name):
    shape = dims(rng)
    return {}, [array(rng, shape, pick(rng, [np.float32, np.int64, np.bool_])), np.asarray(rng.integers(-len(shape) - 1, len(shape) + 1), np.int32)]


@oracle("ExpandDims", domain=DOMAIN, why="ONNX Runtime's CPU takes few types")
def expand_dims_of(version, attrs, inputs):
    return [np.expand_dims(inputs[0], int(inputs[1]))]


@spec("GatherND", domain=DOMAIN)
def gather_nd(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    depth = int(rng.integers(1, len(shape) + 1))
    lead = dims(rng, rank=int(rng.integers(0, 3)), low=1)
    indices = np.stack([np.asarray(rng.integers(0, d, lead)) for d in shape[:depth]], axis=-1)
    return {}, [array(rng, shape), indices.astype(pick(rng, [np.int32, np.int64]))]


@oracle("GatherND", domain=DOMAIN, why="ONNX Runtime has no kernel left for it")
def gather_nd_of(version, attrs, inputs):
    return [inputs[0][tuple(np.moveaxis(inputs[1], -1, 0))]]


@spec("Pad", domain=DOMAIN)
def pad(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=2)
    mode = pick(rng, ["constant", "reflect", "edge"])
    pads = rng.integers(0, 2 if mode == "reflect" else 3, 2 * len(shape))
    value = [np.asarray([1.5], np.float32)] if mode == "constant" and rng.random() < 0.5 else []
    return {"mode": mode}, [array(rng, shape), pads.astype(np.int64)] + value


@spec("Range", domain=DOMAIN)
def range_(rng, version, name):
    dtype = pick(rng, [np.float32, np.float64, np.int16, np.int32, np.int64])
    start, step = int(rng.integers(-5, 5)), int(pick(rng, [1, 2, 3, -1, -2]))
    limit = start + step * int(rng.integers(0, 6)) + int(np.sign(step))
    return {}, [np.asarray(v).astype(dtype) for v in (start, limit) + ((step,) if step != 1 or rng.random() < 0.5 else ())]


@spec("Trilu", domain=DOMAIN)
def trilu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)))
    return {"upper": int(rng.integers(2))}, [array(rng, shape, pick(rng, [np.float32, np.float64, np.int64])), np.asarray(rng.integers(-5, 6), np.int64)]


# --- the rest ----------------------------------------------------------------------------------------------------------------
@spec("CDist", domain=DOMAIN)
def cdist(rng, version, name):
    m, n, k = (int(rng.integers(1, 9)) for _ in range(3))
    dtype = pick(rng, [np.float32, np.float64])
    return {"metric": pick(rng, ["euclidean", "sqeuclidean"])}, [array(rng, [m, k], dtype), array(rng, [n, k], dtype)]


@oracle("CDist", domain=DOMAIN, why="ONNX Runtime's differences of squares cancel")
def cdist_of(version, attrs, inputs):
    a, b = (v.astype(np.float64) for v in inputs)
    square = ((a[:, None] - b[None]) ** 2).sum(-1)
    return [(np.sqrt(square) if attrs["metric"] == "euclidean" else square).astype(inputs[0].dtype)]


@spec("IsAllFinite", domain=DOMAIN)
def is_all_finite(rng, version, name):
    attrs = {k: 1 for k in ("isinf_only", "isnan_only") if rng.random() < 0.3}
    attrs = {} if len(attrs) == 2 else attrs
    return attrs, [array(rng, dims(rng), np.float32, rng.random() < 0.3) for _ in range(rng.integers(1, 4))]


@oracle("IsAllFinite", domain=DOMAIN, why=CUDA_ONLY)
def is_all_finite_of(version, attrs, inputs):
    bad = [(np.isnan(x) if "isinf_only" not in attrs else False) | (np.isinf(x) if "isnan_only" not in attrs else False) for x in inputs]
    return [np.asarray(not any(np.any(b) for b in bad))]


@spec("MurmurHash3", domain=DOMAIN)
def murmur_hash(rng, version, name):
    attrs = {"seed": int(rng.integers(0, 1000))} if rng.random() < 0.5 else {}
    if rng.random() < 0.6:
        attrs["positive"] = int(rng.integers(2))
    dtype = pick(rng, [np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64, object])
    return attrs, [array(rng, dims(rng, zero=0), dtype)]


@spec("NGramRepeatBlock", domain=DOMAIN)
def ngram_repeat_block(rng, version, name):
    batch, length = int(rng.integers(1, 4)), int(rng.integers(1, 12))
    return {"ngram_size": int(rng.integers(1, 4))}, [rng.integers(0, 3, [batch, length]), array(rng, [batch, 5])]


@spec("TorchEmbedding", domain=DOMAIN)
def torch_embedding(rng, version, name):
    rows, cols = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    return {}, [array(rng, [rows, cols], pick(rng, [np.float32, np.int8])), np.asarray(rng.integers(0, rows, dims(rng, low=1)))]


@oracle("TorchEmbedding", domain=DOMAIN, why="ONNX Runtime has no kernel for it")
def torch_embedding_of(version, attrs, inputs):
    return [inputs[0][inputs[1]]]


@spec("UnfoldTensor", domain=DOMAIN)
def unfold_tensor(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=2, high=7)
    at = axis(rng, len(shape))
    return {"dim": at, "size": int(rng.integers(1, shape[at] + 1)), "step": int(rng.integers(1, 4))}, [
        array(rng, shape, pick(rng, [np.float32, np.float16, np.int64]))]


@oracle("UnfoldTensor", domain=DOMAIN, why="checked against numpy's windows")
def unfold_of(version, attrs, inputs):
    windows = np.lib.stride_tricks.sliding_window_view(inputs[0], attrs["size"], axis=attrs["dim"])
    return [np.take(windows, range(0, windows.shape[attrs["dim"] % inputs[0].ndim], attrs["step"]), axis=attrs["dim"] % inputs[0].ndim)]
