"""Draws of operators on shapes, constants, sequences and optionals, and of what other modules leave out."""

import numpy as np
import onnx

from .base import array, axis, dims, dtypes, oracle, pick, spec
from .move import cast


def any_type(rng, name, version, variable="T", most=None):
    """One of the types that the schema allows for tensors."""
    return pick(rng, [t for t in dtypes(name, version, variable) if most is None or t.kind in most])


# --- shapes ------------------------------------------------------------------------------------------------------------------
@spec("Shape", "Size", "Identity")
def shape_of(rng, version, name):
    variable = "V" if name == "Identity" and version >= 14 else "T"
    x = array(rng, dims(rng), any_type(rng, name, version, variable))
    attrs = {k: int(rng.integers(-6, 7)) for k in ("start", "end") if rng.random() < 0.5} if name == "Shape" and version >= 15 else {}
    return attrs, [x]


@oracle("Identity", why="what goes in")
def identity(version, attrs, inputs):
    return [inputs[0]]


@oracle("Shape", why="the reference lets an end before the first dim wrap around")
def shape_of_it(version, attrs, inputs):
    rank = inputs[0].ndim
    start, end = (min(max(v + rank if v < 0 else v, 0), rank) for v in (attrs.get("start", 0), attrs.get("end", rank)))
    return [np.asarray(inputs[0].shape[start:end], np.int64)]


@oracle("Unsqueeze", why="the reference takes negative axes one after the other")
def unsqueeze_of(version, attrs, inputs):
    return [np.expand_dims(inputs[0], tuple(attrs["axes"] if version < 13 else inputs[1].tolist()))]


@spec("Squeeze", "Unsqueeze")
def squeeze(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(0, 4)))
    axes = sorted(int(a) for a in rng.permutation(len(shape) + 2)[:2])
    whole = list(shape)
    for a in axes:
        whole.insert(a, 1)
    named = [a - (len(whole) if version >= 11 and rng.random() < 0.3 else 0) for a in axes]
    x = array(rng, whole if name == "Squeeze" else shape, any_type(rng, name, version))
    if name == "Squeeze" and rng.random() < 0.2:
        return {}, [x]
    return ({"axes": named}, [x]) if version < 13 else ({}, [x, np.asarray(named, np.int64)])


@oracle("Squeeze", why="without axes every dim of 1 goes")
def squeeze_of(version, attrs, inputs):
    axes = attrs.get("axes", inputs[1].tolist() if len(inputs) > 1 else None)
    return [np.squeeze(inputs[0], None if axes is None else tuple(axes))]


@spec("Split", since=11)
def split(rng, version, name):
    shape, count = dims(rng, rank=int(rng.integers(1, 5)), low=1), int(rng.integers(1, 4))
    at = axis(rng, len(shape))
    sizes = [int(rng.integers(0, 4)) for _ in range(count)]
    attrs, outputs = {"axis": at}, [f"y{i}" for i in range(count)]
    even = rng.random() < 0.4
    shape[at] = shape[at] * count if even and version < 18 else (shape[at] - 1) * count + 1 if even else sum(sizes)
    x = array(rng, shape, any_type(rng, name, version))
    if even:
        return {**attrs, **({"num_outputs": count} if version >= 18 else {})}, [x], outputs
    return ({**attrs, "split": sizes}, [x], outputs) if version < 13 else (attrs, [x, np.asarray(sizes, np.int64)], outputs)


@spec("ConstantOfShape")
def constant_of_shape(rng, version, name):
    attrs = {}
    if rng.random() < 0.8:
        value = array(rng, [1], any_type(rng, name, version, "T2"))
        attrs["value"] = onnx.numpy_helper.from_array(value)
    return attrs, [np.asarray(dims(rng), np.int64)]


@spec("Constant", since=12)
def constant(rng, version, name):
    kinds = {"value_float": 1.5, "value_int": -3, "value_floats": [1.0, 2.5], "value_ints": [1, 2, 3], "value_string": "text", "value_strings": ["a", ""]}
    if rng.random() < 0.4:
        key = pick(rng, list(kinds))
        return {key: kinds[key]}, []
    return {"value": onnx.numpy_helper.from_array(array(rng, dims(rng), any_type(rng, name, version, most="fiub")))}, []


@spec("Constant", until=11)
def old_constant(rng, version, name):
    return {"value": onnx.numpy_helper.from_array(array(rng, dims(rng), any_type(rng, name, version, most="fiub")))}, []


@oracle("Constant", why="the attribute itself")
def constant_value(version, attrs, inputs):
    (key, value), = attrs.items()
    if key == "value":
        return [onnx.numpy_helper.to_array(value)]
    dtype = {"f": np.float32, "i": np.int64, "s": object}[key[len("value_"):][0]]
    return [np.asarray(value, dtype)]


@spec("EyeLike")
def eye_like(rng, version, name):
    attrs = {"k": int(rng.integers(-4, 5))} if rng.random() < 0.6 else {}
    x = array(rng, dims(rng, 2), any_type(rng, name, version, "T1"))
    if rng.random() < 0.5:
        attrs["dtype"] = int(onnx.helper.np_dtype_to_tensor_dtype(any_type(rng, name, version, "T2")))
    return attrs, [x]


@spec("Range")
def range_(rng, version, name):
    dtype = any_type(rng, name, version)
    start, step = int(rng.integers(-5, 5)), int(pick(rng, [1, 2, 3, -1, -2]))
    numbers = (start, start + step * int(rng.integers(-1, 6)) + int(rng.integers(0, 2)), step)
    return {}, [np.asarray(v).astype(dtype) for v in numbers]


@spec("DepthToSpace", "SpaceToDepth")
def blocks(rng, version, name):
    block, shape = int(rng.integers(1, 4)), dims(rng, 4, 1, 4)
    attrs = {"blocksize": block}
    if name == "DepthToSpace":
        shape[1] *= block * block
        if version >= 11 and rng.random() < 0.7:
            attrs["mode"] = pick(rng, ["DCR", "CRD"])
    else:
        shape[2], shape[3] = shape[2] * block, shape[3] * block
        if version >= 28 and rng.random() < 0.7:
            attrs["mode"] = pick(rng, ["DCR", "CRD"])
    return attrs, [array(rng, shape, any_type(rng, name, version))]


# --- choosing ----------------------------------------------------------------------------------------------------------------
@spec("Compress")
def compress(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    attrs = {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))} if rng.random() < 0.7 else {}
    length = shape[attrs["axis"]] if attrs else int(np.prod(shape))
    return attrs, [array(rng, shape, any_type(rng, name, version)), rng.random(int(rng.integers(0, length + 1))) < 0.5]


@spec("GatherND")
def gather_nd(rng, version, name):
    batch = int(rng.integers(0, 3)) if version >= 12 else 0
    lead, tail = dims(rng, batch, 1), dims(rng, int(rng.integers(1, 4)), 1)
    depth, between = int(rng.integers(1, len(tail) + 1)), dims(rng, int(rng.integers(0, 2)), 1)
    indices = np.stack([np.asarray(rng.integers(-d, d, lead + between)) for d in tail[:depth]], axis=-1)
    return {"batch_dims": batch} if batch else {}, [array(rng, lead + tail, any_type(rng, name, version)), indices]


@oracle("GatherND", why="numpy's own indexing")
def gather_nd_of(version, attrs, inputs):
    data, indices = inputs
    batch = attrs.get("batch_dims", 0)
    flat, at = data.reshape((-1,) + data.shape[batch:]), indices.reshape((-1,) + indices.shape[batch:])
    parts = [d[tuple(np.moveaxis(i, -1, 0))] for d, i in zip(flat, at)]
    return [np.stack(parts).reshape(indices.shape[:-1] + data.shape[batch + indices.shape[-1]:])]


@spec("Scatter")
def scatter(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = int(rng.integers(len(shape)))
    index = np.take(np.argsort(rng.random(shape), axis=at), range(int(rng.integers(1, shape[at] + 1))), axis=at)
    dtype = any_type(rng, name, version)
    return {"axis": at}, [array(rng, shape, dtype), index.astype(pick(rng, [np.int32, np.int64])), array(rng, index.shape, dtype)]


@oracle("Scatter", why="the reference has ScatterElements alone")
def scatter_of(version, attrs, inputs):
    y = inputs[0].copy()
    np.put_along_axis(y, inputs[1], inputs[2], attrs["axis"])
    return [y]


@spec("ScatterND")
def scatter_nd(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    depth = int(rng.integers(1, len(shape) + 1))
    attrs = {}
    if version >= 16 and rng.random() < 0.7:
        attrs["reduction"] = pick(rng, ["none", "add", "mul"] + (["max", "min"] if version >= 18 else []))
    dtype = any_type(rng, name, version, most="fiuV" if attrs.get("reduction", "none") != "none" else None)
    places = rng.permutation(int(np.prod(shape[:depth])))[:int(rng.integers(1, 4))]
    indices = np.stack(np.unravel_index(places, shape[:depth]), axis=1)
    return attrs, [array(rng, shape, dtype), indices.astype(np.int64), array(rng, [len(places)] + shape[depth:], dtype)]


@spec("ReverseSequence")
def reverse_sequence(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)), low=1)
    time = int(rng.integers(2))
    attrs = {"time_axis": time, "batch_axis": 1 - time}
    return attrs, [array(rng, shape, any_type(rng, name, version)), rng.integers(1, shape[time] + 1, shape[1 - time])]


@spec("Unique")
def unique(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    attrs = {"sorted": int(rng.integers(2))}
    dtype = any_type(rng, name, version)
    x = array(rng, shape, dtype)
    if dtype.kind in "fV":
        x = np.round(x.astype(np.float32) / 3).astype(dtype)
    if dtype.kind == "c":
        x = (np.round(x.real / 2) + 1j * np.round(x.imag / 3) + 0).astype(dtype)
    if rng.random() < 0.5:
        attrs["axis"] = axis(rng, len(shape))
    return attrs, [x], ["y", "indices", "inverse", "counts"]


@oracle("Unique", why="numpy has no order for every type")
def unique_of(version, attrs, inputs):
    x = inputs[0]
    slices = x.reshape(-1, 1) if "axis" not in attrs else np.moveaxis(x, attrs["axis"], 0).reshape(x.shape[attrs["axis"]], -1)
    key = [tuple((v.real, v.imag) if slices.dtype.kind == "c" else v.encode() if isinstance(v, str) else float(v) if slices.dtype.kind in "fV"
                 else int(v) for v in row) for row in slices]
    found = sorted(set(key)) if attrs["sorted"] else list(dict.fromkeys(key))
    first, inverse = [key.index(k) for k in found], [found.index(k) for k in key]
    y = np.take(x.reshape(-1) if "axis" not in attrs else x, first, axis=attrs.get("axis", 0))
    return [y] + [np.asarray(v, np.int64) for v in (first, inverse, [key.count(k) for k in found])]


# --- arithmetic --------------------------------------------------------------------------------------------------------------
@spec("BitwiseNot")
def bitwise_not(rng, version, name):
    return {}, [array(rng, dims(rng), any_type(rng, name, version), True)]


@spec("CumProd")
def cum_prod(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    attrs = {k: int(rng.integers(2)) for k in ("exclusive", "reverse") if rng.random() < 0.6}
    return attrs, [array(rng, shape, any_type(rng, name, version)), np.asarray(axis(rng, len(shape)), pick(rng, [np.int32, np.int64]))]


def bits_of(dtype):
    """The bits of an element in a tensor; numpy holds one of 4 or 2 bits in a byte."""
    return next((n for n in (2, 4, 6) if dtype.name.endswith(f"int{n}") or dtype.name.startswith(f"float{n}_")), dtype.itemsize * 8)


@spec("BitCast")
def bit_cast(rng, version, name):
    source = pick(rng, [t for t in dtypes(name, version, "T1") if t.kind != "O"])
    target = pick(rng, [t for t in dtypes(name, version, "T2") if t.kind != "O" and bits_of(t) == bits_of(source)])
    x = array(rng, dims(rng), source, True)
    if target == np.bool_ and source != np.bool_:
        x = np.asarray(rng.integers(0, 2, x.shape)).astype(np.uint8).view(source)
    return {"to": int(onnx.helper.np_dtype_to_tensor_dtype(target))}, [x]


@oracle("BitCast", why="the bits stay")
def bit_cast_of(version, attrs, inputs):
    target = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(attrs["to"]))
    bits = bits_of(target)
    if bits >= 8:
        return [inputs[0].view(target)]
    raw = inputs[0].view(np.uint8) & (1 << bits) - 1
    if target.kind == "i" or target.name.startswith("int"):  # a byte of numpy's holds the number, sign and all
        return [np.where(raw >= 1 << bits - 1, raw.astype(np.int16) - (1 << bits), raw).astype(target)]
    return [raw.astype(target) if "uint" in target.name else raw.view(target)]


@spec("CastLike")
def cast_like(rng, version, name):
    attrs, (x,) = cast(rng, version, "Cast")
    return {}, [x, array(rng, [1], onnx.helper.tensor_dtype_to_np_dtype(attrs["to"]))]


@spec("Swish", "SwiGLU")
def swish(rng, version, name):
    dtype = any_type(rng, name, version)
    attrs = {"alpha": float(np.float32(rng.uniform(0.2, 2)))} if rng.random() < 0.6 else {}
    shape = dims(rng)
    return attrs, [array(rng, shape, dtype)] + ([array(rng, shape, dtype)] if name == "SwiGLU" else [])


# --- normalizations ----------------------------------------------------------------------------------------------------------
@spec("LpNormalization")
def lp_normalization(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    attrs = {"axis": axis(rng, len(shape))} if rng.random() < 0.7 else {}
    return {**attrs, **({"p": int(rng.integers(1, 3))} if rng.random() < 0.7 else {})}, [array(rng, shape, any_type(rng, name, version))]


@oracle("LpNormalization", why="a norm of 0 gives 0")
def lp_normalization_of(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    norm = np.linalg.norm(x, attrs.get("p", 2), attrs.get("axis", -1), keepdims=True)
    return [np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm)).astype(inputs[0].dtype)]


@spec("MeanVarianceNormalization", since=9)
def mean_variance(rng, version, name):
    shape = dims(rng, rank=4, low=2)
    attrs = {"axes": [int(a) for a in sorted(rng.permutation(4)[:int(rng.integers(1, 5))])]} if rng.random() < 0.7 else {}
    return attrs, [array(rng, shape, pick(rng, dtypes(name, version)))]


@oracle("MeanVarianceNormalization", why="moments in f64")
def mean_variance_of(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    over = tuple(attrs.get("axes", [0, 2, 3]))
    x = x - x.mean(over, keepdims=True)
    return [(x / (np.sqrt((x * x).mean(over, keepdims=True)) + 1e-9)).astype(inputs[0].dtype)]


@spec("LRN")
def lrn(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(3, 5)), low=1)
    attrs = {"size": int(pick(rng, [1, 3, 5]))}
    attrs.update({k: float(np.float32(rng.uniform(0.1, 2))) for k in ("alpha", "beta", "bias") if rng.random() < 0.5})
    return attrs, [array(rng, shape, any_type(rng, name, version))]


@oracle("LRN", why="the reference knows four dims alone")
def lrn_of(version, attrs, inputs):
    x, size = inputs[0].astype(np.float64), attrs["size"]
    alpha, beta, bias = (np.float64(np.float32(attrs.get(k, d))) for k, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    sums = np.stack([(x[:, max(0, c - (size - 1) // 2):c + size // 2 + 1] ** 2).sum(1) for c in range(x.shape[1])], axis=1)
    return [(x / (bias + alpha / size * sums) ** beta).astype(inputs[0].dtype)]


@spec("GroupNormalization")
def group_norm(rng, version, name):
    groups, shape = int(rng.integers(1, 4)), dims(rng, rank=int(rng.integers(2, 5)), low=2)
    shape[1] = groups * int(rng.integers(1, 4))
    dtype = any_type(rng, name, version)
    scales = shape[1] if version >= 21 else groups
    return {"num_groups": groups, "epsilon": 1e-2}, [array(rng, shape, dtype)] + [array(rng, [scales], dtype) for _ in range(2)]


@oracle("GroupNormalization", why="moments in f64")
def group_norm_of(version, attrs, inputs):
    x, scale, shift = (v.astype(np.float64) for v in inputs)
    groups = x.reshape(x.shape[0], attrs["num_groups"], -1)
    y = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + attrs["epsilon"])
    by = [-1] + [1] * (x.ndim - 2)
    if version < 21:
        scale, shift = (np.repeat(v, x.shape[1] // attrs["num_groups"]) for v in (scale, shift))
    return [(y.reshape(x.shape) * scale.reshape(by) + shift.reshape(by)).astype(inputs[0].dtype)]


@spec("RMSNormalization")
def rms_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape))
    dtype = any_type(rng, name, version)
    return {"axis": at, "epsilon": 1e-2}, [array(rng, shape, dtype), array(rng, shape[at:], dtype)]


@oracle("RMSNormalization", why="moments in f64")
def rms_norm_of(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    over = tuple(range(attrs["axis"] % x.ndim, x.ndim))
    return [(x / np.sqrt((x * x).mean(over, keepdims=True) + attrs["epsilon"]) * inputs[1].astype(np.float64)).astype(inputs[0].dtype)]


# --- sequences and optionals ---------------------------------------------------------------------------------------------------
def items(rng, dtype, low=1, high=5):
    return [array(rng, dims(rng), dtype) for _ in range(rng.integers(low, high))]


@spec("SequenceConstruct")
def sequence_construct(rng, version, name):
    return {}, items(rng, any_type(rng, name, version))


@oracle("SequenceConstruct", why="the inputs in a list")
def sequence_construct_of(version, attrs, inputs):
    return [list(inputs)]


@spec("SequenceEmpty")
def sequence_empty(rng, version, name):
    return ({"dtype": int(pick(rng, [1, 7, 8, 9]))} if rng.random() < 0.6 else {}), []


@oracle("SequenceEmpty", why="no items")
def sequence_empty_of(version, attrs, inputs):
    return [[]]


@spec("SequenceAt", "SequenceErase", "SequenceInsert", "SequenceLength")
def sequence_at(rng, version, name):
    dtype = pick(rng, dtypes(name, version, "S", within="seq("))
    sequence, kind = items(rng, dtype), pick(rng, [np.int32, np.int64])
    place = np.asarray(rng.integers(-len(sequence), len(sequence)), kind)
    if name == "SequenceLength":
        return {}, [sequence]
    if name == "SequenceInsert":
        return {}, [sequence, array(rng, dims(rng), dtype)] + ([place] if rng.random() < 0.6 else [])
    return {}, [sequence] + ([place] if name == "SequenceAt" or rng.random() < 0.6 else [])


def register_sequence(name, function):
    @oracle(name, why="lists of Python")
    def compute(version, attrs, inputs):
        return [function(list(inputs[0]), *inputs[1:])]


def inserted(sequence, item, place=None):
    sequence.insert(len(sequence) if place is None else int(place), item)
    return sequence


def erased(sequence, place=-1):
    del sequence[int(place)]
    return sequence


register_sequence("SequenceAt", lambda s, place: s[int(place)])
register_sequence("SequenceInsert", inserted)
register_sequence("SequenceErase", erased)
register_sequence("SequenceLength", lambda s: np.asarray(len(s), np.int64))


@spec("ConcatFromSequence")
def concat_from_sequence(rng, version, name):
    shape, dtype = dims(rng, rank=int(rng.integers(1, 4))), pick(rng, dtypes(name, version, "S", within="seq("))
    new = int(rng.integers(2))
    at = axis(rng, len(shape) + new)
    parts = []
    for _ in range(rng.integers(1, 4)):
        part = list(shape)
        if not new:
            part[at] = int(rng.integers(0, 4))
        parts.append(array(rng, part, dtype))
    return {"axis": at, **({"new_axis": new} if new or rng.random() < 0.5 else {})}, [parts]


@oracle("ConcatFromSequence", why="numpy's")
def concat_from_sequence_of(version, attrs, inputs):
    return [(np.stack if attrs.get("new_axis", 0) else np.concatenate)(inputs[0], axis=attrs["axis"])]


@spec("SplitToSequence")
def split_to_sequence(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape))
    x = array(rng, shape, any_type(rng, name, version))
    attrs = {"axis": at, **({"keepdims": int(rng.integers(2))} if rng.random() < 0.6 else {})}
    if rng.random() < 0.4:
        return attrs, [x]
    if rng.random() < 0.5:
        return attrs, [x, np.asarray(rng.integers(1, 4), pick(rng, [np.int32, np.int64]))]
    cuts = np.sort(rng.integers(0, shape[at] + 1, int(rng.integers(0, 3))))
    return attrs, [x, np.diff(np.concatenate([[0], cuts, [shape[at]]])).astype(np.int64)]


@oracle("SplitToSequence", why="a scalar says how long each part is; keepdims counts only without it")
def split_to_sequence_of(version, attrs, inputs):
    x, at = inputs[0], attrs["axis"]
    length = x.shape[at]
    if len(inputs) == 1:
        parts = np.split(x, length, axis=at)
        return [parts if attrs.get("keepdims", 1) else [np.squeeze(p, at) for p in parts]]
    sizes = inputs[1] if inputs[1].ndim else [int(inputs[1])] * (length // int(inputs[1]))
    cuts = np.cumsum(sizes)
    return [np.split(x, [c for c in cuts if c < length] if not inputs[1].ndim else cuts[:-1], axis=at)]


@spec("OptionalHasElement", "OptionalGetElement", "Optional")
def optional(rng, version, name):
    of_items = dtypes("SequenceConstruct", version)  # which makes the sequence
    value = pick(rng, [array(rng, dims(rng), pick(rng, dtypes("Optional", version, "V"))), items(rng, pick(rng, of_items))])
    if name == "Optional" or version >= 18 and rng.random() < 0.4:
        return {}, [value]
    if name == "OptionalHasElement" and rng.random() < 0.3:
        return {}, [("opt", None)]
    return {}, [("opt", value)]


@oracle("Optional", "OptionalGetElement", why="the element stands for itself")
def optional_of(version, attrs, inputs):
    return [inputs[0][1] if isinstance(inputs[0], tuple) else inputs[0]]


@oracle("OptionalHasElement", why="only an optional may be empty")
def optional_has_element(version, attrs, inputs):
    return [np.asarray(not isinstance(inputs[0], tuple) or inputs[0][1] is not None)]
