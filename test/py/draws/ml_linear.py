"""Draws of ai.onnx.ml: preprocessing and linear models. Also what the draws of other models share: samples, labels, post_transform."""

import math

import numpy as np

from .base import array, dims, oracle, pick, spec
from .strings import texts

ML = "ai.onnx.ml"
NUMBERS = [np.float32, np.float64, np.int64, np.int32]
POSTS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def samples(rng, features, dtype=None, rows=None):
    """A matrix of samples, or now and then one as a vector."""
    rows = int(rng.integers(0 if rng.random() < 0.1 else 1, 7)) if rows is None else rows
    shape = [features] if rng.random() < 0.1 else [rows, features]
    return array(rng, shape, dtype or pick(rng, NUMBERS))


def floats(rng, count, scale=1.0):
    return [float(v) for v in rng.normal(0, scale, count).astype(np.float32)]


def labels(rng, count, ints="classlabels_ints"):
    """Attributes that name |count| classes."""
    if rng.random() < 0.5:
        return {"classlabels_strings": [f"class {i}é" for i in rng.permutation(count)]}
    return {ints: [int(i) for i in rng.permutation(count * 3)[:count] - 2]}


def label_list(attrs, ints="classlabels_ints"):
    return attrs.get("classlabels_strings") or attrs.get(ints)


def label_output(names, picks):
    return np.array([names[i] for i in picks], object if isinstance(names[0], str) else np.int64)


def probit(p):
    x = 2 * p - 1
    product = (1 - x) * (1 + x)
    if product == 0:
        return 0.0
    if product < 0:
        return math.nan
    log = math.log(product)
    v = 2 / (math.pi * 0.147) + 0.5 * log
    return 1.41421356 * math.copysign(math.sqrt(-v + math.sqrt(v * v - log / 0.147)), x)


def post(kind, row):
    """post_transform of the scores of one sample, float64."""
    row = np.asarray(row, np.float64)
    if kind == "LOGISTIC":
        return 1 / (1 + np.exp(-row))
    if kind == "PROBIT":
        return np.array([probit(v) for v in row])
    if kind == "SOFTMAX":
        part = np.exp(row - row.max())
        return part / part.sum()
    if kind == "SOFTMAX_ZERO":
        part = np.where(np.abs(row) > 1e-7, np.exp(row - row.max()), row * np.exp(-row.max()))
        return part / part.sum() if part.sum() else np.full(row.shape, 0.5)
    return row


# --- preprocessing -------------------------------------------------------------------------------------------------------------
@spec("Scaler", domain=ML)
def scaler(rng, version, name):
    features = int(rng.integers(1, 6))
    attrs = {}
    if rng.random() < 0.9:
        attrs["offset"] = floats(rng, pick(rng, [1, features]))
    if rng.random() < 0.9:
        attrs["scale"] = floats(rng, pick(rng, [1, features]))
    return attrs, [samples(rng, features)]


@oracle("Scaler", domain=ML, why="the reference gives the input's type and wants both attributes")
def scaler_oracle(version, attrs, inputs):
    offset, scale = (np.array(attrs.get(k, [v]), np.float32).astype(np.float64) for k, v in (("offset", 0), ("scale", 1)))
    return [((inputs[0].astype(np.float64) - offset) * scale).astype(np.float32)]


@spec("Normalizer", domain=ML)
def normalizer(rng, version, name):
    x = samples(rng, int(rng.integers(1, 6)))
    if x.ndim == 2 and len(x) and rng.random() < 0.3:
        x[0] = 0
    return {"norm": pick(rng, ["MAX", "L1", "L2"])} if rng.random() < 0.9 else {}, [x]


@oracle("Normalizer", domain=ML, why="the reference gives float64 for integers and takes no vector")
def normalizer_oracle(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    with np.errstate(all="ignore"):
        norm = {"MAX": lambda: np.abs(x).max(axis=-1, keepdims=True, initial=0), "L1": lambda: np.abs(x).sum(axis=-1, keepdims=True),
                "L2": lambda: np.sqrt((x * x).sum(axis=-1, keepdims=True))}[attrs.get("norm", "MAX")]()
    return [(x / np.maximum(norm, 1e-30)).astype(np.float32)]


@spec("Binarizer", domain=ML)
def binarizer(rng, version, name):
    return {"threshold": float(np.float32(rng.normal()))} if rng.random() < 0.8 else {}, [array(rng, dims(rng), pick(rng, NUMBERS), True)]


@spec("Imputer", domain=ML)
def imputer(rng, version, name):
    features, dtype = int(rng.integers(1, 6)), pick(rng, NUMBERS)
    x = array(rng, [int(rng.integers(1, 7)), features], dtype, np.dtype(dtype).kind == "f")
    count = pick(rng, [1, features])
    if np.dtype(dtype).kind == "f":
        old = pick(rng, [float("nan"), 0.0, float(np.float32(x.flat[0]))])
        return {"replaced_value_float": old, "imputed_value_floats": floats(rng, count)}, [x]
    return {"replaced_value_int64": int(x.flat[0]), "imputed_value_int64s": [int(v) for v in rng.integers(-9, 9, count)]}, [x]


@spec("FeatureVectorizer", domain=ML)
def feature_vectorizer(rng, version, name):
    dtype, rows = pick(rng, NUMBERS), int(rng.integers(1, 5))
    widths = [int(rng.integers(1, 5)) for _ in range(rng.integers(1, 4))]
    vector = rng.random() < 0.15
    attrs = {"inputdimensions": [max(1, w + int(rng.integers(-1, 2))) for w in widths]} if rng.random() < 0.8 else {}
    return attrs, [array(rng, [w] if vector else [rows, w], dtype) for w in widths]


@oracle("FeatureVectorizer", domain=ML, why="the reference gives the input's type, makes a column of a vector, and wants the attribute")
def vectorizer_oracle(version, attrs, inputs):
    parts = [np.atleast_2d(x).astype(np.float32) for x in inputs]
    widths = attrs.get("inputdimensions", [p.shape[1] for p in parts])
    return [np.concatenate([np.pad(p, [(0, 0), (0, max(0, w - p.shape[1]))])[:, :w] for p, w in zip(parts, widths)], axis=1)]


@spec("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(rng, version, name):
    shape = dims(rng, rank=int(rng.integers(1, 4)), low=1)
    x = texts(rng, shape) if rng.random() < 0.2 else array(rng, shape, pick(rng, NUMBERS))
    count = int(rng.integers(1, 6))
    return {}, [x, rng.integers(0, shape[-1], [1, count] if rng.random() < 0.5 else [count]).astype(np.int64)]


# --- linear models ---------------------------------------------------------------------------------------------------------------
@spec("LinearRegressor", domain=ML)
def linear_regressor(rng, version, name):
    features, targets = int(rng.integers(1, 20)), int(rng.integers(1, 5))
    kind = pick(rng, POSTS)
    scale = 0.05 if kind == "PROBIT" else 1
    attrs = {"coefficients": floats(rng, features * targets, scale / features), "post_transform": kind}
    if targets > 1 or rng.random() < 0.5:
        attrs["targets"] = targets
    if kind == "PROBIT" or rng.random() < 0.8:
        attrs["intercepts"] = [0.5 + v for v in floats(rng, targets, 0.05)]
    return attrs, [samples(rng, features)]


def linear_scores(attrs, x, count):
    weights = np.array(attrs["coefficients"], np.float32).astype(np.float64).reshape(count, -1)
    intercepts = np.array(attrs.get("intercepts", [0]), np.float32).astype(np.float64)
    return np.atleast_2d(x).astype(np.float64) @ weights.T + intercepts


@oracle("LinearRegressor", domain=ML, why="the reference gives the input's type, casts coefficients to it, and has no post_transform")
def linear_regressor_oracle(version, attrs, inputs):
    scores = linear_scores(attrs, inputs[0], attrs.get("targets", 1))
    return [np.array([post(attrs["post_transform"], row) for row in scores]).reshape(scores.shape).astype(np.float32)]


@spec("LinearClassifier", domain=ML)
def linear_classifier(rng, version, name):
    features, classes = int(rng.integers(1, 20)), int(rng.integers(2, 6))
    count = 1 if classes == 2 and rng.random() < 0.5 else classes
    kind = pick(rng, POSTS)
    scale = 0.05 if kind == "PROBIT" else 1
    attrs = {"coefficients": floats(rng, features * count, scale / features), "post_transform": kind, **labels(rng, classes),
             "intercepts": [0.5 + v for v in floats(rng, count, 0.05 if kind == "PROBIT" else 0.5)]}
    if count > 1 and kind != "PROBIT" and rng.random() < 0.2:
        del attrs["intercepts"]
    return attrs, [samples(rng, features)]


@oracle("LinearClassifier", domain=ML, why="the reference computes with the input's type, wants intercepts and a matrix")
def linear_classifier_oracle(version, attrs, inputs):
    names = label_list(attrs)
    features = np.atleast_2d(inputs[0]).shape[1]
    scores = linear_scores(attrs, inputs[0], len(attrs["coefficients"]) // features)
    if scores.shape[1] < len(names):
        scores = np.concatenate([-scores, scores], axis=1)
    z = np.array([post(attrs["post_transform"], row) for row in scores]).reshape(scores.shape).astype(np.float32)
    return [label_output(names, scores.argmax(axis=1)), z]
