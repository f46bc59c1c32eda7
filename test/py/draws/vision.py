"""Draws of operators that sample pictures and choose regions of them."""

import io

import ml_dtypes
import numpy as np

from .base import array, dtypes, moved, oracle, pick, prefer_runtime, spec, widened

REALS = [np.float32, np.float64, np.float16]


def reals(version):
    return REALS if version < 22 else REALS + [ml_dtypes.bfloat16]


# --- GridSample, AffineGrid --------------------------------------------------------------------------------------------------------
@spec("GridSample", tolerance=(2e-3, 1e-3))
def grid_sample(rng, version, name):
    rank = 2 if version < 20 else int(rng.integers(1, 4))
    attrs = {}
    mode = pick(rng, ["nearest", "linear", "cubic"])
    old = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
    if mode != "linear" or version < 20 or rng.random() < 0.5:
        attrs["mode"] = old[mode] if version < 20 else mode
    if rng.random() < 0.7:
        attrs["padding_mode"] = pick(rng, ["zeros", "border", "reflection"])
    dtype = pick(rng, dtypes(name, version, "T1") if mode == "nearest" else [np.dtype(np.float32), np.dtype(np.float64)])
    if mode == "cubic" and (rank != 2 or dtype != np.float32) and attrs.get("padding_mode") == "border":
        del attrs["padding_mode"]  # the reference alone knows these, see below
    if rng.random() < 0.6:
        attrs["align_corners"] = int(rng.integers(2))
    batch, channels = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    shape = [int(rng.integers(2, 6)) for _ in range(rank)]
    # The reference rounds coordinates to f32 and halves to whole numbers: other types of X are drawn for nearest alone.
    x = array(rng, [batch, channels, *shape], dtype)
    grid = rng.uniform(-1.6, 1.6, [batch, *[int(rng.integers(1, 5)) for _ in range(rank)], rank])
    return attrs, [x, grid.astype(pick(rng, dtypes(name, version, "T2") if mode == "nearest" else [np.float32]))]


widened("GridSample", "DeformConv", "RoiAlign", "MaxRoiPool", "Col2Im", why="the reference rounds each step to 16 bits, ONNX Runtime has 32 alone")
moved("GridSample", "CenterCropPad", why="the reference computes with numbers alone")


prefer_runtime("GridSample", why="cubic with padding_mode border: the reference moves the point, PyTorch and ONNX Runtime each of its taps")


@spec("GridSample", domain="com.microsoft", tolerance=(2e-3, 1e-3))
def grid_sample_ms(rng, version, name):
    attrs = {"mode": pick(rng, ["bilinear", "nearest", "bicubic"]), "padding_mode": pick(rng, ["zeros", "border", "reflection"])}
    attrs["align_corners"] = int(rng.integers(2))
    x = array(rng, [2, 2, int(rng.integers(2, 6)), int(rng.integers(2, 6))])
    return attrs, [x, rng.uniform(-1.6, 1.6, [2, 3, 4, 2]).astype(np.float32)]


@spec("AffineGrid")
def affine_grid(rng, version, name):
    rank = int(rng.integers(2, 4))
    size = [int(rng.integers(1, 3)), int(rng.integers(1, 3)), *[int(rng.integers(2, 5)) for _ in range(rank)]]
    attrs = {"align_corners": int(rng.integers(2))} if rng.random() < 0.7 else {}
    return attrs, [array(rng, [size[0], rank, rank + 1], pick(rng, REALS + [ml_dtypes.bfloat16])), np.array(size, np.int64)]


@oracle("AffineGrid", why="the reference gives f32 whatever theta's type")
def affine(version, attrs, inputs):
    theta, size = inputs[0].astype(np.float64), inputs[1][2:]
    if attrs.get("align_corners", 0):
        axes = [np.linspace(-1, 1, n) for n in size]
    else:
        axes = [(2 * np.arange(n) + 1) / n - 1 for n in size]
    places = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(size)], -1)
    return [np.einsum("...c,nrc->n...r", places, theta).astype(inputs[0].dtype)]


# --- DeformConv, MaxUnpool, CenterCropPad, Col2Im ----------------------------------------------------------------------------------
@spec("DeformConv", tolerance=(2e-3, 1e-3))
def deform_conv(rng, version, name):
    groups, offset_groups = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    ic, oc = groups * offset_groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    kernel, strides, dilations = ([int(rng.integers(1, n)) for _ in range(2)] for n in (4, 3, 3))
    pads = [int(rng.integers(0, 2)) for _ in range(4)]
    shape = [int(rng.integers(6, 9)) for _ in range(2)]
    out = [(n + pads[d] + pads[d + 2] - (kernel[d] - 1) * dilations[d] - 1) // strides[d] + 1 for d, n in enumerate(shape)]
    attrs = {"group": groups, "offset_group": offset_groups, "strides": strides, "dilations": dilations, "pads": pads}
    if rng.random() < 0.5:
        attrs["kernel_shape"] = kernel
    taps = offset_groups * kernel[0] * kernel[1]
    dtype = pick(rng, dtypes(name, version))
    offset = rng.uniform(-2, 2, [1, taps * 2, *out]).astype(dtype)
    mask = pick(rng, [None, rng.random([1, taps, *out]).astype(dtype)])
    return attrs, [array(rng, [1, ic, *shape], dtype), array(rng, [oc, ic // groups, *kernel], dtype), offset,
                   pick(rng, [None, array(rng, [oc], dtype)]), mask]


@spec("MaxUnpool")
def max_unpool(rng, version, name):
    rank = int(rng.integers(1, 4))
    kernel = [int(rng.integers(1, 4)) for _ in range(rank)]
    strides = [int(rng.integers(1, 4)) for _ in range(rank)]
    shape = [int(rng.integers(1, 3)), int(rng.integers(1, 3)), *[int(rng.integers(2, 5)) for _ in range(rank)]]
    attrs = {"kernel_shape": kernel, "strides": strides}
    whole = shape[:2] + [(n - 1) * s + k for n, s, k in zip(shape[2:], strides, kernel)]
    count = int(np.prod(whole))
    indices = rng.permutation(max(count, int(np.prod(shape))))[:int(np.prod(shape))] % count
    inputs = [array(rng, shape, pick(rng, reals(version))), np.sort(np.unique(indices))]
    inputs[1] = np.resize(inputs[1], shape).astype(np.int64)  # where one is repeated, so is its order
    if rng.random() < 0.4:
        inputs.append(np.array(whole[:2] + [n + int(rng.integers(0, 3)) for n in whole[2:]], np.int64))
    return attrs, inputs


@spec("CenterCropPad")
def center_crop_pad(rng, version, name):
    rank = int(rng.integers(1, 5))
    shape = [int(rng.integers(1, 7)) for _ in range(rank)]
    axes, attrs = list(range(rank)), {}
    if rng.random() < 0.6:
        axes = [int(a) for a in rng.permutation(rank)[:rng.integers(1, rank + 1)]]
        attrs["axes"] = [a - rank if rng.random() < 0.3 else a for a in axes]
    wanted = np.array([int(rng.integers(1, 8)) for _ in axes], pick(rng, [np.int32, np.int64]))
    return attrs, [array(rng, shape, pick(rng, dtypes(name, version))), wanted]


@spec("Col2Im")
def col2im(rng, version, name):
    rank = int(rng.integers(1, 4))
    block, strides, dilations = ([int(rng.integers(1, n)) for _ in range(rank)] for n in (4, 3, 3))
    pads = [int(rng.integers(0, 2)) for _ in range(2 * rank)]
    shape = [int(rng.integers(5, 8)) for _ in range(rank)]
    places = [(n + pads[d] + pads[d + rank] - (block[d] - 1) * dilations[d] - 1) // strides[d] + 1 for d, n in enumerate(shape)]
    attrs = {"strides": strides, "dilations": dilations, "pads": pads}
    x = array(rng, [int(rng.integers(1, 3)), int(rng.integers(1, 3)) * int(np.prod(block)), int(np.prod(places))], pick(rng, [t for t in dtypes(name, version) if t.kind != "O"]))
    return attrs, [x, np.array(shape, np.int64), np.array(block, np.int64)]


# --- regions ---------------------------------------------------------------------------------------------------------------------
def regions(rng, count, dtype):
    """Corners on quarters of a pixel, so that 16-bit types hold them."""
    corner = rng.integers(-8, 24, [count, 2]) / 4
    return np.concatenate([corner, corner + rng.integers(1, 30, [count, 2]) / 4], 1).astype(dtype)


@spec("RoiAlign", tolerance=(5e-3, 2e-3))
def roi_align(rng, version, name):
    dtype = pick(rng, dtypes(name, version, "T1"))
    shape = [int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9))]
    count = int(rng.integers(1, 5))
    attrs = {"output_height": int(rng.integers(1, 5)), "output_width": int(rng.integers(1, 5))}
    attrs["sampling_ratio"], attrs["spatial_scale"] = int(rng.integers(0, 3)), float(pick(rng, [1, 0.5, 2]))
    if rng.random() < 0.6:
        attrs["mode"] = pick(rng, ["avg", "max"])
    if version >= 16 and rng.random() < 0.6:
        attrs["coordinate_transformation_mode"] = pick(rng, ["half_pixel", "output_half_pixel"])
    return attrs, [array(rng, shape, dtype), regions(rng, count, dtype), rng.integers(0, shape[0], count)]


prefer_runtime("RoiAlign", until=15, why="the reference shifts regions by half a pixel, which version 10 did not")


@spec("MaxRoiPool")
def max_roi_pool(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    shape = [int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9))]
    count = int(rng.integers(1, 5))
    rois = np.concatenate([rng.integers(0, shape[0], [count, 1]), regions(rng, count, np.float32)], 1).astype(dtype)
    return {"pooled_shape": [int(rng.integers(1, 4)), int(rng.integers(1, 4))], "spatial_scale": float(pick(rng, [1, 0.5]))}, \
        [array(rng, shape, dtype), rois]


prefer_runtime("MaxRoiPool", until=21, why="the reference does not have it")


@oracle("MaxRoiPool", why="neither the reference nor ONNX Runtime has version 22")
def pool_regions(version, attrs, inputs):
    x, rois = inputs
    high, wide = attrs["pooled_shape"]
    y = np.zeros([len(rois), x.shape[1], high, wide], x.dtype)
    def edges(low, up, count, at, size):
        length = np.float32(max(up - low + 1, 1)) / np.float32(count)
        return [int(np.clip(v + low, 0, size)) for v in (np.floor(at * length), np.ceil((at + 1) * length))]
    for n, roi in enumerate(rois):
        scaled = roi[1:] * np.float32(attrs["spatial_scale"])
        x1, y1, x2, y2 = np.where(scaled < 0, np.ceil(scaled - 0.5), np.floor(scaled + 0.5))
        for i, j in np.ndindex(high, wide):
            top, bottom = edges(y1, y2, high, i, x.shape[2])
            left, right = edges(x1, x2, wide, j, x.shape[3])
            if bottom > top and right > left:
                y[n, :, i, j] = x[int(roi[0]), :, top:bottom, left:right].max((1, 2))
    return [y]


@spec("CropAndResize", domain="com.microsoft")
def crop_and_resize(rng, version, name):
    shape = [int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9))]
    count = int(rng.integers(1, 5))
    attrs = {"mode": pick(rng, ["bilinear", "nearest"]), "extrapolation_value": float(rng.integers(-3, 4))}
    low = rng.uniform(-0.2, 0.5, [count, 2])
    rois = np.concatenate([low, low + rng.uniform(0.2, 0.8, [count, 2])], 1).astype(np.float32)
    return attrs, [array(rng, shape), rois, rng.integers(0, shape[0], count).astype(np.int32), rng.integers(1, 6, 2).astype(np.int32)]


@spec("NonMaxSuppression")
def non_max_suppression(rng, version, name):
    batches, classes, boxes = (int(rng.integers(1, n)) for n in (3, 4, 12))
    attrs = {"center_point_box": int(rng.integers(2))} if rng.random() < 0.7 else {}
    corners = rng.uniform(0, 4, [batches, boxes, 4])
    if attrs.get("center_point_box"):
        corners[..., 2:] = rng.uniform(0.5, 4, [batches, boxes, 2])
    scores = rng.integers(0, 8, [batches, classes, boxes]) / 8
    inputs = [corners.astype(np.float32), scores.astype(np.float32), np.array([int(rng.integers(0, 8))], np.int64)]
    inputs += [np.array([rng.uniform(0, 0.6)], np.float32), pick(rng, [None, np.array([rng.integers(0, 6) / 8], np.float32)])]
    return attrs, inputs


# --- ImageDecoder ------------------------------------------------------------------------------------------------------------------
FORMATS = {"PNG": {}, "BMP": {}, "PPM": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 90}, "JPEG2000": {"irreversible": False}}


@spec("ImageDecoder")
def image_decoder(rng, version, name):
    from PIL import Image
    kind = pick(rng, list(FORMATS))
    mode = pick(rng, ["RGB", "L"] + (["P", "1"] if kind in ("PNG", "BMP", "TIFF") else []) + (["RGBA"] if kind in ("PNG", "TIFF") else []))
    if kind == "WEBP":
        mode = "RGB"
    high, wide = (int(rng.integers(1, 40)) for _ in range(2))
    picture = Image.fromarray(rng.integers(0, 256, [high, wide, 3]).astype(np.uint8)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(255)
    file = io.BytesIO()
    picture.save(file, kind, **FORMATS[kind])
    content = np.frombuffer(file.getvalue(), np.uint8).copy()
    if rng.random() < 0.15:
        content = rng.integers(0, 256, int(rng.integers(0, 50))).astype(np.uint8)
    return {"pixel_format": pick(rng, ["RGB", "BGR", "Grayscale"])}, [content]


@oracle("ImageDecoder", why="the reference gives pictures the channels that the file has, and refuses what is none")
def decoded(version, attrs, inputs):
    from PIL import Image
    gray = attrs["pixel_format"] == "Grayscale"
    try:
        picture = Image.open(io.BytesIO(inputs[0].tobytes())).convert("RGB")
    except (OSError, SyntaxError):
        return [np.zeros([0, 0, 1 if gray else 3], np.uint8)]
    if gray:
        return [np.asarray(picture.convert("L"))[:, :, None]]
    return [np.asarray(picture)[:, :, ::-1 if attrs["pixel_format"] == "BGR" else 1]]
