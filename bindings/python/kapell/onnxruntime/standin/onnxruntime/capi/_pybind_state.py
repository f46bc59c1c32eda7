"""As in ONNX Runtime: the extension module's names once more."""

from kapell.onnxruntime import _names

_names.fill_names(globals(), _names.PUBLIC + _names.STATE)
