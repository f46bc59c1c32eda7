"""Every operator of ONNX, in every version, with every type that its schema allows: does anybody take it?

For each version of a schema, each type variable and each type that it may stand for, a model of one node is opened: with the required
inputs and outputs alone, and with all of them. Whoever cannot place it says so, which is a hole. (Whether results are right is for
test_ops.py, test_control.py and the cases of the onnx package.)
"""

import onnx
import pytest
from onnx import TensorProto, helper

import kapell_c

Option, Kind = onnx.defs.OpSchema.FormalParameterOption, onnx.defs.OpSchema.AttrType
PREFERRED = ["tensor(float)", "seq(tensor(float))", "tensor(int64)", "tensor(int32)", "tensor(uint8)", "tensor(bool)"]

# Nodes that hold graphs are test_control.py's.
BODIES = ("If", "Loop", "Scan", "SequenceMap")

# Holes that stay: (operator, words of the refusal) -> why. Nothing else may refuse.
JUSTIFIED = {
    ("Gradient", "derivatives are of floating point"): "the schema has one list of types for xs and zs; only zs, which nothing is derived by, may be others",
    ("Col2Im", "texts"): "the schema lists strings, but blocks are added up where they overlap, and texts cannot be added",
    ("GridSample", "texts"): "the schema lists strings, but its default mode averages neighbours; nearest takes them",
}


def value(kind):
    return {Kind.FLOAT: 1.0, Kind.INT: 1, Kind.STRING: "x", Kind.INTS: [1], Kind.FLOATS: [1.0], Kind.STRINGS: ["x"],
            Kind.TENSOR: helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])}.get(kind)


# What operators need beyond an attribute of the required type: name -> function of (schema, types by variable, with all inputs).
ATTRIBUTES = {
    "BitShift": lambda s, types, full: {"direction": "LEFT"},
    "CategoryMapper": lambda s, types, full: {"cats_strings": ["a"], "cats_int64s": [1]},
    "Constant": lambda s, types, full: {"value": value(Kind.TENSOR)},
    "DictVectorizer": lambda s, types, full: {"int64_vocabulary": [1]} if "int64," in types["T1"] else {"string_vocabulary": ["a"]},
    "Gradient": lambda s, types, full: {"xs": ["i0"], "y": "i0"},
    "LabelEncoder": lambda s, types, full: labels(types) if s.since_version > 1 else {"classes_strings": ["a"]},
    "LinearAttention": lambda s, types, full: {"update_rule": "gated_delta"} if full else {"update_rule": "linear"},
    "MaxRoiPool": lambda s, types, full: {"pooled_shape": [1, 1]},
    "Momentum": lambda s, types, full: {"mode": "nesterov"},
    "OneHotEncoder": lambda s, types, full: {"cats_strings": ["a"]} if types["T"] == "tensor(string)" else {"cats_int64s": [1]},
    "Optional": lambda s, types, full: {} if full else {"type": type_of(types["V"])},
    "SVMClassifier": lambda s, types, full: {"classlabels_ints": [0, 1], "coefficients": [1.0, -1.0], "rho": [0.0], "kernel_type": "LINEAR"},
    "SVMRegressor": lambda s, types, full: {"coefficients": [1.0], "rho": [0.0], "kernel_type": "LINEAR"},
    "TreeEnsemble": lambda s, types, full: tree(element(types["T"][len("tensor("):-1])),
    "TreeEnsembleClassifier": lambda s, types, full: {**leaf("class"), "classlabels_int64s": [0, 1]},
    "TreeEnsembleRegressor": lambda s, types, full: {**leaf("target"), "n_targets": 1},
    "RegexFullMatch": lambda s, types, full: {"pattern": "a.*"},
    "TfIdfVectorizer": lambda s, types, full: {"mode": "TF", "ngram_counts": [0], "ngram_indexes": [0],
                                               **({"pool_strings": ["a"]} if types["T"] == "tensor(string)" else {"pool_int64s": [1]})},
}


def tree(kind):
    """A tree of one node, both sides of which end in one leaf; numbers have the input's type."""
    def number(x):
        return helper.make_tensor("t", kind, [1], [x])
    return {"n_targets": 1, "tree_roots": [0], "nodes_featureids": [0], "nodes_splits": number(1.0), "nodes_truenodeids": [0],
            "nodes_modes": helper.make_tensor("t", TensorProto.UINT8, [1], [0]), "nodes_falsenodeids": [0], "nodes_trueleafs": [1],
            "nodes_falseleafs": [1], "leaf_targetids": [0], "leaf_weights": number(1.0)}


def leaf(what):
    """A tree that is a leaf, in the older form."""
    return {"nodes_treeids": [0], "nodes_nodeids": [0], "nodes_featureids": [0], "nodes_modes": ["LEAF"], "nodes_values": [0.0],
            "nodes_truenodeids": [0], "nodes_falsenodeids": [0], f"{what}_treeids": [0], f"{what}_nodeids": [0], f"{what}_ids": [0],
            f"{what}_weights": [1.0]}


# Attributes that name an element type, and which output has it.
TYPE_ATTRIBUTES = ("to", "dtype", "output_datatype", "output_dtype")


def labels(types):
    """Keys and values of a LabelEncoder whose types are those of its input and output."""
    lists = {"string": ("strings", ["a"]), "int64": ("int64s", [1]), "float": ("floats", [1.0])}
    attrs = {}
    for side, variable in (("keys", "T1"), ("values", "T2")):
        name = types[variable][len("tensor("):-1]
        if name in lists:
            attrs[f"{side}_{lists[name][0]}"] = lists[name][1]
        else:
            attrs[f"{side}_tensor"] = helper.make_tensor("t", element(name), [1], [1])
    return attrs


def element(text):
    return TensorProto.DataType.Value(text.strip().upper())


def type_of(text):
    """The TypeProto of a schema's words: "seq(tensor(float))"."""
    made, (form, inner) = onnx.TypeProto(), text.strip()[:-1].split("(", 1)
    if form == "tensor":
        made.tensor_type.elem_type = element(inner)
    elif form == "sparse_tensor":
        made.sparse_tensor_type.elem_type = element(inner)
    elif form == "seq":
        made.sequence_type.elem_type.CopyFrom(type_of(inner))
    elif form == "optional":
        made.optional_type.elem_type.CopyFrom(type_of(inner))
    else:
        key, item = inner.split(",", 1)
        made.map_type.key_type = element(key)
        made.map_type.value_type.CopyFrom(type_of(item if "(" in item else f"tensor({item})"))
    return made


def preferred(allowed):
    return next((p for p in PREFERRED if p in allowed), min(allowed))


def choices(schema):
    """The types of all variables, one differing from the preferred at a time."""
    allowed = {c.type_param_str: list(c.allowed_type_strs) for c in schema.type_constraints}
    usual = {variable: preferred(types) for variable, types in allowed.items()}
    yield usual
    for variable, types in allowed.items():
        for one in types:
            chosen = {**usual, variable: one}
            if schema.name == "SequenceInsert" and variable != "I":  # the two agree on the element
                chosen["T"], chosen["S"] = (one, f"seq({one})") if variable == "T" else (one[len("seq("):-1], one)
            if schema.name == "BitCast":  # both as wide
                chosen["T1"] = chosen["T2"] = one
            yield chosen


def parameters(params, least, full):
    """The parameters a node has, a variadic one as often as it must."""
    names = [p for p in params if full or p.option != Option.Optional]
    while len(names) < least and params:
        names.append(params[-1])
    return names


def model_of(schema, types, full):
    """A model of one node, or None where the combination is none."""
    least = schema.min_input
    if schema.domain == "ai.onnx.preview.training":  # R, T, then as many tensors of each kind
        least = {"Adagrad": 5, "Adam": 6, "Momentum": 5}.get(schema.name, least)
    inputs = [helper.make_value_info(f"i{k}", type_of(types.get(p.type_str, p.type_str)))
              for k, p in enumerate(parameters(schema.inputs, least, full))]
    outputs = [f"o{k}" for k, _ in enumerate(parameters(schema.outputs, schema.min_output, full))]
    attrs = {name: value(a.type) for name, a in schema.attributes.items() if a.required}
    for name in TYPE_ATTRIBUTES:
        made = types.get(schema.outputs[0].type_str, "")
        if name in schema.attributes and made.startswith("tensor("):
            number = element(made[len("tensor("):-1])
            attrs[name] = TensorProto.DataType.Name(number) if (schema.name, schema.since_version) == ("Cast", 1) else number
    if schema.name == "SequenceEmpty":
        attrs["dtype"] = element(types["S"][len("seq(tensor("):-2])
    attrs.update(ATTRIBUTES.get(schema.name, lambda *_: {})(schema, types, full))
    node = helper.make_node(schema.name, [i.name for i in inputs], outputs, domain=schema.domain, **attrs)
    graph = helper.make_graph([node], "one", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs])
    opsets = [helper.make_opsetid(schema.domain, schema.since_version)] + ([helper.make_opsetid("", 22)] if schema.domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=11)


def refusals(schema):
    """What stands between Kapell and this version of an operator."""
    found = []
    for types in choices(schema):
        for full in (False, True):
            try:
                kapell_c.Session(model_of(schema, types, full).SerializeToString(), "CPU").close()
            except kapell_c.KapellError as error:
                words = str(error).splitlines()[0]
                if not any(name == schema.name and part in words for name, part in JUSTIFIED):
                    found.append(f"{types}{' with all inputs' if full else ''}: {words}")
    return found


SCHEMAS = [s for s in sorted(onnx.defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, s.since_version))
           if not s.deprecated and s.name not in BODIES]


@pytest.mark.parametrize("schema", SCHEMAS, ids=[f"{s.domain + '.' if s.domain else ''}{s.name}-{s.since_version}" for s in SCHEMAS])
def test_operator_is_taken(schema):
    found = refusals(schema)
    assert not found, f"{len(found)} refused:\n" + "\n".join(found[:10])


def test_exceptions_are_needed():
    """A justified hole that is gone leaves the table."""
    for (name, part), _ in JUSTIFIED.items():
        held = False
        for schema in (s for s in SCHEMAS if s.name == name):
            for types in choices(schema):
                try:
                    kapell_c.Session(model_of(schema, types, False).SerializeToString(), "CPU").close()
                except kapell_c.KapellError as error:
                    held = held or part in str(error)
        assert held, f"{name}: nothing says '{part}' any more"
