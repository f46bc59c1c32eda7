"""Recurrent nets, a keyword net over sound, a recommender, and scikit-learn's estimators."""

import numpy as np

from .builder import F, I64, Builder


def recurrent(kind="LSTM", inputs=64, hidden=256, layers=2, classes=10, bidirectional=True, seed=0):
    """|layers| of LSTM or GRU over (batch, time, inputs), as PyTorch exports batch_first: transposed before, squeezed between."""
    b = Builder(kind.lower(), seed)
    gates, ways = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 2 if bidirectional else 1
    x = b.op("Transpose", "sequence", perm=[1, 0, 2])
    cin = inputs
    batch = b.op("Slice", b.op("Shape", "sequence"), b.i64([0]), b.i64([1]), b.i64([0]))
    zeros = b.op("ConstantOfShape", b.op("Concat", b.i64([ways]), batch, b.i64([hidden]), axis=0))
    for _ in range(layers):
        scale = hidden**-0.5
        ins = [x, b.weight(ways, gates * hidden, cin, scale=scale), b.weight(ways, gates * hidden, hidden, scale=scale),
               b.weight(ways, 2 * gates * hidden, scale=scale), "", zeros] + ([zeros] if kind == "LSTM" else [])
        more = {"linear_before_reset": 1} if kind == "GRU" else {}
        y = b.op(kind, *ins, outputs=2, hidden_size=hidden, direction="bidirectional" if bidirectional else "forward", **more)[0]
        x = b.op("Reshape", b.op("Transpose", y, perm=[0, 2, 1, 3]), b.i64([0, 0, ways * hidden]))
        cin = ways * hidden
    last = b.op("Gather", x, b.i64(-1), axis=0)
    y = b.dense(last, cin, classes)
    return b.model([("sequence", F, ["batch", "time", inputs])], [(y, F, ["batch", classes])])


def sequence_inputs(batch=1, time=50, inputs=64, seed=0):
    return {"sequence": np.random.default_rng(seed).standard_normal((batch, time, inputs)).astype(np.float32)}


def keyword_net(channels=64, samples=8000, classes=12, seed=0):
    """M5: 1-D convolutions over a waveform."""
    b = Builder("keyword_net", seed)

    def layer(x, cin, cout, k, stride=1):
        x = b.op("Conv", x, b.weight(cout, cin, k), b.weight(cout, scale=0.05), kernel_shape=[k], strides=[stride])
        x = b.op("Relu", b.norm(x, cout))
        return b.op("MaxPool", x, kernel_shape=[4], strides=[4])

    c = channels
    x = layer("wave", 1, c, 80, 16)
    x = layer(x, c, c, 3)
    x = layer(x, c, 2 * c, 3)
    x = b.op("Transpose", b.op("GlobalAveragePool", x), perm=[0, 2, 1])
    y = b.op("LogSoftmax", b.linear(x, 2 * c, classes), axis=2)
    return b.model([("wave", F, ["batch", 1, samples])], [(y, F, ["batch", 1, classes])])


def wave_inputs(samples=8000, batch=1, seed=0):
    return {"wave": np.random.default_rng(seed).standard_normal((batch, 1, samples)).astype(np.float32)}


def dlrm(tables=8, rows=100000, width=64, dense=13, seed=0):
    """A recommender: embeddings looked up and summed, dot products of all pairs, two stacks of linear layers."""
    b = Builder("dlrm", seed)

    def stack(x, widths):
        for cin, cout in zip(widths, widths[1:]):
            x = b.op("Relu", b.dense(x, cin, cout))
        return x

    low = stack("dense", [dense, 512, 256, width])
    parts = [low]
    for i in range(tables):
        ids = b.op("Gather", "ids", b.i64(i), axis=1)
        parts.append(b.op("ReduceSum", b.op("Gather", b.weight(rows, width, scale=0.05), ids), b.i64([1]), keepdims=0))
    features = b.op("Concat", *[b.op("Unsqueeze", p, b.i64([1])) for p in parts], axis=1)
    dots = b.op("MatMul", features, b.op("Transpose", features, perm=[0, 2, 1]))
    count = tables + 1
    pairs = [i * count + j for i in range(count) for j in range(i)]
    flat = b.op("Gather", b.op("Reshape", dots, b.i64([-1, count * count])), b.i64(pairs), axis=1)
    x = stack(b.op("Concat", low, flat, axis=1), [width + len(pairs), 512, 256])
    y = b.op("Sigmoid", b.dense(x, 256, 1))
    return b.model([("dense", F, ["batch", dense]), ("ids", I64, ["batch", tables, "bag"])], [(y, F, ["batch", 1])])


def dlrm_inputs(tables=8, rows=100000, dense=13, batch=32, bag=4, seed=0):
    r = np.random.default_rng(seed)
    return {"dense": r.random((batch, dense), np.float32), "ids": r.integers(0, rows, (batch, tables, bag))}
