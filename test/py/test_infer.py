"""Shape and type inference against the onnx package's, on generated nodes and on chains of shape arithmetic.

Each draw is inferred with numbers for all dims and with names for some, by onnx and by us: ours must know at least as much and contradict
nothing. The named form is inferred once more over the numbers (as a session does when a run's shapes arrive), which must give what the
form with numbers gave.
"""

import json
import pathlib
import subprocess
import zlib

import numpy as np
import onnx
import pytest
from infer_cases import GENERATORS, B, C, Case, F, I64, T, ints
from onnx import TensorProto, defs, helper, numpy_helper

DRAWS = 3  # a version of an operator, in the ordinary tier
DRAWS_FULL = 200



class Tool:
    """The program infer_dump, kept running: infer(model, bindings) -> its answer."""

    def __init__(self, program, folder):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.folder = folder

    def infer(self, model, bindings=None):
        path = pathlib.Path(self.folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        words = [str(path)] + [f"{k}={v}" for k, v in (bindings or {}).items()]
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "infer_dump died"
        return json.loads(line)


@pytest.fixture(scope="session")
def tool(build_dir, tmp_path_factory):
    running = Tool(str(build_dir / "test" / "infer_dump"), tmp_path_factory.mktemp("infer"))
    yield running
    running.process.stdin.close()
    assert running.process.wait(timeout=20) == 0


# --- models ----------------------------------------------------------------------------------------------------------------
def model_of(case, opset, named=None):
    """A model of one node; |named|: dim number -> name, used where its coin says so."""
    inputs, initializers, names = [], [], []
    for k, given in enumerate(case.inputs):
        name = f"x{k}"
        if given is None:
            names.append("")
        elif isinstance(given, C):
            initializers.append(numpy_helper.from_array(np.asarray(given.value), name))
            names.append(name)
        else:
            dims = [named(d) if named else d for d in given.shape]
            inputs.append(helper.make_tensor_value_info(name, given.dtype, dims))
            names.append(name)
    while names and names[-1] == "":
        names.pop()
    outputs = [f"y{k}" for k in range(case.outputs)]
    node = helper.make_node(case.op, names, outputs, domain=case.domain, **case.attrs)
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs], initializers)
    imports = [helper.make_opsetid(case.domain, opset)]
    if case.domain:
        imports.append(helper.make_opsetid("", 21))
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def types_by_onnx(model):
    """Name -> TypeProto as onnx infers it; None where it refuses the model."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception:  # noqa: BLE001 (several kinds, all meaning "refused")
        return None
    return {v.name: v.type for v in [*inferred.graph.value_info, *inferred.graph.output]}


def disagreement(theirs, ours, weaker_ok=False):
    """Words on how our type contradicts, or knows less than, onnx's; None if it does neither."""
    kind = theirs.WhichOneof("value")
    if kind is None:
        return None
    if kind in ("sequence_type", "optional_type"):
        if ours["kind"] != kind.removesuffix("_type"):
            return f"kind {ours['kind']}, onnx: {kind}"
        inner = getattr(theirs, kind).elem_type
        return disagreement(inner, ours["inner"], weaker_ok) if inner.WhichOneof("value") and "inner" in ours else None
    if kind != "tensor_type":
        return None if ours["kind"] == "map" else f"kind {ours['kind']}, onnx: {kind}"
    tensor = theirs.tensor_type
    if ours["kind"] != "tensor":
        return f"kind {ours['kind']}, onnx: tensor"
    if tensor.elem_type and TensorProto.DataType.Name(tensor.elem_type) != ours["element"]:
        return f"element {ours['element']}, onnx: {TensorProto.DataType.Name(tensor.elem_type)}"
    if not tensor.HasField("shape"):
        return None
    dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]
    if ours["dims"] is None:
        return None if weaker_ok else f"rank not known, onnx: {dims}"
    if len(dims) != len(ours["dims"]):
        return f"dims {ours['dims']}, onnx: {dims}"
    for d, (a, b) in enumerate(zip(dims, ours["dims"])):
        if isinstance(a, int) and (a != b if isinstance(b, int) else not weaker_ok):
            return f"dim {d} of {ours['dims']}, onnx: {dims}"
        if isinstance(a, str) and not a.startswith("unk__") and b is not None and a != b and not weaker_ok:
            return f"dim {d} of {ours['dims']}, onnx: {dims}"
    return None


# Where onnx's inference is wrong: (operators, first and last opset, may be wrong about names only, why).
WRONG_IN_ONNX = [
    ({"MaxPool", "AveragePool", "LpPool"}, 1, 21, False, "ceil_mode counts windows that start in the padding, which nobody computes"),
    ({"Attention"}, 23, 25, True, "a dim with a name counts as 0"),
    ({"Einsum"}, 12, 28, True, "the first of two dims stands, also where it is the one that broadcasts"),
]


def wrong_in_onnx(model, has_names):
    op, opset = model.graph.node[0].op_type, model.opset_import[0].version
    return any(op in ops and low <= opset <= high and (has_names or not names_only) for ops, low, high, names_only, _ in WRONG_IN_ONNX)


def check(tool, model, bindings, what):
    answer = tool.infer(model, bindings)
    assert "error" not in answer, f"{what}\n{answer['error']}\n{onnx.printer.to_text(model)}"
    theirs = types_by_onnx(model)
    if theirs is None:
        return answer, False
    if wrong_in_onnx(model, bindings is not None):
        return answer, True
    for name, type_proto in theirs.items():
        words = disagreement(type_proto, answer["values"][name])
        assert words is None, f"{what}: value {name}: {words}\n{onnx.printer.to_text(model)}"
    return answer, True


def check_case(tool, case, opset, rng):
    """True if onnx accepted the draw."""
    what = f"{case.op}-{opset}"
    exact, accepted = check(tool, model_of(case, opset), None, what)
    bindings = {f"d{n}": n for n in range(0, 64)}
    some = set(int(d) for d in rng.integers(0, 64, 24)) | {d for d in range(0, 7) if rng.random() < 0.5}
    symbolic = model_of(case, opset, lambda d: f"d{d}" if d in some else d)
    used = {d.dim_param for i in symbolic.graph.input for d in i.type.tensor_type.shape.dim if d.dim_param}
    named, _ = check(tool, symbolic, {k: v for k, v in bindings.items() if k in used} or {"none": 0}, what + " with names")
    for k in range(case.outputs):
        a, b = exact["values"][f"y{k}"], named["run"][f"y{k}"]
        assert (a["kind"], a["element"]) == (b["kind"], b["element"]), f"{what}: the run finds {b}, load {a}"
        if a["dims"] is not None and b["dims"] is not None:
            pairs = list(zip(a["dims"], b["dims"]))
            assert len(a["dims"]) == len(b["dims"]) and all(x == y for x, y in pairs if x is not None and y is not None), (
                f"{what}: the run finds {b}, load {a}\n{onnx.printer.to_text(symbolic)}")
            assert all(y is not None for x, y in pairs if x is not None), f"{what}: the run knows less: {b}, load {a}"
        else:
            assert a["dims"] is None or a["kind"] != "tensor", f"{what}: the run knows less: {b}, load {a}"
    return accepted


# --- operators ---------------------------------------------------------------------------------------------------------------
def versions():
    """(domain, op, opset, generator) for every version that a generator covers."""
    found = []
    for schema in sorted(defs.get_all_schemas_with_history(), key=lambda s: (s.domain, s.name, s.since_version)):
        if schema.deprecated:
            continue
        for since, until, function in GENERATORS.get((schema.domain, schema.name), []):
            if since <= schema.since_version <= until:
                found.append(pytest.param(schema.domain, schema.name, schema.since_version, function,
                                          id=f"{schema.domain or 'onnx'}.{schema.name}-{schema.since_version}"))
    return found


def draw_many(tool, domain, op, opset, function, draws):
    accepted = 0
    for draw in range(draws):
        rng = np.random.default_rng([draw, opset, zlib.crc32(op.encode())])
        accepted += check_case(tool, function(rng, op, opset), opset, rng)
    assert accepted >= draws // 2, f"onnx refuses {draws - accepted} of {draws} draws: the generator is off"


@pytest.mark.parametrize("domain,op,opset,function", versions())
def test_operator(tool, domain, op, opset, function):
    draw_many(tool, domain, op, opset, function, DRAWS)


@pytest.mark.full
@pytest.mark.parametrize("domain,op,opset,function", versions())
def test_operator_full(tool, domain, op, opset, function):
    draw_many(tool, domain, op, opset, function, DRAWS_FULL)
