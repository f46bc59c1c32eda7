"""Transformers over text, as exporters write them."""

import numpy as np

from .builder import F, I64, Builder


def bert(layers=12, hidden=768, heads=12, vocab=30522, positions=512, seed=0, decomposed=True):
    """A BERT encoder with the shape arithmetic that exporters write: batch and sequence are symbolic."""
    b = Builder("bert", seed)
    head = hidden // heads
    shape = b.op("Shape", "input_ids")
    seq = b.op("Gather", shape, b.i64(1), axis=0)
    batch = b.op("Gather", shape, b.i64(0), axis=0)
    ids = b.op("Slice", b.i64(np.arange(positions)[None]), b.i64([0]), b.op("Unsqueeze", seq, b.i64([0])), b.i64([1]))
    x = b.op("Add", b.op("Gather", b.weight(vocab, hidden, scale=0.02), "input_ids"), b.op("Gather", b.weight(2, hidden, scale=0.02), "token_type_ids"))
    x = b.layer_norm(b.op("Add", x, b.op("Gather", b.weight(positions, hidden, scale=0.02), ids)), hidden, decomposed)
    mask = b.op("Cast", b.op("Unsqueeze", "attention_mask", b.i64([1, 2])), to=F)
    mask = b.op("Mul", b.op("Sub", b.const(np.float32(1)), mask), b.const(np.float32(-10000.0)))
    one = b.i64([0])

    def split(y):
        dims = b.op("Concat", b.op("Unsqueeze", batch, one), b.op("Unsqueeze", seq, one), b.i64([heads]), b.i64([head]), axis=0)
        return b.op("Reshape", y, dims)

    for _ in range(layers):
        q = b.op("Transpose", split(b.linear(x, hidden, hidden)), perm=[0, 2, 1, 3])
        k = b.op("Transpose", split(b.linear(x, hidden, hidden)), perm=[0, 2, 3, 1])
        v = b.op("Transpose", split(b.linear(x, hidden, hidden)), perm=[0, 2, 1, 3])
        s = b.op("Div", b.op("MatMul", q, k), b.const(np.float32(head**0.5)))
        p = b.op("Softmax", b.op("Add", s, mask), axis=-1)
        y = b.op("Transpose", b.op("MatMul", p, v), perm=[0, 2, 1, 3])
        dims = b.op("Concat", b.op("Unsqueeze", batch, one), b.op("Unsqueeze", seq, one), b.i64([hidden]), axis=0)
        y = b.linear(b.op("Reshape", y, dims), hidden, hidden)
        x = b.layer_norm(b.op("Add", y, x), hidden, decomposed)
        y = b.linear(b.gelu(b.linear(x, hidden, hidden * 4)), hidden * 4, hidden)
        x = b.layer_norm(b.op("Add", y, x), hidden, decomposed)
    first = b.op("Gather", x, b.i64(0), axis=1)
    pooled = b.op("Tanh", b.op("Gemm", first, b.weight(hidden, hidden, scale=0.02), b.weight(hidden, scale=0.02), transB=1))
    return b.model([(n, I64, ["batch", "sequence"]) for n in ("input_ids", "attention_mask", "token_type_ids")],
                   [(x, F, ["batch", "sequence", hidden]), (pooled, F, ["batch", hidden])])


def bert_inputs(batch=1, sequence=128, vocab=30522, seed=0):
    r = np.random.default_rng(seed)
    mask = np.ones((batch, sequence), np.int64)
    mask[:, sequence - sequence // 4:] = 0
    return {"input_ids": r.integers(0, vocab, (batch, sequence)), "attention_mask": mask,
            "token_type_ids": r.integers(0, 2, (batch, sequence))}


def distilbert(layers=6, hidden=768, heads=12, vocab=30522, positions=512, labels=2, seed=0):
    """DistilBERT with a classifier: the mask fills scores by Where."""
    b = Builder("distilbert", seed)
    head = hidden // heads
    shape = b.op("Shape", "input_ids")
    batch, seq = (b.op("Slice", shape, b.i64([i]), b.i64([i + 1]), b.i64([0])) for i in (0, 1))
    ids = b.op("Slice", b.i64(np.arange(positions)[None]), b.i64([0]), seq, b.i64([1]))
    x = b.op("Add", b.op("Gather", b.weight(vocab, hidden, scale=0.02), "input_ids"), b.op("Gather", b.weight(positions, hidden, scale=0.02), ids))
    x = b.layer_norm(x, hidden, True)
    masked = b.op("Equal", "attention_mask", b.i64(0))
    masked = b.op("Reshape", masked, b.op("Concat", batch, b.i64([1, 1]), seq, axis=0))
    split = b.op("Concat", batch, b.i64([-1, heads, head]), axis=0)
    joined = b.op("Concat", batch, b.i64([-1, hidden]), axis=0)
    for _ in range(layers):
        q = b.op("Transpose", b.op("Reshape", b.linear(x, hidden, hidden), split), perm=[0, 2, 1, 3])
        k = b.op("Transpose", b.op("Reshape", b.linear(x, hidden, hidden), split), perm=[0, 2, 3, 1])
        v = b.op("Transpose", b.op("Reshape", b.linear(x, hidden, hidden), split), perm=[0, 2, 1, 3])
        s = b.op("MatMul", b.op("Div", q, b.const(np.float32(head**0.5))), k)
        s = b.op("Where", b.op("Expand", masked, b.op("Shape", s)), b.const(np.float32(-3.4028235e38)), s)
        y = b.op("Transpose", b.op("MatMul", b.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        x = b.layer_norm(b.op("Add", b.linear(b.op("Reshape", y, joined), hidden, hidden), x), hidden, True)
        y = b.linear(b.gelu(b.linear(x, hidden, hidden * 4)), hidden * 4, hidden)
        x = b.layer_norm(b.op("Add", y, x), hidden, True)
    x = b.op("Relu", b.dense(b.op("Gather", x, b.i64(0), axis=1), hidden, hidden))
    y = b.dense(x, hidden, labels)
    return b.model([(n, I64, ["batch", "sequence"]) for n in ("input_ids", "attention_mask")], [(y, F, ["batch", labels])])


def distilbert_inputs(batch=1, sequence=128, vocab=30522, seed=0):
    feeds = bert_inputs(batch, sequence, vocab, seed)
    return {key: feeds[key] for key in ("input_ids", "attention_mask")}


def _tanh_gelu(b, x):
    """GPT-2's, spelled out as its exporter does."""
    cube = b.op("Pow", x, b.const(np.float32(3)))
    inner = b.op("Mul", b.op("Add", x, b.op("Mul", cube, b.const(np.float32(0.044715)))), b.const(np.float32((2 / np.pi) ** 0.5)))
    return b.op("Mul", b.op("Mul", x, b.const(np.float32(0.5))), b.op("Add", b.op("Tanh", inner), b.const(np.float32(1))))


def _past(layers, heads, head):
    """Names and types of the cache, in and out."""
    ins, outs = [], []
    for i in range(layers):
        for what in ("key", "value"):
            ins.append((f"past.{i}.{what}", F, ["batch", heads, "past", head]))
            outs.append((f"present.{i}.{what}", F, ["batch", heads, "total", head]))
    return ins, outs


def gpt2(layers=12, hidden=768, heads=12, vocab=50257, positions=1024, cache=True, seed=0):
    """GPT-2: one matrix for query, key and value; the causal mask is a slice of a constant triangle."""
    b = Builder("gpt2", seed)
    head = hidden // heads
    embedding = b.weight(vocab, hidden, scale=0.02)
    seq = b.op("Slice", b.op("Shape", "input_ids"), b.i64([1]), b.i64([2]), b.i64([0]))
    past = b.op("Slice", b.op("Shape", "past.0.key"), b.i64([2]), b.i64([3]), b.i64([0])) if cache else b.i64([0])
    total = b.op("Add", past, seq)
    ids = b.op("Slice", b.i64(np.arange(positions)[None]), past, total, b.i64([1]))
    x = b.op("Add", b.op("Gather", embedding, "input_ids"), b.op("Gather", b.weight(positions, hidden, scale=0.02), ids))
    triangle = b.const(np.tril(np.ones((1, 1, positions, positions), bool)))
    visible = b.op("Slice", b.op("Slice", triangle, past, total, b.i64([2])), b.i64([0]), total, b.i64([3]))
    presents = []

    def conv1d(y, cin, cout):
        flat = b.op("Reshape", y, b.i64([-1, cin]))
        flat = b.op("Gemm", flat, b.weight(cin, cout, scale=(1 / cin) ** 0.5), b.weight(cout, scale=0.02))
        return b.op("Reshape", flat, b.op("Concat", b.op("Shape", y, end=2) if b.opset >= 15 else "", b.i64([cout]), axis=0))

    for i in range(layers):
        qkv = conv1d(b.layer_norm(x, hidden), hidden, hidden * 3)
        q, k, v = (b.op("Transpose", b.op("Reshape", part, b.i64([0, 0, heads, head])), perm=[0, 2, 1, 3])
                   for part in b.op("Split", qkv, b.i64([hidden] * 3), outputs=3, axis=2))
        if cache:
            k, v = b.op("Concat", f"past.{i}.key", k, axis=2), b.op("Concat", f"past.{i}.value", v, axis=2)
            presents += [k, v]
        s = b.op("Div", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2])), b.const(np.float32(head**0.5)))
        s = b.op("Where", visible, s, b.const(np.float32(-3.4028235e38)))
        y = b.op("Transpose", b.op("MatMul", b.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        x = b.op("Add", conv1d(b.op("Reshape", y, b.i64([0, 0, hidden])), hidden, hidden), x)
        x = b.op("Add", x, conv1d(_tanh_gelu(b, conv1d(b.layer_norm(x, hidden), hidden, hidden * 4)), hidden * 4, hidden))
    logits = b.op("MatMul", b.layer_norm(x, hidden), b.op("Transpose", embedding, perm=[1, 0]))
    ins, outs = _past(layers, heads, head) if cache else ([], [])
    for name, (wanted, _, _) in zip(presents, outs):
        b.rename(name, wanted)
    return b.model([("input_ids", I64, ["batch", "sequence"]), *ins], [(logits, F, ["batch", "sequence", vocab]), *outs])


def decoder_inputs(layers, kv_heads, head, vocab, batch=1, sequence=1, past=None, seed=0):
    """Feeds of gpt2 and llama; |past| None: without cache."""
    r = np.random.default_rng(seed)
    feeds = {"input_ids": r.integers(0, vocab, (batch, sequence))}
    for i in range(layers if past is not None else 0):
        for what in ("key", "value"):
            feeds[f"past.{i}.{what}"] = r.standard_normal((batch, kv_heads, past, head)).astype(np.float32)
    return feeds


def _rms_norm(b, x, c):
    """As LlamaRMSNorm is exported."""
    mean = b.op("ReduceMean", b.op("Pow", x, b.const(np.float32(2))), axes=[-1])
    root = b.op("Sqrt", b.op("Add", mean, b.const(np.float32(1e-5))))
    return b.op("Mul", b.const(b.rng.uniform(0.8, 1.2, c).astype(np.float32)), b.op("Mul", x, b.op("Div", b.const(np.float32(1)), root)))


def _rotate(b, x, cos, sin, head):
    half = b.i64([head // 2])
    low, high = b.op("Slice", x, b.i64([0]), half, b.i64([3])), b.op("Slice", x, half, b.i64([head]), b.i64([3]))
    turned = b.op("Concat", b.op("Neg", high), low, axis=3)
    return b.op("Add", b.op("Mul", x, cos), b.op("Mul", turned, sin))


def llama(layers=12, hidden=1024, heads=16, kv_heads=4, ffn=2816, vocab=8000, cache=True, seed=0):
    """A Llama-like decoder: RMS normalization, rotary positions computed in the graph, grouped heads repeated by Expand, SwiGLU."""
    b = Builder("llama", seed)
    head, groups = hidden // heads, heads // kv_heads
    shape = b.op("Shape", "input_ids")
    batch, seq = (b.op("Slice", shape, b.i64([i]), b.i64([i + 1]), b.i64([0])) for i in (0, 1))
    past = b.op("Slice", b.op("Shape", "past.0.key"), b.i64([2]), b.i64([3]), b.i64([0])) if cache else b.i64([0])
    total = b.op("Add", past, seq)
    scalar = b.i64([], "shape")
    ids = b.op("Range", b.op("Reshape", past, scalar), b.op("Reshape", total, scalar), b.i64(1))
    keys = b.op("Range", b.i64(0), b.op("Reshape", total, scalar), b.i64(1))
    rates = b.const((10000.0 ** (-np.arange(0, head, 2) / head)).astype(np.float32)[None])
    angles = b.op("Mul", b.op("Unsqueeze", b.op("Cast", ids, to=F), b.i64([1])), rates)
    angles = b.op("Unsqueeze", b.op("Concat", angles, angles, axis=-1), b.i64([0, 1]))
    cos, sin = b.op("Cos", angles), b.op("Sin", angles)
    hidden_from = b.op("Greater", b.op("Unsqueeze", keys, b.i64([0])), b.op("Unsqueeze", ids, b.i64([1])))
    mask = b.op("Where", hidden_from, b.const(np.float32(-3.4028235e38)), b.const(np.float32(0)))
    mask = b.op("Unsqueeze", mask, b.i64([0, 1]))
    x, presents = b.op("Gather", b.weight(vocab, hidden, scale=0.5), "input_ids"), []

    def project(y, cin, cout):
        return b.op("MatMul", y, b.weight(cin, cout, scale=(1 / cin) ** 0.5))

    def split(y, count):
        return b.op("Transpose", b.op("Reshape", y, b.i64([0, 0, count, head])), perm=[0, 2, 1, 3])

    def repeat(y):
        if groups == 1:
            return y
        target = b.op("Concat", batch, b.i64([kv_heads, groups]), total, b.i64([head]), axis=0)
        y = b.op("Expand", b.op("Unsqueeze", y, b.i64([2])), target)
        return b.op("Reshape", y, b.op("Concat", batch, b.i64([heads]), total, b.i64([head]), axis=0))

    for i in range(layers):
        y = _rms_norm(b, x, hidden)
        q = _rotate(b, split(project(y, hidden, hidden), heads), cos, sin, head)
        k = _rotate(b, split(project(y, hidden, kv_heads * head), kv_heads), cos, sin, head)
        v = split(project(y, hidden, kv_heads * head), kv_heads)
        if cache:
            k, v = b.op("Concat", f"past.{i}.key", k, axis=2), b.op("Concat", f"past.{i}.value", v, axis=2)
            presents += [k, v]
        s = b.op("MatMul", q, b.op("Transpose", repeat(k), perm=[0, 1, 3, 2]))
        s = b.op("Add", b.op("Mul", s, b.const(np.float32(head**-0.5))), mask)
        y = b.op("Transpose", b.op("MatMul", b.op("Softmax", s, axis=-1), repeat(v)), perm=[0, 2, 1, 3])
        x = b.op("Add", x, project(b.op("Reshape", y, b.i64([0, 0, hidden])), hidden, hidden))
        y = _rms_norm(b, x, hidden)
        y = b.op("Mul", b.silu(project(y, hidden, ffn)), project(y, hidden, ffn))
        x = b.op("Add", x, project(y, ffn, hidden))
    logits = project(_rms_norm(b, x, hidden), hidden, vocab)
    ins, outs = _past(layers, kv_heads, head) if cache else ([], [])
    for name, (wanted, _, _) in zip(presents, outs):
        b.rename(name, wanted)
    return b.model([("input_ids", I64, ["batch", "sequence"]), *ins], [(logits, F, ["batch", "sequence", vocab]), *outs])


def llama_shared(layers=12, hidden=1024, heads=16, kv_heads=4, ffn=2816, vocab=8000, length=2048, seed=0):
    """The same as tools for generation write it: GroupQueryAttention turns and appends, its cache is one buffer of |length| positions."""
    b = Builder("llama_shared", seed)
    head = hidden // heads
    angles = np.outer(np.arange(length), 10000.0 ** (-np.arange(0, head, 2) / head))
    cos, sin = b.const(np.cos(angles).astype(np.float32)), b.const(np.sin(angles).astype(np.float32))
    x = b.op("Gather", b.weight(vocab, hidden, scale=0.5), "input_ids")
    norm = b.const(b.rng.uniform(0.8, 1.2, hidden).astype(np.float32))
    y = b.op("SimplifiedLayerNormalization", x, norm, axis=-1, epsilon=1e-5)
    ins, outs = [], []

    def project(z, cin, cout):
        return b.op("MatMul", z, b.weight(cin, cout, scale=(1 / cin) ** 0.5))

    for i in range(layers):
        names = [b.fresh("attention"), f"present.{i}.key", f"present.{i}.value"]
        b.node("GroupQueryAttention", [project(y, hidden, hidden), project(y, hidden, kv_heads * head), project(y, hidden, kv_heads * head),
                                       f"past.{i}.key", f"past.{i}.value", "seqlens_k", "total_sequence_length", cos, sin], names,
               domain="com.microsoft", num_heads=heads, kv_num_heads=kv_heads, do_rotary=1)
        for what in ("key", "value"):
            ins.append((f"past.{i}.{what}", F, ["batch", kv_heads, length, head]))
            outs.append((f"present.{i}.{what}", F, ["batch", kv_heads, length, head]))
        for source in ("attention", "ffn"):
            z = names[0] if source == "attention" else b.op("Mul", b.silu(project(y, hidden, ffn)), project(y, hidden, ffn))
            z = project(z, hidden if source == "attention" else ffn, hidden)
            y, x = b.fresh("norm"), x
            total = b.fresh("sum")
            b.node("SkipSimplifiedLayerNormalization", [x, z, b.const(b.rng.uniform(0.8, 1.2, hidden).astype(np.float32))], [y, "", "", total],
                   domain="com.microsoft", epsilon=1e-5)
            x = total
    logits = project(y, hidden, vocab)
    i32 = 6
    return b.model([("input_ids", I64, ["batch", "sequence"]), ("seqlens_k", i32, ["batch"]), ("total_sequence_length", i32, []), *ins],
                   [(logits, F, ["batch", "sequence", vocab]), *outs], domains=["com.microsoft"], check=False)


def shared_inputs(layers, kv_heads, head, vocab, length, batch=1, sequence=1, past=0, seed=0):
    """Feeds of llama_shared: |past| positions of the buffers are filled."""
    r = np.random.default_rng(seed)
    feeds = {"input_ids": r.integers(0, vocab, (batch, sequence)), "seqlens_k": np.full(batch, past + sequence - 1, np.int32),
             "total_sequence_length": np.asarray(past + sequence, np.int32)}
    for i in range(layers):
        for what in ("key", "value"):
            cache = np.zeros((batch, kv_heads, length, head), np.float32)
            cache[:, :, :past] = r.standard_normal((batch, kv_heads, past, head))
            feeds[f"past.{i}.{what}"] = cache
    return feeds


def whisper_encoder(layers=6, hidden=512, heads=8, mels=80, frames=3000, seed=0):
    """Whisper's encoder (base): two 1-D convolutions over a spectrogram, then transformer layers."""
    b = Builder("whisper_encoder", seed)
    head = hidden // heads

    def conv(x, cin, cout, stride):
        return b.op("Conv", x, b.weight(cout, cin, 3), b.weight(cout, scale=0.02), kernel_shape=[3], strides=[stride], pads=[1, 1])

    x = b.gelu(conv(b.gelu(conv("mel", mels, hidden, 1)), hidden, hidden, 2))
    x = b.op("Add", b.op("Transpose", x, perm=[0, 2, 1]), b.weight((frames + 1) // 2, hidden, scale=0.1))
    for _ in range(layers):
        y = b.layer_norm(x, hidden)
        scaled = b.op("Mul", b.linear(y, hidden, hidden), b.const(np.float32(head**-0.5)))
        key = b.op("MatMul", y, b.weight(hidden, hidden, scale=(1 / hidden) ** 0.5))
        q, k, v = (b.op("Transpose", b.op("Reshape", z, b.i64([0, -1, heads, head])), perm=[0, 2, 1, 3]) for z in (scaled, key, b.linear(y, hidden, hidden)))
        p = b.op("Softmax", b.op("MatMul", q, b.op("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
        y = b.op("Reshape", b.op("Transpose", b.op("MatMul", p, v), perm=[0, 2, 1, 3]), b.i64([0, 0, hidden]))
        x = b.op("Add", x, b.linear(y, hidden, hidden))
        x = b.op("Add", x, b.linear(b.gelu(b.linear(b.layer_norm(x, hidden), hidden, hidden * 4)), hidden * 4, hidden))
    y = b.layer_norm(x, hidden)
    return b.model([("mel", F, ["batch", mels, frames])], [(y, F, ["batch", (frames + 1) // 2, hidden])])


def mel_inputs(mels=80, frames=3000, seed=0):
    return {"mel": np.random.default_rng(seed).standard_normal((1, mels, frames)).astype(np.float32)}
