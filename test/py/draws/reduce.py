"""Draws of MatMul, Gemm, softmaxes, reductions and orders."""

import numpy as np

from .base import array, axis, broadcast_pair, dims, dtypes, oracle, pick, spec, widened


@spec("MatMul", since=7)
def matmul(rng, version, name):
    m, k, n = (int(rng.integers(1, 20)) for _ in range(3))
    batch_a, batch_b = broadcast_pair(rng)
    a = [k] if rng.random() < 0.1 else batch_a + [m, k]
    b = [k] if rng.random() < 0.1 else batch_b + [k, n]
    dtype = pick(rng, dtypes(name, version))
    return {}, [array(rng, a, dtype), array(rng, b, dtype)]


@spec("Gemm", since=7)
def gemm(rng, version, name):
    m, k, n = (int(rng.integers(1, 20)) for _ in range(3))
    ta, tb = int(rng.integers(2)), int(rng.integers(2))
    dtype = pick(rng, dtypes(name, version))
    c = pick(rng, [None, [], [1], [n], [m, 1], [1, n], [m, n]])
    c = [n] if c is None and version < 11 else c
    unit = 2 if np.dtype(dtype).kind in "iu" else 1  # a half of a whole number is cut or rounded by everybody as they like
    attrs = {"transA": ta, "transB": tb, "alpha": float(rng.integers(1, 4)) * unit / 2, "beta": float(rng.integers(0, 4)) * unit / 2}
    return attrs, [array(rng, [k, m] if ta else [m, k], dtype), array(rng, [n, k] if tb else [k, n], dtype),
                   None if c is None else array(rng, c, dtype)]


@spec("Softmax", "LogSoftmax", "Hardmax", since=7)
def softmax(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    return {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))}, [
        array(rng, shape, pick(rng, dtypes(name, version)))]


@spec("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum",
      "ReduceLogSumExp", since=7)
def reduce(rng, version, name):
    shape = dims(rng, low=1)
    dtype = pick(rng, dtypes(name, version))
    chosen = [int(a) - (len(shape) if rng.random() < 0.3 and version >= 11 else 0) for a in range(len(shape)) if rng.random() < 0.5]
    attrs = {"keepdims": int(rng.integers(2))}
    x = array(rng, shape, dtype)
    if name == "ReduceLogSum":
        x = (np.abs(x) + (1 if dtype.kind in "iu" else 0.1)).astype(dtype)
    by_input = version >= (13 if name == "ReduceSum" else 18)
    if by_input:
        attrs["noop_with_empty_axes"] = int(rng.integers(2))
        return attrs, [x, np.asarray(chosen, np.int64) if rng.random() < 0.8 else None]
    if chosen:
        attrs["axes"] = chosen
    return attrs, [x]


widened("ReduceSum", "ReduceMean", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
        why="the reference rounds each step to 16 bits")


@oracle("ReduceLogSumExp", why="the reference subtracts the largest in whole numbers, after rounding the logarithm")
def log_sum_exp_of_integers(version, attrs, inputs):
    x = inputs[0]
    if x.dtype.kind not in "iu":
        raise NotImplementedError
    axes = attrs.get("axes") if len(inputs) < 2 or inputs[1] is None else [int(a) for a in inputs[1]]
    if not axes and attrs.get("noop_with_empty_axes"):
        return [x]
    axes, keep = tuple(axes) if axes else None, bool(attrs["keepdims"])
    wide = x.astype(np.float64)
    most = wide.max(axis=axes, keepdims=True)
    y = np.log(np.exp(wide - most).sum(axis=axes, keepdims=True)) + most
    return [(y if keep else y.reshape(wide.sum(axis=axes).shape)).astype(x.dtype)]


@spec("ArgMax", "ArgMin", since=7)
def arg(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    attrs = {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape))), "keepdims": int(rng.integers(2))}
    if version >= 12:
        attrs["select_last_index"] = int(rng.integers(2))
    return attrs, [array(rng, shape, pick(rng, dtypes(name, version)))]


@spec("TopK", since=7)
def top_k(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1, high=9)
    at = axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))
    k = int(rng.integers(1, shape[at] + 1))
    count = int(np.prod(shape))
    x = rng.permutation(count).reshape(shape).astype(pick(rng, dtypes(name, version)))
    attrs = {"axis": at}
    if version >= 11:
        attrs["largest"] = int(rng.integers(2))
    if version < 10:
        return {**attrs, "k": k}, [x]
    return attrs, [x, np.asarray([k], np.int64)]


def flat_rows(attrs, x):
    """Softmax before opset 13 takes all dims from the axis on as one."""
    at = attrs.get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:at if at >= 0 else x.ndim + at])), -1)


FLAT = "the reference takes one axis where the old operator took all dims from the axis on"


@oracle("Softmax", until=12, why=FLAT)
def old_softmax(version, attrs, inputs):
    x = flat_rows(attrs, inputs[0].astype(np.float64))
    y = np.exp(x - x.max(axis=1, keepdims=True))
    return [(y / y.sum(axis=1, keepdims=True)).reshape(inputs[0].shape).astype(inputs[0].dtype)]


@oracle("LogSoftmax", until=12, why=FLAT)
def old_log_softmax(version, attrs, inputs):
    x = flat_rows(attrs, inputs[0].astype(np.float64))
    x = x - x.max(axis=1, keepdims=True)
    return [(x - np.log(np.exp(x).sum(axis=1, keepdims=True))).reshape(inputs[0].shape).astype(inputs[0].dtype)]


@oracle("Hardmax", until=12, why=FLAT)
def old_hardmax(version, attrs, inputs):
    x = flat_rows(attrs, inputs[0])
    return [np.eye(x.shape[1])[x.argmax(axis=1)].reshape(inputs[0].shape).astype(inputs[0].dtype)]


@oracle("ReduceSumSquare", why="the reference gives the type that numpy's sum has")
def sum_square(version, attrs, inputs):
    x, axes = inputs[0], attrs.get("axes", inputs[1].tolist() if len(inputs) > 1 and inputs[1] is not None else None)
    if not axes and attrs.get("noop_with_empty_axes"):
        return [x * x]
    wide = x.astype(np.float64) if x.dtype.kind in "fV" else x
    return [np.sum(wide * wide, axis=tuple(axes) if axes else None, keepdims=attrs.get("keepdims", 1) == 1).astype(x.dtype)]
