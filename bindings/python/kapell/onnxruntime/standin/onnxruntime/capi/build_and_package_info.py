"""What ONNX Runtime's build writes of itself; a build for CPUs has no cuda_version."""

from kapell.onnxruntime import __version__  # noqa: F401

package_name = "onnxruntime"
