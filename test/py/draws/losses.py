"""Losses: NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss. The second gives log_prob too where the labels are int64."""

import numpy as np

from .base import FLOATS, array, dims, oracle, pick, spec


@spec("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def losses(rng, version, name):
    dtype = pick(rng, FLOATS[:3] if version < (22 if name[0] == "N" else 13) else FLOATS)
    classes, tail = int(rng.integers(1, 6)), dims(rng, int(rng.integers(0, 4)), 1)
    batch = 0 if rng.random() < 0.04 else int(rng.integers(1, 5))
    attrs = {}
    if rng.random() < 0.8:
        attrs["reduction"] = pick(rng, ["none", "sum", "mean"])
    labels = np.asarray(rng.integers(0, classes, [batch] + tail))
    if rng.random() < 0.5:
        attrs["ignore_index"] = int(pick(rng, [0, -1, -100, classes + 2]))
        labels = np.where(rng.random(labels.shape) < 0.3, attrs["ignore_index"], labels)
    labels = labels.astype(pick(rng, [np.int32, np.int64]))
    weights = np.abs(array(rng, [classes], dtype)) if rng.random() < 0.5 else None
    both = name == "SoftmaxCrossEntropyLoss" and labels.dtype == np.int64
    return attrs, [array(rng, [batch, classes] + tail, dtype), labels, weights], ["y", "log_prob"] if both else ["y"]


def loss_of(logs, attrs, inputs):
    """The loss where |logs| are the logarithms of probabilities."""
    scores, labels, weights = inputs
    ignored = labels == attrs["ignore_index"] if "ignore_index" in attrs else np.zeros(labels.shape, bool)
    chosen = np.where(ignored, 0, labels).astype(np.int64)
    weight = np.where(ignored, 0, 1.0 if weights is None else weights.astype(np.float64)[chosen])
    each = np.where(ignored, 0, -np.take_along_axis(logs, np.expand_dims(chosen, 1), 1)[:, 0] * weight)
    kind = attrs.get("reduction", "mean")
    return np.asarray(each if kind == "none" else each.sum() if kind == "sum" else each.sum() / weight.sum()).astype(scores.dtype)


@oracle("NegativeLogLikelihoodLoss", why="the reference takes ignore_index=-1 for none and sums 16-bit floats in their own type")
def negative_log_likelihood(version, attrs, inputs):
    return [loss_of(inputs[0].astype(np.float64), attrs, inputs)]


@oracle("SoftmaxCrossEntropyLoss", why="the reference sums 16-bit floats in their own type and takes the logarithm of rounded-off zeros")
def cross_entropy(version, attrs, inputs):
    logs = inputs[0].astype(np.float64)
    logs = logs - logs.max(axis=1, keepdims=True, initial=-np.inf)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return [loss_of(logs, attrs, inputs)] + ([logs.astype(inputs[0].dtype)] if inputs[1].dtype == np.int64 else [])
