"""Writes the seeds of the reader's fuzz targets: fuzz/corpus/onnx-reader/ (models), fuzz/corpus/onnx-ort_format/ (models in ONNX Runtime's own
format) and fuzz/corpus/onnx-data/ (values).

They are small (under 80 KB in all) and together use every field; run again after test/py/test_onnx_reader.py has grown.
"""

import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "py"))

import ort_flat  # noqa: E402
import test_onnx_reader as cases  # noqa: E402
import test_ort_format  # noqa: E402
from hostile import ort_format  # noqa: E402


def packed_twice(model):
    """The same model, every message twice: singular messages are merged, lists doubled."""
    data = model.SerializeToString()
    return data + data


def models():
    yield "every_field", cases.full_model().SerializeToString()
    yield "attributes", cases.model_of(cases.graph_of(node=[cases.full_model().graph.node[0]])).SerializeToString()
    small = cases.model_of(cases.graph_of(input=[cases.full_model().graph.input[0]]))
    yield "small", small.SerializeToString()
    yield "merged", packed_twice(small)
    for kind in cases.TYPES:
        raw = cases.random_raw(kind, 5, kind)
        tensors = [raw] if cases.has_nan(raw) else [raw, cases.typed(raw)]
        name = "type_" + TensorProto.DataType.Name(kind).lower()
        yield name, cases.model_of(cases.graph_of(initializer=tensors)).SerializeToString()
    strings = TensorProto(name="s", data_type=TensorProto.STRING, dims=[2], string_data=[b"a", b""])
    yield "strings", cases.model_of(cases.graph_of(initializer=[strings])).SerializeToString()
    sparse = cases.helper.make_sparse_tensor(numpy_helper.from_array(np.float32([1, 2]), "w"),
                                             numpy_helper.from_array(np.int64([0, 3]), "i"), [2, 2])
    yield "sparse", cases.model_of(cases.graph_of(sparse_initializer=[sparse])).SerializeToString()
    for case in ("loop11", "if_seq", "scan9_sum", "sequence_map_identity_1_sequence"):
        path = cases.PACKAGE_DATA / "node" / f"test_{case}" / "model.onnx"
        if path.exists():
            yield case, path.read_bytes()


def ort_models():
    """By hand, and as ONNX Runtime writes them, which is back to front."""
    yield "rich", ort_format.written(ort_format.full())[0]
    yield "simple", ort_format.written(ort_format.simple())[0]
    every = cases.ort_model()
    del every.graph.initializer[8:-1]
    yield "every_field", ort_flat.encode(every, "1")
    options = ort.SessionOptions()
    options.add_session_config_entry("session.save_model_format", "ORT")
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/model.ort"
        ort.InferenceSession(test_ort_format.control()[0].SerializeToString(), options, providers=["CPUExecutionProvider"])
        yield "control", pathlib.Path(options.optimized_model_filepath).read_bytes()


def values():
    """The first byte is the kind less one, as the fuzz target takes it."""
    tensor = numpy_helper.from_array(np.float32([[1, 2]]), "x")
    strings = numpy_helper.from_array(np.array(["a", ""], dtype=object))
    sparse = cases.helper.make_sparse_tensor(numpy_helper.from_array(np.float32([1, 2]), "w"),
                                             numpy_helper.from_array(np.int64([0, 3]), "i"), [2, 2])
    mapping = numpy_helper.from_dict({1: np.float32(2), -3: np.float32(4)})
    named = onnx.MapProto(key_type=TensorProto.STRING, string_keys=[b"a"])
    named.values.CopyFrom(numpy_helper.from_list([np.int64([1, 2])]))
    items = {"tensor": (0, tensor), "strings": (0, strings), "sparse": (1, sparse),
             "six_bit": (0, cases.random_raw(TensorProto.FLOAT6E2M3, 5, 1)),
             "sequence": (2, numpy_helper.from_list([np.int8([1]), np.int8([[2]])])),
             "nested": (2, numpy_helper.from_list([[np.int8([1])], []])),
             "maps": (2, numpy_helper.from_list([{1: np.float32(2)}])), "map": (3, mapping), "named": (3, named),
             "optional": (4, numpy_helper.from_optional(np.float16([1]))),
             "optional_sequence": (4, numpy_helper.from_optional([np.float32(1)])),
             "optional_none": (4, numpy_helper.from_optional(None))}
    for name, (kind, message) in items.items():
        yield name, bytes([kind]) + message.SerializeToString()


def write(folder, items):
    folder = ROOT / "fuzz" / "corpus" / folder
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, data in items:
        (folder / name).write_bytes(data)
        total += len(data)
    print(f"{folder.relative_to(ROOT)}: {total} bytes")


if __name__ == "__main__":
    write("onnx-reader", models())
    write("onnx-ort_format", ort_models())
    write("onnx-data", values())
