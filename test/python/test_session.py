"""InferenceSession, SessionOptions and RunOptions: what onnxruntime's do, beside it."""

import json
import os
import pathlib
import warnings

import kapell
import numpy as np
import onnx
import onnxruntime
import pytest
from little import ADD, IDENTITY, model
from onnx import TensorProto, helper

pytestmark = pytest.mark.asan_slice
CPU = ["CPUExecutionProvider"]
X, Y = np.ones((1, 2), np.float32), np.ones(1, np.float32)
SYMBOLS = "g (float[N, 'a b', 3] x, float y, seq(float) s, optional(float[2]) o) => (float[N] z) { z = Identity(x) }"


@pytest.fixture
def add():
    return kapell.InferenceSession(model(ADD))


# --- opening -----------------------------------------------------------------------------------------------------------------------
def test_path_bytes_and_paths(tmp_path):
    path = tmp_path / "modèle é.onnx"
    path.write_bytes(model(ADD))
    for given in (path, str(path), model(ADD), bytearray(model(ADD)), memoryview(model(ADD))):
        assert kapell.InferenceSession(given).run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]
    os.chdir(tmp_path)
    assert kapell.InferenceSession(path.name).get_inputs()[0].name == "x"


@pytest.mark.parametrize(("given", "error"), [
    ("/no/such.onnx", "NoSuchFile"), (b"", "InvalidArgument"), (b"some text", "InvalidProtobuf"), (b"\x08\x09\xff", "InvalidProtobuf"),
    (model(ADD).replace(b"Add", b"Adx"), "InvalidGraph"), (3, TypeError), (None, TypeError)])
def test_wrong_models_raise_as_in_onnxruntime(given, error):
    with pytest.raises(error if isinstance(error, type) else getattr(kapell, error)):
        kapell.InferenceSession(given)
    theirs = error if isinstance(error, type) else getattr(onnxruntime.capi.onnxruntime_pybind11_state, error)
    with pytest.raises(theirs):
        onnxruntime.InferenceSession(given, providers=CPU)


def test_an_error_tells_the_chain():
    with pytest.raises(kapell.InvalidGraph) as caught:
        kapell.InferenceSession(model(ADD).replace(b"Add", b"Adx"))
    error = caught.value
    assert isinstance(error, kapell.KapellError) and error.op == "Adx" and error.code_name and error.code
    assert f"KAPELL-E{error.code:04}" in str(error) and "opening a model" in str(error) and error.message in str(error)


def test_unknown_keywords_are_no_silent_matter():
    with pytest.raises(TypeError, match="thread"):
        kapell.InferenceSession(model(ADD), thread=3)
    with pytest.raises(TypeError, match="max_memory"):
        kapell.InferenceSession(model(ADD), max_memory="much")
    kapell.InferenceSession(model(ADD), disabled_optimizers=["ConstantFolding"], read_config_from_model=0)


def test_bytes_may_go_after_opening():
    weights = helper.make_tensor("w", TensorProto.FLOAT, [100000], np.arange(100000, dtype=np.float32).tobytes(), raw=True)
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [100000])], [weights])
    changing = bytearray(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())
    session = kapell.InferenceSession(changing)
    changing[:] = bytes(len(changing))
    assert session.run(None, {"x": np.zeros(1, np.float32)})[0][-1] == 99999


# --- what it is ----------------------------------------------------------------------------------------------------------------------
def test_inputs_and_outputs_as_onnxruntime_has_them():
    ours, theirs = (k.InferenceSession(model("""g (float[N, M, 3] x, int64 y, seq(float[2]) s, optional(float[K]) o, string t)
        => (float[N, M, 3] z, seq(map(int64, float)) m, bool b) {
          z = Identity(x) q = Reshape(x, r) r = Constant<value = int64[2] {1, -1}>() m = ai.onnx.ml.ZipMap<classlabels_int64s = [1]>(q)
          b = OptionalHasElement(o) }"""), providers=CPU) for k in (kapell, onnxruntime))
    for method in ("get_inputs", "get_outputs", "get_overridable_initializers"):
        assert [str(a) for a in getattr(ours, method)()] == [str(a) for a in getattr(theirs, method)()]


def test_metadata_as_onnxruntime_has_it():
    proto = onnx.ModelProto.FromString(model(ADD))
    proto.producer_name, proto.domain, proto.doc_string, proto.model_version, proto.graph.doc_string = "p", "d.e", "text", 7, "of the graph"
    helper.set_model_props(proto, {"key": "välue", "": "x"})
    ours, theirs = (k.InferenceSession(proto.SerializeToString(), providers=CPU).get_modelmeta() for k in (kapell, onnxruntime))
    for name in ("producer_name", "graph_name", "domain", "description", "graph_description", "version", "custom_metadata_map"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_a_replaced_initializer():
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "w")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])], [helper.make_tensor("w", TensorProto.FLOAT, [2], [5, 6])])
    session = kapell.InferenceSession(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())
    assert [a.name for a in session.get_overridable_initializers()] == ["w"] and [a.name for a in session.get_inputs()] == ["x"]
    x = np.ones(2, np.float32)
    assert session.run(None, {"x": x})[0].tolist() == [6, 7]
    assert session.run(None, {"w": x, "x": x})[0].tolist() == [2, 2]


# --- run --------------------------------------------------------------------------------------------------------------------------------
def test_names_of_outputs(add):
    for names in (None, [], ["z"], ("z",)):
        assert len(add.run(names, {"x": X, "y": Y})) == 1
    assert len(add.run(["z", "z"], {"x": X, "y": Y})) == 2
    assert add.run(output_names=None, input_feed={"x": X, "y": Y}, run_options=None)[0].shape == (1, 2)


WRONG = [
    (None, {"x": X}, ValueError), (None, {"x": X, "y": Y, "q": Y}, "InvalidArgument"), (["q"], {"x": X, "y": Y}, "InvalidArgument"),
    (None, {"x": X.astype("d"), "y": Y}, "InvalidArgument"), (None, {"x": X[0], "y": Y}, "InvalidArgument"),
    (None, {"x": np.ones((1, 3), np.float32), "y": Y}, "InvalidArgument"), (None, [X, Y], AttributeError), ("z", {"x": X, "y": Y}, TypeError),
    (None, {"x": object(), "y": Y}, RuntimeError), (None, {"x": np.array([object()]), "y": Y}, "InvalidArgument"), (3, {"x": X, "y": Y}, TypeError),
    (None, {"x": X, "y": np.zeros(1, "datetime64[s]")}, None), (None, {}, ValueError), (None, {1: X, "x": X, "y": Y}, None)]


@pytest.mark.parametrize(("names", "feed", "error"), WRONG)
def test_wrong_runs_raise_as_in_onnxruntime(add, names, feed, error):
    with pytest.raises(Exception) as ours:
        add.run(names, feed)
    if error is None:
        assert isinstance(ours.value, (kapell.KapellError, TypeError, ValueError))
        return
    assert isinstance(ours.value, error if isinstance(error, type) else getattr(kapell, error))
    theirs = error if isinstance(error, type) else getattr(onnxruntime.capi.onnxruntime_pybind11_state, error)
    with pytest.raises(theirs):
        onnxruntime.InferenceSession(model(ADD), providers=CPU).run(names, feed)
    assert add.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]


def test_a_node_that_fails_names_itself():
    session = kapell.InferenceSession(model("g (float[n] x, int64[m] i) => (float[m] y) { y = Gather(x, i) }"))
    with pytest.raises(kapell.InvalidArgument) as caught:
        session.run(None, {"x": np.ones(3, np.float32), "i": np.array([7])})
    assert caught.value.op == "Gather" and "7" in str(caught.value)


def test_a_feed_that_is_no_dict(add):
    import collections
    assert add.run(None, collections.OrderedDict(y=Y, x=X))[0].tolist() == [[2, 2]]
    assert add.run(None, collections.UserDict(y=Y, x=X))[0].tolist() == [[2, 2]]


def test_more_names_than_the_stack_holds():
    count = 200
    names = [f"x{i}" for i in range(count)]
    text = f"g ({', '.join(f'float[1] {n}' for n in names)}) => ({', '.join(f'float[1] y{i}' for i in range(count))}) {{ "
    text += " ".join(f"y{i} = Neg({n})" for i, n in enumerate(names)) + " }"
    session = kapell.InferenceSession(model(text))
    feed = {n: np.full(1, i, np.float32) for i, n in enumerate(names)}
    assert [float(y[0]) for y in session.run(None, feed)] == [-i for i in range(count)]
    assert [float(y[0]) for y in session.run(["y7", "y150", "y7"], feed)] == [-7, -150, -7]


def test_run_async(add):
    import threading
    done, seen = threading.Event(), []
    add.run_async(None, {"x": X, "y": Y}, lambda results, data, error: (seen.append((results[0].tolist(), data, error)), done.set()), "mine")
    assert done.wait(60) and seen == [([[2, 2]], "mine", "")]
    done.clear()
    add.run_async(None, {"x": X.astype("d"), "y": Y}, lambda results, data, error: (seen.append((results, error)), done.set()), None)
    assert done.wait(60) and seen[1][0] == [] and "INVALID_INPUT" in seen[1][1]
    with pytest.raises(kapell.InvalidArgument):
        add.run_async(["q"], {"x": X, "y": Y}, print, None)


def test_run_async_whose_callback_raises(add, monkeypatch):
    import threading
    said, done = [], threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda args: (said.append(args.exc_type), done.set()))
    add.run_async(None, {"x": X, "y": Y}, lambda *_: 1 / 0, None)
    assert done.wait(60) and said == [ZeroDivisionError]


# --- providers ---------------------------------------------------------------------------------------------------------------------------
def test_consent():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session = kapell.InferenceSession(model(ADD), providers=["CUDA?", "CPU"])
    assert session.get_providers() == CPU
    assert [w.category for w in caught] == [kapell.KapellWarning] and "CUDA" in str(caught[0].message) and caught[0].filename == __file__
    with pytest.raises(kapell.EPFail, match="CUDA.*not available"):
        kapell.InferenceSession(model(ADD), providers=["CUDA"])
    with warnings.catch_warnings(), pytest.raises(kapell.KapellWarning):
        warnings.simplefilter("error")
        kapell.InferenceSession(model(ADD), providers=["CUDA?"])


@pytest.mark.parametrize("providers", [CPU, ["CPU"], "CPU", ["cpu"], [("CPUExecutionProvider", {})], "CPU; partitions<=3", [], None, ("CPU",)])
def test_forms_of_the_list(providers):
    assert kapell.InferenceSession(model(ADD), providers=providers).get_providers() == CPU


@pytest.mark.parametrize(("providers", "options", "error"), [
    (["Nope"], None, "InvalidArgument"), (["CPU"], [{}, {}], ValueError), ([("CPU", {})], [{}], ValueError), ([3], None, ValueError),
    ({"CPU"}, None, ValueError), (["CPU"], [3], ValueError), ([("CPU", {"no_such": 1})], None, "InvalidArgument"), (["CPU; nonsense"], None, "InvalidArgument")])
def test_wrong_provider_lists(providers, options, error):
    with pytest.raises(error if isinstance(error, type) else getattr(kapell, error)):
        kapell.InferenceSession(model(ADD), providers=providers, provider_options=options)


def test_options_of_a_provider_are_checked_and_kept():
    with pytest.warns(kapell.KapellWarning):
        session = kapell.InferenceSession(model(ADD), providers=[("CUDA?", {"device_id": 0}), "CPU"])
    assert session.get_provider_options() == {"CPUExecutionProvider": {}}
    with pytest.raises(kapell.InvalidArgument, match="device_idd"):
        kapell.InferenceSession(model(ADD), providers=[("CUDA?", {"device_idd": 0})])


def test_set_providers_opens_anew(add):
    with pytest.raises(kapell.EPFail):
        add.set_providers(["CUDA"])
    assert add.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]  # the session is as it was
    with pytest.warns(kapell.KapellWarning):
        add.set_providers([("CUDA?", {}), "CPU"])
    assert add.get_providers() == CPU
    add.disable_fallback()
    add.enable_fallback()
    assert add.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]


def test_no_floor():
    options = kapell.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(kapell.KapellError, match="floor"):
        kapell.InferenceSession(model(ADD), options, providers=["CUDA?"])


# --- options -----------------------------------------------------------------------------------------------------------------------------
def test_session_options_beside_onnxruntime():
    ours, theirs = kapell.SessionOptions(), onnxruntime.SessionOptions()
    for name in dir(theirs):
        if name.startswith("_"):
            continue
        assert hasattr(ours, name), name
        value = getattr(theirs, name)
        if not callable(value):
            mine = getattr(ours, name)
            assert mine == (int(value) if hasattr(value, "__members__") else value), name
            assert getattr(mine, "name", None) == getattr(value, "name", None)
            if isinstance(value, (bool, int, str)):
                setattr(ours, name, value)
                for wrong in ([], {}):
                    with pytest.raises(TypeError):
                        setattr(ours, name, wrong)
                    with pytest.raises(TypeError):
                        setattr(theirs, name, wrong)


def test_run_options_beside_onnxruntime():
    ours, theirs = kapell.RunOptions(), onnxruntime.RunOptions()
    for name in dir(theirs):
        if not name.startswith("_"):
            assert hasattr(ours, name), name
            if not callable(getattr(theirs, name)):
                assert getattr(ours, name) == getattr(theirs, name), name
    ours.add_run_config_entry("a", "b")
    assert ours.get_run_config_entry("a") == "b"
    with pytest.raises(RuntimeError):
        ours.get_run_config_entry("c")


def test_names_of_onnxruntime_are_there():
    # Parts of its build, and modules beside: the rest is API.
    beside = {"capi", "contextlib", "cuda_version", "import_capi_exception", "onnxruntime_validation", "package_name", "version",
              "ModelPackage", "ModelPackageComponentContext", "ModelPackageContext", "ModelPackageOptions", "ModelPackageWriteMode",
              "OrtEpContextData", "OrtEpContextDataBuffer"}
    names = [name for name in dir(onnxruntime) if not name.startswith("_") and name not in beside]
    assert [name for name in names if name not in dir(kapell)] == []
    session = kapell.InferenceSession(model(ADD))
    webgpu = {"create_ortvalue_from_shape_and_type", "release_captured_graph", "run_with_ortvaluevector"}
    theirs = [name for name in dir(onnxruntime.InferenceSession) if not name.startswith("_") and name not in webgpu]
    assert [name for name in theirs if not callable(getattr(session, name, None))] == []


def test_config_entries():
    options = kapell.SessionOptions()
    options.add_session_config_entry("a", "b")
    assert options.get_session_config_entry("a") == "b"
    with pytest.raises(RuntimeError):
        options.get_session_config_entry("c")
    with pytest.raises(TypeError):
        options.add_session_config_entry("a", 1)


def test_dimensions_initializers_and_files(tmp_path):
    options = kapell.SessionOptions()
    options.add_free_dimension_override_by_name("N", 4)
    session = kapell.InferenceSession(model(ADD), options)
    assert session.get_inputs()[0].shape == [4, 2]
    weights = np.arange(3000, dtype=np.float32)
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3000])], [onnx.numpy_helper.from_array(weights, "w")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    data, x = (tmp_path / "w.bin").read_bytes(), np.zeros(1, np.float32)
    (tmp_path / "w.bin").unlink()
    options = kapell.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["w.bin"], [data], [len(data)])
    session = kapell.InferenceSession(tmp_path / "m.onnx", options)
    del options, data
    assert session.run(None, {"x": x})[0].tolist() == weights.tolist()
    value = kapell._core.Value.from_object(weights * 2)
    options = kapell.SessionOptions()
    options.add_initializer("w", value)
    session = kapell.InferenceSession(tmp_path / "m.onnx", options)
    del options, value
    assert session.run(None, {"x": x})[0].tolist() == (weights * 2).tolist()
    with pytest.raises(kapell.KapellError):
        kapell.InferenceSession(tmp_path / "m.onnx")


def test_profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = kapell.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, "mine"
    session = kapell.InferenceSession(model(ADD), options)
    session.run(None, {"x": X, "y": Y})
    assert session.get_profiling_start_time_ns() > 0
    name = session.end_profiling()
    assert name.startswith("mine") and "Add" in pathlib.Path(name).read_text() and json.loads(pathlib.Path(name).read_text())
    assert session.profile() and kapell.InferenceSession(model(ADD)).end_profiling() == ""


def test_optimized_model_is_written(tmp_path):
    options = kapell.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "o.onnx")
    (tmp_path / "m.onnx").write_bytes(model("g (float[N] x) => (float[N] y) { a = Identity(x) b = Identity(a) y = Neg(b) }"))
    before = kapell.InferenceSession(str(tmp_path / "m.onnx"), options).run(None, {"x": Y})[0]
    assert [node.op_type for node in onnx.load(tmp_path / "o.onnx").graph.node] == ["Neg"]
    assert np.array_equal(kapell.InferenceSession(str(tmp_path / "o.onnx")).run(None, {"x": Y})[0], before)
    options.optimized_model_filepath = str(tmp_path / "m.onnx")  # over the file that is mapped
    assert np.array_equal(kapell.InferenceSession(str(tmp_path / "m.onnx"), options).run(None, {"x": Y})[0], before)


def test_settings_of_runs():
    options = kapell.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    tiny = np.array([1e-40], np.float32)
    product = "g (float[N] x) => (float[N] y) { one = Constant<value = float[1] {1.0}>() y = Mul(x, one) }"
    assert kapell.InferenceSession(model(product), options).run(None, {"x": tiny})[0][0] == 0
    assert kapell.InferenceSession(model(product), no_spin=True).run(None, {"x": tiny})[0][0] == tiny[0]


def test_limits_by_keyword():
    with pytest.raises(kapell.Fail, match="LIMIT"):
        kapell.InferenceSession(model(ADD), max_memory=10)
    session = kapell.InferenceSession(model(IDENTITY), untrusted=True, threads=1)
    assert session.run(None, {"x": X})[0].tolist() == [[1, 1]]


# --- what onnxruntime lacks ----------------------------------------------------------------------------------------------------------------
def test_reports(add):
    add.run(None, {"x": X, "y": Y})
    placement = add.placement()
    assert placement.nodes[0].op == "Add" and placement.nodes[0].provider == CPU[0] and placement.totals[CPU[0]].nodes == 1
    assert "CPU" in str(placement) and json.loads(placement.json())["nodes"][0]["op"] == "Add"
    assert (None, 0, "x") in placement.edges() and (0, None, "z") in placement.edges()
    page = placement._repr_html_()
    assert "<table>" in page and "Add" in page and "<script" not in page
    assert add.check_lock(placement.lock()) == ""
    other = kapell.InferenceSession(model("g (float[N, 2] x, float[1] y) => (float[N, 2] z) { w = Add(x, y) z = Softmax(w) }"))
    assert "Softmax" in other.check_lock(placement.lock())
    counters = add.counters()
    assert counters.runs == 1 and counters.providers[CPU[0]]["nodes"] == 1 and "runs=1" in repr(counters)
    assert 'session="a"' in add.metrics("a") and "kapell" in add.metrics()
    memory = add.estimate_memory({"x": (1000, 2)})
    assert memory.exact and memory.output_bytes >= 8000


def test_a_page_shows_what_was_refused_and_escapes():
    with pytest.warns(kapell.KapellWarning):
        session = kapell.InferenceSession(model(ADD.replace("g (", '"<b>" (', 0)), providers="CUDA?")
    page = session.placement()._repr_html_()
    assert "CUDA" in page and "not available" in page or "no provider" in page


def test_shadow_check():
    seen = []
    session = kapell.InferenceSession(model(ADD), shadow_every=2, shadow=seen.append)
    for _ in range(4):
        session.run(None, {"x": X, "y": Y})
    assert [r["run"] for r in seen] == [1, 3] and not seen[0]["alarm"] and seen[0]["outputs"][0]["name"] == "z"


def test_environment():
    assert kapell.get_available_providers()[-1] == CPU[0] and set(kapell.get_available_providers()) <= set(kapell.get_all_providers())
    assert "CUDAExecutionProvider" in kapell.get_all_providers() and kapell.get_device() == "CPU"
    assert kapell.__version__ == kapell.get_version_string() and kapell.__version__ in kapell.get_build_info()
    device = kapell.get_ep_devices()[0]
    assert device.ep_name == CPU[0] and device.device.type.name == "CPU" and device.memory_info().name == "Cpu"
    session = kapell.InferenceSession(model(ADD))
    assert session.get_input_memory_infos()[1].name == "Cpu" and session.get_input_epdevices()[0].ep_name == CPU[0]
    options = kapell.SessionOptions()
    options.add_provider_for_devices([device], {})
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = kapell.InferenceSession(model(ADD), options)
    assert session.get_providers() == CPU and session.get_provider_graph_assignment_info()[0].get_nodes()[0].op_type == "Add"
    with pytest.raises(kapell.Fail):
        kapell.register_execution_provider_library("mine", "/no/such.so")
    for function in (kapell.enable_telemetry_events, kapell.disable_telemetry_events):
        function()


FAILING = [("Mock", {"fail": "run"}), "CPU"]


def test_a_provider_that_fails_in_a_run():
    session = kapell.InferenceSession(model(ADD), providers=FAILING)
    assert session.get_providers() == ["Mock", *CPU] or session.get_providers()[-1:] == CPU
    with pytest.raises(kapell.EPFail, match="Mock"):
        session.run(None, {"x": X, "y": Y})
    session.enable_fallback()
    lines = []
    kapell.set_default_logger_callback(lambda *line: lines.append(line))
    try:
        assert session.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]
    finally:
        kapell.set_default_logger_callback(None)
    assert session.counters().failovers == 1
    (line,) = lines
    assert line[0] == kapell.OrtLoggingLevel.WARNING and line[1] == "kapell" and "Mock failed" in line[4]
    session.disable_fallback()
    with pytest.raises(kapell.EPFail):
        session.run(None, {"x": X, "y": Y})


def test_a_log_function_that_raises(monkeypatch):
    import sys
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_type))
    kapell.set_default_logger_callback(lambda *line: 1 / 0)
    try:
        session = kapell.InferenceSession(model(ADD), providers=FAILING, enable_fallback=1)
        assert session.run(None, {"x": X, "y": Y})[0].tolist() == [[2, 2]]
    finally:
        kapell.set_default_logger_callback(None)
    assert seen == [ZeroDivisionError]


class Raising:
    """A key whose comparison raises."""

    def __eq__(self, other):
        raise KeyError("mine")

    def __hash__(self):
        return hash("x")


CORE, FEED = kapell._core, {"x": X, "y": Y}
MISUSE = [
    (lambda s: CORE.Session.__new__(CORE.Session).run(None, {}), RuntimeError), (lambda s: CORE.Session(None, None, {}), TypeError),
    (lambda s: CORE.Session(None, model(ADD), {"providers": 3}), TypeError), (lambda s: CORE.Session(None, model(ADD), {"threads": 10**30}), OverflowError),
    (lambda s: CORE.Session(None, model(ADD), {"nope": 3}), TypeError), (lambda s: CORE.Session(None, model(ADD), {"initializers": [("a",)]}), TypeError),
    (lambda s: CORE.Session(None, model(ADD), {"memory_files": [("a", 3)]}), TypeError), (lambda s: s.run(), TypeError), (lambda s: s.run(None), TypeError),
    (lambda s: s.run(None, FEED, None, None), TypeError), (lambda s: s.run(None, FEED, foo=1), TypeError), (lambda s: s.run([["z"]], FEED), TypeError),
    (lambda s: s.run(None, {Raising(): X, "y": Y}), (KeyError, ValueError)), (lambda s: s.run(None, FEED, 3), TypeError),
    (lambda s: s.run_bound(["x"], [], [], []), ValueError), (lambda s: s.run_bound([], [], [], []), kapell.InvalidArgument),
    (lambda s: setattr(kapell.RunOptions(), "threads", -1), ValueError), (lambda s: setattr(kapell.RunOptions(), "inputs", 3), TypeError),
    (lambda s: delattr(kapell.RunOptions(), "terminate"), AttributeError), (lambda s: CORE.Value.wrap(0, -1, (1,), 1), ValueError),
    (lambda s: CORE.Value.wrap(0, 4, (1,), 1), kapell.InvalidArgument), (lambda s: CORE.Value.wrap(1, 3, (1,), 1), kapell.InvalidArgument),
    (lambda s: CORE.Value.empty((10**18, 10**18), 1), kapell.InvalidArgument), (lambda s: CORE.Value.empty((1 << 45,), 1), kapell.RuntimeException),
    (lambda s: CORE.Value.from_object([3], 77), kapell.InvalidArgument), (lambda s: s.estimate_memory({"x": (1,) * 70}), ValueError),
    (lambda s: s.estimate_memory({"x": ("a",)}), TypeError), (lambda s: s.check_lock("no lock"), kapell.InvalidArgument),
    (lambda s: CORE.log_set_level(77), ValueError), (lambda s: kapell.InferenceSession(s), TypeError)]


@pytest.mark.parametrize("number", range(len(MISUSE)))
def test_misuse(add, number):
    call, error = MISUSE[number]
    with pytest.raises(error):
        call(add)
    assert add.run(None, FEED)[0].tolist() == [[2, 2]]
