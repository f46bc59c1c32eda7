"""Draws of inputs and attributes for operators: what test_ops.py compares with the reference.

A draw is (attributes, inputs): a dict, and a list of arrays (None: absent). SPECS has a function of (rng, version) for each operator.
"""

import ml_dtypes
import numpy as np

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
SPECS = {}


def spec(*names):
    """Registers a draw for the operators |names|; it is called as draw(rng, version, name)."""
    def register(draw):
        for name in names:
            SPECS[name] = draw
        return draw
    return register


def pick(rng, items):
    return items[rng.integers(len(items))]


def dims(rng, rank=None, low=0, high=5, zero=0.05):
    """A shape; now and then with a dim of 0 (probability |zero|, where |low| allows it)."""
    rank = rng.integers(0, 5) if rank is None else rank
    shape = [int(rng.integers(max(low, 1), high)) for _ in range(rank)]
    if low == 0 and rank and rng.random() < zero:
        shape[rng.integers(rank)] = 0
    return shape


def array(rng, shape, dtype=np.float32, special=False):
    """Random numbers; |special|: some are infinite, NaN, zeros of both signs or large."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = np.asarray(rng.integers(max(info.min, -9), 10, shape))
        if special:
            extreme = rng.random(shape) < 0.1
            values = np.where(extreme, rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True).astype(object), values)
        return np.asarray(values).astype(dtype)
    values = np.asarray(rng.normal(0, 2, shape))
    if special:
        for number in (np.inf, -np.inf, np.nan, 0.0, -0.0):
            values = np.where(rng.random(shape) < 0.04, number, values)
    return values.astype(dtype)


def broadcast_pair(rng):
    """Two shapes that broadcast."""
    whole = dims(rng, zero=0.03)
    def cut(shape):
        shape = [1 if rng.random() < 0.25 else d for d in shape]
        return shape[rng.integers(0, len(shape) + 1) if rng.random() < 0.3 else 0:]
    return cut(whole), cut(whole)


def axis(rng, rank):
    return int(rng.integers(-rank, rank))


@spec("Abs", "Neg", "Sign", "Relu")
def signed_unary(rng, version, name):
    types = FLOATS[:3] if version < 13 else FLOATS
    if name in ("Abs", "Sign", "Neg") and version >= 6 or name == "Relu" and version >= 14:
        types = types + [np.int8, np.int16, np.int32, np.int64]
    return {}, [array(rng, dims(rng), pick(rng, types), True)]


@spec("Ceil", "Floor", "Round", "Sqrt", "Exp", "Log", "Reciprocal", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Softplus", "Softsign",
      "Sinh", "Cosh", "Atan", "Asinh", "Tan", "HardSwish", "Mish")
def real_unary(rng, version, name):
    return {}, [array(rng, dims(rng), pick(rng, FLOATS[:3]), name not in ("Softplus", "Mish", "HardSwish", "Sin", "Cos", "Tan"))]


@spec("Acos", "Asin", "Atanh")
def unit_unary(rng, version, name):
    return {}, [np.clip(array(rng, dims(rng), np.float32) / 6, -0.99, 0.99).astype(np.float32)]


@spec("Acosh")
def acosh(rng, version, name):
    return {}, [(np.abs(array(rng, dims(rng), np.float32)) + 1).astype(np.float32)]


@spec("Not")
def logical_not(rng, version, name):
    return {}, [array(rng, dims(rng), np.bool_)]


@spec("IsNaN", "IsInf")
def tests(rng, version, name):
    attrs = {"detect_negative": int(rng.integers(2)), "detect_positive": int(rng.integers(2))} if name == "IsInf" else {}
    return attrs, [array(rng, dims(rng), np.float32, True)]


@spec("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "HardSigmoid", "Selu", "Shrink", "Gelu")
def with_attributes(rng, version, name):
    names = {"HardSigmoid": ["alpha", "beta"], "Selu": ["alpha", "gamma"], "Shrink": ["bias", "lambd"], "Gelu": []}.get(name, ["alpha"])
    attrs = {n: float(np.float32(rng.uniform(0.1, 2))) for n in names if rng.random() < 0.7}
    if name == "Gelu":
        attrs = {"approximate": pick(rng, ["none", "tanh"])}
    return attrs, [array(rng, dims(rng), np.float32 if name in ("Celu", "Gelu", "Shrink") else pick(rng, FLOATS[:3]))]


@spec("Add", "Sub", "Mul", "Div")
def arithmetic(rng, version, name):
    dtype = pick(rng, FLOATS[:3] + [np.int32, np.int64, np.uint32, np.uint64] + ([np.int8, np.uint8, np.int16] if version >= 14 else []))
    a, b = broadcast_pair(rng)
    y = array(rng, b, dtype)
    if name == "Div" and np.dtype(dtype).kind in "iu":
        y = np.where(y == 0, np.asarray(3, dtype), y).astype(dtype)
    return {}, [array(rng, a, dtype), y]


@spec("Mod")
def modulo(rng, version, name):
    dtype = pick(rng, INTS + [np.float32, np.float64])
    a, b = broadcast_pair(rng)
    y = array(rng, b, dtype)
    y = np.where(y == 0, np.asarray(3, dtype), y).astype(dtype)
    fmod = 1 if np.dtype(dtype).kind == "f" else int(rng.integers(2))
    return {"fmod": fmod}, [array(rng, a, dtype), y]


@spec("Pow")
def power(rng, version, name):
    a, b = broadcast_pair(rng)
    base = np.abs(array(rng, a, pick(rng, [np.float32, np.float64]))) + 0.1
    return {}, [base, array(rng, b, base.dtype)]


@spec("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual")
def comparison(rng, version, name):
    if name == "Equal" and version < 11:
        types = [np.int32, np.int64, np.bool_]
    else:
        types = FLOATS[:3] + (INTS if version >= 9 else []) + ([np.bool_] if name == "Equal" else [])
    dtype = pick(rng, types)
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, dtype, True), array(rng, b, dtype, True)]


@spec("And", "Or", "Xor")
def logic(rng, version, name):
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, np.bool_), array(rng, b, np.bool_)]


@spec("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(rng, version, name):
    dtype = pick(rng, INTS)
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, dtype, True), array(rng, b, dtype, True)]


@spec("BitShift")
def shift(rng, version, name):
    dtype = pick(rng, [np.uint8, np.uint16, np.uint32, np.uint64])
    a, b = broadcast_pair(rng)
    return {"direction": pick(rng, ["LEFT", "RIGHT"])}, [array(rng, a, dtype, True), np.asarray(rng.integers(0, 8, b)).astype(dtype)]


@spec("Min", "Max", "Sum", "Mean")
def variadic(rng, version, name):
    dtype = pick(rng, FLOATS[:2] + (INTS if name in ("Min", "Max") and version >= 12 else []))
    shapes = broadcast_pair(rng) if version >= 8 else [dims(rng)]
    return {}, [array(rng, pick(rng, shapes), dtype) for _ in range(rng.integers(1, 5))]


@spec("Where")
def where(rng, version, name):
    dtype = pick(rng, FLOATS[:3] + INTS + [np.bool_])
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, np.bool_), array(rng, b, dtype), array(rng, pick(rng, [a, b]), dtype)]


@spec("Clip")
def clip(rng, version, name):
    dtype = pick(rng, FLOATS[:2] + (INTS if version >= 12 else []))
    limits = sorted(array(rng, [2], dtype).tolist())
    x = array(rng, dims(rng), dtype)
    if version < 11:
        return {"min": -1.0, "max": 1.5}, [array(rng, dims(rng), np.float32)]
    return {}, [x, pick(rng, [None, np.asarray(limits[0], dtype)]), pick(rng, [None, np.asarray(limits[1], dtype)])]


@spec("PRelu")
def prelu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    slope = [1 if rng.random() < 0.3 else d for d in shape][rng.integers(0, len(shape)):]
    dtype = pick(rng, FLOATS[:2])
    return {}, [array(rng, shape, dtype), array(rng, slope, dtype)]


@spec("MatMul")
def matmul(rng, version, name):
    m, k, n = (int(rng.integers(1, 20)) for _ in range(3))
    batch_a, batch_b = broadcast_pair(rng)
    a = [k] if rng.random() < 0.1 else batch_a + [m, k]
    b = [k] if rng.random() < 0.1 else batch_b + [k, n]
    dtype = pick(rng, FLOATS[:3] + ([np.int32, np.int64, np.uint32] if version >= 9 else []))
    return {}, [array(rng, a, dtype), array(rng, b, dtype)]


@spec("Gemm")
def gemm(rng, version, name):
    m, k, n = (int(rng.integers(1, 20)) for _ in range(3))
    ta, tb = int(rng.integers(2)), int(rng.integers(2))
    dtype = pick(rng, FLOATS[:2])
    c = pick(rng, [None, [], [1], [n], [m, 1], [1, n], [m, n]])
    c = [n] if c is None and version < 11 else c
    attrs = {"transA": ta, "transB": tb, "alpha": float(rng.integers(1, 4)) / 2, "beta": float(rng.integers(0, 4)) / 2}
    return attrs, [array(rng, [k, m] if ta else [m, k], dtype), array(rng, [n, k] if tb else [k, n], dtype),
                   None if c is None else array(rng, c, dtype)]


@spec("Softmax", "LogSoftmax", "Hardmax")
def softmax(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    return {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))}, [
        array(rng, shape, pick(rng, FLOATS[:3]) if version >= 13 else np.float32)]


@spec("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum",
      "ReduceLogSumExp")
def reduce(rng, version, name):
    shape = dims(rng, low=1)
    dtype = pick(rng, FLOATS[:2] + ([np.int32, np.int64] if name in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd") else []))
    chosen = [int(a) - (len(shape) if rng.random() < 0.3 and version >= 11 else 0) for a in range(len(shape)) if rng.random() < 0.5]
    attrs = {"keepdims": int(rng.integers(2))}
    x = array(rng, shape, dtype)
    if name == "ReduceLogSum":
        x = (np.abs(x) + 0.1).astype(dtype)
    by_input = version >= (13 if name == "ReduceSum" else 18)
    if by_input:
        attrs["noop_with_empty_axes"] = int(rng.integers(2))
        return attrs, [x, np.asarray(chosen, np.int64) if rng.random() < 0.8 else None]
    if chosen:
        attrs["axes"] = chosen
    return attrs, [x]


@spec("ArgMax", "ArgMin")
def arg(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    attrs = {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape))), "keepdims": int(rng.integers(2))}
    if version >= 12:
        attrs["select_last_index"] = int(rng.integers(2))
    return attrs, [array(rng, shape, pick(rng, [np.float32, np.float64, np.int32, np.int8]))]


@spec("TopK")
def top_k(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1, high=9)
    at = axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))
    k = int(rng.integers(1, shape[at] + 1))
    count = int(np.prod(shape))
    x = rng.permutation(count).reshape(shape).astype(np.float32)
    attrs = {"axis": at}
    if version >= 11:
        attrs["largest"] = int(rng.integers(2))
    if version < 10:
        return {**attrs, "k": k}, [x]
    return attrs, [x, np.asarray([k], np.int64)]


@spec("Transpose")
def transpose(rng, version, name):
    shape = dims(rng)
    attrs = {"perm": [int(p) for p in rng.permutation(len(shape))]} if shape and rng.random() < 0.9 else {}
    return attrs, [array(rng, shape, pick(rng, FLOATS[:3] + INTS + [np.bool_]))]


@spec("Reshape")
def reshape(rng, version, name):
    shape = dims(rng, low=1)
    target = [int(d) for d in rng.permutation(shape)]
    if target and rng.random() < 0.5:
        target[rng.integers(len(target))] = -1
    if version < 5:
        return {"shape": target}, [array(rng, shape)]
    return {}, [array(rng, shape, pick(rng, FLOATS[:2] + INTS)), np.asarray(target, np.int64)]


@spec("Flatten")
def flatten(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    return {"axis": int(rng.integers(0, len(shape) + 1))}, [array(rng, shape)]


@spec("Concat")
def concat(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    at = axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))
    dtype = pick(rng, FLOATS[:3] + INTS)
    parts = []
    for _ in range(rng.integers(1, 5)):
        part = list(shape)
        part[at] = int(rng.integers(0, 4))
        parts.append(array(rng, part, dtype))
    return {"axis": at}, parts


@spec("Slice")
def slice_(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    axes = [a for a in range(len(shape)) if rng.random() < 0.7] or [0]
    starts = [int(rng.integers(-7, 7)) for _ in axes]
    ends = [int(rng.integers(-7, 7)) if rng.random() < 0.8 else 2**31 - 1 for _ in axes]
    if version < 10:
        return {"axes": axes, "starts": starts, "ends": ends}, [array(rng, shape)]
    steps = [int(pick(rng, [1, 2, 3, -1, -2])) for _ in axes]
    for i, a in enumerate(axes):  # where the oracles go their own ways: starts below zero, INT_MAX as an end, going backwards
        if steps[i] < 0:
            starts[i], ends[i] = max(starts[i], -max(shape[a], 1)), int(rng.integers(-7, 7))
    named = [a - (len(shape) if rng.random() < 0.3 else 0) for a in axes]
    numbers = [np.asarray(v, pick(rng, [np.int64])) for v in (starts, ends, named, steps)]
    return {}, [array(rng, shape, pick(rng, FLOATS[:2] + INTS)), *numbers]


@spec("Gather")
def gather(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))
    low = -shape[at] if version >= 11 else 0
    indices = np.asarray(rng.integers(low, shape[at], dims(rng, rank=int(rng.integers(0, 3))))).astype(pick(rng, [np.int32, np.int64]))
    return {"axis": at}, [array(rng, shape, pick(rng, FLOATS[:3] + INTS)), indices]


@spec("GatherElements")
def gather_elements(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape))
    index_shape = list(shape)
    index_shape[at] = int(rng.integers(1, 6))
    return {"axis": at}, [array(rng, shape), rng.integers(-shape[at], shape[at], index_shape)]


@spec("Expand")
def expand(rng, version, name):
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, pick(rng, FLOATS[:2] + INTS)), np.asarray(b, np.int64)]


@spec("Tile")
def tile(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    return {}, [array(rng, shape, pick(rng, FLOATS[:2] + INTS)), np.asarray(rng.integers(0, 4, len(shape)), np.int64)]


@spec("Pad")
def pad(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=2)
    mode = pick(rng, ["constant", "reflect", "edge"] + (["wrap"] if version >= 19 else []))
    pads = [int(p) for p in rng.integers(0, 2 if mode == "reflect" else 3, 2 * len(shape))]
    if version < 11:
        return {"mode": mode, "pads": pads}, [array(rng, shape)]
    x = array(rng, shape)
    value = np.asarray(rng.normal(), np.float32) if mode == "constant" and rng.random() < 0.5 else None
    return {"mode": mode}, [x, np.asarray(pads, np.int64), value]


@spec("Cast")
def cast(rng, version, name):
    import onnx
    types = (FLOATS if version >= 13 else FLOATS[:3]) + INTS + [np.bool_]
    source, target = pick(rng, types), pick(rng, types)
    x = array(rng, dims(rng), source)
    if np.dtype(target).kind == "u":
        x = np.abs(x)
    return {"to": onnx.helper.np_dtype_to_tensor_dtype(np.dtype(target))}, [x]


@spec("CumSum")
def cum_sum(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    attrs = {"exclusive": int(rng.integers(2)), "reverse": int(rng.integers(2))}
    return attrs, [array(rng, shape, pick(rng, [np.float32, np.float64, np.int32])), np.asarray(axis(rng, len(shape)), np.int64)]


@spec("Trilu")
def trilu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)))
    return {"upper": int(rng.integers(2))}, [array(rng, shape, pick(rng, FLOATS[:2] + INTS)), np.asarray(rng.integers(-5, 6), np.int64)]


@spec("NonZero")
def non_zero(rng, version, name):
    return {}, [np.round(array(rng, dims(rng, rank=int(rng.integers(1, 4))), np.float32) / 3).astype(pick(rng, [np.float32, np.int32, np.bool_]))]


@spec("LayerNormalization")
def layer_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)), low=1, high=7)
    at = axis(rng, len(shape))
    inner = shape[at:]
    return {"axis": at, "epsilon": 1e-3}, [array(rng, shape), array(rng, inner), pick(rng, [None, array(rng, inner)])]


@spec("InstanceNormalization")
def instance_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(3, 5)), low=2, high=6)
    return {"epsilon": 1e-3}, [array(rng, shape), array(rng, [shape[1]]), array(rng, [shape[1]])]


@spec("BatchNormalization")
def batch_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)), low=1)
    channels = [shape[1]]
    return {"epsilon": 1e-3}, [array(rng, shape), array(rng, channels), array(rng, channels), array(rng, channels),
                               (np.abs(array(rng, channels)) + 0.1).astype(np.float32)]


def window(rng, rank, pads=True, dilations=True):
    attrs = {"strides": [int(rng.integers(1, 3)) for _ in range(rank)]}
    if dilations and rng.random() < 0.3:
        attrs["dilations"] = [int(rng.integers(1, 3)) for _ in range(rank)]
    if pads and rng.random() < 0.6:
        attrs["pads"] = [int(rng.integers(0, 2)) for _ in range(2 * rank)]
    elif rng.random() < 0.3 and "dilations" not in attrs:
        attrs["auto_pad"] = pick(rng, ["SAME_UPPER", "SAME_LOWER", "VALID"])
    return attrs


@spec("Conv")
def conv(rng, version, name):
    rank = int(rng.integers(1, 4))
    groups, ic, oc = (int(rng.integers(1, 4)) for _ in range(3))
    if rng.random() < 0.3:
        groups, ic = int(rng.integers(2, 9)), 1
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    attrs = {**window(rng, rank), "group": groups, "kernel_shape": kernel}
    x = array(rng, [int(rng.integers(1, 3)), groups * ic, *[int(rng.integers(7, 12)) for _ in range(rank)]])
    return attrs, [x, array(rng, [groups * oc, ic, *kernel]), pick(rng, [None, array(rng, [groups * oc])])]


@spec("MaxPool", "AveragePool")
def pool(rng, version, name):
    rank = int(rng.integers(1, 4))
    attrs = {**window(rng, rank, dilations=name == "MaxPool" and version >= 10), "kernel_shape": [int(rng.integers(2, 4)) for _ in range(rank)]}
    if version >= 10 and "auto_pad" not in attrs:
        attrs["ceil_mode"] = int(rng.integers(2))
    if name == "AveragePool" and version >= 7:
        attrs["count_include_pad"] = int(rng.integers(2))
    return attrs, [array(rng, [int(rng.integers(1, 3)), int(rng.integers(1, 4)), *[int(rng.integers(6, 12)) for _ in range(rank)]])]


@spec("GlobalAveragePool", "GlobalMaxPool")
def global_pool(rng, version, name):
    return {}, [array(rng, dims(rng, rank=int(rng.integers(3, 6)), low=1))]


@spec("ScatterElements")
def scatter_elements(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape))
    index = np.take(np.argsort(rng.random(shape), axis=at), range(int(rng.integers(1, shape[at] + 1))), axis=at)
    attrs = {"axis": at}
    if version >= 16:
        attrs["reduction"] = pick(rng, ["none", "add", "mul"] + (["min", "max"] if version >= 18 else []))
    return attrs, [array(rng, shape), index.astype(np.int64), array(rng, index.shape)]


@spec("OneHot")
def one_hot(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 3)), low=1)
    depth = int(rng.integers(1, 6))
    indices = rng.integers(-depth, depth, shape)
    return {"axis": axis(rng, len(shape) + 1)}, [indices, np.asarray(depth, np.int64), array(rng, [2])]
