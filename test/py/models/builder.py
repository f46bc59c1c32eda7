"""Makes models with onnx.helper: nodes, weights drawn from a seed, and the layers that architectures share."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


F = TensorProto.FLOAT
I64 = TensorProto.INT64


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

    def node(self, kind, inputs, outputs, **more):
        """A node whose outputs have names of the caller's."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=f"{kind}_{len(self.nodes)}", **more))

    def rename(self, old, new):
        """Gives the value |old| another name wherever it is used."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == old:
                        names[i] = new

    def model(self, inputs, outputs, domains=(), check=True):
        """|inputs|, |outputs|: lists of (name, TensorProto type, shape). |check|: by onnx's checker, which knows no com.microsoft."""
        graph = helper.make_graph(
            self.nodes, self.name, [helper.make_tensor_value_info(*i) for i in inputs],
            [helper.make_tensor_value_info(*o) for o in outputs], self.initializers)
        opsets = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in domains]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="kapell-tests")
        if check and model.ByteSize() < 2**31 - 1:
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

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def dense(self, x, cin, cout):
        """As PyTorch exports it on rank 2."""
        return self.op("Gemm", x, self.weight(cout, cin, scale=(1.0 / cin) ** 0.5), self.weight(cout, scale=0.02), transB=1)
