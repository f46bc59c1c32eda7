"""Kapell: runs ONNX models on whatever hardware a machine has, and says what runs where and why.

>>> import kapell
>>> session = kapell.InferenceSession(model)
>>> session.run(None, {"x": numpy.ones((1, 2), "float32")})
[array([[2., 2.]], dtype=float32)]

The names are onnxruntime's; `session.placement()`, `session.counters()`, `doctor()`, `check()`, `bench()` and `place()` are Kapell's own.
"""

from ._core import (
    Cancel, DeviceReset, EngineError, EPFail, Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, KapellError, KapellWarning,
    ModelLoadCanceled, ModelLoaded, ModelRequiresCompilation, NoModel, NoSuchFile, NotFound, NotImplemented, RuntimeException,
    version as _version,
)
from .options import RunOptions, SessionOptions
from .session import InferenceSession, ModelMetadata, NodeArg

__version__ = _version()

# Names that are imported at their first use: name -> module.
_lazy = {
    **dict.fromkeys((
        "ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel", "OrtAllocatorType", "OrtCompileApiFlags", "OrtDeviceMemoryType",
        "OrtDeviceVendorId", "OrtExecutionProviderDevicePolicy", "OrtHardwareDeviceType", "OrtLoggingLevel", "OrtMemType",
        "OrtMemoryInfoDeviceType", "OrtSparseFormat"), "enums"),
    **dict.fromkeys((
        "OrtArenaCfg", "OrtEpAssignedNode", "OrtEpAssignedSubgraph", "OrtEpDevice", "OrtHardwareDevice", "OrtMemoryInfo", "OrtSyncStream",
        "create_and_register_allocator", "create_and_register_allocator_v2", "get_ep_devices"), "devices"),
    **dict.fromkeys((
        "disable_telemetry_events", "enable_telemetry_events", "get_all_providers", "get_available_providers", "get_build_info",
        "get_device", "get_version_string", "has_collective_ops", "preload_dlls", "print_debug_info", "providers",
        "register_execution_provider_library", "set_default_logger_callback", "set_default_logger_severity",
        "set_default_logger_verbosity", "set_global_thread_pool_sizes", "set_seed", "unregister_execution_provider_library"),
        "environment"),
    **dict.fromkeys(("Counters", "MemoryEstimate", "Placement"), "placement"),
    **dict.fromkeys(("IOBinding", "OrtDevice", "OrtValue", "SessionIOBinding", "SparseTensor", "copy_tensors"), "values"),
    **dict.fromkeys(("bench", "check", "doctor", "place"), "tools"),
    **dict.fromkeys(("AdapterFormat", "LoraAdapter", "ModelCompiler", "OrtExternalInitializerInfo"), "models"),
}


def __getattr__(name):
    from importlib import import_module
    if name in ("backend", "onnxruntime"):
        return import_module(f"{__name__}.{name}")
    try:
        module = _lazy[name]
    except KeyError:
        raise AttributeError(f"module 'kapell' has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def __dir__():
    return sorted({*globals(), *_lazy})
