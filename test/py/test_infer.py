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

DRAWS = 5  # a version of an operator, in the ordinary tier
DRAWS_FULL = 60



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
    if case.domain:  # its own version comes first
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
    ({"Slice"}, 10, 10, True, "a dim with a name is taken for uncut"),
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


# --- com.microsoft against ONNX Runtime ---------------------------------------------------------------------------------------
def outputs_of_runtime(model):
    """The outputs as ONNX Runtime computes them from ones and zeros; None where it refuses the draw."""
    import onnxruntime

    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
             "tensor(uint8)": np.uint8}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        feed = {i.name: (np.ones if "float" in i.type else np.zeros)(i.shape, kinds[i.type]) for i in session.get_inputs()}
        return session.run(None, feed)
    except Exception:  # noqa: BLE001 (several kinds, all meaning "refused")
        return None


def microsoft():
    return [pytest.param(op, function, id=op) for (domain, op), entries in GENERATORS.items() if domain == "com.microsoft"
            for _, _, function in entries]


@pytest.mark.parametrize("op,function", microsoft())
def test_microsoft(tool, op, function):
    accepted = 0
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, zlib.crc32(op.encode())])
        model = model_of(function(rng, op, 1), 1)
        answer = tool.infer(model, {"none": 0})
        assert "error" not in answer, f"{answer['error']}\n{onnx.printer.to_text(model)}"
        outputs = outputs_of_runtime(model)
        accepted += outputs is not None
        for k, value in enumerate(outputs or []):
            for found in (answer["values"][f"y{k}"], answer["run"][f"y{k}"]):
                element = helper.np_dtype_to_tensor_dtype(value.dtype)
                assert found["element"] == TensorProto.DataType.Name(element), f"{op}: output {k}: {found}"
                assert found["dims"] is not None and len(found["dims"]) == value.ndim, f"{op}: output {k}: {found}, run: {value.shape}"
                known = [a in (None, b) for a, b in zip(found["dims"], value.shape)]
                assert all(known), f"{op}: output {k}: {found}, run: {value.shape}\n{onnx.printer.to_text(model)}"
                assert None not in found["dims"] or op == "Unique", f"{op}: output {k}: {found}"
    assert accepted > 0, "ONNX Runtime refuses every draw: the generator is off"


# --- shape arithmetic as exporters write it ------------------------------------------------------------------------------------
# name: (model text after the header, dims of the outputs at load, numbers for the names)
CHAINS = {
    "view": ("""(float[N,S,64] x) => (y) {
          s = Shape(x) zero = Constant<value_int=0>() one = Constant<value_int=1>()
          n = Gather(s, zero) t = Gather(s, one) axis = Constant<value_ints=[0]>()
          n1 = Unsqueeze(n, axis) t1 = Unsqueeze(t, axis) h = Constant<value_ints=[4]>() m = Constant<value_ints=[-1]>()
          shape = Concat<axis=0>(n1, t1, h, m) y = Reshape(x, shape) }""", [["N", "S", 4, 16]], {"N": 2, "S": 5}),
    "heads by division": ("""(float[N,S,64] x) => (y) {
          s = Shape(x) two = Constant<value_int=2>() d = Gather(s, two) eight = Constant<value_int=8>() q = Div(d, eight)
          axis = Constant<value_ints=[0]>() q1 = Unsqueeze(q, axis) head = Shape<start=0,end=2>(x) m = Constant<value_ints=[-1]>()
          shape = Concat<axis=0>(head, q1, m) y = Reshape(x, shape) }""", [["N", "S", 8, 8]], {"N": 2, "S": 5}),
    "flatten and back": ("""(float[N,C,H,W] x) => (y) {
          s = Shape(x) m = Constant<value_ints=[-1, 6]>() f = Reshape(x, m) y = Reshape(f, s) }""",
                         [["N", "C", "H", "W"]], {"N": 2, "C": 3, "H": 4, "W": 6}),
    "expand with -1": ("""(float[1,S] x, float[N,S] z) => (y) {
          n = Shape<start=0,end=1>(z) m = Constant<value_ints=[-1]>() want = Concat<axis=0>(n, m)
          two = Constant<value_ints=[2]>() ones = ConstantOfShape<value=int64[1]{1}>(two) minus = Constant<value_int=-1>()
          neg = Mul(ones, minus) is = Equal(want, neg) shape = Where(is, ones, want) y = Expand(x, shape) }""",
                       [["N", "S"]], {"N": 3, "S": 5}),
    "positions": ("""(int64[N,S] ids, float[512,8] table) => (y) {
          s = Shape<start=1,end=2>(ids) axis = Constant<value_ints=[0]>() t = Squeeze(s, axis) zero = Constant<value_int=0>()
          one = Constant<value_int=1>() r = Range(zero, t, one) p = Unsqueeze(r, axis) y = Gather(table, p) }""",
                  [[1, "S", 8]], {"N": 2, "S": 7}),
    "slice of a table": ("""(float[N,S,8] x, float[1,512,8] table) => (y, z) {
          s = Shape<start=1,end=2>(x) zero = Constant<value_ints=[0]>() one = Constant<value_ints=[1]>()
          z = Slice(table, zero, s, one) y = Add(x, z) }""", [["N", "S", 8], [1, "min(S, 512)", 8]], {"N": 2, "S": 7}),
    "upsample by 2": ("""(float[N,3,H,W] x) => (y) {
          s = Shape(x) a = Constant<value_ints=[0]>() b = Constant<value_ints=[2]>() c = Constant<value_ints=[4]>()
          nc = Slice(s, a, b, a) hw = Slice(s, b, c, a) f = Cast<to=1>(hw) k = Constant<value_float=2.0>() g = Mul(f, k)
          h = Floor(g) i = Cast<to=7>(h) sizes = Concat<axis=0>(nc, i) y = Resize<mode="nearest">(x, , , sizes) }""",
                      [["N", 3, "2*H", "2*W"]], {"N": 1, "H": 5, "W": 7}),
    "scales": ("""(float[N,3,H,W] x) => (y) {
          k = Constant<value_floats=[1.0, 1.0, 0.5, 1.5]>() y = Resize<mode="nearest">(x, , k) }""",
               [["N", 3, "floor(H/2)", "(W+floor(W/2))"]], {"N": 1, "H": 5, "W": 7}),
    "counting by NonZero": ("""(float[4,5] x) => (y) {
          n = Shape<start=1>(x) ones = ConstantOfShape<value=int64[1]{1}>(n) i = NonZero(ones) t = Transpose(i)
          axis = Constant<value_ints=[1]>() p = Squeeze(t, axis) y = Gather<axis=1>(x, p) }""", [[4, 5]], {"none": 0}),
    "cache": ("""(float[N,4,P,8] past, float[N,4,S,8] new, float[1,1,1024,1024] mask) => (y, z) {
          y = Concat<axis=2>(past, new) t = Shape<start=2,end=3>(y) p = Shape<start=2,end=3>(past)
          axis = Constant<value_ints=[2]>() z = Slice(mask, p, t, axis) }""",
              [["N", 4, "(P+S)", 8], None], {"N": 1, "P": 6, "S": 3}),
    "drop the first": ("""(float[N,S] x) => (y) {
          a = Constant<value_ints=[1]>() e = Constant<value_ints=[9223372036854775807]>() y = Slice(x, a, e, a) }""",
                       [["N", "max((S-1), 0)"]], {"N": 1, "S": 6}),
    "last ones": ("""(float[N,S] x) => (y) {
          a = Constant<value_ints=[-3]>() e = Constant<value_ints=[9223372036854775807]>() i = Constant<value_ints=[1]>() y = Slice(x, a, e, i) }""",
                  [["N", "min(S, 3)"]], {"N": 1, "S": 6}),
    "reversed": ("""(float[N,S] x) => (y) {
          a = Constant<value_ints=[-1]>() e = Constant<value_ints=[-9223372036854775807]>() i = Constant<value_ints=[1]>()
          s = Constant<value_ints=[-1]>() y = Slice(x, a, e, i, s) }""", [["N", "S"]], {"N": 1, "S": 6}),
    "a product of dims": ("""(float[N,C,H,W] x) => (y) {
          s = Shape<start=2>(x) axis = Constant<value_ints=[0]>() p = ReduceProd<keepdims=1>(s, axis) nc = Shape<start=0,end=2>(x)
          t = Concat<axis=0>(nc, p) y = Reshape(x, t) }""", [["N", "C", "H*W"]], {"N": 1, "C": 2, "H": 3, "W": 4}),
    "pad to a multiple": ("""(float[1,S,8] x) => (y) {
          s = Shape<start=1,end=2>(x) k = Constant<value_ints=[16]>() r = Mod(s, k) d = Sub(k, r) e = Mod(d, k)
          z = Constant<value_ints=[0, 0, 0, 0]>() z1 = Constant<value_ints=[0]>() pads = Concat<axis=0>(z, e, z1) y = Pad(x, pads) }""",
                          None, {"S": 21}),
    "shape built by ScatterND": ("""(float[N,S,8] x) => (y) {
          s = Shape(x) i = Constant<value_ints=[1]>() axis = Constant<value_ints=[0]>() ix = Unsqueeze(i, axis) m = Constant<value_ints=[-1]>()
          t = ScatterND(s, ix, m) y = Reshape(x, t) }""", [["N", "S", 8]], {"N": 2, "S": 3}),
    "windows": ("""(float[N,3,H,W] x, float[8,3,3,3] w) => (y, z) {
          y = Conv<strides=[2,2],pads=[1,1,1,1]>(x, w) z = MaxPool<kernel_shape=[2,2],strides=[2,2]>(y) }""",
                [["N", 8, "floor((H+1)/2)", "floor((W+1)/2)"], None], {"N": 1, "H": 15, "W": 16}),
    "tile and count": ("""(float[N,S] x) => (y, z) {
          s = Shape(x) r = Constant<value_ints=[2, 3]>() y = Tile(x, r) z = Size(y) }""", [["2*N", "3*S"], []], {"N": 2, "S": 4}),
    "split": ("""(float[N,S,12] x) => (a, b, c) {
          a, b, c = Split<axis=-1,num_outputs=3>(x) }""", [["N", "S", 4]] * 3, {"N": 2, "S": 4}),
    "grow in a loop": ("""(float[N,2] x, int64 m) => (y, z) {
          c = Constant<value=bool {1}>()
          y, z = Loop(m, c, x) <body = b(int64 i, bool go, v) => (go2, v2, part) {
             go2 = Identity(go) v2 = Concat<axis=0>(v, x) part = Identity(x) }> }""",
                       [[None, 2], [None, "N", 2]], {"N": 3}),
    "keep in a loop": ("""(float[N,2] x) => (y, z) {
          c = Constant<value=bool {1}>() m = Constant<value_int=5>()
          y, z = Loop(m, c, x) <body = b(int64 i, bool go, v) => (go2, v2, part) {
             go2 = Identity(go) v2 = Relu(v) part = ReduceSum<keepdims=0>(v2) }> }""", [["N", 2], [5]], {"N": 3}),
    "branches": ("""(float[N,2] x, bool c) => (y, z) {
          y, z = If(c) <then_branch = t() => (a, b) { a = Relu(x) b = Concat<axis=0>(x, x) },
                        else_branch = e() => (a2, b2) { a2 = Neg(x) b2 = Identity(x) }> }""", [["N", 2], [None, 2]], {"N": 3}),
    "scan": ("""(float[2] s, float[T,2] x) => (y, z) {
          y, z = Scan<num_scan_inputs=1, body = b(a, b) => (c, d) { c = Add(a, b) d = Mul(c, c) }>(s, x) }""", [[2], ["T", 2]], {"T": 3}),
}


def chain_model(text):
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]> g ' + text)
    return model


def run_shapes(model, bindings):
    """Shapes that ONNX Runtime's outputs have."""
    import onnxruntime

    runnable = onnx.ModelProto()
    runnable.CopyFrom(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(runnable.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
    feed = {i.name: np.ones([bindings.get(d, d) for d in i.shape], kinds[i.type]) for i in session.get_inputs()}
    return [list(value.shape) for value in session.run(None, feed)]


@pytest.mark.parametrize("name", CHAINS)
def test_chain(tool, name):
    text, expected, bindings = CHAINS[name]
    model = chain_model(text)
    answer, _ = check(tool, model, bindings, name)
    outputs = [o.name for o in model.graph.output]
    for output, dims in zip(outputs, expected or []):
        assert dims is None or answer["values"][output]["dims"] == dims, f"{name}: {output}"
    for output, dims in zip(outputs, run_shapes(model, bindings)):
        known = answer["run"][output]["dims"]
        assert len(known) == len(dims) and all(a is None or a == b for a, b in zip(known, dims)), f"{name}: {output}: {known}, run: {dims}"
        if model.graph.node[-1].op_type not in ("Loop", "If", "Scan"):
            assert None not in known, f"{name}: {output} is not known when the run's shapes are"


# --- wrong models ----------------------------------------------------------------------------------------------------------------
WRONG = {
    "(float[2,3] x, float[4,5] w) => (y) { y = MatMul(x, w) }": "input 'B': 4 rows; expected 3",
    "(float[2,3] x, float[4] w) => (y) { y = Add(x, w) }": "input 'B': dim 0 is 4; expected 1 or 3",
    "(float[2,3] x, int64[3] w) => (y) { y = Add(x, w) }": "input 'B': int64; expected float32",
    "(float[1,3,8,8] x, float[4,2,3,3] w) => (y) { y = Conv(x, w) }": "input 'X': dim 1 is 3; expected 2",
    "(float[1,3,2,2] x, float[4,3,9,9] w) => (y) { y = Conv(x, w) }": "too small for a window of 9",
    "(float[1,3,8,8] x) => (y) { y = MaxPool<kernel_shape=[2,2],pads=[0,-1,0,0]>(x) }": "'pads' has -1",
    "(float[1,3,8,8] x) => (y) { y = MaxPool<kernel_shape=[0,2]>(x) }": "'kernel_shape' has 0",
    "(float[1,3,8,8] x) => (y) { y = MaxPool<kernel_shape=[2,2],strides=[2]>(x) }": "'strides' has 1 entries; expected 2",
    "(float[2,3] x) => (y) { s = Constant<value_ints=[4,2]>() y = Reshape(x, s) }": "does not fit the new shape [4,2]",
    "(float[2,3] x) => (y) { s = Constant<value_ints=[-1,-1]>() y = Reshape(x, s) }": "-1 at 0 and at 1",
    "(float[2,3] x) => (y) { s = Constant<value_ints=[4,-1]>() y = Reshape(x, s) }": "does not fit the new shape [4,-1]",
    "(float[2,3] x) => (y) { y = Transpose<perm=[0,0]>(x) }": "no permutation",
    "(float[2,3] x) => (y) { y = Concat<axis=2>(x, x) }": "'axis' 2 is outside [-2, 1]",
    "(float[2,3] x, float[2,4] w) => (y) { y = Concat<axis=0>(x, w) }": "dim 1 is 4; expected 3",
    "(float[2,3] x) => (y) { a = Constant<value_ints=[0]>() y = Squeeze(x, a) }": "dim 0 is 2; expected 1",
    "(float[2,3] x) => (y) { a = Constant<value_ints=[5]>() y = ReduceSum(x, a) }": "axis 5 is outside [-2, 1]",
    "(float[2,3] x) => (y) { k = Constant<value_ints=[7]>() y, i = TopK(x, k) }": "K is 7; axis 1 of X has 3",
    "(float[2,3] x) => (y) { s = Constant<value_ints=[4611686018427387904,4]>() y = Tile(x, s) }": "beyond 64 bits",
    "(float[1] x) => (y) { s = Constant<value_ints=[4611686018427387904]>() y = Expand(x, s) }": "too many elements",
    "(float[4611686018427387904,2] x) => (y) { y = Relu(x) }": "too many dimensions or elements",
    "(float[2,3] x) => (y) { s = Constant<value_ints=[1,-9,0,0]>() y = Pad(x, s) }": "would have a dimension of -6",
    "(float[2,3] x) => (y) { s = Constant<value_ints=[9223372036854775807,0,1,0]>() y = Pad(x, s) }": "beyond 64 bits",
    "(float[2,3] x) => (y) { y = Einsum<equation=\"ij,jk->ik\">(x) }": "more terms than the 1 inputs",
    "(float[2,3] x) => (y) { y = Einsum<equation=\"i.j->i\">(x) }": "malformed term",
    "(float[2,3] x) => (y) { y = Einsum<equation=\"ij->k\">(x) }": "'k' of the result is in no term",
    "(float[2,3] x) => (y) { y = Split<num_outputs=2>(x) }": "'num_outputs' is 2; the node has 1",
    "(int64[3] x) => (y) { y = Gelu(x) }": "int64[3] is no type that Gelu of opset 20 takes",
    "(float[2,3,4] x) => (y) { s = Constant<value_floats=[1.0,2.0]>() y = Resize(x, , s) }": "2 entries; expected 3",
    "(float[2,3] x) => (y) { y = Softmax<axis=2>(x) }": "'axis' 2 is outside",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_model(tool, text):
    answer = tool.infer(onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]> g ' + text))
    assert WRONG[text] in answer.get("error", "no error"), answer


def test_wrong_stated_shape_is_replaced(tool):
    """Files carry shapes that an older tool inferred wrongly; the model runs, so it loads (with a warning)."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] x) => (float[2,4] y) { y = Relu(x) }')
    assert tool.infer(model)["values"]["y"]["dims"] == [2, 3]


def test_wrong_stated_type_is_an_error(tool):
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 18]> g (float[2,3] x) => (int64[2,3] y) { y = Relu(x) }')
    assert "stated as int64[2,3], but is float32[2,3]" in tool.infer(model)["error"]


# --- hostile nodes -----------------------------------------------------------------------------------------------------------------
HOSTILE = [0, 1, -1, 2, 3, 7, -2, 31, 2**31 - 1, -2**31, 2**62, -2**62, 2**63 - 1, -2**63]


def perturbed(case, rng):
    """The case with numbers where they do not belong: shapes, shape inputs and attributes; inputs go missing or come twice."""

    def number():
        return int(HOSTILE[int(rng.integers(0, len(HOSTILE)))])

    def maybe_bad(value):
        return number() if rng.random() < 0.25 else value

    inputs = []
    for given in case.inputs:
        if isinstance(given, T) and rng.random() < 0.5:
            shape = [max(0, maybe_bad(d)) for d in given.shape]
            given = T(shape[:int(rng.integers(0, len(shape) + 1))] if rng.random() < 0.2 else shape * int(rng.integers(1, 3)), given.dtype)
        elif isinstance(given, C) and np.asarray(given.value).dtype == np.int64 and rng.random() < 0.7:
            flat = [maybe_bad(int(v)) for v in np.asarray(given.value).reshape(-1)]
            given = C(np.array(flat + [number()] * int(rng.integers(0, 2)), np.int64))
        inputs.append(None if rng.random() < 0.05 else given)
    changed = {}
    for name, value in case.attrs.items():
        if isinstance(value, int) and rng.random() < 0.4:
            value = number()
        elif isinstance(value, list) and value and isinstance(value[0], int) and rng.random() < 0.4:
            value = [maybe_bad(v) for v in value] + [number()] * int(rng.integers(0, 2))
        changed[name] = value
    if rng.random() < 0.1:
        inputs.append(inputs[0] if inputs else T([1]))
    return Case(case.op, inputs, changed, int(rng.integers(1, 4)) if rng.random() < 0.1 else case.outputs, case.domain)


@pytest.mark.parametrize("domain,op,opset,function", versions())
def test_hostile(tool, domain, op, opset, function):
    """Any numbers: an error or types, never a crash (the sanitizer builds look closer)."""
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, opset, 7, zlib.crc32(op.encode())])
        case = perturbed(function(rng, op, opset), rng)
        for names in (None, lambda d: "d" if d == 3 else d):
            answer = tool.infer(model_of(case, opset, names), {"d": 3} if names else None)
            assert "error" in answer or "values" in answer
            assert answer.get("code") not in ("INTERNAL", "OUT_OF_MEMORY"), answer
