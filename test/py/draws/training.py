"""ai.onnx.preview.training: one step of an optimizer over several tensors."""

import numpy as np

from .base import array, dims, oracle, pick, spec

DOMAIN = "ai.onnx.preview.training"
LISTS = {"Adagrad": "XGH", "Adam": "XGVH", "Momentum": "XGV"}
KEPT = {"Adagrad": [0, 2], "Adam": [0, 2, 3], "Momentum": [0, 2]}


@spec("Adagrad", "Adam", "Momentum", domain=DOMAIN)
def optimizers(rng, version, name):
    names = {"Adagrad": ["decay_factor", "epsilon", "norm_coefficient"],
             "Adam": ["alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"], "Momentum": []}[name]
    attrs = {n: float(np.float32(rng.uniform(0.01, 0.9))) for n in names if rng.random() < 0.6}
    if name == "Momentum":
        attrs = {n: float(np.float32(rng.uniform(0.01, 0.9))) for n in ("alpha", "beta", "norm_coefficient")}
        attrs["mode"] = pick(rng, ["standard", "nesterov"])
    dtype, rate = pick(rng, [np.float32, np.float64]), pick(rng, [np.float32, np.float64])
    shapes = [dims(rng) for _ in range(rng.integers(1, 4))]
    tensors = [array(rng, s, dtype) if which in "XG" else np.abs(array(rng, s, dtype)) for which in LISTS[name] for s in shapes]
    outputs = [f"y{i}" for i in range(len(KEPT[name]) * len(shapes))]
    return attrs, [np.asarray(rng.uniform(0.01, 1), rate), np.asarray(rng.integers(0, 5), np.int64)] + tensors, outputs


def adagrad(a, r, t, x, g, h):
    g = a.get("norm_coefficient", 0) * x + g
    h = h + g * g
    return [x - r / (1 + t * a.get("decay_factor", 0)) * g / (np.sqrt(h) + a.get("epsilon", 1e-6)), h]


def adam(a, r, t, x, g, v, h):
    alpha, beta = a.get("alpha", np.float64(np.float32(0.9))), a.get("beta", np.float64(np.float32(0.999)))
    g = a.get("norm_coefficient", 0) * x + g
    v, h = alpha * v + (1 - alpha) * g, beta * h + (1 - beta) * g * g
    r = r * np.sqrt(1 - beta**t) / (1 - alpha**t) if t > 0 else r
    return [(1 - a.get("norm_coefficient_post", 0)) * (x - r * v / (np.sqrt(h) + a.get("epsilon", 1e-6))), v, h]


def momentum(a, r, t, x, g, v):
    g = a["norm_coefficient"] * x + g
    v = a["alpha"] * v + (a["beta"] if t > 0 else 1) * g
    return [x - r * (g + a["alpha"] * v if a["mode"] == "nesterov" else v), v]


def register(name, step):
    """The pseudo code of the specification in f64, tensor by tensor."""
    @oracle(name, domain=DOMAIN, why="the reference gives the types that numpy promotes R and T to")
    def compute(version, attrs, inputs):
        each = (len(inputs) - 2) // len(LISTS[name])
        lists = [inputs[2 + k * each:2 + (k + 1) * each] for k in range(len(LISTS[name]))]
        rate, count = float(inputs[0]), int(inputs[1])
        steps = [step(attrs, rate, count, *[t.astype(np.float64) for t in tensors]) for tensors in zip(*lists)]
        return [s[k].astype(lists[0][i].dtype) for k in range(len(KEPT[name])) for i, s in enumerate(steps)]


for _name, _step in (("Adagrad", adagrad), ("Adam", adam), ("Momentum", momentum)):
    register(_name, _step)
