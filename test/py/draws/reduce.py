"""Draws of MatMul, Gemm, softmaxes, reductions and orders."""

import numpy as np

from .base import FLOATS, array, axis, broadcast_pair, dims, pick, prefer_runtime, spec


@spec("MatMul", since=7)
def matmul(rng, version, name):
    m, k, n = (int(rng.integers(1, 20)) for _ in range(3))
    batch_a, batch_b = broadcast_pair(rng)
    a = [k] if rng.random() < 0.1 else batch_a + [m, k]
    b = [k] if rng.random() < 0.1 else batch_b + [k, n]
    dtype = pick(rng, FLOATS[:3] + ([np.int32, np.int64, np.uint32] if version >= 9 else []))
    return {}, [array(rng, a, dtype), array(rng, b, dtype)]


@spec("Gemm", since=7)
def gemm(rng, version, name):
    m, k, n = (int(rng.integers(1, 20)) for _ in range(3))
    ta, tb = int(rng.integers(2)), int(rng.integers(2))
    dtype = pick(rng, FLOATS[:2])
    c = pick(rng, [None, [], [1], [n], [m, 1], [1, n], [m, n]])
    c = [n] if c is None and version < 11 else c
    attrs = {"transA": ta, "transB": tb, "alpha": float(rng.integers(1, 4)) / 2, "beta": float(rng.integers(0, 4)) / 2}
    return attrs, [array(rng, [k, m] if ta else [m, k], dtype), array(rng, [n, k] if tb else [k, n], dtype),
                   None if c is None else array(rng, c, dtype)]


@spec("Softmax", "LogSoftmax", "Hardmax", since=7)
def softmax(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    return {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape)))}, [
        array(rng, shape, pick(rng, FLOATS[:3]) if version >= 13 else np.float32)]


@spec("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum",
      "ReduceLogSumExp", since=7)
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


@spec("ArgMax", "ArgMin", since=7)
def arg(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)), low=1)
    attrs = {"axis": axis(rng, len(shape)) if version >= 11 else int(rng.integers(len(shape))), "keepdims": int(rng.integers(2))}
    if version >= 12:
        attrs["select_last_index"] = int(rng.integers(2))
    return attrs, [array(rng, shape, pick(rng, [np.float32, np.float64, np.int32, np.int8]))]


@spec("TopK", since=7)
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


prefer_runtime("Hardmax", "LogSoftmax", "Softmax", until=12, why="it takes one axis where the old operator took all from the axis on")
