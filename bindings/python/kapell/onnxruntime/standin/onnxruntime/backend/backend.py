"""ONNX's backend interface, under ONNX Runtime's names."""

from kapell.backend import KapellBackend
from kapell.onnxruntime import InferenceSession

from .backend_rep import OnnxRuntimeBackendRep


class OnnxRuntimeBackend(KapellBackend):
    """kapell.backend on the stand-in's sessions."""

    rep = OnnxRuntimeBackendRep
    session = InferenceSession


is_compatible = OnnxRuntimeBackend.is_compatible
prepare = OnnxRuntimeBackend.prepare
run = OnnxRuntimeBackend.run_model
supports_device = OnnxRuntimeBackend.supports_device
