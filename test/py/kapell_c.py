"""kapell.h through ctypes, for tests and benches: sessions over numpy arrays. No part of the product.

The library is the one in KAPELL_LIBRARY, else that of the preset under test (KAPELL_PRESET, release if unset).
"""

import ctypes as C
import os
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]

try:
    import ml_dtypes
except ImportError:  # only needed for the small floats
    ml_dtypes = None

_NUMPY = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
    10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64, 14: np.complex64, 15: np.complex128,
}
if ml_dtypes:
    _NUMPY.update({
        16: ml_dtypes.bfloat16, 17: ml_dtypes.float8_e4m3fn, 18: ml_dtypes.float8_e4m3fnuz, 19: ml_dtypes.float8_e5m2,
        20: ml_dtypes.float8_e5m2fnuz, 21: ml_dtypes.uint4, 22: ml_dtypes.int4, 23: ml_dtypes.float4_e2m1fn,
        24: ml_dtypes.float8_e8m0fnu, 25: ml_dtypes.uint2, 26: ml_dtypes.int2, 27: ml_dtypes.float6_e2m3fn,
        28: ml_dtypes.float6_e3m2fn,
    })
_STRING = 8
_TYPE_OF = {np.dtype(t): n for n, t in _NUMPY.items()}
_PACKED = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2}  # element type -> bits; numpy holds one element a byte

KIND_NONE, KIND_TENSOR, KIND_SPARSE, KIND_SEQUENCE, KIND_MAP, KIND_OPTIONAL = range(6)


class _Option(C.Structure):
    _fields_ = [("key", C.c_char_p), ("value", C.c_char_p)]


_PROGRESS = C.CFUNCTYPE(C.c_bool, C.c_void_p, C.c_double, C.c_char_p)


class _Options(C.Structure):
    _fields_ = [
        ("struct_size", C.c_size_t), ("providers", C.c_char_p), ("provider_options", C.POINTER(_Option)),
        ("provider_option_count", C.c_size_t), ("threads", C.c_int), ("cpu_mask", C.c_char_p),
        ("borrow_bytes", C.c_bool), ("external_folder", C.c_char_p), ("link_folders", C.POINTER(C.c_char_p)),
        ("link_folder_count", C.c_size_t), ("fold_bytes", C.c_uint64), ("fold_ns", C.c_uint64),
        ("no_optimize", C.c_bool), ("on_failure", C.c_int), ("signature_cache", C.c_uint32),
        ("run_timeout_ns", C.c_uint64), ("profile_path", C.c_char_p), ("progress", _PROGRESS),
        ("progress_user", C.c_void_p), ("untrusted", C.c_bool), ("max_memory", C.c_uint64), ("max_nodes", C.c_uint64),
        ("max_iterations", C.c_uint64), ("open_timeout_ns", C.c_uint64), ("allow_libraries", C.c_bool),
    ]


class _RunOptions(C.Structure):
    _fields_ = [("struct_size", C.c_size_t), ("cancel", C.c_void_p), ("timeout_ns", C.c_uint64), ("threads", C.c_int),
                ("counters", C.c_void_p)]


class _ProviderCounters(C.Structure):
    _fields_ = [("provider", C.c_char_p), ("runs", C.c_uint64), ("nodes", C.c_uint64), ("time_ns", C.c_uint64),
                ("failures", C.c_uint64), ("bytes", C.c_uint64)]


class _Counters(C.Structure):
    _fields_ = [
        ("struct_size", C.c_size_t), ("runs", C.c_uint64), ("failed_runs", C.c_uint64),
        ("cancelled_runs", C.c_uint64), ("failovers", C.c_uint64), ("time_ns", C.c_uint64), ("copies", C.c_uint64),
        ("copied_bytes", C.c_uint64), ("signature_hits", C.c_uint64), ("signature_misses", C.c_uint64),
        ("peak_bytes", C.c_uint64), ("providers", C.POINTER(_ProviderCounters)), ("provider_count", C.c_size_t),
    ]


class _TypeInfo(C.Structure):
    pass


_TypeInfo._fields_ = [("kind", C.c_int), ("element", C.c_int), ("rank", C.c_int32), ("dims", C.POINTER(C.c_int64)),
                      ("symbols", C.POINTER(C.c_char_p)), ("inner", C.POINTER(_TypeInfo))]


class _IoInfo(C.Structure):
    _fields_ = [("name", C.c_char_p), ("type", C.POINTER(_TypeInfo)), ("optional", C.c_bool)]


def _load():
    built = ROOT / "build" / os.environ.get("KAPELL_PRESET", "release") / "lib" / "libkapell.so"
    path = os.environ.get("KAPELL_LIBRARY", str(built))
    lib = C.CDLL(path)
    lib.kapell_status_text.restype = C.c_char_p
    for name in ("kapell_session_input", "kapell_session_output"):
        getattr(lib, name).restype = C.POINTER(_IoInfo)
        getattr(lib, name).argtypes = [C.c_void_p, C.c_size_t]
    for name in ("kapell_session_input_count", "kapell_session_output_count", "kapell_session_overridable_count",
                 "kapell_tensor_byte_count", "kapell_tensor_count", "kapell_value_item_count"):
        getattr(lib, name).restype = C.c_size_t
        getattr(lib, name).argtypes = [C.c_void_p]
    for name in ("kapell_session_open", "kapell_session_open_file", "kapell_session_run", "kapell_tensor_wrap",
                 "kapell_tensor_create", "kapell_tensor_set_string", "kapell_sequence_create",
                 "kapell_optional_create", "kapell_map_create", "kapell_session_placement_json",
                 "kapell_session_placement_text", "kapell_session_profile_json", "kapell_cancel_create",
                 "kapell_value_retain"):
        getattr(lib, name).restype = C.c_void_p
    lib.kapell_tensor_dims.restype = C.POINTER(C.c_int64)
    lib.kapell_tensor_data.restype = C.c_void_p
    lib.kapell_tensor_string.restype = C.POINTER(C.c_char)
    lib.kapell_value_item.restype = C.c_void_p
    lib.kapell_value_item.argtypes = [C.c_void_p, C.c_size_t]
    lib.kapell_status_code.argtypes = [C.c_void_p]
    lib.kapell_status_text.argtypes = [C.c_void_p]
    lib.kapell_status_free.argtypes = [C.c_void_p]
    lib.kapell_value_release.argtypes = [C.c_void_p]
    lib.kapell_session_close.argtypes = [C.c_void_p]
    lib.kapell_free_text.argtypes = [C.c_void_p]
    for name in ("kapell_value_kind", "kapell_value_type", "kapell_tensor_rank"):
        getattr(lib, name).argtypes = [C.c_void_p]
    lib.kapell_tensor_rank.restype = C.c_int32
    lib.kapell_tensor_dims.argtypes = [C.c_void_p]
    lib.kapell_tensor_data.argtypes = [C.c_void_p]
    lib.kapell_tensor_string.argtypes = [C.c_void_p, C.c_size_t, C.POINTER(C.c_size_t)]
    lib.kapell_tensor_set_string.argtypes = [C.c_void_p, C.c_size_t, C.c_char_p, C.c_size_t]
    lib.kapell_session_counters.argtypes = [C.c_void_p, C.POINTER(_Counters)]
    for name in ("kapell_cancel_request", "kapell_cancel_reset", "kapell_cancel_release"):
        getattr(lib, name).argtypes = [C.c_void_p]
    return lib


class _Library:
    """The library, loaded at the first use of one of its functions: a Python without a sanitizer's runtime imports this module too."""

    def __getattr__(self, name):
        self.__dict__.update(loaded=self.__dict__.get("loaded") or _load())
        function = getattr(self.loaded, name)
        setattr(self, name, function)
        return function


_lib = _Library()


def cpu_features():
    _lib.kapell_cpu_features.restype = C.c_char_p
    return _lib.kapell_cpu_features().decode()


class KapellError(Exception):
    """A kapell_status; str() is its whole text, .code its number."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def _check(status):
    if not status:
        return
    code = _lib.kapell_status_code(status)
    text = _lib.kapell_status_text(status).decode("utf-8", "replace")
    _lib.kapell_status_free(status)
    raise KapellError(code, text)


def _pack(array, bits):
    """One element a byte -> elements packed from the low bits up."""
    flat = array.reshape(-1).view(np.uint8) & ((1 << bits) - 1)
    per = 8 // bits
    flat = np.concatenate([flat, np.zeros(-len(flat) % per, np.uint8)]).reshape(-1, per)
    return np.bitwise_or.reduce(flat << (np.arange(per, dtype=np.uint8) * bits), axis=1).astype(np.uint8)


def _unpack(raw, bits, count, dtype):
    per = 8 // bits
    flat = (raw[:, None] >> (np.arange(per, dtype=np.uint8) * bits)) & ((1 << bits) - 1)
    flat = flat.reshape(-1)[:count].astype(np.uint8)
    if dtype in (ml_dtypes.int4, ml_dtypes.int2):
        sign = 1 << (bits - 1)
        return ((flat.astype(np.int8) ^ sign) - sign).astype(np.int8).astype(dtype)
    return flat.view(dtype) if dtype == ml_dtypes.float4_e2m1fn else flat.astype(dtype)


class Value:
    """A kapell_value and what keeps its memory alive."""

    def __init__(self, handle, keep=None):
        self.handle, self.keep = handle, keep

    def __del__(self):
        if getattr(self, "handle", None):
            _lib.kapell_value_release(self.handle)

    @staticmethod
    def of(data):
        """From a numpy array (wrapped without a copy where possible), a list (sequence), a dict (map) or None (optional)."""
        out = C.c_void_p()
        if isinstance(data, Value):
            return data
        if data is None:
            _check(_lib.kapell_optional_create(None, C.byref(out)))
            return Value(out.value)
        if isinstance(data, list):
            items = [Value.of(d) for d in data]
            array = (C.c_void_p * max(len(items), 1))(*[i.handle for i in items])
            _check(_lib.kapell_sequence_create(array, C.c_size_t(len(items)), C.byref(out)))
            return Value(out.value)
        if isinstance(data, dict):
            keys = Value.of(np.array(list(data.keys())))
            values = Value.of(np.array(list(data.values())))
            _check(_lib.kapell_map_create(C.c_void_p(keys.handle), C.c_void_p(values.handle), C.byref(out)))
            return Value(out.value)
        array = np.asarray(data)
        dims = (C.c_int64 * max(array.ndim, 1))(*array.shape)
        if array.dtype.kind in "UOS":
            _check(_lib.kapell_tensor_create(_STRING, dims, C.c_int32(array.ndim), C.byref(out)))
            value = Value(out.value)
            for i, text in enumerate(array.reshape(-1)):
                raw = text if isinstance(text, bytes) else str(text).encode()
                _check(_lib.kapell_tensor_set_string(value.handle, i, raw, len(raw)))
            return value
        number = _TYPE_OF[array.dtype]
        array = np.ascontiguousarray(array).reshape(array.shape)
        raw = _pack(array, _PACKED[number]) if number in _PACKED else array
        _check(_lib.kapell_tensor_wrap(number, dims, C.c_int32(array.ndim), C.c_void_p(raw.ctypes.data),
                                       C.c_size_t(raw.nbytes), None, None, C.byref(out)))
        return Value(out.value, raw)

    def numpy(self):
        """Back to numpy: a view of the value's memory for tensors (which it keeps alive), lists, dicts, None."""
        kind = _lib.kapell_value_kind(self.handle)
        if kind == KIND_SEQUENCE:
            return [self.item(i).numpy() for i in range(_lib.kapell_value_item_count(self.handle))]
        if kind == KIND_MAP:
            return dict(zip(self.item(0).numpy().tolist(), self.item(1).numpy().tolist()))
        if kind in (KIND_OPTIONAL, KIND_NONE):
            return self.item(0).numpy() if _lib.kapell_value_item_count(self.handle) else None
        rank = _lib.kapell_tensor_rank(self.handle)
        shape = tuple(_lib.kapell_tensor_dims(self.handle)[i] for i in range(rank))
        number = _lib.kapell_value_type(self.handle)
        count = _lib.kapell_tensor_count(self.handle)
        if number == _STRING:
            texts = np.empty(count, dtype=object)
            length = C.c_size_t()
            for i in range(count):
                pointer = _lib.kapell_tensor_string(self.handle, i, C.byref(length))
                texts[i] = C.string_at(pointer, length.value).decode("utf-8", "surrogateescape")
            return texts.reshape(shape)
        size = _lib.kapell_tensor_byte_count(self.handle)
        data = _lib.kapell_tensor_data(self.handle)
        raw = np.frombuffer((C.c_uint8 * size).from_address(data), np.uint8) if size else np.empty(0, np.uint8)
        if number in _PACKED:
            return _unpack(raw, _PACKED[number], count, _NUMPY[number]).reshape(shape)
        return raw.view(_NUMPY[number]).reshape(shape).copy()

    def item(self, index):
        return Value(_lib.kapell_value_retain(C.c_void_p(_lib.kapell_value_item(self.handle, index))))


class Cancel:
    def __init__(self):
        out = C.c_void_p()
        _check(_lib.kapell_cancel_create(C.byref(out)))
        self.handle = out.value

    def request(self):
        _lib.kapell_cancel_request(self.handle)

    def __del__(self):
        _lib.kapell_cancel_release(self.handle)


class Session:
    def __init__(self, model, providers=None, options=None, threads=0, **more):
        """|model|: a path or bytes. |options|: provider options {"Mock.ops": "Relu"}. |more|: fields of kapell_options."""
        o = _Options(struct_size=C.sizeof(_Options), threads=threads)
        if providers:
            o.providers = providers.encode()
        pairs = list((options or {}).items())
        array = (_Option * max(len(pairs), 1))(*[_Option(k.encode(), str(v).encode()) for k, v in pairs])
        o.provider_options, o.provider_option_count = array, len(pairs)
        for key, value in more.items():
            setattr(o, key, value.encode() if isinstance(value, str) else value)
        out = C.c_void_p()
        self.handle = None
        if isinstance(model, (bytes, bytearray)):
            _check(_lib.kapell_session_open(bytes(model), C.c_size_t(len(model)), C.byref(o), C.byref(out)))
        else:
            _check(_lib.kapell_session_open_file(str(model).encode(), C.byref(o), C.byref(out)))
        self.handle = out.value
        count = _lib.kapell_session_input_count(self.handle) + _lib.kapell_session_overridable_count(self.handle)
        self.inputs = [_lib.kapell_session_input(self.handle, i)[0].name.decode() for i in range(count)]
        self.outputs = [_lib.kapell_session_output(self.handle, i)[0].name.decode()
                        for i in range(_lib.kapell_session_output_count(self.handle))]

    def close(self):
        if self.handle:
            _lib.kapell_session_close(self.handle)
            self.handle = None

    __del__ = close

    def type_of(self, index, output=False):
        info = (_lib.kapell_session_output if output else _lib.kapell_session_input)(self.handle, index)[0].type[0]
        symbols = [info.symbols[d].decode() if info.symbols[d] else None for d in range(max(info.rank, 0))]
        dims = [info.dims[d] if info.dims[d] >= 0 else symbols[d] for d in range(max(info.rank, 0))]
        return info.kind, info.element, dims if info.rank >= 0 else None

    def prepare(self, feeds, names=None):
        """Everything a run needs, made once: for timing run_prepared."""
        names = names or self.outputs
        values = [Value.of(v) for v in feeds.values()]
        return (values, (C.c_char_p * max(len(values), 1))(*[n.encode() for n in feeds]),
                (C.c_void_p * max(len(values), 1))(*[v.handle for v in values]), len(values),
                (C.c_char_p * max(len(names), 1))(*[n.encode() for n in names]), len(names))

    def run_prepared(self, prepared, options=None, outputs=None):
        _, in_names, ins, in_count, out_names, out_count = prepared
        outs = (C.c_void_p * max(out_count, 1))(*(outputs or []))
        _check(_lib.kapell_session_run(C.c_void_p(self.handle), options, in_names, ins, C.c_size_t(in_count), out_names,
                                       outs, C.c_size_t(out_count)))
        return outs

    def run(self, feeds, names=None, cancel=None, timeout_ns=0, bound=None, threads=0):
        """Outputs as numpy, in the order of |names|. |bound|: {name: Value} to write into."""
        o = _RunOptions(struct_size=C.sizeof(_RunOptions), cancel=cancel.handle if cancel else None,
                        timeout_ns=timeout_ns, threads=threads)
        names = names or self.outputs
        given = [bound[n].handle if bound and n in bound else None for n in names]
        outs = self.run_prepared(self.prepare(feeds, names), C.byref(o), given)
        results = []
        for i, n in enumerate(names):
            results.append(bound[n] if given[i] else Value(outs[i]))
        return [r.numpy() for r in results]

    def _text(self, function):
        out = C.c_void_p()
        _check(function(C.c_void_p(self.handle), C.byref(out)))
        text = C.string_at(out.value).decode()
        _lib.kapell_free_text(out.value)
        return text

    def placement_json(self):
        return self._text(_lib.kapell_session_placement_json)

    def placement_text(self):
        return self._text(_lib.kapell_session_placement_text)

    def profile_json(self):
        """Events of the runs so far, as Chrome trace JSON; the session was opened with profile_path."""
        return self._text(_lib.kapell_session_profile_json)

    def counters(self):
        c = _Counters(struct_size=C.sizeof(_Counters))
        _lib.kapell_session_counters(self.handle, C.byref(c))
        result = {name: getattr(c, name) for name, _ in _Counters._fields_ if name not in ("struct_size", "providers")}
        result["providers"] = {c.providers[i].provider.decode(): {f: getattr(c.providers[i], f) for f in ("runs", "nodes", "time_ns", "failures", "bytes")}
                               for i in range(c.provider_count)}
        return result
