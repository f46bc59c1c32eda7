"""Models and adapters as files: LoRA adapters in onnxruntime's format, and its compiler, which on the CPU leaves models as they are."""

from __future__ import annotations

import ctypes
import math
import os
import struct
from collections.abc import Callable
from typing import Any

from . import _core
from .enums import GraphOptimizationLevel, OrtCompileApiFlags
from .options import SessionOptions
from .values import OrtValue

# --- adapters ---------------------------------------------------------------------------------------------------------------------------
# A FlatBuffer with the identifier "TORT": Adapter {0: format version, 1: adapter version, 2: model version, 3: [Parameter]},
# Parameter {0: name, 1: [int64] dims, 2: int32 element type, 3: [uint8] data}.
_IDENTIFIER, _FORMAT = b"TORT", 1


class _Reader:
    """A FlatBuffer of which nothing is believed: what lies outside of the bytes is an InvalidProtobuf."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def get(self, form: str, at: int) -> int:
        try:
            if at < 0:
                raise struct.error
            return struct.unpack_from(form, self.data, at)[0]
        except struct.error:
            raise _core.InvalidProtobuf(f"the adapter is cut off or broken at byte {at} of {len(self.data)}") from None

    def field(self, table: int, index: int) -> int | None:
        """Where field |index| of the table lies; None where it is absent."""
        start = table - self.get("<i", table)
        size = self.get("<H", start)
        offset = self.get("<H", start + 4 + 2 * index) if 6 + 2 * index <= size else 0
        return table + offset if offset else None

    def number(self, table: int, index: int) -> int:
        at = self.field(table, index)
        return self.get("<i", at) if at is not None else 0

    def vector(self, table: int, index: int, width: int) -> tuple[int, int]:
        """(first element, number of elements), all within the bytes."""
        at = self.field(table, index)
        if at is None:
            return 0, 0
        start = at + self.get("<I", at)
        count = self.get("<I", start)
        if count > (len(self.data) - start - 4) // width:
            raise _core.InvalidProtobuf(f"the adapter has a list of {count} elements at byte {start}, which is more than there is")
        return start + 4, count

    def text(self, table: int, index: int) -> str:
        first, count = self.vector(table, index, 1)
        return self.data[first:first + count].decode("utf-8", "replace")


def _read(data: bytes) -> tuple[int, int, int, dict[str, OrtValue]]:
    reader = _Reader(data)
    if len(data) < 8 or data[4:8] != _IDENTIFIER:
        raise _core.InvalidProtobuf("this is no adapter: the identifier TORT is missing")
    root = reader.get("<I", 0)
    version = reader.number(root, 0)
    if version != _FORMAT:
        raise _core.Fail(f"the adapter has format {version}; this build reads {_FORMAT}")
    first, count = reader.vector(root, 3, 4)
    parameters = {}
    for i in range(count):
        at = first + 4 * i
        table = at + reader.get("<I", at)
        dims_at, rank = reader.vector(table, 1, 8)
        dims = [reader.get("<q", dims_at + 8 * d) for d in range(rank)]
        data_at, size = reader.vector(table, 3, 1)
        kind = reader.number(table, 2)
        if min(dims, default=0) < 0 or not 0 < kind < 29 or kind == 8 or math.prod(dims) > 8 * size or _core.type_bytes(kind, math.prod(dims)) != size:
            raise _core.InvalidProtobuf(f"parameter '{reader.text(table, 0)}' has {size} bytes, the type {kind} and the shape {dims}")
        value = OrtValue(_core.Value.empty(dims, kind))
        if size:
            ctypes.memmove(value.data_ptr(), data[data_at:data_at + size], size)
        parameters[reader.text(table, 0)] = value
    return version, reader.number(root, 1), reader.number(root, 2), parameters


class _Writer:
    """A FlatBuffer from front to back: each object's place is known before those that point to it forward are filled in."""

    def __init__(self) -> None:
        self.bytes = bytearray(8)

    def align(self, width: int) -> None:
        self.bytes += bytes(-len(self.bytes) % width)

    def point(self, at: int) -> None:
        """The offset at |at| leads to what comes next."""
        struct.pack_into("<I", self.bytes, at, len(self.bytes) - at)

    def table(self, fields: list[int | None]) -> list[int]:
        """A table: numbers as they are, room for an offset for None. Gives the places of its fields."""
        self.align(4)
        vtable = len(self.bytes)
        self.bytes += struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), 4 + 4 * len(fields), *(4 + 4 * i for i in range(len(fields))))
        self.align(4)
        table = len(self.bytes)
        self.bytes += struct.pack("<i", table - vtable) + b"".join(struct.pack("<i", field or 0) for field in fields)
        return [table + 4 + 4 * i for i in range(len(fields))]

    def vector(self, at: int, count: int, data: bytes, width: int) -> int:
        """A list that the offset at |at| leads to; gives its first element's place."""
        self.bytes += bytes((-len(self.bytes) - 4) % max(width, 4))
        self.point(at)
        self.bytes += struct.pack("<I", count) + data
        return len(self.bytes) - len(data)


def _table_of(writer: _Writer, at: int, fields: list[int | None]) -> list[int]:
    places = writer.table(fields)
    struct.pack_into("<I", writer.bytes, at, places[0] - 4 - at)
    return places


def _write(adapter_version: int, model_version: int, parameters: dict[str, OrtValue]) -> bytes:
    writer = _Writer()
    writer.bytes[4:8] = _IDENTIFIER
    places = _table_of(writer, 0, [_FORMAT, adapter_version, model_version, None])
    first = writer.vector(places[3], len(parameters), bytes(4 * len(parameters)), 4)
    for i, name in enumerate(sorted(parameters)):
        value, text = parameters[name], name.encode()
        name_at, dims_at, _, data_at = _table_of(writer, first + 4 * i, [None, None, value.element_type(), None])
        writer.vector(name_at, len(text), text + b"\0", 1)
        struct.pack_into("<I", writer.bytes, name_at + struct.unpack_from("<I", writer.bytes, name_at)[0], len(text))
        shape = value.shape()
        writer.vector(dims_at, len(shape), struct.pack(f"<{len(shape)}q", *shape), 8)
        size = value.tensor_size_in_bytes()
        writer.vector(data_at, size, ctypes.string_at(value.data_ptr(), size) if size else b"", 8)
    return bytes(writer.bytes)


class AdapterFormat:
    """Reads and writes files of LoRA adapters: named tensors that a run gets as further inputs.

    >>> adapter = AdapterFormat()
    >>> adapter.set_parameters({"scale": kapell.OrtValue.ortvalue_from_numpy(numpy.ones(2, "float32"))})
    >>> adapter.export_adapter("a.onnx_adapter")
    >>> AdapterFormat.read_adapter("a.onnx_adapter").get_parameters()["scale"].numpy()
    array([1., 1.], dtype=float32)
    """

    def __init__(self, adapter: AdapterFormat | None = None) -> None:
        self._format, self._version, self._model_version = _FORMAT, 0, 0
        self._parameters: dict[str, OrtValue] = {}
        if adapter is not None:
            self.__dict__.update(adapter.__dict__)

    @staticmethod
    def read_adapter(file_path: str | os.PathLike[str]) -> AdapterFormat:
        """The adapter in the file."""
        made = AdapterFormat()
        with open(file_path, "rb") as file:
            made._format, made._version, made._model_version, made._parameters = _read(file.read())
        return made

    def export_adapter(self, file_path: str | os.PathLike[str]) -> None:
        """Writes it into a file."""
        with open(file_path, "wb") as file:
            file.write(_write(self._version, self._model_version, self._parameters))

    def get_format_version(self) -> int:
        """Version of the format."""
        return self._format

    def set_adapter_version(self, adapter_version: int) -> None:
        """A number of the program's own."""
        self._version = int(adapter_version)

    def get_adapter_version(self) -> int:
        """The same."""
        return self._version

    def set_model_version(self, model_version: int) -> None:
        """Version of the model that it is for."""
        self._model_version = int(model_version)

    def get_model_version(self) -> int:
        """The same."""
        return self._model_version

    def set_parameters(self, params: dict[str, OrtValue]) -> None:
        """Its tensors by the names of the model's inputs."""
        self._parameters = dict(params)

    def get_parameters(self) -> dict[str, OrtValue]:
        """The same."""
        return dict(self._parameters)


class LoraAdapter:
    """An adapter for runs: RunOptions.add_active_adapter gives its tensors as inputs that the feed leaves out."""

    def __init__(self) -> None:
        self._parameters: dict[str, OrtValue] = {}

    def Load(self, file_path: str | os.PathLike[str]) -> None:  # noqa: N802
        """Reads the file."""
        self._parameters = AdapterFormat.read_adapter(file_path).get_parameters()


# --- compiling ----------------------------------------------------------------------------------------------------------------------------
class OrtExternalInitializerInfo:
    """Where an initializer lies beside a model."""

    def __init__(self, filepath: str | os.PathLike[str], file_offset: int, byte_size: int) -> None:
        self.filepath, self.file_offset, self.byte_size = os.fspath(filepath), int(file_offset), int(byte_size)


class ModelCompiler:
    """Compiles a model for the providers of |sess_options|. No provider of this build has a compiled form that a model could carry: the
    model is opened, as proof that it can be, and comes out as it went in."""

    def __init__(self, sess_options: SessionOptions, input_model_path_or_bytes: str | os.PathLike[str] | bytes,
                 embed_compiled_data_into_model: bool = False, external_initializers_file_path: str | os.PathLike[str] | None = None,
                 external_initializers_size_threshold: int = 1024, flags: int = OrtCompileApiFlags.NONE,
                 graph_optimization_level: int = GraphOptimizationLevel.ORT_DISABLE_ALL,
                 get_initializer_location_func: Callable[..., Any] | None = None) -> None:
        if isinstance(input_model_path_or_bytes, (str, os.PathLike)):
            with open(_need_path(input_model_path_or_bytes), "rb") as file:
                self._bytes = file.read()
        elif isinstance(input_model_path_or_bytes, bytes):
            self._bytes = input_model_path_or_bytes
            if not self._bytes:
                raise ValueError("Input model bytes array is empty")
        else:
            raise TypeError(f"Unable to load from type '{type(input_model_path_or_bytes)}'")
        if external_initializers_file_path or get_initializer_location_func:
            raise _core.NotImplemented("initializers stay where they are: the model comes out as it went in")
        self._model, self._options, self._flags = input_model_path_or_bytes, sess_options, int(flags)

    def _check(self) -> None:
        from .session import InferenceSession
        InferenceSession(self._model, self._options)
        if self._flags & OrtCompileApiFlags.ERROR_IF_NO_NODES_COMPILED:
            raise _core.Fail("no provider of this build compiles nodes")

    def compile_to_file(self, output_model_path: str | None = None) -> None:
        """Writes the model; without a path beside it, as NAME_ctx.onnx."""
        if not output_model_path:
            if isinstance(self._model, bytes):
                raise ValueError("a model of bytes needs an output path")
            output_model_path = os.path.splitext(os.fspath(self._model))[0] + "_ctx.onnx"
        if self._flags & OrtCompileApiFlags.ERROR_IF_OUTPUT_FILE_EXISTS and os.path.exists(output_model_path):
            raise _core.Fail(f"{output_model_path} exists already")
        self._check()
        with open(output_model_path, "wb") as file:
            file.write(self._bytes)

    def compile_to_bytes(self) -> bytes:
        """The model's bytes."""
        self._check()
        return self._bytes

    def compile_to_stream(self, write_function: Callable[[bytes], None]) -> None:
        """Gives them to |write_function|."""
        self._check()
        write_function(self._bytes)


def _need_path(path: str | os.PathLike[str]) -> str:
    if not os.fspath(path):
        raise ValueError("Input model path is empty")
    return os.fspath(path)
