"""Operators as they were until opset 6: broadcasting by attribute, consumed_inputs, types by name. Oracles in numpy, from the schemas' words."""

import numpy as np
import onnx

from .base import FLOATS, array, dims, dtypes, oracle, pick, spec

WHY = "neither oracle knows the version"


def consumed(rng, version, count):
    """The attribute that versions 1 carry; it never meant anything to results."""
    return {"consumed_inputs": [int(rng.integers(2)) for _ in range(count)]} if version == 1 and rng.random() < 0.5 else {}


# --- one input ---------------------------------------------------------------------------------------------------------------
UNARY = {  # name -> (attributes with defaults, function of x in f64 and the attributes)
    "Abs": ({}, np.abs), "Ceil": ({}, np.ceil), "Exp": ({}, np.exp), "Floor": ({}, np.floor), "Log": ({}, np.log), "Neg": ({}, np.negative),
    "Reciprocal": ({}, lambda x: 1 / x), "Relu": ({}, lambda x: np.where(x < 0, 0, x)), "Sqrt": ({}, np.sqrt), "Tanh": ({}, np.tanh),
    "Sigmoid": ({}, lambda x: 1 / (1 + np.exp(-x))),
    "Elu": ({"alpha": 1.0}, lambda x, alpha: np.where(x < 0, alpha * (np.exp(x) - 1), x)),
    "HardSigmoid": ({"alpha": 0.2, "beta": 0.5}, lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)),
    "LeakyRelu": ({"alpha": 0.01}, lambda x, alpha: np.where(x < 0, alpha * x, x)),
    "Selu": ({"alpha": 1.6732, "gamma": 1.0507}, lambda x, alpha, gamma: gamma * np.where(x <= 0, alpha * np.exp(x) - alpha, x)),
    "Clip": ({"min": -np.inf, "max": np.inf}, lambda x, min, max: np.clip(x, min, max)),
}


@spec(*UNARY, until=5)
def unary(rng, version, name):
    attrs = {k: float(np.float32(rng.uniform(0.1, 2))) for k in UNARY[name][0] if rng.random() < 0.6}
    if "min" in attrs:
        attrs["min"] = -attrs["min"]
    x = array(rng, dims(rng), pick(rng, dtypes(name, version)), name not in ("Elu", "Selu", "HardSigmoid", "Clip"))
    return {**attrs, **consumed(rng, version, 1)}, [x]


def register_unary(name, defaults, function):
    @oracle(name, until=5, why=WHY)
    def compute(version, attrs, inputs):
        values = {k: np.float64(np.float32(attrs.get(k, v))) for k, v in defaults.items()}
        return [np.asarray(function(inputs[0].astype(np.float64), **values)).astype(inputs[0].dtype)]


for _name, (_defaults, _function) in UNARY.items():
    register_unary(_name, _defaults, _function)


# --- two inputs, the second broadcast by attribute -----------------------------------------------------------------------------
BINARY = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power, "And": np.logical_and, "Or": np.logical_or,
    "Xor": np.logical_xor, "Equal": np.equal, "Greater": np.greater, "Less": np.less,
}


@spec(*BINARY, until=6)
def binary(rng, version, name):
    dtype = np.dtype(pick(rng, dtypes(name, version)))
    shape = dims(rng)
    attrs, other = consumed(rng, version, 2) if name in ("Add", "Sub", "Mul", "Div") else {}, list(shape)
    if rng.random() < 0.7:
        attrs["broadcast"] = 1
        first = int(rng.integers(0, len(shape) + 1))
        last = int(rng.integers(first, len(shape) + 1)) if rng.random() < 0.6 else len(shape)
        other = shape[first:last]
        if last < len(shape) and other or rng.random() < 0.3 and other:
            attrs["axis"] = first - (len(shape) if rng.random() < 0.3 else 0)
        other = [1 if rng.random() < 0.2 else d for d in other]
    a, b = array(rng, shape, dtype), array(rng, other, dtype)
    if name == "Div" and dtype.kind in "iu":
        b = np.where(b == 0, np.asarray(3, dtype), b).astype(dtype)
    if name == "Pow":
        a = (np.abs(a) + np.asarray(0.1, dtype)).astype(dtype)
    return attrs, [a, b]


def placed(attrs, a, b):
    """The second input with dims of one behind it, so that numpy broadcasts it as the attributes say."""
    if "axis" not in attrs:
        return b
    at = attrs["axis"] % a.ndim if a.ndim else 0
    return b.reshape(b.shape + (1,) * (a.ndim - at - b.ndim))


def register_binary(name, function):
    @oracle(name, until=6, why=WHY)
    def compute(version, attrs, inputs):
        a, b = inputs[0], placed(attrs, *inputs)
        if a.dtype.kind in "iu" and name == "Div":
            return [np.trunc(a.astype(np.float64) / b.astype(np.float64)).astype(a.dtype)]
        wide = np.float64 if a.dtype.kind in "fV" and name in ("Add", "Sub", "Mul", "Div", "Pow") else a.dtype
        result = function(a.astype(wide), b.astype(wide))
        return [np.asarray(result).astype(np.bool_ if result.dtype == np.bool_ else a.dtype)]


for _name, _function in BINARY.items():
    register_binary(_name, _function)


@spec("PRelu", until=6)
def prelu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)))
    slope = pick(rng, [[1], [shape[1]]])
    dtype = pick(rng, dtypes(name, version))
    return consumed(rng, version, 2), [array(rng, shape, dtype), array(rng, slope, dtype)]


@oracle("PRelu", until=6, why=WHY)
def prelu_of(version, attrs, inputs):
    x, slope = inputs[0].astype(np.float64), inputs[1].astype(np.float64)
    return [np.where(x < 0, x * slope.reshape([-1] + [1] * (x.ndim - 2)), x).astype(inputs[0].dtype)]


@spec("Sum", "Mean", "Max", "Min", until=5)
def variadic(rng, version, name):
    shape, dtype, count = dims(rng), pick(rng, dtypes(name, version)), int(rng.integers(1, 5))
    return consumed(rng, version, count), [array(rng, shape, dtype) for _ in range(count)]


def register_variadic(name, function):
    @oracle(name, until=5, why=WHY)
    def compute(version, attrs, inputs):
        return [np.asarray(function(np.stack([v.astype(np.float64) for v in inputs]), axis=0)).astype(inputs[0].dtype)]


for _name, _function in (("Sum", np.sum), ("Mean", np.mean), ("Max", np.max), ("Min", np.min)):
    register_variadic(_name, _function)


# --- moving elements -------------------------------------------------------------------------------------------------------
@spec("Cast", until=5)
def cast(rng, version, name):
    source, target = pick(rng, dtypes(name, version, "T1")), pick(rng, dtypes(name, version, "T2"))
    x = array(rng, dims(rng), source)
    x = np.abs(x).astype(source) if target.kind == "u" else x
    return {"to": onnx.TensorProto.DataType.Name(onnx.helper.np_dtype_to_tensor_dtype(target))}, [x]


@oracle("Cast", until=5, why=WHY)
def cast_of(version, attrs, inputs):
    return [inputs[0].astype(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(attrs["to"])))]


@spec("Concat", until=3)
def concat(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)))
    attrs = {"axis": int(rng.integers(len(shape)))} if rng.random() < 0.6 else {}
    parts, dtype = [], pick(rng, dtypes(name, version))
    for _ in range(rng.integers(1, 5)):
        part = list(shape)
        part[attrs.get("axis", 1)] = int(rng.integers(0, 4))
        parts.append(array(rng, part, dtype))
    return attrs, parts


@oracle("Concat", until=3, why="the axis has a default")
def concat_of(version, attrs, inputs):
    return [np.concatenate(inputs, axis=attrs.get("axis", 1))]


@spec("Reshape", until=4)
def reshape(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    target = [int(d) for d in rng.permutation(shape)]
    at = int(rng.integers(len(target)))
    if rng.random() < 0.7:
        target[at] = 0 if target[at] == shape[at] else -1
    return {"shape": target, **consumed(rng, version, 1)}, [array(rng, shape, pick(rng, dtypes(name, version)))]


@oracle("Reshape", until=4, why=WHY)
def reshape_of(version, attrs, inputs):
    x = inputs[0]
    return [x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(attrs["shape"])])]


@spec("Split", until=10)
def split(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    at, count = int(rng.integers(len(shape))), int(rng.integers(1, 4))
    sizes = [int(rng.integers(1, 4)) for _ in range(count)] if version == 1 or rng.random() < 0.5 else None
    shape[at] = sum(sizes) if sizes else count * shape[at]
    attrs = {"axis": at} if at or rng.random() < 0.5 else {}
    dtype = pick(rng, dtypes(name, version))
    inputs = [array(rng, shape, dtype)]
    if sizes and version == 1 and rng.random() < 0.5:
        inputs.append(np.asarray(sizes).astype(dtype))
    elif sizes:
        attrs["split"] = sizes
    return attrs, inputs, [f"y{i}" for i in range(count)]


@oracle("Split", until=1, why="the sizes may be an input of the data's type")
def split_of(version, attrs, inputs):
    sizes = attrs.get("split", inputs[1].astype(int).tolist() if len(inputs) > 1 else None)
    return np.split(inputs[0], np.cumsum(sizes)[:-1], axis=attrs.get("axis", 0))


@spec("Pad", until=1)
def pad(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=2)
    mode = pick(rng, ["constant", "reflect", "edge"])
    attrs = {"paddings": [int(p) for p in rng.integers(0, 2 if mode == "reflect" else 3, 2 * len(shape))]}
    if mode != "constant" or rng.random() < 0.5:
        attrs["mode"] = mode
    if rng.random() < 0.5:
        attrs["value"] = 1.5
    return attrs, [array(rng, shape, pick(rng, dtypes(name, version)))]


@oracle("Pad", until=1, why="the pads have another name")
def pad_of(version, attrs, inputs):
    x, pads = inputs[0], attrs["paddings"]
    mode = attrs.get("mode", "constant")
    more = {"constant_values": attrs.get("value", 0.0)} if mode == "constant" else {}
    return [np.pad(x, list(zip(pads[:x.ndim], pads[x.ndim:])), mode=mode, **more)]


@spec("Tile", until=5)
def tile(rng, version, name):
    shape, dtype = dims(rng, rank=int(rng.integers(1, 5))), pick(rng, dtypes(name, version))
    times, at = np.asarray(rng.integers(0, 4)).astype(dtype), np.asarray(rng.integers(len(shape))).astype(dtype)
    return {}, [array(rng, shape, dtype), times, at]


@oracle("Tile", until=5, why=WHY)
def tile_of(version, attrs, inputs):
    times = [1] * inputs[0].ndim
    times[int(inputs[2])] = int(inputs[1])
    return [np.tile(inputs[0], times)]


# --- products, normalizations -----------------------------------------------------------------------------------------------
@spec("Gemm", until=6)
def gemm(rng, version, name):
    m, k, n = (int(rng.integers(1, 12)) for _ in range(3))
    attrs = {"alpha": float(rng.integers(1, 4)), "beta": float(rng.integers(0, 4))} if rng.random() < 0.6 else {}
    attrs.update({t: int(rng.integers(2)) for t in ("transA", "transB")})
    attrs["broadcast"] = int(rng.integers(2))
    c = pick(rng, [[1], [n], [1, n], [m, n]]) if attrs["broadcast"] else [m, n]
    dtype = pick(rng, dtypes(name, version))
    return attrs, [array(rng, [k, m] if attrs["transA"] else [m, k], dtype), array(rng, [n, k] if attrs["transB"] else [k, n], dtype),
                   array(rng, c, dtype)]


@oracle("Gemm", until=6, why="C is broadcast by attribute")
def gemm_of(version, attrs, inputs):
    a, b, c = (v.astype(np.float64) for v in inputs)
    product = (a.T if attrs["transA"] else a) @ (b.T if attrs["transB"] else b)
    return [(attrs.get("alpha", 1) * product + attrs.get("beta", 1) * c).astype(inputs[0].dtype)]


@spec("InstanceNormalization", until=5)
def instance_norm(rng, version, name):
    shape, dtype = dims(rng, rank=4, low=2, high=6), pick(rng, dtypes(name, version))
    return {"epsilon": 1e-3, **consumed(rng, version, 1)}, [array(rng, shape, dtype)] + [array(rng, [shape[1]], dtype) for _ in range(2)]


@oracle("InstanceNormalization", until=5, why=WHY)
def instance_norm_of(version, attrs, inputs):
    x, scale, shift = (v.astype(np.float64) for v in inputs)
    y = (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + np.float64(np.float32(attrs["epsilon"])))
    return [(y * scale[:, None, None] + shift[:, None, None]).astype(inputs[0].dtype)]


def trains(version, attrs, inputs):
    """Draws that want the statistics: from opset 7 on nothing but that tells that they train; here, that the batch has more than one."""
    return not attrs["is_test"] if version < 7 else inputs[0].shape[0] > 1


@spec("BatchNormalization", until=13)
def batch_norm(rng, version, name):
    shape = dims(rng, rank=4 if version < 6 else int(rng.integers(2, 5)), low=1)
    attrs = {k: float(np.float32(rng.uniform(0.1, 0.9))) for k in ("epsilon", "momentum") if rng.random() < 0.7}
    if version < 9 and rng.random() < 0.6:
        attrs["spatial"] = int(rng.integers(2))
    if version < 7:
        attrs["is_test"] = int(rng.integers(2))
        attrs.update({"consumed_inputs": [0, 0, 0, 1, 1]} if version == 1 else {})
    kept = [shape[1]] if attrs.get("spatial", 1) else shape[1:]
    dtype = pick(rng, dtypes(name, version))
    numbers = [array(rng, kept, dtype) for _ in range(3)] + [(np.abs(array(rng, kept, dtype)) + np.asarray(0.1, dtype)).astype(dtype)]
    inputs = [array(rng, shape, dtype)] + numbers
    return attrs, inputs, ["y", "mean", "var", "saved_mean", "saved_var"] if trains(version, attrs, inputs) else ["y"]


@oracle("BatchNormalization", until=13, why="who asks for statistics trains; the others do not know spatial=0")
def batch_norm_of(version, attrs, inputs):
    x, scale, shift, mean, var = (v.astype(np.float64) for v in inputs)
    epsilon, momentum = (np.float64(np.float32(attrs.get(k, d))) for k, d in (("epsilon", 1e-5), ("momentum", 0.9)))
    over = (0,) + tuple(range(2, x.ndim)) if attrs.get("spatial", 1) else (0,)
    shape = [-1] + [1] * (x.ndim - 2) if attrs.get("spatial", 1) else x.shape[1:]
    own = x.mean(over), x.var(over)
    by = own if trains(version, attrs, inputs) else (mean, var)
    y = (x - by[0].reshape(shape)) / np.sqrt(by[1].reshape(shape) + epsilon) * scale.reshape(shape) + shift.reshape(shape)
    kept = [mean * momentum + own[0] * (1 - momentum), var * momentum + own[1] * (1 - momentum), *own]
    return [v.astype(inputs[0].dtype) for v in [y] + (kept if by is own else [])]


@spec("Dropout", since=12)
def dropout_by_input(rng, version, name):
    """What chance has no part in; test_random.py has the rest."""
    training = bool(rng.integers(2))
    x = array(rng, dims(rng), pick(rng, dtypes(name, version)))
    ratio = np.asarray(0 if training else rng.uniform(0, 0.9)).astype(pick(rng, dtypes(name, version, "T1")))
    inputs = [x, ratio if training or rng.random() < 0.5 else None, np.asarray(training) if training or rng.random() < 0.5 else None]
    return {"seed": 3}, inputs, ["y", "mask"] if x.dtype == np.float32 else ["y"]


@spec("Dropout", until=11)
def dropout(rng, version, name):
    attrs = {"ratio": float(np.float32(rng.uniform(0, 0.9)))} if rng.random() < 0.7 else {}
    if version < 7:
        attrs["is_test"] = 1
    x = array(rng, dims(rng), pick(rng, dtypes(name, version)))
    return {**attrs, **consumed(rng, version, 1)}, [x], ["y", "mask"] if x.dtype == np.float32 else ["y"]


@oracle("Dropout", why="the mask of a Dropout that does not train is all ones, of the data's type before opset 10")
def dropout_of(version, attrs, inputs):
    mask = np.ones(inputs[0].shape, inputs[0].dtype if version < 10 else np.bool_)
    return [inputs[0], mask] if inputs[0].dtype == np.float32 else [inputs[0]]


# --- taken out of ONNX before opset 10; ONNX Runtime runs them still -----------------------------------------------------------
REMOVED = {
    "Affine": ({"alpha": 1.0, "beta": 0.0}, lambda x, alpha, beta: alpha * x + beta),
    "ParametricSoftplus": ({"alpha": 1.0, "beta": 1.0}, lambda x, alpha, beta: alpha * np.logaddexp(beta * x, 0)),
    "Scale": ({"scale": 1.0}, lambda x, scale: scale * x),
    "ScaledTanh": ({"alpha": 1.0, "beta": 1.0}, lambda x, alpha, beta: alpha * np.tanh(beta * x)),
}


@spec(*REMOVED)
def removed(rng, version, name):
    attrs = {k: float(np.float32(rng.uniform(0.1, 2))) for k in REMOVED[name][0] if rng.random() < 0.7}
    return attrs, [array(rng, dims(rng), pick(rng, FLOATS[:3]))]


def register_removed(name, defaults, function):
    @oracle(name, why="no schema is left")
    def compute(version, attrs, inputs):
        values = {k: np.float64(np.float32(attrs.get(k, v))) for k, v in defaults.items()}
        return [np.asarray(function(inputs[0].astype(np.float64), **values)).astype(inputs[0].dtype)]


for _name, (_defaults, _function) in REMOVED.items():
    register_removed(_name, _defaults, _function)


@spec("ImageScaler")
def image_scaler(rng, version, name):
    shape = dims(rng, 4, 1)
    attrs = {"bias": [float(np.float32(v)) for v in rng.normal(size=shape[1])]}
    return {**attrs, **({"scale": 1.5} if rng.random() < 0.5 else {})}, [array(rng, shape, pick(rng, FLOATS[:3]))]


@oracle("ImageScaler", why="no schema is left")
def image_scaler_of(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    return [(x * attrs.get("scale", 1) + np.asarray(attrs["bias"])[:, None, None]).astype(inputs[0].dtype)]


@spec("Crop")
def crop(rng, version, name):
    shape, border = dims(rng, 4, 1), rng.integers(0, 3, 4).tolist()
    attrs = {"border": border}
    if rng.random() < 0.5:
        attrs["scale"] = [int(rng.integers(0, 4)), int(rng.integers(0, 4))]
    room = attrs.get("scale", [border[3] + shape[2], border[2] + shape[3]])
    shape[2:] = [border[1] + room[0], border[0] + room[1]]
    return attrs, [array(rng, shape, pick(rng, FLOATS[:3]))]


@oracle("Crop", why="no schema is left")
def crop_of(version, attrs, inputs):
    left, top, right, bottom = attrs["border"]
    height, width = attrs.get("scale", [inputs[0].shape[2] - top - bottom, inputs[0].shape[3] - left - right])
    return [inputs[0][:, :, top:top + height, left:left + width]]


@spec("DynamicSlice")
def dynamic_slice(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    axes = [a for a in range(len(shape)) if rng.random() < 0.7] or [0]
    kind = pick(rng, [np.int32, np.int64])
    numbers = [np.asarray(rng.integers(-5, 6, len(axes)), kind) for _ in range(2)]
    given = [np.asarray(axes, kind)] if axes != list(range(len(axes))) or rng.random() < 0.5 else []
    return {}, [array(rng, shape)] + numbers + given


@oracle("DynamicSlice", why="no schema is left")
def dynamic_slice_of(version, attrs, inputs):
    x, starts, ends = inputs[:3]
    axes = inputs[3] if len(inputs) > 3 else range(len(starts))
    picked = [slice(None)] * x.ndim
    for at, start, end in zip(axes, starts, ends):
        picked[int(at)] = slice(int(start), int(end))
    return [x[tuple(picked)]]
