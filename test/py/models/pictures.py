"""Networks that look at pictures and give boxes or pictures: YOLOv8 with NonMaxSuppression, U-Net."""

import numpy as np

from .builder import F, I64, Builder


def _conv(b, x, cin, cout, k=1, stride=1):
    return b.silu(b.norm(b.conv(x, cin, cout, k, stride), cout))


def _c2f(b, x, cin, cout, n, shortcut):
    """Split in halves; each bottleneck reads the last half, all halves are joined."""
    half = cout // 2
    parts = list(b.op("Split", _conv(b, x, cin, cout), b.i64([half, half]), outputs=2, axis=1))
    for _ in range(n):
        y = _conv(b, _conv(b, parts[-1], half, half, 3), half, half, 3)
        parts.append(b.op("Add", parts[-1], y) if shortcut else y)
    return _conv(b, b.op("Concat", *parts, axis=1), half * (2 + n), cout)


def _sppf(b, x, c):
    parts = [_conv(b, x, c, c // 2)]
    for _ in range(3):
        parts.append(b.op("MaxPool", parts[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
    return _conv(b, b.op("Concat", *parts, axis=1), c * 2, c)


def _up(b, x):
    return b.op("Resize", x, "", b.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest", coordinate_transformation_mode="asymmetric",
                nearest_mode="floor")


def yolov8(width=0.25, depth=1, image=640, classes=80, nms=True, seed=0):
    """YOLOv8; width 0.25 and depth 1 is the n size. Outputs: boxes and scores, and with |nms| the selected indices."""
    b = Builder("yolov8", seed)
    c = [max(8, int(n * width)) for n in (64, 128, 256, 512, 1024)]
    x = _conv(b, _conv(b, "image", 3, c[0], 3, 2), c[0], c[1], 3, 2)
    x = _c2f(b, x, c[1], c[1], depth, True)
    p3 = _c2f(b, _conv(b, x, c[1], c[2], 3, 2), c[2], c[2], 2 * depth, True)
    p4 = _c2f(b, _conv(b, p3, c[2], c[3], 3, 2), c[3], c[3], 2 * depth, True)
    p5 = _sppf(b, _c2f(b, _conv(b, p4, c[3], c[4], 3, 2), c[4], c[4], depth, True), c[4])
    n4 = _c2f(b, b.op("Concat", _up(b, p5), p4, axis=1), c[4] + c[3], c[3], depth, False)
    n3 = _c2f(b, b.op("Concat", _up(b, n4), p3, axis=1), c[3] + c[2], c[2], depth, False)
    m4 = _c2f(b, b.op("Concat", _conv(b, n3, c[2], c[2], 3, 2), n4, axis=1), c[2] + c[3], c[3], depth, False)
    m5 = _c2f(b, b.op("Concat", _conv(b, m4, c[3], c[3], 3, 2), p5, axis=1), c[3] + c[4], c[4], depth, False)
    box_mid, class_mid, parts, count = max(16, c[2] // 4, 64), max(c[2], min(classes, 100)), [], 0
    for x, cin, stride in ((n3, c[2], 8), (m4, c[3], 16), (m5, c[4], 32)):
        side = image // stride
        box = b.conv(_conv(b, _conv(b, x, cin, box_mid, 3), box_mid, box_mid, 3), box_mid, 64, 1, bias=True)
        cls = b.conv(_conv(b, _conv(b, x, cin, class_mid, 3), class_mid, class_mid, 3), class_mid, classes, 1, bias=True)
        parts.append(b.op("Reshape", b.op("Concat", box, cls, axis=1), b.i64([0, 64 + classes, side * side])))
        count += side * side
    box, cls = b.op("Split", b.op("Concat", *parts, axis=2), b.i64([64, classes]), outputs=2, axis=1)
    dist = b.op("Transpose", b.op("Reshape", box, b.i64([0, 4, 16, count])), perm=[0, 2, 1, 3])
    dist = b.op("Conv", b.op("Softmax", dist, axis=1), b.const(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)), kernel_shape=[1, 1])
    dist = b.op("Reshape", dist, b.i64([0, 4, count]))
    left, right = b.op("Slice", dist, b.i64([0]), b.i64([2]), b.i64([1])), b.op("Slice", dist, b.i64([2]), b.i64([4]), b.i64([1]))
    anchors, strides = _anchors(image)
    low, high = b.op("Sub", b.const(anchors), left), b.op("Add", b.const(anchors), right)
    centre = b.op("Div", b.op("Add", low, high), b.const(np.float32(2)))
    boxes = b.op("Mul", b.op("Concat", centre, b.op("Sub", high, low), axis=1), b.const(strides))
    scores = b.op("Sigmoid", cls)
    outputs = [(b.op("Concat", boxes, scores, axis=1), F, ["N", 4 + classes, count])]
    if nms:
        selected = b.op("NonMaxSuppression", b.op("Transpose", boxes, perm=[0, 2, 1]), scores, b.i64([100]), b.const(np.array([0.7], np.float32)),
                        b.const(np.array([0.25], np.float32)), center_point_box=1)
        outputs.append((selected, I64, ["selected", 3]))
    return b.model([("image", F, ["N", 3, image, image])], outputs)


def _anchors(image):
    points, strides = [], []
    for stride in (8, 16, 32):
        side = image // stride
        y, x = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5, indexing="ij")
        points.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full((1, side * side), stride))
    return np.concatenate(points, 1)[None].astype(np.float32), np.concatenate(strides, 1).astype(np.float32)


def unet(width=32, depth=4, image=256, classes=2, resize=False, seed=0):
    """U-Net; its way up is a ConvTranspose or (|resize|) a bilinear Resize and a convolution."""
    b = Builder("unet", seed)

    def double(x, cin, cout):
        for source in (cin, cout):
            x = b.op("Relu", b.norm(b.conv(x, source, cout, 3), cout))
        return x

    x, cin, skips = "image", 3, []
    for level in range(depth):
        x = double(x, cin, width << level)
        skips.append(x)
        x, cin = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), width << level
    x = double(x, cin, width << depth)
    for level in reversed(range(depth)):
        c = width << level
        if resize:
            x = b.op("Resize", x, "", b.const(np.array([1, 1, 2, 2], np.float32)), mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
            x = b.conv(x, c * 2, c, 1, bias=True)
        else:
            x = b.op("ConvTranspose", x, b.weight(c * 2, c, 2, 2, scale=(0.5 / c) ** 0.5), b.weight(c, scale=0.1), kernel_shape=[2, 2], strides=[2, 2])
        x = double(b.op("Concat", skips[level], x, axis=1), c * 2, c)
    y = b.conv(x, width, classes, 1, bias=True)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes, image, image])])
