"""Which models are accepted, beside the onnx package's checker: its own test models and small ones, each also with one thing changed.

Both are asked for the same: structure, types and shapes (full_check). Where they differ, one list says why.
"""

import copy
import random
import re

import onnx
import pytest
from onnx import TensorProto, checker, helper
from test_infer import Tool
from test_onnx_reader import package_models

ROUNDS, ROUNDS_FULL = 600, 20000
MOST_BYTES = 20000

# A pattern of the error -> why only one of the two gives it.
OURS = {
    r"attribute '\w+' is '\w+'; it can be one of:": "texts that the specification lists, which the package does not compare",
    r"dim -?\d+ is|rank \d+; (expected|attribute)|does not fit the new shape|axis \d+ is outside|does not fit there|the weights have": "shapes that do not fit, where the package does not look",
}
THEIRS = {
    r"topologically sorted": "nodes may come in any order",
    r"Inferred shape and existing shape differ": "a wrong shape stated in the file is a warning: older tools wrote such, and the models run",
    r"has (in|out)put size \d+ not in range": "inputs that are absent ('') at the end of the list are no inputs",
    r"Invalid tensor data type 0|Element type of input \d+ unknown|elem type differs from existing elem type"
    r"|Element type of inputs are expected to be the same": "a type that is not stated is one that is not known yet",
    r"\(op_type:Split\): .*Neither 'split' input nor 'num_outputs' attribute": "the node's outputs tell into how many parts it splits evenly",
    r"\(op_type:SequenceConstruct\): .*Input type for input at index \d+ is null": "an absent input ('') of a list is no input",
    r"\(op_type:Concat\): \[ShapeInferenceError\] axis must be": "a Concat of one input is taken out before types are looked at",
    r"\(op_type:Constant\): output has unsupported type": "a Constant may have a type that later versions of it allow",
    r"Input shape must have either \[C\] or \[1,C\]": "StringNormalizer of no strings gives one empty string, as it does when all are stop words",
}


def seeds():
    for path in package_models():
        data = path.read_bytes()
        if len(data) < MOST_BYTES:
            yield onnx.ModelProto.FromString(data)


def names_of(graph):
    return [n for node in graph.node for n in node.output if n] + [i.name for i in graph.input] + [t.name for t in graph.initializer]


def change(rng, model):
    """One thing of the main graph or of the imports, changed."""
    graph = model.graph
    node = rng.choice(graph.node) if graph.node else None
    kinds = ["rename", "drop input", "add input", "drop output", "op", "drop attribute", "attribute kind", "swap", "twice", "dims", "type",
             "version", "no output", "ghost output", "initializer"]
    kind = rng.choice(kinds)
    if kind == "rename" and node is not None and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice([*names_of(graph), "ghost", ""])
    elif kind == "drop input" and node is not None and node.input:
        node.input.pop()
    elif kind == "add input" and node is not None:
        node.input.append(rng.choice([*names_of(graph), ""]))
    elif kind == "drop output" and node is not None and node.output:
        node.output.pop()
    elif kind == "op" and node is not None:
        node.op_type = rng.choice(["Relu", "Add", "Concat", "Conv", "Frobnicate", "Identity", "MatMul", "Reshape"])
    elif kind == "drop attribute" and node is not None and node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]
    elif kind == "attribute kind" and node is not None and node.attribute:
        at = rng.randrange(len(node.attribute))
        node.attribute[at].CopyFrom(helper.make_attribute(node.attribute[at].name, rng.choice([1, 1.5, "text", [1, 2]])))
    elif kind == "swap" and len(graph.node) > 1:
        first = copy.deepcopy(graph.node[0])
        del graph.node[0]
        graph.node.append(first)
    elif kind == "twice" and node is not None:
        graph.node.append(node)
    elif kind in ("dims", "type") and graph.input:
        tensor = rng.choice(graph.input).type.tensor_type
        if kind == "type":
            tensor.elem_type = rng.choice([TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL, 0, 99])
        elif tensor.shape.dim:
            rng.choice(tensor.shape.dim).dim_value = rng.choice([0, 1, 7, -1])
    elif kind == "version" and model.opset_import:
        model.opset_import[0].version = rng.choice([0, 1, 7, 13, 21, 24])
    elif kind == "no output" and graph.output:
        del graph.output[:]
    elif kind == "ghost output":
        graph.output.append(helper.make_tensor_value_info("ghost", TensorProto.FLOAT, [1]))
    elif kind == "initializer" and graph.initializer:
        graph.initializer[0].dims.append(3)
    return kind


def theirs(model):
    try:
        checker.check_model(model, full_check=True)
    except Exception as error:  # noqa: BLE001 - the checker's, inference's and protobuf's
        return str(error) or type(error).__name__
    return None


@pytest.fixture(scope="module")
def tool(build_dir, tmp_path_factory):
    running = Tool(str(build_dir / "test" / "infer_dump"), tmp_path_factory.mktemp("checker"))
    yield running
    running.process.stdin.close()
    assert running.process.wait(timeout=20) == 0


def compare(tool, model):
    """(what Kapell says, what the package says), None for no objection."""
    return tool.infer(model).get("error"), theirs(model)


def open_dims(model):
    """Is there an input with a dimension of -1? Kapell takes it for one that is not known yet, the package reckons with it."""
    return any(d.dim_value < 0 for i in model.graph.input for d in i.type.tensor_type.shape.dim)


def unexplained(ours, package, model):
    """True where one of the two refuses and the list does not say why."""
    if (ours is None) == (package is None) or (ours is None and open_dims(model)):
        return False
    return not any(re.search(pattern, ours or package) for pattern in (OURS if ours else THEIRS))


def test_a_sequence_is_no_tensor(tool):
    x, y = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]), helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [helper.make_node("SequenceConstruct", ["x", "x"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    ours, package = compare(tool, model)
    assert package and "input 'X': sequence(float32[2]) is no type that Relu of opset 14 takes" in ours


def test_models_of_the_package_are_accepted_alike(tool):
    wrong = []
    for model in seeds():
        ours, package = compare(tool, model)
        if unexplained(ours, package, model):
            wrong.append(f"{model.graph.name}: Kapell: {ours}; onnx: {package}")
    assert not wrong, "\n".join(wrong)


def run_rounds(tool, rounds, seed):
    rng, models, wrong, alike = random.Random(seed), list(seeds()), [], {True: 0, False: 0}
    for number in range(rounds):
        model = copy.deepcopy(rng.choice(models))
        kind = change(rng, model)
        ours, package = compare(tool, model)
        if unexplained(ours, package, model):
            wrong.append(f"round {number}, {kind} in {model.graph.name}: Kapell: {ours}; onnx: {package}")
        elif (ours is None) == (package is None):
            alike[ours is None] += 1
    assert not wrong, f"{len(wrong)} of {rounds}:\n" + "\n".join(wrong[:20])
    assert alike[True] > rounds / 5 and alike[False] > rounds / 5, alike  # of either kind there are many


def test_changed_models_are_accepted_alike(tool):
    run_rounds(tool, ROUNDS, 1)


@pytest.mark.full
def test_many_changed_models_are_accepted_alike(tool):
    run_rounds(tool, ROUNDS_FULL, 2)
