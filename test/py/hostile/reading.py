"""The file format: truncation at every structure, flipped bits, bad wire data, nesting, lists of millions, other kinds of files."""

import random

from onnx import TensorProto, helper

from . import make, wire
from .base import Case
from .make import F, I64, body, const, function, graph, info, node

BYTE = (r"byte \d+",)


def rich():
    """A model that has a little of everything, and runs."""
    branch = body([node("Add", ["x", "w"], ["b"], "the_branch")], [], ["b"])
    sparse = helper.make_sparse_tensor(const("sv", [1.0, 2.0], "f4"), const("si", [0, 3], "i8"), [4])
    nodes = [node("If", ["c"], ["i"], then_branch=branch, else_branch=branch), node("Twice", ["i"], ["t"], domain="f"),
             node("LeakyRelu", ["t"], ["l"], alpha=0.5), node("Concat", ["l", "sv"], ["k"], axis=0),
             node("Cast", ["k"], ["y"], to=I64)]
    twice = function("Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])])
    m = helper.make_model(graph(nodes, [info("x", ("N",)), info("c", (), TensorProto.BOOL)], [info("y", None, I64)],
                                [const("w", [1.0, 2.0], "f4"), make.tensor("u", F, [2], None, float_data=[1, 2])],
                                value_info=[info("l", ("N",))], sparse_initializer=[sparse]), ir_version=10, functions=[twice])
    m.opset_import[0].version = 21
    m.opset_import.append(helper.make_operatorsetid("f", 1))
    m.metadata_props.add(key="k", value="v")
    return m.SerializeToString()


# Fields that hold messages, by the kind of message that they stand in: what truncation descends into.
MESSAGES = {"model": {7: "graph", 8: "opset", 14: "entry", 25: "function"},
            "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
            "node": {5: "attribute"}, "attribute": {5: "tensor", 6: "graph"}, "value": {2: "type"}, "type": {1: "ttype"},
            "ttype": {2: "shape"}, "shape": {1: "dim"}, "sparse": {1: "tensor", 2: "tensor"},
            "function": {7: "node", 9: "opset"}, "opset": {}, "entry": {}, "tensor": {}, "dim": {}}


def boundaries(raw, kind="model", base=0, path="model"):
    """(path, offset) of the beginning of every field of every message."""
    seen = {}
    for start, payload, end, number, wire_kind in wire.fields(raw):
        index = seen[number] = seen.get(number, -1) + 1
        here = f"{path}.{number}_{index}"
        yield here, base + start, base + payload
        if wire_kind == 2 and number in MESSAGES[kind]:
            yield from boundaries(raw[payload:end], MESSAGES[kind][number], base + payload, here)


def truncations():
    raw = rich()
    cuts = {}
    for path, start, payload in boundaries(raw):
        cuts.setdefault(start, path + "/key")
        cuts.setdefault(payload, path + "/payload")
        cuts.setdefault((start + payload) // 2 + 1, path + "/middle")
    top = {start for start, *_ in wire.fields(raw)}
    for offset, path in sorted(cuts.items()):
        if offset in top or offset >= len(raw):  # whole fields are missing: maybe a model all the same
            yield Case(f"cut_{offset}_{path}", raw[:offset], runs=None)
        else:
            yield Case(f"cut_{offset}_{path}", raw[:offset], BYTE if offset > 8 else (), code="INVALID_MODEL|NOT_A_MODEL")


def flips():
    raw = rich()
    rng = random.Random(5)
    for i in range(120):
        changed = bytearray(raw)
        for _ in range(1 + i % 4):
            changed[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        yield Case(f"flip_{i}", bytes(changed), runs=None)
    for i in range(30):  # a run of bytes from elsewhere
        changed = bytearray(raw)
        size, to, start = rng.randrange(1, 30), rng.randrange(len(raw) - 30), rng.randrange(len(raw) - 30)
        changed[to:to + size] = raw[start:start + size]
        yield Case(f"splice_{i}", bytes(changed), runs=None)


def bad_wire():
    long_varint = b"\xff" * 10 + b"\x01"
    bads = {"wire3": wire.key(1, 3), "wire6": wire.key(3, 6) + b"x", "wire7": wire.key(3, 7) + b"x", "field0": wire.key(0, 2) + b"\0",
            "endless_varint": wire.key(3, 2) + b"\xff" * 12, "length_2_63": wire.key(2, 2) + wire.varint(1 << 63),
            "length_max": wire.key(2, 2) + wire.varint((1 << 64) - 1), "length_over": wire.key(2, 2) + wire.varint(1 << 20) + b"x",
            "long_varint": wire.key(15, 0) + long_varint, "field_huge": wire.varint((1 << 40) << 3 | 2) + b"\0",
            "end_group": wire.key(3, 4)}
    wraps = {"model": lambda b: wire.model(wire.relu_graph()) + b,
             "graph": lambda b: wire.model(wire.relu_graph(b)),
             "node": lambda b: wire.model(wire.relu_graph(wire.data(1, wire.data(4, "Relu") + b))),
             "attribute": lambda b: wire.model(wire.relu_graph(wire.data(1, wire.data(4, "Relu") + wire.data(5, b)))),
             "tensor": lambda b: wire.model(wire.relu_graph(wire.data(5, b))),
             "type": lambda b: wire.model(wire.relu_graph(wire.data(13, wire.data(2, b))))}
    for where, wrap in wraps.items():
        for what, bad in bads.items():
            yield Case(f"wire_{where}_{what}", wrap(bad), BYTE, code="INVALID_MODEL")


def other_files():
    kinds = {"empty": (b"", "empty"), "html": (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
             "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "LFS"),
             "zip": (b"PK\x03\x04" + bytes(60), "[Zz][Ii][Pp]"), "png": (b"\x89PNG\r\n\x1a\n" + bytes(60), ""),
             "json": (b'{"model": 1}', "JSON"), "text": (b"hello, this is no model at all\n" * 3, "text"),
             "zeros": (bytes(1000), ""), "ones": (b"\xff" * 1000, ""), "gzip": (b"\x1f\x8b\x08" + bytes(60), ""),
             "elf": (b"\x7fELF" + bytes(200), ""), "one_byte": (b"\x08", ""), "pickle": (b"\x80\x02}q\x00." * 5, "")}
    for name, (content, word) in kinds.items():
        yield Case(f"other_{name}", content, (word,), code="NOT_A_MODEL|INVALID_MODEL")
        yield Case(f"other_file_{name}", content, (word,), code="NOT_A_MODEL|INVALID_MODEL", open="file")


def nest(depth, wrap, inner):
    for _ in range(depth):
        inner = wrap(inner)
    return inner


def nesting():
    deep = ("nested",)
    tensor_type = wire.data(1, wire.number(1, 1))
    types = {"sequence": lambda t: wire.data(4, wire.data(1, t)), "optional": lambda t: wire.data(9, wire.data(1, t)),
             "map": lambda t: wire.data(5, wire.number(1, 7) + wire.data(2, t)),
             "sequence_of_optional": lambda t: wire.data(4, wire.data(1, wire.data(9, wire.data(1, t))))}
    for name, wrap in types.items():
        for depth in (30, 10000):
            info_bytes = wire.data(1, "x") + wire.data(2, nest(depth, wrap, tensor_type))
            raw = wire.model(wire.data(1, wire.data(1, "x") + wire.data(2, "y") + wire.data(4, "Identity"))
                             + wire.data(2, "g") + wire.data(11, info_bytes) + wire.data(12, wire.data(1, "y")))
            yield Case(f"types_{name}_{depth}", raw, deep if depth > 1000 else (), None if depth < 1000 else False,
                       "LIMIT" if depth > 1000 else None)
        attr = wire.data(1, "a") + wire.data(14, nest(10000, wrap, tensor_type)) + wire.number(20, 13)
        yield Case(f"attribute_types_{name}", wire.model(wire.relu_graph(
            wire.data(1, wire.data(4, "Optional") + wire.data(2, "z") + wire.data(5, attr)))), deep, code="LIMIT")
    for op in ("If", "Loop", "Scan", "Unknown"):
        def wrap(inner, op=op):
            return (wire.data(1, wire.data(4, op) + wire.data(1, "c") + wire.data(2, "o")
                              + wire.data(5, wire.data(1, "body") + wire.data(6, inner) + wire.number(20, 5))) + wire.data(2, "g"))
        for depth in (60, 10000):
            yield Case(f"graphs_{op}_{depth}", wire.model(nest(depth, wrap, wire.relu_graph())),
                       deep if depth > 1000 else (), code="LIMIT" if depth > 1000 else None)
    junk = nest(10000, lambda b: wire.data(100, b), b"")
    yield Case("unknown_fields_10000", wire.model(wire.relu_graph(junk)), runs=True)


def millions():
    n = 1_000_000
    op = wire.data(4, "Relu") + wire.data(1, "x") + wire.data(2, "z")
    ints = wire.data(1, "axes") + wire.data(8, wire.varint(1) * n) + wire.number(20, 7)
    unpacked = wire.data(1, "axes") + wire.number(8, 1) * n + wire.number(20, 7)
    floats = wire.data(1, "axes") + wire.data(7, bytes(4 * n)) + wire.number(20, 6)
    strings = wire.data(1, "axes") + wire.data(9, "") * n + wire.number(20, 8)
    def with_attr(attr):
        return wire.model(wire.relu_graph(wire.data(1, op + wire.data(5, attr))))
    yield Case("million_ints", with_attr(ints), runs=None)
    yield Case("million_ints_unpacked", with_attr(unpacked), runs=None)
    yield Case("million_floats", with_attr(floats), runs=None)
    yield Case("million_strings", with_attr(strings), runs=None)
    yield Case("million_tensors", with_attr(wire.data(1, "t") + wire.data(10, b"") * n + wire.number(20, 9)), runs=None)
    yield Case("million_graphs", with_attr(wire.data(1, "t") + wire.data(11, b"") * n + wire.number(20, 10)), runs=None)
    yield Case("million_attributes", wire.model(wire.relu_graph(wire.data(1, op + wire.data(5, b"") * n))), ("10000",), code="LIMIT")
    yield Case("million_named_attributes", wire.model(wire.relu_graph(wire.data(1, op + b"".join(
        wire.data(5, wire.data(1, f"a{i}") + wire.number(3, 1) + wire.number(20, 2)) for i in range(20000))))), ("10000",), code="LIMIT")
    fields = {"nodes": wire.data(1, b""), "initializers": wire.data(5, b""), "inputs": wire.data(11, b""),
              "outputs": wire.data(12, b""), "value_infos": wire.data(13, b""), "annotations": wire.data(14, b""),
              "sparse": wire.data(15, b""), "metadata": wire.data(16, b"")}
    for name, field in fields.items():
        ok = name in ("annotations", "metadata", "value_infos")
        yield Case(f"million_{name}", wire.model(wire.relu_graph(field * n)), runs=None if ok else False)
    for name, field in {"opsets": 8, "functions": 25, "metadata_props": 14, "trainings": 20}.items():
        yield Case(f"million_{name}", wire.model(wire.relu_graph(), wire.data(field, b"") * n), runs=None)
    good = wire.data(1, wire.data(4, "Relu") + wire.data(1, "x") + wire.data(2, "z")) * n
    yield Case("million_same_nodes", wire.model(wire.relu_graph(good)), ("'z'",))
    yield Case("million_inputs_of_a_node", wire.model(wire.relu_graph(wire.data(
        1, wire.data(4, "Concat") + wire.data(1, "x") * n + wire.data(2, "z")))), runs=None)
    yield Case("million_outputs_of_a_node", wire.model(wire.relu_graph(wire.data(
        1, wire.data(4, "Split") + wire.data(1, "x") + wire.data(2, "") * n))), runs=None)
    dims = wire.data(1, wire.data(1, n * wire.varint(1)) + wire.number(2, 1) + wire.data(8, "t"))
    yield Case("million_dims_initializer", wire.model(wire.relu_graph(
        wire.data(5, wire.data(1, wire.varint(1) * n) + wire.number(2, 1) + wire.data(8, "t") + wire.data(9, bytes(4))))),
        ("'t'",))
    shape = wire.data(2, wire.data(1, wire.number(1, 1) + wire.data(2, wire.data(1, wire.number(1, 1)) * n)))
    yield Case("million_dims_input", wire.model(wire.relu_graph(wire.data(11, wire.data(1, "t") + shape))), ("'t'",))
    yield Case("long_name", wire.model(wire.relu_graph(wire.data(1, wire.data(4, "Relu") + wire.data(1, "n" * 20_000_000)
                                                                 + wire.data(2, "z")))), ("nnnn",))
    yield Case("long_op", wire.model(wire.relu_graph(wire.data(1, wire.data(4, "R" * 20_000_000) + wire.data(1, "x")
                                                               + wire.data(2, "z")))), ("RRRR",))
    del dims


def texts():
    yield Case("nul_in_name", wire.model(wire.relu_graph(wire.data(1, wire.data(4, "Relu") + wire.data(1, b"x\0y") + wire.data(2, "z")))),
               ("NUL",), code="INVALID_MODEL")
    for name, text in {"latin": b"\xe9t\xe9", "lone": b"\x80\x80", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80",
                       "past": b"\xf4\x90\x80\x80", "cut": b"abc\xe2\x82"}.items():
        yield Case(f"name_not_utf8_{name}", wire.model(wire.relu_graph(
            wire.data(1, wire.data(4, "Relu") + wire.data(1, b"no" + text) + wire.data(2, "z")))), ("no",), code="INVALID_MODEL")
        yield Case(f"op_not_utf8_{name}", wire.model(wire.relu_graph(
            wire.data(1, wire.data(4, b"Op" + text) + wire.data(1, "x") + wire.data(2, "z")))), ("Op",))
        yield Case(f"metadata_not_utf8_{name}", wire.model(wire.relu_graph(), wire.data(14, wire.data(1, text) + wire.data(2, text))),
                   runs=True)
    yield Case("control_characters", wire.model(wire.relu_graph(
        wire.data(1, wire.data(4, "Relu") + wire.data(1, "\x1b[2Jred\x07") + wire.data(2, "z")))), (r"\?\[2Jred",))
    yield Case("format_letters", wire.model(wire.relu_graph(
        wire.data(1, wire.data(4, "Relu") + wire.data(1, "%s%n%s") + wire.data(2, "z")))), ("%s%n%s",))


def cases():
    yield Case("rich", rich(), runs=True, lines=("input x 1 2 1,2", "input c 9 - 1"))
    for part in (truncations, flips, bad_wire, other_files, nesting, millions, texts):
        yield from part()
