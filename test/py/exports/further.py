"""Architectures beyond those whose forms guided the fusions: what a stranger may bring."""

import torch
import transformers
from torch import nn
from torch.nn import functional as f
from torchvision import models

from exports.catalogue import Net, net, noise, settle, whole
from exports.language import TEXT, masked


class With(nn.Module):
    """A module called in a way of its own."""

    def __init__(self, inner, call):
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, *args):
        return self.call(self.inner, *args)


STUCK = "the newer exporter cannot decompose it"


def pictures(name, make, size, settled=True, frames=None, script=(17,), dynamo=(20,), call=None):
    def build():
        module, shape = make(), (1, 3, *([frames] if frames else []), size, size)
        if settled:
            settle(module, noise(2, *shape[1:], seed=5))
        return Net(With(module, call or (lambda inner, x: inner(x))), (noise(*shape),))
    net(script, dynamo, "" if dynamo else STUCK, name=name)(build)


def seen(o):
    return o.last_hidden_state


pictures("inception_v3", lambda: models.inception_v3(weights=None, aux_logits=False, init_weights=False), 299)
pictures("resnext50", lambda: models.resnext50_32x4d(weights=None), 224)
pictures("vgg11", lambda: models.vgg11_bn(weights=None).features, 224)
pictures("alexnet", lambda: models.alexnet(weights=None).features, 224, settled=False)
pictures("efficientnet_v2_s", lambda: models.efficientnet_v2_s(weights=None), 224)
pictures("swin_v2_t", lambda: models.swin_v2_t(weights=None), 256, settled=False)
pictures("lraspp", lambda: models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None), 224, call=lambda inner, x: inner(x)["out"])
pictures("video_r3d_18", lambda: models.video.r3d_18(weights=None), 64, frames=8)
pictures("video_r2plus1d_18", lambda: models.video.r2plus1d_18(weights=None), 64, frames=8)
pictures("video_s3d", lambda: models.video.s3d(weights=None), 224, frames=16)


def seer(name, kind, size, settled=False, pick=seen, dynamo=(20,), **more):
    pictures(name, lambda: kind(kind.config_class(**more)), size, settled, dynamo=dynamo, call=lambda inner, x: pick(inner(pixel_values=x)))


seer("mobilevit", transformers.MobileViTModel, 256, settled=True)
seer("segformer", transformers.SegformerForSemanticSegmentation, 224, settled=True, pick=lambda o: o.logits)
seer("poolformer", transformers.PoolFormerModel, 224)
seer("dinov2", transformers.Dinov2Model, 224, num_hidden_layers=4)
seer("beit", transformers.BeitModel, 224, dynamo=(), num_hidden_layers=4, use_relative_position_bias=True)
seer("convnext_v2", transformers.ConvNextV2Model, 224)
seer("levit", transformers.LevitModel, 224, settled=True)
seer("pvt_v2", transformers.PvtV2Model, 224, settled=True)
seer("cvt", transformers.CvtModel, 224, settled=True)
seer("focalnet", transformers.FocalNetModel, 224)
seer("swin2sr", transformers.Swin2SRForImageSuperResolution, 64, pick=lambda o: o.reconstruction, depths=[2, 2], num_heads=[6, 6])
seer("clip_vision", transformers.CLIPVisionModel, 224, num_hidden_layers=4)
seer("sam_vision", transformers.SamVisionModel, 256, dynamo=(), num_hidden_layers=3, image_size=256, global_attn_indexes=[2], hidden_size=384, num_attention_heads=6)
seer("yolos", transformers.YolosForObjectDetection, 224, pick=lambda o: (o.logits, o.pred_boxes), image_size=[224, 224], num_hidden_layers=4)


def reader(name, kind, script=(17,), dynamo=(20,), pick=seen, **more):
    def build():
        model = kind(kind.config_class(**more))
        vocabulary = model.config.vocab_size
        return Net(With(model, lambda inner, ids, mask: pick(inner(input_ids=ids, attention_mask=mask))), masked(2, 64, vocabulary),
                   more=(masked(1, 17, vocabulary, seed=1),), dynamic=TEXT)
    net(script, dynamo, "" if dynamo else STUCK, name=name)(build)


def logits(o):
    return o.logits


small = {"num_hidden_layers": 3, "vocab_size": 5000}
reader("albert", transformers.AlbertModel, hidden_size=768, num_attention_heads=12, intermediate_size=3072, **small)
reader("electra", transformers.ElectraModel, **small)
reader("mpnet", transformers.MPNetModel, **small)
reader("mobilebert", transformers.MobileBertModel, **small)
reader("squeezebert", transformers.SqueezeBertModel, **small)
reader("convbert", transformers.ConvBertModel, **small)
reader("xlnet", transformers.XLNetModel, dynamo=(), n_layer=3, vocab_size=5000, d_model=512, n_head=8, d_inner=2048)
reader("clip_text", transformers.CLIPTextModel, num_hidden_layers=3, vocab_size=5000)
reader("opt", transformers.OPTForCausalLM, pick=logits, use_cache=False, **small)
reader("bloom", transformers.BloomForCausalLM, pick=logits, use_cache=False, hidden_size=512, n_layer=3, n_head=8, vocab_size=5000)
reader("gpt_neox", transformers.GPTNeoXForCausalLM, pick=logits, use_cache=False, hidden_size=512, num_attention_heads=8, intermediate_size=2048, **small)
reader("phi", transformers.PhiForCausalLM, pick=logits, use_cache=False, hidden_size=512, num_attention_heads=8, intermediate_size=2048, **small)
reader("gemma", transformers.GemmaForCausalLM, pick=logits, use_cache=False, hidden_size=512, num_attention_heads=8, num_key_value_heads=2, head_dim=64, intermediate_size=1536, **small)


def pair(name, kind, script=(17,), dynamo=(20,), why="", **more):
    """An encoder and a decoder over its states."""
    def build():
        model = kind(kind.config_class(**more))
        call = lambda inner, ids, fresh: inner(input_ids=ids, decoder_input_ids=fresh, use_cache=False).logits
        return Net(With(model, call), (whole(5000, 2, 40), whole(5000, 2, 12, seed=1)), more=((whole(5000, 1, 9), whole(5000, 1, 5, seed=1)),),
                   dynamic={0: {0: "batch", 1: "length"}, 1: {0: "batch", 1: "fresh"}})
    net(script, dynamo, why, name=name)(build)


pair("t5", transformers.T5ForConditionalGeneration, dynamo=(), why=STUCK, num_layers=3, vocab_size=5000)
pair("bart", transformers.BartForConditionalGeneration, encoder_layers=2, decoder_layers=2, vocab_size=5000, d_model=512, encoder_attention_heads=8,
     decoder_attention_heads=8)


@net(script=(), why="the older exporter knows no diff")
def whisper_decoder():
    config = transformers.WhisperConfig(d_model=384, decoder_layers=4, decoder_attention_heads=6, decoder_ffn_dim=1536, vocab_size=5000, pad_token_id=0, bos_token_id=1,
                                         eos_token_id=2, decoder_start_token_id=1)
    model = transformers.models.whisper.modeling_whisper.WhisperDecoder(config)
    call = lambda inner, ids, states: inner(input_ids=ids, encoder_hidden_states=states, use_cache=False).last_hidden_state
    return Net(With(model, call), (whole(5000, 1, 8), noise(1, 300, 384)), more=((whole(5000, 1, 1), noise(1, 300, 384)),), dynamic={0: {1: "length"}})


@net()
def conformer():
    config = transformers.Wav2Vec2ConformerConfig(num_hidden_layers=2, hidden_size=256, intermediate_size=1024, num_attention_heads=4, position_embeddings_type="relative")
    model = transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer.Wav2Vec2ConformerEncoder(config)
    return Net(With(settle(model, noise(2, 50, 256)), lambda inner, x: inner(x).last_hidden_state), (noise(1, 120, 256),))


@net()
def audio_spectrogram():
    model = transformers.ASTModel(transformers.ASTConfig(num_hidden_layers=3, max_length=256))
    return Net(With(model, lambda inner, x: seen(inner(x))), (noise(1, 256, 128),))


@net(dynamo=(), why=STUCK)
def encodec():
    model = transformers.EncodecModel(transformers.EncodecConfig(num_filters=16, hidden_size=64))
    return Net(With(model, lambda inner, x: inner.decoder(inner.encoder(x))), (noise(1, 1, 8000),))


@net(script=(), why="what the older exporter writes is no valid model")
def patch_tst():
    config = transformers.PatchTSTConfig(num_input_channels=4, context_length=128, patch_length=8, patch_stride=8, prediction_length=24, num_hidden_layers=3)
    return Net(With(settle(transformers.PatchTSTForPrediction(config), noise(4, 128, 4)), lambda inner, x: inner(past_values=x).prediction_outputs), (noise(2, 128, 4),))


# --- by hand ---------------------------------------------------------------------------------------------------------------------------
class Residual(nn.Module):
    """A block of a diffusion U-Net: group normalization, SiLU, a step's embedding added."""

    def __init__(self, inputs, outputs, step):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, outputs)
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.step, self.skip = nn.Linear(step, outputs), nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, step):
        h = self.conv1(f.silu(self.norm1(x))) + self.step(f.silu(step))[:, :, None, None]
        return self.skip(x) + self.conv2(f.silu(self.norm2(h)))


class Look(nn.Module):
    """Attention of a picture's points over each other, or over a text's states."""

    def __init__(self, width, heads, text=None):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(8, width)
        self.q, self.k, self.v = nn.Linear(width, width, bias=False), nn.Linear(text or width, width, bias=False), nn.Linear(text or width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x, text=None):
        n, c, h, w = x.shape
        points = self.norm(x).reshape(n, c, h * w).transpose(1, 2)
        text = points if text is None else text
        cut = lambda t: t.reshape(n, t.shape[1], self.heads, -1).transpose(1, 2)
        y = f.scaled_dot_product_attention(cut(self.q(points)), cut(self.k(text)), cut(self.v(text)))
        return x + self.out(y.transpose(1, 2).reshape(n, h * w, c)).transpose(1, 2).reshape(n, c, h, w)


class Diffusion(nn.Module):
    def __init__(self, width=64, text=128):
        super().__init__()
        self.first, self.last, self.width = nn.Conv2d(4, width, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1), width
        self.time = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        self.down1, self.down2 = Residual(width, width, 4 * width), Residual(width, 2 * width, 4 * width)
        self.look1, self.look2 = Look(2 * width, 4), Look(2 * width, 4, text)
        self.shrink, self.middle = nn.Conv2d(width, width, 3, 2, 1), Residual(2 * width, 2 * width, 4 * width)
        self.up1, self.up2 = Residual(4 * width, 2 * width, 4 * width), Residual(3 * width, width, 4 * width)
        self.norm = nn.GroupNorm(8, width)

    def forward(self, x, time, text):
        angle = time[:, None].float() * torch.exp(-9.2 * torch.arange(self.width // 2) / (self.width // 2))
        time = self.time(torch.cat([angle.sin(), angle.cos()], -1))
        a = self.down1(self.first(x), time)
        b = self.look2(self.look1(self.down2(self.shrink(a), time)), text)
        c = self.up1(torch.cat([self.middle(b, time), b], 1), time)
        c = self.up2(torch.cat([f.interpolate(c, scale_factor=2.0), a], 1), time)
        return self.last(f.silu(self.norm(c)))


@net(script=(17,), dynamo=(18, 20))
def diffusion():
    return Net(Diffusion(), (noise(1, 4, 32, 32), torch.tensor([17]), noise(1, 20, 128)))


class WaveNet(nn.Module):
    def __init__(self, width=64, layers=10, stacks=2):
        super().__init__()
        self.first = nn.Conv1d(1, width, 1)
        self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=2 ** (i % layers)) for i in range(layers * stacks))
        self.outs = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(layers * stacks))
        self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(), nn.Conv1d(width, 256, 1))

    def forward(self, x):
        x, total = self.first(x), 0
        for gate, out in zip(self.gates, self.outs):
            a, b = gate(f.pad(x, (gate.dilation[0], 0))).chunk(2, 1)
            y, kept = out(torch.tanh(a) * torch.sigmoid(b)).chunk(2, 1)
            x, total = x + y, total + kept
        return self.last(total)


@net()
def wavenet():
    return Net(WaveNet(), (noise(1, 1, 2048),))


@net()
def temporal_conv():
    layers = []
    for i, (a, b) in enumerate(((25, 64), (64, 64), (64, 64), (64, 64))):
        layers += [nn.ConstantPad1d((6 * 2 ** i, 0), 0.0), nn.Conv1d(a, b, 7, dilation=2 ** i), nn.ReLU(), nn.BatchNorm1d(b)]
    return Net(settle(nn.Sequential(*layers), noise(2, 25, 200)), (noise(1, 25, 600),))


@net()
def vocoder():
    """HiFi-GAN's way up: transposed convolutions, then dilated ones."""
    def rest(c):
        return nn.ModuleList(nn.Sequential(nn.LeakyReLU(0.1), nn.Conv1d(c, c, k, padding=(k - 1) // 2 * d, dilation=d)) for k in (3, 7) for d in (1, 3))

    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(80, 256, 7, padding=3)
            self.ups = nn.ModuleList(nn.ConvTranspose1d(256 >> i, 128 >> i, 2 * u, u, u // 2) for i, u in enumerate((8, 8, 2)))
            self.rests = nn.ModuleList(rest(128 >> i) for i in range(3))
            self.last = nn.Conv1d(32, 1, 7, padding=3)

        def forward(self, x):
            x = self.first(x)
            for up, rest in zip(self.ups, self.rests):
                x = up(f.leaky_relu(x, 0.1))
                for part in rest:
                    x = x + part(x)
            return torch.tanh(self.last(f.leaky_relu(x, 0.1)))
    return Net(Up(), (noise(1, 80, 60),))


@net()
def unet_3d():
    step = lambda i, o: nn.Sequential(nn.Conv3d(i, o, 3, padding=1), nn.InstanceNorm3d(o, affine=True), nn.LeakyReLU(0.01))

    class Solid(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = step(1, 16), step(16, 32), step(32, 64)
            self.up1, self.up2 = nn.ConvTranspose3d(64, 32, 2, 2), nn.ConvTranspose3d(32, 16, 2, 2)
            self.d, self.e, self.last = step(64, 32), step(32, 16), nn.Conv3d(16, 3, 1)

        def forward(self, x):
            a = self.a(x)
            b = self.b(f.max_pool3d(a, 2))
            x = self.d(torch.cat([self.up1(self.c(f.max_pool3d(b, 2))), b], 1))
            return self.last(self.e(torch.cat([self.up2(x), a], 1)))
    return Net(Solid(), (noise(1, 1, 32, 48, 48),))


@net(script=(), why="the older exporter takes no index_add of repeated places")
def graph_conv():
    class Graph(nn.Module):
        """Two convolutions over edges: states gathered at their sources and added at their ends, then a pooling by graph."""

        def __init__(self):
            super().__init__()
            self.a, self.b, self.last = nn.Linear(32, 64), nn.Linear(64, 64), nn.Linear(64, 7)

        def mix(self, x, source, end):
            count = torch.zeros(x.shape[0]).index_add(0, end, torch.ones(end.shape[0])).clamp(min=1)
            return x + torch.zeros_like(x).index_add(0, end, x[source]) / count[:, None]

        def forward(self, x, edges, graph):
            x = f.relu(self.mix(self.a(x), edges[0], edges[1]))
            x = f.relu(self.mix(self.b(x), edges[0], edges[1]))
            pooled = torch.zeros(8, 64).scatter_reduce(0, graph[:, None].expand(-1, 64), x, "amax", include_self=False)
            return self.last(pooled)
    return Net(Graph(), (noise(400, 32), whole(400, 2, 3000), whole(8, 400)))


@net(script=(), dynamo=(20,), why="the older exporter writes attention by hand")
def graph_attention():
    class Attend(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.left, self.right = nn.Linear(32, 4 * 16), nn.Parameter(noise(4, 16)), nn.Parameter(noise(4, 16, seed=1))

        def forward(self, x, edges):
            h = self.a(x).reshape(-1, 4, 16)
            score = f.leaky_relu((h * self.left).sum(-1)[edges[0]] + (h * self.right).sum(-1)[edges[1]], 0.2).exp()
            total = torch.zeros(x.shape[0], 4).index_add(0, edges[1], score)
            out = torch.zeros_like(h).index_add(0, edges[1], h[edges[0]] * (score / total[edges[1]])[:, :, None])
            return f.elu(out.flatten(1))
    return Net(Attend(), (noise(300, 32), torch.cat([whole(300, 2, 2000), torch.arange(300).expand(2, 300)], 1)))


@net(script=(17,), dynamo=(20,))
def point_net():
    step = lambda i, o: nn.Sequential(nn.Conv1d(i, o, 1), nn.BatchNorm1d(o), nn.ReLU())
    turn = nn.Sequential(step(3, 64), step(64, 128), step(128, 512))
    feature = nn.Sequential(step(3, 64), step(64, 128), nn.Conv1d(128, 512, 1))

    class Points(nn.Module):
        def __init__(self):
            super().__init__()
            self.turn, self.head, self.feature = turn, nn.Linear(512, 9), feature
            self.last = nn.Sequential(nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 40))

        def forward(self, x):
            m = self.head(self.turn(x).max(2)[0]).reshape(-1, 3, 3) + torch.eye(3)
            return f.log_softmax(self.last(self.feature(torch.bmm(m, x)).max(2)[0]), -1)
    return Net(settle(Points(), noise(4, 3, 256)), (noise(2, 3, 1024),))


@net()
def style_conv():
    class Styled(nn.Module):
        """Filters scaled by a style, as StyleGAN has them: convolutions whose filters are no constants."""

        def __init__(self):
            super().__init__()
            self.filters = nn.ParameterList(noise(64, 64, 3, 3, seed=i) for i in range(3))
            self.styles = nn.ModuleList(nn.Linear(128, 64) for _ in range(3))
            self.last = nn.Conv2d(64, 3, 1)

        def forward(self, x, style):
            for filters, turn in zip(self.filters, self.styles):
                w = filters * (turn(style)[0] + 1)[None, :, None, None]
                w = w * torch.rsqrt(w.pow(2).sum((1, 2, 3), keepdim=True) + 1e-8)
                x = f.leaky_relu(f.conv2d(x, w, padding=1), 0.2)
            return self.last(x)
    return Net(Styled(), (noise(1, 64, 48, 48), noise(1, 128)))


@net()
def super_resolution():
    module = nn.Sequential(nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh(), nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3))
    return Net(module, (noise(1, 1, 96, 96),), more=((noise(2, 1, 40, 56),),), dynamic={0: {0: "batch", 2: "height", 3: "width"}})


@net(script=(17,), dynamo=(20,))
def selective_scan():
    class Scan(nn.Module):
        """A state-space layer, its steps unrolled by the exporter."""

        def __init__(self, width=64, states=16):
            super().__init__()
            self.conv, self.into, self.out = nn.Conv1d(width, width, 4, padding=3, groups=width), nn.Linear(width, 2 * states + width), nn.Linear(width, width)
            self.a, self.states = nn.Parameter(-torch.rand(width, states)), states

        def forward(self, x):
            x = f.silu(self.conv(x.transpose(1, 2))[..., :x.shape[1]].transpose(1, 2))
            b, c, delta = self.into(x).split((self.states, self.states, x.shape[2]), -1)
            delta = f.softplus(delta)
            decay, fed = torch.exp(delta[..., None] * self.a), (delta * x)[..., None] * b[:, :, None]
            state, out = torch.zeros_like(decay[:, 0]), []
            for i in range(x.shape[1]):
                state = decay[:, i] * state + fed[:, i]
                out.append((state * c[:, i, None]).sum(-1))
            return self.out(torch.stack(out, 1))
    return Net(Scan(), (noise(1, 64, 64),))


@net()
def mixer():
    class Mix(nn.Module):
        def __init__(self, points=196, width=256):
            super().__init__()
            self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.a = nn.Sequential(nn.Linear(points, 384), nn.GELU(), nn.Linear(384, points))
            self.b = nn.Sequential(nn.Linear(width, 1024), nn.GELU(), nn.Linear(1024, width))

        def forward(self, x):
            x = x + self.a(self.n1(x).transpose(1, 2)).transpose(1, 2)
            return x + self.b(self.n2(x))
    return Net(nn.Sequential(Mix(), Mix(), Mix()), (noise(1, 196, 256),))


@net()
def conv_lstm():
    class Cell(nn.Module):
        def __init__(self, width=32):
            super().__init__()
            self.gates = nn.Conv2d(3 + width, 4 * width, 3, padding=1)
            self.width = width

        def forward(self, x):
            h = c = torch.zeros(x.shape[1], self.width, x.shape[3], x.shape[4])
            for frame in x:
                i, j, o, g = self.gates(torch.cat([frame, h], 1)).chunk(4, 1)
                c = torch.sigmoid(j) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            return h
    return Net(Cell(), (noise(6, 1, 3, 32, 32),))


@net()
def radiance_field():
    class Field(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential(nn.Linear(63, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
            self.b = nn.Sequential(nn.Linear(256 + 63, 256), nn.ReLU(), nn.Linear(256, 4))

        def forward(self, x):
            far = x[..., None] * 2.0 ** torch.arange(10)
            x = torch.cat([x, far.sin().flatten(-2), far.cos().flatten(-2)], -1)
            return self.b(torch.cat([self.a(x), x], -1))
    return Net(Field(), (noise(2048, 3),))
