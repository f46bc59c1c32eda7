"""The names of ONNX Runtime's extension module: errors, options, values."""

from kapell.onnxruntime import _names

_names.fill_names(globals(), _names.PUBLIC + _names.STATE)
