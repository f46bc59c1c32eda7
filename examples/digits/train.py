"""Trains the digits model and writes digits.onnx and pictures/: `train.py [--epochs N] [--out FOLDER]`.

The data are the 1,797 handwritten digits of 8x8 pixels that scikit-learn carries (UCI, 43 writers). A quarter of them is held
out by a fixed permutation (digits_data.py) and never seen in training; the accuracy on it goes into the model's metadata. Numpy is
enough for a net of this size: half a minute on one core. The seed fixes everything but the rounding of the machine's BLAS.
"""

import argparse
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import digits_data as data

SEED = 2026
BATCH = 64
OPSET = 22


class Conv:
    """3x3 convolution with padding 1, over [N,C,H,W]."""

    def __init__(self, rng, channels_in, channels_out):
        scale = np.sqrt(2 / (channels_in * 9))
        self.weight = rng.normal(0, scale, (channels_out, channels_in, 3, 3)).astype(np.float32)
        self.bias = np.zeros(channels_out, np.float32)

    def forward(self, x):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        self.windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # [N,C,H,W,3,3]
        return np.einsum("nchwij,ocij->nohw", self.windows, self.weight, optimize=True) + self.bias[:, None, None]

    def backward(self, grad):
        self.grads = [np.einsum("nohw,nchwij->ocij", grad, self.windows, optimize=True), grad.sum((0, 2, 3))]
        padded = np.pad(grad, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return np.einsum("nohwij,ocij->nchw", windows, self.weight[:, :, ::-1, ::-1], optimize=True)

    def params(self):
        return [self.weight, self.bias]


class Relu:
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask

    def params(self):
        return []


class MaxPool:
    """2x2, stride 2. Among equal values all get the gradient, which is rare enough not to matter."""

    def forward(self, x):
        n, c, h, w = x.shape
        self.blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
        self.peak = self.blocks.max((3, 5), keepdims=True)
        return self.peak[:, :, :, 0, :, 0]

    def backward(self, grad):
        n, c, h, w = grad.shape
        return ((self.blocks == self.peak) * grad[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)

    def params(self):
        return []


class Dense:
    def __init__(self, rng, width_in, width_out):
        self.weight = rng.normal(0, np.sqrt(1 / width_in), (width_out, width_in)).astype(np.float32)
        self.bias = np.zeros(width_out, np.float32)

    def forward(self, x):
        self.shape = x.shape
        self.x = x.reshape(len(x), -1)
        return self.x @ self.weight.T + self.bias

    def backward(self, grad):
        self.grads = [grad.T @ self.x, grad.sum(0)]
        return (grad @ self.weight).reshape(self.shape)

    def params(self):
        return [self.weight, self.bias]


class Adam:
    """Kingma & Ba 2014, with the usual betas; updates the arrays in place."""

    def __init__(self, params):
        self.params, self.step = params, 0
        self.mean = [np.zeros_like(p) for p in params]
        self.square = [np.zeros_like(p) for p in params]

    def update(self, grads, rate):
        self.step += 1
        for param, grad, mean, square in zip(self.params, grads, self.mean, self.square):
            mean += 0.1 * (grad - mean)
            square += 0.001 * (grad * grad - square)
            param -= rate * (mean / (1 - 0.9**self.step)) / (np.sqrt(square / (1 - 0.999**self.step)) + 1e-8)


def make_net(rng):
    return [Conv(rng, 1, 16), Relu(), Conv(rng, 16, 32), Relu(), MaxPool(), Conv(rng, 32, 32), Relu(), MaxPool(),
            Dense(rng, 32 * 2 * 2, 10)]


def forward(net, x):
    for layer in net:
        x = layer.forward(x)
    return x


def shifted(rng, images):
    """Moves each image by up to one pixel each way, so that position is not learned by heart."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dy, dx = rng.integers(0, 3, (2, len(images)))
    return np.stack([image[:, y : y + 8, x : x + 8] for image, y, x in zip(padded, dy, dx)])


def train(images, labels, epochs):
    rng = np.random.default_rng(SEED)
    net = make_net(rng)
    layers = [layer for layer in net if layer.params()]
    adam = Adam([param for layer in layers for param in layer.params()])
    for epoch in range(epochs):
        rate, total = 2e-3 * (1 + np.cos(np.pi * epoch / epochs)) / 2, 0.0
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            logits = forward(net, shifted(rng, images[batch]))
            grad = softmax(logits)
            total -= np.log(grad[np.arange(len(batch)), labels[batch]] + 1e-9).sum()
            grad[np.arange(len(batch)), labels[batch]] -= 1
            grad /= len(batch)
            for layer in reversed(net):
                grad = layer.backward(grad)
            adam.update([g for layer in layers for g in layer.grads], np.float32(rate))
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(images):.4f}")
    return net


def softmax(logits):
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def export(net, accuracy, path):
    conv1, conv2, conv3, dense = (layer for layer in net if layer.params())
    initializers = []
    for name, layer in (("conv1", conv1), ("conv2", conv2), ("conv3", conv3), ("dense", dense)):
        initializers += [numpy_helper.from_array(layer.weight, f"{name}.weight"), numpy_helper.from_array(layer.bias, f"{name}.bias")]

    def conv(name, x):
        return helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [name], name=name, kernel_shape=[3, 3], pads=[1] * 4)

    def pool(name, x):
        return helper.make_node("MaxPool", [x], [name], name=name, kernel_shape=[2, 2], strides=[2, 2])

    nodes = [
        conv("conv1", "image"), helper.make_node("Relu", ["conv1"], ["relu1"], name="relu1"),
        conv("conv2", "relu1"), helper.make_node("Relu", ["conv2"], ["relu2"], name="relu2"), pool("pool2", "relu2"),
        conv("conv3", "pool2"), helper.make_node("Relu", ["conv3"], ["relu3"], name="relu3"), pool("pool3", "relu3"),
        helper.make_node("Flatten", ["pool3"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "dense.weight", "dense.bias"], ["logits"], name="dense", transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], name="softmax", axis=-1),
    ]
    graph = helper.make_graph(
        nodes, "digits", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10, producer_name="kapell examples/digits")
    helper.set_model_props(model, {
        "labels": "\n".join("0123456789"),
        "image": "gray; resize=area; range=0..1",
        "accuracy": f"{accuracy:.4f}",
        "held_out": str(data.HELD_OUT_COUNT),
        "data": "scikit-learn load_digits",
    })
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_pictures(folder):
    """Twelve digits of the held-out quarter as LABEL-INDEX.png, 64x64: each pixel is a square of eight."""
    folder.mkdir(exist_ok=True)
    for index, label in data.picture_indices():
        square = np.kron(data.pixels()[index], np.ones((8, 8), np.uint8))
        Image.fromarray(square).save(folder / f"{label}-{index:04}.png", optimize=True)


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=pathlib.Path, default=here)
    options = parser.parse_args()
    (images, labels), (held_images, held_labels) = data.split()
    net = train(images, labels, options.epochs)
    accuracy = (forward(net, held_images).argmax(1) == held_labels).mean()
    print(f"accuracy on the {len(held_labels)} held-out digits: {accuracy:.2%}")
    export(net, accuracy, options.out / "digits.onnx")
    write_pictures(options.out / "pictures")


if __name__ == "__main__":
    main()
