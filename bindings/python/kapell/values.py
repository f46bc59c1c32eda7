"""Values and where they lie: :class:`OrtValue`, :class:`OrtDevice`, :class:`SparseTensor`, :class:`IOBinding`.

The names and their methods are onnxruntime's. A value made of an array uses the array's memory where it is contiguous and of the
machine's byte order, and keeps the array alive; an array made of a value keeps the value alive. Neither depends on a session.

>>> import numpy as np
>>> import kapell
>>> array = np.arange(6, dtype=np.float32).reshape(2, 3)
>>> value = kapell.OrtValue.ortvalue_from_numpy(array)
>>> value.shape(), value.data_type(), value.data_ptr() == array.ctypes.data
([2, 3], 'tensor(float)', True)
>>> array[0, 0] = 7
>>> float(value.numpy()[0, 0])
7.0
"""

from __future__ import annotations

import warnings

import numpy as np

from . import _core
from .enums import OrtSparseFormat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

__all__ = ["IOBinding", "OrtDevice", "OrtValue", "OrtValueVector", "SessionIOBinding", "SparseTensor", "copy_tensors"]

_Value = _core.Value
_TENSOR, _SPARSE, _SEQUENCE, _OPTIONAL = 1, 2, 3, 5
_STRING = 8
_get_kind, _get_shape = _Value.kind.__get__, _Value.shape.__get__
_get_element_type, _get_data_ptr = _Value.element_type.__get__, _Value.data_ptr.__get__


# --- devices ---------------------------------------------------------------------------------------------------------------------

# name -> number of the kind of device, vendor
_DEVICES = {
    "cpu": (0, 0),
    "cuda": (1, 0x10DE),
    "gpu": (1, 0),
    "webgpu": (1, 0),
    "dml": (1, 0x1414),
    "npu": (3, 0),
    "cann": (3, 0x19E5),
}


class OrtDevice:
    """Where memory lies.

    >>> device = OrtDevice.make("cuda", 1)
    >>> device.device_type(), device.device_id(), hex(device.device_vendor_id())
    (1, 1, '0x10de')
    """

    __slots__ = ("_type", "_memory", "_vendor", "_id")

    def __init__(self, device: OrtDevice | int, memory: int = 0, vendor_or_id: int = 0, device_id: int | None = None) -> None:
        """A copy of a device; or numbers: (type, memory, id) or (type, memory, vendor, id)."""
        if isinstance(device, OrtDevice):
            self._type, self._memory, self._vendor, self._id = device._type, device._memory, device._vendor, device._id
        else:
            self._type, self._memory = int(device), int(memory)
            self._vendor, self._id = (0, int(vendor_or_id)) if device_id is None else (int(vendor_or_id), int(device_id))

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """The device of that name: cpu, cuda, gpu, npu, dml, webgpu or cann."""
        try:
            kind, vendor = _DEVICES[ort_device_name.lower()]
        except KeyError:
            raise ValueError(f"Unsupported device type: {ort_device_name} (known: {', '.join(_DEVICES)})") from None
        return OrtDevice(kind, 0, vendor if vendor_id < 0 else int(vendor_id), device_id)

    def device_id(self) -> int:
        return self._id

    def device_type(self) -> int:
        """0 CPU, 1 GPU, 2 FPGA, 3 NPU."""
        return self._type

    def device_vendor_id(self) -> int:
        """The PCI vendor, 0 where it does not matter."""
        return self._vendor

    def device_mem_type(self) -> int:
        return self._memory

    vendor_id, mem_type = device_vendor_id, device_mem_type

    def _get_c_device(self) -> OrtDevice:
        return self

    @staticmethod
    def cpu() -> int:
        return 0

    @staticmethod
    def gpu() -> int:
        return 1

    cuda = webgpu = gpu

    @staticmethod
    def fpga() -> int:
        return 2

    @staticmethod
    def npu() -> int:
        return 3

    cann = npu

    @staticmethod
    def dml() -> int:
        return 4

    @staticmethod
    def default_memory() -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OrtDevice) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, int, int, int]:
        return self._type, self._memory, self._vendor, self._id

    def __repr__(self) -> str:
        return f"OrtDevice(type={self._type}, memory={self._memory}, vendor={self._vendor:#x}, id={self._id})"


def _require_host(device: OrtDevice, what: str) -> None:
    if device.device_type() != 0:
        raise RuntimeError(
            f"Can't allocate memory on the device {device}: {what} lie in the CPU's memory here; a provider that runs elsewhere copies "
            "them by itself, and session.placement() tells which copies those are"
        )


# --- element types -----------------------------------------------------------------------------------------------------------------

_numbers: dict[Any, int] = {}


def _type_number(element_type: Any) -> int:
    """ONNX's number of an element type: of that number itself, or of anything that numpy makes a dtype of."""
    if isinstance(element_type, int):
        return element_type
    try:
        return _numbers[element_type]
    except (KeyError, TypeError):
        pass
    dtype = np.dtype(element_type)
    number = _STRING if dtype.kind in "UO" or hasattr(dtype, "na_object") else _get_element_type(_Value.from_object(np.empty(0, dtype)))
    try:
        _numbers[element_type] = number
    except TypeError:
        pass
    return number


def _bytes_of(value: _Value) -> np.ndarray:
    """The memory of a tensor of numbers as bytes."""
    return _core.reinterpret(value, 2, (value.byte_count,)).numpy()


# --- values ------------------------------------------------------------------------------------------------------------------------


class OrtValue(_Value):
    """A tensor or other value outside of a session: made of an array, given to runs, got from them.

    Give it to :meth:`InferenceSession.run_with_ort_values`, :meth:`InferenceSession.run` or an :class:`IOBinding`.
    """

    _read_only = False

    def __new__(cls, ortvalue: _Value, numpy_obj: Any = None, session: Any = None) -> OrtValue:
        if not isinstance(ortvalue, _Value):
            raise ValueError(f"`Provided ortvalue` needs to be an OrtValue, not {type(ortvalue).__name__}; ortvalue_from_numpy makes one")
        self = cls.from_object(ortvalue)
        if getattr(ortvalue, "_read_only", False):
            self._read_only = True
        return self

    # --- making one

    @classmethod
    def ortvalue_from_numpy(cls, numpy_obj: np.ndarray, /, device_type: str = "cpu", device_id: int = 0, vendor_id: int = -1) -> OrtValue:
        """A value in the array's memory, which it keeps alive.

        An array that is not contiguous, of the other byte order, of texts, or of ml_dtypes' types of less than a byte is copied.
        A read-only array makes a value whose arrays are read-only.

        >>> import numpy as np
        >>> OrtValue.ortvalue_from_numpy(np.zeros((0, 3), np.int8)).shape()
        [0, 3]
        """
        _require_host(OrtDevice.make(device_type, device_id, vendor_id), "values")
        if not isinstance(numpy_obj, (np.ndarray, np.generic)):
            raise RuntimeError(f"ortvalue_from_numpy takes an array of numpy, not {type(numpy_obj).__name__}")
        return cls._of_array(np.asarray(numpy_obj))

    @classmethod
    def _of_array(cls, array: np.ndarray) -> OrtValue:
        self = cls.from_object(array)
        if not array.flags.writeable and _get_element_type(self) != _STRING and _get_data_ptr(self) == array.__array_interface__["data"][0]:
            self._read_only = True
        return self

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(
        cls, data: np.ndarray, /, onnx_element_type: int, shape: Sequence[int] | None = None
    ) -> OrtValue:
        """A value of a type that numpy lacks, in the array's memory: elements are taken as they lie there.

        The item size has to be the type's. With |shape| (which onnxruntime does not have) the array is plain memory for a tensor of
        that shape: so come packed elements of 4 and 2 bits, the first in the low bits.

        >>> import numpy as np
        >>> one = OrtValue.ortvalue_from_numpy_with_onnx_type(np.array([0x3F80], np.uint16), 16)
        >>> one.data_type(), one.shape()
        ('tensor(bfloat16)', [1])
        >>> OrtValue.ortvalue_from_numpy_with_onnx_type(np.array([0x21, 0x03], np.uint8), 22, shape=[3]).data_type()
        'tensor(int4)'
        """
        if not isinstance(data, np.ndarray) or not data.flags.c_contiguous or data.dtype.hasobject or data.dtype.kind == "U":
            raise RuntimeError("ortvalue_from_numpy_with_onnx_type takes a contiguous array of numbers")
        number = int(onnx_element_type)
        size = _core.type_bytes(number, 1)
        if shape is None and size != data.itemsize:
            raise RuntimeError(
                f"Items size in the incoming array: {data.itemsize} specified by onnx type {number}: {size}; give shape= if the array is "
                "plain memory"
            )
        memory = cls._of_array(data.reshape(-1).view(np.uint8))
        self = cls.from_object(_core.reinterpret(memory, number, data.shape if shape is None else shape))
        self._read_only = memory._read_only
        return self

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
        memory_info: Any = None,
    ) -> OrtValue:
        """A value with memory of its own, contents undefined. The type is one of numpy's or ONNX's number.

        >>> import numpy as np
        >>> OrtValue.ortvalue_from_shape_and_type([2, 3], np.float16).data_type()
        'tensor(float16)'
        >>> OrtValue.ortvalue_from_shape_and_type([2, 3], 16).data_type()
        'tensor(bfloat16)'
        """
        if memory_info is None:
            _require_host(OrtDevice.make(device_type, device_id, vendor_id), "values")
        return cls.empty(shape, _type_number(element_type))

    @classmethod
    def ort_value_from_sparse_tensor(cls, sparse_tensor: SparseTensor) -> OrtValue:
        """A value of a sparse tensor; of one in CSR form its coordinates are computed."""
        return cls.from_object(sparse_tensor._to_value())

    @classmethod
    def from_dlpack(cls, data: Any, /) -> OrtValue:
        """A value in the memory of another library's tensor: an object with ``__dlpack__``, or a capsule.

        The tensor has to be contiguous and in the CPU's memory: anything else is a BufferError that says what to do.

        >>> import numpy as np
        >>> array = np.ones(3, np.float32)
        >>> OrtValue.from_dlpack(array).data_ptr() == array.ctypes.data
        True
        """
        capsule = data
        if hasattr(data, "__dlpack__"):
            try:
                capsule = data.__dlpack__(max_version=(1, 1))
            except TypeError:  # from before DLPack had versions
                capsule = data.__dlpack__()
        value, read_only = _core.dlpack_import(capsule)
        self = cls.from_object(value)
        if read_only:
            self._read_only = True
        return self

    # --- what it is

    def shape(self) -> list[int]:
        """The shape of a tensor or sparse tensor."""
        if _get_kind(self) not in (_TENSOR, _SPARSE):
            raise RuntimeError(f"{self.data_type()} has no shape: only OrtValues that are Tensors/SparseTensors do")
        return list(_get_shape(self))

    def data_type(self) -> str:
        """``'tensor(int64)'``, ``'seq(tensor(float))'``, ``'sparse_tensor(float)'``."""
        return self.type_string

    def element_type(self) -> int:
        """ONNX's number of a tensor's element type (onnx.TensorProto.FLOAT is 1)."""
        if _get_kind(self) not in (_TENSOR, _SPARSE):
            raise RuntimeError(f"{self.data_type()} has no element type: only OrtValues that are Tensors/SparseTensors do")
        return _get_element_type(self)

    def tensor_size_in_bytes(self) -> int:
        """Bytes of a tensor's data."""
        self._require_tensor()
        return self.byte_count

    def data_ptr(self) -> int:
        """The address of a tensor's first element."""
        self._require_tensor()
        return _get_data_ptr(self)

    def device_name(self) -> str:
        """``'cpu'``: values lie in the CPU's memory here."""
        return "cpu"

    def has_value(self) -> bool:
        """False for an optional that is empty."""
        kind = _get_kind(self)
        return kind != 0 and (kind != _OPTIONAL or bool(self.items()))

    def is_tensor(self) -> bool:
        return _get_kind(self) == _TENSOR

    def is_sparse_tensor(self) -> bool:
        return _get_kind(self) == _SPARSE

    def is_tensor_sequence(self) -> bool:
        return _get_kind(self) == _SEQUENCE and all(item.kind == _TENSOR for item in self.items()[:1])

    def _require_tensor(self) -> None:
        if _get_kind(self) != _TENSOR:
            raise RuntimeError(f"Only OrtValues that are Tensors are currently supported; this is {self.data_type()}")

    def _is_webgpu_buffer(self) -> bool:
        return False

    def _get_c_value(self) -> OrtValue:
        return self

    _ortvalue = property(_get_c_value)

    # --- its data

    def numpy(self) -> Any:
        """An array in the value's memory, which it keeps alive; texts are copied into objects.

        bfloat16, float8, float4, and the integers of 4 and 2 bits need the package ml_dtypes. A sequence is a list, a map is a dict.

        >>> import numpy as np
        >>> value = OrtValue.ortvalue_from_shape_and_type([2], np.int32)
        >>> value.numpy()[:] = 5
        >>> value.numpy()
        array([5, 5], dtype=int32)
        """
        if _get_kind(self) == _SPARSE:
            raise RuntimeError("Only OrtValues that are Tensors are arrays; as_sparse_tensor() gives the parts of this one")
        array = _Value.numpy(self)
        if self._read_only:
            array.flags.writeable = False
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if copy is True:
            return np.array(array, dtype=dtype)
        if copy is False and dtype is not None and array.dtype != dtype:
            raise ValueError(f"an array of {dtype} needs a copy of one of {array.dtype}")
        return array if dtype is None else np.asarray(array, dtype=dtype)

    def update_inplace(self, data: np.ndarray | OrtValue) -> None:
        """Copies |data| into the value's memory: as many elements of the same type.

        >>> import numpy as np
        >>> value = OrtValue.ortvalue_from_numpy(np.zeros(2, np.float32))
        >>> value.update_inplace(np.array([1, 2], np.float32))
        >>> value.numpy()
        array([1., 2.], dtype=float32)
        """
        self._require_tensor()
        if not isinstance(data, (_Value, np.ndarray)):
            raise TypeError("data must be a numpy.ndarray or an OrtValue.")
        if self._read_only:
            raise ValueError("the value lies in the memory of a read-only array")
        source = data if isinstance(data, _Value) else _Value.from_object(data)
        kind, number = _get_kind(source), _get_element_type(source)
        if kind != _TENSOR or number != _get_element_type(self) or number == _STRING:
            raise RuntimeError(f"{source.type_string} cannot be copied into {self.data_type()}: types of numbers have to be the same")
        if source.byte_count != self.byte_count:
            raise RuntimeError(
                f"The input size of numpy arrays does not match the size of the OrtValue: {list(_get_shape(source))} into {self.shape()}"
            )
        _bytes_of(self)[...] = _bytes_of(source)

    def as_sparse_tensor(self) -> SparseTensor:
        """The parts of a sparse tensor."""
        if _get_kind(self) != _SPARSE:
            raise RuntimeError(f"This OrtValue does not contain SparseTensor. Its data_type() is {self.data_type()}")
        values, indices = (item.numpy() for item in self.items())
        return SparseTensor._make(OrtSparseFormat.ORT_SPARSE_COO, self.shape(), values, [indices])

    # --- DLPack

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule over the value's memory, which it keeps alive.

        >>> import numpy as np
        >>> value = OrtValue.ortvalue_from_numpy(np.arange(3))
        >>> np.from_dlpack(value)
        array([0, 1, 2])
        """
        if dl_device is not None and tuple(dl_device) != (1, 0):
            raise BufferError(f"the value lies in the CPU's memory, (1, 0); it is not copied to the DLPack device {tuple(dl_device)}")
        versioned = max_version is not None and max_version[0] >= 1
        value: _Value = self
        if copy:
            value = OrtValue.empty(_get_shape(self), _get_element_type(self))
            _bytes_of(value)[...] = _bytes_of(self)
        read_only = self._read_only and not copy
        if read_only and not versioned:
            raise BufferError("the value lies in the memory of a read-only array, which DLPack can say from version 1.0 on only")
        return _core.dlpack_export(value, versioned, read_only, bool(copy))

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def to_dlpack(self) -> Any:
        """:meth:`__dlpack__` under its older name."""
        return self.__dlpack__()

    def __repr__(self) -> str:
        return f"<OrtValue {self.data_type()}{self.shape() if _get_kind(self) in (_TENSOR, _SPARSE) else ''}>"


class OrtValueVector(list):
    """A list of :class:`OrtValue`, with the methods of onnxruntime's."""

    def push_back(self, value: _Value) -> None:
        self.append(value if isinstance(value, OrtValue) else OrtValue(value))

    def push_back_batch(
        self, tensors: Iterable[Any], data_ptrs: Iterable[int], element_types: Iterable[Any], shapes: Iterable[Sequence[int]],
        devices: Iterable[OrtDevice],
    ) -> None:
        """Appends values in the memory of tensors of another library, each kept alive by its value."""
        for tensor, address, element_type, shape, device in zip(tensors, data_ptrs, element_types, shapes, devices, strict=True):
            _require_host(device._get_c_device(), "values")
            self.append(_wrap(address, _type_number(element_type), shape, tensor))

    def reserve(self, count: int) -> None:
        """Nothing: for programs that call it."""

    def shrink_to_fit(self) -> None:
        """Nothing: for programs that call it."""

    def dlpack_at(self, index: int) -> Any:
        return self[index].to_dlpack()

    def element_type_at(self, index: int) -> int:
        return self[index].element_type()

    def bool_tensor_indices(self) -> list[int]:
        return [index for index, value in enumerate(self) if value.element_type() == 9]

    def to_dlpacks(self, to_tensor: Callable[[Any], Any] | None) -> list[Any]:
        """A capsule for each value, or what |to_tensor| makes of it."""
        capsules = [value.to_dlpack() for value in self]
        return capsules if to_tensor is None else [to_tensor(capsule) for capsule in capsules]


def _wrap(address: int, number: int, shape: Sequence[int], owner: Any = None) -> OrtValue:
    """A value in memory that the caller answers for."""
    count = 1
    for dimension in shape:
        count *= int(dimension)
    if count < 0:
        raise ValueError(f"the shape {list(shape)} has a negative dimension")
    return OrtValue.wrap(address, _core.type_bytes(number, count), tuple(int(d) for d in shape), number, owner)


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: Any = None) -> None:
    """Copies the data of each value of |src| into that of |dst|."""
    if len(src) != len(dst):
        raise ValueError(f"{len(src)} sources for {len(dst)} destinations")
    for source, destination in zip(src, dst, strict=True):
        destination.update_inplace(source)


# --- sparse tensors ----------------------------------------------------------------------------------------------------------------


class _CooView:
    """Coordinates of the values: linear ones, or a row for each value."""

    def __init__(self, tensor: SparseTensor) -> None:
        self._indices = tensor._indices[0]

    def indices(self) -> np.ndarray:
        return self._indices


class _CsrView:
    """Columns of the values, and where each row begins."""

    def __init__(self, tensor: SparseTensor) -> None:
        self._inner, self._outer = tensor._indices

    def inner(self) -> np.ndarray:
        return self._inner

    def outer(self) -> np.ndarray:
        return self._outer


def _indices(name: str, array: Any, count: int | None = None) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise RuntimeError(f"{name} has to be of int64, not {array.dtype}")
    if count is not None and array.shape != (count,):
        raise RuntimeError(f"{name} has the shape {array.shape}; ({count},) is needed")
    return np.ascontiguousarray(array, np.int64)


def _within(name: str, array: np.ndarray, limit: int) -> None:
    if array.size and (array.min() < 0 or array.max() >= limit):
        raise RuntimeError(f"{name} has indices from {array.min()} to {array.max()}; they have to lie in 0..{limit - 1}")


class SparseTensor:
    """A sparse tensor in the form of coordinates (COO) or of compressed rows (CSR). Runs take and give the first.

    >>> import numpy as np
    >>> cpu = OrtDevice.make("cpu", 0)
    >>> tensor = SparseTensor.sparse_csr_from_numpy([2, 3], np.array([5, 6], np.float32), np.array([2, 0]), np.array([0, 1, 2]), cpu)
    >>> tensor.dense_shape(), tensor.data_type()
    ([2, 3], 'sparse_tensor(float)')
    >>> OrtValue.ort_value_from_sparse_tensor(tensor).as_sparse_tensor().as_coo_view().indices()
    array([2, 3])
    """

    def __init__(self, sparse_tensor: SparseTensor) -> None:
        if not isinstance(sparse_tensor, SparseTensor):
            raise ValueError("`Provided object` needs to be a SparseTensor; sparse_coo_from_numpy and sparse_csr_from_numpy make one")
        self.__dict__.update(sparse_tensor.__dict__)

    @classmethod
    def _make(cls, form: OrtSparseFormat, shape: Sequence[int], values: np.ndarray, indices: list[np.ndarray]) -> SparseTensor:
        self = cls.__new__(cls)
        self._form, self._shape, self._values, self._indices = form, [int(d) for d in shape], values, indices
        return self

    @classmethod
    def sparse_coo_from_numpy(cls, dense_shape: Any, values: np.ndarray, coo_indices: np.ndarray, ort_device: OrtDevice) -> SparseTensor:
        """|coo_indices| are linear, (values,), or a row of coordinates for each value, (values, rank) or those rows one after another."""
        shape, values = cls._check(dense_shape, values, ort_device)
        indices = _indices("coo_indices", coo_indices)
        count, rank = len(values), len(shape)
        if indices.ndim == 1 and indices.size == count * rank and rank > 1 and count:
            indices = indices.reshape(count, rank)
        if indices.shape == (count,):
            _within("coo_indices", indices, int(np.prod(shape, dtype=object)))
        elif indices.shape == (count, rank):
            for axis, limit in enumerate(shape):
                _within(f"coo_indices[:, {axis}]", indices[:, axis], limit)
        else:
            raise RuntimeError(f"coo_indices has the shape {indices.shape}; ({count},) or ({count}, {rank}) is needed")
        return cls._make(OrtSparseFormat.ORT_SPARSE_COO, shape, values, [indices])

    @classmethod
    def sparse_csr_from_numpy(
        cls, dense_shape: Any, values: np.ndarray, inner_indices: np.ndarray, outer_indices: np.ndarray, ort_device: OrtDevice
    ) -> SparseTensor:
        """|inner_indices| are the columns of the values; |outer_indices| where each row begins among them, and the end."""
        shape, values = cls._check(dense_shape, values, ort_device)
        if len(shape) != 2:
            raise RuntimeError(f"compressed rows need two dimensions, not {len(shape)}")
        inner = _indices("inner_indices", inner_indices, len(values))
        outer = _indices("outer_indices", outer_indices, shape[0] + 1)
        _within("inner_indices", inner, shape[1])
        if outer[0] != 0 or outer[-1] != len(values) or (np.diff(outer) < 0).any():
            raise RuntimeError(f"outer_indices have to rise from 0 to the number of values, {len(values)}")
        return cls._make(OrtSparseFormat.ORT_SPARSE_CSRC, shape, values, [inner, outer])

    @classmethod
    def blocksparse_from_numpy(cls, *arguments: Any) -> SparseTensor:
        """RuntimeError: Kapell's values have no such form, and no operator takes one."""
        raise RuntimeError("block-sparse tensors are not supported: no operator of ONNX takes one; use coordinates (sparse_coo_from_numpy)")

    @staticmethod
    def _check(dense_shape: Any, values: np.ndarray, ort_device: OrtDevice) -> tuple[list[int], np.ndarray]:
        _require_host(ort_device._get_c_device(), "sparse tensors")
        shape = [int(d) for d in dense_shape]
        if any(d < 0 for d in shape):
            raise RuntimeError(f"the dense shape {shape} has a negative dimension")
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise RuntimeError("values have to be an array of one dimension")
        return shape, values.astype(object) if values.dtype.kind == "U" else np.ascontiguousarray(values)

    def _to_value(self) -> _Value:
        indices = self._indices[0]
        if self._form == OrtSparseFormat.ORT_SPARSE_CSRC:
            inner, outer = self._indices
            indices = np.repeat(np.arange(self._shape[0]), np.diff(outer)) * self._shape[1] + inner
        return _core.sparse(_Value.from_object(self._values), _Value.from_object(indices), self._shape)

    def values(self) -> np.ndarray:
        """The values that are not zero."""
        return self._values

    def as_coo_view(self) -> _CooView:
        """Has ``indices()``; RuntimeError for other forms."""
        self._require(OrtSparseFormat.ORT_SPARSE_COO)
        return _CooView(self)

    def as_csrc_view(self) -> _CsrView:
        """Has ``inner()`` and ``outer()``; RuntimeError for other forms."""
        self._require(OrtSparseFormat.ORT_SPARSE_CSRC)
        return _CsrView(self)

    def as_blocksparse_view(self) -> Any:
        """RuntimeError: there are none."""
        self._require(OrtSparseFormat.ORT_SPARSE_BLOCK_SPARSE)

    get_coo_data, get_csrc_data, get_blocksparse_data = as_coo_view, as_csrc_view, as_blocksparse_view

    def _require(self, form: OrtSparseFormat) -> None:
        if self._form != form:
            raise RuntimeError(f"This sparse tensor does not contain the format {form.name}; its format is {self._form.name}")

    def to_cuda(self, ort_device: OrtDevice) -> SparseTensor:
        """RuntimeError: values lie in the CPU's memory here."""
        _require_host(ort_device._get_c_device(), "sparse tensors")
        raise RuntimeError("to_cuda needs a device of CUDA, not the CPU")

    def format(self) -> OrtSparseFormat:
        return self._form

    def dense_shape(self) -> list[int]:
        return list(self._shape)

    def data_type(self) -> str:
        return self._to_value().type_string

    def device_name(self) -> str:
        return "cpu"

    def _get_c_tensor(self) -> SparseTensor:
        return self


# --- binding -----------------------------------------------------------------------------------------------------------------------


class IOBinding:
    """Inputs and outputs of a session that stay from run to run: their memory is read and written where it lies.

    >>> import numpy as np
    >>> session = kapell.InferenceSession(digits)
    >>> binding = session.io_binding()
    >>> image, scores = np.zeros((1, 1, 8, 8), np.float32), np.empty((1, 10), np.float32)
    >>> binding.bind_cpu_input("image", image)
    >>> binding.bind_ortvalue_output("probabilities", kapell.OrtValue.ortvalue_from_numpy(scores))
    >>> session.run_with_iobinding(binding)
    >>> float(scores.sum().round(3))
    1.0
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._input_names = {argument.name for argument in (*session.get_inputs(), *session.get_overridable_initializers())}
        self._output_names = {argument.name for argument in session.get_outputs()}
        self._inputs: dict[str, _Value] = {}
        self._outputs: dict[str, _Value | None] = {}
        self._results: list[_Value] = []
        self._call: tuple[list[Any], ...] | None = None  # arguments of run_bound, until something is bound anew

    def _require_input(self, name: str) -> None:
        self._call = None
        if name not in self._input_names:
            raise RuntimeError(f"Failed to find NodeArg with name: {name} in the def list; the model's inputs are {sorted(self._input_names)}")

    def _require_output(self, name: str) -> None:
        self._call = None
        if name not in self._output_names:
            raise RuntimeError(f"Invalid output name: {name}; the model's outputs are {sorted(self._output_names)}")

    def bind_cpu_input(self, name: str, arr_on_cpu: np.ndarray) -> None:
        """Binds an array. What is written into it later, runs see; of an array that is not contiguous a copy is bound now."""
        self._require_input(name)
        if not isinstance(arr_on_cpu, np.ndarray):
            raise RuntimeError(f"Unable to create OrtValue from the given python object: input '{name}' is a {type(arr_on_cpu).__name__}, no array")
        self._inputs[name] = _Value.from_object(arr_on_cpu)

    def bind_input(self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int], buffer_ptr: int) -> None:
        """Binds memory at an address, which has to stay valid while it is bound."""
        self._require_input(name)
        _require_host(OrtDevice.make(device_type, device_id), "inputs")
        self._inputs[name] = _wrap(buffer_ptr, _type_number(element_type), shape)

    def bind_ortvalue_input(self, name: str, ortvalue: _Value) -> None:
        """Binds a value."""
        self._require_input(name)
        if not isinstance(ortvalue, _Value):
            raise TypeError(f"input '{name}': an OrtValue is needed, not {type(ortvalue).__name__}")
        self._inputs[name] = ortvalue

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Binds memory at an address; or none, and each run makes a value, in the CPU's memory; a KapellWarning if another's is asked for."""
        self._require_output(name)
        device = OrtDevice.make(device_type, device_id)
        if buffer_ptr is None:
            if device.device_type() != 0:
                warnings.warn(f"output '{name}' is made in the CPU's memory: no provider of this build has memory of {device_type}",
                              _core.KapellWarning, stacklevel=2)
            self._outputs[name] = None
            return
        if element_type is None or shape is None:
            raise ValueError("`element_type` and `shape` are to be provided if pre-allocated memory is provided")
        _require_host(device, "outputs")
        self._outputs[name] = _wrap(buffer_ptr, _type_number(element_type), shape)

    def bind_ortvalue_output(self, name: str, ortvalue: _Value) -> None:
        """Binds a value that runs write into: a tensor of the output's type and shape."""
        self._require_output(name)
        if not isinstance(ortvalue, _Value):
            raise TypeError(f"output '{name}': an OrtValue is needed, not {type(ortvalue).__name__}")
        if getattr(ortvalue, "_read_only", False):
            raise ValueError(f"output '{name}': the value lies in the memory of a read-only array")
        self._outputs[name] = ortvalue

    def synchronize_inputs(self) -> None:
        """Nothing: values in the CPU's memory are ready."""

    def synchronize_outputs(self) -> None:
        """Nothing: a run returns when its outputs are there."""

    def get_outputs(self) -> OrtValueVector:
        """Outputs of the last run, in the order in which they were bound."""
        return OrtValueVector(value if isinstance(value, OrtValue) else OrtValue(value) for value in self._results)

    get_outputs_as_ortvaluevector = get_outputs

    def copy_outputs_to_cpu(self) -> list[Any]:
        """Arrays of the outputs of the last run. Copies, where the next run would write into the same memory."""
        bound = [value is not None for value in self._outputs.values()]
        if len(bound) != len(self._results):
            bound = [True] * len(self._results)
        arrays = [OrtValue(value).numpy() for value in self._results]
        return [array.copy() if is_bound and isinstance(array, np.ndarray) else array for array, is_bound in zip(arrays, bound, strict=True)]

    def clear_binding_inputs(self) -> None:
        self._call = None
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        self._call = None
        self._outputs.clear()
        self._results = []


SessionIOBinding = IOBinding


# --- runs: what the methods of InferenceSession do ------------------------------------------------------------------------------------


def run_with_iobinding(session: Any, iobinding: IOBinding, run_options: Any = None) -> None:
    """Runs with what is bound; its outputs are the binding's."""
    if iobinding._session is not session:
        raise ValueError("IOBinding must be used with the session that created it.")
    call = iobinding._call
    if call is None:
        inputs, outputs = iobinding._inputs, iobinding._outputs
        if not outputs:
            raise RuntimeError("Error in execution: At least one output should be requested: bind_output binds one")
        call = iobinding._call = (list(inputs), list(inputs.values()), list(outputs), list(outputs.values()))
    iobinding._results = session.run_bound(*call, run_options)


def run_with_ort_values(session: Any, output_names: Sequence[str] | None, feeds: dict[str, OrtValue], run_options: Any = None) -> list[OrtValue]:
    """Values in and out: nothing is copied, and nothing becomes an array."""
    for name, value in feeds.items():
        if not isinstance(value, _Value):
            raise TypeError(f"input '{name}': an OrtValue is needed, not {type(value).__name__} (run takes arrays)")
    return [OrtValue.from_object(value) for value in session.run_values(output_names or None, feeds, run_options)]


def run_with_ortvaluevector(
    session: Any, run_options: Any, feed_names: Sequence[str], feeds: Sequence[OrtValue], fetch_names: Sequence[str], fetches: list[OrtValue],
    fetch_devices: Sequence[OrtDevice],
) -> None:
    """The same with lists; |fetches| receives the values."""
    for device in fetch_devices:
        _require_host(device._get_c_device(), "outputs")
    results = session.run_bound(list(feed_names), list(feeds), list(fetch_names), [None] * len(fetch_names), run_options)
    fetches[:] = [OrtValue(value) for value in results]
