"""ONNX Runtime's C API through ctypes: the tables by the lists of slots in src/ort/, and a session that takes and gives numpy arrays.

A process should load one library only: custom-operator libraries keep the first API that they were given.
"""

import ctypes
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import gen_onnxruntime_abi as abi  # noqa: E402

NUMBERS = {"float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11, "uint32": 12,
           "uint64": 13}
TYPES = {number: name for name, number in NUMBERS.items()}
STRING = 8


class OrtError(RuntimeError):
    """A status: |code| and the message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Api:
    """One library: api.Name(...) calls slot Name of OrtApi; statuses become OrtError. `editor` is the same for OrtModelEditorApi."""

    def __init__(self, path, version=24):
        library = ctypes.CDLL(str(path))
        library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.c_void_p)
        base = library.OrtGetApiBase()
        table = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(base[0])(version)
        self._slots = {row[2]: row for row in abi.slots("api")}
        self._table = ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))
        self.keep = []

    def __getattr__(self, name):
        kind, index = self._slots[name][0], self._slots[name][1]
        call = ctypes.CFUNCTYPE(None if kind == "NOTHING" else ctypes.c_void_p)(self._table[index])
        call.argtypes = None

        def run(*arguments):
            result = call(*arguments)
            if kind == "STATUS" and name != "CreateStatus" and result:
                message = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(self._table[2])(result).decode()
                code = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(self._table[1])(result)
                self.ReleaseStatus(ctypes.c_void_p(result))
                raise OrtError(code, message)
            return result

        return run

    def make(self, name, *arguments):
        """Calls a function whose last argument is where it puts a handle; gives the handle."""
        out = ctypes.c_void_p()
        getattr(self, name)(*arguments, ctypes.byref(out))
        return out

    def number(self, name, *arguments, kind=ctypes.c_size_t):
        """The same for a number."""
        out = kind()
        getattr(self, name)(*arguments, ctypes.byref(out))
        return out.value


class Session:
    """A model (bytes) with the custom operators of |libraries|."""

    def __init__(self, api, model, libraries=()):
        self.api = api
        self.env = api.make("CreateEnv", 3, b"test")
        self.options = api.make("CreateSessionOptions")
        for library in libraries:
            api.RegisterCustomOpsLibrary_V2(self.options, str(library).encode())
        self.session = api.make("CreateSessionFromArray", self.env, model, ctypes.c_size_t(len(model)), self.options)
        self.allocator = api.make("GetAllocatorWithDefaultOptions")

    def close(self):
        self.api.ReleaseSession(self.session)
        self.api.ReleaseSessionOptions(self.options)
        self.api.ReleaseEnv(self.env)

    def value(self, array):
        array = np.asarray(array)
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        is_text = array.dtype.kind in "OU"
        value = self.api.make("CreateTensorAsOrtValue", self.allocator, dims, ctypes.c_size_t(array.ndim), STRING if is_text else NUMBERS[array.dtype.name])
        if is_text:
            texts = (ctypes.c_char_p * array.size)(*[text.encode() for text in array.flat])
            self.api.FillStringTensor(value, texts, ctypes.c_size_t(array.size))
        else:
            data = self.api.make("GetTensorMutableData", value)
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, array.nbytes)
        return value

    def array(self, value):
        info = self.api.make("GetTensorTypeAndShape", value)
        kind = self.api.number("GetTensorElementType", info, kind=ctypes.c_int)
        rank = self.api.number("GetDimensionsCount", info)
        dims = (ctypes.c_int64 * rank)()
        self.api.GetDimensions(info, dims, ctypes.c_size_t(rank))
        self.api.ReleaseTensorTypeAndShapeInfo(info)
        shape, count = tuple(dims), int(np.prod(tuple(dims)))
        if kind == STRING:
            texts = []
            for i in range(count):
                length = self.api.number("GetStringTensorElementLength", value, ctypes.c_size_t(i))
                text = ctypes.create_string_buffer(length + 1)
                self.api.GetStringTensorElement(value, ctypes.c_size_t(length), ctypes.c_size_t(i), text)
                texts.append(text.raw[:length].decode())
            return np.array(texts, dtype=object).reshape(shape)
        made = np.empty(shape, TYPES[kind])
        if count:
            ctypes.memmove(made.ctypes.data, self.api.make("GetTensorMutableData", value), made.nbytes)
        return made

    def run(self, inputs, outputs):
        """{name: array} and names -> arrays."""
        values = [self.value(array) for array in inputs.values()]
        ins = (ctypes.c_char_p * len(inputs))(*[name.encode() for name in inputs])
        outs = (ctypes.c_char_p * len(outputs))(*[name.encode() for name in outputs])
        made = (ctypes.c_void_p * len(outputs))()
        try:
            self.api.Run(self.session, None, ins, (ctypes.c_void_p * len(values))(*[v.value for v in values]), ctypes.c_size_t(len(values)), outs,
                         ctypes.c_size_t(len(outputs)), made)
            return [self.array(ctypes.c_void_p(value)) for value in made]
        finally:
            for value in [*values, *[ctypes.c_void_p(value) for value in made]]:
                self.api.ReleaseValue(value)
