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
    inputs = [query, key, value] + caches + [lengths.astype(np.int32), np.asarray([total] if rng.random() < 0.5 else total, np.int32)]
    inputs += [None] * 5
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
    if rng.random() < 0.2:
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
