"""ONNX Runtime's own format: truncation at every structure, flipped bits, references and lengths that lead elsewhere, tables that many places
share, deep nesting, and what only this format can say wrongly.

Of the first three every fifteenth is taken here, all where KAPELL_MUTANTS is over 9; test_onnx_reader.py has all of them read.
"""

import itertools
import os
import random
import struct
import sys

import onnx
from onnx import AttributeProto

from .base import ROOT, Case
from .make import F, I64, STRING, model, node, tensor
from .reading import BYTE, rich

sys.path.insert(0, str(ROOT / "test" / "py"))
import ort_flat  # noqa: E402
from ort_flat import Number, Vector  # noqa: E402

STEP = 1 if int(os.environ.get("KAPELL_MUTANTS", "2")) > 9 else 15
MODEL, GRAPH, NODES, ARGS, INITIALIZERS, ATTRIBUTES = 1, 7, 2, 1, 0, 10


def of(raw):
    """The tables of a serialized model, to be changed."""
    return ort_flat.session(onnx.ModelProto.FromString(raw))


def written(session):
    writer = ort_flat.Writer()
    return writer.file(session), writer


def simple(**more):
    """A node over x and an initializer."""
    return of(model([node("Add", ["x", "w"], **more)], constants=[tensor("w", F, [2], struct.pack("<2f", 1, 2))]))


def full():
    """reading.rich() as far as the format has it: the function is expanded."""
    m = onnx.ModelProto.FromString(rich())
    m.graph.node[1].CopyFrom(node("Add", ["i", "i"], ["t"]))
    del m.functions[:]
    return ort_flat.session(m)


def cuts():
    raw, writer = written(full())
    for i, (at, what) in enumerate(sorted(writer.marks.items())):
        offset = max(at + i % 4, 9)
        yield Case(f"ort_cut_{offset}_{what}".replace(" ", "_"), raw[:offset], BYTE, code="INVALID_MODEL")


def flips():
    raw, _ = written(full())
    rng = random.Random(7)
    for i in range(120):
        changed = bytearray(raw)
        for _ in range(1 + i % 3):
            changed[rng.randrange(8, len(raw))] ^= 1 << rng.randrange(8)
        yield Case(f"ort_flip_{i}", bytes(changed), runs=None, options={"max_memory": 100 << 20})


def references():
    """Every reference, length and vtable with another number: refused, unless nobody looks there."""
    raw, writer = written(full())
    wrong = [0, 1, 3, len(raw), 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0, 0x80000000]
    for i, at in enumerate(writer.references):
        changed = bytearray(raw)
        struct.pack_into("<I", changed, at, wrong[i % len(wrong)])
        yield Case(f"ort_reference_{at}", bytes(changed), runs=None)
    for i, (at, what) in enumerate(sorted(writer.marks.items())):
        changed = bytearray(raw)
        if what.endswith("vtable"):
            struct.pack_into("<H", changed, at + 2 * (i % 2), [0, 3, 0xFFFF, 5][i // 2 % 4])
        elif what.endswith("table"):
            struct.pack_into("<i", changed, at, [0, -0x80000000, 0x7FFFFFFF, at + 1][i % 4])
        else:
            struct.pack_into("<I", changed, at, [0xFFFFFFFF, len(raw), 0x80000000, 0x40000000][i % 4])
        yield Case(f"ort_{what}_{at}".replace(" ", "_"), bytes(changed), runs=None)


# --- sizes out of proportion -------------------------------------------------------------------------------------------------------
def attribute_of(inner):
    return {0: "body", 2: Number("i", AttributeProto.GRAPH), 7: inner}


def nested(depth, width):
    """A graph with |width| times the same node with |width| times the same attribute: the next graph."""
    inner = {}
    for _ in range(depth):
        inner = {NODES: Vector([{5: "If", ATTRIBUTES: Vector([attribute_of(inner)] * width)}] * width)}
    return inner


def deep_type(depth):
    kind = {1: Number("B", 1), 2: {0: Number("i", F)}}
    for _ in range(depth):
        kind = {1: Number("B", 2), 2: {0: kind}}
    return kind


def put(value, *path, session=None):
    """The file of simple(), or of |session|, with |value| at |path|; list positions and slots alike."""
    session = session or simple()
    at = session
    for step in path[:-1]:
        at = at.items[step] if isinstance(at, Vector) else at[step]
    if isinstance(at, Vector):
        at.items[path[-1]] = value
    else:
        at[path[-1]] = value
    return written(session)[0]


THE_GRAPH = (MODEL, GRAPH)
THE_NODE, THE_TENSOR, AN_ARG = (*THE_GRAPH, NODES, 0), (*THE_GRAPH, INITIALIZERS, 0), (*THE_GRAPH, ARGS, 1)
ITS_ATTRIBUTES = (*THE_NODE, ATTRIBUTES)


def sizes():
    """A megabyte that 20,000 places mean, ten to the twelfth tables in a few hundred, depth, a list too long."""
    weights = {0: "w", 2: Vector([1 << 18], "q"), 3: Number("i", F), 4: Vector(bytes(1 << 20), "B")}
    yield Case("ort_one_text", put(Vector(["x" * (1 << 20)] * 20000), *THE_NODE, 8), ("strings and data",), code="LIMIT")
    yield Case("ort_one_tensor", put(Vector([weights] * 20000), *THE_GRAPH, INITIALIZERS), ("strings and data",), code="LIMIT")
    yield Case("ort_laughs", put(nested(12, 10), *THE_GRAPH), ("more than",), code="LIMIT")
    yield Case("ort_deep", put(nested(70, 1), *THE_GRAPH), ("nested too deep",), code="LIMIT")
    yield Case("ort_deep_type", put(deep_type(150), *AN_ARG, 2), ("nested too deep",), code="LIMIT")
    yield Case("ort_many_attributes", put(Vector([{0: "a"}] * 10001), *ITS_ATTRIBUTES), ("attributes", "10000"), code="LIMIT")


# --- what the schema does not allow --------------------------------------------------------------------------------------------------
def attributes(kind, **more):
    return Vector([{0: "a", 2: Number("i", kind), **{int(slot[1:]): value for slot, value in more.items()}}])


def refused():
    """(name, file, code, words)."""
    bad, unsupported = "INVALID_MODEL", "UNSUPPORTED_MODEL"
    yield "no_version", put(None, 0), bad, "ort_version: is missing"
    yield "version_7", put("7", 0), unsupported, "version \\[7\\] is not supported"
    yield "no_model", put(None, MODEL), bad, "is missing"
    yield "no_graph", put(None, *THE_GRAPH), bad, "has no graph"
    yield "no_opsets", put(None, MODEL, 1), bad, "imports no opset"
    yield "ir_version_-1", put(Number("q", -1), MODEL, 0), bad, "IR version"
    yield "model_is_text", put("not a table, but long enough to look like one", MODEL), bad, "byte"
    yield "node_compiled", put(Number("i", 1), *THE_NODE, 6), unsupported, r"graph.nodes\[0\].type: .*compiled"
    yield "name_with_nul", put("a\0b", *THE_NODE, 0), bad, r"graph.nodes\[0\].name: a name with a NUL"
    yield "no_operator", put(None, *THE_NODE, 5), unsupported, "no operator"
    yield "attribute_no_tensor", put(attributes(AttributeProto.TENSOR), *ITS_ATTRIBUTES), bad, r"attributes\[0\].t: is missing"
    yield "attribute_no_graph", put(attributes(AttributeProto.GRAPH), *ITS_ATTRIBUTES), bad, r"attributes\[0\].g: is missing"
    yield "attribute_no_text", put(attributes(AttributeProto.STRING), *ITS_ATTRIBUTES), bad, r"attributes\[0\].s: is missing"
    for kind in (AttributeProto.SPARSE_TENSOR, AttributeProto.TYPE_PROTO, 99, -1, -0x80000000):
        yield f"attribute_type_{kind}", put(attributes(kind), *ITS_ATTRIBUTES), unsupported, r"attributes\[0\].type: a kind"
    yield "type_4", put({1: Number("B", 4), 2: {}}, *AN_ARG, 2), unsupported, "value_type: a kind"
    yield "type_255", put({1: Number("B", 255), 2: {}}, *AN_ARG, 2), unsupported, "value_type: a kind"
    yield "type_without_value", put({1: Number("B", 1)}, *AN_ARG, 2), bad, "tensor_type: is missing"
    yield "sequence_of_nothing", put({1: Number("B", 2), 2: {}}, *AN_ARG, 2), bad, "elem_type: is missing"
    yield "map_to_nothing", put({1: Number("B", 3), 2: {}}, *AN_ARG, 2), bad, "value_type: is missing"
    shape = {1: Number("B", 1), 2: {0: Number("i", F), 1: {0: Vector([{0: {0: Number("b", 3)}}])}}}
    yield "dim_3", put(shape, *AN_ARG, 2), unsupported, "dim_type: a kind"
    yield "data_elsewhere", put({0: "w", 2: Vector([2], "q"), 3: Number("i", F), 6: Number("q", 64)}, *THE_TENSOR), unsupported, "in another file"
    yield "data_missing", put({0: "w", 2: Vector([2], "q"), 3: Number("i", F)}, *THE_TENSOR), bad, "0 bytes; type and shape need 8"
    yield "data_short", put(Vector(b"1234", "B"), *THE_TENSOR, 4), bad, "4 bytes; type and shape need 8"
    yield "data_of_strings", put({0: "w", 2: Vector([2], "q"), 3: Number("i", STRING), 5: Vector(["a"])}, *THE_TENSOR), bad, "1 strings; the shape needs 2"
    yield "data_negative", put(Vector([-2], "q"), *THE_TENSOR, 2), bad, "dimension 0 is -2"
    yield "data_huge", put(Vector([1 << 40, 1 << 40], "q"), *THE_TENSOR, 2), bad, "more elements than memory"
    yield "data_type_99", put(Number("i", 99), *THE_TENSOR, 3), unsupported, "element type 99"
    yield "tensor_twice", put(Vector([ort_flat.tensor(tensor("w", F, [2], bytes(8)))] * 2), *THE_GRAPH, INITIALIZERS), bad, "'w'"
    yield "input_twice", put(Vector(["x", "x"]), *THE_GRAPH, 5), bad, "'x'"
    yield "input_without_name", put(Vector([""]), *THE_GRAPH, 5), bad, "has no name"
    yield "output_of_nobody", put(Vector(["z"]), *THE_GRAPH, 6), bad, "'z'"
    sparse = {0: {0: "s", 2: Vector([1], "q"), 3: Number("i", F), 4: Vector(bytes(4), "B")}, 2: Vector([4], "q")}
    yield "sparse_no_indices", put(Vector([sparse]), *THE_GRAPH, 7), bad, r"sparse_initializers\[0\].indices: is missing"
    index = {0: "", 2: Vector([1], "q"), 3: Number("i", I64), 4: Vector(struct.pack("<q", 4), "B")}
    yield "sparse_index", put(Vector([sparse | {1: index}]), *THE_GRAPH, 7), bad, "index 0 is 4"


def cases():
    yield Case("ort_rich", written(full())[0], runs=True)
    yield Case("ort_simple", written(simple())[0], runs=True)
    yield Case("ort_no_infos", put(None, *THE_GRAPH, ARGS), runs=None)
    yield Case("ort_cut_8", written(simple())[0][:8], code="NOT_A_MODEL")
    for broken in (cuts, flips, references):
        yield from itertools.islice(broken(), 0, None, STEP)
    yield from sizes()
    for name, raw, code, words in refused():
        yield Case("ort_" + name, raw, (words,), code=code)
