"""What programs commonly write for onnxruntime, printed: the same on ONNX Runtime and on the stand-in (test_standin.py compares)."""

import io
import os
import pickle
import tempfile
import threading

import numpy as np
import onnx
from onnx import helper

import onnxruntime as ort


class Pickable(ort.InferenceSession):
    """A session that goes through pickle by its path, as face recognizers have it."""

    def __init__(self, path, **keywords):
        super().__init__(path, **keywords)
        self.model_path = path

    def __getstate__(self):
        return {"model_path": self.model_path}

    def __setstate__(self, values):
        self.__init__(values["model_path"])


def negation():
    x, y = (helper.make_tensor_value_info(name, 1, ["N", 3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="p", model_version=3)
    helper.set_model_props(model, {"names": "{0: 'a'}"})
    return model


def sessions(model, x):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        onnx.save(model, path)
        print(pickle.loads(pickle.dumps(Pickable(path, providers=None))).run(None, {"x": x})[0])
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_free_dimension_override_by_name("N", 4)
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    print(session.get_inputs()[0].shape, session.get_provider_options(), session.get_session_options().execution_mode)
    for wrong in (io.BytesIO(b""), None, ["m.onnx"]):
        try:
            ort.InferenceSession(wrong)
        except TypeError as error:
            print(error)


def runs(session, x):
    options = ort.RunOptions()
    options.log_severity_level = 3
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    print(session.run(["y"], {"x": x.tolist()})[0].dtype, len(session.run(None, {"x": x}, options)), len(session.run(output_names=None, input_feed={"x": x}, run_options=options)))
    done = threading.Event()
    session.run_async(["y"], {"x": x}, lambda results, data, error: (print(results[0][0], data, repr(error)), done.set()), "mine")
    done.wait(60)
    binding, y = session.io_binding(), np.empty_like(x)
    binding.bind_input(name="x", device_type="cpu", device_id=0, element_type=np.float32, shape=x.shape, buffer_ptr=x.ctypes.data)
    binding.bind_output(name="y", device_type="cpu", device_id=0, element_type=np.float32, shape=y.shape, buffer_ptr=y.ctypes.data)
    session.run_with_iobinding(binding)
    print(y[0])


def descriptions(session, x):
    meta, value = session.get_modelmeta(), ort.OrtValue.ortvalue_from_numpy(x)
    print(session.get_inputs()[0], session.get_outputs()[0].type, session.get_profiling_start_time_ns(), repr(session.end_profiling()))
    print(meta.custom_metadata_map, meta.producer_name, meta.version, meta.graph_name, repr(meta.domain), repr(meta.description))
    print(value.device_name(), value.shape(), value.data_type(), value.is_tensor(), value.element_type(), value.numpy().shape)
    print(type(session.run_with_ort_values(["y"], {"x": value})[0]).__name__)
    print(ort.OrtDevice.make("cpu", 0).device_type(), ort.get_all_providers()[-1], ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED, ort.GraphOptimizationLevel.ORT_ENABLE_ALL.value,
          ort.ExecutionMode.ORT_PARALLEL.name, ort.ExecutionMode(1) == ort.ExecutionMode.ORT_PARALLEL)


def main():
    model, x = negation(), np.ones((2, 3), np.float32)
    session = ort.InferenceSession(model.SerializeToString())
    sessions(model, x)
    runs(session, x)
    descriptions(session, x)


if __name__ == "__main__":
    main()
