"""Draws of ai.onnx.ml: encoders, maps; and of TfIdfVectorizer, which looks n-grams up as they look up keys."""

import numpy as np
import onnx
from onnx import numpy_helper

from .base import dims, oracle, pick, prefer_runtime, spec
from .strings import texts

ML = "ai.onnx.ml"
NAMES = ["Amy", "Sally", "Dori", "é", "", "x y", "日本"]
NUMBERS = [0, 1, 2, 5, -3, 2**40, -(2**62)]


def names(rng, count):
    return [str(n) for n in rng.choice(NAMES, size=count, replace=False)]


# --- LabelEncoder, CategoryMapper ----------------------------------------------------------------------------------------------
@spec("LabelEncoder", domain=ML, until=1)
def old_label_encoder(rng, version, name):
    classes = names(rng, int(rng.integers(1, 6)))
    attrs = {"classes_strings": classes}
    if rng.random() < 0.5:
        return {**attrs, "default_int64": int(rng.integers(-5, 5))}, [texts(rng, dims(rng), NAMES)]
    return {**attrs, "default_string": "none"}, [rng.integers(-2, 7, dims(rng)).astype(np.int64)]


@oracle("LabelEncoder", domain=ML, until=1, why="the reference has version 4's attributes alone")
def old_label_oracle(version, attrs, inputs):
    x, classes = inputs[0], attrs["classes_strings"]
    if x.dtype == object:
        known = {c: i for i, c in enumerate(classes)}
        return [np.array([known.get(t, attrs.get("default_int64", -1)) for t in x.reshape(-1)], np.int64).reshape(x.shape)]
    out = [classes[i] if 0 <= i < len(classes) else attrs.get("default_string", "_Unused") for i in x.reshape(-1)]
    return [np.array(out, dtype=object).reshape(x.shape)]


def labels(rng, kind, count):
    """|count| different labels of an element type, as a list."""
    if kind == "string":
        return names(rng, count)
    if kind == "int64":
        return [int(n) for n in rng.choice(NUMBERS, size=count, replace=False)]
    if kind in ("int32", "int16"):
        return [int(n) for n in rng.choice([0, 1, -1, 30000, -30000, 7], size=count, replace=False)]
    return [float(n) for n in rng.choice([0.0, 0.5, -1.25, 3e8, 7.0, np.nan], size=count, replace=False)]


def label_array(kind, values, shape):
    kinds = {"string": object, "int64": np.int64, "int32": np.int32, "int16": np.int16, "float": np.float32, "double": np.float64}
    return np.array(values, dtype=kinds[kind]).reshape(shape)


def label_tensor(kind, values):
    return numpy_helper.from_array(label_array(kind, values, [len(values)]))


@spec("LabelEncoder", domain=ML, since=2)
def label_encoder(rng, version, name):
    lists = {"string": "strings", "int64": "int64s", "float": "floats"}
    kinds = ["string", "int64", "float"] + (["int32", "int16", "double"] if version >= 4 else [])
    from_kind, to_kind = pick(rng, kinds), pick(rng, kinds)
    count = int(rng.integers(1, 6))
    keys, values = labels(rng, from_kind, count), [pick(rng, labels(rng, to_kind, 5)) for _ in range(count)]
    attrs = {}
    for head, kind, items in (("keys", from_kind, keys), ("values", to_kind, values)):
        if kind in lists and (version < 4 or rng.random() < 0.5):
            attrs[f"{head}_{lists[kind]}"] = items
        else:
            attrs[f"{head}_tensor"] = label_tensor(kind, items)
    if rng.random() < 0.7:
        if "values_tensor" in attrs:
            attrs["default_tensor"] = label_tensor(to_kind, [pick(rng, labels(rng, to_kind, 3))])
        else:
            attrs[f"default_{lists[to_kind][:-1]}"] = pick(rng, labels(rng, to_kind, 3))
    shape = dims(rng)
    x = [pick(rng, labels(rng, from_kind, 5)) if rng.random() < 0.4 else pick(rng, keys) for _ in range(int(np.prod(shape)))]
    return attrs, [label_array(from_kind, x, shape)]


@oracle("LabelEncoder", domain=ML, why="the reference finds no NaN among the keys and lacks defaults of default_tensor")
def label_oracle(version, attrs, inputs):
    x = inputs[0]
    def listed(head):
        name, items = next((k, v) for k, v in attrs.items() if k.startswith(head))
        if isinstance(items, onnx.TensorProto):
            array = numpy_helper.to_array(items)
            return (array.astype(object) if array.dtype.kind in "OUS" else array), array.dtype if array.dtype.kind in "iuf" else object
        return items, {"strings": object, "int64s": np.int64, "floats": np.float32}[name.split("_")[1]]
    keys, key_type = listed("keys")
    values, value_type = listed("values")
    def plain(key):
        if isinstance(key, bytes):
            return key.decode()
        return "nan" if isinstance(key, (float, np.floating)) and np.isnan(key) else key
    known = {plain(k): v for k, v in zip(np.array(keys, key_type).tolist(), values)}
    default = {"O": "_Unused", "i": -1, "f": -0.0}[np.dtype(value_type).kind]
    for key, given in attrs.items():
        if key.startswith("default"):
            default = numpy_helper.to_array(given).item() if isinstance(given, onnx.TensorProto) else given
    out = [known.get(plain(t), default) for t in x.reshape(-1).tolist()]
    return [np.array([plain(t) if isinstance(t, (bytes, str)) else t for t in out], value_type).reshape(x.shape)]


@spec("CategoryMapper", domain=ML)
def category_mapper(rng, version, name):
    count = int(rng.integers(1, 6))
    attrs = {"cats_strings": names(rng, count), "cats_int64s": labels(rng, "int64", count)}
    if rng.random() < 0.5:
        attrs["default_string" if rng.random() < 0.5 else "default_int64"] = None
        attrs = {k: v if v is not None else ("?" if k == "default_string" else 77) for k, v in attrs.items()}
    shape = dims(rng)
    if rng.random() < 0.5:
        return attrs, [texts(rng, shape, NAMES)]
    return attrs, [label_array("int64", [pick(rng, NUMBERS) for _ in range(int(np.prod(shape)))], shape)]


@oracle("CategoryMapper", domain=ML, why="the reference does not have it, ONNX Runtime takes one of the defaults alone")
def category_oracle(version, attrs, inputs):
    x = inputs[0]
    there, back = attrs["cats_strings"], attrs["cats_int64s"]
    if x.dtype == object:
        known, default, kind = dict(zip(there, back)), attrs.get("default_int64", -1), np.int64
    else:
        known, default, kind = dict(zip(back, there)), attrs.get("default_string", "_Unused"), object
    return [np.array([known.get(v, default) for v in x.reshape(-1).tolist()], kind).reshape(x.shape)]


# --- OneHotEncoder -------------------------------------------------------------------------------------------------------------
@spec("OneHotEncoder", domain=ML)
def one_hot_encoder(rng, version, name):
    shape = dims(rng)
    zeros = int(rng.random() < 0.7)
    if rng.random() < 0.3:
        cats = names(rng, int(rng.integers(1, 6)))
        return {"cats_strings": cats, "zeros": zeros}, [texts(rng, shape, cats if not zeros else NAMES)] \
            if zeros else [np.array([pick(rng, cats) for _ in range(int(np.prod(shape)))], dtype=object).reshape(shape)]
    cats = [int(n) for n in rng.choice(np.arange(-4, 9), size=int(rng.integers(1, 8)), replace=False)]
    dtype = pick(rng, [np.int64, np.int32, np.float32, np.float64])
    x = np.array([pick(rng, cats) if not zeros else int(rng.integers(-6, 10)) for _ in range(int(np.prod(shape)))]).reshape(shape).astype(dtype)
    if dtype in (np.float32, np.float64):
        x += (np.sign(x) * 0.25).astype(dtype)
    return {"cats_int64s": cats, "zeros": zeros}, [x]


@oracle("OneHotEncoder", domain=ML, why="the reference does not cast floats to integers and takes ranks 1 and 2 alone")
def one_hot_oracle(version, attrs, inputs):
    x = inputs[0]
    cats = attrs.get("cats_int64s") or attrs["cats_strings"]
    keys = x.reshape(-1).tolist() if x.dtype == object else np.trunc(x).astype(np.int64).reshape(-1).tolist()
    return [np.array([[float(k == c) for c in cats] for k in keys], np.float32).reshape(*x.shape, len(cats))]


# --- maps ------------------------------------------------------------------------------------------------------------------------
@spec("ZipMap", domain=ML)
def zip_map(rng, version, name):
    count = int(rng.integers(1, 6))
    shape = [count] if rng.random() < 0.3 else [int(rng.integers(1, 5)), count]
    attrs = {"classlabels_strings": names(rng, count)} if rng.random() < 0.5 else {"classlabels_int64s": labels(rng, "int64", count)}
    return attrs, [rng.normal(0, 2, shape).astype(np.float32)]


@oracle("ZipMap", domain=ML, why="the reference does not have it")
def zip_oracle(version, attrs, inputs):
    keys = attrs.get("classlabels_strings") or attrs["classlabels_int64s"]
    return [[dict(zip(keys, row)) for row in np.atleast_2d(inputs[0]).tolist()]]


@spec("DictVectorizer", domain=ML)
def dict_vectorizer(rng, version, name):
    count = int(rng.integers(1, 6))
    strings = rng.random() < 0.5
    words = labels(rng, "string" if strings else "int64", count)
    kind = pick(rng, [np.int64, np.float32, np.float64] if strings else [str, np.float32, np.float64])
    chosen = [w for w in words if rng.random() < 0.6] or words[:1]
    made = {w: str(rng.integers(100)) if kind is str else kind(rng.integers(-50, 50)) for w in chosen}
    return {"string_vocabulary" if strings else "int64_vocabulary": words}, [made]


@oracle("DictVectorizer", domain=ML, why="the reference makes a vector of one map, ONNX Runtime (as its own inference says) one row; and "
        "a map of strings does not go through its Python bindings")
def dict_oracle(version, attrs, inputs):
    words = attrs.get("string_vocabulary") or attrs["int64_vocabulary"]
    kind = type(next(iter(inputs[0].values())))
    empty = "" if kind is str else kind(0)
    return [np.array([[inputs[0].get(w, empty) for w in words]], object if kind is str else kind)]


@spec("CastMap", domain=ML)
def cast_map(rng, version, name):
    attrs = {"cast_to": pick(rng, ["TO_FLOAT", "TO_STRING", "TO_INT64"])} if rng.random() < 0.8 else {}
    sparse = rng.random() < 0.5
    keys = [int(k) for k in rng.permutation(8 if sparse else 40)[:rng.integers(1, 6)]]
    if sparse:
        attrs.update(map_form="SPARSE", max_map=int(rng.integers(8, 11)))
    whole = attrs.get("cast_to") == "TO_INT64"
    if rng.random() < 0.5:
        return attrs, [{k: str(rng.integers(-99, 99)) if whole else str(np.float32(rng.normal())) for k in keys}]
    return attrs, [{k: np.float32(rng.normal(0, 10 ** float(rng.integers(0, 9)))) for k in keys}]


@oracle("CastMap", domain=ML, why="the reference does not have it, ONNX Runtime's Python bindings take no map of strings")
def cast_map_oracle(version, attrs, inputs):
    to = attrs.get("cast_to", "TO_FLOAT")
    def cast(value):
        if to == "TO_STRING":
            return value if isinstance(value, str) else f"{float(value):.6f}"
        return np.float32(value) if to == "TO_FLOAT" else np.int64(value)
    given = {k: cast(v) for k, v in inputs[0].items()}
    kind = {"TO_STRING": object, "TO_FLOAT": np.float32, "TO_INT64": np.int64}[to]
    if attrs.get("map_form") == "SPARSE":
        row = [given.get(k, "" if kind is object else 0) for k in range(attrs["max_map"])]
    else:
        row = [given[k] for k in sorted(given)]
    return [np.array([row], kind)]


# --- TfIdfVectorizer -------------------------------------------------------------------------------------------------------------
@spec("TfIdfVectorizer")
def tf_idf(rng, version, name):
    words = ["a", "b", "cc", "é", ""] if rng.random() < 0.5 else [1, 2, 3, 2**40, -7]
    grams, counts = [], []
    longest = int(rng.integers(1, 4))
    for length in range(1, longest + 1):
        counts.append(sum(len(g) for g in grams))
        seen = {tuple(pick(rng, words) for _ in range(length)) for _ in range(rng.integers(0 if length > 1 else 1, 6))}
        grams += sorted(seen, key=str)
    pool = [w for g in grams for w in g]
    indexes = [int(i) for i in rng.permutation(len(grams))]
    shortest = int(rng.integers(1, longest + 1))
    attrs = {"mode": pick(rng, ["TF", "IDF", "TFIDF"]), "min_gram_length": shortest, "max_gram_length": longest,
             "max_skip_count": int(rng.integers(0, 4)), "ngram_counts": counts, "ngram_indexes": indexes,
             "pool_strings" if isinstance(words[0], str) else "pool_int64s": pool}
    if rng.random() < 0.5:
        attrs["weights"] = [float(w) for w in rng.normal(0, 1, len(grams)).astype(np.float32)]
    length = int(rng.integers(0, 12))
    shape = [length] if rng.random() < 0.4 else [int(rng.integers(1, 4)), length]
    x = [pick(rng, words) for _ in range(int(np.prod(shape)))]
    if isinstance(words[0], str):
        return attrs, [np.array(x, dtype=object).reshape(shape)]
    small = [v if abs(v) < 2**31 else 0 for v in x]
    return attrs, [np.array(small, np.int32).reshape(shape) if rng.random() < 0.5 else np.array(x, np.int64).reshape(shape)]


prefer_runtime("TfIdfVectorizer", why="the reference takes the weight at a column for that of the n-gram that is counted there")
