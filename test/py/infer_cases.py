"""Random nodes, one generator an operator, for test_infer.py. A generator draws shapes, attributes and constants that fit together.

draw(rng) gives a Case; T is a graph input, C a constant, None an absent optional input.
"""

import dataclasses
import typing

import numpy as np
from onnx import TensorProto, helper

F, I64, I32, U8, I8, B, S = (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8,
                             TensorProto.BOOL, TensorProto.STRING)


@dataclasses.dataclass
class T:
    shape: typing.Sequence[int]
    dtype: int = F


@dataclasses.dataclass
class C:
    value: typing.Any


@dataclasses.dataclass
class Case:
    op: str
    inputs: list
    attrs: dict
    outputs: int = 1
    domain: str = ""


GENERATORS: dict = {}  # (domain, op) -> list of (first opset, last opset, function)


def gen(*ops, since=1, until=10**6, domain=""):
    def register(function):
        for op in ops:
            GENERATORS.setdefault((domain, op), []).append((since, until, function))
        return function

    return register


def shape(rng, low=1, high=4, size=5, zero=0.05):
    dims = [int(rng.integers(1, size + 1)) for _ in range(int(rng.integers(low, high + 1)))]
    return [0 if rng.random() < zero else d for d in dims]


def axis_of(rng, rank):
    return int(rng.integers(-rank, rank))


def ints(values):
    return C(np.array(values, np.int64))


def maybe(rng, value, chance=0.5):
    return value if rng.random() < chance else None


def attrs(**kwargs):
    return {k: v for k, v in kwargs.items() if v is not None}


def narrowed(rng, dims):
    """A shape that broadcasts to dims."""
    cut = dims[int(rng.integers(0, len(dims) + 1)):]
    return [1 if rng.random() < 0.3 else d for d in cut]


# --- elementwise ---------------------------------------------------------------------------------------------------------
@gen("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu",
     "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign",
     "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Celu", "IsInf", "IsNaN", "LpNormalization",
     "Bernoulli", "RandomNormalLike", "RandomUniformLike")
def unary(rng, op, opset):
    return Case(op, [T(shape(rng))], {})


@gen("Identity")
def identity(rng, op, opset):
    return Case(op, [T(shape(rng, low=0), int(rng.choice([F, I64, B])))], {})


@gen("Not")
def logical_not(rng, op, opset):
    return Case(op, [T(shape(rng, low=0), B)], {})


@gen("BitwiseNot")
def bitwise_not(rng, op, opset):
    return Case(op, [T(shape(rng), I32)], {})


@gen("Cast")
def cast(rng, op, opset):
    to = int(rng.choice([F, I64, I32, B, U8]))
    return Case(op, [T(shape(rng, low=0))], {"to": to if opset >= 6 else TensorProto.DataType.Name(to)})


@gen("CastLike")
def cast_like(rng, op, opset):
    return Case(op, [T(shape(rng)), T(shape(rng), int(rng.choice([F, I64, B])))], {})


@gen("BitCast")
def bit_cast(rng, op, opset):
    return Case(op, [T(shape(rng), F)], {"to": I32})


def pair(rng):
    whole = shape(rng, low=0)
    other = narrowed(rng, whole)
    return (whole, other) if rng.random() < 0.5 else (other, whole)


@gen("Add", "Sub", "Mul", "Div", "Pow", since=7)
def arithmetic(rng, op, opset):
    a, b = pair(rng)
    dtype = int(rng.choice([F, I64, I32])) if op != "Pow" or opset >= 12 else F
    return Case(op, [T(a, dtype), T(b, dtype)], {})


@gen("Add", "Sub", "Mul", "Div", until=6)
def legacy_arithmetic(rng, op, opset):
    a = shape(rng, low=1, zero=0)
    if rng.random() < 0.3:
        return Case(op, [T(a), T(a)], {})
    start = int(rng.integers(0, len(a)))
    end = int(rng.integers(start, len(a) + 1))
    given = end < len(a) or rng.random() < 0.5
    return Case(op, [T(a), T(a[start:end])], attrs(broadcast=1, axis=start if given and end > start else None if end == len(a) else start))


@gen("Mod", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def integer_pair(rng, op, opset):
    a, b = pair(rng)
    return Case(op, [T(a, I32), T(b, I32)], {})


@gen("BitShift")
def bit_shift(rng, op, opset):
    a, b = pair(rng)
    return Case(op, [T(a, U8), T(b, U8)], {"direction": "LEFT"})


@gen("And", "Or", "Xor", since=7)
def logic(rng, op, opset):
    a, b = pair(rng)
    return Case(op, [T(a, B), T(b, B)], {})


@gen("Equal", "Less", "Greater", since=9)
@gen("LessOrEqual", "GreaterOrEqual")
def compare(rng, op, opset):
    a, b = pair(rng)
    dtype = int(rng.choice([F, I64, I32])) if op != "Equal" or opset >= 11 else I64
    return Case(op, [T(a, dtype), T(b, dtype)], {})


@gen("Sum", "Mean", "Min", "Max", since=8)
def variadic(rng, op, opset):
    whole = shape(rng)
    shapes = [narrowed(rng, whole) for _ in range(int(rng.integers(0, 3)))] + [whole]
    return Case(op, [T(s) for s in shapes], {})


@gen("Where")
def where(rng, op, opset):
    whole = shape(rng)
    return Case(op, [T(narrowed(rng, whole), B), T(whole), T(narrowed(rng, whole))], {})


@gen("PRelu", since=9)
def prelu(rng, op, opset):
    whole = shape(rng, zero=0)
    return Case(op, [T(whole), T(narrowed(rng, whole))], {})


@gen("Clip", since=11)
def clip(rng, op, opset):
    return Case(op, [T(shape(rng)), maybe(rng, C(np.float32(-1))), maybe(rng, C(np.float32(1)))], {})


@gen("CumSum", "CumProd")
def cumulative(rng, op, opset):
    dims = shape(rng)
    return Case(op, [T(dims), C(np.int64(axis_of(rng, len(dims))))], {})


@gen("SwiGLU")
def swiglu(rng, op, opset):
    dims = shape(rng)
    return Case(op, [T(dims), T(dims)], {})


# --- matrix products -----------------------------------------------------------------------------------------------------
@gen("MatMul")
def matmul(rng, op, opset):
    m, k, n = (int(x) for x in rng.integers(1, 5, 3))
    batch = shape(rng, low=0, high=2)
    a, b = narrowed(rng, batch) + [m, k], narrowed(rng, batch) + [k, n]
    if rng.random() < 0.2:
        a = [k]
    if rng.random() < 0.2:
        b = [k]
    return Case(op, [T(a), T(b)], {})


@gen("MatMulInteger")
def matmul_integer(rng, op, opset):
    case = matmul(rng, op, opset)
    return Case(op, [T(i.shape, U8) for i in case.inputs], {})


@gen("QLinearMatMul")
def qlinear_matmul(rng, op, opset):
    case = matmul(rng, op, opset)
    a, b = (T(i.shape, U8) for i in case.inputs)
    one, zero = C(np.float32(0.5)), C(np.uint8(3))
    return Case(op, [a, one, zero, b, one, zero, one, zero], {})


@gen("Gemm", since=7)
def gemm(rng, op, opset):
    m, k, n = (int(x) for x in rng.integers(1, 5, 3))
    ta, tb = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    c = narrowed(rng, [m, n])
    bias = [T(c)] if opset < 11 or rng.random() < 0.7 else []
    return Case(op, [T([k, m] if ta else [m, k]), T([n, k] if tb else [k, n])] + bias, {"transA": ta, "transB": tb})


@gen("Einsum")
def einsum(rng, op, opset):
    size = {c: int(rng.integers(2, 5)) for c in "ijkb"}
    equation = str(rng.choice(["ij,jk->ik", "bij,bjk->bik", "ij->ji", "ij->", "i,j->ij", "ii->i", "ij,jk", "...ij,...jk->...ik",
                               "b...,b...->...", " ij , kj -> ik ", "...i->...", "ij"]))
    left = equation.replace(" ", "").split("->")[0]
    dots = shape(rng, low=1, high=2, zero=0)
    shapes = []
    for term in left.split(","):
        before, _, after = term.partition("...")
        shapes.append([size[c] for c in before] + (dots if "..." in term else []) + [size[c] for c in after])
    return Case(op, [T(s) for s in shapes], {"equation": equation})


@gen("Det")
def det(rng, op, opset):
    n = int(rng.integers(1, 4))
    return Case(op, [T(shape(rng, low=0, high=2, zero=0) + [n, n])], {})


# --- windows -------------------------------------------------------------------------------------------------------------
def window(rng, spatial, dilate=True, need_kernel=True):
    kernel = [int(x) for x in rng.integers(1, 4, spatial)]
    dilations = [int(x) for x in rng.integers(1, 3, spatial)] if dilate and rng.random() < 0.4 else None
    reach = [(k - 1) * (d if dilations else 1) + 1 for k, d in zip(kernel, dilations or [1] * spatial)]
    size = [r + int(rng.integers(0, 6)) for r in reach]
    strides = [int(x) for x in rng.integers(1, 4, spatial)] if rng.random() < 0.6 else None
    out = {"strides": strides, "dilations": dilations}
    style = rng.random()
    if style < 0.4:
        out["pads"] = [int(rng.integers(0, r)) for r in reach] + [int(rng.integers(0, r)) for r in reach]
    elif style < 0.8:
        out["auto_pad"] = str(rng.choice(["VALID", "SAME_UPPER", "SAME_LOWER", "NOTSET"]))
    if need_kernel:
        out["kernel_shape"] = kernel
    return size, kernel, attrs(**out)


@gen("Conv")
def conv(rng, op, opset):
    spatial = int(rng.integers(1, 4))
    size, kernel, rest = window(rng, spatial, need_kernel=rng.random() < 0.5)
    group, depth, each = (int(x) for x in rng.integers(1, 3, 3))
    inputs = [T([int(rng.integers(0, 3)), group * depth] + size), T([group * each, depth] + kernel)]
    if rng.random() < 0.5:
        inputs.append(T([group * each]))
    return Case(op, inputs, {"group": group, **rest})


@gen("ConvInteger")
def conv_integer(rng, op, opset):
    case = conv(rng, op, opset)
    return Case(op, [T(i.shape, U8) for i in case.inputs[:2]], case.attrs)


@gen("QLinearConv")
def qlinear_conv(rng, op, opset):
    case = conv(rng, op, opset)
    x, w = (T(i.shape, U8) for i in case.inputs[:2])
    one, zero = C(np.float32(0.5)), C(np.uint8(3))
    return Case(op, [x, one, zero, w, one, zero, one, zero], case.attrs)


@gen("ConvTranspose", since=11)
def conv_transpose(rng, op, opset):
    spatial = int(rng.integers(1, 3))
    size, kernel, rest = window(rng, spatial, need_kernel=rng.random() < 0.5)
    group, depth, each = (int(x) for x in rng.integers(1, 3, 3))
    if "auto_pad" not in rest and rng.random() < 0.3:
        rest["strides"] = [2] * spatial
        rest["output_padding"] = [1] * spatial
    return Case(op, [T([1, group * depth] + size), T([group * depth, each] + kernel)], {"group": group, **rest})


@gen("DeformConv")
def deform_conv(rng, op, opset):
    kernel, size = [2, 2], [int(x) for x in rng.integers(3, 6, 2)]
    out = [s - 1 for s in size]
    return Case(op, [T([1, 2] + size), T([3, 2] + kernel), T([1, 8] + out)], {"kernel_shape": kernel, "pads": [0, 0, 0, 0]})


@gen("MaxPool", "AveragePool", "LpPool")
def pool(rng, op, opset):
    spatial = int(rng.integers(1, 4)) if op != "LpPool" or opset > 1 else 2
    dilate = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op] <= opset
    size, kernel, rest = window(rng, spatial, dilate)
    if opset >= {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[op] and "auto_pad" not in rest and rng.random() < 0.5:
        rest["ceil_mode"] = 1
    outputs = 2 if op == "MaxPool" and opset >= 8 and rng.random() < 0.3 else 1
    return Case(op, [T(shape(rng, low=2, high=2, zero=0) + size)], rest, outputs)


@gen("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(rng, op, opset):
    return Case(op, [T(shape(rng, low=3, high=5, zero=0))], {})


@gen("MaxUnpool")
def max_unpool(rng, op, opset):
    dims = shape(rng, low=4, high=4, zero=0)
    return Case(op, [T(dims), T(dims, I64)], {"kernel_shape": [2, 2], "strides": [2, 2]})


@gen("CausalConvWithState")
def causal_conv(rng, op, opset):
    b, c, n, k = (int(x) for x in rng.integers(1, 5, 4))
    return Case(op, [T([b, c, n]), T([c, 1, k]), maybe(rng, T([c])), maybe(rng, T([b, c, k - 1]))], {}, 2)


# --- normalizations ------------------------------------------------------------------------------------------------------
@gen("BatchNormalization", since=9)
def batch_norm(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    training = opset >= 14 and rng.random() < 0.4
    return Case(op, [T(dims)] + [T([dims[1]]) for _ in range(4)], {"training_mode": 1} if training else {}, 3 if training else 1)


@gen("InstanceNormalization")
def instance_norm(rng, op, opset):
    dims = shape(rng, low=3, zero=0)
    return Case(op, [T(dims), T([dims[1]]), T([dims[1]])], {})


@gen("GroupNormalization", since=21)
def group_norm(rng, op, opset):
    dims = shape(rng, low=3, zero=0)
    dims[1] = 4
    return Case(op, [T(dims), T([4]), T([4])], {"num_groups": int(rng.choice([1, 2, 4]))})


@gen("LayerNormalization", since=17)
def layer_norm(rng, op, opset):
    dims = shape(rng, zero=0)
    axis = axis_of(rng, len(dims))
    tail = dims[axis:]
    return Case(op, [T(dims), T(tail), maybe(rng, T(tail))], {"axis": axis}, int(rng.choice([1, 3])))


@gen("RMSNormalization")
def rms_norm(rng, op, opset):
    dims = shape(rng, zero=0)
    axis = axis_of(rng, len(dims))
    return Case(op, [T(dims), T(dims[axis:])], {"axis": axis})


@gen("Softmax", "LogSoftmax", "Hardmax")
def softmax(rng, op, opset):
    dims = shape(rng, low=2)
    return Case(op, [T(dims)], {"axis": axis_of(rng, len(dims)) if opset >= 11 else int(rng.integers(0, len(dims)))})


@gen("LRN")
def lrn(rng, op, opset):
    return Case(op, [T(shape(rng, low=3, zero=0))], {"size": 3})


@gen("MeanVarianceNormalization", since=9)
def mvn(rng, op, opset):
    return Case(op, [T(shape(rng, low=4, high=4, zero=0))], {"axes": [0, 2, 3]})


@gen("Dropout", since=12)
def dropout(rng, op, opset):
    return Case(op, [T(shape(rng)), maybe(rng, C(np.float32(0.3)))], {}, int(rng.choice([1, 2])))


@gen("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    inputs = [T(dims), T(dims[:1] + dims[2:], I64), maybe(rng, T([dims[1]]))]
    outputs = 2 if op.startswith("Soft") and rng.random() < 0.5 else 1
    return Case(op, inputs, {"reduction": str(rng.choice(["none", "sum", "mean"]))}, outputs)


# --- tensors -------------------------------------------------------------------------------------------------------------
@gen("Shape")
def shape_op(rng, op, opset):
    dims = shape(rng, low=0)
    limits = {}
    if opset >= 15:
        limits = attrs(start=maybe(rng, int(rng.integers(-6, 6))), end=maybe(rng, int(rng.integers(-6, 6))))
    return Case(op, [T(dims)], limits)


@gen("Size")
def size_op(rng, op, opset):
    return Case(op, [T(shape(rng, low=0))], {})


@gen("Reshape", since=5)
def reshape(rng, op, opset):
    dims = shape(rng, zero=0)
    count = int(np.prod(dims))
    new = []
    rest = count
    for divisor in [int(d) for d in rng.permutation([1, 2, 3, 4, 5])][:3]:
        if rest % divisor == 0:
            new.append(divisor)
            rest //= divisor
    new.append(rest)
    if rng.random() < 0.5:
        new[int(rng.integers(0, len(new)))] = -1
    for k in range(min(len(new), len(dims))):
        if new[k] == dims[k] and rng.random() < 0.5:
            new[k] = 0
    return Case(op, [T(dims), ints(new) if rng.random() < 0.85 else T([len(new)], I64)], {})


@gen("Flatten")
def flatten(rng, op, opset):
    dims = shape(rng)
    low = -len(dims) if opset >= 11 else 0
    return Case(op, [T(dims)], {"axis": int(rng.integers(low, len(dims) + 1))})


@gen("Squeeze", "Unsqueeze")
def squeeze(rng, op, opset):
    dims = shape(rng, low=2)
    if op == "Squeeze":
        count = int(rng.integers(1, len(dims)))
        axes = sorted(int(a) for a in rng.permutation(len(dims))[:count])  # onnx's Squeeze-1 wants them sorted
        for a in axes:
            dims[a] = 1
        rank = len(dims)
    else:
        rank = len(dims) + int(rng.integers(1, 3))
        axes = [int(a) for a in rng.permutation(rank)[:rank - len(dims)]]
    if opset >= 11:
        axes = [a - rank if rng.random() < 0.3 else a for a in axes]
    if opset < 13:
        return Case(op, [T(dims)], {"axes": axes})
    if op == "Squeeze" and rng.random() < 0.2:
        return Case(op, [T(dims)], {})
    return Case(op, [T(dims), ints(axes)], {})


@gen("Transpose")
def transpose(rng, op, opset):
    dims = shape(rng)
    return Case(op, [T(dims)], attrs(perm=maybe(rng, [int(p) for p in rng.permutation(len(dims))], 0.8)))


@gen("Expand")
def expand(rng, op, opset):
    whole = shape(rng)
    a, b = narrowed(rng, whole), narrowed(rng, whole)
    return Case(op, [T(a), ints(b)], {})


@gen("Tile", since=6)
def tile(rng, op, opset):
    dims = shape(rng)
    return Case(op, [T(dims), ints(rng.integers(0, 4, len(dims)))], {})


@gen("DepthToSpace")
def depth_to_space(rng, op, opset):
    n, c, h, w, b = (int(x) for x in rng.integers(1, 4, 5))
    return Case(op, [T([n, c * b * b, h, w])], {"blocksize": b})


@gen("SpaceToDepth")
def space_to_depth(rng, op, opset):
    n, c, h, w, b = (int(x) for x in rng.integers(1, 4, 5))
    return Case(op, [T([n, c, h * b, w * b])], {"blocksize": b})


@gen("Trilu")
def trilu(rng, op, opset):
    return Case(op, [T(shape(rng, low=2))], {})


@gen("ReverseSequence")
def reverse_sequence(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    return Case(op, [T(dims), T([dims[1]], I64)], {"time_axis": 0, "batch_axis": 1})


@gen("Concat", since=4)
def concat(rng, op, opset):
    dims = shape(rng)
    axis = axis_of(rng, len(dims)) if opset >= 11 else int(rng.integers(0, len(dims)))
    shapes = []
    for _ in range(int(rng.integers(1, 4))):
        part = list(dims)
        part[axis] = int(rng.integers(0, 5))
        shapes.append(part)
    return Case(op, [T(s) for s in shapes], {"axis": axis})


@gen("Split", since=2)
def split(rng, op, opset):
    dims = shape(rng)
    axis = axis_of(rng, len(dims)) if opset >= 11 else int(rng.integers(0, len(dims)))
    count = int(rng.integers(1, 4))
    parts = [int(x) for x in rng.integers(0, 4, count)]
    equal = rng.random() < 0.4
    dims[axis] = sum(parts) if not equal else int(rng.integers(1, 3)) * count
    if equal and opset >= 18:
        dims[axis] += int(rng.integers(0, 2)) if count > 1 and dims[axis] > count else 0
        return Case(op, [T(dims)], {"axis": axis, "num_outputs": count}, count)
    if equal:
        return Case(op, [T(dims)], {"axis": axis}, count)
    if opset < 13:
        return Case(op, [T(dims)], {"axis": axis, "split": parts}, count)
    return Case(op, [T(dims), ints(parts)], {"axis": axis}, count)


@gen("Slice", since=10)
def slice_op(rng, op, opset):
    dims = shape(rng)
    axes = [int(a) for a in rng.permutation(len(dims))[:int(rng.integers(1, len(dims) + 1))]]
    far = [2**63 - 1, 2**31 - 1, -2**31, -2**63]

    def limit():
        return int(rng.integers(-7, 8)) if rng.random() < 0.7 else far[int(rng.integers(0, 4))]

    starts, ends = [limit() for _ in axes], [limit() for _ in axes]
    steps = [int(rng.choice([1, 1, 1, 2, 3, -1, -2])) for _ in axes]
    inputs = [T(dims), ints(starts), ints(ends), ints(axes)]
    return Case(op, inputs + [ints(steps)] if rng.random() < 0.6 else inputs, {})


@gen("Slice", until=9)
def slice_1(rng, op, opset):
    dims = shape(rng)
    axes = list(range(len(dims)))
    return Case(op, [T(dims)], {"axes": axes, "starts": [int(rng.integers(-6, 7)) for _ in axes], "ends": [int(rng.integers(-6, 7)) for _ in axes]})


@gen("Pad", since=11)
def pad(rng, op, opset):
    dims = shape(rng, zero=0)
    if opset >= 18 and rng.random() < 0.4:
        axes = [int(a) for a in rng.permutation(len(dims))[:int(rng.integers(1, len(dims) + 1))]]
        return Case(op, [T(dims), ints(rng.integers(0, 3, 2 * len(axes))), None, ints(axes)], {})
    return Case(op, [T(dims), ints(rng.integers(0, 3, 2 * len(dims)))], {})


@gen("Pad", since=2, until=10)
def pad_2(rng, op, opset):
    dims = shape(rng, zero=0)
    return Case(op, [T(dims)], {"pads": [int(x) for x in rng.integers(0, 3, 2 * len(dims))]})


@gen("CenterCropPad")
def center_crop_pad(rng, op, opset):
    dims = shape(rng, zero=0)
    axes = [int(a) for a in rng.permutation(len(dims))[:int(rng.integers(1, len(dims) + 1))]]
    return Case(op, [T(dims), ints(rng.integers(1, 6, len(axes)))], {"axes": axes})


@gen("Gather")
def gather(rng, op, opset):
    dims = shape(rng, zero=0)
    return Case(op, [T(dims), T(shape(rng, low=0, high=2), I64)], {"axis": axis_of(rng, len(dims)) if opset >= 11 else 0})


@gen("GatherElements")
def gather_elements(rng, op, opset):
    dims = shape(rng, zero=0)
    return Case(op, [T(dims), T([max(1, d - 1) for d in dims], I64)], {"axis": axis_of(rng, len(dims))})


@gen("GatherND")
def gather_nd(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    batch = int(rng.integers(0, 2)) if opset >= 12 else 0
    depth = int(rng.integers(1, len(dims) - batch + 1))
    return Case(op, [T(dims), T(dims[:batch] + shape(rng, low=0, high=2) + [depth], I64)], {"batch_dims": batch} if opset >= 12 else {})


@gen("Scatter", until=10)
@gen("ScatterElements")
def scatter_elements(rng, op, opset):
    dims = shape(rng, zero=0)
    part = [max(1, d - 1) for d in dims]
    return Case(op, [T(dims), T(part, I64), T(part)], {"axis": axis_of(rng, len(dims)) if op != "Scatter" else 0})


@gen("ScatterND")
def scatter_nd(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    depth = int(rng.integers(1, len(dims) + 1))
    outer = shape(rng, low=0, high=2)
    return Case(op, [T(dims), T(outer + [depth], I64), T(outer + dims[depth:])], {})


@gen("OneHot")
def one_hot(rng, op, opset):
    dims = shape(rng)
    return Case(op, [T(dims, I64), C(np.array(int(rng.integers(1, 6)), np.int64)), T([2])], {"axis": int(rng.integers(-len(dims) - 1, len(dims) + 1))})


@gen("TopK", since=10)
def top_k(rng, op, opset):
    dims = shape(rng, zero=0)
    axis = axis_of(rng, len(dims)) if opset >= 11 else int(rng.integers(0, len(dims)))
    return Case(op, [T(dims), ints([int(rng.integers(1, dims[axis] + 1))])], {"axis": axis}, 2)


@gen("NonZero")
def non_zero(rng, op, opset):
    return Case(op, [T(shape(rng))], {})


@gen("Compress")
def compress(rng, op, opset):
    dims = shape(rng, zero=0)
    axis = axis_of(rng, len(dims)) if opset >= 11 else int(rng.integers(0, len(dims)))
    return Case(op, [T(dims), T([dims[axis]], B)], attrs(axis=maybe(rng, axis)))


@gen("Unique")
def unique(rng, op, opset):
    dims = shape(rng, zero=0)
    return Case(op, [T(dims)], attrs(axis=maybe(rng, axis_of(rng, len(dims)))), 4)


@gen("TensorScatter")
def tensor_scatter(rng, op, opset):
    dims = shape(rng, low=3, zero=0)
    part = list(dims)
    part[-2] = max(1, part[-2] - 1)
    return Case(op, [T(dims), T(part), maybe(rng, T([dims[0]], I64))], {})


# --- reductions ----------------------------------------------------------------------------------------------------------
@gen("ReduceSum", "ReduceProd", "ReduceMin", "ReduceMax", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
     "ReduceSumSquare")
def reduce(rng, op, opset):
    dims = shape(rng, zero=0)
    count = int(rng.integers(0, len(dims) + 1))
    axes = [int(a) for a in rng.permutation(len(dims))[:count]]
    if opset >= 11:
        axes = [a - len(dims) if rng.random() < 0.3 else a for a in axes]
    rest = attrs(keepdims=maybe(rng, int(rng.integers(0, 2))))
    as_input = opset >= (13 if op == "ReduceSum" else 18)
    if as_input:
        rest.update(attrs(noop_with_empty_axes=maybe(rng, 1, 0.3)))
        given = count > 0 or rng.random() < 0.5
        return Case(op, [T(dims)] + ([ints(axes)] if given else []), rest)
    if count:
        rest["axes"] = axes
    return Case(op, [T(dims)], rest)


@gen("ArgMax", "ArgMin")
def arg(rng, op, opset):
    dims = shape(rng, zero=0)
    return Case(op, [T(dims)], attrs(axis=axis_of(rng, len(dims)) if opset >= 11 else 0, keepdims=maybe(rng, 0)))


# --- generators ----------------------------------------------------------------------------------------------------------
@gen("ConstantOfShape")
def constant_of_shape(rng, op, opset):
    value = helper.make_tensor("v", I64, [1], [3])
    return Case(op, [ints(shape(rng))], attrs(value=maybe(rng, value)))


@gen("Range")
def range_op(rng, op, opset):
    dtype = rng.choice([np.float32, np.int64, np.int32])
    start, limit = (rng.integers(-5, 10, 2)).astype(dtype)
    delta = dtype(int(rng.choice([1, 2, -1, -3]))) if dtype != np.float32 else dtype(float(rng.choice([0.5, 1.5, -0.25])))
    return Case(op, [C(start), C(limit), C(delta)], {})


@gen("RandomNormal", "RandomUniform")
def random_shape(rng, op, opset):
    return Case(op, [], attrs(shape=shape(rng), dtype=maybe(rng, TensorProto.DOUBLE)))


@gen("EyeLike")
def eye_like(rng, op, opset):
    return Case(op, [T(shape(rng, low=2, high=2))], attrs(dtype=maybe(rng, I64)))


@gen("Multinomial")
def multinomial(rng, op, opset):
    return Case(op, [T(shape(rng, low=2, high=2))], {"sample_size": int(rng.integers(1, 6))})


@gen("HannWindow", "HammingWindow", "BlackmanWindow")
def window_op(rng, op, opset):
    return Case(op, [C(np.int64(rng.integers(1, 20)))], attrs(output_datatype=maybe(rng, TensorProto.DOUBLE)))


@gen("MelWeightMatrix")
def mel(rng, op, opset):
    return Case(op, [C(np.int64(8)), C(np.int64(16)), C(np.int64(8192)), C(np.float32(0)), C(np.float32(4000))], {})


# --- attention, signals, images --------------------------------------------------------------------------------------------
@gen("Attention")
def attention(rng, op, opset):
    b, h, ql, kl, d, v, past = (int(x) for x in rng.integers(1, 5, 7))
    group = int(rng.integers(1, 3))
    packed = rng.random() < 0.5
    rest = {}
    if packed:
        inputs = [T([b, ql, h * group * d]), T([b, kl, h * d]), T([b, kl, h * v])]
        rest = {"q_num_heads": h * group, "kv_num_heads": h}
    else:
        inputs = [T([b, h * group, ql, d]), T([b, h, kl, d]), T([b, h, kl, v])]
    if rng.random() < 0.5:
        return Case(op, inputs + [None, T([b, h, past, d]), T([b, h, past, v])], rest, 3)
    return Case(op, inputs, rest)


@gen("RotaryEmbedding")
def rotary(rng, op, opset):
    b, h, s = (int(x) for x in rng.integers(1, 5, 3))
    return Case(op, [T([b, h, s, 8]), T([50, 4]), T([50, 4]), T([b, s], I64)], {})


@gen("LinearAttention")
def linear_attention(rng, op, opset):
    b, t, h, k, v, g = (int(x) for x in rng.integers(1, 4, 6))
    return Case(op, [T([b, t, h * g * k]), T([b, t, h * k]), T([b, t, h * v]), maybe(rng, T([b, h, k, v]))],
                {"q_num_heads": h * g, "kv_num_heads": h, "update_rule": "linear"}, 2)


@gen("FlexAttention", domain="ai.onnx.preview")
def flex_attention(rng, op, opset):
    b, h, ql, kl, d, v = (int(x) for x in rng.integers(1, 5, 6))
    return Case(op, [T([b, h, ql, d]), T([b, h, kl, d]), T([b, h, kl, v])], {}, 1, "ai.onnx.preview")


@gen("DFT")
def dft(rng, op, opset):
    onesided, inverse = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    dims = shape(rng, low=2, high=3, zero=0) + [2 if onesided and inverse else 1 if onesided else int(rng.choice([1, 2]))]
    dims = [d + 1 for d in dims[:-1]] + dims[-1:]
    axis = int(rng.integers(0, len(dims) - 1))
    length = maybe(rng, C(np.int64(rng.integers(2, 9))))
    if opset >= 20:
        return Case(op, [T(dims), length, C(np.int64(axis))], {"onesided": onesided, "inverse": inverse})
    return Case(op, [T(dims), length], {"onesided": onesided, "inverse": inverse, "axis": axis})


@gen("STFT")
def stft(rng, op, opset):
    length = int(rng.integers(2, 9))
    dims = [int(rng.integers(1, 3)), 16 + length, 1]
    window_input = maybe(rng, T([length]))
    frame = C(np.int64(length)) if window_input is None or rng.random() < 0.5 else None
    return Case(op, [T(dims), C(np.int64(1)), window_input, frame], {"onesided": int(rng.integers(0, 2))})


@gen("Resize", since=11)
def resize(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    axes = None
    if opset >= 18 and rng.random() < 0.4:
        axes = [int(a) for a in rng.permutation(len(dims))[:int(rng.integers(1, len(dims) + 1))]]
    count = len(axes) if axes else len(dims)
    roi = C(np.array([], np.float32)) if opset < 13 else None
    if rng.random() < 0.5:
        scales = C(rng.choice(np.array([0.5, 1, 1.5, 2, 3, 0.7], np.float32), count))
        return Case(op, [T(dims), roi, scales], attrs(axes=axes))
    policy = str(rng.choice(["stretch", "not_larger", "not_smaller"])) if opset >= 18 else None
    empty = C(np.array([], np.float32)) if opset < 13 else None
    return Case(op, [T(dims), roi, empty, ints(rng.integers(1, 9, count))], attrs(axes=axes, keep_aspect_ratio_policy=policy))


@gen("Upsample", since=9, until=9)
def upsample(rng, op, opset):
    dims = shape(rng, low=4, high=4, zero=0)
    return Case(op, [T(dims), C(np.array([1, 1, 2, 1.5], np.float32))], {})


@gen("GridSample")
def grid_sample(rng, op, opset):
    spatial = int(rng.integers(2, 4)) if opset >= 20 else 2
    n, c = (int(x) for x in rng.integers(1, 4, 2))
    return Case(op, [T([n, c] + shape(rng, spatial, spatial, zero=0)), T([n] + shape(rng, spatial, spatial, zero=0) + [spatial])], {})


@gen("AffineGrid")
def affine_grid(rng, op, opset):
    spatial = int(rng.integers(2, 4))
    size = shape(rng, spatial + 2, spatial + 2, zero=0)
    return Case(op, [T([size[0], spatial, spatial + 1]), ints(size)], {})


@gen("Col2Im")
def col2im(rng, op, opset):
    image, block = [int(x) for x in rng.integers(3, 7, 2)], [2, 2]
    count = int(np.prod([i - 1 for i in image]))
    return Case(op, [T([1, 4 * 3, count]), ints(image), ints(block)], {})


@gen("RoiAlign")
def roi_align(rng, op, opset):
    n = int(rng.integers(1, 5))
    return Case(op, [T(shape(rng, 4, 4, zero=0)), T([n, 4]), T([n], I64)], {"output_height": 3, "output_width": 2})


@gen("MaxRoiPool")
def max_roi_pool(rng, op, opset):
    return Case(op, [T(shape(rng, 4, 4, zero=0)), T([3, 5])], {"pooled_shape": [2, 2]})


@gen("NonMaxSuppression")
def nms(rng, op, opset):
    b, n, c = (int(x) for x in rng.integers(1, 5, 3))
    return Case(op, [T([b, n, 4]), T([b, c, n])], {})


@gen("ImageDecoder")
def image_decoder(rng, op, opset):
    return Case(op, [T([100], U8)], {})


# --- recurrent, quantization, text -------------------------------------------------------------------------------------------
@gen("RNN", "GRU", "LSTM")
def recurrent(rng, op, opset):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    s, b, i, h = (int(x) for x in rng.integers(1, 5, 4))
    both = int(rng.integers(0, 2))
    d = 1 + both
    layout = int(rng.integers(0, 2)) if opset >= 14 else None
    x = [b, s, i] if layout else [s, b, i]
    state = [b, d, h] if layout else [d, b, h]
    inputs = [T(x), T([d, gates * h, i]), T([d, gates * h, h]), maybe(rng, T([d, 2 * gates * h])), maybe(rng, T([b], I32)),
              maybe(rng, T(state))]
    if op == "LSTM":
        inputs += [maybe(rng, T(state)), maybe(rng, T([d, 3 * h]))]
    return Case(op, inputs,
                attrs(hidden_size=h, layout=layout, direction="bidirectional" if both else "forward"), 3 if op == "LSTM" else 2)


@gen("QuantizeLinear")
def quantize(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    axis = axis_of(rng, len(dims))
    if opset >= 13 and rng.random() < 0.5:
        return Case(op, [T(dims), T([dims[axis]]), C(np.zeros(dims[axis], np.int8))], {"axis": axis})
    return Case(op, [T(dims), C(np.float32(0.5))] + ([C(np.int8(0))] if rng.random() < 0.5 else []), {})


@gen("DequantizeLinear")
def dequantize(rng, op, opset):
    dims = shape(rng, low=2, zero=0)
    axis = axis_of(rng, len(dims))
    if opset >= 21 and rng.random() < 0.4:
        blocks = list(dims)
        blocks[axis] = -(-dims[axis] // 2)
        return Case(op, [T(dims, I8), T(blocks)], {"axis": axis, "block_size": 2})
    if opset >= 13 and rng.random() < 0.5:
        return Case(op, [T(dims, I8), T([dims[axis]])], {"axis": axis})
    return Case(op, [T(dims, U8), C(np.float32(0.5))], {})


@gen("DynamicQuantizeLinear")
def dynamic_quantize(rng, op, opset):
    return Case(op, [T(shape(rng))], {}, 3)


@gen("StringConcat")
def string_concat(rng, op, opset):
    a, b = pair(rng)
    return Case(op, [T(a, S), T(b, S)], {})


@gen("RegexFullMatch")
def regex(rng, op, opset):
    return Case(op, [T(shape(rng), S)], {"pattern": "a"})


@gen("StringSplit")
def string_split(rng, op, opset):
    return Case(op, [T(shape(rng), S)], {}, 2)


@gen("StringNormalizer")
def string_normalizer(rng, op, opset):
    return Case(op, [T([int(rng.integers(1, 5))], S)], {"stopwords": ["a"]})


@gen("TfIdfVectorizer")
def tf_idf(rng, op, opset):
    return Case(op, [T(shape(rng, 1, 2, zero=0), I64)], {"mode": "TF", "min_gram_length": 1, "max_gram_length": 1, "max_skip_count": 0,
                "ngram_counts": [0], "ngram_indexes": [0, 1, 2], "pool_int64s": [1, 2, 3]})


# --- ai.onnx.ml --------------------------------------------------------------------------------------------------------------
ML = "ai.onnx.ml"


@gen("Binarizer", "Normalizer", "Scaler", "Imputer", domain=ML)
def ml_same(rng, op, opset):
    return Case(op, [T(shape(rng, 2, 2, zero=0))], {"imputed_value_floats": [0.0]} if op == "Imputer" else {}, 1, ML)


@gen("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(rng, op, opset):
    return Case(op, [T(shape(rng, 2, 3, zero=0)), T([int(rng.integers(1, 4))], I64)], {}, 1, ML)


@gen("LabelEncoder", since=2, domain=ML)
def label_encoder(rng, op, opset):
    return Case(op, [T(shape(rng), I64)], {"keys_int64s": [1, 2], "values_floats": [1.0, 2.0]}, 1, ML)


@gen("OneHotEncoder", domain=ML)
def one_hot_encoder(rng, op, opset):
    return Case(op, [T(shape(rng), I64)], {"cats_int64s": [1, 2, 3]}, 1, ML)


@gen("LinearClassifier", domain=ML)
def linear_classifier(rng, op, opset):
    classes = int(rng.choice([1, 2, 3]))
    labels = 2 if classes < 3 else 3
    return Case(op, [T([int(rng.integers(1, 4)), 2])], {"coefficients": [1.0] * (2 * classes), "intercepts": [0.0] * classes,
                "classlabels_ints": list(range(labels))}, 2, ML)


@gen("LinearRegressor", domain=ML)
def linear_regressor(rng, op, opset):
    return Case(op, [T([3, 2])], {"coefficients": [1.0] * 4, "intercepts": [0.0] * 2, "targets": 2}, 1, ML)


@gen("ZipMap", domain=ML)
def zip_map(rng, op, opset):
    return Case(op, [T([2, 3])], {"classlabels_int64s": [0, 1, 2]}, 1, ML)


@gen("CategoryMapper", domain=ML)
def category_mapper(rng, op, opset):
    return Case(op, [T(shape(rng), I64)], {"cats_int64s": [1, 2], "cats_strings": ["a", "b"]}, 1, ML)


# --- com.microsoft: onnx knows no shapes of these; test_infer.py compares with what ONNX Runtime's outputs have ---------------------
MS = "com.microsoft"
HALF, ZERO = C(np.float32(0.5)), C(np.uint8(3))


def ms(op, inputs, outputs=1, **rest):
    return Case(op, inputs, attrs(**rest), outputs, MS)


@gen("Gelu", "QuickGelu", domain=MS)
def ms_unary(rng, op, opset):
    return ms(op, [T(shape(rng))])


@gen("FastGelu", "BiasGelu", domain=MS)
def ms_bias_gelu(rng, op, opset):
    dims = shape(rng, zero=0)
    return ms(op, [T(dims), T(dims[-1:])])


@gen("FusedMatMul", domain=MS)
def ms_fused_matmul(rng, op, opset):
    m, k, n, b = (int(x) for x in rng.integers(1, 5, 4))
    ta, tb = int(rng.integers(0, 2)), int(rng.integers(0, 2))
    return ms(op, [T([b] + ([k, m] if ta else [m, k])), T([b] + ([n, k] if tb else [k, n]))], transA=ta, transB=tb)


@gen("FusedGemm", domain=MS)
def ms_fused_gemm(rng, op, opset):
    case = gemm(rng, op, 13)
    return ms(op, case.inputs, activation="Relu", **case.attrs)


@gen("FusedConv", domain=MS)
def ms_fused_conv(rng, op, opset):
    case = conv(rng, op, 22)
    case.inputs[0].shape[0] = 1
    return ms(op, case.inputs, activation="Relu", **case.attrs)


@gen("NhwcMaxPool", domain=MS)
def ms_nhwc_max_pool(rng, op, opset):
    size, kernel, rest = window(rng, 2, dilate=False)
    return ms(op, [T([2] + size + [3], U8)], **rest)


@gen("QLinearAdd", "QLinearMul", domain=MS)
def ms_qlinear_binary(rng, op, opset):
    a, b = pair(rng)
    return ms(op, [T(a, U8), HALF, ZERO, T(b, U8), HALF, ZERO, HALF, ZERO])


@gen("QLinearSigmoid", "QLinearLeakyRelu", domain=MS)
def ms_qlinear_unary(rng, op, opset):
    return ms(op, [T(shape(rng), U8), HALF, ZERO, HALF, ZERO])


@gen("QLinearSoftmax", domain=MS)
def ms_qlinear_softmax(rng, op, opset):
    return ms(op, [T(shape(rng, low=2, zero=0), U8), HALF, ZERO, C(np.float32(1 / 256)), C(np.uint8(0))], opset=13, axis=-1)


@gen("QLinearConcat", domain=MS)
def ms_qlinear_concat(rng, op, opset):
    case = concat(rng, op, 13)
    return ms(op, [HALF, ZERO] + [i for x in case.inputs for i in (T(x.shape, U8), HALF, ZERO)], **case.attrs)


@gen("QLinearAveragePool", domain=MS)
def ms_qlinear_average_pool(rng, op, opset):
    size, kernel, rest = window(rng, 2, dilate=False)
    last = int(rng.integers(0, 2))
    return ms(op, [T([1] + size + [4] if last else [1, 4] + size, U8), HALF, ZERO, HALF, ZERO], channels_last=last, **rest)


@gen("QLinearGlobalAveragePool", domain=MS)
def ms_qlinear_global_average_pool(rng, op, opset):
    return ms(op, [T([2, 3, 4, 5], U8), HALF, ZERO, HALF, ZERO], channels_last=int(rng.integers(0, 2)))


@gen("QLinearWhere", domain=MS)
def ms_qlinear_where(rng, op, opset):
    whole = shape(rng, zero=0)
    return ms(op, [T(narrowed(rng, whole), B), T(whole, U8), HALF, ZERO, T(narrowed(rng, whole), U8), HALF, ZERO, HALF, ZERO])


@gen("QGemm", domain=MS)
def ms_qgemm(rng, op, opset):
    case = gemm(rng, op, 13)
    a, b = (T(x.shape, U8) for x in case.inputs[:2])
    return ms(op, [a, HALF, ZERO, b, HALF, ZERO, None] + ([HALF, ZERO] if rng.random() < 0.5 else []), **case.attrs)


@gen("MatMulIntegerToFloat", domain=MS)
def ms_matmul_integer_to_float(rng, op, opset):
    m, k, n = (int(x) for x in rng.integers(1, 5, 3))
    return ms(op, [T([m, k], U8), T([k, n], U8), HALF, HALF])


@gen("DynamicQuantizeMatMul", domain=MS)
def ms_dynamic_quantize_matmul(rng, op, opset):
    m, k, n = (int(x) for x in rng.integers(1, 5, 3))
    return ms(op, [T([2, m, k]), T([k, n], U8), HALF])


@gen("DynamicQuantizeLSTM", domain=MS)
def ms_dynamic_quantize_lstm(rng, op, opset):
    s, b, i, h = (int(x) for x in rng.integers(1, 5, 4))
    scale, zero = C(np.array([0.5], np.float32)), C(np.array([3], np.uint8))
    weights = C(np.ones((1, i, 4 * h), np.uint8)), C(np.ones((1, h, 4 * h), np.uint8))
    return ms(op, [T([s, b, i]), *weights, None, None, None, None, None, scale, zero, scale, zero], 3, hidden_size=h)


@gen("MatMulNBits", domain=MS)
def ms_matmul_nbits(rng, op, opset):
    n, blocks = (int(x) for x in rng.integers(1, 4, 2))
    k = 32 * blocks
    return ms(op, [T(shape(rng, 1, 2, zero=0) + [k]), C(np.ones((n, blocks, 16), np.uint8)), C(np.ones(n * blocks, np.float32))], K=k, N=n,
              bits=4, block_size=32)


@gen("GatherBlockQuantized", domain=MS)
def ms_gather_block_quantized(rng, op, opset):
    n = int(rng.integers(1, 5))
    return ms(op, [C(np.ones((n, 16), np.uint8)), T(shape(rng, 1, 2, zero=0), I64), C(np.ones((n, 2), np.float32))], gather_axis=0,
              quantize_axis=1, block_size=16, bits=4)


@gen("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MS)
def ms_skip_layer_norm(rng, op, opset):
    dims = shape(rng, 3, 3, zero=0)
    extra = [T(dims[-1:])] if op == "SkipLayerNormalization" else []
    return ms(op, [T(dims), T(dims), T(dims[-1:])] + extra)


@gen("EmbedLayerNormalization", domain=MS)
def ms_embed_layer_norm(rng, op, opset):
    b, s, h = (int(x) for x in rng.integers(1, 5, 3))
    return ms(op, [T([b, s], I32), T([b, s], I32), T([9, h]), T([9, h]), T([3, h]), T([h]), T([h])], 2)


@gen("Attention", domain=MS)
def ms_attention(rng, op, opset):
    b, s, i, heads, past = (int(x) for x in rng.integers(1, 5, 5))
    head = 4
    inputs = [T([b, s, i]), T([i, 3 * heads * head]), T([3 * heads * head])]
    if rng.random() < 0.5:
        return ms(op, inputs + [None, T([2, b, heads, past, head])], 2, num_heads=heads, unidirectional=1)
    return ms(op, inputs, num_heads=heads)


@gen("MultiHeadAttention", domain=MS)
def ms_multi_head_attention(rng, op, opset):
    b, s, k, heads = (int(x) for x in rng.integers(1, 5, 4))
    if rng.random() < 0.5:
        return ms(op, [T([b, s, heads * 4]), T([b, k, heads * 4]), T([b, k, heads * 8])], num_heads=heads)
    return ms(op, [T([b, s, heads * 4]), T([b, heads, k, 4]), T([b, heads, k, 4])], num_heads=heads)


@gen("GroupQueryAttention", domain=MS)
def ms_group_query_attention(rng, op, opset):
    b, s, kv, group = (int(x) for x in rng.integers(1, 4, 4))
    heads = kv * group
    packed = rng.random() < 0.5
    query = [T([b, s, (heads + 2 * kv) * 8]), None, None] if packed else [T([b, s, heads * 8]), T([b, s, kv * 8]), T([b, s, kv * 8])]
    lengths = C(np.full(b, s - 1, np.int32)), C(np.array(s, np.int32))
    return ms(op, query + [None, None, *lengths], 3, num_heads=heads, kv_num_heads=kv)


@gen("LinearAttention", domain=MS)
def ms_linear_attention(rng, op, opset):
    b, s, kv, group, size, v_size = (int(x) for x in rng.integers(1, 4, 6))
    q = [T([b, s, kv * group * size]), T([b, s, kv * size]), T([b, s, kv * v_size])]
    past = T([b, kv, size, v_size]) if rng.random() < 0.5 else None
    return ms(op, q + [past] if past else q, 2, q_num_heads=kv * group, kv_num_heads=kv, update_rule="linear")


@gen("CausalConvWithState", domain=MS)
def ms_causal_conv(rng, op, opset):
    b, s, channels, taps, dilation = (int(x) for x in rng.integers(1, 4, 5))
    last = int(rng.random() < 0.5)
    return ms(op, [T([b, s, channels] if last else [b, channels, s]), T([channels, 1, taps])], 2, dilation=dilation, channels_last=last)


@gen("RotaryEmbedding", domain=MS)
def ms_rotary(rng, op, opset):
    b, s = (int(x) for x in rng.integers(1, 5, 2))
    return ms(op, [T([b, s, 16]), C(np.zeros((b, s), np.int64)), T([9, 4]), T([9, 4])])


@gen("QuantizeLinear", domain=MS)
def ms_quantize(rng, op, opset):
    return ms(op, [T(shape(rng)), HALF, ZERO])


@gen("DequantizeLinear", domain=MS)
def ms_dequantize(rng, op, opset):
    return ms(op, [T(shape(rng), U8), HALF, ZERO])


@gen("Inverse", domain=MS)
def ms_inverse(rng, op, opset):
    return ms(op, [C(np.stack([np.eye(3, dtype=np.float32)] * 2))])


@gen("CropAndResize", domain=MS)
def ms_crop_and_resize(rng, op, opset):
    n = int(rng.integers(1, 4))
    return ms(op, [T([1, 2, 8, 8]), C(np.zeros((n, 4), np.float32)), C(np.zeros(n, np.int32)), C(np.array([3, 5], np.int32))])


@gen("GatherND", domain=MS)
def ms_gather_nd(rng, op, opset):
    case = gather_nd(rng, op, 11)
    return ms(op, [case.inputs[0], C(np.zeros(case.inputs[1].shape, np.int64))])


@gen("Pad", domain=MS)
def ms_pad(rng, op, opset):
    dims = shape(rng, zero=0)
    return ms(op, [T(dims), ints(rng.integers(0, 3, 2 * len(dims)))])


@gen("ExpandDims", domain=MS)
def ms_expand_dims(rng, op, opset):
    dims = shape(rng)
    return ms(op, [T(dims), C(np.array(int(rng.integers(-len(dims) - 1, len(dims) + 1)), np.int32))])


@gen("Range", domain=MS)
def ms_range(rng, op, opset):
    start, limit = (int(x) for x in rng.integers(-5, 10, 2))
    delta = [C(np.array(2, np.int64))] if rng.random() < 0.5 else []
    return ms(op, [C(np.array(start, np.int64)), C(np.array(limit, np.int64))] + delta)


@gen("Trilu", domain=MS)
def ms_trilu(rng, op, opset):
    return ms(op, [T(shape(rng, low=2, zero=0))])


@gen("Unique", domain=MS)
def ms_unique(rng, op, opset):
    return ms(op, [T(shape(rng, 1, 1, zero=0))], 3)


@gen("CDist", domain=MS)
def ms_cdist(rng, op, opset):
    m, n, k = (int(x) for x in rng.integers(1, 5, 3))
    return ms(op, [T([m, k]), T([n, k])], metric="euclidean")


@gen("MurmurHash3", domain=MS)
def ms_murmur(rng, op, opset):
    return ms(op, [T(shape(rng, zero=0), I32)], positive=maybe(rng, 0))


@gen("MoE", domain=MS)
def ms_moe(rng, op, opset):
    rows, hidden, inner, experts = 3, 4, 6, 2
    return ms(op, [T([rows, hidden]), T([rows, experts]), T([experts, inner, hidden]), None, T([experts, hidden, inner])], k=1,
              activation_type="relu")
