"""Libraries of providers, through libonnxruntime.so.1 as clients of ONNX Runtime use them and through Kapell's own list: the one made for tests, which
misbehaves on demand (test/plugins/adder.c), and those that their makers ship."""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

RUN = pathlib.Path(__file__).with_name("hosting_run.py")
QUIET = {"RUST_LOG": "off"}


# --- models --------------------------------------------------------------------------------------------------------------------------
def save(path, nodes, inputs, outputs, initializers=()):
    def infos(values):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values]
    graph = helper.make_graph(nodes, "hosted", infos(inputs), infos(outputs), [numpy_helper.from_array(array, name) for name, array in initializers])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return str(path)


def floats(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hosting")


@pytest.fixture(scope="module")
def sums(folder):
    """Two Adds with a Relu between."""
    nodes = [helper.make_node("Add", ["a", "b"], ["s"], "first"), helper.make_node("Relu", ["s"], ["r"], "middle"),
             helper.make_node("Add", ["r", "b"], ["y"], "last")]
    return save(folder / "sums.onnx", nodes, [("a", [2, 3]), ("b", [2, 3])], [("y", [2, 3])])


@pytest.fixture(scope="module")
def dense(folder):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "c"], ["n"]), helper.make_node("Softmax", ["n"], ["y"])]
    return save(folder / "dense.onnx", nodes, [("x", [4, 8])], [("y", [4, 16])], [("w", floats(1, 8, 16)), ("c", floats(2, 16))])


@pytest.fixture(scope="module")
def convolution(folder):
    full = {"strides": [1, 1], "dilations": [1, 1]}
    nodes = [helper.make_node("Conv", ["x", "k", "c"], ["p"], pads=[1, 1, 1, 1], kernel_shape=[3, 3], **full), helper.make_node("Relu", ["p"], ["q"]),
             helper.make_node("Conv", ["q", "l"], ["r"], pads=[0, 0, 0, 0], kernel_shape=[1, 1], **full), helper.make_node("Add", ["r", "d"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    return save(folder / "convolution.onnx", nodes, [("x", [1, 3, 8, 8])], [("y", [1, 4, 8, 8])],
                [("k", floats(3, 8, 3, 3, 3)), ("c", floats(4, 8)), ("l", floats(5, 4, 8, 1, 1)), ("d", floats(6, 1, 4, 1, 1))])


def block(name, width=32, heads=4, length=8):
    """A transformer's block: nodes, initializers."""
    nodes, tensors = [], [("shape", np.array([1, length, heads, width // heads])), ("flat", np.array([1, length, width])), ("scale", np.float32((width // heads) ** -0.5)),
                          ("gain", np.ones(width, np.float32)), ("shift", np.zeros(width, np.float32))]

    def add(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def linear(value, output, rows, columns):
        tensors.extend([(output + ".w", 0.2 * floats(len(tensors), rows, columns)), (output + ".b", floats(len(tensors) + 1, columns))])
        return add("Add", [add("MatMul", [value, output + ".w"], output + ".m"), output + ".b"], output)
    first = add("LayerNormalization", ["x", "gain", "shift"], "ln1", axis=-1)
    q, k, v = (add("Transpose", [add("Reshape", [linear(first, part, width, width), "shape"], part + ".r")], part + ".t", perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3])
               for part in "qkv")
    weights = add("Softmax", [add("Mul", [add("MatMul", [q, k], "qk"), "scale"], "scaled")], "weights", axis=-1)
    mixed = add("Reshape", [add("Transpose", [add("MatMul", [weights, v], "qkv")], "heads", perm=[0, 2, 1, 3]), "flat"], "mixed")
    middle = add("Add", ["x", linear(mixed, "out", width, width)], "middle")
    hidden = add("Relu", [linear(add("LayerNormalization", [middle, "gain", "shift"], "ln2", axis=-1), "up", width, 2 * width)], "hidden")
    add("Add", [middle, linear(hidden, "down", 2 * width, width)], name)
    return nodes, tensors


def quantized():
    """A residual net as exporters quantize one: DequantizeLinear and QuantizeLinear around every operator."""
    nodes, tensors = [], []

    def pair(value, output, scale, zero):
        tensors.extend([(output + ".s", np.float32(scale)), (output + ".z", np.uint8(zero))])
        nodes.append(helper.make_node("QuantizeLinear", [value, output + ".s", output + ".z"], [output + ".q"], output + ".q"))
        nodes.append(helper.make_node("DequantizeLinear", [output + ".q", output + ".s", output + ".z"], [output], output + ".d"))
        return output

    def convolve(value, name, inputs, outputs):
        filters = floats(len(tensors), outputs, inputs, 3, 3)
        scale = np.abs(filters).reshape(outputs, -1).max(1) / 127
        tensors.extend([(name + ".w8", np.round(filters / scale.reshape(-1, 1, 1, 1)).astype(np.int8)), (name + ".ws", scale * np.float32(0.2)),
                        (name + ".wz", np.zeros(outputs, np.int8))])
        nodes.append(helper.make_node("DequantizeLinear", [name + ".w8", name + ".ws", name + ".wz"], [name + ".w"], name + ".wd", axis=0))
        nodes.append(helper.make_node("Conv", [value, name + ".w"], [name + ".c"], name, pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [name + ".c"], [name + ".r"], name + ".r"))
        return pair(name + ".r", name + ".y", 0.03, 0)
    first = convolve(pair("x", "in", 0.03, 128), "one", 3, 8)
    second = convolve(first, "two", 8, 8)
    nodes.append(helper.make_node("Add", [first, second], ["sum"], "sum"))
    nodes.append(helper.make_node("MaxPool", [pair("sum", "summed", 0.06, 0)], ["pooled"], "pool", kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("GlobalAveragePool", [pair("pooled", "small", 0.06, 0)], ["mean"], "mean"))
    pair("mean", "y", 0.03, 0)
    return nodes, tensors


def branches():
    def body(name, *operators):
        nodes, value = [], "x"
        for index, (operator, *more) in enumerate(operators):
            nodes.append(helper.make_node(operator, [value, *more], [f"{name}{index}"], f"{name}{index}"))
            value = f"{name}{index}"
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(value, TensorProto.FLOAT, [2, 3])])
    nodes = [helper.make_node("ReduceSum", ["x"], ["total"], "total", keepdims=0), helper.make_node("Greater", ["total", "zero"], ["yes"], "yes"),
             helper.make_node("If", ["yes"], ["chosen"], "choice", then_branch=body("then", ("Add", "w"), ("Relu",)), else_branch=body("else", ("Sub", "w"), ("Neg",))),
             helper.make_node("Mul", ["chosen", "w"], ["y"], "last")]
    return nodes, [("w", floats(20, 3)), ("zero", np.float32(0))]


@pytest.fixture(scope="module")
def nets(folder):
    """Models of more kinds, by name."""
    resized = [helper.make_node("Conv", ["x", "k"], ["c"], "c", pads=[1, 1, 1, 1]),
               helper.make_node("Resize", ["c", "", "factors"], ["r"], "r", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
               helper.make_node("Relu", ["r"], ["y"], "y")]
    rows = [helper.make_node("Add", ["x", "w"], ["a"], "a"), helper.make_node("Relu", ["a"], ["y"], "y")]
    kinds = {"transformer": (*block("y"), [1, 8, 32], [1, 8, 32]), "quantized": (*quantized(), [1, 3, 16, 16], [1, 8, 1, 1]), "branches": (*branches(), [2, 3], [2, 3]),
             "resized": (resized, [("k", floats(21, 4, 3, 3, 3)), ("factors", np.array([1, 1, 2, 2], np.float32))], [1, 3, 8, 8], [1, 4, 16, 16]),
             "rows": (rows, [("w", floats(22, 3))], ["N", 3], ["N", 3])}
    return {name: save(folder / f"{name}.onnx", nodes, [("x", shape)], [("y", result)], tensors) for name, (nodes, tensors, shape, result) in kinds.items()}


X = {"transformer": floats(11, 1, 8, 32), "quantized": floats(12, 1, 3, 16, 16), "branches": floats(13, 2, 3), "resized": floats(14, 1, 3, 8, 8), "rows": floats(15, 5, 3), "dense": floats(7, 4, 8), "convolution": floats(8, 1, 3, 8, 8)}
A, B = floats(9, 2, 3), floats(10, 2, 3)


# --- running -------------------------------------------------------------------------------------------------------------------------
def given(**arrays):
    return {name: [array.dtype.name, list(array.shape), array.ravel().tolist()] for name, array in arrays.items()}


@pytest.fixture
def host(build_dir, tmp_path):
    def run(timeout=120, environment=(), **job):
        (tmp_path / "job.json").write_text(json.dumps(job))
        result = tmp_path / "result.json"
        result.unlink(missing_ok=True)
        command = [sys.executable, RUN, build_dir / "lib/libonnxruntime.so.1", tmp_path / "job.json", result]
        done = subprocess.run(command, timeout=timeout, capture_output=True, text=True, env={**os.environ, **QUIET, **dict(environment)})
        assert done.returncode == 0, done.stderr
        return json.loads(result.read_text())
    return run


@pytest.fixture
def adder(build_dir):
    return str(build_dir / "test/plugins/libadder.so")


def expected_sums():
    return np.maximum(A + B, 0) + B


def sum_job(name, adder, model, **more):
    return {"libraries": {name: adder}, "model": model, "inputs": given(a=A, b=B), "outputs": ["y"], "select": [[name, [0], {}]], **more}


def of_library(result):
    return [device for device in result["devices"] if device["name"] != "CPUExecutionProvider"]


# --- the library made for tests --------------------------------------------------------------------------------------------------------
def test_a_library_runs_what_it_claims(host, adder, sums):
    result = host(**sum_job("plain", adder, sums, sessions=2, runs=2))
    assert "error" not in result, result["error"]
    np.testing.assert_array_equal(np.array(result["outputs"][0], np.float32), expected_sums())
    assert result["assignment"] == {"plain": ["Add", "Add"], "CPUExecutionProvider": ["Relu"]}
    assert result["io"] == [["plain", "plain"], ["plain"]]
    (device,) = of_library(result)
    assert device["vendor"] == "Kapell's tests" and device["kind"] == "CPU" and device["options"] == {"from_device": "yes"}
    assert device["metadata"] == {"speed": "fast", "version": "1.2.3", "library_path": adder}
    assert result["providers"] == ["plain", "CPUExecutionProvider"] and result["left"] == ["CPUExecutionProvider"]


@pytest.mark.parametrize(("name", "words"), [
    ("failfactories", "the library is out of order"), ("faildevices", "the driver is asleep"), ("failep", "out of licences"),
    ("failcompile", "the compiler has a bad day"), ("failcompute", "the device went away"), ("a,b", "lists of providers could not carry"),
    ("cpu", "there is a provider called 'cpu' already")])
def test_what_fails_in_a_library_is_the_clients_error(host, adder, sums, name, words):
    code, message = host(**sum_job(name, adder, sums))["error"]
    assert words in message and code != 0


def test_a_library_may_offer_nothing(host, adder):
    result = host(libraries={"zerofactories": adder, "nodevices": adder, "gpuonly": adder})
    assert not of_library(result) and any("offers no provider" in message for _, message in result["log"])
    result = host(libraries={"gpuonly": adder, "virtual.virtual": adder}, environment={"KAPELL_PRETEND_DEVICES": "gpu:0x1002:0x73bf"}.items())
    assert [(d["name"], d["kind"], d["vendor_id"]) for d in of_library(result)] == [
        ("gpuonly", "GPU", 0x1002), ("virtual.virtual", "CPU", of_library(result)[1]["vendor_id"]), ("virtual.virtual", "NPU", 0x1234)]


def test_a_policy_selects_among_all_devices(host, adder, sums):
    job = {**sum_job("gpuonly", adder, sums), "select": [], "policy": 3}  # prefers a GPU
    result = host(environment={"KAPELL_PRETEND_DEVICES": "gpu:0x1002"}.items(), **job)
    assert result["assignment"]["gpuonly"] == ["Add", "Add"]
    result = host(**job)  # none is here
    assert "gpuonly" not in result["assignment"] and "error" not in result


def test_what_a_library_says_beside_running(host, adder, sums):
    result = host(**sum_job("plain", adder, sums, dynamic={"ep.dynamic.speed": "fast"}, ask="plain"),
                  environment={"KAPELL_PRETEND_DEVICES": "gpu:0x1002"}.items())
    assert "error" not in result, result["error"]
    assert result["incompatibility"][0] == [0, 0, None] and result["incompatibility"][-1][1:] == [7, "sums are for processors"]
    assert result["compatibility"] == [1, 3]  # optimal, unsupported
    code, message = host(**sum_job("plain", adder, sums, dynamic={"ep.dynamic.speed": "slow"}))["error"]
    assert code and "no such speed" in message


def test_unregistering_what_is_not_there(host, adder):
    code, message = host(libraries={}, unregister_also=["nobody"])["error"]
    assert code == 1 and "Execution provider library: nobody was not registered." in message
    code, message = host(libraries={"x": "/no/such/library.so"})["error"]
    assert code == 1 and "cannot open shared object file" in message


@pytest.mark.asan_programs
def test_the_command_hosts_a_library(kapell, adder, sums, tmp_path):
    tensors = [["--input", f"{name}=random:{seed}"] for seed, name in enumerate("ab")]
    arguments = ["run", sums, *sum(tensors, []), "--provider-library", f"plain={adder}"]
    hosted = kapell(*arguments, "--providers", "plain,CPU; partitions<=3")
    alone = kapell(*arguments, "--providers", "CPU")
    assert hosted.returncode == alone.returncode == 0 and hosted.stdout == alone.stdout
    report = json.loads(kapell("place", sums, "--json", "--provider-library", f"plain={adder}", "--providers", "plain?,CPU").stdout)
    assert [node["provider"] for node in report["nodes"]] == ["plain", "CPUExecutionProvider", "plain"]
    bad = kapell("place", sums, "--provider-library", f"plain={adder}", "--providers", "plain,CPU", "--option", "plain.kapell_devices=1")
    assert bad.returncode == 3 and "it takes 'all', or numbers from 0" in bad.stderr
    bad = kapell("place", sums, "--provider-library", f"failep={adder}", "--providers", "failep?,CPU")
    assert bad.returncode == 0 and "out of licences" in bad.stderr
    bad = kapell("place", sums, "--untrusted", "--provider-library", f"plain={adder}", "--providers", "plain,CPU")
    assert bad.returncode == 3 and "untrusted models get built-in providers alone" in bad.stderr
    bad = kapell("place", sums, "--provider-library", f"x={pathlib.Path(adder).with_name('libempty.so')}")
    assert bad.returncode == 3 and "exports neither CreateEpFactories" in bad.stderr


# --- those that their makers ship --------------------------------------------------------------------------------------------------------
def compare(host, model, library, provider, options, expected, tolerance, environment=(), registration=None):
    """Runs |model| on CPU and on |provider|, which gets the operators |expected| (a number: so many nodes); gives the latter's result."""
    name = pathlib.Path(model).stem
    job = {"libraries": {}, "model": model, "inputs": given(x=X[name]), "outputs": ["y"], "environment": environment}
    reference = host(**job)["outputs"][0]
    job["libraries"] = {registration or provider: str(library)}
    result = host(**job, select=[[provider, [0], options]], runs=2, sessions=2, threads=2)
    assert "error" not in result, result["error"]
    np.testing.assert_allclose(result["outputs"][0], reference, rtol=tolerance, atol=tolerance)
    if isinstance(expected, int):
        assert len(result["assignment"].get(provider, [])) == expected, result["assignment"]
    else:
        assert result["assignment"] == expected
    assert result["left"] == ["CPUExecutionProvider"]
    return result


@pytest.fixture
def ggml():
    distribution = importlib.metadata.distribution("onnxruntime-ggml")
    return next(distribution.locate_file(file) for file in distribution.files if file.name == "libonnxruntime_ggml.so")


def test_ggml(host, ggml, dense):
    """Of convolutions 0.2.0 runs those of one dimension alone, and claims others as well, here and with ONNX Runtime."""
    compare(host, dense, ggml, "ggml", {}, {"ggml": ["MatMul", "Add", "Softmax"]}, 1e-2)  # weights become float16


@pytest.mark.parametrize(("name", "nodes"), [("transformer", 29), ("branches", 8), ("rows", 2)])
def test_ggml_on_more(host, ggml, nets, name, nodes):
    """Bodies of control flow are its own to run."""
    compare(host, nets[name], ggml, "ggml", {}, nodes, 3e-2)


def test_the_list_finds_a_library_by_itself(kapell, ggml, dense):
    environment = {**os.environ, **QUIET, "KAPELL_PROVIDER_PATH": str(ggml)}
    run = kapell("place", dense, "--json", "--providers", "GGML,CPU", env=environment)
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout[run.stdout.index("{"):])
    assert {node["provider"] for node in report["nodes"]} == {"GGMLExecutionProvider"}
    doctor = kapell("doctor", "--require", "GGML", env=environment)
    assert doctor.returncode == 0 and "sessions that list it load and run it" in doctor.stdout


# A Vulkan driver in software that has what WebGPU's library asks for (Debian's chromium brings it, with the loader; Mesa's of 2022 lacks a feature).
SWIFTSHADER = pathlib.Path("/usr/lib/chromium")


@pytest.fixture(scope="module")
def webgpu():
    """The library, and the environment in which it finds a GPU."""
    if not (SWIFTSHADER / "vk_swiftshader_icd.json").exists():
        pytest.skip("no SwiftShader: Debian's package chromium has it")
    distribution = importlib.metadata.distribution("onnxruntime-ep-webgpu")
    library = next(distribution.locate_file(file) for file in distribution.files if file.name == "libonnxruntime_providers_webgpu.so")
    return library, [("KAPELL_PRETEND_DEVICES", "gpu:0x1002"), ("VK_ICD_FILENAMES", str(SWIFTSHADER / "vk_swiftshader_icd.json")),
                     ("LD_LIBRARY_PATH", str(SWIFTSHADER))]


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_webgpu(host, webgpu, dense, convolution, layout):
    """Kernel by kernel, in memory of its own."""
    library, environment = webgpu
    options, name = {"preferredLayout": layout}, "WebGpuExecutionProvider"
    compare(host, dense, library, name, options, {name: ["MatMul", "Add", "Softmax"]}, 1e-5, environment, "webgpu")
    compare(host, convolution, library, name, options, {name: ["Conv", "Relu", "Conv", "Add", "Relu"]}, 1e-5, environment, "webgpu")


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "nodes"), [("transformer", 29), ("branches", 7), ("rows", 2), ("quantized", 15), ("resized", 3)])
def test_webgpu_on_more(host, webgpu, nets, name, nodes):
    """What it leaves the CPU runs, with copies between; of control flow it gets the bodies' nodes."""
    library, environment = webgpu
    compare(host, nets[name], library, "WebGpuExecutionProvider", {}, nodes, 1e-4, environment, "webgpu")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """OpenVINO's and QNN's, as pip installs them (200 MB)."""
    target = tmp_path_factory.mktemp("packages")
    packages = ["onnxruntime-ep-openvino==1.8.1", "onnxruntime-qnn==2.7.0"]
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, *packages], check=True, timeout=1000)
    return {"openvino": target / "onnxruntime_ep_openvino/libonnxruntime_providers_openvino_plugin.so",
            "qnn": target / "onnxruntime_qnn/libonnxruntime_providers_qnn.so"}


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("provider", ["OpenVINOExecutionProvider", "OpenVINOExecutionProvider.AUTO"])
def test_openvino(host, large, dense, convolution, provider):
    """On a processor of Intel's, or one that is said to be."""
    environment = [("KAPELL_PRETEND_DEVICES", "cpu:0x8086")]
    compare(host, dense, large["openvino"], provider, {}, {provider: ["MatMul", "Add", "Softmax"]}, 1e-2, environment, "openvino")
    compare(host, convolution, large["openvino"], provider, {}, {provider: ["Conv", "Relu", "Conv", "Add", "Relu"]}, 2e-2, environment, "openvino")


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_client_asks_by_name_alone(host, large, dense):
    """As programs do that were written for a build with OpenVINO in it; on a processor that is not Intel's it stays refused."""
    job = {"libraries": {}, "model": dense, "inputs": given(x=X["dense"]), "outputs": ["y"], "by_name": ["OpenVINO"]}
    path = ("KAPELL_PROVIDER_PATH", str(large["openvino"]))
    result = host(**job, environment=[path, ("KAPELL_PRETEND_DEVICES", "cpu:0x8086")])
    assert result["assignment"] == {"OpenVINOExecutionProvider": ["MatMul", "Add", "Softmax"]}
    assert host(**job)["error"][1].strip() == "OpenVINO execution provider is not supported in this build."


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_qnn(host, large, dense, convolution):
    """Its simulator of an HTP. Without the option that names a backend it has none for a processor: that is the client's error."""
    library = large["qnn"]
    options = {"backend_type": "htp"}
    compare(host, dense, library, "QNN", options, {"QNN": ["MatMul", "Add", "Softmax"]}, 1e-2)
    compare(host, convolution, library, "QNN", options, {"QNN": ["Conv", "Relu", "Conv", "Add", "Relu"]}, 2e-2)
    code, message = host(libraries={"QNN": str(library)}, model=dense, inputs=given(x=X["dense"]), outputs=["y"], select=[["QNN", [0], {}]])["error"]
    assert "Could not determine default backend path" in message


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "nodes"), [("transformer", 29), ("branches", 8), ("rows", 2), ("quantized", 21), ("resized", 3)])
def test_openvino_on_more(host, large, nets, name, nodes):
    """It rounds between quantized operators in its own way: a few quanta of 0.06."""
    provider = "OpenVINOExecutionProvider"
    compare(host, nets[name], large["openvino"], provider, {}, nodes, 0.25 if name == "quantized" else 4e-2, [("KAPELL_PRETEND_DEVICES", "cpu:0x8086")], "openvino")


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("name", "nodes"), [("transformer", 29), ("branches", 3), ("rows", 0), ("quantized", 19), ("resized", 3)])
def test_qnn_on_more(host, large, nets, name, nodes):
    """It takes neither symbolic shapes nor bodies of control flow; of a quantized net it leaves the first and the last pair, as with ONNX Runtime."""
    compare(host, nets[name], large["qnn"], "QNN", {"backend_type": "htp"}, nodes, 4e-2)
