"""A model ready to run, under ONNX Runtime's name."""

from kapell.backend import KapellBackendRep


class OnnxRuntimeBackendRep(KapellBackendRep):
    """Outputs are a list, as ONNX Runtime gives them."""

    def run(self, inputs, **kwargs):
        return list(super().run(inputs, **kwargs))
