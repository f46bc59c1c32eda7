"""The models that the clients of test/clients/ open: client_models.py FOLDER writes them there.

Each is the smallest that shows one thing; what it computes can be said in a line, so that every client states the results itself.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Type's name in the clients -> its number in the file format.
TYPES = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16,
    "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32, "uint64": TensorProto.UINT64,
    "bool": TensorProto.BOOL, "string": TensorProto.STRING,
    "float8e4m3fn": TensorProto.FLOAT8E4M3FN, "float8e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
    "float8e5m2": TensorProto.FLOAT8E5M2, "float8e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ,
}  # fmt: skip


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, *, initializers=(), opset=21, ml=None, ms=None, name="client"):
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid("ai.onnx.ml", ml)] if ml else []
    opsets += [helper.make_opsetid("com.microsoft", ms)] if ms else []
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(initializers))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="kapell clients")


def add():
    """c = a + b, with everything that metadata has."""
    made = model([helper.make_node("Add", ["a", "b"], ["c"], name="sum")], [tensor("a", 1, [2, 3]), tensor("b", 1, [2, 3])], [tensor("c", 1, [2, 3])], name="addition")
    made.domain, made.model_version, made.doc_string = "org.example", 7, "adds two tensors"
    made.graph.doc_string = "one node"
    helper.set_model_props(made, {"author": "somebody", "empty": "", "umlaut": "grün"})
    return made


def identity(kind):
    """y = x, of any length."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [tensor("x", kind, ["n"])], [tensor("y", kind, ["n"])])


def narrow(kind):
    """x rounded to four bits, two in a byte."""
    scale = numpy_helper.from_array(np.float32(1), "scale")
    zero = helper.make_tensor("zero", kind, [], [0])
    return model([helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])], [tensor("x", 1, ["n"])], [tensor("y", kind, ["n"])], initializers=[scale, zero])


def widen(kind):
    """Four bits as numbers."""
    scale = numpy_helper.from_array(np.float32(1), "scale")
    return model([helper.make_node("DequantizeLinear", ["x", "scale"], ["y"])], [tensor("x", kind, ["n"])], [tensor("y", 1, ["n"])], initializers=[scale])


def text():
    """z = x joined to y, element by element."""
    return model([helper.make_node("StringConcat", ["x", "y"], ["z"])], [tensor("x", 8, ["n"]), tensor("y", 8, ["n"])], [tensor("z", 8, ["n"])])


def matmul():
    """y = x * [[1, 2], [3, 4], [5, 6], [7, 8]], for any number of rows."""
    weight = numpy_helper.from_array(np.arange(1, 9, dtype=np.float32).reshape(4, 2), "w")
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor("x", 1, ["batch", 4])], [tensor("y", 1, ["batch", 2])], initializers=[weight])


def split():
    """A sequence of the elements of x, each a tensor of one."""
    sequence = helper.make_tensor_sequence_value_info("s", 1, None)
    return model([helper.make_node("SplitToSequence", ["x"], ["s"], axis=0)], [tensor("x", 1, ["n"])], [sequence])


def join():
    """The tensors of a sequence, joined."""
    sequence = helper.make_tensor_sequence_value_info("s", 1, None)
    return model([helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)], [sequence], [tensor("y", 1, ["n"])])


def labels(**keys):
    """Each row of x as a map from the three labels."""
    key_type = 8 if "classlabels_strings" in keys else 7
    made = helper.make_map_type_proto(key_type, helper.make_tensor_type_proto(1, []))
    output = helper.make_value_info("z", helper.make_sequence_type_proto(made))
    return model([helper.make_node("ZipMap", ["x"], ["z"], domain="ai.onnx.ml", **keys)], [tensor("x", 1, ["n", 3])], [output], ml=3)


def lookup(key_type, **keys):
    """The values of a map in the order of three keys; 0 for a key that is not there."""
    made = helper.make_map_type_proto(key_type, helper.make_tensor_type_proto(1, []))
    node = helper.make_node("DictVectorizer", ["m"], ["y"], domain="ai.onnx.ml", **keys)
    return model([node], [helper.make_value_info("m", made)], [tensor("y", 1, [1, 3])], ml=3)


def slow():
    """x times 1/64 of a matrix of ones, |count| times over: what a run is terminated in."""
    ones = numpy_helper.from_array(np.full((64, 64), 1 / 64, np.float32), "ones")
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("MatMul", ["in", "ones"], ["out"])],
        "body", [tensor("i", 7, []), tensor("going", 9, []), tensor("in", 1, [64, 64])], [tensor("on", 9, []), tensor("out", 1, [64, 64])],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)
    return model([loop], [tensor("count", 7, []), tensor("x", 1, [64, 64])], [tensor("y", 1, [64, 64])], initializers=[ones])


def defaults():
    """y = x * scale + bias, where scale may be given and is 2, and bias is the initializer [10, 20]."""
    scale = numpy_helper.from_array(np.float32([2]), "scale")
    bias = numpy_helper.from_array(np.float32([10, 20]), "bias")
    nodes = [helper.make_node("Mul", ["x", "scale"], ["m"]), helper.make_node("Add", ["m", "bias"], ["y"])]
    return model(nodes, [tensor("x", 1, [2]), tensor("scale", 1, [1])], [tensor("y", 1, [2])], initializers=[scale, bias])


def nonzero():
    """Indices of what is not zero in x: a size that the data decides."""
    return model([helper.make_node("NonZero", ["x"], ["y"])], [tensor("x", 1, ["n"])], [tensor("y", 7, [1, "count"])])


def optional():
    """x as an optional value."""
    made = helper.make_value_info("o", helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [2])))
    return model([helper.make_node("Optional", ["x"], ["o"])], [tensor("x", 1, [2])], [made])


def sparse():
    """y = a * b, a sparse and b dense."""
    a = helper.make_sparse_tensor_value_info("a", 1, [3, 3])
    node = helper.make_node("SparseToDenseMatMul", ["a", "b"], ["y"], domain="com.microsoft")
    return model([node], [a, tensor("b", 1, [3, 2])], [tensor("y", 1, [3, 2])], ms=1)


def gather():
    """y = x[at]: a run that fails on what the data says."""
    return model([helper.make_node("Gather", ["x", "at"], ["y"])], [tensor("x", 1, [4]), tensor("at", 7, ["n"])], [tensor("y", 1, ["n"])])


def scale(**attributes):
    """y = x * factor, by an operator of the client's own, between two of ONNX's."""
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Scale", ["a"], ["b"], domain="client", **attributes), helper.make_node("Neg", ["b"], ["y"])]
    made = model(nodes, [tensor("x", 1, ["n"])], [tensor("y", 1, ["n"])])
    made.opset_import.append(helper.make_opsetid("client", 1))
    return made


def unknown():
    """An operator that nobody has."""
    return model([helper.make_node("NoSuchOperator", ["x"], ["y"])], [tensor("x", 1, [1])], [tensor("y", 1, [1])])


def external(folder):
    """y = x + w, whose w = 0, 1, ... 299 lies in external.bin."""
    weight = numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
    made = model([helper.make_node("Add", ["x", "w"], ["y"])], [tensor("x", 1, [300])], [tensor("y", 1, [300])], initializers=[weight])
    onnx.save(made, folder / "external.onnx", save_as_external_data=True, location="external.bin", size_threshold=0)


def write(folder):
    """Writes every model into |folder|, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "external.bin").unlink(missing_ok=True)
    three = {"classlabels_strings": ["one", "two", "three"]}
    models = {f"identity_{name}": identity(kind) for name, kind in TYPES.items()} | {
        "add": add(), "text": text(), "matmul": matmul(), "split": split(), "join": join(), "slow": slow(), "defaults": defaults(),
        "labels": labels(**three), "ids": labels(classlabels_int64s=[10, 20, 30]), "nonzero": nonzero(), "optional": optional(),
        "lookup": lookup(8, string_vocabulary=["one", "two", "three"]), "lookup_ids": lookup(7, int64_vocabulary=[10, 20, 30]),
        "narrow_int4": narrow(TensorProto.INT4), "narrow_uint4": narrow(TensorProto.UINT4), "widen_int4": widen(TensorProto.INT4),
        "widen_uint4": widen(TensorProto.UINT4), "sparse": sparse(), "gather": gather(),
        "scale": scale(factor=4.0), "scale_negative": scale(factor=-1.0), "scale_none": scale(), "unknown": unknown(), "żółw 大": add(),
    }  # fmt: skip
    for name, made in models.items():
        onnx.save(made, folder / f"{name}.onnx")
    external(folder)
    (folder / "garbage.onnx").write_bytes(b"this is no model" * 20)
    (folder / "cut.onnx").write_bytes((folder / "matmul.onnx").read_bytes()[:-20])
    (folder / "empty.onnx").write_bytes(b"")


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
