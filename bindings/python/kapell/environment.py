"""What concerns no session: providers, the log, seeds, facts of the build. onnxruntime's functions and their meaning here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from . import _core
from .session import CPU

_threads = 0


def providers() -> list[dict[str, Any]]:
    """Every provider that Kapell knows, available or not: dicts with name, available, reason, fix, devices, ..."""
    return _core.providers()


def get_available_providers() -> list[str]:
    """Names of the providers that sessions can use here, the CPU last.

    >>> get_available_providers()[-1]
    'CPUExecutionProvider'
    """
    names = [provider["name"] for provider in _core.providers() if provider["available"]]
    return [name for name in names if name != CPU] + [CPU]


def get_all_providers() -> list[str]:
    """Names of all providers known, the CPU last."""
    names = [provider["name"] for provider in _core.providers()]
    return [name for name in names if name != CPU] + [CPU]


def get_device() -> str:
    """"CPU"; "GPU" where a provider for one is available."""
    return "GPU" if {"CUDAExecutionProvider", "TensorrtExecutionProvider", "ROCMExecutionProvider"} & set(get_available_providers()) else "CPU"


def get_version_string() -> str:
    """Kapell's version."""
    return _core.version()


def get_build_info() -> str:
    """The version and the processor features that kernels are chosen by."""
    return f"Kapell {_core.version()}, kernels for {_core.cpu_features()}"


def has_collective_ops() -> bool:
    """False: operators across machines are not built in."""
    return False


# --- the log ---
def set_default_logger_severity(severity: int) -> None:
    """0 verbose, 1 info, 2 warning, 3 error, 4 fatal (nothing): for the whole process."""
    if not 0 <= severity <= 4:
        raise ValueError(f"a severity is 0 to 4, not {severity}")
    _core.log_set_level((0, 2, 3, 4, 5)[severity])


def set_default_logger_verbosity(level: int) -> None:
    """Accepted; Kapell's most talkative level is severity 0."""
    int(level)


def set_default_logger_callback(function: Callable[[int, str, str, str, str], object] | None) -> None:
    """|function|(severity, category, id, location, message) gets the log in place of standard error; None: standard error again.

    Severity is an OrtLoggingLevel. The function is called on the thread that logs; what it raises is reported, not propagated.
    """
    if function is None:
        _core.log_set_function(None)
        return
    if not callable(function):
        raise TypeError(f"a function is needed, not {function!r}")
    from .enums import OrtLoggingLevel
    levels = [OrtLoggingLevel.VERBOSE, OrtLoggingLevel.VERBOSE, OrtLoggingLevel.INFO, OrtLoggingLevel.WARNING, OrtLoggingLevel.ERROR]
    import atexit
    atexit.register(_core.log_set_function, None)
    _core.log_set_function(lambda level, message: function(levels[level], "kapell", "", "", message))


# --- what has no counterpart, or little ---
def set_seed(seed: int) -> None:
    """Warns and does nothing: nodes that draw random numbers and name no seed draw others in each session (docs/random.md)."""
    import warnings
    warnings.warn(f"set_seed({int(seed)}) changes nothing: Kapell has no seed for the process; nodes that draw take the attribute seed",
                  _core.KapellWarning, stacklevel=2)


def enable_telemetry_events() -> None:
    """Nothing: Kapell sends nothing anywhere."""


def disable_telemetry_events() -> None:
    """Nothing: Kapell sends nothing anywhere."""


def set_global_thread_pool_sizes(intra_op_num_threads: int, inter_op_num_threads: int) -> None:
    """Threads of sessions that are opened with use_per_session_threads=False. The pool is one for the process in any case."""
    global _threads
    if intra_op_num_threads < 0 or inter_op_num_threads < 0:
        raise ValueError("numbers of threads are not negative")
    _threads = int(intra_op_num_threads)


def global_threads() -> int:
    """What set_global_thread_pool_sizes said; 0: what the process may use."""
    return _threads


# --- libraries of providers ---
def register_execution_provider_library(registration_name: str, library_path: str | os.PathLike[str]) -> None:
    """Loads a library of providers into this process (docs/hosting.md). Sessions name its providers in their lists."""
    path = os.fspath(library_path)
    if not os.path.isfile(path):
        raise _core.Fail(f"Failed to load library {path}: there is no such file")
    _core.register_library(registration_name, path)


def unregister_execution_provider_library(registration_name: str) -> None:
    """Takes back what register_execution_provider_library did."""
    try:
        _core.unregister_library(registration_name)
    except _core.NoSuchFile:
        raise _core.Fail(f"no library is registered as {registration_name}") from None


def preload_dlls(cuda: bool = True, cudnn: bool = True, msvc: bool = True, directory: str | None = None) -> None:
    """Loads libraries of CUDA and cuDNN from the Python packages that hold them, so that a provider finds them; missing ones are passed over."""
    if sys.platform != "linux":
        return
    import ctypes
    from importlib.util import find_spec
    spec = find_spec("nvidia")
    roots = [directory] if directory else list(spec.submodule_search_locations or ()) if spec else []
    wanted = (["libcudart.so", "libcublasLt.so", "libcublas.so", "libnvrtc.so", "libcurand.so", "libcufft.so"] if cuda else []) + (
        ["libcudnn.so"] if cudnn else [])
    for start in wanted:
        for path in sorted(_shared_libraries(roots, start)):
            try:
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            except OSError as failure:
                print(f"Failed to load {path}: {failure}", file=sys.stderr)


def _shared_libraries(roots: list[str], start: str) -> Iterator[str]:
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                if name.startswith(start):
                    yield os.path.join(folder, name)


def print_debug_info() -> None:
    """Prints versions and providers, for bug reports."""
    import platform
    print(f"kapell version: {_core.version()}\nplatform: {platform.platform()}\npython: {platform.python_version()}")
    print(f"kernels: {_core.cpu_features()}\n\nproviders:")
    for provider in _core.providers():
        state = "available" if provider["available"] else provider["reason"] or "not available"
        print(f"  {provider['name']}: {state}")
