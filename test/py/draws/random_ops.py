"""Random operators where chance has nothing to say: every version, type and shape. What chance says is in test_random.py."""

import ml_dtypes
import numpy as np
import onnx

from .base import FLOATS, INTS, array, dims, oracle, pick, spec

OTHERS = [np.bool_, np.complex64, np.complex128]


def element(dtype):
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def of_element(number):
    return onnx.helper.tensor_dtype_to_np_dtype(number)


def floats(version):
    return FLOATS if version >= 22 else FLOATS[:3]


def certain(rng, name):
    """Attributes under which a single number can come out."""
    value = float(np.float32(rng.integers(-8, 9)))
    attrs = {"mean": value, "scale": 0.0} if "Normal" in name else {"low": value, "high": value}
    if rng.random() < 0.5:
        attrs["seed"] = float(rng.integers(0, 100))
    return attrs


def filled(attrs, shape, dtype):
    return [np.full(shape, attrs.get("mean", attrs.get("low")), dtype)]


@spec("RandomNormal", "RandomUniform")
def random_of_shape(rng, version, name):
    attrs = certain(rng, name)
    attrs["shape"] = dims(rng, rank=int(rng.integers(1, 5)))
    if rng.random() < 0.8:
        attrs["dtype"] = element(pick(rng, floats(version)))
    return attrs, []


@oracle("RandomNormal", "RandomUniform", why="the single number that can come out")
def random_of_shape_wanted(version, attrs, inputs):
    return filled(attrs, attrs["shape"], of_element(attrs.get("dtype", 1)))


@spec("RandomNormalLike", "RandomUniformLike")
def random_like(rng, version, name):
    attrs = certain(rng, name)
    dtype = pick(rng, floats(version) + INTS + OTHERS + [np.str_])
    if dtype not in FLOATS or rng.random() < 0.5:
        attrs["dtype"] = element(pick(rng, floats(version)))
    shape = dims(rng)
    x = np.full(shape, "text", dtype=object) if dtype is np.str_ else array(rng, shape, dtype)
    return attrs, [x]


@oracle("RandomNormalLike", "RandomUniformLike", why="the single number that can come out")
def random_like_wanted(version, attrs, inputs):
    return filled(attrs, inputs[0].shape, of_element(attrs["dtype"]) if "dtype" in attrs else inputs[0].dtype)


@spec("Bernoulli")
def bernoulli(rng, version, name):
    attrs = {"dtype": element(pick(rng, FLOATS + INTS + [np.bool_]))} if rng.random() < 0.8 else {}
    if rng.random() < 0.5:
        attrs["seed"] = 1.5
    return attrs, [(rng.random(dims(rng)) < 0.5).astype(pick(rng, floats(version)))]


@oracle("Bernoulli", why="chances of 0 and 1")
def bernoulli_wanted(version, attrs, inputs):
    return [inputs[0].astype(of_element(attrs["dtype"])) if "dtype" in attrs else inputs[0]]


@spec("Multinomial")
def multinomial(rng, version, name):
    rows, classes = int(rng.integers(0, 4)), int(rng.integers(1, 9))
    x = array(rng, [rows, classes], pick(rng, floats(version)))
    for row in range(rows):  # one class that outweighs the others
        x[row] = pick(rng, [-np.inf, -30000 if x.dtype != ml_dtypes.bfloat16 else -1e20])
        x[row, rng.integers(classes)] = 1
    attrs = {}
    if rng.random() < 0.7:
        attrs["sample_size"] = int(rng.integers(0, 6))
    if rng.random() < 0.7:
        attrs["dtype"] = element(pick(rng, [np.int32, np.int64]))
    return attrs, [x]


@oracle("Multinomial", why="one class outweighs the others")
def multinomial_wanted(version, attrs, inputs):
    most = np.argmax(inputs[0].astype(np.float64), axis=1)
    return [np.repeat(most[:, None], attrs.get("sample_size", 1), axis=1).astype(of_element(attrs.get("dtype", 6)))]
