"""Models of the transformers package with random weights, exported as they are, and a Llama-like decoder in plain torch."""

import torch
import transformers
from torch import nn
from torch.nn import functional as f

from exports.catalogue import Net, net, noise, whole

TEXT = {0: {0: "batch", 1: "length"}, 1: {0: "batch", 1: "length"}}


class Wrapped(nn.Module):
    """Takes ids and mask, gives tensors."""

    def __init__(self, inner, pick):
        super().__init__()
        self.inner, self.pick = inner, pick

    def forward(self, ids, mask):
        return self.pick(self.inner(input_ids=ids, attention_mask=mask))


def masked(batch, length, vocabulary, seed=0):
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length - length // 4:] = 0
    return whole(vocabulary, batch, length, seed=seed), mask


def encoder(model, vocabulary, pick, **more):
    return Net(Wrapped(model, pick), masked(2, 64, vocabulary), more=(masked(1, 17, vocabulary, seed=1),), dynamic=TEXT, **more)


@net()
def bert():
    config = transformers.BertConfig(num_hidden_layers=12, attn_implementation="sdpa")
    return encoder(transformers.BertModel(config), config.vocab_size, lambda o: (o.last_hidden_state, o.pooler_output))


@net(script=(13, 17))
def bert_eager():
    config = transformers.BertConfig(num_hidden_layers=4, attn_implementation="eager")
    return encoder(transformers.BertModel(config), config.vocab_size, lambda o: (o.last_hidden_state, o.pooler_output))


@net()
def distilbert():
    config = transformers.DistilBertConfig(attn_implementation="sdpa")
    return encoder(transformers.DistilBertForSequenceClassification(config), config.vocab_size, lambda o: o.logits)


@net()
def roberta():
    config = transformers.RobertaConfig(num_hidden_layers=4, vocab_size=5000, max_position_embeddings=514)
    return encoder(transformers.RobertaModel(config), config.vocab_size, lambda o: o.last_hidden_state)


@net()
def deberta():
    config = transformers.DebertaV2Config(num_hidden_layers=3, hidden_size=384, intermediate_size=1536, num_attention_heads=6, vocab_size=5000,
                                          relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=64, norm_rel_ebd="layer_norm",
                                          share_att_key=True, max_relative_positions=-1, position_biased_input=False, type_vocab_size=0)
    return encoder(transformers.DebertaV2Model(config), config.vocab_size, lambda o: o.last_hidden_state)


@net(dynamo=(), why="the newer exporter takes a reshape of transposed heads with free sizes for a view and fails to decompose it")
def t5_encoder():
    config = transformers.T5Config(num_layers=4, vocab_size=5000)
    return encoder(transformers.T5EncoderModel(config), config.vocab_size, lambda o: o.last_hidden_state)


@net()
def gpt2():
    config = transformers.GPT2Config(n_layer=12, use_cache=False)
    return encoder(transformers.GPT2LMHeadModel(config), config.vocab_size, lambda o: o.logits)


class Cached(nn.Module):
    """A decoder of the transformers package as a step: ids and the layers' keys and values in, logits and the longer ones out."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, ids, mask, *past):
        cache = transformers.DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        out = self.inner(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
        return (out.logits, *[t for layer in out.past_key_values.layers for t in (layer.keys, layer.values)])


def step(batch, fresh, past, layers, heads, width, vocabulary, seed=0):
    cache = [noise(batch, heads, past, width, seed=10 * seed + i) for i in range(2 * layers)]
    return (whole(vocabulary, batch, fresh, seed=seed), torch.ones(batch, past + fresh, dtype=torch.int64), *cache)


def cached(model, layers, heads, width, vocabulary, **more):
    make = lambda b, s, p, seed=0: step(b, s, p, layers, heads, width, vocabulary, seed)
    dynamic = {0: {0: "batch", 1: "fresh"}, 1: {0: "batch", 1: "total"}} | {2 + i: {0: "batch", 2: "past"} for i in range(2 * layers)}
    return Net(Cached(model), make(2, 3, 37), more=(make(1, 1, 100, 1), make(1, 1, 101, 2)), dynamic=dynamic, **more)


@net()
def gpt2_cache():
    config = transformers.GPT2Config(n_layer=6, vocab_size=5000)
    return cached(transformers.GPT2LMHeadModel(config), 6, 12, 64, 5000)


@net()
def llama():
    config = transformers.LlamaConfig(hidden_size=512, intermediate_size=1376, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=4,
                                      vocab_size=5000, use_cache=False)
    return encoder(transformers.LlamaForCausalLM(config), 5000, lambda o: o.logits)


@net()
def llama_cache():
    config = transformers.LlamaConfig(hidden_size=512, intermediate_size=1376, num_hidden_layers=6, num_attention_heads=8, num_key_value_heads=4,
                                      vocab_size=5000)
    return cached(transformers.LlamaForCausalLM(config), 6, 4, 64, 5000)


@net()
def qwen_cache():
    config = transformers.Qwen3Config(hidden_size=512, intermediate_size=1376, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2,
                                      vocab_size=5000, head_dim=64)
    return cached(transformers.Qwen3ForCausalLM(config), 4, 2, 64, 5000)


class Heard(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, features):
        return self.inner(features).last_hidden_state


@net()
def whisper_encoder():
    config = transformers.WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)
    return Net(Heard(transformers.models.whisper.modeling_whisper.WhisperEncoder(config)), (noise(1, 80, 3000),))


@net()
def wav2vec2():
    config = transformers.Wav2Vec2Config(num_hidden_layers=3, hidden_size=384, intermediate_size=1536, num_attention_heads=6)
    model = transformers.Wav2Vec2Model(config)
    torch.nn.utils.parametrize.remove_parametrizations(model.encoder.pos_conv_embed.conv, "weight")
    return Net(Heard(model), (noise(1, 16000),))


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class Block(nn.Module):
    """A layer of a Llama-like decoder with a cache that is concatenated."""

    def __init__(self, width, heads, groups):
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.q, self.o = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k, self.v = (nn.Linear(width, groups * self.size, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(width, 3 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(3 * width, width, bias=False)

    def turn(self, x, cos, sin):
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    def forward(self, x, cos, sin, mask, keys, values):
        n, s, _ = x.shape
        h = self.norm1(x)
        split = lambda t, m: t.view(n, s, m, self.size).transpose(1, 2)
        q, k, v = self.turn(split(self.q(h), self.heads), cos, sin), self.turn(split(self.k(h), self.groups), cos, sin), split(self.v(h), self.groups)
        if keys is not None:
            k, v = torch.cat([keys, k], 2), torch.cat([values, v], 2)
        more = self.heads // self.groups
        wide = lambda t: t[:, :, None].expand(n, self.groups, more, t.shape[2], self.size).reshape(n, self.heads, t.shape[2], self.size)
        out = f.scaled_dot_product_attention(q, wide(k), wide(v), attn_mask=mask)
        x = x + self.o(out.transpose(1, 2).reshape(n, s, -1))
        h = self.norm2(x)
        return x + self.down(f.silu(self.gate(h)) * self.up(h)), k, v


class Decoder(nn.Module):
    def __init__(self, width=384, layers=4, heads=6, groups=2, vocabulary=5000, length=512):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads, groups) for _ in range(layers))
        self.norm, self.head = Norm(width), nn.Linear(width, vocabulary, bias=False)
        size = width // heads
        angle = torch.outer(torch.arange(length).float(), 10000.0 ** (-torch.arange(0, size, 2).float() / size))
        self.register_buffer("cos", torch.cat([angle.cos()] * 2, -1))
        self.register_buffer("sin", torch.cat([angle.sin()] * 2, -1))

    def forward(self, ids, positions, mask, *past):
        x = self.tokens(ids)
        cos, sin = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        kept = []
        for i, block in enumerate(self.blocks):
            x, k, v = block(x, cos, sin, mask, *(past[2 * i:2 * i + 2] if past else (None, None)))
            kept += [k, v]
        return (self.head(self.norm(x)), *(kept if past else ()))


def plain_step(batch, fresh, past, seed=0, layers=4, groups=2, size=64):
    positions = torch.arange(past, past + fresh).expand(batch, fresh)
    reach = torch.arange(past + fresh)[None] <= positions[0][:, None]
    mask = torch.zeros(1, 1, fresh, past + fresh).masked_fill(~reach, -1e9)
    cache = [noise(batch, groups, past, size, seed=10 * seed + i) for i in range(2 * layers)] if past else []
    return (whole(5000, batch, fresh, seed=seed), positions.clone(), mask, *cache)


@net(script=(14, 17), dynamo=(18, 20))
def plain_llama():
    return Net(Decoder(), plain_step(2, 48, 0), more=(plain_step(1, 9, 0, 1),),
               dynamic={0: {0: "batch", 1: "length"}, 1: {0: "batch", 1: "length"}, 2: {2: "length", 3: "length"}})


@net(script=(17,), dynamo=(20, 23))
def plain_llama_cache():
    dynamic = {0: {0: "batch", 1: "fresh"}, 1: {0: "batch", 1: "fresh"}, 2: {2: "fresh", 3: "total"}} | {3 + i: {0: "batch", 2: "past"} for i in range(8)}
    return Net(Decoder(), plain_step(2, 3, 40), more=(plain_step(1, 1, 64, 1), plain_step(1, 1, 65, 2)), dynamic=dynamic)
