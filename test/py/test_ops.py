"""Generated comparisons of the CPU provider's operators: draws/ makes nodes, oracles say what they should give.

Oracles, in this order: one in numpy that draws/ registers (where the others err or do not know the version), the onnx package's
reference evaluator, ONNX Runtime. Both ways to run a node (alone, in a partition) are compared. KAPELL_DRAWS sets the number of draws an
operator version, KAPELL_CPU_LEVEL the instruction set ("scalar").
"""

import os
import zlib

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

import draws
import draws.base
import op_driver

# A sanitizer's build is slow, and what it looks for is there in few draws or in none.
DRAWS = int(os.environ.get("KAPELL_DRAWS", "20" if os.environ.get("KAPELL_PRESET", "release") == "release" else "4"))
LEVEL = os.environ.get("KAPELL_CPU_LEVEL", "native")
CASES = draws.base.cases()
# Opsets of the default domain that go with operators of another one.
BESIDE = {"ai.onnx.ml": 21, "com.microsoft": 21, "ai.onnx.preview.training": 21, "ai.onnx.preview": 26}
assert draws


def outputs_of(domain, name, opset, given):
    """Names of the node's outputs: those that the draw asks for, or those that the schema requires."""
    if given is not None:
        return given
    try:
        count = onnx.defs.get_schema(name, opset, domain).min_output
    except onnx.defs.SchemaError:
        count = 1
    return [f"y{i}" for i in range(max(count, 1))]


def input_info(name, value):
    """The declaration of an input that holds |value|."""
    if isinstance(value, list):
        element = helper.np_dtype_to_tensor_dtype(value[0].dtype) if value else onnx.TensorProto.FLOAT
        return helper.make_tensor_sequence_value_info(name, element, None)
    if isinstance(value, tuple):
        inner = value[1]
        kind = input_info(name, inner).type if inner is not None else helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        return helper.make_value_info(name, helper.make_optional_type_proto(kind))
    if isinstance(value, dict):
        key, item = next(iter(value.items()))
        kind = onnx.TypeProto()
        kind.map_type.key_type = onnx.TensorProto.STRING if isinstance(key, str) else onnx.TensorProto.INT64
        element = onnx.TensorProto.STRING if isinstance(item, str) else helper.np_dtype_to_tensor_dtype(np.asarray(item).dtype)
        kind.map_type.value_type.CopyFrom(helper.make_tensor_type_proto(element, None))
        return helper.make_value_info(name, kind)
    element = onnx.TensorProto.STRING if value.dtype.kind in "OUS" else helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, element, value.shape)


def make_model(domain, name, opset, attrs, inputs, outputs=None):
    """A model of one node; an input that is given twice (the same array object) is still two inputs."""
    names = [f"i{i}" if v is not None else "" for i, v in enumerate(inputs)]
    while names and not names[-1]:
        names.pop()
    node = helper.make_node(name, names, outputs_of(domain, name, opset, outputs), domain=domain, **attrs)
    infos = [input_info(n, v) for n, v in zip(names, inputs) if n]
    graph = helper.make_graph([node], name, infos, [helper.make_empty_tensor_value_info(o) for o in node.output if o])
    opsets = [helper.make_opsetid(domain, opset)] + ([helper.make_opsetid("", BESIDE[domain])] if domain else [])
    newest = max(o.version for o in opsets if not o.domain)
    return helper.make_model(graph, opset_imports=opsets, ir_version=10 if newest < 23 else 11 if newest < 25 else 13)


def by_reference(model, feeds):
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, feeds)


def by_runtime(model, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def narrow(value):
    """True for an array of 16-bit floats."""
    return isinstance(value, np.ndarray) and value.dtype.itemsize == 2 and value.dtype.kind in "fV"


def wanted_wide(domain, name, version, model, attrs, inputs):
    """What the operator gives for the same numbers in 32 bits, rounded."""
    wide = [v.astype(np.float32) if narrow(v) else v for v in inputs]
    wider = make_model(domain, name, next(o.version for o in model.opset_import if o.domain == domain), attrs, wide, list(model.graph.node[0].output))
    found = wanted_of(domain, name, version, wider, attrs, wide)
    return found and [o.astype(inputs[0].dtype) if narrow(inputs[0]) and o.dtype == np.float32 else o for o in found]


def wanted_moved(domain, name, version, model, attrs, inputs):
    """What an operator that only moves elements gives: the oracles move their places, from 1 on; 0 is what fills."""
    x = inputs[0]
    places = [np.arange(1, x.size + 1, dtype=np.float32).reshape(x.shape), *inputs[1:]]
    numbered = make_model(domain, name, next(o.version for o in model.opset_import if o.domain == domain), attrs, places)
    found = wanted_of(domain, name, version, numbered, attrs, places)
    items = np.concatenate([np.array([""], object) if x.dtype.kind == "O" else np.zeros(1, x.dtype), x.reshape(-1)])
    return found and [items[found[0].astype(np.int64)]]


def wanted_of(domain, name, version, model, attrs, inputs):
    """What the operator should give, or None where nobody can tell."""
    if (domain, name) in draws.base.WIDENED and any(narrow(v) for v in inputs):
        return wanted_wide(domain, name, version, model, attrs, inputs)
    if (domain, name) in draws.base.MOVED and inputs[0].dtype.kind in "bcO":
        return wanted_moved(domain, name, version, model, attrs, inputs)
    special = draws.base.oracle_of(domain, name, version)
    if special and special.compute:
        try:
            with np.errstate(all="ignore"):
                return [o if isinstance(o, (list, dict)) else np.asarray(o) for o in special.compute(version, attrs, inputs)]
        except NotImplementedError:
            pass
    feeds = {f"i{i}": v[1] if isinstance(v, tuple) else v for i, v in enumerate(inputs) if v is not None}
    for source in [by_runtime, by_reference] if special and not special.compute else [by_reference, by_runtime]:
        try:
            return [o if o is None or isinstance(o, (list, dict)) else np.asarray(o) for o in source(model, feeds)]
        except Exception:  # pylint: disable=broad-except  # whatever an oracle trips over, the other is asked
            continue
    return None


def tolerance(inputs):
    """Relative and absolute tolerance by the coarsest type among the inputs."""
    widths = [v.dtype for v in inputs if isinstance(v, np.ndarray) and v.dtype.kind in "fV"]
    if any(w.itemsize == 2 and w != np.float16 for w in widths):
        return 2e-2, 3e-2
    return (4e-3, 1e-2) if any(w == np.float16 for w in widths) else (1e-4, 1e-5)


def by_api(path, inputs):
    """Through kapell.h, for inputs that a file cannot carry: maps."""
    if os.environ.get("KAPELL_PRESET", "release") == "asan":
        pytest.skip("maps come through the library, which a Python without the sanitizer's runtime cannot load")
    import kapell_c
    feeds = {f"i{i}": v for i, v in enumerate(inputs) if v is not None}
    try:
        return kapell_c.Session(path).run(feeds)
    except kapell_c.KapellError as error:
        return f"error {error}"


@pytest.mark.asan_programs
@pytest.mark.parametrize("domain,name,version,opset,spec", CASES, ids=[f"{d + '.' if d else ''}{n}-{v}" for d, n, v, _, _ in CASES])
def test_operator(domain, name, version, opset, spec, tmp_path):
    cases = []
    for draw in range(DRAWS):
        rng = np.random.default_rng([zlib.crc32(name.encode()), version, draw])
        attrs, inputs, *outputs = spec.draw(rng, version, name)
        model = make_model(domain, name, opset, attrs, inputs, outputs[0] if outputs else None)
        wanted = wanted_of(domain, name, version, model, attrs, inputs)
        if wanted is None:
            continue
        path = tmp_path / f"{draw}.onnx"
        maps = any(isinstance(v, dict) for v in inputs)
        fixed = [f"i{i}" for i in spec.constants] if draw % 2 else []
        onnx.save(model if maps else op_driver.embed(model, [v for v in inputs if v is not None], fixed), path)
        cases.append((path, attrs, inputs, wanted, maps))
    assert len(cases) >= DRAWS // 2 or DRAWS < 20, "most draws have no oracle"
    op_driver.run([c[0] for c in cases if not c[4]], "--mask", LEVEL)
    wrong = []
    for path, attrs, inputs, wanted, maps in cases:
        rtol, atol = spec.tolerance or tolerance(inputs)
        words = op_driver.agree(by_api(path, inputs) if maps else op_driver.read_out(path), wanted, rtol, atol)
        if words:
            shapes = [f"{v.dtype}{list(v.shape)}" if isinstance(v, np.ndarray) else v for v in inputs]
            wrong.append(f"{path.name} {attrs} {shapes}: {words.splitlines()[0]}")
    assert not wrong, f"{len(wrong)} of {len(cases)} draws:\n" + "\n".join(wrong[:5])


# What no draw of a single node covers, and which test does.
ELSEWHERE = {
    "If": "test_control.py", "Loop": "test_control.py", "Scan": "test_control.py", "SequenceMap": "test_control.py",
    "FlexAttention": "test_backend.py: its bodies are graphs", "Gradient": "test_gradient.py: it is about the graph around it",
}


def test_every_operator_and_version_is_drawn():
    drawn = {case[:3] for case in CASES}
    missing = [f"{s.domain}.{s.name}-{s.since_version}" for s in onnx.defs.get_all_schemas_with_history()
               if (s.domain, s.name, s.since_version) not in drawn and s.name not in ELSEWHERE]
    assert not missing, missing


def element_types(schema, variable):
    """The element types of the tensors, and of the items of sequences, that the schema lets |variable| stand for."""
    allowed = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == variable), [])
    names = {t[t.index("tensor(") + len("tensor("):].rstrip(")") for t in allowed if "tensor(" in t}
    return {np.dtype(object) if n == "string" else np.dtype(helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(n.upper()))) for n in names}


def types_drawn(schema, inputs):
    """(variable of the schema, element type) of each input."""
    for i, value in enumerate(inputs):
        value = value[1] if isinstance(value, tuple) else value
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, np.ndarray):
            yield schema.inputs[min(i, len(schema.inputs) - 1)].type_str, np.dtype(object) if value.dtype.kind in "OU" else value.dtype


# What a schema allows and no draw has, because it means nothing there.
SENSELESS = {("Col2Im", "T"): {np.dtype(object)}}  # sums of texts


def test_every_type_is_drawn():
    missing = []
    for domain, name, version, _, spec in CASES:
        try:
            schema = onnx.defs.get_schema(name, version, domain)
        except onnx.defs.SchemaError:
            continue  # com.microsoft
        left, seen = None, set()
        for draw in range(3000):
            _, inputs, *_ = spec.draw(np.random.default_rng([zlib.crc32(name.encode()), version, draw]), version, name)
            seen |= set(types_drawn(schema, inputs))
            left = {(v, t) for v in {v for v, _ in seen} for t in element_types(schema, v) - SENSELESS.get((name, v), set())} - seen
            if draw >= 20 and not left:
                break
        missing += [f"{name}-{version}: {variable} as {dtype}" for variable, dtype in left]
    assert not missing, missing
