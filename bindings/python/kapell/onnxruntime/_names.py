"""ONNX Runtime's public names and where the stand-in takes each from. Everything is looked up at first use: importing stays cheap."""

import importlib

PACKAGE_NAME = "onnxruntime"

# Of the package; those not named in OWN are kapell's own, as they are.
PUBLIC = """
AdapterFormat ExecutionMode ExecutionOrder GraphOptimizationLevel IOBinding InferenceSession LoraAdapter ModelCompiler ModelMetadata NodeArg
OrtAllocatorType OrtArenaCfg OrtCompileApiFlags OrtDevice OrtDeviceMemoryType OrtDeviceVendorId OrtEpAssignedNode OrtEpAssignedSubgraph OrtEpDevice
OrtExecutionProviderDevicePolicy OrtExternalInitializerInfo OrtHardwareDevice OrtHardwareDeviceType OrtMemType OrtMemoryInfo
OrtMemoryInfoDeviceType OrtSparseFormat OrtSyncStream OrtValue RunOptions SessionIOBinding SessionOptions SparseTensor copy_tensors
create_and_register_allocator create_and_register_allocator_v2 disable_telemetry_events enable_telemetry_events get_all_providers
get_available_providers get_build_info get_device get_ep_devices get_version_string has_collective_ops preload_dlls print_debug_info
register_execution_provider_library set_default_logger_callback set_default_logger_severity set_default_logger_verbosity
set_global_thread_pool_sizes set_seed unregister_execution_provider_library
""".split()
# Of the extension module besides, onnxruntime.capi.onnxruntime_pybind11_state.
STATE = """
DeviceReset EPFail EngineError Fail InvalidArgument InvalidGraph InvalidProtobuf ModelLoadCanceled ModelLoaded ModelRequiresCompilation NoModel
NoSuchFile NotFound NotImplemented RuntimeException OrtValueVector
get_default_session_options get_session_initializer quantize_matmul_2bits quantize_matmul_4bits quantize_matmul_8bits quantize_qdq_matmul_4bits
quantize_matmul_bnb4
""".split()
# Of onnxruntime.capi.onnxruntime_inference_collection besides.
COLLECTION = "Session check_and_normalize_provider_args get_ort_device_type".split()
# Names that are other here than in kapell: the file that has them.
OWN = {
    **dict.fromkeys(["InferenceSession", "Session", "SessionOptions", "check_and_normalize_provider_args"], "_session"),
    **dict.fromkeys(["get_version_string", "get_build_info", "print_debug_info", "get_default_session_options", "get_session_initializer",
                     "get_ort_device_type", "OrtValueVector"], "_state"),
    **dict.fromkeys(["quantize_matmul_2bits", "quantize_matmul_4bits", "quantize_matmul_8bits", "quantize_qdq_matmul_4bits", "quantize_matmul_bnb4"], "_quantize"),
}
_FACTS = {"version": "__version__", "package_name": PACKAGE_NAME, "cuda_version": "", "import_capi_exception": None}


def find(name):
    """What the stand-in has under one of the names above; AttributeError where this build lacks it."""
    if name in OWN:
        return getattr(importlib.import_module(f"kapell.onnxruntime.{OWN[name]}"), name)
    return getattr(importlib.import_module("kapell"), name)


def fill(namespace, with_path=True):
    """Makes a module the package onnxruntime."""
    from . import STANDIN, __version__
    names = PUBLIC
    if with_path:
        namespace.update(__path__=[STANDIN], __version__=__version__, __author__="Kapell")
    namespace.update({**_FACTS, "version": __version__})
    fill_names(namespace, names, submodules=("capi", "backend", "datasets"))


def fill_names(namespace, names, submodules=()):
    """Gives a module |names|, each at its first use, and |submodules| as attributes that are imported then."""
    own = namespace["__name__"]

    def look_up(name):
        if name in submodules:
            return importlib.import_module(f"{own}.{name}")
        if name not in names:
            raise AttributeError(f"module '{own}' has no attribute '{name}' (it is Kapell's stand-in for ONNX Runtime)")
        namespace[name] = find(name)
        return namespace[name]

    namespace.update(__getattr__=look_up, __all__=sorted(names), __dir__=lambda: sorted({*namespace, *names, *submodules}))
