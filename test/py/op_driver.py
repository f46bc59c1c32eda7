"""Runs small models through build/<preset>/test/op_run and compares results; shared by the tests of operators."""

import os
import pathlib
import subprocess

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program():
    """The op_run of the preset under test."""
    return ROOT / "build" / os.environ.get("KAPELL_PRESET", "release") / "test" / "op_run"


def as_tensor(value, name):
    """|value| (a TensorProto or an array) as TensorProto of that name."""
    tensor = TensorProto()
    tensor.CopyFrom(value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value)))
    tensor.name = name
    return tensor


def embed(model, inputs, constants=()):
    """A copy of |model| whose inputs carry their data: tensors as initializers, sequences and optionals made by nodes.

    |inputs|: one entry an input of the graph; TensorProto or array, list (a sequence), ("opt", value), None (left alone). The names in
    |constants| are not inputs of the result.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.ir_version = max(model.ir_version, 4)
    graph, infos, extra = model.graph, list(model.graph.input), []
    del graph.input[:]
    for info, value in zip(infos, inputs):
        if isinstance(value, tuple):
            value = value[1]
            extra += optional_nodes(graph, info, value)
        elif isinstance(value, list):
            extra += sequence_nodes(graph, info.name, value, info.type.sequence_type.elem_type.tensor_type.elem_type)
        else:
            if info.name not in constants:
                graph.input.append(info)
            if value is not None:
                graph.initializer.append(as_tensor(value, info.name))
    nodes = extra + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    if extra and model.opset_import[0].version < 16:
        model.opset_import[0].version = 16
    return model


def sequence_nodes(graph, name, items, element):
    """Nodes that make the sequence |items|."""
    if not items:
        return [helper.make_node("SequenceEmpty", [], [name], dtype=element)]
    names = [f"{name}_item{i}" for i in range(len(items))]
    for item_name, item in zip(names, items):
        graph.initializer.append(as_tensor(item, item_name))
    return [helper.make_node("SequenceConstruct", names, [name])]


def optional_nodes(graph, info, value):
    """Nodes that make the optional |value| (None: empty)."""
    inner = info.type.optional_type.elem_type
    if value is None:
        return [helper.make_node("Optional", [], [info.name], type=inner)]
    if isinstance(value, list):
        nodes = sequence_nodes(graph, info.name + "_value", value, inner.sequence_type.elem_type.tensor_type.elem_type)
    else:
        graph.initializer.append(as_tensor(value, info.name + "_value"))
        nodes = []
    return nodes + [helper.make_node("Optional", [info.name + "_value"], [info.name])]


def run(paths, *flags, batch=200):
    """Runs each model of |paths|; its results lie in PATH.out. A crash is written there too."""
    paths = [str(p) for p in paths]
    for path in paths:
        pathlib.Path(path + ".out").unlink(missing_ok=True)
    todo = paths
    while todo:
        part, todo = todo[:batch], todo[batch:]
        result = subprocess.run([str(program()), *flags, *part], capture_output=True, text=True, timeout=600, check=False)
        if result.returncode == 0:
            continue
        made = [p for p in part if pathlib.Path(p + ".out").exists()]
        pathlib.Path(made[-1] + ".out").write_bytes(b"error crash: " + result.stderr[-2000:].encode())
        todo = part[len(made):] + todo


def read_value(data, at):
    """One value from |data| at offset |at|; (value, offset behind it)."""
    end = data.index(b"\n", at)
    words = data[at:end].decode(errors="replace").split(" ")
    at = end + 1
    if words[0] == "none":
        return None, at
    if words[0] == "sequence":
        items = []
        for _ in range(int(words[1])):
            item, at = read_value(data, at)
            items.append(item)
        return items, at
    if words[0] == "map":
        keys, at = read_value(data, at)
        values, at = read_value(data, at)
        return dict(zip(keys.tolist(), values.tolist())), at
    if words[0] == "strings":
        dims, texts = [int(w) for w in words[2:]], []
        for _ in range(int(np.prod(dims, dtype=np.int64))):
            end = data.index(b"\n", at)
            length = int(data[at:end])
            texts.append(data[end + 1:end + 1 + length].decode())
            at = end + 1 + length
        return np.array(texts, dtype=object).reshape(dims), at
    if words[0] == "tensor":
        kind, dims = int(words[1]), [int(w) for w in words[3:]]
        tensor = TensorProto(data_type=kind, dims=dims)
        size = byte_count(kind, int(np.prod(dims, dtype=np.int64)))
        if kind in (27, 28):  # 6-bit floats: a byte each in memory, packed in files
            return np.frombuffer(data[at:at + size], helper.tensor_dtype_to_np_dtype(kind)).reshape(dims), at + size
        tensor.raw_data = data[at:at + size]
        return numpy_helper.to_array(tensor), at + size
    raise RuntimeError(data[:at].decode(errors="replace").strip())


def byte_count(kind, count):
    """Bytes of |count| elements of the element type |kind|."""
    bits = {TensorProto.UINT4: 4, TensorProto.INT4: 4, TensorProto.FLOAT4E2M1: 4, 25: 2, 26: 2}
    if kind in bits:
        return (count * bits[kind] + 7) // 8
    return count * helper.tensor_dtype_to_np_dtype(kind).itemsize


def read_out(path):
    """All outputs of the model at |path| (of both ways to run it, one after the other), or the text of the error."""
    data = pathlib.Path(str(path) + ".out").read_bytes()
    if data.startswith(b"error"):
        return data.decode(errors="replace").strip()[:600]
    values, at = [], 0
    while at < len(data):
        try:
            value, at = read_value(data, at)
        except RuntimeError as error:
            return str(error)
        values.append(value)
    return values


def agree(got, wanted, rtol=1e-3, atol=1e-7):
    """None where |got| (of read_out) is |wanted| (a list of TensorProtos, arrays, lists, None), else what is wrong."""
    if isinstance(got, str):
        return got
    if len(got) == 2 * len(wanted) and wanted:  # node by node, then as a partition
        return agree(got[:len(wanted)], wanted, rtol, atol) or agree(got[len(wanted):], wanted, rtol, atol)
    if len(got) != len(wanted):
        return f"{len(got)} outputs, not {len(wanted)}"
    for i, (a, b) in enumerate(zip(got, wanted)):
        wrong = agree_value(a, b, rtol, atol)
        if wrong:
            return f"output {i}: {wrong}"
    return None


def agree_value(got, wanted, rtol, atol):
    """The same for one value."""
    if isinstance(wanted, tuple):
        wanted = wanted[1]
    if isinstance(wanted, TensorProto):
        wanted = numpy_helper.to_array(wanted)
    if wanted is None or got is None:
        return None if wanted is None and got is None else "one is absent"
    if isinstance(wanted, list) or isinstance(got, list):
        if not isinstance(got, list) or not isinstance(wanted, list) or len(got) != len(wanted):
            return "sequences of different lengths, or one is none"
        return next((w for a, b in zip(got, wanted) if (w := agree_value(a, b, rtol, atol))), None)
    if isinstance(wanted, dict) or isinstance(got, dict):
        return agree_map(got, wanted, rtol, atol)
    wanted = np.asarray(wanted)
    if got.shape != wanted.shape:
        return f"shape {got.shape}, not {wanted.shape}"
    if wanted.dtype.kind in "OUS":
        return None if (got.astype(str) == wanted.astype(str)).all() else f"texts {got.tolist()[:5]}, not {wanted.tolist()[:5]}"
    if got.dtype != wanted.dtype:
        return f"type {got.dtype}, not {wanted.dtype}"
    if wanted.dtype.kind not in "fcV" or wanted.dtype.itemsize < 2:
        if wanted.dtype.kind in "iub":
            same = np.abs(got.astype(object) - wanted.astype(object)) <= atol if atol >= 1 and wanted.dtype.kind != "b" else got == wanted
        else:
            a, b = got.astype(np.float32), wanted.astype(np.float32)
            same = (a == b) | (np.isnan(a) & np.isnan(b))
    else:
        wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
        a, b = got.astype(wide), wanted.astype(wide)
        with np.errstate(invalid="ignore"):
            same = np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=True)
    if same.all():
        return None
    bad = np.argwhere(~same)[0] if same.ndim else ()
    return f"{int((~same).sum())} of {same.size} differ, first {got[tuple(bad)]}, not {wanted[tuple(bad)]} at {list(map(int, bad))}"


def agree_map(got, wanted, rtol, atol):
    """The same for maps."""
    if not isinstance(got, dict) or not isinstance(wanted, dict) or set(got) != set(wanted):
        return f"map {got}, not {wanted}"
    return next((f"key {key}: {w}" for key in wanted if (w := agree_value(np.asarray(got[key]), np.asarray(wanted[key]), rtol, atol))), None)
