"""ONNX Runtime's Python classes: sessions, bindings, values."""

from . import _pybind_state as C  # noqa: F401

from kapell.onnxruntime import _names

_names.fill_names(globals(), _names.PUBLIC + _names.COLLECTION)
