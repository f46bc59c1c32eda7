"""Draws of convolutions, poolings and normalizations."""

import numpy as np

from .base import array, axis, dims, dtypes, oracle, pick, prefer_runtime, spec, widened


@spec("LayerNormalization", since=7)
def layer_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)), low=1, high=7)
    at = axis(rng, len(shape))
    inner, dtype = shape[at:], pick(rng, dtypes(name, version)) if version >= 17 else np.float32
    return {"axis": at, "epsilon": 1e-2}, [array(rng, shape, dtype), array(rng, inner, dtype), pick(rng, [None, array(rng, inner, dtype)])]


@spec("InstanceNormalization", since=7)
def instance_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(3, 5)), low=2, high=6)
    dtype = pick(rng, dtypes(name, version))
    return {"epsilon": 1e-2}, [array(rng, shape, dtype), array(rng, [shape[1]], dtype), array(rng, [shape[1]], dtype)]


@spec("BatchNormalization", since=14)
def batch_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)), low=1)
    channels = [shape[1]]
    x = pick(rng, dtypes(name, version))
    scale = pick(rng, dtypes(name, version, "T1")) if version >= 15 else x
    mean = pick(rng, dtypes(name, version, "T2" if version >= 15 else "U"))
    return {"epsilon": 1e-3}, [array(rng, shape, x), array(rng, channels, scale), array(rng, channels, scale), array(rng, channels, mean),
                               (np.abs(array(rng, channels)) + 0.1).astype(mean)]


widened("LayerNormalization", "InstanceNormalization", "BatchNormalization", why="the reference rounds each step to 16 bits")


def window(rng, rank, pads=True, dilations=True):
    attrs = {"strides": [int(rng.integers(1, 3)) for _ in range(rank)]}
    if dilations and rng.random() < 0.3:
        attrs["dilations"] = [int(rng.integers(1, 3)) for _ in range(rank)]
    if pads and rng.random() < 0.6:
        attrs["pads"] = [int(rng.integers(0, 2)) for _ in range(2 * rank)]
    elif rng.random() < 0.3 and "dilations" not in attrs:
        attrs["auto_pad"] = pick(rng, ["SAME_UPPER", "SAME_LOWER", "VALID"])
    return attrs


@spec("Conv", since=7)
def conv(rng, version, name):
    rank = int(rng.integers(1, 4))
    groups, ic, oc = (int(rng.integers(1, 4)) for _ in range(3))
    if rng.random() < 0.3:
        groups, ic = int(rng.integers(2, 9)), 1
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    attrs = {**window(rng, rank), "group": groups, "kernel_shape": kernel}
    dtype = pick(rng, dtypes(name, version))
    x = array(rng, [int(rng.integers(1, 3)), groups * ic, *[int(rng.integers(7, 12)) for _ in range(rank)]], dtype)
    return attrs, [x, array(rng, [groups * oc, ic, *kernel], dtype), pick(rng, [None, array(rng, [groups * oc], dtype)])]


@spec("MaxPool", "AveragePool", since=7)
def pool(rng, version, name):
    rank = int(rng.integers(1, 4))
    attrs = {**window(rng, rank, dilations=name == "MaxPool" and version >= 10), "kernel_shape": [int(rng.integers(2, 4)) for _ in range(rank)]}
    if version >= 10 and "auto_pad" not in attrs:
        attrs["ceil_mode"] = int(rng.integers(2))
    if name == "AveragePool" and version >= 7:
        attrs["count_include_pad"] = int(rng.integers(2))
    return attrs, [array(rng, [int(rng.integers(1, 3)), int(rng.integers(1, 4)), *[int(rng.integers(6, 12)) for _ in range(rank)]],
                         pick(rng, dtypes(name, version)))]


@spec("GlobalAveragePool", "GlobalMaxPool", since=7)
def global_pool(rng, version, name):
    return {}, [array(rng, dims(rng, rank=int(rng.integers(3, 6)), low=1), pick(rng, dtypes(name, version)))]


prefer_runtime("AveragePool", until=22, why="windows of ceil_mode past the padding")


@oracle("GlobalMaxPool", why="the reference reduces the wrong axes of tensors that are not of rank 4")
def global_max_pool(version, attrs, inputs):
    return [inputs[0].max(tuple(range(2, inputs[0].ndim)), keepdims=True)]



# --- norms of windows -------------------------------------------------------------------------------------------------------------
@spec("LpPool")
def lp_pool(rng, version, name):
    rank = int(rng.integers(1, 4))
    attrs = {**window(rng, rank, dilations=version >= 18), "kernel_shape": [int(rng.integers(2, 4)) for _ in range(rank)]}
    if rng.random() < 0.6:
        attrs["p"] = float(rng.integers(1, 4)) if version == 1 else int(rng.integers(1, 4))
    if version == 1:
        attrs.setdefault("strides", [1] * rank)
    if version >= 18 and "auto_pad" not in attrs and rng.random() < 0.3:
        attrs["ceil_mode"] = 1
    return attrs, [array(rng, [int(rng.integers(1, 3)), int(rng.integers(1, 4)), *[int(rng.integers(6, 10)) for _ in range(rank)]],
                         pick(rng, dtypes(name, version)))]


def pooled(attrs, x, reduce):
    """|reduce| over the last axis of what lies in each window of |x|, pads left out."""
    kernel = attrs["kernel_shape"]
    rank = len(kernel)
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    pads = list(attrs.get("pads", [0] * 2 * rank))
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    sizes = x.shape[2:]
    out = [(s + pads[i] + pads[rank + i] - span[i]) / strides[i] + 1 for i, s in enumerate(sizes)]
    out = [int(np.ceil(o) if attrs.get("ceil_mode") else np.floor(o)) for o in out]
    mode = attrs.get("auto_pad", "NOTSET")
    if mode.startswith("SAME"):
        out = [-(-s // t) for s, t in zip(sizes, strides)]
        total = [max((o - 1) * t + k - s, 0) for o, t, k, s in zip(out, strides, span, sizes)]
        pads = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in total] + [0] * rank
    for i, o in enumerate(out):  # a window that begins in the pads behind does not count
        if attrs.get("ceil_mode") and (o - 1) * strides[i] >= sizes[i] + pads[i]:
            out[i] -= 1
    y = np.zeros(x.shape[:2] + tuple(out))
    for at in np.ndindex(*out):
        picks = [[c for c in (a * t - b + k * d for k in range(n)) if 0 <= c < s]
                 for a, t, b, n, d, s in zip(at, strides, pads, kernel, dilations, sizes)]
        y[(slice(None), slice(None)) + at] = reduce(x[(slice(None), slice(None)) + np.ix_(*picks)].reshape(*x.shape[:2], -1))
    return y


@oracle("LpPool", why="written from the schema: the p-norm of what lies in the window")
def lp_pool_of(version, attrs, inputs):
    p = float(attrs.get("p", 2))
    return [pooled(attrs, np.abs(inputs[0].astype(np.float64)), lambda part: (part ** p).sum(-1) ** (1 / p)).astype(inputs[0].dtype)]


@oracle("MaxPool", why="ONNX Runtime lacks bfloat16, and the reference errs where there are pads")
def max_pool_of(version, attrs, inputs):
    return [pooled(attrs, inputs[0].astype(np.float64), lambda part: part.max(-1)).astype(inputs[0].dtype)]


@spec("GlobalLpPool")
def global_lp_pool(rng, version, name):
    attrs = {"p": float(rng.integers(1, 4)) if version == 1 else int(rng.integers(1, 4))} if rng.random() < 0.7 else {}
    return attrs, [array(rng, dims(rng, rank=int(rng.integers(3, 6)), low=1), pick(rng, dtypes(name, version)))]


@oracle("GlobalLpPool", why="no other runs it")
def global_lp_pool_of(version, attrs, inputs):
    x, p = np.abs(inputs[0].astype(np.float64)), float(attrs.get("p", 2))
    return [((x ** p).sum(tuple(range(2, x.ndim)), keepdims=True) ** (1 / p)).astype(inputs[0].dtype)]


@spec("AveragePool", until=6)
def old_average_pool(rng, version, name):
    rank = int(rng.integers(1, 4))
    attrs = {**window(rng, rank, dilations=False), "kernel_shape": [int(rng.integers(2, 4)) for _ in range(rank)]}
    return attrs, [array(rng, [int(rng.integers(1, 3)), int(rng.integers(1, 4)), *[int(rng.integers(6, 12)) for _ in range(rank)]],
                         pick(rng, dtypes(name, version)))]


@oracle("AveragePool", until=6, why="the reference counts pads, which the schema excludes")
def old_average_pool_of(version, attrs, inputs):
    return [pooled(attrs, inputs[0].astype(np.float64), lambda part: part.mean(-1)).astype(inputs[0].dtype)]
