"""src/onnx/ against the onnx package, field by field: every message, every element type in every form of storage, the models
of the package's own test data, and mutated files, where both must agree on what is protobuf and what is not."""

import itertools
import json
import pathlib
import random
import subprocess

import numpy as np
import onnx
import onnx_json
import ort_flat
import pytest
from hostile import ort_format
from onnx import AttributeProto, TensorProto, helper, numpy_helper

pytestmark = pytest.mark.asan_programs

TYPES = [t for t in TensorProto.DataType.values() if t not in (TensorProto.UNDEFINED, TensorProto.STRING)]
PACKAGE_DATA = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"


@pytest.fixture(scope="session")
def dump(build_dir, tmp_path_factory):
    """dump(path, rewritten=None): what the reader sees in the file, parsed; also writes it again to |rewritten|."""
    errors = tmp_path_factory.mktemp("onnx_dump") / "stderr"
    with errors.open("w") as stderr, subprocess.Popen([str(build_dir / "test" / "onnx_dump")], stdin=subprocess.PIPE,
                                                      stdout=subprocess.PIPE, stderr=stderr) as process:
        def ask(path, rewritten=None):
            process.stdin.write((str(path) + (f"\t{rewritten}" if rewritten else "") + "\n").encode())
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"onnx_dump ended: {errors.read_text()}"
            seen = json.loads(line.decode("utf-8"), parse_float=str)
            fix_floats(seen)
            return seen

        yield ask
        process.stdin.close()
        assert process.wait(60) == 0, errors.read_text()


def fix_floats(tree):
    """C's %a and Python's float.hex agree in value, not in spelling."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, (dict, list)):
            fix_floats(value)
        elif isinstance(value, str) and (value.startswith(("0x", "-0x")) or value in ("nan", "-nan", "inf", "-inf")):
            tree[key] = float.hex(float.fromhex(value.lstrip("-") if "nan" in value else value))


def graph_of(**fields):
    graph = onnx.GraphProto(name="g")
    for name, value in fields.items():
        getattr(graph, name).extend(value)
    return graph


def model_of(graph, **fields):
    return helper.make_model(graph, ir_version=14, opset_imports=[helper.make_opsetid("", 24)], **fields)


def assert_same(dump, tmp_path, model):
    """The reader sees what the package wrote, and the package sees what the writer wrote."""
    path, rewritten = tmp_path / "model.onnx", tmp_path / "again.onnx"
    path.write_bytes(model.SerializeToString())
    assert dump(path, rewritten) == onnx_json.model_json(model, str(tmp_path))
    assert onnx_json.model_json(onnx.load(rewritten, load_external_data=False), str(tmp_path)) == \
        onnx_json.model_json(model, str(tmp_path))


# --- tensors ---------------------------------------------------------------------------------------------------------------
def random_raw(kind, count, seed):
    """A tensor of |kind| with |count| random elements in raw_data."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, count * 16, np.uint8)
    if kind == TensorProto.BOOL:
        raw = (codes[:count] & 1).tobytes()
    elif kind in onnx_json.SIX_BIT:
        raw = numpy_helper._pack_6bit(codes[:count] & 0x3F).tobytes()
    elif kind in onnx_json.FOUR_BIT or kind in onnx_json.TWO_BIT:
        per_byte, bits = (2, 4) if kind in onnx_json.FOUR_BIT else (4, 2)
        raw = bytearray(codes[:-(-count // per_byte)].tobytes())
        if count % per_byte:  # padding is zero
            raw[-1] &= (1 << (count % per_byte * bits)) - 1
        raw = bytes(raw)
    else:
        width = helper.tensor_dtype_to_np_dtype(kind).itemsize
        raw = codes[:count * width].tobytes()
    return TensorProto(name=f"raw{kind}_{count}", data_type=kind, dims=[count], raw_data=raw)


def typed(raw):
    """The same elements in the typed field."""
    tensor = TensorProto(name="typed" + raw.name, data_type=raw.data_type, dims=raw.dims)
    array = numpy_helper.to_array(raw).reshape(-1)
    kind = raw.data_type
    field = helper.tensor_dtype_to_field(kind)
    if kind in onnx_json.FOUR_BIT or kind in onnx_json.TWO_BIT:
        values = np.frombuffer(raw.raw_data, np.uint8)
    elif kind in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        values = array.view(np.float32 if kind == TensorProto.COMPLEX64 else np.float64)
    elif field == "int32_data" and array.dtype.kind not in "iu":
        values = array.view(np.uint16 if array.itemsize == 2 else np.uint8)
    else:
        values = array
    getattr(tensor, field).extend(values.tolist())
    return tensor


def has_nan(raw):
    """NaNs in float fields may change their bits on the way through Python's floats."""
    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.COMPLEX64, TensorProto.COMPLEX128)
    return raw.data_type in floats and np.isnan(numpy_helper.to_array(raw)).any()


@pytest.mark.parametrize("kind", TYPES, ids=TensorProto.DataType.Name)
def test_element_types(dump, tmp_path, kind):
    raws = [random_raw(kind, count, kind) for count in (0, 1, 2, 3, 4, 5, 7, 8, 33)]
    data = b"".join(b"\0" * 3 + raw.raw_data for raw in raws)
    (tmp_path / "weights.bin").write_bytes(data)
    external, offset = [], 0
    for raw in raws:
        tensor = TensorProto(name="external" + raw.name, data_type=kind, dims=raw.dims)
        tensor.data_location = TensorProto.EXTERNAL
        offset += 3
        for key, value in {"location": "weights.bin", "offset": offset, "length": len(raw.raw_data)}.items():
            tensor.external_data.add(key=key, value=str(value))
        offset += len(raw.raw_data)
        external.append(tensor)
    typed_tensors = [typed(raw) for raw in raws if not has_nan(raw)]
    assert len(typed_tensors) > 2
    assert_same(dump, tmp_path, model_of(graph_of(initializer=raws + typed_tensors + external)))


def test_strings(dump, tmp_path):
    tensor = TensorProto(name="s", data_type=TensorProto.STRING, dims=[2, 2])
    tensor.string_data.extend([b"", "é".encode(), b"a\0b", b"\xff\xfe"])
    assert_same(dump, tmp_path, model_of(graph_of(initializer=[tensor])))


@pytest.mark.parametrize("indices", [[1, 3, 8], [[0, 1], [1, 0], [2, 2]]])
def test_sparse(dump, tmp_path, indices):
    values = numpy_helper.from_array(np.array([1.5, -2, 3], np.float32), "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(indices, np.int64), "w_indices"), [3, 3])
    assert_same(dump, tmp_path, model_of(graph_of(sparse_initializer=[sparse])))


# --- every field -------------------------------------------------------------------------------------------------------------
def all_types():
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [1, "n", None, 0], ["DATA_BATCH", "", "X", ""])
    tensor.denotation = "IMAGE"
    opaque = onnx.TypeProto()
    opaque.opaque_type.domain = "d"
    opaque.opaque_type.name = "n"
    return [tensor, helper.make_tensor_type_proto(TensorProto.STRING, None), helper.make_tensor_type_proto(TensorProto.INT4, []),
            helper.make_sparse_tensor_type_proto(TensorProto.DOUBLE, ["a", 2]), helper.make_sequence_type_proto(tensor),
            helper.make_map_type_proto(TensorProto.INT64, helper.make_sequence_type_proto(tensor)),
            helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor)), opaque, onnx.TypeProto()]


def all_attributes():
    tensor = numpy_helper.from_array(np.arange(4, dtype=np.int16), "t")
    sparse = helper.make_sparse_tensor(tensor, numpy_helper.from_array(np.array([0, 2, 4, 6]), "i"), [9])
    body = graph_of(input=[helper.make_value_info("x", all_types()[0])], initializer=[tensor],
                    node=[helper.make_node("If", ["x"], ["y"], then_branch=graph_of(), else_branch=graph_of())])
    values = {"f": 0.1, "i": -(2**63), "s": b"\x00\xff", "t": tensor, "g": body, "sparse": sparse, "tp": all_types()[0],
              "floats": [1.0, float("inf"), float("nan"), -0.0], "ints": [0, -1, 2**63 - 1], "strings": [b"", b"x\0"],
              "tensors": [tensor, tensor], "graphs": [body, graph_of()], "sparses": [sparse], "tps": all_types()}
    attributes = [helper.make_attribute(name, value) for name, value in values.items()]
    zero = AttributeProto(name="zero", type=AttributeProto.INT, doc_string="no field at all")
    empty = AttributeProto(name="empty", type=AttributeProto.INTS)
    reference = AttributeProto(name="ref", ref_attr_name="outer", type=AttributeProto.FLOAT)
    return [*attributes, zero, empty, reference]


def full_model():
    node = helper.make_node("Op", ["a", "", "b"], ["y", ""], name="n", domain="my.domain", overload="o", doc_string="doc")
    node.attribute.extend(all_attributes())
    node.metadata_props.add(key="k", value="v")
    device = node.device_configurations.add(configuration_id="c", pipeline_stage=3)
    sharding = device.sharding_spec.add(tensor_name="a", device=[0, -1])
    sharding.index_to_device_group_map.add(key=-1, value=[0, 1])
    dim = sharding.sharded_dim.add(axis=-1)
    dim.simple_sharding.add(dim_value=0, num_shards=2)
    dim.simple_sharding.add(dim_param="n", num_shards=1)
    infos = [helper.make_value_info(f"v{i}", t, f"doc {i}") for i, t in enumerate(all_types())]
    infos[0].metadata_props.add(key="k", value="v")
    tensor = numpy_helper.from_array(np.float32([1, 2]), "w")
    tensor.doc_string = "weights"
    tensor.metadata_props.add(key="k", value="")
    graph = graph_of(node=[node], initializer=[tensor], input=infos, output=infos[:2], value_info=infos[2:4])
    graph.doc_string = "täglich"
    graph.metadata_props.add(key="gk", value="gv")
    annotation = graph.quantization_annotation.add(tensor_name="a")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    function = helper.make_function("f", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 20)], attributes=["alpha"],
                                    attribute_protos=all_attributes()[:2], doc_string="d", overload="o2", value_info=infos)
    function.metadata_props.add(key="k", value="v")
    model = model_of(graph, functions=[function], producer_name="p", producer_version="1", model_version=-5, domain="d",
                     doc_string="doc")
    model.metadata_props.add(key="k", value="v")
    model.configuration.add(name="c", num_devices=2, device=["0", "1"])
    training = model.training_info.add(initialization=graph_of(), algorithm=graph)
    training.initialization_binding.add(key="a", value="b")
    training.update_binding.add(key="c", value="d")
    return model


def test_every_field(dump, tmp_path):
    assert_same(dump, tmp_path, full_model())


def test_full_model_has_every_field():
    """The check of the check: no field of onnx.proto is left unset by full_model()."""
    seen, known = set(), {}

    def visit(message):
        known[message.DESCRIPTOR.full_name] = {f.name for f in message.DESCRIPTOR.fields}
        for field, value in message.ListFields():
            seen.add((message.DESCRIPTOR.full_name, field.name))
            if field.message_type:
                for item in value if not hasattr(value, "DESCRIPTOR") else [value]:
                    visit(item)

    visit(full_model())
    missing = {(m, f) for m, fields in known.items() for f in fields} - seen
    elsewhere = {(m, f) for m, f in missing if m == "onnx.TensorProto"}  # test_element_types has these
    assert missing - elsewhere == {("onnx.GraphProto", "sparse_initializer")}


def test_ir_version_1_attributes_without_type(dump, tmp_path):
    node = helper.make_node("Op", [], ["y"])
    for attribute in all_attributes()[:-3]:
        attribute.ClearField("type")
        node.attribute.append(attribute)
    assert_same(dump, tmp_path, model_of(graph_of(node=[node])))


# --- files of others -----------------------------------------------------------------------------------------------------------
def package_models():
    return sorted(PACKAGE_DATA.rglob("*.onnx"))


def test_models_of_the_onnx_package(dump, tmp_path):
    models = package_models()
    assert len(models) > 100
    for path in models:
        model = onnx.load(path, load_external_data=False)
        assert dump(path, tmp_path / "again.onnx") == onnx_json.model_json(model, str(path.parent)), path
        again = onnx.load(tmp_path / "again.onnx", load_external_data=False)
        assert onnx_json.model_json(again, str(path.parent)) == onnx_json.model_json(model, str(path.parent)), path


# Our own rules, beyond what a protobuf parser checks.
STRICTER = ("one of several values", "a kind of attribute", "is missing", "NUL byte", "has no graph", "IR version",
            "is no ONNX model", "nested too deep", "more elements than any operator")


def without_data(tree):
    """Drops what depends on the tensors' contents: only the structure is compared."""
    if isinstance(tree, list):
        return [without_data(item) for item in tree]
    if isinstance(tree, dict):
        return {key: without_data(value) for key, value in tree.items() if key not in ("bytes", "strings", "dense", "error")}
    return tree


def any_bytes(tree):
    if isinstance(tree, (list, dict)):
        return any(any_bytes(item) for item in (tree.values() if isinstance(tree, dict) else tree))
    return isinstance(tree, bytes)


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data))
        kind = rng.choice([0, 0, 0, 1, 1, 2, 3, 4])
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 5))
        else:
            size = rng.randrange(1, 40)
            data[at:at] = data[rng.randrange(len(data)):][:size]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def parsed(data):
    """The package's view of |data|: None where it rejects it."""
    try:
        return onnx.ModelProto.FromString(data)
    except Exception:  # noqa: BLE001 - google.protobuf.message.DecodeError, of a module that tests do not depend on
        return None


def test_mutated_files_are_seen_alike(dump, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_json, "memory_bytes", lambda tensor, base_dir="": b"")
    monkeypatch.setattr(onnx_json, "dense_bytes", lambda sparse: b"")
    rng = random.Random(3)
    seeds = [full_model().SerializeToString()] + [path.read_bytes() for path in rng.sample(package_models(), 20)]
    path, compared, rejected = tmp_path / "model.onnx", 0, 0
    for round_number in range(600):
        data = mutate(rng, rng.choice(seeds))
        path.write_bytes(data)
        ours, theirs = dump(path), parsed(data)
        message = ours.get("error", {}).get("text", "")
        if theirs is None:
            assert message, f"round {round_number}: the package rejects it"
            rejected += 1
        elif message:
            assert any(words in message for words in STRICTER), f"round {round_number}: {message}"
        else:
            want = onnx_json.model_json(theirs)
            if any_bytes(want):
                continue  # a name that is not UTF-8: the package gives bytes, JSON has U+FFFD
            assert without_data(ours) == without_data(want), f"round {round_number}"
            compared += 1
    assert compared > 100
    assert rejected > 100


# --- ONNX Runtime's own format ---------------------------------------------------------------------------------------------------
def ort_model():
    """All that the format has a place for: no names of graphs, nor types and attributes that it leaves out."""
    kept = [t for t in all_types() if t.WhichOneof("value") in ("tensor_type", "sequence_type", "map_type")]
    infos = [helper.make_value_info(f"v{i}", t, f"doc {i}") for i, t in enumerate(kept * 2)]
    refused = (AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS, AttributeProto.TYPE_PROTO, AttributeProto.TYPE_PROTOS)
    node = helper.make_node("Op", ["a", "", "b"], ["y", ""], name="n", domain="my.domain", doc_string="doc")
    node.attribute.extend(a for a in all_attributes() if a.type not in refused and not a.ref_attr_name)
    tensors = [random_raw(kind, count, kind) for kind in TYPES for count in (0, 1, 3, 33)]
    tensors.append(TensorProto(name="s", data_type=TensorProto.STRING, dims=[3], string_data=[b"a", b"", b"\xff\0"], doc_string="words"))
    sparse = helper.make_sparse_tensor(numpy_helper.from_array(np.float32([1, 2]), "w"), numpy_helper.from_array(np.int64([0, 3]), "i"), [2, 2])
    graph = graph_of(node=[node, helper.make_node("Earlier", [], ["a"])], initializer=tensors, input=infos[:3], output=infos[3:5],
                     value_info=infos[5:], sparse_initializer=[sparse])
    graph.doc_string = "täglich"
    forget_names(graph)
    model = model_of(graph, producer_name="p", producer_version="1", model_version=-5, domain="d", doc_string="doc")
    model.metadata_props.add(key="k", value="v")
    return model


def forget_names(graph):
    graph.name = ""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                forget_names(inner)


@pytest.mark.parametrize("version", ["1", "6"])
def test_ort_format(dump, tmp_path, version):
    """Every field is read, and the writer makes an ONNX model of it."""
    path, rewritten = tmp_path / "model.ort", tmp_path / "again.onnx"
    model = ort_model()
    path.write_bytes(ort_flat.encode(model, version))
    want = onnx_json.model_json(model)
    assert dump(path, rewritten) == want
    assert onnx_json.model_json(onnx.load(rewritten)) == want


@pytest.mark.parametrize("version", ["0", "7", "", "6 ", "-1", "99999999999999999999"])
def test_ort_format_of_other_versions(dump, tmp_path, version):
    path = tmp_path / "model.ort"
    path.write_bytes(ort_flat.encode(ort_model(), version))
    error = dump(path)["error"]
    assert f"version [{version}] is not supported" in error["text"]
    assert error["code"] == "UNSUPPORTED_MODEL"


def test_broken_ort_format(dump, tmp_path):
    """Cut at every structure, every reference and length another: an error that names the byte, or a model."""
    path, refused = tmp_path / "model.ort", 0
    for case in itertools.chain(ort_format.cuts(), ort_format.flips(), ort_format.references()):
        path.write_bytes(case.model)
        error = dump(path).get("error")
        refused += error is not None
        assert error or case.runs is None, case.name
        assert not error or error["code"] != "INVALID_MODEL" or "byte " in error["text"] or "has no graph" in error["text"], f"{case.name}: {error}"
    assert refused > 500
