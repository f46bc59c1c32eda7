"""Attention of ai.onnx and what goes with it: RotaryEmbedding, TensorScatter, LinearAttention, CausalConvWithState."""

import ml_dtypes
import numpy as np

from .base import FLOATS, INTS, array, dims, dtypes, oracle, pick, spec

SMALL = [np.float32, np.float16, ml_dtypes.bfloat16]
UNION = [np.bool_, np.float32, np.float16, np.float64, np.int8, np.int32, np.int64, np.uint8]


def some(rng, low, high, zero=0.02):
    """A size; now and then 0."""
    return 0 if rng.random() < zero else int(rng.integers(low, high))


def mask_of(rng, dtype, full, keys_least):
    """A mask that broadcasts to |full|, its last dim possibly shorter; bool, the tensors' own type, or whole numbers."""
    rank = int(rng.integers(1, 5))
    shape = [1 if rng.random() < 0.3 else d for d in full[4 - rank:]]
    shape[-1] = int(rng.integers(keys_least, full[3] + 1)) if rng.random() < 0.3 else full[3]
    if rng.random() < 0.5:
        return rng.random(shape) < 0.7
    if rng.random() < 0.2:
        return array(rng, shape, pick(rng, INTS))
    mask = array(rng, shape, np.float32)
    return np.where(rng.random(shape) < 0.25, -np.inf, mask).astype(dtype)


@spec("Attention")
def attention(rng, version, name):
    dtype = pick(rng, [np.float32, np.float32] + FLOATS)
    v_dtype = dtype
    batch, kv_heads, size = some(rng, 1, 4), int(rng.integers(1, 4)), int(rng.integers(1, 20))
    q_heads = kv_heads * int(pick(rng, [1, 1, 2, 3]))
    v_size = size if rng.random() < 0.6 else int(rng.integers(1, 20))
    q_length, kv_length = some(rng, 1, 9), int(rng.integers(1, 9))
    if rng.random() < 0.1:
        kv_length = int(rng.integers(250, 300))
    past_length = 0
    attrs, flat = {}, rng.random() < 0.5

    def heads(count, length, width):
        x = array(rng, [batch, length, count * width] if flat else [batch, count, length, width], np.float32)
        return (x / 2).astype(dtype)

    inputs = [heads(q_heads, q_length, size), heads(kv_heads, kv_length, size), heads(kv_heads, kv_length, v_size).astype(v_dtype)]
    if flat:
        attrs |= {"q_num_heads": q_heads, "kv_num_heads": kv_heads}
    past, lengths = [None, None], None
    if rng.random() < 0.3:
        past_length = int(rng.integers(0, 6))
        past = [(array(rng, [batch, kv_heads, past_length, w]) / 2).astype(dtype) for w in (size, v_size)]
    elif version >= 24 and rng.random() < 0.4:
        lengths = np.asarray(rng.integers(0, kv_length + 1, [batch])).astype(np.int64)
    total = past_length + kv_length
    least = 1 if lengths is None else max(1, int(lengths.max(initial=1)))
    mask = mask_of(rng, dtype, [batch, q_heads, q_length, total], least) if rng.random() < 0.5 else None
    if rng.random() < 0.4:
        attrs["is_causal"] = 1
    if rng.random() < 0.3:
        attrs["scale"] = float(rng.uniform(0.05, 1))
    if rng.random() < 0.3:
        attrs["softcap"] = float(pick(rng, [0.0, 0.5, 2.0, 30.0]))
    if rng.random() < 0.2:
        # No coarser than the tensors, whose tolerance would not do for it.
        attrs["softmax_precision"] = int(pick(rng, [1, 10, 11, 16][:4 if dtype == ml_dtypes.bfloat16 else 3] if np.dtype(dtype).itemsize == 2 else [1, 11]))
    if version >= 25 and rng.random() < 0.5:
        attrs |= {"left_window_size": int(rng.integers(-1, 5)), "right_window_size": int(rng.integers(-1, 5))}
    if rng.random() < 0.3:
        attrs["qk_matmul_output_mode"] = int(rng.integers(0, 4))
    inputs += [mask] + past + ([lengths] if version >= 24 else [])
    while inputs[-1] is None:
        inputs.pop()
    return attrs, inputs, [n if wanted else "" for n, wanted in zip(["y", "present_key", "present_value", "qk"], wanted_outputs(attrs, inputs))]


def wanted_outputs(attrs, inputs):
    """Which of the outputs a draw wants, by what it has: the oracle must know it too."""
    present = len(inputs) > 4 and inputs[4] is not None or "scale" in attrs and len(inputs) < 7
    return [True, present, present, "qk_matmul_output_mode" in attrs]


def bias_of(attrs, inputs, shape, past, wide):
    """What is added to the scores: masks, causality, windows, lengths; [batch, heads, queries, keys] or broadcasting to it."""
    batch, _, queries, keys = shape
    mask = inputs[3] if len(inputs) > 3 else None
    lengths = inputs[6] if len(inputs) > 6 else None
    offset = np.full([batch, 1, 1, 1], past) if lengths is None else lengths.reshape(-1, 1, 1, 1) - queries
    here, there = np.arange(queries).reshape(-1, 1) + offset, np.arange(keys)
    seen = np.ones([batch, 1, queries, keys], bool)
    right = attrs.get("right_window_size", -1)
    if attrs.get("is_causal"):
        seen &= there <= here
    if right >= 0:
        seen &= there <= here + right
    if attrs.get("left_window_size", -1) >= 0:
        seen &= there >= here - attrs["left_window_size"]
    if lengths is not None:
        seen &= there < lengths.reshape(-1, 1, 1, 1)
    bias = np.where(seen, wide(0), -np.inf)
    if mask is not None:
        added = np.where(mask, wide(0), -np.inf) if mask.dtype == np.bool_ else mask.astype(wide)
        added = np.pad(added, [(0, 0)] * (added.ndim - 1) + [(0, keys - added.shape[-1])], constant_values=-np.inf)
        bias = bias + added
    return bias


@oracle("Attention", why="the reference takes a mask that broadcasts over queries for one query when is_causal, gives capped scores for raw ones,"
        " refuses masks of rank 1 and of whole numbers, and computes 16-bit floats step by step in their own type")
def attention_oracle(version, attrs, inputs):
    q, k, v = inputs[:3]
    mask = inputs[3] if len(inputs) > 3 else None
    dtype, wide = q.dtype, np.float64
    flat = q.ndim == 3
    queries = q.shape[-2 if q.ndim == 4 else 1]
    plain = mask is None or mask.ndim > 1 and mask.dtype in (np.bool_, dtype) and mask.shape[-2] == queries
    capped = attrs.get("softcap", 0) > 0 and attrs.get("qk_matmul_output_mode") == 0
    if dtype.itemsize >= 4 and 0 not in q.shape and plain and not capped:
        raise NotImplementedError
    q, k, v = [x.astype(wide) for x in (q, k, v)]
    if flat:
        def split(x, heads):
            return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)
        q, k, v = split(q, attrs["q_num_heads"]), split(k, attrs["kv_num_heads"]), split(v, attrs["kv_num_heads"])
    past = 0
    if len(inputs) > 4 and inputs[4] is not None:
        past = inputs[4].shape[2]
        k, v = np.concatenate([inputs[4].astype(wide), k], 2), np.concatenate([inputs[5].astype(wide), v], 2)
    presents = [k.astype(dtype), v.astype(inputs[2].dtype)]
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    stages = [q @ k.transpose(0, 1, 3, 2) * np.float32(attrs.get("scale", 1 / np.sqrt(q.shape[3])))]
    cap = np.float32(attrs.get("softcap", 0))
    stages.append(cap * np.tanh(stages[0] / cap) if cap > 0 else stages[0])
    bias = bias_of(attrs, inputs, stages[0].shape, past, wide)
    stages.append(stages[1] + bias)
    most = stages[2].max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(stages[2] - np.where(np.isneginf(most), 0, most))
    total = e.sum(-1, keepdims=True)
    stages.append(e / np.where(total == 0, 1, total))
    y = stages[3] @ v
    if flat:
        y = y.transpose(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], y.shape[1] * y.shape[3])
    results = [y.astype(dtype)] + presents + [stages[attrs.get("qk_matmul_output_mode", 0)].astype(dtype)]
    return [r for r, wanted in zip(results, wanted_outputs(attrs, inputs)) if wanted]


@spec("RotaryEmbedding", since=23)
def rotary(rng, version, name):
    dtype = pick(rng, SMALL)
    batch, length, heads, size = some(rng, 1, 4), some(rng, 1, 6), int(rng.integers(1, 4)), 2 * int(rng.integers(1, 9))
    attrs, rotated = {}, size
    if rng.random() < 0.4:
        rotated = attrs["rotary_embedding_dim"] = 2 * int(rng.integers(1, size // 2 + 1))
    if rng.random() < 0.5:
        attrs["interleaved"] = int(rng.integers(0, 2))
    flat = rng.random() < 0.5
    if flat:
        attrs["num_heads"] = heads
    x = array(rng, [batch, length, heads * size] if flat else [batch, heads, length, size], dtype)
    table = [int(rng.integers(1, 20))] if rng.random() < 0.6 else [batch, length]
    angles = rng.uniform(0, 6, table + [rotated // 2])
    ids = np.asarray(rng.integers(0, table[0], [batch, length])).astype(np.int64) if len(table) == 1 else None
    return attrs, [x, np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)] + ([] if ids is None else [ids])


@spec("TensorScatter", since=24)
def tensor_scatter(rng, version, name):
    dtype = pick(rng, dtypes(name, version))
    rank = int(rng.integers(2, 6))
    axis = int(rng.integers(1, rank))
    shape = dims(rng, rank, zero=0.03)
    most = shape[axis] = int(rng.integers(1, 9))
    update = list(shape)
    fresh = update[axis] = int(rng.integers(0, most + 1))
    attrs = {}
    if axis != rank - 2 or rng.random() < 0.3:
        attrs["axis"] = axis - rank if rng.random() < 0.5 else axis
    if rng.random() < 0.6:
        attrs["mode"] = str(pick(rng, ["linear", "circular"]))
    circular = attrs.get("mode") == "circular"

    high = 3 * most if circular else most - fresh + 1
    indices = np.asarray(rng.integers(0, high, [shape[0]])).astype(np.int64) if rng.random() < 0.7 else None
    return attrs, [array(rng, shape, dtype), array(rng, update, dtype)] + ([] if indices is None else [indices])


def linear_inputs(rng, dtype, state_dtype, q_heads, kv_heads, rule):
    """query, key, value, past_state, decay, beta."""
    batch, length, size, v_size = some(rng, 1, 4), some(rng, 1, 6), int(rng.integers(1, 10)), int(rng.integers(1, 10))
    inputs = [array(rng, [batch, length, n]).astype(dtype) / np.asarray(2, dtype) for n in (q_heads * size, kv_heads * size, kv_heads * v_size)]
    inputs.append(array(rng, [batch, kv_heads, size, v_size]).astype(state_dtype) if rng.random() < 0.5 else None)
    decays = kv_heads * (size if rng.random() < 0.5 else 1)
    inputs.append(-np.abs(array(rng, [batch, length, decays])).astype(dtype) if "gated" in rule else None)
    betas = pick(rng, [1, kv_heads])
    inputs.append(rng.uniform(0, 1, [batch, length, betas]).astype(dtype) if "delta" in rule else None)
    while inputs[-1] is None:
        inputs.pop()
    return inputs


@spec("LinearAttention", since=27, tolerance=None)
def linear_attention(rng, version, name):
    dtype = pick(rng, SMALL)
    kv_heads = int(rng.integers(1, 4))
    q_heads = kv_heads * int(rng.integers(1, 4))
    rule = str(pick(rng, ["linear", "gated", "delta", "gated_delta"]))
    attrs = {"q_num_heads": q_heads, "kv_num_heads": kv_heads}
    if rule != "gated_delta" or rng.random() < 0.5:
        attrs["update_rule"] = rule
    if rng.random() < 0.4:
        attrs["scale"] = float(rng.uniform(0, 1))
    return attrs, linear_inputs(rng, dtype, pick(rng, SMALL), q_heads, kv_heads, rule), ["y", "state"]


@spec("CausalConvWithState", since=27)
def causal_conv(rng, version, name):
    dtype = pick(rng, SMALL)
    batch, channels, length, taps = some(rng, 1, 4), some(rng, 1, 5), some(rng, 1, 8), int(rng.integers(1, 6))
    attrs = {"activation": str(pick(rng, ["none", "silu", "swish"]))} if rng.random() < 0.7 else {}
    inputs = [array(rng, [batch, channels, length], dtype), array(rng, [channels, 1, taps], dtype)]
    inputs.append(array(rng, [channels], dtype) if rng.random() < 0.5 else None)
    inputs.append(array(rng, [batch, channels, taps - 1], dtype) if rng.random() < 0.5 else None)
    while inputs[-1] is None:
        inputs.pop()
    return attrs, inputs, ["y", "state"]


@oracle("CausalConvWithState", why="the reference sums 16-bit floats in their own type and refuses empty tensors")
def causal_conv_oracle(version, attrs, inputs):
    x, w = inputs[0].astype(np.float64), inputs[1].astype(np.float64)
    taps = w.shape[2]
    bias = inputs[2].astype(np.float64) if len(inputs) > 2 and inputs[2] is not None else np.zeros(w.shape[0])
    past = inputs[3] if len(inputs) > 3 else np.zeros([x.shape[0], x.shape[1], taps - 1])
    line = np.concatenate([past.astype(np.float64), x], 2)
    y = bias[:, None] + sum(line[:, :, k:k + x.shape[2]] * w[:, :, k] for k in range(taps))
    if attrs.get("activation", "none") != "none":
        y = y / (1 + np.exp(-y))
    return [y.astype(inputs[0].dtype), line[:, :, line.shape[2] - taps + 1:].astype(inputs[0].dtype)]


@spec("RMSNormalization", since=23)
def rms_normalization(rng, version, name):
    dtype, scale_dtype = pick(rng, [np.float32, np.float32] + FLOATS), pick(rng, FLOATS)
    shape = dims(rng, int(rng.integers(1, 5)), zero=0.03)
    axis = int(rng.integers(-len(shape), len(shape)))
    attrs = {"axis": axis} if axis != -1 or rng.random() < 0.5 else {}
    if rng.random() < 0.5:
        attrs["epsilon"] = float(pick(rng, [1e-5, 1e-2]))
    if rng.random() < 0.3:
        attrs["stash_type"] = int(pick(rng, [1, 11]))
    scale = [1 if rng.random() < 0.2 else d for d in shape[axis:]]
    if rng.random() < 0.2:
        scale = scale[int(rng.integers(0, len(scale))):]
    if rng.random() < 0.15:  # PyTorch's newer exporter writes ones of the input's whole shape
        scale = [1 if rng.random() < 0.3 else d for d in shape]
    return attrs, [array(rng, shape, dtype), array(rng, scale, dtype if rng.random() < 0.7 else scale_dtype)]


@oracle("RMSNormalization", why="the reference knows one stash_type and computes 16-bit floats in their own type")
def rms_normalization_oracle(version, attrs, inputs):
    x = inputs[0].astype(np.float64)
    axes = tuple(range(attrs.get("axis", -1) % x.ndim, x.ndim))
    mean = (x * x).mean(axis=axes, keepdims=True) if x.size else np.ones([1] * x.ndim)
    y = x / np.sqrt(mean + np.float32(attrs.get("epsilon", 1e-5))) * inputs[1].astype(np.float64)
    return [y.astype(inputs[1].dtype)]
