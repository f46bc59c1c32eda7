"""Every operator that test/py/draws knows, with one thing wrong: the shape, type or contents of an input, or an attribute.

KAPELL_MUTANTS sets how many of each version of an operator there are (2, under sanitizers 1); with more than 9 the older versions are
taken too.
"""

import os
import sys
import warnings
import zlib

import numpy as np
from onnx import helper, numpy_helper

from .base import PRESET, ROOT, Case, escape

sys.path.insert(0, str(ROOT / "test" / "py"))
import draws.base  # noqa: E402
import test_ops  # noqa: E402

# Mutants that once found something: (operator, version, number).
FOUND = [("Einsum", 28, 8), ("BlackmanWindow", 17, 26), ("HannWindow", 17, 19), ("DFT", 17, 10), ("STFT", 17, 8), ("MatMul", 13, 38),
         ("RoiAlign", 10, 13), ("RoiAlign", 16, 18), ("Split", 1, 25), ("Tile", 1, 17), ("Tile", 1, 20), ("Tile", 1, 40), ("TopK", 1, 24),
         ("TopK", 10, 19)]
EACH = int(os.environ.get("KAPELL_MUTANTS", "2" if PRESET == "release" else "1"))
BIG, LOW = (1 << 63) - 1, -(1 << 63)
LIMITS = {"max_memory": 200 << 20, "run_timeout_ns": 500_000_000, "open_timeout_ns": 500_000_000, "fold_ns": 200_000_000}


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def wrong_int(rng):
    return pick(rng, [0, -1, BIG, LOW, 1 << 31, 1 << 40, 7, -3])


def wrong_shape(rng, array):
    kind = pick(rng, ["scalar", "empty", "drop", "add", "longer", "shorter", "no", "turn", "rank9"])
    if kind == "scalar":
        return np.resize(array, ()) if array.size else np.zeros((), array.dtype)
    if kind == "empty":
        return np.zeros((0,), array.dtype)
    if kind == "add" or array.ndim == 0:
        return array.reshape((1, *array.shape) if rng.random() < 0.5 else (*array.shape, 1))
    if kind == "rank9":
        return array.reshape((1,) * 9 + array.shape)
    if kind == "turn":
        return array.T
    axis = int(rng.integers(array.ndim))
    if kind == "drop":
        return array.take(0, axis) if array.shape[axis] else array.reshape(-1)
    size = {"longer": array.shape[axis] + int(pick(rng, [1, 17])), "shorter": max(array.shape[axis] - 1, 0), "no": 0}[kind]
    shape = list(array.shape)
    shape[axis] = size
    return np.resize(array, shape) if array.size else np.zeros(shape, array.dtype)


def wrong_contents(rng, array):
    changed = np.array(array)
    flat = changed.reshape(-1)
    if not flat.size:
        return changed
    some = rng.random(flat.size) < pick(rng, [0.2, 1.1])
    kind = array.dtype.kind
    if kind in "iu":
        limits = np.iinfo(array.dtype)
        values = np.array([limits.min, limits.max, 0, 1, 100], array.dtype)
        flat[some] = values[rng.integers(0, len(values), int(some.sum()))]
    elif kind == "f":
        with np.errstate(over="ignore"):
            values = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0, 1e-40, -1], "f8").astype(array.dtype)
        flat[some] = values[rng.integers(0, len(values), int(some.sum()))]
    elif kind in "OU":
        values = np.array(["", "x" * 5000, "\x00", "日本", "%s%n", "-1", "nan"], object)
        flat = flat.astype(object)
        flat[some] = values[rng.integers(0, len(values), int(some.sum()))]
        return flat.reshape(array.shape)
    return changed


def wrong_type(rng, array):
    to = pick(rng, ["f4", "f8", "f2", "i8", "i4", "u1", "i1", "?"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.zeros(array.shape, to) if array.dtype.kind in "OU" else array.astype(to)


def wrong_input(rng, inputs):
    inputs = list(inputs)
    arrays = [i for i, v in enumerate(inputs) if isinstance(v, np.ndarray)]
    if not arrays:
        return inputs, "none"
    at = pick(rng, arrays)
    what, change = pick(rng, [("shape", wrong_shape), ("shape", wrong_shape), ("contents", wrong_contents), ("contents", wrong_contents),
                              ("type", wrong_type), ("gone", None), ("swapped", None)])
    if change:
        inputs[at] = change(rng, inputs[at])
    elif what == "gone":
        inputs[at] = None
    else:
        other = pick(rng, arrays)
        inputs[at], inputs[other] = inputs[other], inputs[at]
    return inputs, f"{what}{at}"


def wrong_attribute(rng, attrs):
    attrs = dict(attrs)
    key = pick(rng, sorted(attrs))
    value = attrs[key]
    if isinstance(value, (bool, int, np.integer)):
        attrs[key] = wrong_int(rng)
    elif isinstance(value, (float, np.floating)):
        attrs[key] = float(pick(rng, [np.nan, np.inf, -1.0, 0.0, 1e30]))
    elif isinstance(value, (str, bytes)):
        attrs[key] = pick(rng, ["", "nonsense", "x" * 3000, value])
    elif isinstance(value, (list, tuple, np.ndarray)) and len(value):
        items = list(value)
        kind = pick(rng, ["pop", "push", "item", "twice", "reverse"])
        if kind == "pop":
            items.pop()
        elif kind == "push":
            items.append(items[0])
        elif kind == "twice":
            items += items
        elif kind == "reverse":
            items.reverse()
        elif isinstance(items[0], (int, np.integer)):
            items[int(rng.integers(len(items)))] = wrong_int(rng)
        elif isinstance(items[0], (float, np.floating)):
            items[int(rng.integers(len(items)))] = float("nan")
        if items:
            attrs[key] = items
        else:
            del attrs[key]
    else:
        del attrs[key]
    return attrs, key


def mutant(domain, name, version, opset, spec, number):
    rng = np.random.default_rng(zlib.crc32(f"{domain}.{name}.{version}".encode()) + 7919 * number)
    attrs, inputs, *rest = spec.draw(rng, version, name)
    if any(isinstance(v, (list, tuple, dict)) for v in inputs):
        return None
    if attrs and rng.random() < 0.4:
        attrs, what = wrong_attribute(rng, attrs)
    else:
        inputs, what = wrong_input(rng, inputs)
    model = test_ops.make_model(domain, name, opset, attrs, inputs, *rest)
    names = [n for n in model.graph.node[0].input if n]
    values = [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(model.graph.node[0].input, inputs) if v is not None]
    form = number % 3
    files, lines = {}, []
    if form == 0:  # all constants: folded, or at least packed
        del model.graph.input[:]
        model.graph.initializer.extend(values)
    else:  # given at run time; shapes stated or not
        if form == 1:
            infos = [helper.make_tensor_value_info(t.name, t.data_type, None) for t in values]
            del model.graph.input[:]
            model.graph.input.extend(infos)
        files = {f"{t.name}.pb": t.SerializeToString() for t in values}
        lines = [f"pb {escape(n)} 1 HOME/{n}.pb" for n in names]
    if form == 2 and not lines:
        return None
    return Case(f"{domain.replace('.', '_')}_{name}_{version}_{number}_{what}", model.SerializeToString(), (), None, options=LIMITS,
                files=files, lines=tuple(lines))


def cases():
    newest = {}
    found = draws.base.cases()
    for domain, name, version, _, _ in found:
        newest[domain, name] = max(version, newest.get((domain, name), 0))
    for domain, name, version, opset, spec in found:
        wanted = {number for op, since, number in FOUND if (op, since) == (name, version)}
        if version == newest[domain, name] or EACH > 9:
            wanted |= {number + zlib.crc32(name.encode()) % 3 for number in range(EACH)}
        for number in sorted(wanted):
            try:
                case = mutant(domain, name, version, opset, spec, number)
            except (ValueError, TypeError, OverflowError, KeyError, IndexError):
                continue  # what cannot even be written down as a model
            if case:
                yield case
