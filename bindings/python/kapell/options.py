"""SessionOptions and RunOptions: onnxruntime's, and Kapell's own under the names of `kapell_options` in kapell.h."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import _core
from .enums import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, OrtExecutionProviderDevicePolicy

if TYPE_CHECKING:
    from .devices import OrtEpDevice
    from .models import LoraAdapter

# Kapell's own options and their kinds; None is the default of each (kapell.h says which that is).
OWN_OPTIONS: dict[str, Any] = {
    "threads": int, "cpu_mask": str, "external_folder": os.PathLike, "link_folders": list, "fold_bytes": int, "fold_ns": int,
    "on_failure": int, "signature_cache": int, "run_timeout_ns": int, "profile_path": os.PathLike, "untrusted": bool,
    "max_memory": int, "max_nodes": int, "max_iterations": int, "open_timeout_ns": int, "allow_libraries": bool,
    "keep_values": bool, "shadow_every": int, "shadow_atol": float, "shadow_rtol": float, "shadow": None,
    "provider_path": str, "flush_denormals": bool, "no_spin": bool, "progress": None, "cancel": None,
}


def _need_text(function: str, **texts: Any) -> None:
    for name, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"{function}(): {name} must be a str, not {type(value).__name__}")


class _Checked:
    """An attribute of one kind with a default; None of Kapell's own stands for its default."""

    def __init__(self, kind: Any, default: Any, doc: str | None = None, own: bool = False) -> None:
        self.kind, self.default, self.__doc__, self.own = kind, default, doc, own

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else instance.__dict__.get(self.name, self.default)

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = self.check(value)

    def check(self, value: Any) -> Any:
        kind = self.kind
        if self.own and value is None:
            return None
        if kind is bool:
            if not isinstance(value, (bool, int)):
                raise TypeError(f"{self.name} is True or False, not {value!r}")
            return bool(value)
        if kind is os.PathLike:
            return os.fspath(value)
        if kind is None:
            if not callable(value) and self.name != "cancel":
                raise TypeError(f"{self.name} is a function, not {value!r}")
            return value
        if kind is list:
            return [os.fspath(item) for item in value]
        if isinstance(self.default, kind) and kind not in (int, str, float):  # an enumeration
            if not isinstance(value, kind):
                try:
                    return kind(int(value))
                except (TypeError, ValueError):
                    raise TypeError(f"{self.name} is a {kind.__name__}, not {value!r}") from None
            return value
        if kind is str and not isinstance(value, str) or kind is float and not isinstance(value, (int, float)):
            raise TypeError(f"{self.name} is a {kind.__name__}, not {value!r}")
        try:
            return value.__index__() if kind is int else value
        except AttributeError:
            raise TypeError(f"{self.name} is an int, not {value!r}") from None


class SessionOptions:
    """What a session is opened with.

    >>> options = SessionOptions()
    >>> options.intra_op_num_threads = 1
    >>> options.add_free_dimension_override_by_name("batch", 1)
    >>> options.max_memory = 1 << 30       # Kapell's own: see kapell_options in kapell.h

    What onnxruntime knows and Kapell has no use for is accepted and changes nothing: inter_op_num_threads, execution_mode,
    execution_order, enable_cpu_mem_arena, enable_mem_pattern, enable_mem_reuse, use_deterministic_compute (sums never depend on
    which thread came first), log_verbosity_level, and configuration entries but those of `CONFIG_KEYS`.
    """

    enable_cpu_mem_arena = _Checked(bool, True, "Accepted; Kapell plans memory before it runs.")
    enable_mem_pattern = _Checked(bool, True, "Accepted.")
    enable_mem_reuse = _Checked(bool, True, "Accepted.")
    enable_profiling = _Checked(bool, False, "Keeps a profile; `InferenceSession.end_profiling` writes it.")
    execution_mode = _Checked(ExecutionMode, ExecutionMode.ORT_SEQUENTIAL, "Accepted.")
    execution_order = _Checked(ExecutionOrder, ExecutionOrder.DEFAULT, "Accepted.")
    graph_optimization_level = _Checked(GraphOptimizationLevel, GraphOptimizationLevel.ORT_ENABLE_ALL,
                                        "ORT_DISABLE_ALL: no rewrites. Any other: all.")
    inter_op_num_threads = _Checked(int, 0, "Accepted.")
    intra_op_num_threads = _Checked(int, 0, "Threads of a run; 0: what the process may use.")
    log_severity_level = _Checked(int, -1, "3 and above: no warnings while the session is opened.")
    log_verbosity_level = _Checked(int, 0, "Accepted.")
    logid = _Checked(str, "", "Accepted.")
    optimized_model_filepath = _Checked(
        os.PathLike, "", "The model is written there as it is before providers take their parts: kapell_options.optimized_path.")
    profile_file_prefix = _Checked(str, "onnxruntime_profile_", "Name of the profile's file up to the time.")
    use_deterministic_compute = _Checked(bool, False, "Accepted.")
    use_per_session_threads = _Checked(bool, True, "False: as many threads as set_global_thread_pool_sizes said.")

    if TYPE_CHECKING:  # added below, from OWN_OPTIONS
        threads: int | None
        cpu_mask: str | None
        external_folder: str | os.PathLike[str] | None
        link_folders: Sequence[str | os.PathLike[str]] | None
        fold_bytes: int | None
        fold_ns: int | None
        on_failure: int | None
        signature_cache: int | None
        run_timeout_ns: int | None
        profile_path: str | os.PathLike[str] | None
        untrusted: bool | None
        max_memory: int | None
        max_nodes: int | None
        max_iterations: int | None
        open_timeout_ns: int | None
        allow_libraries: bool | None
        keep_values: bool | None
        shadow_every: int | None
        shadow_atol: float | None
        shadow_rtol: float | None
        shadow: Callable[[dict[str, Any]], object] | None
        provider_path: str | None
        progress: Callable[[float, str], object] | None
        cancel: _core.Cancel | None

    # What single entries of the configuration come to.
    CONFIG_KEYS = ("session.disable_cpu_ep_fallback", "session.model_external_initializers_file_folder_path",
                   "session.record_ep_graph_assignment_info")

    def __init__(self) -> None:
        self._config: dict[str, str] = {}
        self._providers: list[tuple[str, dict[str, str]]] = []
        self._initializers: list[tuple[str, _core.Value, bool]] = []  # the last: may be absent
        self._dimensions: list[tuple[str, bool, int]] = []  # the second: is a denotation
        self._files: list[tuple[str, memoryview]] = []
        self._libraries: list[_core.CustomOpLibrary] = []
        self._delegate: Callable[..., Sequence[OrtEpDevice]] | None = None
        self._cancel_load = _core.Cancel()

    # --- configuration entries ---
    def add_session_config_entry(self, key: str, value: str) -> None:
        """Sets one entry of the configuration; unknown keys are kept and change nothing."""
        _need_text("add_session_config_entry", key=key, value=value)
        if not key or len(key) > 1024 or len(value) > 4096:
            raise _core.InvalidArgument(f"the key {key[:40]!r} is empty or longer than 1024, or its value is longer than 4096")
        self._config[key] = value

    def get_session_config_entry(self, key: str) -> str:
        """The value that was set; RuntimeError where none was."""
        try:
            return self._config[key]
        except KeyError:
            raise RuntimeError(f"SessionOptions does not have configuration with key: {key}") from None

    # --- the model's parts ---
    def add_initializer(self, name: str, value: _core.Value) -> None:
        """An OrtValue in place of the model's initializer |name|; its data must not change while sessions use it."""
        _need_text("add_initializer", name=name)
        self._initializers.append((name, _as_value(value), True))

    def add_external_initializers(self, names: Sequence[str], values: Sequence[_core.Value]) -> None:
        """The same for several; a model that lacks one of them is an error."""
        if len(names) != len(values):
            raise _core.InvalidArgument(f"{len(names)} names and {len(values)} values")
        self._initializers += [(name, _as_value(value), False) for name, value in zip(names, values)]

    def add_external_initializers_from_files_in_memory(self, names: Sequence[str], buffers: Sequence[Any], lengths: Sequence[int]) -> None:
        """Files of external data that are in memory, under the names that the model calls them."""
        if not len(names) == len(buffers) == len(lengths):
            raise _core.InvalidArgument("as many names as buffers and lengths are needed")
        for name, buffer, length in zip(names, buffers, lengths):
            self._files.append((name, memoryview(buffer).cast("B")[:length]))

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        """A number for the symbolic dimension |name| of the model's inputs."""
        _need_text("add_free_dimension_override_by_name", name=name)
        self._dimensions.append((name, False, value.__index__()))

    def add_free_dimension_override_by_denotation(self, denotation: str, value: int) -> None:
        """A number for dimensions of the denotation ("DATA_BATCH")."""
        _need_text("add_free_dimension_override_by_denotation", denotation=denotation)
        self._dimensions.append((denotation, True, value.__index__()))

    def register_custom_ops_library(self, path: str) -> None:
        """Operators from a shared library that was made for onnxruntime (onnxruntime-extensions has one)."""
        self._libraries.append(_core.CustomOpLibrary(path))

    # --- providers ---
    def add_provider(self, name: str, options: dict[str, str]) -> None:
        """Adds a provider, as one of the list given to InferenceSession."""
        _need_text("add_provider", name=name)
        self._providers.append((name, {str(k): str(v) for k, v in options.items()}))

    def add_provider_for_devices(self, devices: Sequence[OrtEpDevice], options: dict[str, str]) -> None:
        """Adds the provider of |devices| (OrtEpDevice objects, all of one provider)."""
        names = {device.ep_name for device in devices}
        if len(names) != 1:
            raise _core.InvalidArgument(f"devices of one provider are needed, not of {sorted(names)}")
        numbers = [device.number for device in devices if device.number is not None]
        chosen = {"kapell_devices": ",".join(map(str, numbers))} if numbers else {}
        self.add_provider(names.pop(), {**options, **chosen})

    def has_providers(self) -> bool:
        """Whether providers were added."""
        return bool(self._providers) or self._delegate is not None

    def set_provider_selection_policy(self, policy: int) -> None:
        """Which of the devices that are here comes first. PREFER_CPU leaves the CPU alone."""
        policy = OrtExecutionProviderDevicePolicy(int(policy))
        self._delegate = lambda devices, *_: _select(policy, devices)

    def set_provider_selection_policy_delegate(self, function: Callable[..., Sequence[OrtEpDevice]]) -> None:
        """|function|(devices, model_metadata, runtime_metadata, max_selections) gives the devices wanted, the best first."""
        if not callable(function):
            raise TypeError(f"a function is needed, not {function!r}")
        self._delegate = function

    def set_load_cancellation_flag(self, is_cancel: bool) -> None:
        """True ends the opening of sessions with these options, from any thread."""
        if is_cancel:
            self._cancel_load.request()
        else:
            self._cancel_load.reset()

    def set_ep_context_data_read_func(self, read_func: Callable[..., Any]) -> None:
        """No provider of this build has compiled contexts."""
        raise _core.NotImplemented("no provider of this build reads compiled contexts")

    def clear_ep_context_data_read_func(self) -> None:
        """Nothing to take away."""

    # --- for InferenceSession ---
    def _has_no_floor(self) -> bool:
        return self._config.get("session.disable_cpu_ep_fallback") == "1"

    def _thread_count(self) -> int:
        if self.threads is not None:
            return self.threads
        if not self.use_per_session_threads:
            from .environment import global_threads
            return global_threads()
        return max(self.intra_op_num_threads, 0)

    def _optimized_path(self) -> Any:
        path = self.optimized_model_filepath
        if path and (str(path).endswith(".ort") or self._config.get("session.save_model_format", "").upper() == "ORT"):
            raise _core.NotImplemented(f"{path}: Kapell writes ONNX files, and none of ONNX Runtime's own format")
        return path or None

    def _open_options(self) -> dict[str, Any]:
        """The dict that _core.Session takes, without providers."""
        options = {name: getattr(self, name) for name in OWN_OPTIONS}
        folder = self._config.get("session.model_external_initializers_file_folder_path")
        if folder and not options["external_folder"]:
            options["external_folder"] = folder
        for name, key, on in (("flush_denormals", "session.set_denormal_as_zero", "1"),
                              ("no_spin", "session.intra_op.allow_spinning", "0")):
            if options[name] is None and self._config.get(key) == on:
                options[name] = True
        options.update(
            threads=self._thread_count(), profile=self.enable_profiling,
            no_optimize=self.graph_optimization_level == GraphOptimizationLevel.ORT_DISABLE_ALL,
            config_entries=list(self._config.items()),
            initializers=self._initializers, dimensions=self._dimensions, memory_files=self._files,
            custom_op_libraries=self._libraries, optimized_path=self._optimized_path())
        options["cancel"] = options["cancel"] or self._cancel_load
        return options


for _name, _kind in OWN_OPTIONS.items():
    _attribute = _Checked(_kind, None, f"kapell_options.{_name} (kapell.h); None: its default.", own=True)
    _attribute.__set_name__(SessionOptions, _name)
    setattr(SessionOptions, _name, _attribute)


def _as_value(value: Any) -> _core.Value:
    return getattr(value, "_ortvalue", value) if not isinstance(value, _core.Value) else value


def _select(policy: int, devices: Sequence[OrtEpDevice]) -> list[OrtEpDevice]:
    chosen = OrtExecutionProviderDevicePolicy(policy)
    wanted = {OrtExecutionProviderDevicePolicy.PREFER_NPU: "NPU", OrtExecutionProviderDevicePolicy.PREFER_GPU: "GPU",
              OrtExecutionProviderDevicePolicy.MAX_PERFORMANCE: "GPU", OrtExecutionProviderDevicePolicy.MAX_EFFICIENCY: "NPU",
              OrtExecutionProviderDevicePolicy.MIN_OVERALL_POWER: "NPU"}.get(chosen, "CPU")
    return sorted(devices, key=lambda device: device.device.type.name != wanted)


class RunOptions(_core.RunOptions):
    """Options of a run: `terminate`, `timeout_ns` and `threads` (see `_core.RunOptions`), and what onnxruntime has besides.

    Accepted without effect: log_severity_level, log_verbosity_level, logid; only_execute_path_to_fetches (Kapell never computes what
    no output needs); configuration entries.
    """

    log_severity_level = _Checked(int, -1, "Accepted.")
    log_verbosity_level = _Checked(int, 0, "Accepted.")
    logid = _Checked(str, "", "Accepted.")
    only_execute_path_to_fetches = _Checked(bool, False, "Accepted: it is always so.")

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Kept; none of them means anything to Kapell."""
        _need_text("add_run_config_entry", key=key, value=value)
        self.__dict__.setdefault("_config", {})[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """The value that was set; RuntimeError where none was."""
        try:
            return self.__dict__.get("_config", {})[key]
        except KeyError:
            raise RuntimeError(f"RunOptions does not have configuration with key: {key}") from None

    def add_active_adapter(self, adapter: LoraAdapter) -> None:
        """Runs with these options get the adapter's tensors as inputs that their feed leaves out."""
        self.inputs = {**(self.inputs or {}), **adapter._parameters}
