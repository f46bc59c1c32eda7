"""com.microsoft's attention and what goes with it, beside ONNX Runtime."""

import numpy as np

from .base import array, oracle, pick, spec

MS = "com.microsoft"


def floats(rng, shape, dtype=np.float32):
    return (array(rng, shape, np.float32) / 2).astype(dtype)


def angles(rng, positions, count, dtype):
    x = rng.uniform(0, 6, [positions, count])
    return [np.cos(x).astype(dtype), np.sin(x).astype(dtype)]


def trimmed(inputs):
    while inputs[-1] is None:
        inputs.pop()
    return inputs


@spec("RotaryEmbedding", domain=MS)
def rotary(rng, version, name):
    dtype = pick(rng, [np.float32, np.float32, np.float16])
    batch, length, heads, size = int(rng.integers(1, 4)), int(rng.integers(1, 6)), int(rng.integers(1, 4)), 2 * int(rng.integers(1, 9))
    attrs, rotated, most = {}, size, int(rng.integers(length + 2, 20))
    if rng.random() < 0.5:
        attrs["interleaved"] = int(rng.integers(0, 2))
    flat = rng.random() < 0.6
    if rng.random() < 0.4:
        rotated = attrs["rotary_embedding_dim"] = 2 * int(rng.integers(1, size // 2 + 1))
        attrs["num_heads"] = heads
    x = floats(rng, [batch, length, heads * size] if flat else [batch, heads, length, size], dtype)
    if rng.random() < 0.4:
        ids = np.array([int(rng.integers(0, most - length))])
    else:
        ids = np.asarray(rng.integers(0, most, [batch, length]))
    return attrs, [x, ids.astype(np.int64)] + angles(rng, most, rotated // 2, dtype)


def kept(total, window, room):
    """Positions that a sliding cache of |room| holds after |total|: it fills up, is cut to the window, and fills up again."""
    return total if total <= room else window + (total - room - 1) % (room - window + 1)


@spec("GroupQueryAttention", domain=MS)
def grouped(rng, version, name):
    dtype = pick(rng, [np.float32, np.float32, np.float16])
    batch, kv_heads, size = int(rng.integers(1, 4)), int(rng.integers(1, 4)), 16 * int(rng.integers(1, 4))
    heads = kv_heads * int(pick(rng, [1, 2, 3]))
    attrs = {"num_heads": heads, "kv_num_heads": kv_heads}
    prompt = rng.random() < 0.4
    length = int(rng.integers(1, 7)) if prompt or rng.random() < 0.3 else 1
    if prompt:
        lengths = np.full([batch], length - 1)
        total, past = length, 0
    else:
        if length > 1:  # a later part of a prompt: ONNX Runtime has it for one sequence
            batch = 1
        lengths = np.asarray(rng.integers(length, length + 9, [batch]))
        total = int(lengths.max()) + 1
        past = total - length if rng.random() < 0.5 else total + int(rng.integers(0, 4))
    if prompt and rng.random() < 0.3:
        past = length + int(rng.integers(0, 5))
    packed = rng.random() < 0.4
    # Small in float16: ONNX Runtime rounds what it has rotated.
    query = floats(rng, [batch, length, (heads + 2 * kv_heads if packed else heads) * size], dtype) * dtype(1 if dtype == np.float32 else 0.25)
    key, value = [None if packed else floats(rng, [batch, length, kv_heads * size], dtype) for _ in range(2)]
    caches = [floats(rng, [batch, kv_heads, past, size], dtype) if past or not prompt else None for _ in range(2)]
    scales = [None, None]
    if dtype == np.float32 and rng.random() < 0.4:  # a cache in 8 or 4 bits; ONNX Runtime rounds float16 once more before it
        bits, kind = int(pick(rng, [8, 4])), str(pick(rng, ["PER_TENSOR", "PER_CHANNEL"]))
        attrs |= {"kv_cache_bit_width": bits, "k_quant_type": kind, "v_quant_type": kind}
        low, high, code, width = (-128, 128, np.int8, size) if bits == 8 else (0, 256, np.uint8, size // 2)
        caches = [np.asarray(rng.integers(low, high, [batch, kv_heads, past, width])).astype(code) for _ in range(2)]
        shape = [1] if kind == "PER_TENSOR" else [1, kv_heads, 1, size]
        scales = [rng.uniform(0.5, 1, shape).astype(np.float32) * np.float32(2 / high) for _ in range(2)]
    inputs = [query, key, value] + caches + [lengths.astype(np.int32), np.asarray([total] if rng.random() < 0.5 else total, np.int32)]
    inputs += [None] * 5 + scales
    if rng.random() < 0.5:
        attrs["do_rotary"] = 1
        inputs[7:9] = angles(rng, total + int(rng.integers(0, 4)), size // 2, dtype)
        if rng.random() < 0.5:
            attrs["rotary_interleaved"] = int(rng.integers(0, 2))
        if rng.random() < 0.3:
            first = lengths.reshape(-1, 1) + 1 - length
            inputs[9] = (first + np.arange(length)).astype(np.int64)
    if rng.random() < 0.3:
        inputs[10] = floats(rng, [pick(rng, [1, batch]), pick(rng, [1, heads]), length, total], dtype)
    if rng.random() < 0.25:
        inputs[11] = floats(rng, [heads], dtype)
    elif rng.random() < 0.2:
        attrs["smooth_softmax"] = 1
    if rng.random() < 0.3:
        attrs["local_window_size"] = int(rng.integers(1, 8))
    if rng.random() < 0.2:
        attrs["softcap"] = float(pick(rng, [0.5, 5.0, 30.0]))
    if rng.random() < 0.3:
        attrs["scale"] = float(rng.uniform(0.1, 1))
    outputs = ["y", "present_key", "present_value"]
    if inputs[3] is not None and rng.random() < 0.3 and "k_quant_type" not in attrs:
        # Full afterwards: what lies behind the positions that are kept is anything.
        sizes = [(w, c) for w in range(1, 6) for c in range(w, w + 4) if all(kept(int(n) + 1, w, c) == c for n in lengths)]
        attrs["local_window_size"], room = pick(rng, sizes or [(1, 1)])
        inputs[3:5] = [floats(rng, [batch, kv_heads, room, size], dtype) for _ in range(2)]
        attrs["sliding_window_cache"] = 1
    elif rng.random() < 0.2:
        attrs["qk_output"] = int(rng.integers(1, 3))
        outputs.append("qk")
    return attrs, trimmed(inputs), outputs


def mask_of(rng, batch, length, total, forms):
    """Whole numbers that hide keys, in one of the forms of mask_index and key_padding_mask."""
    form = pick(rng, forms)
    if form in ("ends", "ranges", "cumulated"):
        ends = rng.integers(1, total + 1, [batch])
        more = {"ends": [], "ranges": rng.integers(0, ends), "cumulated": rng.integers(0, 5, [2 * batch + 2])}[form]
        return np.concatenate([ends, more]).astype(np.int32)
    mask = rng.random([batch, total] if form == "keys" else [batch, length, total]) < 0.7
    return mask.astype(np.int32)


def bias_of(rng, batch, heads, length, total):
    return floats(rng, [pick(rng, [1, batch]), pick(rng, [1, heads]), length, total])


@spec("MultiHeadAttention", domain=MS)
def multi_head(rng, version, name):
    batch, heads, size = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 20))
    length, keys = int(rng.integers(1, 6)), int(rng.integers(1, 9))
    v_size = size if rng.random() < 0.7 else int(rng.integers(1, 20))
    attrs, past, presents = {"num_heads": heads}, [None, None], rng.random() < 0.2
    layout = pick(rng, ["plain", "plain", "plain", "cache", "query", "key"])
    if layout == "plain":
        if rng.random() < 0.4:
            keys = length  # a decoder's
            before, v_size = int(rng.integers(1, 6)), size
            past = [floats(rng, [batch, heads, before, w]) for w in (size, v_size)]
            presents = True
        inputs = [floats(rng, [batch, n, heads * w]) for n, w in ((length, size), (keys, size), (keys, v_size))]
    elif layout == "cache":
        v_size = size
        inputs = [floats(rng, [batch, length, heads * size])] + [floats(rng, [batch, heads, keys, w]) for w in (size, v_size)]
        presents = False
    elif layout == "query":
        keys, v_size, inputs = length, size, [floats(rng, [batch, length, heads, 3, size]), None, None]
    else:
        v_size, inputs = size, [floats(rng, [batch, length, heads * size]), floats(rng, [batch, keys, heads, 2, size]), None]
    total = keys + (past[0].shape[2] if past[0] is not None else 0)
    biased = rng.random() < 0.4 and layout != "cache"
    inputs.append(floats(rng, [heads * (2 * size + v_size)]) if biased else None)
    inputs.append(mask_of(rng, batch, length, total, ["ends", "cumulated", "keys", "scores"]) if rng.random() < 0.4 else None)
    inputs.append(bias_of(rng, batch, heads, length, total) if rng.random() < 0.3 else None)
    inputs += past
    if rng.random() < 0.4 and keys == length > 1:  # what it means for other lengths nobody says
        attrs["unidirectional"] = 1
    if rng.random() < 0.3:
        attrs["scale"] = float(rng.uniform(0.1, 1))
    if rng.random() < 0.2:
        attrs["mask_filter_value"] = -5.0
    if layout in ("query", "key"):
        presents = multi_head_presents(inputs)
    return attrs, trimmed(inputs), ["y", "present_key", "present_value"][:3 if presents else 1]


def multi_head_presents(inputs):
    """Whether a draw of a packed layout wants the presents: the oracle must know it too."""
    return inputs[3] is not None


@oracle("MultiHeadAttention", domain=MS, why="ONNX Runtime has no packed layouts on the CPU")
def multi_head_oracle(version, attrs, inputs):
    inputs = list(inputs) + [None] * (8 - len(inputs))
    q, k, v, bias, mask, added = inputs[:6]
    if q.ndim == 3 and k.ndim != 5:
        raise NotImplementedError
    heads, wide = attrs["num_heads"], np.float32  # rows that are hidden all over keep what a number near -10000 has left
    if q.ndim == 5:
        q, k, v = [q[:, :, :, i] for i in range(3)]
    else:
        q, k, v = q.reshape(q.shape[0], q.shape[1], heads, -1), k[:, :, :, 0], k[:, :, :, 1]
    q, k, v = [x.astype(wide).transpose(0, 2, 1, 3) for x in (q, k, v)]
    if bias is not None:
        parts = np.split(bias.astype(wide), 3)
        q, k, v = [x + part.reshape(heads, 1, -1) for x, part in zip((q, k, v), parts)]
    presents = [x.astype(inputs[0].dtype) for x in (k, v)]
    scores = q @ k.transpose(0, 1, 3, 2) * np.float32(attrs.get("scale", 1 / np.sqrt(q.shape[3])))
    batch, _, queries, keys = scores.shape
    if mask is not None:
        seen = np.arange(keys) < mask[:batch].reshape(-1, 1) if mask.ndim == 1 else mask > 0
        seen = seen.reshape(batch, 1, -1, keys)
        scores = scores + np.where(seen, 0, np.float32(attrs.get("mask_filter_value", -10000.0)))
    if added is not None:
        scores = scores + added
    if attrs.get("unidirectional") and queries > 1:
        scores = np.where(np.arange(keys) <= np.arange(queries).reshape(-1, 1), scores, -np.inf)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    y = (e / e.sum(-1, keepdims=True) @ v).transpose(0, 2, 1, 3)
    y = y.reshape(batch, queries, -1).astype(inputs[0].dtype)
    return [y] + (presents if multi_head_presents(inputs) else [])


# Where a mask hides a whole row, its scores lie near -10000, where 32-bit floats are a thousandth apart.
@spec("Attention", domain=MS, tolerance=(1e-3, 1e-4))
def packed(rng, version, name):
    batch, heads, size, features = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 17)), int(rng.integers(1, 20))
    length, before = int(rng.integers(1, 7)), 0
    v_size = size
    attrs, past = {"num_heads": heads}, None
    if rng.random() < 0.4:
        before = int(rng.integers(0, 6))
        past = floats(rng, [2, batch, heads, before, size])
    elif rng.random() < 0.3:
        v_size = int(rng.integers(1, 17))
    hidden = heads * size
    if v_size != size or rng.random() < 0.2:
        attrs["qkv_hidden_sizes"] = [hidden, hidden, heads * v_size]
    whole, total = 2 * hidden + heads * v_size, before + length
    inputs = [floats(rng, [batch, length, features]), floats(rng, [features, whole])]
    inputs.append(floats(rng, [whole]) if rng.random() < 0.8 else None)
    inputs.append(mask_of(rng, batch, length, total, ["ends", "ranges", "cumulated", "keys", "scores"]) if rng.random() < 0.5 else None)
    inputs.append(past)
    inputs.append(bias_of(rng, batch, heads, length, total) if rng.random() < 0.3 and past is None else None)
    if rng.random() < 0.4:
        attrs["unidirectional"] = 1
    if rng.random() < 0.3:
        attrs["scale"] = float(rng.uniform(0.1, 1))
    if rng.random() < 0.2:
        attrs["mask_filter_value"] = -5.0
    return attrs, trimmed(inputs), ["y", "present"] if past is not None or v_size == size and rng.random() < 0.3 else ["y"]


@spec("DecoderMaskedMultiHeadAttention", domain=MS)
def decoder(rng, version, name):
    beams = int(rng.integers(1, 4))
    batch, heads, size, keys = beams * int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 20)), int(rng.integers(1, 9))
    attrs = {"num_heads": heads}
    if rng.random() < 0.3:
        attrs["scale"] = float(rng.uniform(0.1, 1))
    if rng.random() < 0.4:  # a cross attention's cache
        inputs = [floats(rng, [batch, 1, heads * size])] + [floats(rng, [batch, heads, keys, size]) for _ in range(2)]
        return attrs, trimmed(inputs + [mask_of(rng, batch, 1, keys, ["keys"]) if rng.random() < 0.4 else None])
    packed = rng.random() < 0.3
    inputs = [floats(rng, [batch, 1, (3 if packed else 1) * heads * size])] + [None if packed else floats(rng, [batch, 1, heads * size]) for _ in range(2)]
    shared = rng.random() < 0.6
    total, room = keys + 1, keys + int(rng.integers(1, 5)) if shared else keys
    inputs.append(mask_of(rng, batch, 1, total, ["keys"]) if rng.random() < 0.3 else None)
    inputs.append(bias_of(rng, batch, heads, 1, total) if rng.random() < 0.3 else None)
    inputs += [floats(rng, [batch, heads, room, size]) for _ in range(2)]
    inputs += [np.array([keys], np.int32) if shared else None, None, None]
    if shared:
        attrs["past_present_share_buffer"] = 1
        if rng.random() < 0.5:
            inputs[8:10] = np.array([beams], np.int32), np.asarray(rng.integers(0, beams, [batch // beams, beams, room])).astype(np.int32)
    inputs.append(floats(rng, [3 * heads * size]) if rng.random() < 0.4 else None)
    return attrs, trimmed(inputs), ["y", "present_key", "present_value"]


@oracle("DecoderMaskedMultiHeadAttention", domain=MS, why="ONNX Runtime wants past and present in one buffer")
def decoder_oracle(version, attrs, inputs):
    inputs = list(inputs) + [None] * (11 - len(inputs))
    q, k, v, mask, added, past_k, past_v, past, _, beams, bias = inputs
    if past_k is None:
        raise NotImplementedError
    heads = attrs["num_heads"]
    q, k, v = np.split(q, 3, axis=2) if k is None else (q, k, v)
    if bias is not None:
        q, k, v = [x + part for x, part in zip((q, k, v), np.split(bias, 3))]
    q, k, v = [x.reshape(x.shape[0], heads, 1, -1) for x in (q, k, v)]
    before = past_k.shape[2] if past is None else int(past[0])
    caches = []
    for old, new in ((past_k, k), (past_v, v)):
        cache = np.zeros_like(old) if past is not None else np.zeros([*old.shape[:2], before + 1, old.shape[3]], old.dtype)
        cache[:, :, :before] = old[:, :, :before]
        cache[:, :, before] = new[:, :, 0]
        caches.append(cache)
    k, v = [c[:, :, :before + 1] for c in caches]
    if beams is not None:
        rows = (np.arange(q.shape[0]) // beams.shape[1] * beams.shape[1]).reshape(-1, 1) + beams.reshape(q.shape[0], -1)[:, :before]
        rows = np.concatenate([rows, np.arange(q.shape[0]).reshape(-1, 1)], 1)
        k, v = [c[rows, :, np.arange(before + 1)].transpose(0, 2, 1, 3) for c in (k, v)]
    scores = q @ k.transpose(0, 1, 3, 2) * np.float32(attrs.get("scale", 1 / np.sqrt(q.shape[3])))
    if mask is not None:
        scores = scores + np.where(mask[:, None, None] > 0, np.float32(0), np.float32(-10000))
    if added is not None:
        scores = scores + added
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return [(e / e.sum(-1, keepdims=True) @ v).reshape(q.shape[0], 1, -1)] + caches


@spec("LinearAttention", domain=MS)
def linear_attention(rng, version, name):
    few, more = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    q_heads, kv_heads = (few * more, few) if rng.random() < 0.7 else (few, few * more)
    rule = str(pick(rng, ["linear", "gated", "delta", "gated_delta"]))
    attrs = {"q_num_heads": q_heads, "kv_num_heads": kv_heads, "update_rule": rule}
    if rng.random() < 0.4:
        attrs["scale"] = float(rng.uniform(0, 1))
    batch, length, size, v_size = [int(rng.integers(1, high)) for high in (4, 6, 10, 10)]
    inputs = [floats(rng, [batch, length, n]) for n in (q_heads * size, kv_heads * size, kv_heads * v_size)]
    inputs.append(floats(rng, [batch, kv_heads, size, v_size]) if rng.random() < 0.5 else None)
    inputs.append(-np.abs(floats(rng, [batch, length, kv_heads * pick(rng, [1, size])])) if "gated" in rule else None)
    inputs.append(rng.uniform(0, 1, [batch, length, pick(rng, [1, kv_heads])]).astype(np.float32) if "delta" in rule else None)
    return attrs, trimmed(inputs), ["y", "state"]


@spec("CausalConvWithState", domain=MS)
def causal_conv(rng, version, name):
    batch, length, taps, dilation = [int(rng.integers(1, high)) for high in (4, 8, 6, 4)]
    last = rng.random() < 0.4
    shape = [int(rng.integers(1, 4)) for _ in range(rng.integers(1, 3) if last else 1)]
    channels, state = int(np.prod(shape)), (taps - 1) * dilation
    attrs = {"activation": str(pick(rng, ["none", "silu", "swish"]))}
    if dilation != 1:
        attrs["dilation"] = dilation
    if last:
        attrs["channels_last"] = 1

    def lines(length):
        return floats(rng, [batch, length, *shape] if last else [batch, *shape, length])

    inputs = [lines(length), floats(rng, [channels, 1, taps]), floats(rng, [channels]) if rng.random() < 0.5 else None]
    inputs.append(lines(state) if rng.random() < 0.5 else None)
    return attrs, trimmed(inputs), ["y", "state"]


@spec("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MS)
def skip_norm(rng, version, name):
    dtype = pick(rng, [np.float32, np.float32, np.float16])
    batch, length, hidden = int(rng.integers(1, 4)), int(rng.integers(1, 6)), int(rng.integers(1, 70))
    shape = [batch, length, hidden] if rng.random() < 0.8 else [length, hidden]
    skip = pick(rng, [shape, shape, [1, length, hidden], [length, hidden]]) if len(shape) == 3 else shape
    inputs = [floats(rng, shape, dtype), floats(rng, skip, dtype), floats(rng, [hidden], dtype)]
    if name == "SkipLayerNormalization":
        inputs.append(floats(rng, [hidden], dtype) if rng.random() < 0.6 else None)
    inputs.append(floats(rng, [hidden], dtype) if rng.random() < 0.5 else None)
    attrs = {"epsilon": float(pick(rng, [1e-5, 1e-3]))}
    return attrs, trimmed(inputs), ["y", "", "", "sum"] if rng.random() < 0.5 else ["y"]


@spec("EmbedLayerNormalization", domain=MS)
def embed(rng, version, name):
    batch, length, hidden = int(rng.integers(1, 4)), int(rng.integers(1, 6)), int(rng.integers(2, 40))
    tables = [int(rng.integers(low, 12)) for low in (1, length, 1)]

    def ids(most, shape):
        return np.asarray(rng.integers(0, most, shape)).astype(np.int32)

    segments = rng.random() < 0.6
    inputs = [ids(tables[0], [batch, length]), ids(tables[2], [batch, length]) if segments else None]
    inputs += [floats(rng, [n, hidden]) if n is not None else None for n in (tables[0], tables[1], tables[2] if segments else None)]
    inputs += [floats(rng, [hidden]), floats(rng, [hidden])]
    inputs.append(ids(2, [batch, length]) if rng.random() < 0.5 else None)
    inputs.append(ids(tables[1], [pick(rng, [1, batch]), length]) if rng.random() < 0.4 else None)
    outputs = ["y", "mask_index", "sum"][:int(rng.integers(1, 4))]
    return {"epsilon": 1e-5} if rng.random() < 0.8 else {}, trimmed(inputs), outputs
