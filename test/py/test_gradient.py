"""Gradient of ai.onnx.preview.training: derivatives of small networks beside central differences of the same networks."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import kapell_c

TRAINING = "ai.onnx.preview.training"
POSITIVE = np.array([[0.7, 1.4, 2.1], [1.9, 0.6, 1.2]])
SIGNED = np.array([[-0.7, 1.4, 0.3], [0.9, -1.6, -0.2]])


def node(op, inputs, outputs, **attrs):
    return helper.make_node(op, inputs.split(), outputs.split(), **attrs)


def model_of(nodes, inputs, outputs, constants=None, opset=18, dims=None, element=TensorProto.DOUBLE):
    infos = [helper.make_tensor_value_info(n, element, (dims or {}).get(n, v.shape)) for n, v in inputs.items()]
    graph = helper.make_graph(nodes, "g", infos, [helper.make_empty_tensor_value_info(o) for o in outputs],
                              [onnx.numpy_helper.from_array(v, n) for n, v in (constants or {}).items()])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(TRAINING, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def gradient(xs, y, outputs=None, inputs=None, zs=None):
    more = {"zs": zs} if zs else {}
    outputs = [f"d{x}" for x in xs] if outputs is None else outputs
    return helper.make_node("Gradient", inputs or xs + (zs or []), outputs, domain=TRAINING, xs=xs, y=y, **more)


def differences(session, feeds, name, y, step=1e-6):
    """d sum(y) / d feeds[name], numerically."""
    result = np.zeros_like(feeds[name])
    for place in np.ndindex(result.shape):
        sides = []
        for sign in (1, -1):
            moved = feeds[name].copy()
            moved[place] += sign * step
            sides.append(session.run({**feeds, name: moved}, [y])[0].sum())
        result[place] = (sides[0] - sides[1]) / (2 * step)
    return result


def check(nodes, inputs, constants=None, y="y", opset=18, xs=None):
    inputs = {n: np.asarray(v, np.float64) for n, v in inputs.items()}
    constants = dict(constants or {})
    weights = np.random.default_rng(5).uniform(0.5, 1.5, 1000)  # so that the sum over y sees each element
    xs = xs or list(inputs)
    forward = kapell_c.Session(model_of(nodes, inputs, [y], constants, opset))
    shape = forward.run(inputs, [y])[0].shape
    constants["weights"] = weights[:int(np.prod(shape))].reshape(shape)
    nodes = nodes + [node("Mul", f"{y} weights", "weighted"), gradient(xs, "weighted")]
    session = kapell_c.Session(model_of(nodes, inputs, ["weighted"] + [f"d{x}" for x in xs], constants, opset))
    results = session.run(inputs)
    for x, got in zip(xs, results[1:]):
        wanted = differences(session, inputs, x, "weighted")
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7, err_msg=x)


UNARY = ["Abs", "Cos", "Erf", "Exp", "Flatten", "Identity", "Neg", "Reciprocal", "Relu", "Sigmoid", "Sin", "Softplus", "Tanh", "Transpose"]


@pytest.mark.parametrize("op", UNARY)
def test_unary(op):
    check([node(op, "x", "y")], {"x": SIGNED})


@pytest.mark.parametrize("op", ["Log", "Sqrt"])
def test_of_positive(op):
    check([node(op, "x", "y")], {"x": POSITIVE})


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((1, 3), (2, 1)), ((), (2, 3)), ((2, 3), (4, 1, 3)), ((1,), ())])
def test_spread(op, shapes):
    rng = np.random.default_rng(1)
    check([node(op, "a b", "y")], {n: rng.uniform(0.5, 2, s) for n, s in zip("ab", shapes)})


@pytest.mark.parametrize("power", [np.array(3.0), np.array(2, np.int64), np.array([0.0, 1.0, -2.0])])
def test_pow_by_constant(power):
    check([node("Pow", "x p", "y")], {"x": SIGNED}, {"p": power})


def test_extreme_of_equals():
    feeds = {n: np.array(v) for n, v in {"a": [1.0, 2.0, 3.0], "b": [1.0, 5.0, 1.0], "c": [1.0, 2.0, 3.0]}.items()}
    nodes = [node("Max", "a b c", "y"), gradient(["a", "b", "c"], "y")]
    got = kapell_c.Session(model_of(nodes, feeds, ["da", "db", "dc"])).run(feeds)
    np.testing.assert_allclose(got, [[1 / 3, 0, 0.5], [1 / 3, 1, 0], [1 / 3, 0, 0.5]])


MATRICES = [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4)),
            ((3,), (5, 3, 2)), ((5, 2, 3), (3,))]


@pytest.mark.parametrize("shapes", MATRICES)
def test_matmul(shapes):
    rng = np.random.default_rng(2)
    check([node("MatMul", "a b", "y")], {n: rng.normal(size=s) for n, s in zip("ab", shapes)})


@pytest.mark.parametrize("turn_a", [0, 1])
@pytest.mark.parametrize("turn_b", [0, 1])
def test_gemm(turn_a, turn_b):
    rng = np.random.default_rng(3)
    feeds = {"a": rng.normal(size=(3, 2) if turn_a else (2, 3)), "b": rng.normal(size=(4, 3) if turn_b else (3, 4)), "c": rng.normal(size=4)}
    check([node("Gemm", "a b c", "y", transA=turn_a, transB=turn_b, alpha=0.5, beta=2.0)], feeds)


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean"])
@pytest.mark.parametrize("axes", [None, [1], [0, -1]])
@pytest.mark.parametrize("keep", [0, 1])
def test_reduce(op, axes, keep):
    x = np.random.default_rng(4).normal(size=(2, 3, 4))
    check([node(op, "x axes" if axes else "x", "y", keepdims=keep)], {"x": x}, {"axes": np.array(axes)} if axes else None)
    check([node("ReduceMean", "x", "y", keepdims=keep, **({"axes": axes} if axes else {}))], {"x": x}, opset=12)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset,axis", [(18, -1), (18, 1), (12, 1), (12, -1)])
def test_softmax(op, opset, axis):
    check([node(op, "x", "y", axis=axis)], {"x": np.random.default_rng(6).normal(size=(2, 3, 4))}, opset=opset)


def test_shapes():
    x = np.random.default_rng(7).normal(size=(2, 1, 3))
    constants = {"shape": np.array([3, 2]), "one": np.array([1]), "wide": np.array([4, 3, 2])}
    nodes = [node("Squeeze", "x one", "s"), node("Transpose", "s", "t", perm=[1, 0]), node("Reshape", "t shape", "r"),
             node("Unsqueeze", "r one", "u"), node("Squeeze", "u one", "v"), node("Expand", "v wide", "e"),
             node("Transpose", "e", "f", perm=[2, 0, 1]), node("Mul", "f f", "y")]
    check(nodes, {"x": x}, constants)


@pytest.mark.parametrize("axis", [0, -1])
def test_concat(axis):
    rng = np.random.default_rng(8)
    shapes = [(2, 3), (5, 3), (2, 3)] if axis == 0 else [(2, 3), (2, 1), (2, 4)]
    feeds = {n: rng.normal(size=s) for n, s in zip("abc", shapes)}
    check([node("Concat", "a b c", "k", axis=axis), node("Mul", "k k", "y")], feeds)
    check([node("Concat", "a b c", "k", axis=axis), node("Mul", "k k", "y")], feeds, xs=["b"])


def test_where_and_cast():
    nodes = [node("Greater", "a b", "c"), node("Cast", "a", "f", to=TensorProto.FLOAT), node("Cast", "f", "g", to=TensorProto.DOUBLE),
             node("Sub", "a g", "small"), node("Add", "a small", "h"), node("Where", "c h b", "w"), node("Mul", "w w", "y")]
    feeds = {"a": SIGNED, "b": np.array([0.1, 0.0, 0.0])}
    session = kapell_c.Session(model_of(nodes + [gradient(["a", "b"], "y")], feeds, ["y", "da", "db"]))
    _, da, db = session.run(feeds)
    bigger = feeds["a"] > feeds["b"]
    np.testing.assert_allclose(da, np.where(bigger, 2 * feeds["a"], 0), rtol=1e-5)  # the two casts take away what h adds
    np.testing.assert_allclose(db, np.where(bigger, 0, 2 * feeds["b"]).sum(0), rtol=1e-5)


@pytest.mark.parametrize("op", ["Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Selu", "Softsign", "ThresholdedRelu"])
def test_function_of_onnx(op):
    """These have no rule but a body."""
    check([node(op, "x", "y")], {"x": SIGNED}, opset=22)


def test_network():
    rng = np.random.default_rng(9)
    nodes = [node("Gemm", "x w b", "h"), node("Tanh", "h", "t"), node("MatMul", "t v", "o"), node("Softmax", "o", "p", axis=-1),
             node("Log", "p", "l"), node("Mul", "l target", "c"), node("ReduceSum", "c", "s", keepdims=0), node("Neg", "s", "y")]
    feeds = {"x": rng.normal(size=(4, 3)), "w": rng.normal(size=(3, 5)), "b": rng.normal(size=5), "v": rng.normal(size=(5, 2))}
    check(nodes, feeds, {"target": np.eye(2)[[0, 1, 1, 0]]})


def test_intermediate_elsewhere():
    """d y / d h at a value that is not h; z too."""
    nodes = [node("Exp", "x", "h"), node("Mul", "h h", "q"), node("Mul", "q z", "y"),
             gradient(["h"], "y", ["dh"], ["at", "z1"], ["z"])]
    feeds = {"x": np.array([1.0, 2.0]), "z": np.array([1.0, 1.0]), "at": np.array([3.0, 4.0]), "z1": np.array([5.0, 7.0])}
    got = kapell_c.Session(model_of(nodes, feeds, ["y", "dh"])).run(feeds)
    np.testing.assert_allclose(got[0], np.exp(feeds["x"]) ** 2)
    np.testing.assert_allclose(got[1], [30.0, 56.0])


def test_elsewhere_in_another_shape():
    nodes = [node("Mul", "a b", "y"), gradient(["a", "b"], "y", ["da", "db"], ["a1", "b"])]
    feeds = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 5.0]), "a1": np.ones((4, 2))}
    got = kapell_c.Session(model_of(nodes, feeds, ["da", "db"])).run(feeds)
    np.testing.assert_allclose(got[0], np.tile(feeds["b"], (4, 1)))
    np.testing.assert_allclose(got[1], [4.0, 4.0])


def test_second_order():
    """x^3 twice; the nodes in either order."""
    first, second = gradient(["x"], "y", ["dx"]), gradient(["x"], "dx", ["ddx"])
    feeds = {"x": np.array([1.5, -2.0])}
    for order in ([first, second], [second, first]):
        nodes = [node("Mul", "x x", "s"), node("Mul", "s x", "y")] + order
        got = kapell_c.Session(model_of(nodes, feeds, ["dx", "ddx"])).run(feeds)
        np.testing.assert_allclose(got[0], 3 * feeds["x"] ** 2)
        np.testing.assert_allclose(got[1], 6 * feeds["x"])


def test_no_dependence_and_itself():
    nodes = [node("Mul", "a a", "y"), gradient(["b", "a"], "y", ["db", ""]), gradient(["y"], "y", ["dy"])]
    feeds = {"a": np.array([2.0]), "b": np.array([[1.0, 2.0]])}
    got = kapell_c.Session(model_of(nodes, feeds, ["db", "dy"])).run(feeds)
    np.testing.assert_array_equal(got[0], [[0.0, 0.0]])
    np.testing.assert_array_equal(got[1], [1.0])


def test_weights_as_constants():
    nodes = [node("MatMul", "x w", "y"), gradient(["w"], "y")]
    feeds = {"x": np.array([[1.0, 2.0]])}
    got = kapell_c.Session(model_of(nodes, feeds, ["dw"], {"w": np.ones((2, 3))})).run(feeds)
    np.testing.assert_array_equal(got[0], [[1.0] * 3, [2.0] * 3])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_floats(dtype):
    nodes = [node("Sigmoid", "x", "y"), gradient(["x"], "y")]
    feeds = {"x": np.array([0.5, -1.0], dtype)}
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    got = kapell_c.Session(model_of(nodes, feeds, ["dx"], element=element)).run(feeds)[0]
    s = 1 / (1 + np.exp(-feeds["x"].astype(np.float64)))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, s * (1 - s), rtol=2e-3 if dtype == np.float16 else 1e-6)


def test_symbolic_batch():
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("ReduceMean", "r", "y", keepdims=0), gradient(["w", "b", "x"], "y")]
    rng = np.random.default_rng(10)
    feeds = {"x": rng.normal(size=(4, 3)), "w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    open_ = kapell_c.Session(model_of(nodes, feeds, ["y", "dw", "db", "dx"], dims={"x": ["N", 3]}))
    for n in (4, 7):
        feeds["x"] = rng.normal(size=(n, 3))
        for name, got in zip("wbx", open_.run(feeds)[1:]):
            np.testing.assert_allclose(got, differences(open_, feeds, name, "y"), rtol=1e-6, atol=1e-7)


REFUSED = {
    "no rule": ([node("Det", "x", "y"), gradient(["x"], "y")], "Det '"),
    "no value": ([node("Exp", "x", "y"), gradient(["nothing"], "y", inputs=["x"])], "'nothing'"),
    "no y": ([node("Exp", "x", "y"), gradient(["x"], "why")], "'why'"),
    "inputs": ([node("Exp", "x", "y"), gradient(["x"], "y", inputs=["x", "x"])], "2 inputs"),
    "integers": ([node("Shape", "x", "y"), gradient(["x"], "y")], "floating point"),
    "its own": ([node("Exp", "dx", "y"), gradient(["x"], "y")], "its own result"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    nodes, words = REFUSED[name]
    with pytest.raises(kapell_c.KapellError, match=words):
        kapell_c.Session(model_of(nodes, {"x": np.eye(2)}, ["dx" if name not in ("no value",) else "dnothing"]))


def test_unknown_spreading():
    feeds = {"a": np.ones((2, 3)), "b": np.ones((2, 3))}
    nodes = [node("Mul", "a b", "y"), gradient(["a", "b"], "y")]
    with pytest.raises(kapell_c.KapellError, match="fix the dims"):
        kapell_c.Session(model_of(nodes, feeds, ["da"], dims={"a": ["M", 3], "b": ["N", 3]}))


def in_branch(nodes):
    """The nodes, which make y and dx, as a branch; the values of the graph around it are theirs, too."""
    made = [helper.make_empty_tensor_value_info(n) for n in ("y", "dx")]
    branch = helper.make_graph(nodes, "then", [], made)
    other = helper.make_graph([node("Identity", "x", "y"), node("Identity", "x", "dx")], "else", [], made)
    around = [node("Exp", "x", "h"), node("ReduceSum", "x", "s", keepdims=0), node("Cast", "s", "c", to=TensorProto.BOOL),
              helper.make_node("If", ["c"], ["oy", "odx"], then_branch=branch, else_branch=other)]
    return model_of(around, {"x": np.ones(2)}, ["oy", "odx"])


def test_in_a_body():
    feeds = {"x": np.array([1.0, 2.0])}
    got = kapell_c.Session(in_branch([node("Mul", "x x", "y"), gradient(["x"], "y")])).run(feeds)
    np.testing.assert_allclose(got, [feeds["x"] ** 2, 2 * feeds["x"]])
    nodes = [node("Mul", "h h", "y"), gradient(["h"], "y", ["dx"])]
    np.testing.assert_allclose(kapell_c.Session(in_branch(nodes)).run(feeds)[1], 2 * np.exp(feeds["x"]))


def test_through_the_outside_of_a_body():
    with pytest.raises(kapell_c.KapellError, match="'h' is computed outside the body"):
        kapell_c.Session(in_branch([node("Mul", "x h", "y"), gradient(["x"], "y")]))
