"""Draws of ai.onnx.ml: support vector machines."""

import numpy as np

from .base import oracle, pick, spec
from .ml_linear import ML, POSTS, floats, label_list, label_output, labels, post, samples

KERNELS = ["LINEAR", "POLY", "RBF", "SIGMOID"]


def kernel_attributes(rng):
    kind = pick(rng, KERNELS)
    params = [float(np.float32(rng.uniform(0.02, 0.2))), float(np.float32(rng.normal(0, 0.3))), float(rng.integers(1, 4))]
    attrs = {"kernel_type": kind}
    if kind != "LINEAR" or rng.random() < 0.5:
        attrs["kernel_params"] = params
    return attrs


def kernel(attrs, x, vectors):
    """[samples][vectors], float64."""
    gamma, coef0, degree = (float(np.float32(v)) for v in attrs.get("kernel_params", [0, 0, 0]))
    kind = attrs.get("kernel_type", "LINEAR")
    dots = x @ vectors.T
    if kind == "POLY":
        return (gamma * dots + coef0) ** degree
    if kind == "SIGMOID":
        return np.tanh(gamma * dots + coef0)
    if kind == "RBF":
        return np.exp(-gamma * ((x[:, None] - vectors[None]) ** 2).sum(axis=2))
    return dots


def listed(attrs, name):
    return np.array(attrs.get(name, []), np.float32).astype(np.float64)


@spec("SVMRegressor", domain=ML, tolerance=(1e-4, 1e-4))
def svm_regressor(rng, version, name):
    features, kind = int(rng.integers(1, 20)), pick(rng, ["NONE", "NONE", "LOGISTIC", "SOFTMAX"])
    attrs = {"rho": floats(rng, 1), "post_transform": kind, "one_class": int(rng.random() < 0.2)}
    if rng.random() < 0.2:
        attrs["coefficients"] = floats(rng, features)
    else:
        count = int(rng.integers(1, 10))
        attrs |= {"n_supports": count, "support_vectors": floats(rng, count * features), "coefficients": floats(rng, count), **kernel_attributes(rng)}
    return attrs, [samples(rng, features)]


@oracle("SVMRegressor", domain=ML, why="the reference gives the input's type and has no post_transform")
def svm_regressor_oracle(version, attrs, inputs):
    x, count = np.atleast_2d(inputs[0]), attrs.get("n_supports", 0)
    if x.dtype == np.float32 and attrs["post_transform"] == "NONE" and len(x) and inputs[0].ndim == 2:
        raise NotImplementedError
    weights = listed(attrs, "coefficients")
    if count:
        scores = kernel(attrs, x.astype(np.float64), listed(attrs, "support_vectors").reshape(count, -1)) @ weights
    else:
        scores = x.astype(np.float64) @ weights
    scores = (scores + listed(attrs, "rho")[0]).reshape(-1, 1)
    if attrs["one_class"]:
        return [np.where(scores > 0, 1, -1).astype(np.float32)]
    return [np.array([post(attrs["post_transform"], row) for row in scores]).reshape(scores.shape).astype(np.float32)]


# Probabilities of more than two classes are those of an iteration that ends early: how early is decided by rounding.
@spec("SVMClassifier", domain=ML, tolerance=(1e-3, 2e-3))
def svm_classifier(rng, version, name):
    features, classes, kind = int(rng.integers(1, 12)), int(rng.integers(2, 5)), pick(rng, POSTS[:4])
    pairs = classes * (classes - 1) // 2
    attrs = {"post_transform": kind, **labels(rng, classes)}
    if rng.random() < 0.2:
        return {**attrs, "coefficients": floats(rng, classes * features), "rho": floats(rng, 1)}, [samples(rng, features)]
    counts = [int(rng.integers(1, 5)) for _ in range(classes)]
    total = sum(counts)
    attrs |= {"vectors_per_class": counts, "support_vectors": floats(rng, total * features), "coefficients": floats(rng, total * (classes - 1)),
              "rho": floats(rng, pairs), **kernel_attributes(rng)}
    if rng.random() < 0.5:
        attrs |= {"prob_a": [-abs(v) for v in floats(rng, pairs)], "prob_b": floats(rng, pairs, 0.3)}
    return attrs, [samples(rng, features)]


def coupled(r):
    """Probabilities of classes from those of pairs: Wu, Lin and Weng's second approach, as libsvm iterates."""
    k, f = len(r), np.float32
    q, p = np.zeros([k, k], f), np.full(k, 1 / k, f)
    for t in range(k):
        for j in range(k):
            if j != t:
                q[t, t] += r[j, t] * r[j, t]
                q[t, j] = -r[j, t] * r[t, j]
    for _ in range(max(100, k)):
        qp = (q @ p).astype(f)
        total = f(p @ qp)
        if np.abs(qp - total).max() < 0.005 / k:
            break
        for t in range(k):
            diff = (total - qp[t]) / q[t, t]
            p[t] += diff
            total = (total + diff * (diff * q[t, t] + 2 * qp[t])) / (1 + diff) ** 2
            qp = ((qp + diff * q[t]) / (1 + diff)).astype(f)
            p = (p / (1 + diff)).astype(f)
    return p


@oracle("SVMClassifier", domain=ML, why="the reference wants integer labels, takes the first label of a linear model with more than two classes to "
        "be 1 and the others 0, couples the probabilities of pairs by a wrong product, and gives the input's type")
def svm_classifier_oracle(version, attrs, inputs):
    x, kind, names = np.atleast_2d(inputs[0]).astype(np.float64), attrs["post_transform"], label_list(attrs)
    weights, rho, k = listed(attrs, "coefficients"), listed(attrs, "rho"), len(names)
    counts = attrs.get("vectors_per_class")
    if counts and inputs[0].dtype == np.float32 and "classlabels_ints" in attrs and len(x) and inputs[0].ndim == 2 and weights.min() < 0 \
            and (k == 2 or "prob_a" not in attrs):
        raise NotImplementedError
    if not counts:
        scores = x @ weights.reshape(k, -1).T + rho[0]
        best = scores.argmax(axis=1)
        if k == 2 and weights.min() >= 0:
            best = np.where(scores.max(axis=1) >= 0.5, 1, best)
    else:
        values = kernel(attrs, x, listed(attrs, "support_vectors").reshape(sum(counts), -1))
        weights, starts = weights.reshape(k - 1, -1), np.cumsum([0] + counts)
        pairs, votes = [], np.zeros([len(x), k])
        for i in range(k):
            for j in range(i + 1, k):
                a, b = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
                score = rho[len(pairs)] + values[:, a] @ weights[j - 1, a] + values[:, b] @ weights[i, b]
                votes[np.arange(len(x)), np.where(score > 0, i, j)] += 1
                pairs.append(score)
        best, scores = votes.argmax(axis=1), np.array(pairs).T.reshape(len(x), len(pairs))
        if "prob_a" in attrs:
            share = np.clip(1 - 1 / (1 + np.exp(-(scores * listed(attrs, "prob_a") + listed(attrs, "prob_b")))), 1e-7, 1 - 1e-7)
            given, scores = share.astype(np.float32), np.zeros([len(x), k])
            for n, row in enumerate(given):
                r = np.zeros([k, k], np.float32)
                r[np.triu_indices(k, 1)] = row
                scores[n] = coupled(r + np.tril(1 - r.T, -1))
        elif k == 2:
            scores = np.concatenate([-scores, scores], axis=1)
            if weights.min() >= 0:
                best = np.ones_like(best)
    z = np.array([post(kind, row) for row in scores]).reshape(scores.shape).astype(np.float32)
    return [label_output(names, best), z]
