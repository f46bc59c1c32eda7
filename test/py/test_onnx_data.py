"""Values in .pb files: what the onnx package writes is read and written again, and the package finds it unchanged."""

import subprocess

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.asan_programs

TENSOR, SPARSE, SEQUENCE, MAP, OPTIONAL = range(1, 6)
PROTOS = {TENSOR: onnx.TensorProto, SPARSE: onnx.SparseTensorProto, SEQUENCE: onnx.SequenceProto, MAP: onnx.MapProto,
          OPTIONAL: onnx.OptionalProto}


@pytest.fixture(scope="session")
def copy(build_dir, tmp_path_factory):
    """copy(kind, message): the message after it was read and written by src/onnx."""
    program = build_dir / "test" / "onnx_value"
    folder = tmp_path_factory.mktemp("values")

    def run(kind, message):
        (folder / "in.pb").write_bytes(message.SerializeToString())
        result = subprocess.run([str(program), str(kind), str(folder / "in.pb"), str(folder / "out.pb")], text=True,
                                capture_output=True, timeout=60, check=False)
        assert result.returncode == 0, result.stderr
        return PROTOS[kind].FromString((folder / "out.pb").read_bytes())

    return run


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.mark.parametrize("kind", [t for t in TensorProto.DataType.values() if t not in (TensorProto.UNDEFINED, TensorProto.STRING)],
                         ids=TensorProto.DataType.Name)
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (2, 3, 2)], ids=str)
def test_tensors(copy, kind, shape):
    rng = np.random.default_rng(kind)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    array = rng.integers(0, 2, shape).astype(np.float32).astype(dtype)
    assert_same(numpy_helper.to_array(copy(TENSOR, numpy_helper.from_array(array, "x"))), array)


def test_strings(copy):
    array = np.array([["a", "é"], ["", "longer than most"]], dtype=object)
    assert_same(numpy_helper.to_array(copy(TENSOR, numpy_helper.from_array(array))), array)


def test_sparse(copy):
    sparse = helper.make_sparse_tensor(numpy_helper.from_array(np.float64([1, 2])),
                                       numpy_helper.from_array(np.int64([[0, 1], [2, 0]])), [3, 2])
    again = copy(SPARSE, sparse)
    assert list(again.dims) == [3, 2]
    assert_same(numpy_helper.to_array(again.values), numpy_helper.to_array(sparse.values))
    assert_same(numpy_helper.to_array(again.indices), numpy_helper.to_array(sparse.indices))


@pytest.mark.parametrize("items", [
    [], [np.float32([1, 2]), np.float32([[3]])], [np.array(["a"], dtype=object)], [np.zeros((2, 0), ml_dtypes.bfloat16)],
    [[np.int8([1])], []], [{1: np.float32(2), -3: np.float32(4)}]], ids=str)
def test_sequences(copy, items):
    sequence = numpy_helper.from_list(items)
    assert_same(numpy_helper.to_list(copy(SEQUENCE, sequence)), numpy_helper.to_list(sequence))


@pytest.mark.parametrize("key", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_maps_of_integers(copy, key):
    largest = np.iinfo(key).max if key is not np.uint64 else 2**63 - 1
    mapping = numpy_helper.from_dict({key(0): np.float32(1), key(largest): np.float32(2)})
    assert_same(numpy_helper.to_dict(copy(MAP, mapping)), numpy_helper.to_dict(mapping))


def test_maps_of_strings(copy):
    mapping = onnx.MapProto(key_type=TensorProto.STRING, string_keys=[b"a", b"b"])
    mapping.values.CopyFrom(numpy_helper.from_list([np.int64([1]), np.int64([2, 3])]))
    assert_same(numpy_helper.to_dict(copy(MAP, mapping)), numpy_helper.to_dict(mapping))


@pytest.mark.parametrize("item", [None, np.float16([1, 2]), [np.float32(1)]], ids=str)
def test_optionals(copy, item):
    optional = numpy_helper.from_optional(item)
    assert_same(numpy_helper.to_optional(copy(OPTIONAL, optional)), numpy_helper.to_optional(optional))
