"""Segmenters and detectors: torchvision's, a U-Net, YOLOv8."""

import torch
import torchvision
from torch import nn
from torchvision import models
from torchvision.models import detection

from exports.catalogue import Net, net, noise, settle

def steps(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
                         nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class UNet(nn.Module):
    """Two ways up: transposed convolutions, or interpolation with corners aligned."""

    def __init__(self, transposed, width=32, depth=4):
        super().__init__()
        widths = [width << i for i in range(depth + 1)]
        self.down = nn.ModuleList(steps(i, o) for i, o in zip([3, *widths], widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 2, stride=2) if transposed
            else nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(2 * w, w, 1))
            for w in reversed(widths[:-1]))
        self.join = nn.ModuleList(steps(2 * w, w) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        kept = []
        for i, down in enumerate(self.down):
            x = down(x if i == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        kept.pop()
        for up, join in zip(self.up, self.join):
            x = join(torch.cat([kept.pop(), up(x)], 1))
        return self.last(x)


@net()
def unet_transposed():
    return Net(settle(UNet(True), noise(2, 3, 64, 64, seed=5)), (noise(1, 3, 160, 160),), more=((noise(1, 3, 96, 128, seed=1),),),
               dynamic={0: {2: "height", 3: "width"}})


@net(script=(13, 17))
def unet_bilinear():
    return Net(settle(UNet(False), noise(2, 3, 64, 64, seed=5)), (noise(1, 3, 160, 160),))


@net()
def deeplab():
    module = models.segmentation.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None)
    settle(module, noise(2, 3, 96, 96, seed=5))

    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            return self.inner(x)["out"]
    return Net(First(), (noise(1, 3, 224, 224),))


class Conv(nn.Sequential):
    def __init__(self, inputs, outputs, size=1, stride=1):
        super().__init__(nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs, eps=1e-3), nn.SiLU())


class Bottlenecks(nn.Module):
    """YOLOv8's C2f: halves, a chain of bottlenecks, and all of it concatenated."""

    def __init__(self, inputs, outputs, count, add):
        super().__init__()
        self.half, self.add = outputs // 2, add
        self.first = Conv(inputs, outputs)
        self.chain = nn.ModuleList(nn.Sequential(Conv(self.half, self.half, 3), Conv(self.half, self.half, 3)) for _ in range(count))
        self.last = Conv((2 + count) * self.half, outputs)

    def forward(self, x):
        parts = list(self.first(x).chunk(2, 1))
        for block in self.chain:
            parts.append(parts[-1] + block(parts[-1]) if self.add else block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """YOLOv8's SPPF."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.last = Conv(channels, channels // 2), Conv(2 * channels, channels)

    def forward(self, x):
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(nn.functional.max_pool2d(parts[-1], 5, 1, 2))
        return self.last(torch.cat(parts, 1))


class Yolo(nn.Module):
    """YOLOv8 nano's layers, its decoding of boxes, and torchvision's non-maximum suppression over them."""

    classes, bins = 80, 16

    def __init__(self, size, suppress):
        super().__init__()
        w = 16
        self.suppress = suppress
        self.stem = nn.Sequential(Conv(3, w, 3, 2), Conv(w, 2 * w, 3, 2), Bottlenecks(2 * w, 2 * w, 1, True), Conv(2 * w, 4 * w, 3, 2))
        self.p3 = Bottlenecks(4 * w, 4 * w, 2, True)
        self.p4 = nn.Sequential(Conv(4 * w, 8 * w, 3, 2), Bottlenecks(8 * w, 8 * w, 2, True))
        self.p5 = nn.Sequential(Conv(8 * w, 16 * w, 3, 2), Bottlenecks(16 * w, 16 * w, 1, True), Pyramid(16 * w))
        self.up4, self.up3 = Bottlenecks(24 * w, 8 * w, 1, False), Bottlenecks(12 * w, 4 * w, 1, False)
        self.down3, self.down4 = Conv(4 * w, 4 * w, 3, 2), Conv(8 * w, 8 * w, 3, 2)
        self.join4, self.join5 = Bottlenecks(12 * w, 8 * w, 1, False), Bottlenecks(24 * w, 16 * w, 1, False)
        head = lambda c, mid, out: nn.Sequential(Conv(c, mid, 3), Conv(mid, mid, 3), nn.Conv2d(mid, out, 1))
        levels = (4 * w, 8 * w, 16 * w)
        self.boxes = nn.ModuleList(head(c, 64, 4 * self.bins) for c in levels)
        self.scores = nn.ModuleList(head(c, 80, self.classes) for c in levels)
        points, strides = [], []
        for stride in (8, 16, 32):
            side = torch.arange(size // stride) + 0.5
            y, x = torch.meshgrid(side, side, indexing="ij")
            points.append(torch.stack([x, y], -1).reshape(-1, 2))
            strides.append(torch.full((points[-1].shape[0], 1), float(stride)))
        self.register_buffer("points", torch.cat(points).T.unsqueeze(0))
        self.register_buffer("strides", torch.cat(strides).T)
        self.register_buffer("steps", torch.arange(self.bins, dtype=torch.float32).reshape(1, self.bins, 1, 1))

    def forward(self, x):
        up = lambda t: nn.functional.interpolate(t, scale_factor=2.0, mode="nearest")
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.up4(torch.cat([up(p5), p4], 1))
        n3 = self.up3(torch.cat([up(n4), p3], 1))
        n4 = self.join4(torch.cat([self.down3(n3), n4], 1))
        n5 = self.join5(torch.cat([self.down4(n4), p5], 1))
        levels = [torch.cat([b(t), s(t)], 1).reshape(x.shape[0], 4 * self.bins + self.classes, -1)
                  for b, s, t in zip(self.boxes, self.scores, (n3, n4, n5))]
        box, score = torch.cat(levels, 2).split((4 * self.bins, self.classes), 1)
        spread = box.reshape(x.shape[0], 4, self.bins, -1).transpose(2, 1).softmax(1)
        left, right = (spread * self.steps).sum(1).chunk(2, 1)
        corners = torch.cat([self.points - left, self.points + right], 1) * self.strides
        score = score.sigmoid()
        if not self.suppress:
            return torch.cat([corners, score], 1)
        best, kind = score[0].max(0)
        keep = torchvision.ops.nms(corners[0].T, best, 0.6)
        return corners[0].T[keep], best[keep], kind[keep]


@net()
def yolo_v8():
    module = settle(Yolo(320, False), noise(2, 3, 320, 320, seed=5))
    return Net(module, (noise(1, 3, 320, 320),))


@net(script=(13, 17), dynamo=(20,))
def yolo_v8_nms():
    module = Yolo(64, False)  # small: among few boxes no two scores lie so near each other that rounding orders them
    settle(module, noise(2, 3, 64, 64, seed=5))
    module.suppress = True
    return Net(module, (noise(1, 3, 64, 64),))


def detector(name, make, size, **more):
    def build():
        module = make(weights=None, weights_backbone=None, **more)

        class Plain(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = module

            def forward(self, x):
                found = self.inner([x])[0]
                return found["boxes"], found["scores"], found["labels"]
        return Net(Plain(), (torch.rand(3, size, size, generator=torch.Generator().manual_seed(0)),))
    # Scores of random weights hardly differ: which boxes are the best ones is rounding, in which the exported graph is not PyTorch's.
    net(dynamo=(), why="the newer exporter cannot follow torchvision's detectors", name=name, beside=("ONNX Runtime",))(build)


detector("ssdlite", detection.ssdlite320_mobilenet_v3_large, 320, score_thresh=0.001)
detector("faster_rcnn", detection.fasterrcnn_mobilenet_v3_large_320_fpn, 320, box_score_thresh=0.011)
detector("retinanet", detection.retinanet_resnet50_fpn, 128, min_size=128, max_size=128, score_thresh=0.01)
detector("mask_rcnn", detection.maskrcnn_resnet50_fpn, 128, min_size=128, max_size=128, box_score_thresh=0.011)
