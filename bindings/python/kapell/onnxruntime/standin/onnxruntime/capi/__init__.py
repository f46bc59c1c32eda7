"""onnxruntime.capi: the modules that programs reach into."""

from . import _pybind_state, build_and_package_info, onnxruntime_inference_collection, onnxruntime_pybind11_state, onnxruntime_validation  # noqa: F401
