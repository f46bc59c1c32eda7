"""Networks that look at pictures and name them, as PyTorch's exporter writes them."""

import numpy as np

from .builder import F, Builder


def image_inputs(size=224, batch=1, seed=0):
    return {"image": np.random.default_rng(seed).standard_normal((batch, 3, size, size)).astype(np.float32)}


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


def squeeze_excite(b, x, c, mid, gate):
    """|gate|: "HardSigmoid" (MobileNetV3) or "Sigmoid" (EfficientNet)."""
    s = b.conv(b.op("GlobalAveragePool", x), c, mid, 1, bias=True)
    s = b.op("Relu", s) if gate == "HardSigmoid" else b.silu(s)
    s = b.conv(s, mid, c, 1, bias=True)
    s = b.op("HardSigmoid", s, alpha=1 / 6) if gate == "HardSigmoid" else b.op("Sigmoid", s)
    return b.op("Mul", s, x)


V3_LARGE = [  # kernel, expanded, out, squeeze-excite, hard swish, stride
    (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2), (5, 120, 40, 1, 0, 1), (5, 120, 40, 1, 0, 1),
    (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1),
    (3, 672, 112, 1, 1, 1), (5, 672, 160, 1, 1, 2), (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1),
]


def mobilenet_v3(rows=tuple(V3_LARGE), image=224, classes=1000, last=1280, seed=0):
    b = Builder("mobilenet_v3", seed)
    x, cin = b.op("HardSwish", b.norm(b.conv("image", 3, 16, 3, 2), 16)), 16
    for k, mid, cout, se, hard, stride in rows:
        act = "HardSwish" if hard else "Relu"
        y = b.op(act, b.norm(b.conv(x, cin, mid, 1), mid)) if mid != cin else x
        y = b.op(act, b.norm(b.conv(y, mid, mid, k, stride, groups=mid), mid))
        y = squeeze_excite(b, y, mid, max(8, mid // 4 // 8 * 8), "HardSigmoid") if se else y
        y = b.norm(b.conv(y, mid, cout, 1), cout)
        x = b.op("Add", y, x) if stride == 1 and cin == cout else y
        cin = cout
    x = b.op("HardSwish", b.norm(b.conv(x, cin, cin * 6, 1), cin * 6))
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    x = b.op("HardSwish", b.dense(x, cin * 6, last))
    y = b.dense(x, last, classes)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def efficientnet_b0(rows=((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)),
                    image=224, classes=1000, seed=0):
    b = Builder("efficientnet_b0", seed)
    x, cin = b.silu(b.norm(b.conv("image", 3, 32, 3, 2), 32)), 32
    for expand, k, cout, n, s in rows:
        for i in range(n):
            stride, mid = s if i == 0 else 1, cin * expand
            y = b.silu(b.norm(b.conv(x, cin, mid, 1), mid)) if expand != 1 else x
            y = b.silu(b.norm(b.conv(y, mid, mid, k, stride, groups=mid), mid))
            y = squeeze_excite(b, y, mid, max(1, cin // 4), "Sigmoid")
            y = b.norm(b.conv(y, mid, cout, 1), cout)
            x = b.op("Add", y, x) if stride == 1 and cin == cout else y
            cin = cout
    x = b.silu(b.norm(b.conv(x, cin, cin * 4, 1), cin * 4))
    y = b.dense(b.op("Flatten", b.op("GlobalAveragePool", x)), cin * 4, classes)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def densenet(blocks=(6, 12, 24, 16), growth=32, image=224, classes=1000, seed=0):
    """Normalization before convolution, and concatenations that grow: DenseNet-121."""
    b = Builder("densenet", seed)
    c = growth * 2
    x = b.op("Relu", b.norm(b.conv("image", 3, c, 7, 2), c))
    x = b.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, n in enumerate(blocks):
        features = [x]
        for _ in range(n):
            joined = b.op("Concat", *features, axis=1) if len(features) > 1 else features[0]
            y = b.conv(b.op("Relu", b.norm(joined, c)), c, growth * 4, 1)
            features.append(b.conv(b.op("Relu", b.norm(y, growth * 4)), growth * 4, growth, 3))
            c += growth
        x = b.op("Concat", *features, axis=1)
        if stage + 1 < len(blocks):
            x = b.conv(b.op("Relu", b.norm(x, c)), c, c // 2, 1)
            x = b.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            c //= 2
    x = b.op("Relu", b.norm(x, c))
    y = b.dense(b.op("Flatten", b.op("GlobalAveragePool", x)), c, classes)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def squeezenet(fires=((16, 64), (16, 64), "pool", (32, 128), (32, 128), "pool", (48, 192), (48, 192), (64, 256), (64, 256)), image=224, classes=1000, seed=0):
    """SqueezeNet 1.1; its poolings round up."""
    b = Builder("squeezenet", seed)

    def pool(x):
        return b.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    x, cin = pool(b.op("Relu", b.conv("image", 3, 64, 3, 2, pad=0, bias=True))), 64
    for fire in fires:
        if fire == "pool":
            x = pool(x)
            continue
        squeeze, expand = fire
        s = b.op("Relu", b.conv(x, cin, squeeze, 1, bias=True))
        x = b.op("Concat", b.op("Relu", b.conv(s, squeeze, expand, 1, bias=True)), b.op("Relu", b.conv(s, squeeze, expand, 3, bias=True)), axis=1)
        cin = expand * 2
    x = b.op("Relu", b.conv(x, cin, classes, 1, bias=True))
    y = b.op("Flatten", b.op("GlobalAveragePool", x))
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def shufflenet_v2(stages=((116, 4), (232, 8), (464, 4)), image=224, classes=1000, last=1024, seed=0):
    """Channels split, worked on and shuffled by Reshape, Transpose, Reshape."""
    b = Builder("shufflenet_v2", seed)

    def shuffle(x, c, side):
        x = b.op("Reshape", x, b.i64([-1, 2, c // 2, side, side]))
        return b.op("Reshape", b.op("Transpose", x, perm=[0, 2, 1, 3, 4]), b.i64([-1, c, side, side]))

    def branch(x, cin, c, stride):
        y = b.op("Relu", b.norm(b.conv(x, cin, c, 1), c))
        y = b.norm(b.conv(y, c, c, 3, stride, groups=c), c)
        return b.op("Relu", b.norm(b.conv(y, c, c, 1), c))

    x, cin, side = b.op("Relu", b.norm(b.conv("image", 3, 24, 3, 2), 24)), 24, image // 4
    x = b.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for c, n in stages:
        half = c // 2
        side //= 2
        left = b.norm(b.conv(x, cin, cin, 3, 2, groups=cin), cin)
        left = b.op("Relu", b.norm(b.conv(left, cin, half, 1), half))
        x = shuffle(b.op("Concat", left, branch(x, cin, half, 2), axis=1), c, side)
        for _ in range(n - 1):
            left, right = b.op("Split", x, b.i64([half, half]), outputs=2, axis=1)
            x = shuffle(b.op("Concat", left, branch(right, half, half, 1), axis=1), c, side)
        cin = c
    x = b.op("Relu", b.norm(b.conv(x, cin, last, 1), last))
    y = b.dense(b.op("ReduceMean", x, axes=[2, 3], keepdims=0), last, classes)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def convnext(depths=(3, 3, 9, 3), width=96, image=224, classes=1000, seed=0):
    """7x7 depthwise, then LayerNormalization and linear layers on the channels last: ConvNeXt-Tiny."""
    b = Builder("convnext", seed)

    def norm_channels(x, c):
        return b.op("Transpose", b.layer_norm(b.op("Transpose", x, perm=[0, 2, 3, 1]), c), perm=[0, 3, 1, 2])

    c = width
    x = norm_channels(b.conv("image", 3, c, 4, 4, pad=0, bias=True), c)
    for stage, n in enumerate(depths):
        if stage:
            x = b.conv(norm_channels(x, c), c, c * 2, 2, 2, pad=0, bias=True)
            c *= 2
        for _ in range(n):
            y = b.op("Transpose", b.conv(x, c, c, 7, groups=c, bias=True), perm=[0, 2, 3, 1])
            y = b.linear(b.gelu(b.linear(b.layer_norm(y, c), c, c * 4)), c * 4, c)
            y = b.op("Mul", b.const(b.rng.uniform(0.1, 1, c).astype(np.float32)), y)
            x = b.op("Add", b.op("Transpose", y, perm=[0, 3, 1, 2]), x)
    x = b.op("Flatten", b.layer_norm(b.op("ReduceMean", x, axes=[2, 3], keepdims=0), c))
    y = b.dense(x, c, classes)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])


def vit(layers=12, hidden=768, heads=12, image=224, patch=16, classes=1000, seed=0):
    """A vision transformer: patches by convolution, a class token, encoder layers with normalization first."""
    b = Builder("vit", seed)
    count, head = (image // patch) ** 2, hidden // heads
    x = b.conv("image", 3, hidden, patch, patch, pad=0, bias=True)
    x = b.op("Transpose", b.op("Reshape", x, b.i64([0, hidden, count])), perm=[0, 2, 1])
    batch = b.op("Slice", b.op("Shape", x), b.i64([0]), b.i64([1]), b.i64([0]))
    token = b.op("Expand", b.weight(1, 1, hidden, scale=0.02), b.op("Concat", batch, b.i64([1, hidden]), axis=0))
    x = b.op("Add", b.op("Concat", token, x, axis=1), b.weight(1, count + 1, hidden, scale=0.02))
    for _ in range(layers):
        y = b.layer_norm(x, hidden)
        qkv = b.op("Reshape", b.linear(y, hidden, hidden * 3), b.i64([0, count + 1, 3, heads, head]))
        qkv = b.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
        q, k, v = (b.op("Gather", qkv, b.i64(i), axis=0) for i in range(3))
        s = b.op("MatMul", b.op("Mul", q, b.const(np.float32(head**-0.5))), b.op("Transpose", k, perm=[0, 1, 3, 2]))
        y = b.op("Transpose", b.op("MatMul", b.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        x = b.op("Add", x, b.linear(b.op("Reshape", y, b.i64([0, count + 1, hidden])), hidden, hidden))
        x = b.op("Add", x, b.linear(b.gelu(b.linear(b.layer_norm(x, hidden), hidden, hidden * 4)), hidden * 4, hidden))
    first = b.op("Gather", b.layer_norm(x, hidden), b.i64(0), axis=1)
    y = b.dense(first, hidden, classes)
    return b.model([("image", F, ["N", 3, image, image])], [(y, F, ["N", classes])])
