"""Weights in blocks of 2, 4 or 8 bits, as ONNX Runtime's extension module makes them for its quantizers, in NumPy.

All fill arrays of the caller's. A block is |block_size| consecutive rows of one column of the weight [rows, columns]; the asymmetric form
spreads the block's range, widened to hold 0, over all codes; the symmetric one maps the value of largest magnitude to the lowest code.
"""

import numpy as np

# The values of the two 4-bit floats of bitsandbytes, by code; FP4's highest bit is the sign.
_FP4 = np.array([0, 5.208333333e-03, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25], np.float32)
_NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
                 -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], np.float32)


def _round(x):
    """To the nearest integer, halves away from zero."""
    return np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x)


def _blocks(weight, block_size):
    """The weight as [blocks, block_size, columns] in float32, and which rows of the last block are the weight's."""
    rows, columns = weight.shape
    count = -(-rows // block_size)
    padded = np.zeros((count * block_size, columns), np.float32)
    padded[:rows] = weight
    return padded.reshape(count, block_size, columns)


def _codes(weight, block_size, bits, symmetric):
    """Codes [rows padded, columns], scales and zero points [blocks, columns]."""
    blocks, top = _blocks(weight, block_size), np.float32(2**bits - 1)
    low, high = np.minimum(blocks.min(1), 0), np.maximum(blocks.max(1), 0)
    if symmetric:
        middle = np.float32(2 ** (bits - 1))
        scales = np.where(np.abs(high) > np.abs(low), high, low) / -middle
        zeros = np.full_like(scales, middle)
    else:
        scales = (high - low) / top
        with np.errstate(divide="ignore", invalid="ignore"):
            zeros = np.clip(_round(np.where(scales != 0, -low / scales, 0)), 0, top)
    with np.errstate(divide="ignore"):
        factor = np.where(scales != 0, np.float32(1) / scales, np.float32(0))
    codes = np.clip(_round(blocks * factor[:, None] + zeros[:, None]), 0, top).reshape(-1, weight.shape[1]).astype(np.uint8)
    codes[len(weight):] = 0
    return codes, scales, zeros.astype(np.uint8)


def _pack(codes, bits):
    """Codes along the last axis into bytes, the first in the low bits."""
    per = 8 // bits
    count = codes.shape[-1]
    padded = np.zeros((*codes.shape[:-1], -(-count // per) * per), np.uint8)
    padded[..., :count] = codes
    shifts = np.arange(per, dtype=np.uint8) * np.uint8(bits)
    return np.bitwise_or.reduce(padded.reshape(*codes.shape[:-1], -1, per) << shifts, axis=-1)


def _by_columns(bits, dst, src, scale, zero_points, block_size, columns, rows, is_symmetric):
    """com.microsoft.MatMulNBits: dst [columns, blocks, bytes of a block]."""
    codes, scales, zeros = _codes(np.asarray(src).reshape(rows, columns), block_size, bits, is_symmetric)
    if not is_symmetric:
        zero_points[...] = _pack(zeros.T, bits).reshape(zero_points.shape)
    scale[...] = scales.T.reshape(scale.shape)
    dst[...] = _pack(codes.T.reshape(columns, -1, block_size), bits).reshape(dst.shape)


def quantize_matmul_2bits(dst, src, scale, zero_points, block_size, columns, rows, is_symmetric):
    """Two bits, for MatMulNBits."""
    _by_columns(2, dst, src, scale, zero_points, block_size, columns, rows, is_symmetric)


def quantize_matmul_4bits(dst, src, scale, zero_points, block_size, columns, rows, is_symmetric):
    """Four bits, for MatMulNBits."""
    _by_columns(4, dst, src, scale, zero_points, block_size, columns, rows, is_symmetric)


def quantize_matmul_8bits(dst, src, scale, zero_points, block_size, columns, rows, is_symmetric):
    """Eight bits, for MatMulNBits."""
    _by_columns(8, dst, src, scale, zero_points, block_size, columns, rows, is_symmetric)


def quantize_qdq_matmul_4bits(dst, src, scale, zero_points, block_size, columns, rows, is_symmetric):
    """Four bits, for DequantizeLinear: codes of [rows, columns] in their order; the symmetric form has signed ones, and the answer is whether it is that."""
    codes, scales, zeros = _codes(np.asarray(src).reshape(rows, columns), block_size, 4, is_symmetric)
    if is_symmetric:
        codes ^= 8  # 0..15 around 8 as two's complement
    else:
        zero_points[...] = _pack(zeros.ravel(), 4).reshape(zero_points.shape)
    scale[...] = scales.reshape(scale.shape)
    dst[...] = _pack(codes[:rows].ravel(), 4).reshape(dst.shape)
    return bool(is_symmetric)


def quantize_matmul_bnb4(dst, src, absmax, block_size, quant_type, columns, rows):
    """bitsandbytes' 4-bit floats (0: FP4, 1: NF4) of the weight [columns, rows], taken as one line: pairs with the first in the high bits."""
    table = _NF4 if quant_type == 1 else _FP4
    values = np.asarray(src, np.float32).reshape(-1)
    count = -(-values.size // block_size)
    padded = np.zeros(count * block_size, np.float32)
    padded[: values.size] = values
    blocks = padded.reshape(count, block_size)
    most = np.abs(blocks).max(1)
    with np.errstate(divide="ignore"):
        factor = np.where(most != 0, np.float32(1) / most, np.float32(0))
    order = np.argsort(table)
    bounds, scaled = (table[order][1:] + table[order][:-1]) / 2, (blocks * factor[:, None]).ravel()
    codes = order[np.searchsorted(bounds, scaled if quant_type == 1 else np.abs(scaled))].astype(np.uint8)
    if quant_type != 1:
        codes |= np.where(scaled < 0, np.uint8(8), np.uint8(0))
    codes = codes[: values.size + values.size % 2]
    absmax[...] = most.reshape(absmax.shape)
    dst[...] = (codes[0::2] << 4 | codes[1::2])[: dst.size].reshape(dst.shape)
