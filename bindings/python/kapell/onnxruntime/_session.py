"""Sessions and their options under ONNX Runtime's rule for providers.

What its build for CPUs takes is taken: providers that it would pass over are optional here, with a warning that names reason and fix, and what
it refuses is refused. KAPELL_STRICT=1 makes every listed provider required, and nothing falls back.
"""

import collections.abc
import os
import warnings

import kapell
from kapell import _core
from kapell.options import OWN_OPTIONS
from kapell.session import _frames_to_caller

CPU = "CPUExecutionProvider"


def is_strict():
    """Whether KAPELL_STRICT is set (to anything but 0)."""
    return os.environ.get("KAPELL_STRICT", "") not in ("", "0")


def _infos():
    """What is known of each provider, by name."""
    return {info["name"]: info for info in _core.providers()}


def check_and_normalize_provider_args(providers, provider_options, available_provider_names):
    """A list of names and one of options from every form that InferenceSession takes; ValueError for any other.

    Names that are not in |available_provider_names| are kept; a name's second mention is passed over with a warning.
    """
    if providers is None:
        return [], []
    if not isinstance(providers, collections.abc.Sequence):
        raise ValueError("'providers' should be a sequence.")
    if provider_options is not None:
        pairs = _paired(providers, provider_options)
    elif all(_is_provider(provider) for provider in providers):
        pairs = [(provider, {}) if isinstance(provider, str) else provider for provider in providers]
    else:
        raise ValueError("'providers' values must be either strings or (string, dict) tuples.")
    chosen = {}
    for name, options in pairs:
        if name in chosen:
            warnings.warn(f"Duplicate provider '{name}' encountered, ignoring.")
        else:
            chosen[name] = {str(key): str(value) for key, value in options.items()}
    return list(chosen), list(chosen.values())


def _is_provider(provider):
    return isinstance(provider, str) or (isinstance(provider, tuple) and len(provider) == 2 and isinstance(provider[0], str) and isinstance(provider[1], dict))


def _paired(providers, options):
    if not isinstance(options, collections.abc.Sequence):
        raise ValueError("'provider_options' should be a sequence.")
    if len(providers) != len(options):
        raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
    if not all(isinstance(provider, str) for provider in providers):
        raise ValueError("Only string values for 'providers' are supported if 'provider_options' is given.")
    if not all(isinstance(each, dict) for each in options):
        raise ValueError("'provider_options' values must be dicts.")
    return list(zip(providers, options))


class SessionOptions(kapell.SessionOptions):
    """kapell.SessionOptions, refusing the providers that ONNX Runtime's build for CPUs refuses when they are asked for by name."""

    def add_provider(self, name, options):
        if name != CPU and not is_strict():
            info = _infos().get(name)
            if info is None:
                raise RuntimeError(f"Unknown Provider Type: {name}")
            if not info["available"]:
                raise kapell.InvalidArgument(f"Failed to add provider of type '{name}' to SessionOptions. Provider configuration is not supported. "
                                             f"({info['reason']}; to fix it: {info['fix']})")
        super().add_provider(name, options)


class InferenceSession(kapell.InferenceSession):
    """kapell.InferenceSession under ONNX Runtime's rule: see `kapell.onnxruntime`. Keywords that it does not know are passed over."""

    def __init__(self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs):
        fallback = int(kwargs.pop("enable_fallback", 1)) == 1 and not is_strict()
        own = {name: value for name, value in kwargs.items() if name in OWN_OPTIONS}
        super().__init__(path_or_bytes, sess_options, providers, provider_options, enable_fallback=fallback, **own)

    def _is_quiet(self):
        return False  # a provider that is asked for and not in use is said, whatever the log's level

    def _provider_list(self, providers, provider_options):
        if isinstance(providers, str):
            providers = [name.strip() for name in providers.split(",")]
        try:
            names, options = check_and_normalize_provider_args(providers, provider_options, ())
            pairs = list(zip(names, options)) or self._provider_pairs_of_options()
            return self._chain(pairs)
        except (ValueError, RuntimeError) as error:
            if not self._enable_fallback:
                raise
            text = f"EP Error {error} when using {providers}. Falling back to ['{CPU}'] and retrying."
            warnings.warn(text, kapell.KapellWarning, stacklevel=_frames_to_caller())
            return CPU, []

    def _chain(self, pairs):
        """The list as Kapell reads it, each name optional unless strict, and options of those that can be used here."""
        if all(name == CPU for name, _ in pairs):
            return CPU, []  # ONNX Runtime passes options of its CPU provider over
        known = _infos()
        for name, _ in pairs:
            if name not in known and name.endswith("ExecutionProvider") and _core.provider_options(name):
                known[name] = {"available": True}  # there, and not in lists: those that tests use
            if name not in known:
                raise RuntimeError(f"Unknown Provider Type: {name}")
        mark = "" if is_strict() else "?"
        options = [(f"{name}.{key}", value) for name, given in pairs for key, value in given.items()
                   if name != CPU and (known[name]["available"] or is_strict())]
        return ",".join(name if name == CPU else name + mark for name, _ in pairs), options

    def end_profiling(self):
        """Writes the profile as ONNX Runtime does, a list of events, and returns the file's name; "" without one."""
        from ._profile import write
        return write(self) if self.get_profiling_start_time_ns() else ""


Session = InferenceSession
