"""Writes models in ONNX Runtime's own format (.ort) from ModelProtos, byte for byte under the caller's hand: for tests of readers.

Tables are plain dicts {slot: value}. A value is a Number, a str or bytes (a string), a dict (a table), or a Vector.
"""

import struct

from onnx import AttributeProto, TensorProto, numpy_helper


class Number:
    """A scalar of a struct |code|; also where nothing but its kind is meant."""

    def __init__(self, code, value):
        self.code, self.value = code, value


class Vector:
    """Elements of a struct |code|, or (None) references to what |items| are."""

    def __init__(self, items, code=None):
        self.items, self.code = list(items), code


class Writer:
    """Front to back: what refers stands before what it refers to. |marks|: {offset: what begins there}; |references|: where there are any."""

    def __init__(self):
        self.out, self.marks, self.references = bytearray(8), {}, []

    def pad(self, size, before=0):
        """Until |before| bytes on the place is a multiple of |size|."""
        self.out += b"\0" * (-(len(self.out) + before) % size)

    def mark(self, what):
        self.marks[len(self.out)] = what
        return len(self.out)

    def refer(self, at, target):
        struct.pack_into("<I", self.out, at, target - at)
        self.references.append(at)

    def value(self, value, what):
        """Writes what a reference leads to; gives its place."""
        if isinstance(value, dict):
            return self.table(value, what)
        if isinstance(value, (str, bytes)):
            raw = value.encode() if isinstance(value, str) else value
            self.pad(4)
            at = self.mark(what + " string")
            self.out += struct.pack("<I", len(raw)) + raw + b"\0"
            return at
        width = struct.calcsize("<" + value.code) if value.code else 4
        self.pad(max(width, 4), 4)
        at = self.mark(what + " vector")
        self.out += struct.pack("<I", len(value.items))
        if value.code:
            self.out += struct.pack(f"<{len(value.items)}{value.code}", *value.items)
        else:
            first = len(self.out)
            self.out += b"\0" * (4 * len(value.items))
            places = {}  # an object that stands several times in a list is written once
            for i, item in enumerate(value.items):
                if id(item) not in places:
                    places[id(item)] = self.value(item, f"{what}[{i}]")
                self.refer(first + 4 * i, places[id(item)])
        return at

    def table(self, fields, what):
        self.pad(2)
        fields = {slot: value for slot, value in fields.items() if value is not None}
        vtable = self.mark(what + " vtable")
        self.out += b"\0" * (4 + 2 * (max(fields, default=-1) + 1))
        self.pad(4)
        at = self.mark(what + " table")
        self.out += struct.pack("<i", at - vtable)
        places = {}
        for slot, value in fields.items():
            code = value.code if isinstance(value, Number) else "I"
            self.pad(struct.calcsize("<" + code))
            places[slot] = len(self.out)
            self.out += struct.pack("<" + code, value.value if isinstance(value, Number) else 0)
            struct.pack_into("<H", self.out, vtable + 4 + 2 * slot, places[slot] - at)
        struct.pack_into("<HH", self.out, vtable, 4 + 2 * (max(fields, default=-1) + 1), len(self.out) - at)
        for slot, value in fields.items():
            if not isinstance(value, Number):
                self.refer(places[slot], self.value(value, f"{what}.{slot}"))
        return at

    def file(self, session):
        """The bytes of the file around the table |session|."""
        self.out[4:8] = b"ORTM"
        self.refer(0, self.table(session, "session"))
        return bytes(self.out)


# --- from ONNX ---------------------------------------------------------------------------------------------------------------------
def number(code, value, default=0):
    """None for what FlatBuffers leaves out."""
    return None if value == default else Number(code, value)


def texts(items):
    return Vector(items)


def dim(d):
    kind = {"dim_value": 1, "dim_param": 2, None: 0}[d.WhichOneof("value")]
    value = {0: number("b", kind), 1: number("q", d.dim_value), 2: d.dim_param if kind == 2 else None}
    return {0: value, 1: d.denotation}


def type_info(t):
    kind = t.WhichOneof("value")
    if kind == "tensor_type":
        tensor = t.tensor_type
        shape = {0: Vector(map(dim, tensor.shape.dim))} if tensor.HasField("shape") else None
        tag, value = 1, {0: number("i", tensor.elem_type), 1: shape}
    elif kind == "sequence_type":
        tag, value = 2, {0: type_info(t.sequence_type.elem_type)}
    else:
        tag, value = 3, {0: number("i", t.map_type.key_type), 1: type_info(t.map_type.value_type)}
    return {0: t.denotation, 1: Number("B", tag), 2: value}


def value_info(v):
    return {0: v.name, 1: v.doc_string, 2: type_info(v.type) if v.HasField("type") else None}


def tensor(t):
    table = {0: t.name, 1: t.doc_string, 2: Vector(t.dims, "q"), 3: number("i", t.data_type)}
    if t.data_type == TensorProto.STRING:
        table[5] = texts(t.string_data)
    else:
        table[4] = Vector(t.raw_data if t.HasField("raw_data") else numpy_helper.to_array(t).tobytes(), "B")
    return table


def sparse(s):
    return {0: tensor(s.values), 1: tensor(s.indices), 2: Vector(s.dims, "q")}


def attribute(a):
    table = {0: a.name, 1: a.doc_string, 2: number("i", a.type)}
    kinds = AttributeProto
    table |= {kinds.FLOAT: lambda: {3: number("f", a.f)}, kinds.INT: lambda: {4: number("q", a.i)}, kinds.STRING: lambda: {5: a.s},
              kinds.TENSOR: lambda: {6: tensor(a.t)}, kinds.GRAPH: lambda: {7: graph(a.g)}, kinds.FLOATS: lambda: {8: Vector(a.floats, "f")},
              kinds.INTS: lambda: {9: Vector(a.ints, "q")}, kinds.STRINGS: lambda: {10: texts(a.strings)},
              kinds.TENSORS: lambda: {11: Vector(map(tensor, a.tensors))}, kinds.GRAPHS: lambda: {12: Vector(map(graph, a.graphs))}}[a.type]()
    return table


def node(n, index=0):
    return {0: n.name, 1: n.doc_string, 2: n.domain, 3: number("i", 1), 4: number("I", index), 5: n.op_type, 7: "CPUExecutionProvider",
            8: texts(n.input), 9: texts(n.output), 10: Vector(map(attribute, n.attribute)), 11: Vector([1] * len(n.input), "i"), 12: texts([])}


def graph(g):
    infos = {v.name: v for v in [*g.value_info, *g.output, *g.input]}  # each value once
    return {0: Vector(map(tensor, g.initializer)), 1: Vector(map(value_info, infos.values())),
            2: Vector(node(n, i) for i, n in enumerate(g.node)), 3: number("I", len(g.node)), 5: texts(v.name for v in g.input),
            6: texts(v.name for v in g.output), 7: Vector(map(sparse, g.sparse_initializer)) if g.sparse_initializer else None}


def model(m):
    return {0: number("q", m.ir_version), 1: Vector({0: o.domain, 1: number("q", o.version)} for o in m.opset_import), 2: m.producer_name,
            3: m.producer_version, 4: m.domain, 5: number("q", m.model_version), 6: m.doc_string, 7: graph(m.graph), 8: m.graph.doc_string,
            9: Vector({0: e.key, 1: e.value} for e in m.metadata_props)}


def session(m, version="6"):
    return {0: version, 1: model(m)}


def encode(m, version="6"):
    """The bytes of ModelProto |m| in the format's |version|."""
    return Writer().file(session(m, version))
