"""Draws of elementwise operators."""

import numpy as np

from .base import array, broadcast_pair, dims, dtypes, pick, spec


@spec("Abs", "Neg", "Sign", "Relu", since=7)
def signed_unary(rng, version, name):
    return {}, [array(rng, dims(rng), pick(rng, dtypes(name, version)), True)]


@spec("Ceil", "Floor", "Round", "Sqrt", "Exp", "Log", "Reciprocal", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Softplus", "Softsign",
      "Sinh", "Cosh", "Atan", "Asinh", "Tan", "HardSwish", "Mish", since=7)
def real_unary(rng, version, name):
    return {}, [array(rng, dims(rng), pick(rng, dtypes(name, version)), name not in ("Softplus", "Mish", "HardSwish", "Sin", "Cos", "Tan"))]


@spec("Acos", "Asin", "Atanh", since=7)
def unit_unary(rng, version, name):
    return {}, [np.clip(array(rng, dims(rng), np.float32) / 6, -0.99, 0.99).astype(pick(rng, dtypes(name, version)))]


@spec("Acosh", since=7)
def acosh(rng, version, name):
    return {}, [(np.abs(array(rng, dims(rng), np.float32)) + 1).astype(pick(rng, dtypes(name, version)))]


@spec("Not", since=7)
def logical_not(rng, version, name):
    return {}, [array(rng, dims(rng), np.bool_)]


@spec("IsNaN", "IsInf", since=7)
def tests(rng, version, name):
    attrs = {"detect_negative": int(rng.integers(2)), "detect_positive": int(rng.integers(2))} if name == "IsInf" else {}
    return attrs, [array(rng, dims(rng), pick(rng, dtypes(name, version, "T1")), True)]


@spec("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "HardSigmoid", "Selu", "Shrink", "Gelu", since=7)
def with_attributes(rng, version, name):
    names = {"HardSigmoid": ["alpha", "beta"], "Selu": ["alpha", "gamma"], "Shrink": ["bias", "lambd"], "Gelu": []}.get(name, ["alpha"])
    attrs = {n: float(np.float32(rng.uniform(0.1, 2))) for n in names if rng.random() < 0.7}
    if name == "Gelu":
        attrs = {"approximate": pick(rng, ["none", "tanh"])}
    return attrs, [array(rng, dims(rng), pick(rng, dtypes(name, version)))]


@spec("Add", "Sub", "Mul", "Div", since=7)
def arithmetic(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    a, b = broadcast_pair(rng)
    y = array(rng, b, dtype)
    if name == "Div" and np.dtype(dtype).kind in "iu":
        y = np.where(y == 0, np.asarray(3, dtype), y).astype(dtype)
    return {}, [array(rng, a, dtype), y]


@spec("Mod", since=7)
def modulo(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    a, b = broadcast_pair(rng)
    y = array(rng, b, dtype)
    y = np.where(y == 0, np.asarray(3, dtype), y).astype(dtype)
    fmod = 1 if np.dtype(dtype).kind in "fV" else int(rng.integers(2))
    return {"fmod": fmod}, [array(rng, a, dtype), y]


@spec("Pow", since=7)
def power(rng, version, name):
    a, b = broadcast_pair(rng)
    dtype = np.dtype(pick(rng, dtypes(name, version)))
    other = pick(rng, dtypes(name, version, "T1")) if version >= 12 else dtype
    base = np.abs(array(rng, a, dtype)) + np.asarray(1 if dtype.kind in "iu" else 0.1, dtype)
    power = array(rng, b, other)
    return {}, [base.astype(dtype), np.abs(power) % np.asarray(4, other) if dtype.kind in "iu" or np.dtype(other).kind in "iu" else power]


@spec("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", since=7)
def comparison(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, dtype, True), array(rng, b, dtype, True)]


@spec("And", "Or", "Xor", since=7)
def logic(rng, version, name):
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, np.bool_), array(rng, b, np.bool_)]


@spec("BitwiseAnd", "BitwiseOr", "BitwiseXor", since=7)
def bitwise(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, dtype, True), array(rng, b, dtype, True)]


@spec("BitShift", since=7)
def shift(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    a, b = broadcast_pair(rng)
    return {"direction": pick(rng, ["LEFT", "RIGHT"])}, [array(rng, a, dtype, True), np.asarray(rng.integers(0, 8, b)).astype(dtype) if np.dtype(dtype).kind == "u" else array(rng, b, dtype)]


@spec("Min", "Max", "Sum", "Mean", since=7)
def variadic(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    shapes = broadcast_pair(rng) if version >= 8 else [dims(rng)]
    count = int(rng.integers(1, 3 if dtype.kind == "V" else 5))  # the reference rounds after each
    return {}, [array(rng, pick(rng, shapes), dtype) for _ in range(count)]


@spec("Where", since=7)
def where(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, np.bool_), array(rng, b, dtype), array(rng, pick(rng, [a, b]), dtype)]


@spec("Clip", since=7)
def clip(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    limits = sorted(array(rng, [2], dtype).tolist())
    x = array(rng, dims(rng), dtype)
    if version < 11:
        return {"min": -1.0, "max": 1.5}, [x]
    return {}, [x, pick(rng, [None, np.asarray(limits[0], dtype)]), pick(rng, [None, np.asarray(limits[1], dtype)])]


@spec("PRelu", since=7)
def prelu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    slope = [1 if rng.random() < 0.3 else d for d in shape][rng.integers(0, len(shape)):]
    dtype = pick(rng, dtypes(name, version))
    return {}, [array(rng, shape, dtype), array(rng, slope, dtype)]
