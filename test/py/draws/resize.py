"""Draws of Resize and Upsample: every mode, every way to find a coordinate, scales or sizes, regions, axes."""

import ml_dtypes
import numpy as np

from .base import INTS, array, dtypes, moved, oracle, pick, spec

EARLY = [np.float32, np.float64, np.float16] + INTS
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"]


def shape_of(rng, most=3):
    rank = int(rng.integers(1, 5))
    return [int(rng.integers(1, 3)) if d < rank - most else int(rng.integers(1, 7)) for d in range(rank)]


def scale(rng, shrinking=True):
    return float(rng.choice([1, 2, 3, 0.5, 0.6, 1.5, 2.25, 0.75] if shrinking else [1, 2, 3, 1.5, 2.25]))


def scales_of(rng, shape, axes):
    """Scales that leave nothing empty."""
    chosen = [scale(rng) for _ in axes]
    return np.array([s if int(s * shape[a]) > 0 else 1 for s, a in zip(chosen, axes)], np.float32)


@spec("Resize", until=10)
def resize10(rng, version, name):
    shape = [int(rng.integers(1, 3)), int(rng.integers(1, 3)), int(rng.integers(1, 7)), int(rng.integers(1, 7))]
    mode = pick(rng, ["nearest", "linear"])
    dtype = pick(rng, dtypes(name, version) if mode == "nearest" else [np.float32])
    scales = scales_of(rng, shape, range(4))
    if mode == "linear":
        scales[:2] = 1
    return {"mode": mode}, [array(rng, shape, dtype), scales]


@spec("Resize", since=11)
def resize(rng, version, name):
    shape = shape_of(rng)
    rank, attrs = len(shape), {}
    mode = pick(rng, ["nearest", "linear", "cubic"])
    coordinates = pick(rng, COORDINATES + (["half_pixel_symmetric"] * (version >= 19)))
    if mode != "nearest" or rng.random() < 0.7:
        attrs["mode"] = mode
    if coordinates != "half_pixel" or rng.random() < 0.5:
        attrs["coordinate_transformation_mode"] = coordinates
    if mode == "nearest" and rng.random() < 0.7:
        attrs["nearest_mode"] = pick(rng, ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        if rng.random() < 0.5:
            attrs["cubic_coeff_a"] = float(pick(rng, [-0.5, -0.6]))
        if rng.random() < 0.5:
            attrs["exclude_outside"] = 1
    if version >= 18 and mode != "nearest" and rng.random() < 0.4:
        attrs["antialias"] = 1
    axes = list(range(rank))
    if version >= 18 and rng.random() < 0.4:
        axes = [int(a) for a in rng.permutation(rank)[:rng.integers(1, rank + 1)]]
        attrs["axes"] = axes
    roi = None if version >= 13 else np.zeros(0, np.float32)
    if coordinates == "tf_crop_and_resize":
        start = rng.uniform(-0.2, 0.6, len(axes))
        roi = np.concatenate([start, start + rng.uniform(0.2, 0.8, len(axes))]).astype(pick(rng, [np.float32, np.float64, np.float16]))
        attrs["extrapolation_value"] = float(rng.integers(-5, 6))
    types = [t for t in dtypes(name, version, "T1") if coordinates != "tf_crop_and_resize" or t.kind not in "bcO"]
    # Averages of whole numbers that fall between two by a rounding error alone go either way: those are drawn for nearest alone.
    x = array(rng, shape, pick(rng, types if mode == "nearest" else [t for t in types if t.kind in "fV"]))
    if rng.random() < 0.5:
        inputs = [x, roi, scales_of(rng, shape, axes)]
    else:
        sizes = np.array([int(rng.integers(1, 9)) for _ in axes], np.int64)
        inputs = [x, roi, None if version >= 13 else np.zeros(0, np.float32), sizes]
        if version >= 18 and rng.random() < 0.4:
            attrs["keep_aspect_ratio_policy"] = pick(rng, ["stretch", "not_larger", "not_smaller"])
    if coordinates == "pytorch_half_pixel" and mode != "nearest":
        # A single place: the reference reads at -0.5, the operator's words at 0; both are the same where that is an edge.
        attrs["mode"], _ = "linear", attrs.pop("antialias", 0)
    return attrs, inputs


moved("Resize", why="the reference computes with numbers alone")


@oracle("Upsample", until=6, why="the reference has only version 10")
def upsample1(version, attrs, inputs):
    factors = [1, 1, attrs["height_scale"], attrs["width_scale"]]
    return [enlarge(inputs[0], factors, attrs.get("mode", "nearest"))]


@oracle("Upsample", until=8, why="the reference has only version 10")
def upsample7(version, attrs, inputs):
    return [enlarge(inputs[0], attrs["scales"], attrs.get("mode", "nearest"))]


@oracle("Upsample", why="the reference has whole factors and nearest alone")
def upsample9(version, attrs, inputs):
    return [enlarge(inputs[0], inputs[1], attrs.get("mode", "nearest"))]


def enlarge(x, factors, mode):
    """Places at x / factor; nearest rounds down."""
    for axis, factor in enumerate(factors):
        factor = np.float32(factor)
        size = x.shape[axis]
        at = np.arange(int(np.floor(size * factor)), dtype=np.float32) / factor
        below = np.clip(np.floor(at).astype(int), 0, size - 1)
        if mode == "nearest" or factor == 1:
            x = np.take(x, below, axis)
            continue
        part = (at - np.floor(at)).reshape([-1] + [1] * (x.ndim - axis - 1)).astype(np.float64)
        above = np.clip(below + 1, 0, size - 1)
        x = (np.take(x, below, axis).astype(np.float64) * (1 - part) + np.take(x, above, axis).astype(np.float64) * part)
    return x


@spec("Upsample", until=6)
def draw_upsample1(rng, version, name):
    attrs = {"height_scale": scale(rng, False), "width_scale": scale(rng, False)}
    attrs["mode"] = pick(rng, ["nearest", "bilinear"])
    types = dtypes(name, version) if attrs["mode"] == "nearest" else [np.float64]
    return attrs, [array(rng, [int(rng.integers(1, 5)) for _ in range(4)], pick(rng, types))]


@spec("Upsample", since=7)
def draw_upsample(rng, version, name):
    shape = shape_of(rng)
    mode = pick(rng, ["nearest", "linear"])
    scales = [scale(rng, False) for _ in shape]
    x = array(rng, shape, pick(rng, dtypes(name, version)) if mode == "nearest" else np.float64)
    if version < 9:
        return {"mode": mode, "scales": scales}, [x]
    return {"mode": mode}, [x, np.array(scales, np.float32)]
