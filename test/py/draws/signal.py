"""Fourier transforms, windows, the mel scale, products of complex tensors."""

import numpy as np
import onnx

from .base import FLOATS, INTS, array, dims, oracle, pick, spec

LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 19, 20, 23, 24, 25, 27, 29, 30, 31, 32, 34, 35, 36, 37, 48, 49, 50, 51, 60, 64,
           97, 100, 101, 121, 128, 169, 289, 400, 512]
NUMBERS = FLOATS + INTS


def scalar(rng, value, types=(np.int32, np.int64)):
    made = np.asarray(value, pick(rng, types))
    return made.reshape(1) if rng.random() < 0.2 else made


def element(dtype):
    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


# --- DFT ---------------------------------------------------------------------------------------------------------------------
@spec("DFT", constants=(1, 2))
def dft(rng, version, name):
    rank = int(rng.integers(1, 4))
    shape = dims(rng, rank=rank, low=1, high=4)
    axis = int(rng.integers(rank))
    shape[axis] = pick(rng, LENGTHS)
    if rng.random() < 0.03:
        shape[(axis + 1) % rank] = 0 if rank > 1 else shape[axis]
    inverse, onesided = int(rng.integers(2)), int(rng.integers(2))
    parts = (2 if inverse else 1) if onesided else int(rng.integers(1, 3))
    x = array(rng, shape + [parts], pick(rng, FLOATS))
    length = None
    if rng.random() < 0.5 or onesided and inverse and shape[axis] < 2:
        length = scalar(rng, max(1, shape[axis] + int(rng.integers(-3, 4))) if rng.random() < 0.7 else pick(rng, LENGTHS))
    attrs = {key: value for key, value in (("inverse", inverse), ("onesided", onesided)) if value or rng.random() < 0.3}
    negative = axis - rank - 1 if rng.random() < 0.4 else axis
    if version < 20:
        if negative != 1 or rng.random() < 0.5:
            attrs["axis"] = negative
        return attrs, [x, length]
    given = None if axis == rank - 1 and rng.random() < 0.5 else np.asarray(negative, np.int64)
    return attrs, [x, length, given]


def spectrum(x, n, axis, inverse, onesided):
    """In the schema's words, on numbers of shape [..., 1 or 2]."""
    z = x[..., 0] + (1j * x[..., 1] if x.shape[-1] == 2 else 0)
    if onesided and inverse:
        return np.fft.irfft(z, n, axis=axis)[..., None]
    z = np.fft.ifft(z, n, axis=axis) if inverse else np.fft.fft(z, n, axis=axis)
    if onesided:
        z = np.take(z, np.arange(n // 2 + 1), axis=axis)
    return np.stack([z.real, z.imag], axis=-1)


@oracle("DFT", why="the reference computes in the input's precision and rejects some lengths")
def dft_wanted(version, attrs, inputs):
    x = inputs[0]
    axis = attrs.get("axis", 1) if version < 20 else -2
    if version >= 20 and len(inputs) > 2 and inputs[2] is not None:
        axis = int(inputs[2])
    axis += x.ndim if axis < 0 else 0
    inverse, onesided = attrs.get("inverse", 0), attrs.get("onesided", 0)
    n = x.shape[axis] if not (inverse and onesided) else 2 * (x.shape[axis] - 1)
    n = n if inputs[1] is None else int(np.asarray(inputs[1]).reshape(()))
    return [spectrum(x.astype(np.float64), n, axis, inverse, onesided).astype(x.dtype)]


@spec("STFT", constants=(1, 3))
def stft(rng, version, name):
    length, step = pick(rng, LENGTHS[:40]), int(rng.integers(1, 12))
    extra = int(rng.integers(0, 40))
    onesided, dtype = int(rng.integers(2)), pick(rng, FLOATS)
    parts = 1 if onesided else int(rng.integers(1, 3))
    x = array(rng, [int(rng.integers(1, 4)), length + extra, parts], dtype)
    window = array(rng, [length], dtype) if rng.random() < 0.6 else None
    frame = scalar(rng, length) if window is None or rng.random() < 0.5 else None
    attrs = {"onesided": onesided} if not onesided or rng.random() < 0.5 else {}
    same = np.int32 if frame is not None and frame.dtype == np.int32 else np.int64
    return attrs, [x, scalar(rng, step, (same,)), window, frame]


@oracle("STFT", why="the reference takes neither complex signals nor frames without a window")
def stft_wanted(version, attrs, inputs):
    x, step, window, frame = (list(inputs) + [None] * 4)[:4]
    step = int(np.asarray(step).reshape(()))
    n = int(np.asarray(frame).reshape(())) if frame is not None else len(window)
    window = np.ones(n) if window is None else window.astype(np.float64)
    frames = (x.shape[1] - n) // step + 1
    cut = np.stack([x[:, f * step:f * step + n].astype(np.float64) for f in range(frames)], axis=1) * window[:, None]
    return [spectrum(cut, n, 2, 0, attrs.get("onesided", 1)).astype(x.dtype)]


@spec("Rfft", "Irfft", domain="com.microsoft")
def rfft(rng, version, name):
    axes = int(rng.integers(1, 4))
    shape = dims(rng, rank=axes + int(rng.integers(0, 2)), low=1, high=9)
    shape[-1] = pick(rng, LENGTHS[:24])
    if name == "Irfft":
        shape[-1] = shape[-1] // 2 + 2
        shape = shape + [2]
    attrs = {"signal_ndim": axes}
    if rng.random() < 0.5:
        attrs.update(onesided=1, normalized=0)
    return attrs, [array(rng, shape, pick(rng, FLOATS[:3]))]


@oracle("Rfft", domain="com.microsoft", why="ONNX Runtime has it for CUDA alone")
def rfft_wanted(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    z = np.fft.rfftn(x, axes=range(x.ndim - attrs["signal_ndim"], x.ndim))
    return [np.stack([z.real, z.imag], axis=-1).astype(inputs[0].dtype)]


@oracle("Irfft", domain="com.microsoft", why="ONNX Runtime has it for CUDA alone")
def irfft_wanted(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    z = x[..., 0] + 1j * x[..., 1]
    return [np.fft.irfftn(z, axes=range(z.ndim - attrs["signal_ndim"], z.ndim)).astype(inputs[0].dtype)]


@spec("ComplexMul", "ComplexMulConj", domain="com.microsoft")
def complex_mul(rng, version, name):
    whole = dims(rng)
    def cut():
        shape = [1 if rng.random() < 0.25 else d for d in whole]
        return shape[int(rng.integers(0, len(shape) + 1)) if rng.random() < 0.3 else 0:] + [2]
    dtype = pick(rng, FLOATS[:3])
    return {}, [array(rng, cut(), dtype), array(rng, cut(), dtype)]


def complex_product(inputs, conjugated):
    a, b = (v[..., 0].astype(np.float64) + 1j * v[..., 1].astype(np.float64) for v in inputs)
    z = a * (np.conj(b) if conjugated else b)
    return [np.stack([z.real, z.imag], axis=-1).astype(inputs[0].dtype)]


@oracle("ComplexMul", domain="com.microsoft", why="ONNX Runtime has it for CUDA alone")
def complex_mul_wanted(version, attrs, inputs):
    return complex_product(inputs, False)


@oracle("ComplexMulConj", domain="com.microsoft", why="ONNX Runtime has it for CUDA alone")
def complex_mul_conj_wanted(version, attrs, inputs):
    return complex_product(inputs, True)


# --- windows, mel ------------------------------------------------------------------------------------------------------------
TERMS = {"HannWindow": (0.5, -0.5, 0), "HammingWindow": (25 / 46, -21 / 46, 0), "BlackmanWindow": (0.42, -0.5, 0.08)}


@spec(*TERMS, tolerance=(1e-2, 1e-3), constants=(0,))
def window(rng, version, name):
    attrs = {"periodic": int(rng.integers(2))} if rng.random() < 0.7 else {}
    if rng.random() < 0.7:
        attrs["output_datatype"] = element(pick(rng, NUMBERS))
    size = int(rng.integers(2, 40)) if rng.random() < 0.9 else pick(rng, [0, 1 if attrs.get("periodic", 1) else 2])
    return attrs, [scalar(rng, size)]


def window_wanted(name, attrs, inputs):
    size = int(np.asarray(inputs[0]).reshape(()))
    dtype = onnx.helper.tensor_dtype_to_np_dtype(attrs.get("output_datatype", 1))
    angle = 2 * np.pi * np.arange(size) / (size if attrs.get("periodic", 1) else size - 1)
    a, b, c = TERMS[name]
    return [(a + b * np.cos(angle) + c * np.cos(2 * angle)).astype(dtype)]


def _register(name):
    @oracle(name, why="the reference's f32 falls below 1 where the window is 1, and integers are cut")
    def wanted(version, attrs, inputs):
        return window_wanted(name, attrs, inputs)
    return wanted


for _name in TERMS:
    _register(_name)


@spec("MelWeightMatrix", tolerance=(1e-2, 1e-3))
def mel(rng, version, name):
    bands, length = int(rng.integers(0, 12)), pick(rng, [16, 32, 64, 100, 256])
    integers = pick(rng, [np.int32, np.int64])
    rate = pick(rng, [8000, 16000, 22050])
    low = float(rng.uniform(5, 300))
    high = float(rng.uniform(low + 100, rate / 2 - 50))
    hertz = pick(rng, FLOATS)
    attrs = {"output_datatype": element(pick(rng, NUMBERS))} if rng.random() < 0.7 else {}
    return attrs, [np.asarray(bands, integers), np.asarray(length, integers), np.asarray(rate, integers), np.asarray(low, hertz),
                   np.asarray(high, hertz)]


@oracle("MelWeightMatrix", why="the reference mixes precisions, and edges fall on other bins")
def mel_wanted(version, attrs, inputs):
    bands, length, rate, low, high = (v.reshape(()).astype(np.float64) for v in inputs)
    def to_mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)
    edges = to_mel(low) + np.arange(bands + 2) * (to_mel(high) - to_mel(low)) / (bands + 2)
    edges = np.floor((length + 1) * (700 * (10 ** (edges / 2595) - 1)) / rate).astype(int)
    y = np.zeros((int(length) // 2 + 1, int(bands)))
    for band in range(int(bands)):
        left, center, right = edges[band:band + 3]
        for k in range(left, center + 1):
            y[k, band] = 1 if center == left else (k - left) / (center - left)
        for k in range(center, right):
            y[k, band] = (right - k) / (right - center)
    return [y.astype(onnx.helper.tensor_dtype_to_np_dtype(attrs.get("output_datatype", 1)))]
