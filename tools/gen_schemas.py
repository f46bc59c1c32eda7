"""Prints src/graph/schema_table.inl (argument "table") or src/graph/function_bodies.inl ("functions").

The table holds every operator version of the installed onnx package and of src/graph/schema_microsoft.txt. Lists that are equal are
stored once, names are offsets into one text, so the whole takes some 40 KB and needs no relocations.
The function bodies are one serialised ModelProto of the bodies that the package states without context; those that depend
on attributes or types of the node cannot be stored: they are listed in a comment.
"""

import pathlib
import re
import sys

import onnx
from onnx import defs

MICROSOFT = pathlib.Path(__file__).resolve().parents[1] / "src/graph/schema_microsoft.txt"
UNBOUNDED = 0xFFFF
OPTIONS = {"Single": 0, "Optional": 1, "Variadic": 2}
HETEROGENEOUS = 4
KINDS = {"f": 1, "i": 2, "s": 3, "t": 4, "g": 5, "fs": 6, "is": 7, "ss": 8, "ts": 9, "gs": 10, "st": 11, "tp": 13}
ELEMENTS = {name.lower(): number for name, number in onnx.TensorProto.DataType.items()}
FORMS = (("tensor", "tensor({})"), ("seq", "seq(tensor({}))"), ("optional", "optional(tensor({}))"),
         ("optional_seq", "optional(seq(tensor({})))"))


class Operator:
    """One version of one operator, in the form that the table wants."""

    def __init__(self, domain, name, since):
        self.domain, self.name, self.since = "" if domain == "ai.onnx" else domain, name, since
        self.deprecated = False
        self.function = False
        self.inputs, self.outputs, self.attrs, self.constraints = [], [], [], []
        self.counts = None

    def key(self):
        return (self.domain.encode(), self.name.encode(), self.since)


def default_of(attr):
    """What a node without the attribute means, as (float, integer, text); None where nothing is stated, or a list."""
    value = attr.default_value
    kinds = onnx.AttributeProto
    if not value.name or value.type not in (kinds.FLOAT, kinds.INT, kinds.STRING):
        return None
    return (value.f, value.i, value.s.decode())


def from_package(schema):
    op = Operator(schema.domain, schema.name, schema.since_version)
    op.deprecated = schema.deprecated
    op.function = schema.has_function or schema.has_context_dependent_function
    for source, target in ((schema.inputs, op.inputs), (schema.outputs, op.outputs)):
        for param in source:
            flags = OPTIONS[param.option.name] | (0 if param.is_homogeneous else HETEROGENEOUS)
            target.append((param.name, param.type_str, flags))
    op.attrs = sorted((name, attr.type.value, bool(attr.required), default_of(attr)) for name, attr in schema.attributes.items())
    op.constraints = sorted((c.type_param_str, frozenset(c.allowed_type_strs)) for c in schema.type_constraints)
    op.counts = tuple(min(count, UNBOUNDED)
                      for count in (schema.min_input, schema.max_input, schema.min_output, schema.max_output))
    return op


def counts_of(params):
    """Least and greatest number of values for a list of (name, type, flags, may be absent)."""
    least = 0
    for index, (_, _, flags, absent) in enumerate(params):
        if flags & 3 != OPTIONS["Optional"] and not absent:
            least = index + 1
    unbounded = bool(params) and params[-1][2] & 3 == OPTIONS["Variadic"]
    return least, UNBOUNDED if unbounded else len(params)


def parse_param(word):
    name, kind = word.split(":", 1)
    for mark, flags in (("~0", 2 | HETEROGENEOUS), ("~", 2 | HETEROGENEOUS), ("*", 2), ("?", 1)):
        if kind.endswith(mark):
            return name, kind[:-len(mark)], flags, mark == "~0"
    return name, kind, 0, False


def from_text(path):
    ops, params = [], {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "op":
            domain, name = words[1].rsplit(":", 1)
            ops.append(Operator(domain, name, int(words[2])))
            params[ops[-1]] = {"in": [], "out": []}
        elif words[0] in ("in", "out"):
            params[ops[-1]][words[0]] += [parse_param(word) for word in words[1:]]
        elif words[0] == "attr":
            for word in words[1:]:
                name, kind = word.split(":")
                ops[-1].attrs.append((name, KINDS[kind.rstrip("!")], kind.endswith("!"), None))
        elif words[0] == "type":
            for part in line.strip()[len("type "):].split(";"):
                variable, types = part.split("=")
                ops[-1].constraints.append((variable.strip(), frozenset(
                    t if "(" in t else f"tensor({t})" for t in types.split())))
        else:
            sys.exit(f"{path}: cannot read '{line}'")
    for op in ops:
        op.inputs = [param[:3] for param in params[op]["in"]]
        op.outputs = [param[:3] for param in params[op]["out"]]
        op.counts = counts_of(params[op]["in"]) + counts_of(params[op]["out"])
        op.attrs.sort()
        op.constraints.sort()
    return ops


class Text:
    """All names in one C string; each text once."""

    def __init__(self):
        self.offsets, self.parts, self.size = {}, [], 0

    def add(self, text):
        if text not in self.offsets:
            self.offsets[text] = self.size
            self.parts.append(text)
            self.size += len(text.encode()) + 1
        return self.offsets[text]


class Pool:
    """Lists stored once each, one behind the other."""

    def __init__(self):
        self.first, self.items = {}, []

    def add(self, items):
        key = tuple(items)
        if key not in self.first:
            self.first[key] = len(self.items)
            self.items += key
        return self.first[key]


def masks_of(types, text):
    """Element masks of tensors, sequences, optionals and optional sequences; the offset of the rest as text."""
    masks, rest = dict.fromkeys((name for name, _ in FORMS), 0), []
    for kind in sorted(types):
        for name, form in FORMS:
            match = re.fullmatch(re.escape(form).replace(r"\{\}", "([a-z0-9]+)"), kind)
            if match:
                masks[name] |= 1 << ELEMENTS[match.group(1)]
                break
        else:
            rest.append(kind.replace(" ", ""))
    return tuple(masks.values()) + (text.add(" ".join(rest)),)


def print_list(head, items):
    print(f"\n{head} = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) > 118:
            print(line)
            line = "   "
        line += f" {item},"
    print(f"{line}\n}};")


def print_table():
    ops = sorted([from_package(s) for s in defs.get_all_schemas_with_history()] + from_text(MICROSOFT), key=Operator.key)
    text, params, attrs, constraints, sets, defaults, rows = Text(), Pool(), Pool(), Pool(), Pool(), Pool(), []
    text.add("")
    for op in ops:
        firsts = (params.add([(text.add(n), text.add(t), f) for n, t, f in op.inputs]),
                  params.add([(text.add(n), text.add(t), f) for n, t, f in op.outputs]),
                  attrs.add([(text.add(n), k, int(r), 1 + defaults.add([d[:2] + (text.add(d[2]),)]) if d else 0)
                             for n, k, r, d in op.attrs]),
                  constraints.add([(text.add(n), sets.add([masks_of(types, text)])) for n, types in op.constraints]))
        numbers = ((text.add(op.domain), text.add(op.name), op.since) + op.counts + firsts +
                   (len(op.inputs), len(op.outputs), len(op.attrs), len(op.constraints), int(op.deprecated), int(op.function)))
        assert max(numbers) <= UNBOUNDED
        rows.append("    {" + ", ".join(map(str, numbers)) + "},  // " + f"{op.domain} {op.name}-{op.since}".strip())
    print(f"// Generated by tools/gen_schemas.py from onnx {onnx.__version__} and schema_microsoft.txt. Do not edit.")
    print("// clang-format off")
    print("\n// Every name, each ended by a NUL; others refer to it by offset.\nstatic const char schema_text[] =")
    line = ""
    for part in text.parts:
        if len(line) + len(part) > 118:
            print(f'    "{line}"')
            line = ""
        line += part + "\\0"
    print(f'    "{line}";')
    print_list("// Inputs and outputs: name, type, flags.\nstatic const param_row schema_params[]",
               ["{%d, %d, %d}" % item for item in params.items])
    print_list("// Attributes: name, kind, required, number of the default, from 1 (0: none).\nstatic const attr_row schema_attrs[]",
               ["{%d, %d, %d, %d}" % item for item in attrs.items])
    print_list("// Defaults of attributes: float, integer, text.\nstatic const default_row schema_defaults[]",
               ["{%sf, %d, %d}" % (value.hex(), number, word) for value, number, word in defaults.items])
    print_list("// Type variables: name, index of the set.\nstatic const constraint_row schema_constraints[]",
               ["{%d, %d}" % item for item in constraints.items])
    print_list("// Sets of types: element masks of tensors, sequences, optionals, optional sequences; the rest as text.\n"
               "static const type_set schema_sets[]",
               ["{0x%xu, 0x%xu, 0x%xu, 0x%xu, %d}" % item for item in sets.items])
    print("\n// Operators by domain, name and version, names in the order of strcmp.\nstatic const kp_op_schema schema_rows[] = {")
    print("\n".join(rows) + "\n};")


def print_functions():
    model = onnx.ModelProto(ir_version=10)
    model.graph.name = "functions"
    model.opset_import.add(domain="", version=defs.onnx_opset_version())
    dynamic, names = [], []
    for schema in sorted(defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, s.since_version)):
        if schema.has_function:
            function = model.functions.add()
            function.CopyFrom(schema.function_body)
            function.name, function.domain, function.overload = schema.name, schema.domain, str(schema.since_version)
            function.doc_string = ""
            for node in function.node:
                node.doc_string = ""
            defaults = [a.default_value for name, a in sorted(schema.attributes.items()) if a.default_value.type]
            given = {attr.name for attr in function.attribute_proto}
            function.attribute_proto.extend(attr for attr in defaults if attr.name not in given)
            for attr in function.attribute_proto:
                if attr.name in function.attribute:
                    function.attribute.remove(attr.name)
            names.append(f"{schema.name}-{schema.since_version}")
        elif schema.has_context_dependent_function:
            dynamic.append(f"{schema.name}-{schema.since_version}")
    print(f"// Generated by tools/gen_schemas.py from onnx {onnx.__version__}. Do not edit.")
    print("// clang-format off")
    print("//\n// A serialised ModelProto whose functions are the bodies of ONNX's own operators; their overload is the version.")
    for head, items in (("Bodies of:", names), ("Without a body here, as theirs depends on attributes or types of the node:", dynamic)):
        line = "// " + head
        for item in items:
            if len(line) + len(item) > 118:
                print(line)
                line = "//"
            line += " " + item
        print(line)
    data = model.SerializeToString(deterministic=True)
    print(f"static const unsigned char function_bodies[{len(data)}] = {{")
    for start in range(0, len(data), 32):
        print("    " + ",".join(str(byte) for byte in data[start:start + 32]) + ",")
    print("};")


if __name__ == "__main__":
    {"table": print_table, "functions": print_functions}[sys.argv[1]]()
