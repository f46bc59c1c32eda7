"""Draws of elementwise operators."""

import numpy as np

from .base import FLOATS, INTS, array, broadcast_pair, dims, pick, spec


@spec("Abs", "Neg", "Sign", "Relu", since=7)
def signed_unary(rng, version, name):
    types = FLOATS[:3] if version < 13 else FLOATS
    if name in ("Abs", "Sign", "Neg") and version >= 6 or name == "Relu" and version >= 14:
        types = types + [np.int8, np.int16, np.int32, np.int64]
    return {}, [array(rng, dims(rng), pick(rng, types), True)]


@spec("Ceil", "Floor", "Round", "Sqrt", "Exp", "Log", "Reciprocal", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Softplus", "Softsign",
      "Sinh", "Cosh", "Atan", "Asinh", "Tan", "HardSwish", "Mish", since=7)
def real_unary(rng, version, name):
    return {}, [array(rng, dims(rng), pick(rng, FLOATS[:3]), name not in ("Softplus", "Mish", "HardSwish", "Sin", "Cos", "Tan"))]


@spec("Acos", "Asin", "Atanh", since=7)
def unit_unary(rng, version, name):
    return {}, [np.clip(array(rng, dims(rng), np.float32) / 6, -0.99, 0.99).astype(np.float32)]


@spec("Acosh", since=7)
def acosh(rng, version, name):
    return {}, [(np.abs(array(rng, dims(rng), np.float32)) + 1).astype(np.float32)]


@spec("Not", since=7)
def logical_not(rng, version, name):
    return {}, [array(rng, dims(rng), np.bool_)]


@spec("IsNaN", "IsInf", since=7)
def tests(rng, version, name):
    attrs = {"detect_negative": int(rng.integers(2)), "detect_positive": int(rng.integers(2))} if name == "IsInf" else {}
    return attrs, [array(rng, dims(rng), np.float32, True)]


@spec("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "HardSigmoid", "Selu", "Shrink", "Gelu", since=7)
def with_attributes(rng, version, name):
    names = {"HardSigmoid": ["alpha", "beta"], "Selu": ["alpha", "gamma"], "Shrink": ["bias", "lambd"], "Gelu": []}.get(name, ["alpha"])
    attrs = {n: float(np.float32(rng.uniform(0.1, 2))) for n in names if rng.random() < 0.7}
    if name == "Gelu":
        attrs = {"approximate": pick(rng, ["none", "tanh"])}
    return attrs, [array(rng, dims(rng), np.float32 if name in ("Celu", "Gelu", "Shrink") else pick(rng, FLOATS[:3]))]


@spec("Add", "Sub", "Mul", "Div", since=7)
def arithmetic(rng, version, name):
    dtype = pick(rng, FLOATS[:3] + [np.int32, np.int64, np.uint32, np.uint64] + ([np.int8, np.uint8, np.int16] if version >= 14 else []))
    a, b = broadcast_pair(rng)
    y = array(rng, b, dtype)
    if name == "Div" and np.dtype(dtype).kind in "iu":
        y = np.where(y == 0, np.asarray(3, dtype), y).astype(dtype)
    return {}, [array(rng, a, dtype), y]


@spec("Mod", since=7)
def modulo(rng, version, name):
    dtype = pick(rng, INTS + [np.float32, np.float64])
    a, b = broadcast_pair(rng)
    y = array(rng, b, dtype)
    y = np.where(y == 0, np.asarray(3, dtype), y).astype(dtype)
    fmod = 1 if np.dtype(dtype).kind == "f" else int(rng.integers(2))
    return {"fmod": fmod}, [array(rng, a, dtype), y]


@spec("Pow", since=7)
def power(rng, version, name):
    a, b = broadcast_pair(rng)
    base = np.abs(array(rng, a, pick(rng, [np.float32, np.float64]))) + 0.1
    return {}, [base, array(rng, b, base.dtype)]


@spec("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", since=7)
def comparison(rng, version, name):
    if name == "Equal" and version < 11:
        types = [np.int32, np.int64, np.bool_]
    else:
        types = FLOATS[:3] + (INTS if version >= 9 else []) + ([np.bool_] if name == "Equal" else [])
    dtype = pick(rng, types)
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, dtype, True), array(rng, b, dtype, True)]


@spec("And", "Or", "Xor", since=7)
def logic(rng, version, name):
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, np.bool_), array(rng, b, np.bool_)]


@spec("BitwiseAnd", "BitwiseOr", "BitwiseXor", since=7)
def bitwise(rng, version, name):
    dtype = pick(rng, INTS)
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, dtype, True), array(rng, b, dtype, True)]


@spec("BitShift", since=7)
def shift(rng, version, name):
    dtype = pick(rng, [np.uint8, np.uint16, np.uint32, np.uint64])
    a, b = broadcast_pair(rng)
    return {"direction": pick(rng, ["LEFT", "RIGHT"])}, [array(rng, a, dtype, True), np.asarray(rng.integers(0, 8, b)).astype(dtype)]


@spec("Min", "Max", "Sum", "Mean", since=7)
def variadic(rng, version, name):
    dtype = pick(rng, FLOATS[:2] + (INTS if name in ("Min", "Max") and version >= 12 else []))
    shapes = broadcast_pair(rng) if version >= 8 else [dims(rng)]
    return {}, [array(rng, pick(rng, shapes), dtype) for _ in range(rng.integers(1, 5))]


@spec("Where", since=7)
def where(rng, version, name):
    dtype = pick(rng, FLOATS[:3] + INTS + [np.bool_])
    a, b = broadcast_pair(rng)
    return {}, [array(rng, a, np.bool_), array(rng, b, dtype), array(rng, pick(rng, [a, b]), dtype)]


@spec("Clip", since=7)
def clip(rng, version, name):
    dtype = pick(rng, FLOATS[:2] + (INTS if version >= 12 else []))
    limits = sorted(array(rng, [2], dtype).tolist())
    x = array(rng, dims(rng), dtype)
    if version < 11:
        return {"min": -1.0, "max": 1.5}, [array(rng, dims(rng), np.float32)]
    return {}, [x, pick(rng, [None, np.asarray(limits[0], dtype)]), pick(rng, [None, np.asarray(limits[1], dtype)])]


@spec("PRelu", since=7)
def prelu(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 5)))
    slope = [1 if rng.random() < 0.3 else d for d in shape][rng.integers(0, len(shape)):]
    dtype = pick(rng, FLOATS[:2])
    return {}, [array(rng, shape, dtype), array(rng, slope, dtype)]
