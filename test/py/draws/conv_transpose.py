"""Draws of ConvTranspose (one to three spatial dims, groups, dilations, every way to give the output's size) and fused convolutions."""

import itertools

import ml_dtypes
import numpy as np

from .base import array, oracle, pick, spec

REALS = [np.float32, np.float64, np.float16]


@spec("ConvTranspose", tolerance=None)
def conv_transpose(rng, version, name):
    rank = int(rng.integers(1, 4))
    groups, ic, oc = (int(rng.integers(1, 4)) for _ in range(3))
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    strides = [int(rng.integers(1, 4)) for _ in range(rank)]
    dilations = [int(rng.integers(1, 3)) for _ in range(rank)]
    spatial = [int(rng.integers(1, 6)) for _ in range(rank)]
    attrs = {}
    if rng.random() < 0.5:
        attrs["kernel_shape"] = kernel
    if groups > 1 or rng.random() < 0.5:
        attrs["group"] = groups
    if rng.random() < 0.7:
        attrs["strides"] = strides
    else:
        strides = [1] * rank
    if rng.random() < 0.5:
        attrs["dilations"] = dilations
    else:
        dilations = [1] * rank
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    extra = [int(rng.integers(0, max(s, d))) if rng.random() < 0.3 else 0 for s, d in zip(strides, dilations)]
    if any(extra):
        attrs["output_padding"] = extra
    whole = [(n - 1) * s + r + e for n, s, r, e in zip(spatial, strides, reach, extra)]
    kind = rng.integers(4)
    if kind == 1:
        pads = [[int(p) for p in rng.integers(0, (w + 1) // 2, 2)] for w in whole]
        attrs["pads"] = [p[0] for p in pads] + [p[1] for p in pads]
    elif kind == 2:
        attrs["output_shape"] = [int(rng.integers(max(1, w - 3), w + 1)) for w in whole]
        if rng.random() < 0.5:
            attrs["auto_pad"] = pick(rng, ["SAME_UPPER", "SAME_LOWER"])
    elif kind == 3:
        attrs["auto_pad"] = pick(rng, ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    dtype = pick(rng, REALS if version < 22 else REALS + [ml_dtypes.bfloat16])
    batch = 0 if rng.random() < 0.04 else int(rng.integers(1, 3))
    x = array(rng, [batch, groups * ic, *spatial], dtype)
    return attrs, [x, array(rng, [groups * ic, oc, *kernel], dtype), pick(rng, [None, array(rng, [groups * oc], dtype)])]


@oracle("ConvTranspose", why="the reference mixes up groups and takes no padding from output_shape alone")
def by_sums(version, attrs, inputs):
    x, w, bias = (None if v is None else v.astype(np.float64) for v in inputs)
    rank, groups = x.ndim - 2, attrs.get("group", 1)
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    extra = attrs.get("output_padding", [0] * rank)
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations)]
    whole = [(n - 1) * s + r + e for n, s, r, e in zip(x.shape[2:], strides, reach, extra)]
    mode = attrs.get("auto_pad", "NOTSET")
    pads = attrs.get("pads", [0] * (2 * rank))
    shape = attrs.get("output_shape")
    if mode.startswith("SAME") and not shape:
        shape = [n - max(0, r + e - s) for n, r, e, s in zip(whole, reach, extra, strides)]
    if shape:
        total = [max(0, n - s) for n, s in zip(whole, shape)]
        begin = [t // 2 if mode == "SAME_UPPER" else t - t // 2 for t in total]
    else:
        begin = pads[:rank]
        shape = [n - pads[d] - pads[rank + d] for d, n in enumerate(whole)]
    y = np.zeros([x.shape[0], w.shape[1] * groups, *[max(n, s + b) for n, s, b in zip(whole, shape, begin)]])
    ic, oc = w.shape[0] // groups, w.shape[1]
    for g in range(groups):
        for tap in itertools.product(*[range(k) for k in w.shape[2:]]):
            part = np.einsum("nc...,cm->nm...", x[:, g * ic:(g + 1) * ic], w[(slice(g * ic, (g + 1) * ic), slice(None), *tap)])
            at = tuple(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in zip(tap, dilations, x.shape[2:], strides))
            y[(slice(None), slice(g * oc, (g + 1) * oc), *at)] += part
    y = y[(slice(None), slice(None), *[slice(b, b + s) for b, s in zip(begin, shape)])]
    if bias is not None:
        y += bias.reshape([1, -1] + [1] * rank)
    return [y.astype(inputs[0].dtype)]


@spec("FusedConv", domain="com.microsoft")
def fused_conv(rng, version, name):
    rank = int(rng.integers(1, 3))
    groups, ic, oc = (int(rng.integers(1, 4)) for _ in range(3))
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    shape = [int(rng.integers(5, 8)) for _ in range(rank)]
    activation, params = pick(rng, [("Relu", []), ("Sigmoid", []), ("Tanh", []), ("LeakyRelu", [0.1]), ("Clip", [-1.0, 2.0]),
                                    ("HardSigmoid", [0.3, 0.4])])
    attrs = {"group": groups, "kernel_shape": kernel, "activation": activation}
    if params:
        attrs["activation_params"] = params
    batch = int(rng.integers(1, 3))
    bias = array(rng, [groups * oc])
    inputs = [array(rng, [batch, groups * ic, *shape]), array(rng, [groups * oc, ic, *kernel]), bias]
    if rng.random() < 0.5:
        inputs.append(array(rng, [batch, groups * oc, *[n - k + 1 for n, k in zip(shape, kernel)]]))
    elif rng.random() < 0.5:
        inputs[2] = None
    return attrs, inputs


@spec("NhwcConv", "NhwcFusedConv", domain="com.microsoft")
def nhwc_conv(rng, version, name):
    attrs, inputs = fused_conv(rng, version, name)
    if name == "NhwcConv":
        inputs = inputs[:3]
        attrs = {k: v for k, v in attrs.items() if not k.startswith("activation")}
    return attrs, [np.ascontiguousarray(np.moveaxis(v, 1, -1)) if i in (0, 3) else v for i, v in enumerate(inputs)]


@oracle("NhwcConv", "NhwcFusedConv", domain="com.microsoft", why="ONNX Runtime has them for GPUs and 16-bit floats alone; Conv says the same")
def by_conv(version, attrs, inputs):
    x, w, bias, z = [*inputs, None, None][:4]
    groups = attrs["group"]
    ic, oc = w.shape[1], w.shape[0] // groups
    y = np.zeros([x.shape[0], *[n - k + 1 for n, k in zip(x.shape[1:-1], w.shape[2:])], w.shape[0]])
    for tap in itertools.product(*[range(k) for k in w.shape[2:]]):
        seen = x[(slice(None), *[slice(t, t + n) for t, n in zip(tap, y.shape[1:-1])])].astype(np.float64)
        for g in range(groups):
            y[..., g * oc:(g + 1) * oc] += seen[..., g * ic:(g + 1) * ic] @ w[(slice(g * oc, (g + 1) * oc), slice(None), *tap)].T
    y = y + (0 if bias is None else bias) + (0 if z is None else z)
    a, b = [*attrs.get("activation_params", []), 0, 0][:2]
    acts = {"Relu": lambda v: np.maximum(v, 0), "Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh, "Clip": lambda v: np.clip(v, a, b),
            "LeakyRelu": lambda v: np.where(v < 0, a * v, v), "HardSigmoid": lambda v: np.clip(a * v + b, 0, 1)}
    return [acts.get(attrs.get("activation"), lambda v: v)(y).astype(x.dtype)]
