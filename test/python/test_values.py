"""Values: whose memory they lie in, how long it lives, and what they refuse."""

import gc
import os
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import kapell
from kapell import OrtDevice, OrtValue, SparseTensor

pytestmark = pytest.mark.asan_slice

CPU = OrtDevice.make("cpu", 0)
SIZE = 100 << 20


def model_of(nodes, inputs, outputs):
    """Bytes of a model; inputs and outputs as (name, type, shape)."""
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*io) for io in inputs],
                              [helper.make_tensor_value_info(*io) for io in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


@pytest.fixture(scope="module")
def doubling():
    """y = x + x, float, of any number of rows of 3."""
    return kapell.InferenceSession(model_of([helper.make_node("Add", ["x", "x"], ["y"])], [("x", TensorProto.FLOAT, ["n", 3])],
                                            [("y", TensorProto.FLOAT, ["n", 3])]))


def resident():
    """Bytes of this process's memory that are in use, without those of files."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024


# --- memory that is shared --------------------------------------------------------------------------------------------------------


def test_a_value_lies_in_the_arrays_memory_and_keeps_it():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = OrtValue.ortvalue_from_numpy(array)
    assert value.data_ptr() == array.ctypes.data
    array[1, 2] = 50
    assert value.numpy()[1, 2] == 50
    base = weakref.ref(array)
    view = value.numpy()
    del array, value
    gc.collect()
    assert base() is not None and view[1, 2] == 50
    del view
    gc.collect()
    assert base() is None


def test_an_output_outlives_its_session():
    session = kapell.InferenceSession(model_of([helper.make_node("Add", ["x", "x"], ["y"])], [("x", TensorProto.FLOAT, [4])],
                                               [("y", TensorProto.FLOAT, [4])]))
    array = np.ones(4, np.float32)
    output = session.run(None, {"x": array})[0]
    value = session.run_with_ort_values(None, {"x": OrtValue.ortvalue_from_numpy(array)})[0]
    del session, array
    gc.collect()
    view = value.numpy()
    del value
    gc.collect()
    assert output.tolist() == view.tolist() == [2, 2, 2, 2]


def test_an_output_that_is_an_input_keeps_it():
    session = kapell.InferenceSession(model_of([helper.make_node("Identity", ["x"], ["y"])], [("x", TensorProto.FLOAT, ["n"])],
                                               [("y", TensorProto.FLOAT, ["n"])]))
    array = np.arange(1000, dtype=np.float32)
    output = session.run(None, {"x": array})[0]
    array[:] = -1
    del array
    gc.collect()
    assert output[999] in (999, -1)  # a copy or the same memory, but alive
    assert session.run(None, {"x": np.ones(1000, np.float32)})[0].sum() == 1000


@pytest.mark.parametrize("make", [
    lambda a: np.asfortranarray(a), lambda a: a[::-1], lambda a: a[:, ::-1], np.ascontiguousarray,
    lambda a: np.repeat(a, 2, 0)[::2], lambda a: np.broadcast_to(a[:1], a.shape), lambda a: a.astype(">f4"),
    lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(np.float32).reshape(a.shape),
], ids=["fortran", "rows", "columns", "plain", "steps", "broadcast", "swapped", "unaligned"])
def test_any_layout_gives_the_same_numbers(doubling, make):
    array = make(np.arange(12, dtype=np.float32).reshape(4, 3))
    expected = np.asarray(array, np.float32) * 2
    value = OrtValue.ortvalue_from_numpy(array)
    np.testing.assert_array_equal(value.numpy(), array)
    for outputs in (doubling.run(None, {"x": array}), doubling.run_with_ort_values(None, {"x": value})):
        np.testing.assert_array_equal(np.asarray(outputs[0]), expected)
    binding = doubling.io_binding()
    binding.bind_cpu_input("x", array)
    binding.bind_output("y")
    doubling.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], expected)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3)])
def test_zero_size(doubling, shape):
    value = OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
    assert value.shape() == list(shape) and value.tensor_size_in_bytes() == 4 * shape[0] * 3
    assert doubling.run_with_ort_values(["y"], {"x": value})[0].numpy().shape == shape
    assert np.from_dlpack(value).shape == shape
    assert OrtValue.from_dlpack(np.zeros(shape, np.int8)).shape() == list(shape)


def test_read_only_memory_is_read_and_never_written(doubling):
    array = np.ones((2, 3), np.float32)
    array.flags.writeable = False
    value = OrtValue.ortvalue_from_numpy(array)
    assert value.data_ptr() == array.ctypes.data
    assert not value.numpy().flags.writeable and not np.from_dlpack(value).flags.writeable
    assert not OrtValue(value).numpy().flags.writeable
    assert not OrtValue.from_dlpack(value).numpy().flags.writeable
    assert doubling.run_with_ort_values(None, {"x": value})[0].numpy().sum() == 12
    with pytest.raises(ValueError, match="read-only"):
        value.update_inplace(np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="read-only"):
        doubling.io_binding().bind_ortvalue_output("y", value)
    with pytest.raises(BufferError, match="read-only"):
        value.__dlpack__()
    assert array.sum() == 6


def test_update_inplace():
    value = OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32))
    address = value.data_ptr()
    value.update_inplace(np.arange(6, dtype=np.float32).reshape(3, 2).T.reshape(2, 3))
    assert value.numpy().tolist() == [[0, 2, 4], [1, 3, 5]] and value.data_ptr() == address
    value.update_inplace(np.full((2, 3), 7, ">f4"))
    value.update_inplace(OrtValue.ortvalue_from_numpy(value.numpy() + 1))
    assert (value.numpy() == 8).all()
    value.update_inplace(value)
    with pytest.raises(RuntimeError, match="does not match the size"):
        value.update_inplace(np.zeros(5, np.float32))
    with pytest.raises(RuntimeError, match="tensor.double."):
        value.update_inplace(np.zeros((2, 3)))
    with pytest.raises(TypeError):
        value.update_inplace([1, 2])
    with pytest.raises(RuntimeError, match="string"):
        OrtValue.ortvalue_from_numpy(np.array(["a"], object)).update_inplace(np.array(["b"], object))


# --- 100 MB without a copy ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("asan" in os.environ.get("KAPELL_PRESET", ""), reason="AddressSanitizer's memory is not the program's")
def test_large_arrays_go_in_and_out_without_a_copy():
    rows = SIZE // 4 // 1024
    session = kapell.InferenceSession(model_of([helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0)],
                                               [("x", TensorProto.FLOAT, ["n", 1024])], [("m", TensorProto.FLOAT, [])]))
    spread = kapell.InferenceSession(model_of([helper.make_node("Neg", ["x"], ["y"])], [("x", TensorProto.FLOAT, ["n", 1024])],
                                              [("y", TensorProto.FLOAT, ["n", 1024])]))
    array = np.ones((rows, 1024), np.float32)
    before = resident()
    margin = SIZE // 10
    assert session.run(None, {"x": array})[0] == 1
    value = OrtValue.ortvalue_from_numpy(array)
    assert session.run_with_ort_values(None, {"x": value})[0].numpy() == 1
    taken = OrtValue.from_dlpack(array)
    assert session.run_with_ort_values(None, {"x": taken})[0].numpy() == 1
    assert resident() - before < margin  # in: nothing
    output = spread.run(None, {"x": array})[0]
    assert SIZE - margin < resident() - before < SIZE + margin  # out: the output itself
    del output
    gc.collect()
    assert resident() - before < margin
    result = spread.run_with_ort_values(None, {"x": value})[0]
    view, other = result.numpy(), np.from_dlpack(result)
    assert view[0, 0] == other[0, 0] == -1 and resident() - before < SIZE + margin
    del result, view, other
    target = np.zeros_like(array)
    target[:] = 5
    binding = spread.io_binding()
    binding.bind_ortvalue_input("x", value)
    binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_numpy(target))
    spread.run_with_iobinding(binding)
    assert (target == -1).all()
    assert resident() - before < SIZE + 2 * margin + target.size  # the target, and a byte an element of the comparison


LEAKS = textwrap.dedent("""
    import gc, sys, weakref
    import numpy as np
    import kapell
    from kapell import OrtValue, SparseTensor, OrtDevice
    session = kapell.InferenceSession(sys.argv[1])
    image = np.zeros((1, 1, 8, 8), np.float32)
    cpu = OrtDevice.make("cpu", 0)
    def once():
        big = np.ones(1 << 16, np.float32)
        value = OrtValue.ortvalue_from_numpy(big)
        np.from_dlpack(OrtValue.from_dlpack(value)); value.to_dlpack(); OrtValue.from_dlpack(big)
        OrtValue.ortvalue_from_shape_and_type([1 << 14], np.float32).update_inplace(big[: 1 << 14])
        OrtValue.ortvalue_from_numpy_with_onnx_type(big.view(np.uint16), 16)
        sparse = SparseTensor.sparse_coo_from_numpy([1 << 17], big, np.arange(1 << 16), cpu)
        OrtValue.ort_value_from_sparse_tensor(sparse).as_sparse_tensor().values()
        session.run(None, {"image": image})
        session.run_with_ort_values(None, {"image": OrtValue.ortvalue_from_numpy(image)})
        binding = session.io_binding()
        binding.bind_cpu_input("image", image)
        binding.bind_output("probabilities")
        session.run_with_iobinding(binding)
        binding.copy_outputs_to_cpu(), binding.get_outputs()
        for wrong in (lambda: value.update_inplace(np.zeros(3)), lambda: OrtValue.from_dlpack(3), lambda: binding.bind_output("no"),
                      lambda: OrtValue.ortvalue_from_shape_and_type([-1], np.float32), lambda: OrtValue.from_dlpack(big[::2]),
                      lambda: session.run_with_ort_values(None, {"image": value})):
            try: wrong()
            except Exception: pass
            else: raise SystemExit("no error")
    def resident():
        with open("/proc/self/statm") as file: return int(file.read().split()[1]) * 4096
    for _ in range(50): once()
    gc.collect(); blocks, before = sys.getallocatedblocks(), resident()
    for _ in range(int(sys.argv[2])): once()
    gc.collect()
    print(sys.getallocatedblocks() - blocks, resident() - before)
    """)


def test_nothing_leaks(root):
    """Memory after 400 rounds of every way in and out, wrong calls among them, beside memory before."""
    done = subprocess.run([sys.executable, "-c", LEAKS, str(root / "examples/digits/digits.onnx"), "400"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    blocks, grown = map(int, done.stdout.split())
    assert blocks < 200, f"{blocks} blocks of Python's more"
    if "asan" not in os.environ.get("KAPELL_PRESET", ""):  # which keeps freed memory for a while
        assert grown < 8 << 20, f"{grown} bytes more"


# --- DLPack --------------------------------------------------------------------------------------------------------------------------

NUMBERS = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, np.bool_,
           np.complex64, np.complex128]


@pytest.mark.parametrize("dtype", NUMBERS, ids=lambda d: np.dtype(d).name)
def test_dlpack_there_and_back(dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    value = OrtValue.from_dlpack(array)
    assert value.data_ptr() == array.ctypes.data and value.shape() == [2, 3]
    assert value.data_type() == OrtValue.ortvalue_from_numpy(array).data_type()
    back = np.from_dlpack(value)
    assert back.dtype == array.dtype and back.ctypes.data == array.ctypes.data
    again = OrtValue.from_dlpack(value.to_dlpack())
    del value, array
    gc.collect()
    np.testing.assert_array_equal(back, np.arange(6).reshape(2, 3).astype(dtype))
    np.testing.assert_array_equal(again.numpy(), back)


@pytest.mark.parametrize("number", [16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28])
def test_dlpack_of_small_types(number):
    memory = np.arange(16, dtype=np.uint8)
    value = OrtValue.ortvalue_from_numpy_with_onnx_type(memory, number, shape=[2, 4])
    assert value.element_type() == number
    capsule = value.__dlpack__(max_version=(1, 0))
    taken = OrtValue.from_dlpack(capsule)
    assert (taken.data_type(), taken.shape(), taken.data_ptr()) == (value.data_type(), [2, 4], memory.ctypes.data)
    with pytest.raises(BufferError, match="taken before"):
        OrtValue.from_dlpack(capsule)


def test_dlpack_refuses():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    for wrong in (array.T, array[:, ::2], array[::-1]):
        with pytest.raises(BufferError, match="contiguous"):
            OrtValue.from_dlpack(wrong)
    with pytest.raises(TypeError, match="__dlpack__"):
        OrtValue.from_dlpack(3)
    value = OrtValue.ortvalue_from_numpy(array)
    with pytest.raises(BufferError, match=r"\(2, 0\)"):
        value.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError):
        OrtValue.ortvalue_from_numpy(np.array(["a"], object)).__dlpack__()
    copied = OrtValue.from_dlpack(value.__dlpack__(copy=True, max_version=(1, 0)))
    assert copied.data_ptr() != value.data_ptr() and (copied.numpy() == array).all()
    value.__dlpack__()  # a capsule that nobody takes


def test_dlpack_of_a_deleted_owner():
    array = np.arange(1000, dtype=np.float64)
    ref = weakref.ref(array)
    view = np.from_dlpack(OrtValue.ortvalue_from_numpy(array))
    del array
    gc.collect()
    assert ref() is not None and view[999] == 999
    del view
    gc.collect()
    assert ref() is None


# --- types ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
                                  "float4_e2m1fn", "int4", "uint4", "int2", "uint2"])
def test_small_types_of_ml_dtypes(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, name))
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    value = OrtValue.ortvalue_from_numpy(array)
    back = value.numpy()
    assert value.shape() == [2, 3] and back.dtype == dtype and back.tobytes() == array.tobytes()
    made = OrtValue.ortvalue_from_shape_and_type([2, 3], dtype)
    made.update_inplace(array)
    assert made.numpy().tobytes() == array.tobytes() and made.data_type() == value.data_type()


def test_bfloat16_runs():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    session = kapell.InferenceSession(model_of([helper.make_node("Add", ["x", "x"], ["y"])], [("x", TensorProto.BFLOAT16, [3])],
                                               [("y", TensorProto.BFLOAT16, [3])]))
    array = np.array([1, 2, 3], ml_dtypes.bfloat16)
    assert session.run(None, {"x": array})[0].tolist() == [2, 4, 6]
    raw = OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), TensorProto.BFLOAT16)
    assert session.run_with_ort_values(None, {"x": raw})[0].numpy().tolist() == [2, 4, 6]


WITHOUT = textwrap.dedent("""
    import sys
    sys.modules["ml_dtypes"] = None
    import numpy as np
    from kapell import OrtValue
    value = OrtValue.ortvalue_from_numpy_with_onnx_type(np.array([0x3F80], np.uint16), 16)
    print(value.data_type())
    try:
        value.numpy()
    except Exception as error:
        print("ml_dtypes" in str(error))
    """)


def test_small_types_without_ml_dtypes():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["tensor(bfloat16)", "True"], done.stderr


def test_what_is_no_value():
    with pytest.raises(RuntimeError, match="list"):
        OrtValue.ortvalue_from_numpy([1, 2])
    with pytest.raises(Exception, match="complex256|longdouble|float128|type"):
        OrtValue.ortvalue_from_numpy(np.zeros(2, np.longdouble))
    with pytest.raises(Exception, match="datetime|type"):
        OrtValue.ortvalue_from_numpy(np.zeros(2, "datetime64[s]"))
    with pytest.raises(Exception, match="type|record|void"):
        OrtValue.ortvalue_from_numpy(np.zeros(2, [("a", "f4"), ("b", "i4")]))
    for shape in ([-1, 3], [2**62, 2**62], [1] * 40):
        with pytest.raises(Exception):
            OrtValue.ortvalue_from_shape_and_type(shape, np.float32)
    with pytest.raises(RuntimeError, match="99"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(2, np.uint8), 99)
    with pytest.raises(RuntimeError, match="Items size"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(2, np.uint32), 16)
    with pytest.raises(ValueError, match="takes 4"):
        OrtValue.ortvalue_from_numpy_with_onnx_type(np.zeros(3, np.uint8), 16, shape=[2])
    with pytest.raises(RuntimeError, match="gpu|device"):
        OrtValue.ortvalue_from_numpy(np.zeros(2), "cuda", 0)
    with pytest.raises(ValueError, match="bogus"):
        OrtDevice.make("bogus", 0)
    with pytest.raises(ValueError):
        OrtValue(np.zeros(3))


def test_strings():
    value = OrtValue.ortvalue_from_numpy(np.array([["grün", ""], ["a\0b", "x"]], object))
    assert value.data_type() == "tensor(string)" and value.numpy().tolist() == [["grün", ""], ["a\0b", "x"]]


def test_scalars_and_arrays():
    value = OrtValue.ortvalue_from_numpy(np.array(3, np.float32))
    assert value.shape() == [] and value.numpy() == 3 and np.asarray(value, np.float64) == 3
    assert value.has_value() and value.is_tensor() and not value.is_sparse_tensor() and not value.is_tensor_sequence()
    assert value.device_name() == "cpu" and value.element_type() == TensorProto.FLOAT
    array = np.asarray(value)
    assert array.ctypes.data == value.data_ptr()
    copy = np.array(value)
    assert copy.ctypes.data != value.data_ptr()


# --- sparse ----------------------------------------------------------------------------------------------------------------------------


def test_sparse_tensors():
    values, linear = np.array([1, 2], np.float32), np.array([1, 5])
    coo = SparseTensor.sparse_coo_from_numpy([3, 3], values, linear, CPU)
    assert (coo.format(), coo.dense_shape(), coo.data_type(), coo.device_name()) == (
        kapell.OrtSparseFormat.ORT_SPARSE_COO, [3, 3], "sparse_tensor(float)", "cpu")
    pairs = SparseTensor.sparse_coo_from_numpy([3, 3], values, np.array([[0, 1], [1, 2]]), CPU)
    csr = SparseTensor.sparse_csr_from_numpy([3, 3], values, np.array([1, 2]), np.array([0, 1, 2, 2]), CPU)
    assert csr.as_csrc_view().inner().tolist() == [1, 2] and csr.as_csrc_view().outer().tolist() == [0, 1, 2, 2]
    for tensor in (coo, pairs, csr):
        value = OrtValue.ort_value_from_sparse_tensor(tensor)
        assert value.is_sparse_tensor() and value.shape() == [3, 3] and not value.is_tensor()
        assert value.as_sparse_tensor().values().tolist() == [1, 2]
        with pytest.raises(RuntimeError):
            value.numpy()
    with pytest.raises(RuntimeError, match="format"):
        coo.as_csrc_view()
    with pytest.raises(RuntimeError, match="block"):
        SparseTensor.blocksparse_from_numpy([3, 3], values, linear, CPU)
    for wrong in ([1], [1, 9], [-1, 2], [[0, 3], [1, 2]], [1.5, 2.5]):
        with pytest.raises(RuntimeError):
            SparseTensor.sparse_coo_from_numpy([3, 3], values, np.array(wrong), CPU)
    for inner, outer in (([1, 3], [0, 1, 2, 2]), ([1, 2], [0, 1, 2]), ([1, 2], [0, 2, 1, 2]), ([1], [0, 1, 2, 2])):
        with pytest.raises(RuntimeError):
            SparseTensor.sparse_csr_from_numpy([3, 3], values, np.array(inner), np.array(outer), CPU)
    with pytest.raises(RuntimeError):
        OrtValue.ortvalue_from_numpy(values).as_sparse_tensor()


def test_a_sparse_tensor_runs():
    """A sparse initializer comes out as one, goes into a product beside a dense matrix."""
    node = helper.make_node("SparseToDenseMatMul", ["a", "b"], ["y"], domain="com.microsoft")
    sparse = onnx.helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [3, 3])
    graph = helper.make_graph([node], "g", [onnx.helper.make_value_info("a", sparse), helper.make_tensor_value_info("b", 1, [3, 2])],
                              [helper.make_tensor_value_info("y", 1, [3, 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    session = kapell.InferenceSession(model.SerializeToString())
    csr = SparseTensor.sparse_csr_from_numpy([3, 3], np.array([1, 2], np.float32), np.array([1, 2]), np.array([0, 1, 2, 2]), CPU)
    b = np.arange(6, dtype=np.float32).reshape(3, 2)
    dense = np.zeros((3, 3), np.float32)
    dense[0, 1], dense[1, 2] = 1, 2
    out = session.run_with_ort_values(["y"], {"a": OrtValue.ort_value_from_sparse_tensor(csr), "b": OrtValue.ortvalue_from_numpy(b)})
    np.testing.assert_allclose(out[0].numpy(), dense @ b)


# --- binding -----------------------------------------------------------------------------------------------------------------------------


def test_bound_memory_is_read_and_written_in_place(doubling):
    binding = doubling.io_binding()
    x, y = np.ones((2, 3), np.float32), np.empty((2, 3), np.float32)
    binding.bind_input("x", "cpu", 0, np.float32, [2, 3], x.ctypes.data)
    binding.bind_output("y", "cpu", 0, np.float32, [2, 3], y.ctypes.data)
    doubling.run_with_iobinding(binding)
    assert (y == 2).all()
    copy = binding.copy_outputs_to_cpu()[0]
    x[:] = 4
    doubling.run_with_iobinding(binding, kapell.RunOptions())
    assert (y == 8).all() and (copy == 2).all() and binding.get_outputs()[0].data_ptr() == y.ctypes.data


def test_memory_of_another_device_is_not_silently_the_cpus(doubling):
    binding = doubling.io_binding()
    binding.bind_cpu_input("x", np.ones((2, 3), np.float32))
    with pytest.warns(kapell.KapellWarning, match="output 'y' is made in the CPU's memory: no provider of this build has memory of cuda"):
        binding.bind_output("y", "cuda")
    doubling.run_with_iobinding(binding)
    assert (binding.get_outputs()[0].numpy() == 2).all()


def test_outputs_of_each_run_are_its_own(doubling):
    binding = doubling.io_binding()
    binding.bind_output("y")
    x = np.ones((2, 3), np.float32)
    binding.bind_cpu_input("x", x)
    doubling.run_with_iobinding(binding)
    first = binding.get_outputs()[0]
    binding.bind_cpu_input("x", np.ones((5, 3), np.float32))
    doubling.run_with_iobinding(binding)
    assert first.numpy().tolist() == [[2] * 3] * 2 and binding.get_outputs()[0].shape() == [5, 3]
    binding.clear_binding_outputs()
    assert binding.get_outputs() == []
    with pytest.raises(RuntimeError, match="output"):
        doubling.run_with_iobinding(binding)


def test_wrong_bindings(doubling):
    binding = doubling.io_binding()
    x = np.ones((2, 3), np.float32)
    with pytest.raises(RuntimeError, match="q"):
        binding.bind_cpu_input("q", x)
    with pytest.raises(RuntimeError, match="q"):
        binding.bind_output("q")
    with pytest.raises(RuntimeError):
        binding.bind_cpu_input("x", [1.0])
    with pytest.raises(ValueError):
        binding.bind_output("y", "cpu", 0, None, None, x.ctypes.data)
    with pytest.raises(RuntimeError, match="device"):
        binding.bind_input("x", "cuda", 0, np.float32, [2, 3], x.ctypes.data)
    with pytest.raises(Exception):
        binding.bind_input("x", "cpu", 0, np.float32, [2, 3], 0)
    binding.bind_output("y")
    with pytest.raises(Exception, match="x"):
        doubling.run_with_iobinding(binding)  # no input
    binding.bind_cpu_input("x", x.astype(np.float64))
    with pytest.raises(Exception, match="float"):
        doubling.run_with_iobinding(binding)
    binding.bind_cpu_input("x", x)
    binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_shape_and_type([5, 3], np.float32))
    with pytest.raises(Exception, match="y"):
        doubling.run_with_iobinding(binding)
    other = kapell.InferenceSession(model_of([helper.make_node("Neg", ["x"], ["y"])], [("x", 1, [1])], [("y", 1, [1])]))
    with pytest.raises(ValueError, match="session"):
        other.run_with_iobinding(binding)


def test_a_binding_keeps_its_arrays(doubling):
    binding = doubling.io_binding()
    binding.bind_cpu_input("x", np.full((2, 3), 3, np.float32))
    binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_numpy(np.zeros((2, 3), np.float32)))
    gc.collect()
    doubling.run_with_iobinding(binding)
    assert (binding.copy_outputs_to_cpu()[0] == 6).all()


def test_vectors(doubling):
    feeds, fetches = kapell.values.OrtValueVector(), kapell.values.OrtValueVector()
    feeds.push_back(OrtValue.ortvalue_from_numpy(np.ones((1, 3), np.float32)))
    assert feeds.element_type_at(0) == 1 and len(feeds.to_dlpacks(None)) == 1
    doubling.run_with_ortvaluevector(None, ["x"], feeds, ["y"], fetches, [CPU])
    assert fetches[0].numpy().tolist() == [[2, 2, 2]]
    x = np.zeros((1, 3), np.float32)
    fetches.push_back_batch([x], [x.ctypes.data], [np.float32], [[1, 3]], [CPU])
    kapell.copy_tensors(feeds, fetches[1:])
    assert (x == 1).all()
