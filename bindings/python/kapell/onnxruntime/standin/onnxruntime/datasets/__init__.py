"""onnxruntime.datasets: the example models of an installed ONNX Runtime."""

from kapell.onnxruntime import _borrow

_borrow.fill(globals())
