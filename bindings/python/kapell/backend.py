"""ONNX's backend interface on Kapell: `onnx.backend.test` and whatever else is written for `onnx.backend.base`. Needs the package onnx.

    import kapell.backend
    outputs = kapell.backend.prepare(model, "CPU").run(inputs)
"""

import os

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from . import InferenceSession, RunOptions, SessionOptions, get_available_providers

__all__ = ["KapellBackend", "KapellBackendRep", "is_compatible", "prepare", "run", "run_model", "run_node", "supports_device"]

# Devices of the interface, and the providers that stand for them, the first that is here.
_PROVIDERS = {"CPU": ["CPUExecutionProvider"], "CUDA": ["CUDAExecutionProvider", "NvTensorRTRTXExecutionProvider", "TensorrtExecutionProvider"]}
# What a caller may set by keyword: nothing that writes files.
_SESSION_KEYS = frozenset({"enable_cpu_mem_arena", "enable_mem_pattern", "enable_mem_reuse", "execution_mode", "execution_order", "graph_optimization_level",
                           "inter_op_num_threads", "intra_op_num_threads", "log_severity_level", "log_verbosity_level", "logid",
                           "use_deterministic_compute", "use_per_session_threads"})
_RUN_KEYS = frozenset({"log_severity_level", "log_verbosity_level", "logid", "only_execute_path_to_fetches"})


def _set(options, keywords, allowed, kind):
    """Sets attributes of |options| from |keywords|; those of others are passed over, and those that may not be set so are refused."""
    for key, value in keywords.items():
        if key in allowed:
            setattr(options, key, value)
        elif hasattr(options, key):
            raise RuntimeError(f"{kind} attribute '{key}' is not permitted via the backend API. Allowed attributes: {', '.join(sorted(allowed))}")
    return options


class KapellBackendRep(BackendRep):
    """A model that is ready to run. `session` is its `kapell.InferenceSession`."""

    def __init__(self, session):
        super().__init__()
        self.session = session
        self._outputs = namedtupledict("Outputs", [item.name for item in session.get_outputs()])

    def run(self, inputs, **kwargs):
        """Outputs, in the model's order. `inputs`: a list in the order of the model's inputs, a dict by name, or the one input itself."""
        names = [item.name for item in self.session.get_inputs()]
        if isinstance(inputs, dict):
            feed = inputs
        elif isinstance(inputs, (list, tuple)):
            if len(inputs) > len(names):  # values of initializers that may be replaced come behind the inputs
                names += [item.name for item in self.session.get_overridable_initializers()]
            if len(inputs) > len(names):
                raise RuntimeError(f"the model has {len(names)} inputs, and {len(inputs)} values were given")
            feed = dict(zip(names, inputs))
        elif len(names) != 1:
            raise RuntimeError(f"Model expect {len(names)} inputs")
        else:
            feed = {names[0]: inputs}
        feed = {name: np.asarray(value) if isinstance(value, np.generic) else value for name, value in feed.items()}
        return self._outputs(*self.session.run(None, feed, _set(RunOptions(), kwargs, _RUN_KEYS, "RunOptions")))


class KapellBackend(Backend):
    """The interface; all of it is class methods. Keywords of `prepare`: `providers`, `provider_options`, and attributes of SessionOptions that
    write no files."""

    rep = KapellBackendRep
    session = InferenceSession

    @classmethod
    def is_compatible(cls, model, device="CPU", **kwargs):  # pylint: disable=unused-argument  # the interface has them
        """Whether models can run on a device here. The model is not looked at: what is wrong with it is for `prepare` to say."""
        return cls.supports_device(device)

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        """Opens a model: a path, bytes, ModelProto, a session, or what `prepare` gave. ModelProtos are checked by onnx first."""
        if isinstance(model, cls.rep):
            return model
        if isinstance(model, cls.session):
            return cls.rep(model)
        chain = {key: kwargs.pop(key) for key in ("providers", "provider_options") if key in kwargs} or {"providers": cls._chain(device)}
        if not isinstance(model, (str, os.PathLike, bytes)):
            model = model.SerializeToString()
            onnx.checker.check_model(model)
        return cls.rep(cls.session(model, _set(SessionOptions(), kwargs, _SESSION_KEYS, "SessionOptions"), **chain))

    @classmethod
    def run_model(cls, model, inputs, device="CPU", **kwargs):
        """Opens and runs a model."""
        return cls.prepare(model, device, **kwargs).run(inputs, **{k: v for k, v in kwargs.items() if k in _RUN_KEYS})

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        """Runs a single NodeProto on `inputs`, arrays in the order of its inputs that have names."""
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        names = [name for name in node.input if name]
        values = [np.asarray(value) for value in inputs]
        graph = onnx.helper.make_graph(
            [node], "node", [onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in zip(names, values)],
            [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name])
        imports = [onnx.helper.make_opsetid(node.domain, opset if not node.domain else kwargs.pop("domain_version", 1))]
        model = onnx.helper.make_model(graph, opset_imports=imports)
        return cls.prepare(model.SerializeToString(), device, **kwargs).run(values)

    @classmethod
    def supports_device(cls, device):
        """Whether a device ("CPU", "CUDA:0") can be used here."""
        return cls._provider(device) is not None

    @classmethod
    def _provider(cls, device):
        """The provider for a device, or None."""
        available = get_available_providers()
        return next((p for p in _PROVIDERS.get((device or "CPU").partition(":")[0], []) if p in available), None)

    @classmethod
    def _chain(cls, device):
        """Providers for a device, with its number: required."""
        provider, number = cls._provider(device), (device or "CPU").partition(":")[2]
        if provider is None:
            raise RuntimeError(f"Incompatible device expected '{device}', got '{', '.join(get_available_providers())}'")
        return [provider if provider == "CPUExecutionProvider" else (provider, {"device_id": number or "0"})]


is_compatible = KapellBackend.is_compatible
prepare = KapellBackend.prepare
run = KapellBackend.run_model
run_model = KapellBackend.run_model
run_node = KapellBackend.run_node
supports_device = KapellBackend.supports_device
