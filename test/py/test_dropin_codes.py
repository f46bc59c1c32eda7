"""Error codes of models that do not load: libonnxruntime.so.1 beside ONNX Runtime's own library, by the models of this file.

As a program: test_dropin_codes.py LIBRARY prints {case: code, 0 for a session} as JSON; each library has a process of its own.
"""

import ctypes
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import ort_c

F, I64, BOOL, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING
# Ours accepts what ONNX Runtime refuses, or says at once what ONNX Runtime says in a run or never.
DIFFERENCES = {
    "names of nodes twice": "the file format does not ask for unique ones",
    "input without type": "a run tells it",
    "channels of Conv": "refused when opened", "Reshape to another size": "refused when opened",
    "initializer twice": "no model has two values of a name", "initializer without name": "nothing could use it",
}


def node(op, inputs, outputs=("y",), **more):
    return helper.make_node(op, list(inputs), list(outputs), **more)


def info(name, shape=(2,), kind=F):
    return helper.make_tensor_value_info(name, kind, shape)


def const(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def model(nodes, inputs=None, outputs=None, initializers=(), change=None, domains=()):
    graph = helper.make_graph(nodes, "g", [info("x")] if inputs is None else inputs, [info("y")] if outputs is None else outputs, list(initializers))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), *[helper.make_opsetid(d, 1) for d in domains]], ir_version=9)
    if change:
        change(made)
    return made.SerializeToString()


def branch(op, kind=F, outputs=1, **more):
    return helper.make_graph([node(op, "x", "z", **more)], "b", [], [info("z", (2,), kind)][:outputs])


def weighted(change):
    """x + w, with |change| made to w."""
    return model([node("Add", ["x", "w"])], initializers=[const("w", np.float32([1, 2]))], change=lambda m: change(m.graph.initializer[0]))


def outside(tensor, location):
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def nothing(name):
    """A model without a field."""
    return model([node("Abs", "x")], change=lambda m: m.ClearField(name))


def cases():
    condition = [info("x"), info("c", [], BOOL)]
    circle = model([node("Add", "xb", "a"), node("Add", "ax", "b"), node("Abs", "b")])
    any_shape = [info("y", None)]
    return {
        "circle": circle, "cut off": circle[:40], "empty": b"", "text": b"hello world, this is no model", "zeros": b"\0" * 64,
        "unknown operator": model([node("Nope", "x")]), "no operator": model([node("", "x")]),
        "domain not imported": model([node("Abs", "x", domain="no.such")]), "unknown domain": model([node("Abs", "x", domain="no.such")], domains=["no.such"]),
        "input that nothing gives": model([node("Abs", "q")]), "output that nothing gives": model([node("Abs", "x", "z")]),
        "too few inputs": model([node("Add", "x")]), "too many inputs": model([node("Abs", "xx")]), "too many outputs": model([node("Abs", "x", "yz")]),
        "names of nodes twice": model([node("Abs", "x", "a", name="n"), node("Abs", "a", name="n")]),
        "output of two nodes": model([node("Abs", "x"), node("Neg", "x")]), "input that a node gives": model([node("Abs", "x", "x"), node("Neg", "x")]),
        "unknown attribute": model([node("Abs", "x", foo=1)]), "attribute of another type": model([node("Softmax", "x", axis=1.5)]),
        "attribute that is missing": model([node("Cast", "x")]), "axis past the rank": model([node("Softmax", "x", axis=7)]), "unknown type": model([node("Cast", "x", to=99)]),
        "two types": model([node("Add", "xi")], [info("x"), info("i", (2,), I64)]),
        "type that the operator lacks": model([node("Sin", "x")], [info("x", (2,), STRING)], [info("y", (2,), STRING)]),
        "output of another type": model([node("Abs", "x")], None, [info("y", (2,), I64)]), "output of another shape": model([node("Abs", "x")], None, [info("y", (3,))]),
        "output of another rank": model([node("Abs", "x")], None, [info("y", (2, 2))]), "shapes that do not broadcast": model([node("Add", "xz")], [info("x"), info("z", (3,))]),
        "MatMul": model([node("MatMul", "xz")], [info("x", (2, 3)), info("z", (4, 2))], any_shape), "ranks of Concat": model([node("Concat", "xz", axis=0)], [info("x"), info("z", (2, 2))]),
        "rank of Gemm": model([node("Gemm", "xx")], None, any_shape), "parts of Split": model([node("Split", "xs", "yz")], None, [info("y", None), info("z", None)], [const("s", [5, 5])]),
        "Reshape to another size": model([node("Reshape", "xs")], None, [info("y", (3,))], [const("s", [3])]),
        "channels of Conv": model([node("Conv", "xw")], [info("x", (1, 3, 5, 5))], any_shape, [const("w", np.zeros((2, 4, 3, 3), np.float32))]),
        "index of Gather": model([node("Gather", "xi")], None, [info("y", [])], [const("i", 5)]),
        "initializer of another size": weighted(lambda t: setattr(t, "raw_data", b"1234")), "initializer of an unknown type": weighted(lambda t: setattr(t, "data_type", 77)),
        "initializer of negative size": weighted(lambda t: t.dims.__setitem__(0, -2)), "external data that is not there": weighted(lambda t: outside(t, "no.bin")),
        "external data elsewhere": weighted(lambda t: outside(t, "../../etc/passwd")),
        "initializer twice": model([node("Add", "xw")], initializers=[const("w", np.float32([1, 2]))] * 2),
        "initializer without name": model([node("Abs", "x")], initializers=[const("", np.float32([1, 2]))]),
        "no outputs": model([node("Abs", "x")], None, []), "no nodes": model([], None, [info("x")]), "no opset": nothing("opset_import"), "no graph": nothing("graph"),
        "input without type": model([node("Abs", "x")], change=lambda m: m.graph.input[0].ClearField("type")),
        "input without name": model([node("Abs", "x")], change=lambda m: setattr(m.graph.input[0], "name", "")),
        "input twice": model([node("Abs", "x")], [info("x"), info("x")]), "output twice": model([node("Abs", "x")], None, [info("y"), info("y")]),
        "branches of two types": model([node("If", "c", then_branch=branch("Abs"), else_branch=branch("Cast", I64, to=I64))], condition),
        "branches of two lengths": model([node("If", "c", then_branch=branch("Abs"), else_branch=branch("Abs", outputs=0))], condition),
        "branch that is missing": model([node("If", "c", then_branch=branch("Abs"))], condition),
    }


def main():
    api = ort_c.Api(sys.argv[1])
    env, codes = api.make("CreateEnv", 4, b"codes"), {}
    for name, data in cases().items():
        try:
            api.ReleaseSession(api.make("CreateSessionFromArray", env, data, ctypes.c_size_t(len(data)), api.make("CreateSessionOptions")))
            codes[name] = 0
        except ort_c.OrtError as error:
            codes[name] = error.code
    print(json.dumps(codes))


def codes_of(library):
    done = subprocess.run([sys.executable, __file__, library], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_codes(build_dir, preset):
    if preset != "release":
        pytest.skip("Python loads a sanitizer's library only when that is preloaded; test_hostile.py runs such models under it")
    import onnxruntime

    ours = codes_of(build_dir / "lib" / "libonnxruntime.so.1")
    real = codes_of(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")))
    wrong = [f"{name}: {ours[name]}, ONNX Runtime: {code}" for name, code in real.items() if ours[name] != code and name not in DIFFERENCES]
    wrong += [f"{name}: as in ONNX Runtime, but listed" for name in DIFFERENCES if ours[name] == real[name]]
    assert not wrong, "\n".join(wrong)
    assert len(real) > 50


if __name__ == "__main__":
    main()
