"""RNN, GRU, LSTM with all their options, and DynamicQuantizeLSTM."""

import numpy as np

from .base import FLOATS, array, oracle, pick, spec

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = ["Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "ScaledTanh", "Sigmoid", "Softplus", "Softsign", "Tanh",
               "ThresholdedRelu"]
ALPHA = {"Affine": 1, "Elu": 1, "HardSigmoid": 0.2, "LeakyRelu": 0.01, "ScaledTanh": 1, "ThresholdedRelu": 1}
BETA = {"Affine": 0, "HardSigmoid": 0.5, "ScaledTanh": 1}


def wanted_outputs(name, version, x):
    """Which outputs a draw asks for, by its numbers, so that draw and oracle agree."""
    names = ["Y", "Y_h", "Y_c"][:3 if name == "LSTM" else 2]
    if name == "GRU" and version < 3:
        return names  # neither was optional
    pattern = int(x.size * 7 + x.shape[0] + (np.abs(np.asarray(x, np.float64)).sum() * 1000 if x.size else 3)) % 5
    if pattern < 2:
        return names
    kept = [n if (pattern + i) % 3 else "" for i, n in enumerate(names)]
    while kept and not kept[-1]:
        kept.pop()
    return kept or names


def dims_of(rng):
    if rng.random() < 0.03:  # several threads, several stretches of time
        return [int(rng.integers(60, 90)), int(rng.integers(7, 10)), int(rng.integers(20, 40)), int(rng.integers(130, 260))]
    return [int(0 if rng.random() < 0.04 else rng.integers(1, 6)), int(0 if rng.random() < 0.03 else rng.integers(1, 5)),
            int(rng.integers(1, 7)), int(pick(rng, [1, 2, 3, 5, 8, 17, 33, 40]))]


def activation_attrs(rng, name, directions):
    count = {"RNN": 1, "GRU": 2, "LSTM": 3}[name]
    chosen = [pick(rng, ACTIVATIONS) for _ in range(count * directions)]
    attrs = {"activations": chosen}
    alphas, betas = [c for c in chosen if c in ALPHA], [c for c in chosen if c in BETA]
    if alphas and rng.random() < 0.7:
        attrs["activation_alpha"] = [float(np.float32(rng.uniform(0.1, 0.9))) for _ in alphas]
    if betas and rng.random() < 0.7:
        attrs["activation_beta"] = [float(np.float32(rng.uniform(0.1, 0.9))) for _ in betas]
    return attrs


@spec("RNN", "GRU", "LSTM", constants=(1, 2, 3))
def recurrent(rng, version, name):
    length, batch, features, hidden = dims_of(rng)
    own_acts = rng.random() < 0.5
    # Unbounded gates make the layer grow without limit, large matrices make it chaotic, and rounding grows with it.
    size = (0.1 if own_acts else 0.3) / (1 if hidden < 64 else 8)
    gates, dtype = GATES[name], pick(rng, FLOATS if version >= 22 else FLOATS[:3])
    direction = pick(rng, ["forward", "reverse", "bidirectional"])
    directions = 2 if direction == "bidirectional" else 1
    first = version >= 14 and rng.random() < 0.4
    attrs = {"hidden_size": hidden}
    if direction != "forward" or rng.random() < 0.5:
        attrs["direction"] = direction
    if first or version >= 14 and rng.random() < 0.3:
        attrs["layout"] = int(first)
    if own_acts:
        attrs.update(activation_attrs(rng, name, directions))
    if rng.random() < 0.3:
        attrs["clip"] = float(np.float32(rng.uniform(0.2, 1)))
    if name == "GRU" and version >= 3 and rng.random() < 0.5:
        attrs["linear_before_reset"] = int(rng.integers(2))
    if name == "LSTM" and rng.random() < 0.3:
        attrs["input_forget"] = int(rng.integers(2))
    if version < 7:
        attrs["output_sequence"] = 1
    def weights(*shape):
        return (array(rng, shape, np.float64) * size).astype(dtype)
    def maybe(value):
        return value if rng.random() < 0.6 else None
    state = (batch, directions, hidden) if first else (directions, batch, hidden)
    inputs = [weights(*((batch, length, features) if first else (length, batch, features))), weights(directions, gates * hidden, features),
              weights(directions, gates * hidden, hidden) * np.asarray(0.5, dtype), maybe(weights(directions, 2 * gates * hidden)),
              maybe(rng.integers(0, length + 1, batch).astype(np.int32)), maybe(weights(*state))]
    if name == "LSTM":
        inputs += [maybe(weights(*state)), maybe(weights(directions, 3 * hidden))]
    return attrs, inputs, wanted_outputs(name, version, inputs[0])


def activation(name, alpha, beta):
    return {
        "Affine": lambda x: alpha * x + beta, "Elu": lambda x: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
        "HardSigmoid": lambda x: np.clip(alpha * x + beta, 0, 1), "LeakyRelu": lambda x: np.where(x < 0, alpha * x, x),
        "Relu": lambda x: np.maximum(x, 0), "ScaledTanh": lambda x: alpha * np.tanh(beta * x), "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Softplus": lambda x: np.logaddexp(0, x), "Softsign": lambda x: x / (1 + np.abs(x)), "Tanh": np.tanh,
        "ThresholdedRelu": lambda x: np.where(x >= alpha, x, 0)}[name]


def activations_of(attrs, name, directions):
    defaults = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[name]
    names = attrs.get("activations", defaults * directions)
    alphas, betas, made = list(attrs.get("activation_alpha", [])), list(attrs.get("activation_beta", [])), []
    for n in names:
        alpha = alphas.pop(0) if n in ALPHA and alphas else ALPHA.get(n)
        made.append(activation(n, alpha, betas.pop(0) if n in BETA and betas else BETA.get(n)))
    return [made[d * len(defaults):(d + 1) * len(defaults)] for d in range(directions)]


class Direction:
    """One direction over one row of the batch, in the schema's words."""

    def __init__(self, name, attrs, acts, d, w, r, b, p, hidden):
        gates = GATES[name]
        def split(m):
            return [m[g * hidden:(g + 1) * hidden] for g in range(gates)]
        zeros = np.zeros((2 * gates * hidden,))
        bias = zeros if b is None else b[d]
        self.name, self.attrs, self.acts = name, attrs, acts[d]
        self.w, self.r = split(w[d]), split(r[d])
        self.wb, self.rb = split(bias[:gates * hidden]), split(bias[gates * hidden:])
        self.p = np.zeros((3, hidden)) if p is None else p[d].reshape(3, hidden)

    def clip(self, x):
        return np.clip(x, -self.attrs["clip"], self.attrs["clip"]) if "clip" in self.attrs else x

    def step(self, x, h, c):
        f = self.acts[0]
        def gate(k, state=h):
            return self.w[k] @ x + self.r[k] @ state + self.wb[k] + self.rb[k]
        if self.name == "RNN":
            return f(self.clip(gate(0))), c
        if self.name == "GRU":
            z, r = f(self.clip(gate(0))), f(self.clip(gate(1)))
            if self.attrs.get("linear_before_reset", 0):
                candidate = self.w[2] @ x + r * (self.r[2] @ h + self.rb[2]) + self.wb[2]
            else:
                candidate = gate(2, r * h)
            return (1 - z) * self.acts[1](self.clip(candidate)) + z * h, c
        i = f(self.clip(gate(0) + self.p[0] * c))
        forget = 1 - i if self.attrs.get("input_forget", 0) else f(self.clip(gate(2) + self.p[2] * c))
        c = forget * c + i * self.acts[1](self.clip(gate(3)))
        return f(self.clip(gate(1) + self.p[1] * c)) * self.acts[2](c), c


@oracle("RNN", "GRU", "LSTM", why="the reference knows neither sequence_lens nor activations, clip, input_forget or both directions")
def compute(version, attrs, inputs):
    name = {1: "RNN", 3: "GRU", 4: "LSTM"}[inputs[1].shape[1] // inputs[2].shape[2]]
    dtype = inputs[0].dtype
    x, w, r, b, lengths, h0, c0, p = ([None if v is None else v.astype(np.float64) for v in inputs] + [None] * 8)[:8]
    first = attrs.get("layout", 0)
    if first:
        x, h0, c0 = (None if v is None else np.swapaxes(v, 0, 1) for v in (x, h0, c0))
    (length, batch, _), (directions, _, hidden) = x.shape, r.shape
    lengths = np.full(batch, length) if lengths is None else lengths.astype(int)
    y = np.zeros((length, directions, batch, hidden))
    y_h, y_c = np.zeros((directions, batch, hidden)), np.zeros((directions, batch, hidden))
    acts = activations_of(attrs, name, directions)
    for d in range(directions):
        way = Direction(name, attrs, acts, d, w, r, b, p, hidden)
        for row in range(batch):
            h = np.zeros(hidden) if h0 is None else h0[d, row]
            c = np.zeros(hidden) if c0 is None else c0[d, row]
            steps = range(lengths[row])
            for t in reversed(steps) if d == 1 or attrs.get("direction") == "reverse" else steps:
                h, c = way.step(x[t, row], h, c)
                y[t, d, row] = h
            if lengths[row]:  # ONNX Runtime leaves zeros for a sequence of no steps
                y_h[d, row], y_c[d, row] = h, c
    if first:
        y, y_h, y_c = y.transpose(2, 0, 1, 3), np.swapaxes(y_h, 0, 1), np.swapaxes(y_c, 0, 1)
    found = {"Y": y, "Y_h": y_h, "Y_c": y_c}
    return [found[n].astype(dtype) for n in wanted_outputs(name, version, inputs[0]) if n]


# What meets the weights is rounded to 8 bits, by the largest number of what is rounded at once: ONNX Runtime may do so row by row.
@spec("DynamicQuantizeLSTM", domain="com.microsoft", tolerance=(0.05, 0.03), constants=(1, 2, 8, 9, 10, 11))
def quantized_lstm(rng, version, name):
    length, batch, features, hidden = (int(rng.integers(1, 6)) for _ in range(4))
    direction = pick(rng, ["forward", "reverse", "bidirectional"])
    directions = 2 if direction == "bidirectional" else 1
    dtype, each = pick(rng, [np.int8, np.uint8]), rng.random() < 0.4
    def weights(rows):
        scale = rng.uniform(0.003, 0.008, (directions, 4 * hidden) if each else directions).astype(np.float32)
        zero = rng.integers(-9, 10, scale.shape) + (128 if dtype == np.uint8 else 0)
        most = 110 if dtype == np.uint8 else 60  # beyond 64 ONNX Runtime's sums of int8 saturate on processors without VNNI
        spread = rng.integers(-most, most, (directions, rows, 4 * hidden)) + (128 if dtype == np.uint8 else 0)
        if each or dtype == np.int8:
            zero = np.zeros(scale.shape) + (128 if dtype == np.uint8 else 0)
        return spread.astype(dtype), scale, zero.astype(dtype)
    def maybe(value):
        return value if rng.random() < 0.5 else None
    w, w_scale, w_zero = weights(features)
    r, r_scale, r_zero = weights(hidden)
    attrs = {"hidden_size": hidden, "direction": direction}
    if rng.random() < 0.3:
        attrs["input_forget"] = int(rng.integers(2))
    inputs = [array(rng, (length, batch, features)), w, r, maybe(array(rng, (directions, 8 * hidden)) / 4),
              maybe(rng.integers(1, length + 1, batch).astype(np.int32)), maybe(array(rng, (directions, batch, hidden)) / 4),
              maybe(array(rng, (directions, batch, hidden)) / 4), maybe(array(rng, (directions, 3 * hidden)) / 4), w_scale, w_zero, r_scale,
              r_zero]
    return attrs, inputs, ["Y", "Y_h", "Y_c"]
