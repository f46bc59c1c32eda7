"""What a module of draws builds on: the tables of draws and oracles, and numbers to draw from.

A draw is (attributes, inputs) or (attributes, inputs, outputs). An input is an array, None (absent), a list (a sequence of arrays),
("opt", value) (an optional) or a dict (a map). |outputs| are names, "" for one that is not wanted; without them the node has those that
its schema requires. A draw is made from the generator that it is given and nothing else, so that it is the same in every run.
"""

from dataclasses import dataclass
from typing import Callable, Optional

import ml_dtypes
import numpy as np
import onnx

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
NEVER = 1 << 30


@dataclass
class Spec:
    """Draws for the versions |since| to |until| of the operators that name it."""
    draw: Callable
    since: int
    until: int
    tolerance: Optional[tuple]  # (relative, absolute); None: by the coarsest type among the inputs. Integers: absolute where >= 1
    constants: tuple  # inputs that are constants of the model in every other draw, as weights are


@dataclass
class Oracle:
    """What a version up to |until| gives, where the reference evaluator does not know it; |compute| None: ONNX Runtime does."""
    compute: Optional[Callable]
    until: int
    why: str


SPECS = {}  # (domain, name) -> [Spec]
ORACLES = {}  # (domain, name) -> [Oracle]
WIDENED = {}  # (domain, name) -> why
MOVED = {}  # (domain, name) -> why


def spec(*names, domain="", since=1, until=NEVER, tolerance=None, constants=()):
    """Registers draw(rng, version, name) for the operators |names| at opsets |since| to |until| of |domain|."""
    def register(draw):
        for name in names:
            SPECS.setdefault((domain, name), []).append(Spec(draw, since, until, tolerance, constants))
        return draw
    return register


def oracle(*names, why, domain="", until=NEVER):
    """Registers compute(version, attrs, inputs) -> [outputs], in numpy, as what the operators give up to the version |until|.

    It is asked before everything else; NotImplementedError from it means that the others are asked.
    """
    def register(compute):
        for name in names:
            ORACLES.setdefault((domain, name), []).append(Oracle(compute, until, why))
        return compute
    return register


def prefer_runtime(*names, why, domain="", until=NEVER):
    """ONNX Runtime is asked before the reference evaluator, which errs for these operators up to the version |until|."""
    for name in names:
        ORACLES.setdefault((domain, name), []).append(Oracle(None, until, why))


def widened(*names, why, domain=""):
    """The oracles are asked for 32-bit floats where an input has 16 bits, and what they give is rounded: for those that round each step."""
    WIDENED.update({(domain, name): why for name in names})


def moved(*names, why, domain=""):
    """Where the first input is no number, the oracles are asked where its elements go: for operators that move elements."""
    MOVED.update({(domain, name): why for name in names})


def oracle_of(domain, name, version):
    """The Oracle registered for that version, or None."""
    return next((o for o in sorted(ORACLES.get((domain, name), []), key=lambda o: o.until) if version <= o.until), None)


def schema_versions(domain, name):
    """The versions of the operator's schema, each with the last opset in which it holds; com.microsoft has version 1 alone."""
    since = sorted(s.since_version for s in onnx.defs.get_all_schemas_with_history() if (s.domain, s.name) == (domain, name))
    return list(zip(since or [1], [v - 1 for v in since[1:]] + [NEVER]))


def cases():
    """(domain, name, version of the schema, opset to import, Spec) for everything that a draw exists for."""
    found = []
    for (domain, name), specs in sorted(SPECS.items()):
        for version, last in schema_versions(domain, name):
            fitting = [s for s in specs if s.since <= last and s.until >= version]
            if fitting:
                best = max(fitting, key=lambda s: s.since)
                found.append((domain, name, version, max(version, best.since), best))
    return found


def dtypes(name, version, variable="T", domain="", within=""):
    """The numpy types that the schema lets |variable| stand for at that version; texts are numpy's objects.

    |within| "seq(": the types of a sequence's items.
    """
    schema = onnx.defs.get_schema(name, version, domain)
    allowed = next(c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == variable)
    found = [t[t.index("tensor(") + len("tensor("):].rstrip(")") for t in allowed if t.startswith(within + "tensor(")]
    return [np.dtype(object) if t == "string" else onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(t.upper()))
            for t in sorted(found)]


# --- numbers -----------------------------------------------------------------------------------------------------------------
def pick(rng, items):
    return items[rng.integers(len(items))]


def dims(rng, rank=None, low=0, high=5, zero=0.05):
    """A shape; now and then with a dim of 0 (probability |zero|, where |low| allows it)."""
    rank = rng.integers(0, 5) if rank is None else rank
    shape = [int(rng.integers(max(low, 1), high)) for _ in range(rank)]
    if low == 0 and rank and rng.random() < zero:
        shape[rng.integers(rank)] = 0
    return shape


def array(rng, shape, dtype=np.float32, special=False):
    """Random numbers; |special|: some are infinite, NaN, zeros of both signs or large."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind == "O":
        return np.array(["", "a", "b", "ab", "é", "long enough to lie on the heap"], object)[rng.integers(0, 6, int(np.prod(shape)))].reshape(shape)
    if dtype.name in ("uint4", "int4", "uint2", "int2"):
        low, high = {"uint4": (0, 16), "int4": (-8, 8), "uint2": (0, 4), "int2": (-2, 2)}[dtype.name]
        return np.asarray(rng.integers(low, high, shape)).astype(dtype)
    if dtype.name.startswith("float8_e8m0"):
        return np.asarray(2.0 ** rng.integers(-3, 4, shape)).astype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = np.asarray(rng.integers(max(info.min, -9), 10, shape))
        if special:
            extreme = rng.random(shape) < 0.1
            values = np.where(extreme, rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True).astype(object), values)
        return np.asarray(values).astype(dtype)
    values = np.asarray(rng.normal(0, 2, shape))
    if dtype.kind == "c":
        values = values + 1j * rng.normal(0, 2, shape)
    elif special:
        for number in (np.inf, -np.inf, np.nan, 0.0, -0.0):
            values = np.where(rng.random(shape) < 0.04, number, values)
    return np.asarray(values).astype(dtype)


def broadcast_pair(rng):
    """Two shapes that broadcast."""
    whole = dims(rng, zero=0.03)
    def cut(shape):
        shape = [1 if rng.random() < 0.25 else d for d in shape]
        return shape[rng.integers(0, len(shape) + 1) if rng.random() < 0.3 else 0:]
    return cut(whole), cut(whole)


def axis(rng, rank):
    return int(rng.integers(-rank, rank))
