"""Adapters in onnxruntime's format and its compiler, beside it."""

import kapell
import numpy as np
import onnxruntime
import pytest
from little import model
from onnx import TensorProto, helper

pytestmark = pytest.mark.asan_slice
PARAMETERS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(3), "half": np.ones((1, 1), np.float16)}


def write(package, path):
    adapter = package.AdapterFormat()
    adapter.set_adapter_version(3)
    adapter.set_model_version(4)
    adapter.set_parameters({name: package.OrtValue.ortvalue_from_numpy(value) for name, value in PARAMETERS.items()})
    adapter.export_adapter(str(path))


@pytest.mark.parametrize(("writer", "reader"), [(kapell, kapell), (kapell, onnxruntime), (onnxruntime, kapell)])
def test_adapters_are_onnxruntimes(tmp_path, writer, reader):
    write(writer, tmp_path / "a")
    adapter = reader.AdapterFormat.read_adapter(str(tmp_path / "a"))
    assert (adapter.get_format_version(), adapter.get_adapter_version(), adapter.get_model_version()) == (1, 3, 4)
    for name, value in adapter.get_parameters().items():
        assert value.numpy().dtype == PARAMETERS[name].dtype and np.array_equal(value.numpy(), PARAMETERS[name])


def test_broken_adapters(tmp_path):
    write(kapell, tmp_path / "a")
    data, rng = (tmp_path / "a").read_bytes(), np.random.default_rng(1)
    broken = [data[:n] for n in range(0, len(data), 7)]
    for _ in range(300):
        changed = bytearray(data)
        for at in rng.integers(8, len(data), 3):
            changed[at] = rng.integers(256)
        broken.append(bytes(changed))
    for some in broken:
        (tmp_path / "b").write_bytes(some)
        try:
            kapell.AdapterFormat.read_adapter(tmp_path / "b")
        except kapell.KapellError:
            pass


def test_an_adapter_in_a_run(tmp_path):
    io = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in ("x", "a", "y")]
    zero = helper.make_tensor("a", TensorProto.FLOAT, [2, 3], [0] * 6)
    graph = helper.make_graph([helper.make_node("Add", ["x", "a"], ["y"])], "g", io[:2], io[2:], [zero])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    adapter = kapell.AdapterFormat()
    adapter.set_parameters({"a": kapell.OrtValue.ortvalue_from_numpy(PARAMETERS["a"])})
    adapter.export_adapter(tmp_path / "a")
    x = np.ones((2, 3), np.float32)
    for package in (kapell, onnxruntime):
        lora, options = package.LoraAdapter(), package.RunOptions()
        lora.Load(str(tmp_path / "a"))
        options.add_active_adapter(lora)
        session = package.InferenceSession(data, providers=["CPUExecutionProvider"])
        assert session.run(None, {"x": x}, options)[0].tolist() == (x + PARAMETERS["a"]).tolist()
        assert session.run(None, {"x": x})[0].tolist() == x.tolist()


def test_a_compiled_model_is_the_model(tmp_path):
    data = model("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    (tmp_path / "m.onnx").write_bytes(data)
    compiler = kapell.ModelCompiler(kapell.SessionOptions(), tmp_path / "m.onnx")
    compiler.compile_to_file()
    assert (tmp_path / "m_ctx.onnx").read_bytes() == data == compiler.compile_to_bytes()
    with pytest.raises(kapell.Fail):
        kapell.ModelCompiler(kapell.SessionOptions(), data, flags=kapell.OrtCompileApiFlags.ERROR_IF_NO_NODES_COMPILED).compile_to_bytes()
    with pytest.raises(ValueError, match="empty"):
        kapell.ModelCompiler(kapell.SessionOptions(), b"")
    with pytest.raises(kapell.InvalidProtobuf):
        kapell.ModelCompiler(kapell.SessionOptions(), b"text").compile_to_bytes()
