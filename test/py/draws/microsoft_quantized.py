"""Quantized operators of com.microsoft. ONNX Runtime is the oracle where its CPU provider computes what the operator's documentation says;
else numpy, from that documentation (docs/ContribOperators.md of ONNX Runtime)."""

import ml_dtypes
import numpy as np

from .base import array, oracle, pick, spec

MS = "com.microsoft"
HALVES = [np.float32, np.float32, np.float16, ml_dtypes.bfloat16]


def unpack(packed, bits, count):
    """Elements of |bits| bits along the last axis of bytes, lowest bits first."""
    shifts = np.arange(0, 8, bits)
    values = packed[..., None] >> shifts & ((1 << bits) - 1)
    return values.reshape(*packed.shape[:-1], -1)[..., :count].astype(np.int32)


# --- MatMulNBits -------------------------------------------------------------------------------------------------------------
@spec("MatMulNBits", domain=MS, constants=(1, 2, 3, 5))
def matmul_nbits(rng, version, name):
    bits, block = pick(rng, [2, 4, 4, 8]), pick(rng, [16, 32, 32, 64, 128])
    k, n = int(rng.integers(1, 150)), int(rng.integers(1, 80))
    blocks = -(-k // block)
    kind = pick(rng, HALVES)
    batch = pick(rng, [[], [1], [3], [7], [2, 3], [1, 1], [0], [2, 9]])
    attrs = {"K": k, "N": n, "bits": bits, "block_size": block}
    if rng.random() < 0.6:
        attrs["accuracy_level"] = int(rng.integers(5))
    b = rng.integers(0, 256, [n, blocks, block * bits // 8]).astype(np.uint8)
    if rng.random() < 0.05:
        b = b[:, :, :0]
    scales = (rng.random([n, blocks]) / 2**bits).astype(kind)
    zeros = None
    if rng.random() < 0.5:
        zeros = rng.integers(0, 256, [n, -(-blocks * bits // 8)]).astype(np.uint8)
        if rng.random() < 0.3:
            zeros = (rng.random([n, blocks]) * 2**bits).astype(kind)
    groups = rng.integers(0, blocks, [k]).astype(np.int32) if rng.random() < 0.15 else None
    bias = pick(rng, [None, array(rng, [n], kind)])
    if rng.random() < 0.5:
        b, scales, zeros = b.reshape(n, -1), scales.reshape(-1), zeros if zeros is None else zeros.reshape(-1)
    return attrs, [array(rng, [*batch, k], kind), b, scales, zeros, groups, bias]


@oracle("MatMulNBits", domain=MS, why="ONNX Runtime 1.32 has no bfloat16, quantizes A at accuracy_level 4 and takes fewer forms")
def matmul_nbits_oracle(version, attrs, inputs):
    a, b, scales, zeros, groups, bias = inputs
    bits, block, k, n = (attrs[x] for x in ("bits", "block_size", "K", "N"))
    blocks = -(-k // block)
    y = np.zeros([*a.shape[:-1], n])
    if b.size:
        q = unpack(b.reshape(n, -1), bits, blocks * block)[:, :k]
        if zeros is None:
            z = np.full([n, blocks], 2**(bits - 1))
        elif zeros.dtype == np.uint8:
            z = unpack(zeros.reshape(n, -1), bits, blocks)
        else:
            z = zeros.reshape(n, blocks).astype(np.float64)
        at = np.arange(k) // block if groups is None else groups
        w = (q - z[:, at]) * scales.reshape(n, blocks).astype(np.float64)[:, at]
        y = a.astype(np.float64) @ w.T
    return [(y + (0 if bias is None else bias.astype(np.float64))).astype(a.dtype)]
