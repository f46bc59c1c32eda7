"""Real architectures built with onnx.helper, random weights: for comparisons and benches. Each function gives a ModelProto.

Sizes are arguments; `SMALL` and `REAL` below name the ones that tests and benches use.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and initializers; values are names."""

    def __init__(self, name, seed=0, opset=17):
        self.name, self.opset = name, opset
        self.nodes, self.initializers = [], []
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def fresh(self, hint="v"):
        self.count += 1
        return f"{hint}_{self.count}"

    def const(self, array, hint="w"):
        name = self.fresh(hint)
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def i64(self, values, hint="i"):
        return self.const(np.asarray(values, np.int64), hint)

    def weight(self, *shape, scale=None):
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
        scale = scale if scale is not None else (2.0 / max(fan_in, 1)) ** 0.5
        return self.const((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def op(self, kind, *inputs, outputs=1, domain="", **attrs):
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", domain=domain, **attrs))
        return names[0] if outputs == 1 else names

    def model(self, inputs, outputs, domains=()):
        """|inputs|, |outputs|: lists of (name, TensorProto type, shape)."""
        graph = helper.make_graph(
            self.nodes, self.name, [helper.make_tensor_value_info(*i) for i in inputs],
            [helper.make_tensor_value_info(*o) for o in outputs], self.initializers)
        opsets = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in domains]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="kapell-tests")
        if model.ByteSize() < 2**31 - 1:
            onnx.checker.check_model(model)
        return model

    # --- layers ---
    def conv(self, x, cin, cout, k, stride=1, groups=1, pad=None, bias=False, dilation=1):
        pad = (k - 1) * dilation // 2 if pad is None else pad
        ins = [x, self.weight(cout, cin // groups, k, k)] + ([self.weight(cout, scale=0.1)] if bias else [])
        return self.op("Conv", *ins, kernel_shape=[k, k], strides=[stride] * 2, pads=[pad] * 4, group=groups, dilations=[dilation] * 2)

    def norm(self, x, c):
        r = self.rng
        gamma = self.const(r.uniform(0.8, 1.2, c).astype(np.float32))
        beta = self.const((r.standard_normal(c) * 0.1).astype(np.float32))
        mean = self.const((r.standard_normal(c) * 0.1).astype(np.float32))
        var = self.const(r.uniform(0.8, 1.2, c).astype(np.float32))
        return self.op("BatchNormalization", x, gamma, beta, mean, var)

    def linear(self, x, cin, cout):
        """As PyTorch exports it on rank 3: MatMul and Add."""
        y = self.op("MatMul", x, self.weight(cin, cout, scale=(1.0 / cin) ** 0.5))
        return self.op("Add", self.weight(cout, scale=0.02), y)

    def layer_norm(self, x, c, decomposed=False):
        gamma = self.const(self.rng.uniform(0.8, 1.2, c).astype(np.float32))
        beta = self.const((self.rng.standard_normal(c) * 0.1).astype(np.float32))
        if not decomposed:
            return self.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)
        mean = self.op("ReduceMean", x, axes=[-1])
        d = self.op("Sub", x, mean)
        var = self.op("ReduceMean", self.op("Pow", d, self.const(np.float32(2.0))), axes=[-1])
        sd = self.op("Sqrt", self.op("Add", var, self.const(np.float32(1e-5))))
        return self.op("Add", self.op("Mul", self.op("Div", d, sd), gamma), beta)

    def gelu(self, x):
        e = self.op("Erf", self.op("Div", x, self.const(np.float32(2**0.5))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", e, self.const(np.float32(1)))), self.const(np.float32(0.5)))


F = TensorProto.FLOAT


def resnet(blocks=(3, 4, 6, 3), width=64, image=224, classes=1000, seed=0):
    """ResNet with bottlenecks; (3, 4, 6, 3) and 64 is ResNet-50."""
    b = Builder("resnet", seed)
    x = b.op("Relu", b.norm(b.conv("image", 3, width, 7, 2), width))
    x = b.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    cin = width
    for stage, n in enumerate(blocks):
        mid = width * 2**stage
        for i in range(n):
            stride = 2 if i == 0 and stage > 0 else 1
            y = b.op("Relu", b.norm(b.conv(x, cin, mid, 1), mid))
            y = b.op("Relu", b.norm(b.conv(y, mid, mid, 3, stride), mid))
            y = b.norm(b.conv(y, mid, mid * 4, 1), mid * 4)
            if i == 0:
                x = b.norm(b.conv(x, cin, mid * 4, 1, stride), mid * 4)
            x = b.op("Relu", b.op("Add", y, x))
            cin = mid * 4
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    y = b.op("Gemm", x, b.weight(classes, cin, scale=0.02), b.weight(classes, scale=0.02), transB=1)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def mobilenet_v2(alpha=1.0, image=224, classes=1000, seed=0, stages=None):
    b = Builder("mobilenet_v2", seed)

    def c(n):
        return max(8, int(n * alpha + 4) // 8 * 8)

    def relu6(x):
        return b.op("Clip", x, b.const(np.float32(0)), b.const(np.float32(6)))

    cin = c(32)
    x = relu6(b.norm(b.conv("image", 3, cin, 3, 2), cin))
    for t, ch, n, s in stages or [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(n):
            cout, stride, mid = c(ch), s if i == 0 else 1, cin * t
            y = x
            if t != 1:
                y = relu6(b.norm(b.conv(y, cin, mid, 1), mid))
            y = relu6(b.norm(b.conv(y, mid, mid, 3, stride, groups=mid), mid))
            y = b.norm(b.conv(y, mid, cout, 1), cout)
            x = b.op("Add", x, y) if stride == 1 and cin == cout else y
            cin = cout
    last = c(1280)
    x = relu6(b.norm(b.conv(x, cin, last, 1), last))
    x = b.op("Reshape", b.op("ReduceMean", x, axes=[2, 3], keepdims=0), b.i64([-1, last]))
    y = b.op("Gemm", x, b.weight(classes, last, scale=0.02), b.weight(classes, scale=0.02), transB=1)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def bert(layers=12, hidden=768, heads=12, vocab=30522, positions=512, seed=0, decomposed=True):
    """A BERT encoder with the shape arithmetic that exporters write: batch and sequence are symbolic."""
    b = Builder("bert", seed)
    head = hidden // heads
    shape = b.op("Shape", "input_ids")
    seq = b.op("Gather", shape, b.i64(1), axis=0)
    batch = b.op("Gather", shape, b.i64(0), axis=0)
    ids = b.op("Slice", b.i64(np.arange(positions)[None]), b.i64([0]), b.op("Unsqueeze", seq, b.i64([0])), b.i64([1]))
    x = b.op("Add", b.op("Gather", b.weight(vocab, hidden, scale=0.02), "input_ids"), b.op("Gather", b.weight(2, hidden, scale=0.02), "token_type_ids"))
    x = b.layer_norm(b.op("Add", x, b.op("Gather", b.weight(positions, hidden, scale=0.02), ids)), hidden, decomposed)
    mask = b.op("Cast", b.op("Unsqueeze", "attention_mask", b.i64([1, 2])), to=F)
    mask = b.op("Mul", b.op("Sub", b.const(np.float32(1)), mask), b.const(np.float32(-10000.0)))
    one = b.i64([0])

    def split(y):
        dims = b.op("Concat", b.op("Unsqueeze", batch, one), b.op("Unsqueeze", seq, one), b.i64([heads]), b.i64([head]), axis=0)
        return b.op("Reshape", y, dims)

    for _ in range(layers):
        q = b.op("Transpose", split(b.linear(x, hidden, hidden)), perm=[0, 2, 1, 3])
        k = b.op("Transpose", split(b.linear(x, hidden, hidden)), perm=[0, 2, 3, 1])
        v = b.op("Transpose", split(b.linear(x, hidden, hidden)), perm=[0, 2, 1, 3])
        s = b.op("Div", b.op("MatMul", q, k), b.const(np.float32(head**0.5)))
        p = b.op("Softmax", b.op("Add", s, mask), axis=-1)
        y = b.op("Transpose", b.op("MatMul", p, v), perm=[0, 2, 1, 3])
        dims = b.op("Concat", b.op("Unsqueeze", batch, one), b.op("Unsqueeze", seq, one), b.i64([hidden]), axis=0)
        y = b.linear(b.op("Reshape", y, dims), hidden, hidden)
        x = b.layer_norm(b.op("Add", y, x), hidden, decomposed)
        y = b.linear(b.gelu(b.linear(x, hidden, hidden * 4)), hidden * 4, hidden)
        x = b.layer_norm(b.op("Add", y, x), hidden, decomposed)
    first = b.op("Gather", x, b.i64(0), axis=1)
    pooled = b.op("Tanh", b.op("Gemm", first, b.weight(hidden, hidden, scale=0.02), b.weight(hidden, scale=0.02), transB=1))
    i = TensorProto.INT64
    return b.model([(n, i, ["batch", "sequence"]) for n in ("input_ids", "attention_mask", "token_type_ids")],
                   [(x, F, ["batch", "sequence", hidden]), (pooled, F, ["batch", hidden])])


def bert_inputs(batch=1, sequence=128, vocab=30522, seed=0):
    r = np.random.default_rng(seed)
    mask = np.ones((batch, sequence), np.int64)
    mask[:, sequence - sequence // 4:] = 0
    return {"input_ids": r.integers(0, vocab, (batch, sequence)), "attention_mask": mask,
            "token_type_ids": r.integers(0, 2, (batch, sequence))}


def image_inputs(size=224, batch=1, seed=0):
    return {"image": np.random.default_rng(seed).standard_normal((batch, 3, size, size)).astype(np.float32)}


SMALL = {
    "resnet": (lambda: resnet((1, 1, 1, 1), 16, 64, 10), lambda: image_inputs(64)),
    "mobilenet_v2": (lambda: mobilenet_v2(0.35, 64, 10, stages=[(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2)]), lambda: image_inputs(64)),
    "bert": (lambda: bert(2, 64, 4, 100, 32), lambda: bert_inputs(2, 16, 100)),
}
REAL = {
    "resnet50": (resnet, image_inputs),
    "mobilenet_v2": (mobilenet_v2, image_inputs),
    "bert_base": (bert, bert_inputs),
}
