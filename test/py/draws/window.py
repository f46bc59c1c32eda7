"""Draws of convolutions, poolings and normalizations."""

import numpy as np

from .base import array, axis, dims, pick, prefer_runtime, spec


@spec("LayerNormalization", since=7)
def layer_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(2, 5)), low=1, high=7)
    at = axis(rng, len(shape))
    inner = shape[at:]
    return {"axis": at, "epsilon": 1e-3}, [array(rng, shape), array(rng, inner), pick(rng, [None, array(rng, inner)])]


@spec("InstanceNormalization", since=7)
def instance_norm(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(3, 5)), low=2, high=6)
    return {"epsilon": 1e-3}, [array(rng, shape), array(rng, [shape[1]]), array(rng, [shape[1]])]


@spec("BatchNormalization", since=14)
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


@spec("Conv", since=7)
def conv(rng, version, name):
    rank = int(rng.integers(1, 4))
    groups, ic, oc = (int(rng.integers(1, 4)) for _ in range(3))
    if rng.random() < 0.3:
        groups, ic = int(rng.integers(2, 9)), 1
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    attrs = {**window(rng, rank), "group": groups, "kernel_shape": kernel}
    x = array(rng, [int(rng.integers(1, 3)), groups * ic, *[int(rng.integers(7, 12)) for _ in range(rank)]])
    return attrs, [x, array(rng, [groups * oc, ic, *kernel]), pick(rng, [None, array(rng, [groups * oc])])]


@spec("MaxPool", "AveragePool", since=7)
def pool(rng, version, name):
    rank = int(rng.integers(1, 4))
    attrs = {**window(rng, rank, dilations=name == "MaxPool" and version >= 10), "kernel_shape": [int(rng.integers(2, 4)) for _ in range(rank)]}
    if version >= 10 and "auto_pad" not in attrs:
        attrs["ceil_mode"] = int(rng.integers(2))
    if name == "AveragePool" and version >= 7:
        attrs["count_include_pad"] = int(rng.integers(2))
    return attrs, [array(rng, [int(rng.integers(1, 3)), int(rng.integers(1, 4)), *[int(rng.integers(6, 12)) for _ in range(rank)]])]


@spec("GlobalAveragePool", "GlobalMaxPool", since=7)
def global_pool(rng, version, name):
    return {}, [array(rng, dims(rng, rank=int(rng.integers(3, 6)), low=1))]


prefer_runtime("AveragePool", "MaxPool", until=22, why="windows of ceil_mode past the padding, and padding with dilations")
prefer_runtime("GlobalMaxPool", until=22, why="it reduces the wrong axes of tensors that are not of rank 4")
