"""What `import kapell` gives; most of it is imported at its first use (`_lazy` in __init__.py)."""

from . import backend as backend
from . import onnxruntime as onnxruntime
from ._core import (
    Cancel as Cancel, DeviceReset as DeviceReset, EPFail as EPFail, EngineError as EngineError, Fail as Fail,
    InvalidArgument as InvalidArgument, InvalidGraph as InvalidGraph, InvalidProtobuf as InvalidProtobuf,
    KapellError as KapellError, KapellWarning as KapellWarning, ModelLoadCanceled as ModelLoadCanceled,
    ModelLoaded as ModelLoaded, ModelRequiresCompilation as ModelRequiresCompilation, NoModel as NoModel,
    NoSuchFile as NoSuchFile, NotFound as NotFound, NotImplemented as NotImplemented,
    RuntimeException as RuntimeException,
)
from .devices import (
    OrtArenaCfg as OrtArenaCfg, OrtEpAssignedNode as OrtEpAssignedNode,
    OrtEpAssignedSubgraph as OrtEpAssignedSubgraph, OrtEpDevice as OrtEpDevice,
    OrtHardwareDevice as OrtHardwareDevice, OrtMemoryInfo as OrtMemoryInfo, OrtSyncStream as OrtSyncStream,
    create_and_register_allocator as create_and_register_allocator,
    create_and_register_allocator_v2 as create_and_register_allocator_v2, get_ep_devices as get_ep_devices,
)
from .enums import (
    ExecutionMode as ExecutionMode, ExecutionOrder as ExecutionOrder,
    GraphOptimizationLevel as GraphOptimizationLevel, OrtAllocatorType as OrtAllocatorType,
    OrtCompileApiFlags as OrtCompileApiFlags, OrtDeviceMemoryType as OrtDeviceMemoryType,
    OrtDeviceVendorId as OrtDeviceVendorId, OrtExecutionProviderDevicePolicy as OrtExecutionProviderDevicePolicy,
    OrtHardwareDeviceType as OrtHardwareDeviceType, OrtLoggingLevel as OrtLoggingLevel, OrtMemType as OrtMemType,
    OrtMemoryInfoDeviceType as OrtMemoryInfoDeviceType, OrtSparseFormat as OrtSparseFormat,
)
from .environment import (
    disable_telemetry_events as disable_telemetry_events, enable_telemetry_events as enable_telemetry_events,
    get_all_providers as get_all_providers, get_available_providers as get_available_providers,
    get_build_info as get_build_info, get_device as get_device, get_version_string as get_version_string,
    has_collective_ops as has_collective_ops, preload_dlls as preload_dlls, print_debug_info as print_debug_info,
    providers as providers, register_execution_provider_library as register_execution_provider_library,
    set_default_logger_callback as set_default_logger_callback,
    set_default_logger_severity as set_default_logger_severity,
    set_default_logger_verbosity as set_default_logger_verbosity,
    set_global_thread_pool_sizes as set_global_thread_pool_sizes, set_seed as set_seed,
    unregister_execution_provider_library as unregister_execution_provider_library,
)
from .models import (
    AdapterFormat as AdapterFormat, LoraAdapter as LoraAdapter, ModelCompiler as ModelCompiler,
    OrtExternalInitializerInfo as OrtExternalInitializerInfo,
)
from .options import (
    RunOptions as RunOptions, SessionOptions as SessionOptions,
)
from .placement import (
    Counters as Counters, MemoryEstimate as MemoryEstimate, Placement as Placement,
)
from .session import (
    InferenceSession as InferenceSession, ModelMetadata as ModelMetadata, NodeArg as NodeArg,
)
from .tools import (
    bench as bench, check as check, doctor as doctor, place as place,
)
from .values import (
    IOBinding as IOBinding, OrtDevice as OrtDevice, OrtValue as OrtValue, SessionIOBinding as SessionIOBinding,
    SparseTensor as SparseTensor, copy_tensors as copy_tensors,
)

__version__: str
