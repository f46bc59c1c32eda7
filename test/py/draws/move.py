"""Draws of operators that move, pick or make elements."""

import numpy as np

from .base import array, axis, broadcast_pair, dims, dtypes, oracle, pick, spec


@spec("Transpose", since=7)
def transpose(rng, version, name):
    shape = dims(rng)
    attrs = {"perm": [int(p) for p in rng.permutation(len(shape))]} if shape and rng.random() < 0.9 else {}
    return attrs, [array(rng, shape, pick(rng, dtypes(name, version)))]


@spec("Reshape", since=7)
def reshape(rng, version, name):
    shape = dims(rng, low=1)
    target = [int(d) for d in rng.permutation(shape)]
    if target and rng.random() < 0.5:
        target[rng.integers(len(target))] = -1
    if version < 5:
        return {"shape": target}, [array(rng, shape)]
    return {}, [array(rng, shape, pick(rng, dtypes(name, version))), np.asarray(target, np.int64)]


@spec("Flatten", since=7)
def flatten(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    return {"axis": int(rng.integers(0, len(shape) + 1))}, [array(rng, shape, pick(rng, dtypes(name, version)))]


@spec("Concat", since=7)
def concat(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    at = axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))
    dtype = pick(rng, dtypes(name, version))
    parts = []
    for _ in range(rng.integers(1, 5)):
        part = list(shape)
        part[at] = int(rng.integers(0, 4))
        parts.append(array(rng, part, dtype))
    return {"axis": at}, parts


@spec("Slice", since=7)
def slice_(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    axes = [a for a in range(len(shape)) if rng.random() < 0.7] or [0]
    starts = [int(rng.integers(-7, 7)) for _ in axes]
    ends = [int(rng.integers(-7, 7)) if rng.random() < 0.8 else 2**31 - 1 for _ in axes]
    if version < 10:
        return {"axes": axes, "starts": starts, "ends": ends}, [array(rng, shape, pick(rng, dtypes(name, version)))]
    steps = [int(pick(rng, [1, 2, 3, -1, -2])) for _ in axes]
    for i, a in enumerate(axes):  # where the oracles go their own ways: starts below zero, INT_MAX as an end, going backwards
        if steps[i] < 0:
            starts[i], ends[i] = max(starts[i], -max(shape[a], 1)), int(rng.integers(-7, 7))
    named = [a - (len(shape) if rng.random() < 0.3 else 0) for a in axes]
    kind = pick(rng, [np.int32, np.int64])
    numbers = [np.asarray(v, kind) for v in (starts, ends, named, steps)]
    return {}, [array(rng, shape, pick(rng, dtypes(name, version))), *numbers]


@spec("Gather", since=7)
def gather(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))
    low = -shape[at] if version >= 11 else 0
    indices = np.asarray(rng.integers(low, shape[at], dims(rng, rank=int(rng.integers(0, 3))))).astype(pick(rng, [np.int32, np.int64]))
    return {"axis": at}, [array(rng, shape, pick(rng, dtypes(name, version))), indices]


@spec("GatherElements", since=7)
def gather_elements(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape))
    index_shape = list(shape)
    index_shape[at] = int(rng.integers(1, 6))
    return {"axis": at}, [array(rng, shape, pick(rng, dtypes(name, version))), rng.integers(-shape[at], shape[at], index_shape).astype(pick(rng, [np.int32, np.int64]))]


@spec("Expand", since=7)
def expand(rng, version, name):
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, pick(rng, dtypes(name, version))), np.asarray(b, np.int64)]


@spec("Tile", since=7)
def tile(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    return {}, [array(rng, shape, pick(rng, dtypes(name, version))), np.asarray(rng.integers(0, 4, len(shape)), np.int64)]


@spec("Pad", since=7)
def pad(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=2)
    mode = pick(rng, ["constant", "reflect", "edge"] + (["wrap"] if version >= 19 else []))
    pads = [int(p) for p in rng.integers(0, 2 if mode == "reflect" else 3, 2 * len(shape))]
    if version < 11:
        return {"mode": mode, "pads": pads}, [array(rng, shape, pick(rng, dtypes(name, version)))]
    x = array(rng, shape, pick(rng, dtypes(name, version)))
    value = array(rng, [], x.dtype) if mode == "constant" and (x.dtype.kind == "O" or "e8m0" in x.dtype.name or rng.random() < 0.5) else None
    return {"mode": mode}, [x, np.asarray(pads, np.int64), value]


@spec("Cast", since=7)
def cast(rng, version, name):
    import onnx
    source, target = pick(rng, dtypes(name, version, "T1")), pick(rng, dtypes(name, version, "T2"))
    if source.kind == "O" and "float8" in target.name:  # the reference gives their bits
        target = np.dtype(np.float32)
    x = array(rng, dims(rng), np.int8 if source.kind == "O" else source)
    if target.kind == "u":
        x = np.abs(x).astype(x.dtype)
    if source.kind == "O":
        if target == np.bool_:  # the text of a zero is true to Python, as is any text; to us it is the number
            x = np.where(x == 0, 1, x)
        x = np.asarray(np.asarray(x).astype(str), object)
    return {"to": onnx.helper.np_dtype_to_tensor_dtype(np.dtype(target))}, [x]


@spec("CumSum", since=7)
def cum_sum(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    attrs = {"exclusive": int(rng.integers(2)), "reverse": int(rng.integers(2))}
    return attrs, [array(rng, shape, pick(rng, dtypes(name, version))), np.asarray(axis(rng, len(shape)), pick(rng, [np.int32, np.int64]))]


@spec("Trilu", since=7)
def trilu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)))
    return {"upper": int(rng.integers(2))}, [array(rng, shape, pick(rng, dtypes(name, version))), np.asarray(rng.integers(-5, 6), np.int64)]


def mostly_zero(rng, shape, dtype):
    """Half of it zeros, or empty texts."""
    return np.where(rng.random(shape) < 0.5, np.zeros([], dtype) if dtype.kind != "O" else "", array(rng, shape, dtype)).astype(dtype)


@spec("NonZero", since=7)
def non_zero(rng, version, name):
    return {}, [mostly_zero(rng, dims(rng, rank=int(rng.integers(1, 4))), pick(rng, dtypes(name, version)))]


@spec("ScatterElements", since=7)
def scatter_elements(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    at = axis(rng, len(shape))
    index = np.take(np.argsort(rng.random(shape), axis=at), range(int(rng.integers(1, shape[at] + 1))), axis=at)
    attrs = {"axis": at}
    if version >= 16:
        attrs["reduction"] = pick(rng, ["none", "add", "mul"] + (["min", "max"] if version >= 18 else []))
    dtype = pick(rng, [t for t in dtypes(name, version) if attrs.get("reduction", "none") == "none" or t.kind in "fiuV"])
    return attrs, [array(rng, shape, dtype), index.astype(pick(rng, [np.int32, np.int64])), array(rng, index.shape, dtype)]


@spec("OneHot", since=7)
def one_hot(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 3)), low=1)
    depth = int(rng.integers(1, 6))
    indices = rng.integers(-depth, depth, shape)
    first, second, third = (pick(rng, dtypes(name, version, v)) for v in ("T1", "T2", "T3"))
    indices = np.asarray(indices % depth if first.kind == "u" else indices).astype(first)
    return {"axis": axis(rng, len(shape) + 1)}, [indices, np.asarray(depth).astype(second), array(rng, [2], third)]


@oracle("Trilu", why="the reference puts numbers among texts")
def trilu_of_texts(version, attrs, inputs):
    x, k = inputs[0], int(inputs[1])
    if x.dtype.kind != "O":
        raise NotImplementedError
    keep = np.triu(np.ones(x.shape[-2:], bool), k) if attrs.get("upper", 1) else np.tril(np.ones(x.shape[-2:], bool), k)
    return [np.where(keep, x, "")]
