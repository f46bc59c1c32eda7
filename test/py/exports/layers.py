"""Single layers and functions whose exports are known to be peculiar."""

import itertools

import torch
from torch import nn
from torch.nn import functional as f

from exports.catalogue import Net, net, noise, whole


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


@net(script=(), dynamo=(18, 20, 23), why="the older exporter writes the batch of its example into the graph")
def transformer_encoder():
    layer = nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, activation="gelu")
    return Net(nn.TransformerEncoder(layer, 3, enable_nested_tensor=False), (noise(2, 40, 256),), more=((noise(1, 7, 256, seed=1),),),
               dynamic={0: {0: "batch", 1: "length"}})


@net()
def transformer_encoder_masked():
    layer = nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, norm_first=True)
    inner = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    pad = torch.zeros(2, 40, dtype=torch.bool)
    pad[1, 30:] = True

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x, padded):
            return self.inner(x, src_key_padding_mask=padded)
    return Net(Masked(), (noise(2, 40, 256), pad))


@net()
def transformer_decoder():
    layer = nn.TransformerDecoderLayer(128, 4, 256)
    inner = nn.TransformerDecoder(layer, 2)

    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x, memory):
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[0])
            return self.inner(x, memory, tgt_mask=mask, tgt_is_causal=True)
    return Net(Causal(), (noise(12, 2, 128), noise(20, 2, 128, seed=1)))


@net(dynamo=(20, 23))
def multihead_attention():
    inner = nn.MultiheadAttention(128, 4, batch_first=True)

    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, q, k):
            return self.inner(q, k, k, need_weights=True)
    return Net(Attend(), (noise(2, 9, 128), noise(2, 13, 128, seed=1)))


@net(script=(11, 17, 18), dynamo=(18, 21))
def group_norm():
    module = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.GroupNorm(8, 64), nn.SiLU(), nn.Conv2d(64, 64, 3, padding=1), nn.GroupNorm(32, 64), nn.SiLU(),
                           nn.Conv2d(64, 64, 3, 2, 1), nn.InstanceNorm2d(64, affine=True), nn.PReLU(64), nn.Conv2d(64, 8, 1))
    return Net(module, (noise(2, 3, 48, 48),))


@net(script=(13, 17), dynamo=(20, 23))
def layer_norms():
    def function(x):
        a = f.layer_norm(x, (64,))
        b = f.layer_norm(x, (16, 64))
        return a, b, f.normalize(x, dim=-1), f.local_response_norm(x, 3)
    return Net(Call(function), (noise(2, 8, 16, 64),))


@net(script=(), dynamo=(20, 23), why="the older exporter knows no rms_norm")
def rms_norm():
    call = Call(lambda x: f.rms_norm(x, (64,)))
    return Net(call, (noise(2, 8, 16, 64),))


def resized(mode, corners, how):
    more = {} if corners is None else {"align_corners": corners}
    where = {"scale": {"scale_factor": 2.0}, "size": {"size": (23, 31)}, "down": {"size": (7, 5)}}[how]

    def build():
        return Net(Call(lambda x: f.interpolate(x, mode=mode, **where, **more)), (noise(2, 3, 14, 20),))
    name = f"interpolate_{mode.replace('-', '_')}{'' if corners is None else '_corners' if corners else '_centres'}_{how}"
    if mode == "nearest-exact":
        net((), (18, 20), why="the older exporter knows no nearest-exact", name=name)(build)
    else:
        net((11, 13, 18), (18, 20), name=name)(build)


for _mode, _corners in [("nearest", None), ("nearest-exact", None), ("bilinear", False), ("bilinear", True), ("bicubic", False), ("bicubic", True)]:
    for _how in ("scale", "size", "down"):
        resized(_mode, _corners, _how)


@net()
def interpolate_linear():
    call = Call(lambda x: (f.interpolate(x, scale_factor=1.5, mode="linear"), f.interpolate(x, size=11, mode="nearest"),
                           f.interpolate(x[:, :, :, None].repeat(1, 1, 1, 6)[:, :, :16, None], size=(5, 3, 7), mode="trilinear")))
    return Net(call, (noise(1, 4, 16),))


@net(script=(), dynamo=(18, 20), why="the older exporter knows no antialias")
def interpolate_antialias():
    call = Call(lambda x: (f.interpolate(x, size=(9, 11), mode="bilinear", antialias=True), f.interpolate(x, size=(9, 11), mode="bicubic", antialias=True)))
    return Net(call, (noise(1, 3, 20, 30),))


@net(script=(11, 17), dynamo=(18, 20))
def interpolate_dynamic():
    call = Call(lambda x, y: f.interpolate(x, size=y.shape[2:], mode="bilinear", align_corners=False) + y)
    return Net(call, (noise(1, 3, 10, 12), noise(1, 3, 25, 30, seed=1)), more=((noise(1, 3, 7, 9, seed=2), noise(1, 3, 8, 40, seed=3)),),
               dynamic={0: {2: "h", 3: "w"}, 1: {2: "H", 3: "W"}})


def sampled(mode, pad, corners):
    def build():
        call = Call(lambda x, g: f.grid_sample(x, g, mode=mode, padding_mode=pad, align_corners=corners))
        return Net(call, (noise(2, 3, 14, 17), noise(2, 9, 11, 2, seed=1) * 0.8))
    net((16, 20), (18, 20), name=f"grid_sample_{mode}_{pad}{'_corners' if corners else ''}")(build)


for _case in itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True)):
    sampled(*_case)


@net(script=(20,))
def affine_warp():
    call = Call(lambda x, t: f.grid_sample(x, f.affine_grid(t, [2, 3, 14, 17], align_corners=False), align_corners=False))
    return Net(call, (noise(2, 3, 14, 17), noise(2, 2, 3, seed=1)))


@net(script=(18,))
def pixel_shuffles():
    call = Call(lambda x: (f.pixel_shuffle(x, 2), f.pixel_unshuffle(x, 3), f.unfold(x, 3, padding=1), f.fold(f.unfold(x, 2, stride=2), (12, 12), 2, stride=2)))
    return Net(call, (noise(2, 16, 12, 12),))


@net()
def paddings():
    call = Call(lambda x: (f.pad(x, (1, 2, 3, 0)), f.pad(x, (1, 2, 2, 1), mode="reflect"), f.pad(x, (1, 2, 2, 1), mode="replicate"),
                           f.pad(x, (1, 2, 2, 1), mode="circular"), f.pad(x, (-1, 2, 0, -2), value=3.5)))
    return Net(call, (noise(1, 3, 8, 9),))


@net()
def pools():
    call = Call(lambda x: (f.max_pool2d(x, 3, 2, 1, ceil_mode=True), f.avg_pool2d(x, 3, 2, 1, ceil_mode=True), f.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
                           f.lp_pool2d(x, 2, 3), f.adaptive_avg_pool2d(x, (5, 3)), f.adaptive_max_pool2d(x, (5, 3)), f.max_pool2d(x, 2, return_indices=True)[1]))
    return Net(call, (noise(2, 4, 15, 18),))


@net(script=(13, 18), dynamo=(18, 20, 23))
def activations():
    names = "relu relu6 elu selu celu gelu silu mish hardswish hardsigmoid hardtanh leaky_relu softplus softsign tanhshrink softshrink hardshrink logsigmoid sigmoid tanh"
    functions = [getattr(f, n) for n in names.split()]
    call = Call(lambda x: tuple(fn(x) for fn in functions) + (f.gelu(x, approximate="tanh"), f.glu(x), f.softmax(x, 1), f.log_softmax(x, -1), f.softmin(x, 0),
                                                               f.threshold(x, 0.0, 0.0), f.prelu(x, torch.tensor([0.2]))))
    return Net(call, (noise(3, 8, 10) * 3,))


@net(script=(17,))
def indexing():
    def function(x, i, mask):
        a = x[i]
        b = x[:, i, 1:5:2]
        c = x.clone()
        c[i, 2:4] = 7.0
        d = x.clone()
        d[:, i, i] += 1.0
        return (a, b, c, d, torch.where(mask, x, -x), x[mask], torch.nonzero(mask), x.gather(1, i.expand(6, 3)[:, :, None].expand(6, 3, 9)), x.flip(1), x.roll(2, 1),
                x.index_select(2, i), torch.index_add(x, 0, i, x[:3]), x.scatter_add(0, i[:, None, None].expand(3, 7, 9), x[:3]), x.index_put((i, i), x[0, 0, 0]),
                x.masked_fill(mask, 0.0), torch.tril(x), torch.triu(x, 1), x.diagonal(dim1=1, dim2=2), x.movedim(0, 2), x.unbind(1)[2])
    return Net(Call(function), (noise(6, 7, 9), torch.tensor([4, 0, 2]), noise(6, 7, 9, seed=1) > 0))


@net(script=(17,), dynamo=(), why="the newer exporter cannot convert it")
def distances():
    return Net(Call(torch.cdist), (noise(3, 7, 5), noise(3, 6, 5, seed=1)))


@net(script=(13, 18), dynamo=(18, 20))
def reductions():
    def function(x):
        return (x.sum(), x.mean((0, 2)), x.std(1), x.var(1, unbiased=False), x.norm(dim=1), torch.logsumexp(x, 2), x.max(1), x.min(), x.argmax(2), x.prod(1), x.cumsum(1),
                (x > 0).any(1), (x > 0).all(), x.amax((1, 2)), torch.topk(x, 3, 1), torch.sort(x, 1, descending=True), x.amin(0),
                torch.einsum("bij,bkj->bik", x, x), torch.linalg.vector_norm(x, 1, 2), f.cosine_similarity(x, x.flip(0), 2), torch.std_mean(x, 1))
    return Net(Call(function), (noise(3, 7, 5),))


@net(script=(18,))
def arithmetic():  # whole numbers from 0 on: the older exporter rounds their quotients towards 0
    def function(x, y, i, j):
        return (x.remainder(y), x.fmod(y), i // j, i % j, torch.div(i, j, rounding_mode="trunc"), torch.div(x, y, rounding_mode="floor"), i / j, x.pow(2), x.abs().pow(y), 2.0 ** x, x.round(),
                x.clamp(-0.5, 0.7), x.clamp(min=0.1), torch.maximum(x, y), torch.atan2(x, y), torch.lerp(x, y, 0.3), torch.addcmul(x, x, y, value=0.5), 
                x.isnan(), torch.isfinite(x / 0), x.sign(), x.log1p(), x.erf(), x.rsqrt(), x.logit(1e-3),
                i.float() * x, i + x, x > i, torch.logical_xor(x > 0, y > 0))
    return Net(Call(function), (noise(4, 5), noise(4, 5, seed=1), whole(20, 4, 5), whole(7, 4, 5) + 1))


@net(script=(), why="the older exporter knows none of them")
def arithmetic_newer():
    return Net(Call(lambda x: (x.exp2(), x.expm1(), x.frac(), x.trunc(), torch.sinc(x))), (noise(4, 5),))


@net(script=(), why="the older exporter knows none of them for integers")
def bits():
    call = Call(lambda i, j: (i & j, i | j, i ^ j, ~i, i << 1, i >> 1))
    return Net(call, (whole(20, 4, 5) - 9, whole(7, 4, 5) + 1))


@net(script=(17,))
def convolutions():
    class All(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(8, 16, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=4)
            self.b = nn.Conv2d(8, 12, 3, padding="same", padding_mode="reflect")
            self.c = nn.ConvTranspose2d(8, 6, 4, 2, 1, output_padding=1, groups=2)
            self.d = nn.Conv3d(2, 4, 3, padding=1)
            self.e = nn.ConvTranspose1d(8, 5, 5, 3, dilation=2)
            self.g = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.h = nn.Conv2d(8, 9, 2, padding="same")

        def forward(self, x):
            return self.a(x), self.b(x), self.c(x), self.d(x.reshape(2, 2, 4, 14, 18)), self.e(x[:, :, 0]), f.hardswish(self.g(x)) + x, self.h(x)
    return Net(All(), (noise(2, 8, 14, 18),))


@net(dynamo=(), why="the newer exporter takes no scripted module")
def loops():
    class Repeat(nn.Module):
        def forward(self, x, n: int):
            total = torch.zeros_like(x)
            for i in range(n):
                if i % 2 == 0:
                    total = total + x * float(i)
                else:
                    total = total - x
            return total
    return Net(torch.jit.script(Repeat()), (noise(3, 4), 5))


@net(script=(), why="the older exporter takes no complex numbers")
def stft():
    window = torch.hann_window(64)

    def function(x):
        s = torch.stft(x, 64, 16, window=window, return_complex=True, center=False)
        return torch.view_as_real(s)
    return Net(Call(function), (noise(2, 400),))
