"""onnxruntime.transformers: that of an installed ONNX Runtime, on Kapell's sessions."""

from kapell.onnxruntime import _borrow

_borrow.fill(globals())
