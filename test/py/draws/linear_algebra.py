"""Determinants and inverses."""

import numpy as np

from .base import FLOATS, dims, oracle, pick, spec


def squares(rng, types):
    shape = dims(rng, rank=int(rng.integers(0, 3)), high=4) + [int(rng.integers(1, 9))] * 2
    if rng.random() < 0.05:
        shape[-2:] = [0, 0]
    dtype = pick(rng, types)
    values = rng.normal(0, 1, shape)
    if shape[-1] and dtype in FLOATS[2:]:
        values += 2 * np.eye(shape[-1])
    return values.astype(dtype)


@spec("Det", tolerance=(1e-2, 1e-3))
def det(rng, version, name):
    x = squares(rng, FLOATS if version >= 22 else FLOATS[:3])
    if rng.random() < 0.1 and x.size:
        x[..., 0, :] = 0
    return {}, [x]


@oracle("Det", why="numpy in double precision")
def det_wanted(version, attrs, inputs):
    return [np.asarray(np.linalg.det(inputs[0].astype(np.float64))).astype(inputs[0].dtype)]


@spec("Inverse", domain="com.microsoft", tolerance=(1e-2, 1e-2))
def inverse(rng, version, name):
    x = squares(rng, FLOATS[:3])
    return {}, [(x.astype(np.float64) + 3 * np.eye(x.shape[-1])).astype(x.dtype)]


@oracle("Inverse", domain="com.microsoft", why="numpy in double precision")
def inverse_wanted(version, attrs, inputs):
    return [np.linalg.inv(inputs[0].astype(np.float64)).astype(inputs[0].dtype)]
