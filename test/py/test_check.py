"""kapell check, embed-test and place --lock: what a user reads when a chain goes wrong, and exit codes. The mock is the partner."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.asan_programs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """y = |-x + w| * w in four nodes a, b, c, y."""
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["a"], name="a"), helper.make_node("Add", ["a", "w"], ["b"], name="b"),
         helper.make_node("Abs", ["b"], ["c"], name="c"), helper.make_node("Mul", ["c", "w"], ["y"], name="y")],
        "chain", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")])
    path = tmp_path_factory.mktemp("chain") / "chain.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


X = np.array([[1, -2, 3.5], [0, 100, 1e-3]], np.float32)
Y = np.abs(-X + np.float32([1, 2, 3])) * np.float32([1, 2, 3])
MOCK = ("--providers", "Mock,CPU")


def mock(*settings, optional=False):
    """Options of a chain with the mock; each of |settings| as "fail=run"."""
    words = ["--providers", "Mock?,CPU"] if optional else ["--providers", "Mock,CPU"]
    for setting in settings:
        words += ["--option", f"Mock.{setting}"]
    return words


def says(result, code, *words):
    text = result.stdout + result.stderr
    assert result.returncode == code, text
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"
    return text


def write_case(folder, x=X, y=Y):
    folder.mkdir(parents=True)
    (folder / "input_0.pb").write_bytes(numpy_helper.from_array(x, "x").SerializeToString())
    (folder / "output_0.pb").write_bytes(numpy_helper.from_array(y, "y").SerializeToString())


@pytest.fixture
def tested(model, tmp_path):
    """A copy of the model with a good test case beside it."""
    path = tmp_path / "m" / "model.onnx"
    write_case(path.parent / "test_data_set_0")
    path.write_bytes(model.read_bytes())
    return path


# --- each way a chain goes wrong: what, where, why, what to try --------------------------------------------------------------
@pytest.mark.parametrize("settings, words", {
    "absent": (["fail=absent"], ["KAPELL-E0402", "Mock is listed and not available", "libmockrt.so.3", "install the package mockrt 3"]),
    "version": (["fail=version"], ["KAPELL-E0402", "interface version 9", "upgrade Kapell"]),
    "library": (["fail=dlerror"], ["KAPELL-E0402", "cannot open shared object file", "LD_LIBRARY_PATH"]),
    "device": (["fail=no_device"], ["KAPELL-E0402", "the driver reports no device", "/dev/mock0"]),
    "create": (["fail=create"], ["KAPELL-E0402", "held by another process"]),
    "capability": (["fail=capability"], ["KAPELL-E0404", "asking Mock what it can run"]),
    "compile": (["fail=compile"], ["KAPELL-E0404", "node 'a'", "no tactic for layer", "compiling partition 0"]),
    "unused": (["fail=unused"], ["KAPELL-E0403", "would run no node of this model"]),
}.values(), ids=["absent", "version", "library", "device", "create", "capability", "compile", "unused"])
def test_before_the_first_run(kapell, tested, settings, words):
    says(kapell("check", tested, *mock(*settings)), 3, "FAILED  opened", "opening", *words, "hint: ", "write 'Mock?' to go on without it")
    result = kapell("check", tested, *mock(*settings, optional=True))
    says(result, 0, "ok      opened", "Mock? not in use: ", "output 'y': largest difference")
    assert "Mock?" in result.stderr  # one warning too


@pytest.mark.parametrize("list_, settings, words", [
    ("Mock>=90%nodes,CPU", ["ops=all,-Abs"], ["'Mock>=90%nodes': Mock would run 75.0 % of the model's nodes"]),
    ("Mock>=90%,CPU", ["ops=all,-Abs"], ["'Mock>=90%': Mock would run 75.0 % of the model's FLOPs"]),
    ("Mock,CPU; partitions<=2", ["ops=all,-Abs"], ["'partitions<=2': the placement has 3 partitions", "1 on CPU (1 node from 'c')"]),
    ("Mock,CPU; copies<=3", ["ops=all,-Abs"], ["'copies<=3': the placement has 4 copies", "'b' from Mock:0 to host"]),
])
def test_broken_clauses(kapell, tested, list_, settings, words):
    options = [w for s in settings for w in ("--option", f"Mock.{s}")]
    for command in ("check", "place"):
        text = says(kapell(command, tested, "--providers", list_, *options), 3, "KAPELL-E0405", *words,
                    "1 x Abs: Abs is not in its list of operators", "(c)", "hint: ")
        assert "opening" in text


def test_a_clause_that_only_a_run_breaks(kapell, tested):
    says(kapell("check", tested, "--providers", "Mock,CPU; copy-bytes<=40"), 1, "FAILED  test_data_set_0", "KAPELL-E0405",
         "'copy-bytes<=40': with the 24 bytes of 'y'", "hint: raise the limit")


def test_the_floor(kapell, tested):
    says(kapell("check", tested, "--providers", "Mock; floor=none", "--option", "Mock.ops=all,-Abs"), 3, "KAPELL-E0301",
         "no provider takes Abs 'c': Mock: Abs is not in its list", "'floor=none' keeps the CPU from it", "hint: floor=all")


def test_a_failing_run(kapell, tested):
    says(kapell("check", tested, *mock("fail=run")), 1, "FAILED  test_data_set_0    the run failed", "KAPELL-E0404", "illegal memory access",
         "running partition 0", "on_failure=continue")
    says(kapell("check", tested, *mock("fail=run"), "--on-failure", "continue"), 0, "ok      test_data_set_0", "Mock failed in a run")


def test_a_hanging_run(kapell, tested):
    says(kapell("check", tested, *mock("fail=hang"), "--limit", "run-seconds=0.2"), 1, "FAILED  test_data_set_0", "KAPELL-E0503")


def test_wrong_numbers(kapell, tested):
    says(kapell("check", tested, *mock("fail=wrong")), 1, "FAILED  test_data_set_0    output 'y': largest difference 1",
         "6 of 6 elements are out of tolerance")
    text = says(kapell("check", tested, *mock("fail=wrong", "ops=Abs"), "--accuracy"), 1, "FAILED  accuracy",
                "first departure: node 'c' (Abs) on MockExecutionProvider: value 'c': largest difference 1")
    assert text.count("first departure") == 1
    says(kapell("check", tested, *mock("ops=Abs"), "--accuracy"), 0, "ok      accuracy           test_data_set_0 beside the CPU, output 'y'")


def test_accuracy_keeps_the_floor_and_drops_limits(kapell, tested):
    says(kapell("check", tested, "--providers", "Mock,CPU; copies<=4; partitions<=3", "--option", "Mock.ops=all,-Abs", "--option",
                "Mock.fail=wrong", "--accuracy"), 1, "first departure: node 'a' (Neg)")


# --- test data ---------------------------------------------------------------------------------------------------------------
def test_data_beside_the_model(kapell, tested, tmp_path):
    says(kapell("check", tested), 0, "ok      opened", "CPUExecutionProvider 4 of 4 nodes", "ok      test_data_set_0    output 'y'")
    write_case(tested.parent / "test_data_set_10", y=Y + 1)
    write_case(tested.parent / "test_data_set_2", X[:1], Y[:1])
    text = says(kapell("check", tested), 1, "FAILED  test_data_set_10", "ok      test_data_set_2")
    assert text.index("test_data_set_2 ") < text.index("test_data_set_10")
    says(kapell("check", tested, "--atol", "1.5"), 0, "ok      test_data_set_10")
    write_case(tmp_path / "other", y=Y[:1])
    says(kapell("check", tested, "--data", tmp_path / "other"), 1, "FAILED  other", "is float32[2,3] and should be float32[1,3]")
    says(kapell("check", tested, "--data", tmp_path / "nowhere"), 1, "no test data")


def test_without_test_data_it_says_so(kapell, model):
    says(kapell("check", model), 0, "test data          none beside the model or in it")


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"hello"])
def test_broken_test_data(kapell, tested, content):
    (tested.parent / "test_data_set_0" / "input_0.pb").write_bytes(content)
    assert kapell("check", tested).returncode == 1
    (tested.parent / "test_data_set_0" / "input_0.pb").unlink()
    says(kapell("check", tested), 1, "input 'x' is missing")
    write_case(tested.parent / "test_data_set_1")
    (tested.parent / "test_data_set_1" / "input_1.pb").write_bytes(content)
    says(kapell("check", tested), 1, "the model has 1 inputs")


def test_embedded_tests(kapell, model, tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y + 1)
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    says(kapell("embed-test", model, "-o", one, "--input", f"x={tmp_path / 'x.npy'}"), 0, "embedded test 0")
    assert one.read_bytes().startswith(model.read_bytes())
    onnx.checker.check_model(onnx.load(one))
    keys = {entry.key for entry in onnx.load(one).metadata_props}
    assert keys == {"kapell.test.0.input.x", "kapell.test.0.output.y"}
    says(kapell("check", one), 0, "ok      embedded test 0    output 'y': largest difference 0")
    says(kapell("embed-test", one, "-o", two, "--input", f"x={tmp_path / 'x.npy'}", "--expect", f"y={tmp_path / 'y.npy'}"), 0, "embedded test 1")
    says(kapell("check", two), 1, "ok      embedded test 0", "FAILED  embedded test 1    output 'y': largest difference 1")
    says(kapell("embed-test", model, "-o", two, "--dim", "N=4"), 0)  # random
    says(kapell("check", two), 0)
    says(kapell("embed-test", model), 2, "-o FILE is missing")
    says(kapell("embed-test", model, "-o", two, "--input", "z=random"), 2, "z=random")
    says(kapell("embed-test", model, "-o", tmp_path / "no" / "x.onnx"), 1, "cannot be written")


def test_an_embedded_test_beside_external_weights(kapell, model, tmp_path):
    path = tmp_path / "m" / "big.onnx"
    path.parent.mkdir()
    loaded = onnx.load(model)
    onnx.save(loaded, path, save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=False)
    says(kapell("embed-test", path, "-o", path.parent / "tested.onnx"), 0)
    says(kapell("check", path.parent / "tested.onnx"), 0, "ok      embedded test 0")
    says(kapell("embed-test", path, "-o", tmp_path / "elsewhere.onnx"), 1, "weights.bin", "does not open from where it lies")


def test_embedded_nonsense_is_an_error(kapell, model, tmp_path):
    loaded = onnx.load(model)
    loaded.metadata_props.add(key="kapell.test.0.input.x", value="!!!!")
    onnx.save(loaded, tmp_path / "bad.onnx")
    says(kapell("check", tmp_path / "bad.onnx"), 1, "kapell.test.0.input.x", "Base64")


# --- locks -------------------------------------------------------------------------------------------------------------------
def test_locks(kapell, tested, tmp_path):
    lock = tmp_path / "model.lock"
    says(kapell("place", tested, *mock(), "--lock", lock), 0)
    first = lock.read_bytes()
    says(kapell("place", tested, *mock(), "--lock", lock), 0)
    assert lock.read_bytes() == first  # stable
    says(kapell("check", tested, *mock(), "--lock", lock), 0, "ok      lock")
    says(kapell("check", tested, *mock("ops=all,-Abs"), "--lock", lock), 1, "FAILED  lock", "KAPELL-E0406", '- "Abs" "c" on MockExecutionProvider',
         '+ "Abs" "c" on CPUExecutionProvider: Abs is not in its list of operators', '+ copy Mock:0 host "b"', "is split", "hint: ",
         "kapell place MODEL --lock FILE")
    assert lock.read_bytes() == first  # check never writes
    says(kapell("check", tested, *mock(), "--lock", tmp_path / "nowhere"), 1, "nowhere")
    lock.write_bytes(first[: len(first) // 2])
    assert kapell("check", tested, *mock(), "--lock", lock).returncode == 1


def test_place_says_what_is_copied(kapell, tested):
    text = says(kapell("place", tested, *mock("ops=all,-Abs")), 0, "3 of 4 nodes in 2 partitions", "weights 12 bytes", "copies     4 a run",
                "Mock:0 -> host 'b', 12 bytes at symbols of 1, made by 'b', read by 'c'",
                "1 x Abs: Abs is not in its list of operators (ops=all,-Abs) (c)")
    assert "not on MockExecutionProvider" in text
    report = json.loads(says(kapell("place", tested, *mock("ops=all,-Abs"), "--json"), 0))
    assert report["copies"] == 4 and report["copied_bytes"] == 48 and report["unknown_copies"] == 4
    assert report["copy_list"][1] == {"value": "b", "path": "", "from": "Mock:0", "to": "host", "bytes": 12, "exact": False, "producer": "b",
                                      "consumer": "c"}
    assert report["providers"][0]["weight_bytes"] == 12


def test_results_as_json(kapell, tested, tmp_path):
    lock = tmp_path / "a \"b\".lock"
    says(kapell("place", tested, *mock(), "--lock", lock), 0)
    result = kapell("check", tested, *mock("ops=all,-Abs"), "--lock", lock, "--accuracy", "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 1 and report["ok"] is False and report["model"] == str(tested)
    assert [(c["check"], c["ok"]) for c in report["checks"]] == [("opened", True), ("lock", False), ("test_data_set_0", True), ("accuracy", True)]
    assert "KAPELL-E0406" in report["checks"][1]["text"] and '+ "Abs" "c" on CPUExecutionProvider' in report["checks"][1]["text"]
    assert json.loads(kapell("check", tested, "--json").stdout)["ok"] is True
    result = kapell("check", tested, *mock("fail=absent"), "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 3 and not report["ok"] and "hint: install the package mockrt 3" in report["checks"][0]["text"]
    report = json.loads(kapell("check", tested, "--data", tmp_path / "nowhere", "--json").stdout)
    assert not report["ok"] and not report["checks"][-1]["ok"]


# --- what ran ----------------------------------------------------------------------------------------------------------------
def test_shadow_checks(kapell, model, tmp_path):
    np.save(tmp_path / "x.npy", X)
    inputs = ["--input", f"x={tmp_path / 'x.npy'}"] * 4
    text = says(kapell("run", model, *inputs, *mock("fail=wrong:3"), "--shadow", "2"), 0,
                "shadow: run 1, output 'y' is near the CPU's, largest difference 0",
                "shadow: run 3, output 'y' DEPARTS from the CPU's, largest difference 1, 6 of 6 elements out of tolerance")
    assert text.count("shadow: ") == 2
    says(kapell("run", model, *inputs, "--shadow", "0"), 2, "--shadow")


def test_metrics(kapell, model, tmp_path):
    np.save(tmp_path / "x.npy", X)
    inputs = ["--input", f"x={tmp_path / 'x.npy'}"] * 3
    says(kapell("run", model, *inputs, *mock("fail=run:2"), "--on-failure", "continue", "--metrics", tmp_path / "m.prom"), 0,
         "started again without a provider that failed: 1")
    text = (tmp_path / "m.prom").read_text()
    for line in ("kapell_runs_total{session=\"chain.onnx\"} 3", "kapell_failovers_total{session=\"chain.onnx\"} 1",
                 "kapell_provider_failures_total{session=\"chain.onnx\",provider=\"MockExecutionProvider\"} 1",
                 "kapell_provider_nodes_total{session=\"chain.onnx\",provider=\"CPUExecutionProvider\"} 8", "# TYPE kapell_runs_total counter"):
        assert line + "\n" in text, text
    # The form: each sample's name was announced with a type, and is announced once.
    announced = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(announced) == len(set(announced))
    assert {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")} == set(announced)
    says(kapell("run", model, *inputs, *mock("fail=run:2"), "--metrics", "-"), 1, "kapell_failed_runs_total{session=\"chain.onnx\"} 1", "KAPELL-E0404")


def test_what_ran_is_printed_for_each_run(kapell, model, tmp_path):
    np.save(tmp_path / "x.npy", X)
    text = says(kapell("run", model, "--input", f"x={tmp_path / 'x.npy'}", *mock("ops=all,-Abs"), "--placement"), 0,
                "MockExecutionProvider: 3 nodes  CPUExecutionProvider: 1 nodes  copies: 4 of 96 bytes")
    assert "3 of 4 nodes in 2 partitions" in text
