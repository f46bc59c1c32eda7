"""InferenceSession: onnxruntime's, on `_core.Session`, and what Kapell tells of a session besides."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _core
from .options import OWN_OPTIONS, SessionOptions

if TYPE_CHECKING:
    from .devices import OrtEpAssignedSubgraph, OrtEpDevice, OrtMemoryInfo
    from .placement import Counters, MemoryEstimate, Placement
    from .values import IOBinding, OrtValue

    Providers = str | Sequence[str | tuple[str, dict[Any, Any]]] | None

CPU = "CPUExecutionProvider"
# Said to onnxruntime's Python class by programs, and without a meaning here.
_IGNORED_ARGUMENTS = ("read_config_from_model", "disabled_optimizers")


class NodeArg:
    """An input or output: name, type ("tensor(float)"), shape (numbers, names of symbolic dimensions, None)."""

    __slots__ = ("name", "type", "shape")

    def __init__(self, name: str, type: str, shape: list[int | str | None]) -> None:
        self.name, self.type, self.shape = name, type, shape

    def __repr__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape})"


class ModelMetadata:
    """What the model says of itself."""

    def __init__(self, entries: dict[str, str]) -> None:
        own = {key[len("kapell:"):]: value for key, value in entries.items() if key.startswith("kapell:")}
        self.producer_name = own.get("producer", "")
        self.graph_name = own.get("graph", "")
        self.domain = own.get("domain", "")
        self.description = own.get("doc", "")
        self.graph_description = own.get("graph_doc", "")
        version = own.get("model_version", "")
        self.version = int(version) if version else 0
        self.custom_metadata_map = {key: value for key, value in entries.items() if not key.startswith("kapell:")}


def _bare(name: str) -> str:
    """"CUDA" of "CUDA?", "CUDA:optional", "CUDA>=90%"."""
    for mark in "?:>;":
        name = name.partition(mark)[0]
    return name.strip()


def normalize_providers(providers: Any, provider_options: Any) -> list[tuple[str, dict[str, str]]]:
    """[(name, options)] of what InferenceSession takes: names, (name, options) pairs, or names and a list of options."""
    if providers is None:
        return []
    if isinstance(providers, str):
        providers = [providers]
    if not hasattr(providers, "__getitem__") or not hasattr(providers, "__len__"):
        raise ValueError("'providers' should be a sequence.")
    if provider_options is not None:
        if not hasattr(provider_options, "__len__"):
            raise ValueError("'provider_options' should be a sequence.")
        if len(providers) != len(provider_options):
            raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
        if not all(isinstance(name, str) for name in providers):
            raise ValueError("Only string values for 'providers' are supported if 'provider_options' is given.")
        if not all(isinstance(options, dict) for options in provider_options):
            raise ValueError("'provider_options' values must be dicts.")
        providers = list(zip(providers, provider_options))
    pairs: list[tuple[str, dict[str, str]]] = []
    for item in providers:
        if isinstance(item, str):
            pairs.append((item, {}))
        elif isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], dict):
            pairs.append((item[0], {str(k): str(v) for k, v in item[1].items()}))
        else:
            raise ValueError("'providers' values must be either strings or (string, dict) tuples.")
    return pairs


def _frames_to_caller():
    """How many frames up from the caller the program's own line is, for warnings; the caller itself is 1."""
    count, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "kapell":
        count, frame = count + 1, frame.f_back
    return count


class InferenceSession(_core.Session):
    """A model, placed and compiled, ready to run.

    :param path_or_bytes: the model's file, or its bytes.
    :param sess_options: SessionOptions.
    :param providers: in order of priority, as names ("CUDA", "CUDAExecutionProvider") or (name, options) pairs. A listed provider must
        be there and run at least one node, or this raises with the reason; "CUDA?" may be absent or unused, with one KapellWarning;
        "CUDA>=90%" must run that share of the model's work. One string says it all too: "CUDA?,CPU; partitions<=3".
    :param provider_options: a dict for each of `providers`.
    :param enable_fallback: a provider that fails in a run is left out and the run started again.
    Further keywords are Kapell's own options (SessionOptions has them too): `progress=function`, `untrusted=True`, ...

    >>> session = InferenceSession(model)
    >>> session.get_inputs()
    [NodeArg(name='x', type='tensor(float)', shape=['N', 2])]
    >>> session.run(None, {"x": numpy.ones((1, 2), "float32")})
    [array([[2., 2.]], dtype=float32)]
    """

    def __init__(self, path_or_bytes: str | os.PathLike[str] | bytes | bytearray | memoryview, sess_options: SessionOptions | None = None,
                 providers: Providers = None, provider_options: Sequence[dict[Any, Any]] | None = None, *, enable_fallback: bool | int = False,
                 **options: Any) -> None:
        self._model_path: str | None
        self._model_bytes: bytes | bytearray | memoryview | None
        if isinstance(path_or_bytes, (str, os.PathLike)):
            self._model_path, self._model_bytes = os.fspath(path_or_bytes), None
        elif isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
            self._model_path, self._model_bytes = None, path_or_bytes
        else:
            raise TypeError(f"Unable to load from type '{type(path_or_bytes)}'")
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise TypeError(f"sess_options is a SessionOptions, not {type(sess_options).__name__}")
        self._sess_options = sess_options if sess_options is not None else SessionOptions()
        self._enable_fallback = bool(int(enable_fallback))
        self._more = self._own_options(options)
        self._profile_start_ns = 0
        self._profile_name = ""
        self._open(providers, provider_options)

    @staticmethod
    def _own_options(options: dict[str, Any]) -> dict[str, Any]:
        own = {}
        for name, value in options.items():
            if name in _IGNORED_ARGUMENTS:
                continue
            if name not in OWN_OPTIONS:
                raise TypeError(f"InferenceSession() got an unexpected keyword argument '{name}'")
            own[name] = SessionOptions.__dict__[name].check(value)
        return own

    def _provider_list(self, providers: Any, provider_options: Any) -> tuple[str | None, list[tuple[str, str]]]:
        """(the list as Kapell reads it or None, [("NAME.key", value)])."""
        pairs = normalize_providers(providers, provider_options) or self._provider_pairs_of_options()
        options = [(f"{_bare(name)}.{key}", value) for name, given in pairs for key, value in given.items()]
        return ",".join(name for name, _ in pairs) or None, options

    def _provider_pairs_of_options(self) -> list[tuple[str, dict[str, str]]]:
        given = self._sess_options
        if given._delegate is None:
            return list(given._providers)
        from .devices import get_ep_devices
        chosen = given._delegate(get_ep_devices(), {}, {}, 8)
        return [(name, {}) for name in dict.fromkeys(device.ep_name for device in chosen)]

    def _open(self, providers: Any, provider_options: Any) -> None:
        options = {**self._sess_options._open_options(), **self._more}
        names, options["provider_options"] = self._provider_list(providers, provider_options)
        if self._sess_options._has_no_floor():
            names = f"{names or 'CPU'}; floor=none"
        options["providers"] = names
        if self._enable_fallback:
            options["on_failure"] = 1
        options["warn_at"] = 0 if self._is_quiet() else _frames_to_caller()
        self._asked = (providers, provider_options)
        self._given_options = options["provider_options"]
        self._profile_start_ns = time.monotonic_ns() if options["profile"] else 0
        super().__init__(self._model_path, self._model_bytes, options)
        self.__dict__.pop("_placement", None)

    def _is_quiet(self):
        """Whether opening it gives no warnings."""
        return self._sess_options.log_severity_level > 2

    # --- what it is ---
    def get_inputs(self) -> list[NodeArg]:
        """The inputs that a run must give, as NodeArg."""
        return [NodeArg(*row) for row in self._inputs()]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs, as NodeArg."""
        return [NodeArg(*row) for row in self._outputs()]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Initializers that a run may replace, as NodeArg."""
        return [NodeArg(*row) for row in self._overridable()]

    def get_modelmeta(self) -> ModelMetadata:
        """The model's ModelMetadata."""
        return ModelMetadata(self._metadata())

    def get_session_options(self) -> SessionOptions:
        """The SessionOptions that it was opened with."""
        return self._sess_options

    def get_input_memory_infos(self) -> list[OrtMemoryInfo]:
        """The memory that each input is read from: the host's."""
        from .devices import cpu_memory_info
        return [cpu_memory_info() for _ in self._inputs()]

    def get_output_memory_infos(self) -> list[OrtMemoryInfo]:
        """The memory that each output is written to: the host's."""
        from .devices import cpu_memory_info
        return [cpu_memory_info() for _ in self._outputs()]

    def get_input_epdevices(self) -> list[OrtEpDevice]:
        """The device that each input is read by: the CPU's."""
        from .devices import cpu_device
        return [cpu_device() for _ in self._inputs()]

    # --- providers ---
    def get_providers(self) -> list[str]:
        """Providers in use by this session, in the order of the list, the CPU last.

        >>> InferenceSession(model).get_providers()
        ['CPUExecutionProvider']
        """
        return [provider["name"] for provider in self._placed()["providers"] if provider["in_use"]]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """The options that each of the providers in use was given."""
        options: dict[str, dict[str, str]] = {name: {} for name in self.get_providers()}
        for key, value in self._given_options:
            name, _, option = key.partition(".")
            for full in options:
                if full.lower() in (name.lower(), f"{name.lower()}executionprovider"):
                    options[full][option] = value
        return options

    def set_providers(self, providers: Providers = None, provider_options: Sequence[dict[Any, Any]] | None = None) -> None:
        """Opens the session anew with another list."""
        self._open(providers, provider_options)

    def enable_fallback(self) -> None:
        """From now on a provider that fails in a run is left out, with a warning, and the run started again."""
        self._set_fallback(True)

    def disable_fallback(self) -> None:
        """From now on a provider that fails in a run fails it."""
        self._set_fallback(False)

    def _set_fallback(self, on: bool) -> None:
        changes = on != self._enable_fallback
        self._enable_fallback = on
        if changes and self.get_providers() != [CPU]:  # the CPU is never left out
            self._open(*self._asked)

    def get_provider_graph_assignment_info(self) -> list[OrtEpAssignedSubgraph]:
        """Which provider got which nodes; needs the configuration entry session.record_ep_graph_assignment_info."""
        from .devices import assignment_of
        if self._sess_options._config.get("session.record_ep_graph_assignment_info") != "1":
            raise _core.Fail("the session was not opened with session.record_ep_graph_assignment_info=1")
        return assignment_of(self._placed())

    def set_ep_dynamic_options(self, options: dict[str, str]) -> None:
        """No provider of this build has options that change while a session is open."""
        raise _core.NotImplemented(f"no provider of this build takes {', '.join(options)} while a session is open")

    def get_tuning_results(self) -> list[Any]:
        """None: no provider of this build tunes itself."""
        return []

    def set_tuning_results(self, results: list[Any], *, error_on_invalid: bool = False) -> None:
        """Nothing to set; an error if asked to be one."""
        if results and error_on_invalid:
            raise _core.Fail("no provider of this build takes tuning results")

    # --- runs; run itself is _core's ---
    def run_async(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], callback: Callable[[list[Any], Any, str], object],
                  user_data: Any, run_options: _core.RunOptions | None = None) -> None:
        """Runs on another thread, which then calls callback(results, user_data, error); error is "" or says what failed."""
        from .background import submit
        submit(self, output_names, input_feed, callback, user_data, run_options)

    def run_with_ort_values(self, output_names: Sequence[str] | None, input_dict_ort_values: dict[str, OrtValue],
                            run_options: _core.RunOptions | None = None) -> list[OrtValue]:
        """The same as `run` with OrtValue objects in and out."""
        from .values import run_with_ort_values
        return run_with_ort_values(self, output_names, input_dict_ort_values, run_options)

    def io_binding(self) -> IOBinding:
        """An IOBinding for this session."""
        from .values import IOBinding
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: _core.RunOptions | None = None) -> None:
        """Runs with what is bound."""
        from .values import run_with_iobinding
        run_with_iobinding(self, iobinding, run_options)

    def run_with_ortvaluevector(self, run_options, feed_names, feeds, fetch_names, fetches, fetch_devices):
        """Runs with lists of OrtValue; `fetches` receives the outputs."""
        from .values import run_with_ortvaluevector
        run_with_ortvaluevector(self, run_options, feed_names, feeds, fetch_names, fetches, fetch_devices)

    def create_ortvalue_from_shape_and_type(self, shape, element_type, device_type, device_id=0, vendor_id=-1):
        """An OrtValue with memory of its own."""
        from .values import OrtValue
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type, device_type, device_id, vendor_id)

    # --- what onnxruntime lacks ---
    def _placed(self) -> dict[str, Any]:
        cached = self.__dict__.get("_placement")
        if cached is None:
            import json
            cached = self._placement = json.loads(self._placement_json())
        return cached

    def placement(self) -> Placement:
        """Which provider runs which node, and why: a Placement, which notebooks show as a page.

        >>> InferenceSession(model).placement().totals["CPUExecutionProvider"].nodes
        1
        """
        from .placement import Placement
        return Placement(self._placed(), self)

    def counters(self) -> Counters:
        """What was done in all runs so far: a Counters."""
        from .placement import Counters
        return Counters(self._counters())

    def estimate_memory(self, shapes: Mapping[str, Sequence[int]] | None = None) -> MemoryEstimate:
        """Memory of a run with inputs of these shapes ({name: shape}), known before it: a MemoryEstimate."""
        from .placement import MemoryEstimate
        return MemoryEstimate(self._estimate_memory([(name, tuple(shape)) for name, shape in (shapes or {}).items()]))

    def check_lock(self, lock: str) -> str:
        """Compares the placement with a lock (the text of `placement().lock()`): "" or the differences, a line each."""
        same, difference = self._check_lock(lock)
        return "" if same else difference or ""

    # --- profile ---
    def profile(self) -> Any:
        """Events of the runs so far, as Chrome's trace has them; needs enable_profiling or profile_path."""
        import json
        return json.loads(self._profile_json())

    def get_profiling_start_time_ns(self) -> int:
        """When the profile began, as time.monotonic_ns() counts; 0 without one."""
        return self._profile_start_ns

    def end_profiling(self) -> str:
        """Writes the profile and returns the file's name; "" without one."""
        if not self._profile_start_ns:
            return ""
        name = f"{self._sess_options.profile_file_prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
        with open(name, "w", encoding="utf-8") as file:
            file.write(self._profile_json())
        return name
