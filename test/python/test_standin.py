"""`import onnxruntime` as Kapell: the same program on ONNX Runtime and on the stand-in, its words where a provider is missing, its names."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from onnx import helper

MODEL = """
import json, sys, warnings
import numpy as np
from onnx import helper
graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [helper.make_tensor_value_info("x", 1, ["N", 3])], [helper.make_tensor_value_info("y", 1, ["N", 3])])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
"""


def run(*words, cwd=None, **environment):
    """A fresh Python with the packages of this one; kapell's folder last, so that a real onnxruntime is found where it is installed."""
    found = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *(p for p in sys.path if p)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KAPELL_") or key in ("KAPELL_PRESET",)}
    return subprocess.run([sys.executable, *words], env={**clean, "PYTHONPATH": os.pathsep.join(dict.fromkeys(found)), **environment}, cwd=cwd,
                          capture_output=True, text=True, timeout=280, check=False)


def real(code, **environment):
    return run("-c", MODEL + textwrap.dedent(code), **environment)


def standin(code, **environment):
    return run("-m", "kapell.onnxruntime", "-c", MODEL + textwrap.dedent(code), **environment)


def result(done):
    """What a program printed last, as JSON."""
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


CALLS = """
import onnxruntime as ort
def session(*a, **k): return ort.InferenceSession(model, *a, **k).get_providers()
def configured(f):
    options = ort.SessionOptions(); f(options); return ort.InferenceSession(model, options).get_providers()
def bound():
    s = ort.InferenceSession(model); b = s.io_binding(); b.bind_cpu_input("x", np.ones((1, 3), np.float32)); b.bind_output("y"); s.run_with_iobinding(b)
    return b.copy_outputs_to_cpu()[0].tolist()
def replaced():
    s = ort.InferenceSession(model); s.set_providers(["CUDAExecutionProvider", "CPUExecutionProvider"]); return s.get_providers()
good = ort.InferenceSession(model)
x = np.ones((1, 3), np.float32)
calls = {
    "none": lambda: session(), "empty": lambda: session(providers=[]),
    "cuda and cpu": lambda: session(providers=["CUDAExecutionProvider", "CPUExecutionProvider"]),
    "cuda": lambda: session(providers=["CUDAExecutionProvider"]),
    "cuda with options": lambda: session(providers=[("CUDAExecutionProvider", {"device_id": 0, "cudnn_conv_algo_search": "DEFAULT"}), "CPUExecutionProvider"]),
    "cuda with nonsense": lambda: session(providers=[("CUDAExecutionProvider", {"nonsense": 0}), "CPUExecutionProvider"]),
    "tensorrt": lambda: session(providers=["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]),
    "openvino": lambda: session(providers=["OpenVINOExecutionProvider"], provider_options=[{"device_type": "GPU"}]),
    "coreml": lambda: session(providers=["CoreMLExecutionProvider", "CPUExecutionProvider"]),
    "unknown": lambda: session(providers=["FooExecutionProvider", "CPUExecutionProvider"]),
    "unknown, no fallback": lambda: session(providers=["FooExecutionProvider"], enable_fallback=0),
    "short name, no fallback": lambda: session(providers=["CUDA"], enable_fallback=0),
    "marked": lambda: session(providers=["CUDA?", "CPU"]),
    "text": lambda: session(providers="CPUExecutionProvider"),
    "twice": lambda: session(providers=["CPUExecutionProvider", "CPUExecutionProvider"]),
    "options of the cpu": lambda: session(providers=[("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested", "foo": 1})]),
    "lengths": lambda: session(providers=["CPUExecutionProvider"], provider_options=[]),
    "lengths, no fallback": lambda: session(providers=["CPUExecutionProvider"], provider_options=[], enable_fallback=0),
    "a number": lambda: session(providers=[3], enable_fallback=0),
    "a set": lambda: session(providers={"CPUExecutionProvider"}, enable_fallback=0),
    "other keywords": lambda: session(read_config_from_model=0, disabled_optimizers=["ConstantFolding"], nonsense=1),
    "add cuda": lambda: configured(lambda o: o.add_provider("CUDAExecutionProvider", {})),
    "add short": lambda: configured(lambda o: o.add_provider("CUDA", {})),
    "add cpu": lambda: configured(lambda o: o.add_provider("CPUExecutionProvider", {})),
    "add for devices": lambda: configured(lambda o: o.add_provider_for_devices(ort.get_ep_devices(), {})),
    "no floor": lambda: configured(lambda o: o.add_session_config_entry("session.disable_cpu_ep_fallback", "1")),
    "devices": lambda: [d.ep_name for d in ort.get_ep_devices()],
    "library": lambda: ort.register_execution_provider_library("x", "/nonexistent.so"),
    "library not there": lambda: ort.unregister_execution_provider_library("x"),
    "value on a gpu": lambda: ort.OrtValue.ortvalue_from_numpy(x, "cuda", 0),
    "set_providers": replaced, "bound": bound,
    "no file": lambda: ort.InferenceSession("/nonexistent.onnx"), "no model": lambda: ort.InferenceSession(b"abc"),
    "no graph": lambda: ort.InferenceSession(b""), "a number as model": lambda: ort.InferenceSession(3),
    "input's name": lambda: good.run(None, {"q": x}), "input's type": lambda: good.run(None, {"x": x.astype(np.float64)}),
    "input's shape": lambda: good.run(None, {"x": np.ones((1, 4), np.float32)}), "input's rank": lambda: good.run(None, {"x": np.ones(3, np.float32)}),
    "output's name": lambda: good.run(["q"], {"x": x}), "run": lambda: good.run(["y"], {"x": x})[0].tolist(),
    "preload": lambda: ort.preload_dlls(), "device": lambda: ort.get_device(), "version": lambda: (ort.__version__, ort.get_version_string()),
    "collective": lambda: ort.has_collective_ops(), "ort package": lambda: __import__("importlib.metadata").metadata.version("onnxruntime"),
}
results = {}
warnings.simplefilter("ignore")
for name, call in calls.items():
    try: results[name] = call()
    except Exception as error: results[name] = type(error).__name__
print(json.dumps(results))
"""
# Where the two differ, and why.
OTHERWISE = {
    "no floor": "NotImplemented",  # Kapell's word for a node that nobody runs; ONNX Runtime says Fail
}


@pytest.fixture(scope="module")
def calls():
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    return result(real(CALLS)), result(standin(CALLS))


def test_calls_end_as_in_onnx_runtime(calls):
    theirs, ours = calls
    assert {name: (ours[name], value) for name, value in theirs.items() if ours[name] != OTHERWISE.get(name, value)} == {}


def test_common_idioms_print_the_same():
    program = str(pathlib.Path(__file__).parent / "programs" / "idioms.py")
    ours = run("-m", "kapell.onnxruntime", program)
    assert ours.returncode == 0 and ours.stdout.count("\n") > 12, ours.stderr
    if importlib.util.find_spec("onnxruntime"):
        assert ours.stdout == run(program).stdout


def test_what_is_told_of_a_missing_provider():
    done = standin("""
        import onnxruntime
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(model, options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
        told = json.loads(session.placement().json())["providers"]
        print(json.dumps([session.get_providers(), [str(w.message) for w in caught], [w.category.__name__ for w in caught], told]))
        """)
    providers, texts, categories, told = result(done)
    assert providers == ["CPUExecutionProvider"] and categories == ["KapellWarning"]
    assert "CUDA" in texts[0] and told[0]["reason"] in texts[0] and told[0]["fix"] in texts[0] and "\n" not in texts[0]
    assert told[0]["name"] == "CUDAExecutionProvider" and not told[0]["in_use"]


def test_an_unknown_name_falls_back_and_says_so():
    done = standin("""
        import onnxruntime
        print(json.dumps(onnxruntime.InferenceSession(model, providers=["FooExecutionProvider"]).get_providers()))
        """)
    assert result(done) == ["CPUExecutionProvider"]
    assert "EP Error Unknown Provider Type: FooExecutionProvider when using ['FooExecutionProvider']. Falling back to ['CPUExecutionProvider']" in done.stderr


@pytest.mark.parametrize("providers, words", [
    (["CUDAExecutionProvider", "CPUExecutionProvider"], ["EPFail", "CUDAExecutionProvider", "KAPELL-E04", "hint"]),
    (["FooExecutionProvider"], ["RuntimeError", "Unknown Provider Type: FooExecutionProvider"]),
    ([("CPUExecutionProvider", {}), 3], ["ValueError", "'providers' values must be either strings or (string, dict) tuples."]),
    ([("CUDAExecutionProvider", {"nonsense": 1})], ["CUDA", "nonsense"]),
])
def test_strict(providers, words):
    done = standin(f"""
        import onnxruntime
        try: print(onnxruntime.InferenceSession(model, providers={providers!r}).get_providers())
        except Exception as error: print(json.dumps(type(error).__name__ + ": " + str(error)))
        """, KAPELL_STRICT="1")
    text = result(done)
    for word in words:
        assert word in text, text


def test_the_environment_has_the_last_word():
    done = standin("""
        import onnxruntime
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        print(json.dumps([session.get_providers(), json.loads(session.placement().json())["list"]]))
        """, KAPELL_PROVIDERS="CUDA?,CPU")
    providers, chain = result(done)
    assert providers == ["CPUExecutionProvider"] and chain == "CUDA?,CPU"
    assert "KAPELL_PROVIDERS" in done.stderr and "CPUExecutionProvider" in done.stderr


# --- names ---------------------------------------------------------------------------------------------------------------------

# Of ONNX Runtime's names: those that are not here, with the reason.
ABSENT = {
    **dict.fromkeys(["ModelPackage", "ModelPackageComponentContext", "ModelPackageContext", "ModelPackageOptions", "ModelPackageWriteMode"],
                    "packages of several models"),
    **dict.fromkeys(["OrtEpContextData", "OrtEpContextDataBuffer", "OrtCompiledModelCompatibility", "OrtDeviceEpIncompatibilityReason",
                     "get_compatibility_info_from_model", "get_compatibility_info_from_model_bytes", "get_hardware_device_ep_incompatibility_details",
                     "get_model_compatibility_for_ep_devices", "get_registered_ep_kernel_defs", "get_hardware_devices"], "compiled models of providers"),
    **dict.fromkeys(["get_all_operator_schema", "get_all_opkernel_def", "opkernel", "schemadef"], "tables of ONNX Runtime's own build"),
    **dict.fromkeys(["ArenaExtendStrategy", "kNextPowerOfTwo", "kSameAsRequested", "SessionObjectInitializer", "pack_fp4_weights_for_cuda_moe_gemm",
                     "quantize_qdq_matmul_2bits", "SparseBlockSparseView", "SparseCooView", "SparseCsrView"], "of its extension module alone"),
    **dict.fromkeys(["GetInitializerLocationFunc", "GetInitializerLocationWrapperFunc", "make_get_initializer_location_func_wrapper",
                     "get_vendor_id_for_device_type", "contextlib", "onnxruntime_validation"], "inner parts of its Python files"),
}
NAMES = """
import onnxruntime
from onnxruntime.capi import _pybind_state, onnxruntime_pybind11_state, onnxruntime_inference_collection
import onnxruntime.capi.onnxruntime_validation
print(json.dumps({m.__name__: sorted(n for n in dir(m) if not n.startswith("_") and hasattr(m, n))
                  for m in (onnxruntime, _pybind_state, onnxruntime_pybind11_state, onnxruntime_inference_collection)}))
"""


def test_names():
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    theirs, ours = result(real(NAMES)), result(standin(NAMES))
    modules = {"Any", "Callable", "IntEnum", "Sequence", "annotations", "collections", "np", "os", "platform", "typing", "warnings", "weakref", "C"}
    missing = {name for module, names in theirs.items() for name in set(names) - set(ours[module])} - modules
    assert missing - set(ABSENT) == set()
    assert set(ABSENT) - missing == set(), "these are here now"


def test_a_name_that_is_not_there_is_an_attribute_error():
    done = standin("""
        import onnxruntime
        print(hasattr(onnxruntime, "training"))
        onnxruntime.OrtNonsense
        """)
    assert done.stdout.strip() == "False" and "AttributeError: module 'onnxruntime' has no attribute 'OrtNonsense' (it is Kapell's stand-in" in done.stderr


def test_star_and_submodules():
    done = standin("""
        from onnxruntime import *
        import importlib.util, onnxruntime, onnxruntime.backend, onnxruntime.capi._pybind_state as C, onnxruntime.capi.onnxruntime_pybind11_state as S
        from onnxruntime.capi.onnxruntime_inference_collection import OrtValue as V
        import kapell, kapell.onnxruntime, kapell.onnxruntime.capi.onnxruntime_pybind11_state as K
        assert SessionOptions is onnxruntime.SessionOptions and V is onnxruntime.OrtValue is kapell.OrtValue
        assert issubclass(onnxruntime.InferenceSession, kapell.InferenceSession) and kapell.onnxruntime.InferenceSession is onnxruntime.InferenceSession
        assert C.InvalidArgument is S.InvalidArgument is K.InvalidArgument is kapell.InvalidArgument
        assert onnxruntime.capi.onnxruntime_pybind11_state is S and importlib.util.find_spec("onnxruntime") and not importlib.util.find_spec("onnxruntime.training")
        try: onnxruntime.InferenceSession(b"no model")
        except S.InvalidProtobuf as error: print(json.dumps(str(error)))
        """)
    assert "KAPELL-E" in result(done)


def test_install_and_uninstall_in_one_process():
    done = run("-c", """if True:
        import importlib.metadata, sys, kapell.onnxruntime as standin
        standin.install(); standin.install()
        import onnxruntime
        assert standin.is_standin(onnxruntime) and importlib.metadata.version("onnxruntime") == "1.32.0" and onnxruntime.get_available_providers() == ["CPUExecutionProvider"]
        standin.uninstall()
        assert not any(m == "onnxruntime" or m.startswith("onnxruntime.") for m in sys.modules)
        sys.modules["onnxruntime"] = type(sys)("onnxruntime")
        try: standin.install()
        except RuntimeError as error: print(error)
        """)
    assert "onnxruntime is loaded already" in done.stdout and "python -m kapell.onnxruntime" in done.stdout, done.stderr


def test_the_example_in_the_docstring():
    done = run("-c", "import doctest, sys, kapell.onnxruntime; sys.exit(doctest.testmod(kapell.onnxruntime).failed)")
    assert done.returncode == 0, done.stdout


# --- running programs --------------------------------------------------------------------------------------------------------

def test_a_script_runs_as_python_would_run_it(tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7\n", encoding="utf-8")
    (tmp_path / "program.py").write_text(textwrap.dedent("""
        import sys, json, multiprocessing, pickle, beside, onnxruntime
        class Mine: pass
        def child(queue):
            import importlib.metadata, onnxruntime
            queue.put(hasattr(onnxruntime.InferenceSession, "placement") and importlib.metadata.version("onnxruntime") == "1.32.0")
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=child, args=(queue,))
            process.start()
            assert isinstance(pickle.loads(pickle.dumps(Mine())), Mine)
            print(json.dumps([sys.argv[1:], beside.VALUE, __file__.endswith("program.py"), queue.get(timeout=60), sys.modules["__main__"].__file__ == __file__]))
            process.join()
            sys.exit(5)
        """), encoding="utf-8")
    done = run("-m", "kapell.onnxruntime", str(tmp_path / "program.py"), "-m", "--install", cwd=str(tmp_path.parent))
    assert done.returncode == 5, done.stderr
    assert json.loads(done.stdout) == [["-m", "--install"], 7, True, True, True]
    done = run("-m", "kapell.onnxruntime", "-m", "program", "a", cwd=str(tmp_path))
    assert done.returncode == 5 and json.loads(done.stdout)[0] == ["a"], done.stderr
    failing = run("-m", "kapell.onnxruntime", "-c", "import sys; print(sys.argv); raise ValueError('mine')", "x")
    assert failing.returncode == 1 and failing.stdout == "['-c', 'x']\n" and "ValueError: mine" in failing.stderr
    assert run("-m", "kapell.onnxruntime", str(tmp_path / "absent.py")).returncode != 0


# --- Python code of ONNX Runtime's package ---------------------------------------------------------------------------------------

def test_the_quantizers_of_an_installed_onnx_runtime():
    """quantize_dynamic, quantize_static and MatMulNBits run on Kapell and give the very models that they give on ONNX Runtime."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    code = """
        import hashlib, logging, os, tempfile
        import onnx, onnxruntime
        from onnx import numpy_helper
        from onnxruntime import quantization
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
        logging.disable()
        w = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["h"], "m"), helper.make_node("Relu", ["h"], ["y"], "r")], "g",
            [helper.make_tensor_value_info("x", 1, ["N", 64])], [helper.make_tensor_value_info("y", 1, ["N", 8])], [numpy_helper.from_array(w, "w")])
        float_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        class Reader(quantization.CalibrationDataReader):
            def __init__(self): self.left = [np.random.default_rng(i).normal(size=(4, 64)).astype(np.float32) for i in range(3)]
            def get_next(self): return {"x": self.left.pop()} if self.left else None
        x = np.random.default_rng(9).normal(size=(2, 64)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            onnx.save(float_model, "f.onnx")
            quantization.quantize_dynamic("f.onnx", "d.onnx")
            quantization.quantize_static("f.onnx", "s.onnx", Reader())
            nbits = MatMulNBitsQuantizer(onnx.load("f.onnx"), block_size=32, is_symmetric=False)
            nbits.process()
            onnx.save(nbits.model.model, "n.onnx")
            wanted = np.maximum(x @ w, 0)
            close = {}
            for name in "dsn":
                got = onnxruntime.InferenceSession(f"{name}.onnx").run(None, {"x": x})[0]
                close[name] = float(np.abs(got - wanted).max())
            print(json.dumps([close, [onnx.load(f"{n}.onnx").SerializeToString(deterministic=True).hex() for n in "dsn"], quantization.__file__]))
        """
    theirs, ours = result(real(code)), result(standin(code))
    assert all(value < 2 for value in ours[0].values()), ours[0]
    assert ours[1] == theirs[1] and ours[2] == theirs[2]


BLOCKS = """
    from onnxruntime.capi import _pybind_state as C
    def by_columns(bits, w, block, symmetric):
        (rows, columns), per = w.shape, 8 // bits
        count, tail = -(-rows // block), (rows - 1) % block + 1
        packed, scales, zeros = np.zeros((columns, count, block // per), np.uint8), np.zeros((columns, count), np.float32), np.zeros((columns, -(-count // per)), np.uint8)
        getattr(C, f"quantize_matmul_{bits}bits")(packed, w, scales, zeros, block, columns, rows, symmetric)
        kept = np.stack([zeros >> (bits * i) & (2 ** bits - 1) for i in range(per)], -1).reshape(columns, -1)[:, :count]
        return [packed[:, :-1].tolist(), packed[:, -1, :tail // per].tolist(), scales.tolist(), kept.tolist()]  # codes behind the last row are anybody's
    def by_rows(w, block, symmetric):
        (rows, columns), count = w.shape, -(-w.shape[0] // block)
        packed, scales, zeros = np.zeros((rows * columns + 1) // 2, np.uint8), np.zeros((count, columns), np.float32), np.zeros((count * columns + 1) // 2, np.uint8)
        return [C.quantize_qdq_matmul_4bits(packed, w, scales, zeros, block, columns, rows, symmetric), packed.tolist(), scales.tolist(), zeros.tolist()]
    def floats(w, block, kind):
        packed, most = np.zeros((w.size + 1) // 2, np.uint8), np.zeros(-(-w.size // block), np.float32)
        C.quantize_matmul_bnb4(packed, np.ascontiguousarray(w.T), most, block, kind, w.shape[1], w.shape[0])
        return [packed.tolist(), most.tolist()]
    out = {}
    for rows, columns, block in ((64, 8, 32), (50, 5, 16), (128, 3, 64), (16, 1, 16)):
        w = np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32)
        w[:block, 0] = 0
        for symmetric in (False, True):
            for bits in (2, 4, 8):
                out[f"{bits} bits, {rows}x{columns}, symmetric {symmetric}"] = by_columns(bits, w, block, symmetric)
            out[f"by rows, {rows}x{columns}, symmetric {symmetric}"] = by_rows(w, block, symmetric)
            out[f"floats {symmetric}, {rows}x{columns}"] = floats(w, block, int(symmetric))
    print(json.dumps(out))
    """


def test_blocks_of_few_bits_are_those_of_onnx_runtime():
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    ours, theirs = result(standin(BLOCKS)), result(real(BLOCKS))
    assert len(ours) == 40 and {name for name in theirs if ours[name] != theirs[name]} == set()


def test_profiles_are_read_as_those_of_onnx_runtime():
    code = """
        import os, tempfile
        import onnxruntime
        with tempfile.TemporaryDirectory() as folder:
            options = onnxruntime.SessionOptions()
            options.enable_profiling, options.profile_file_prefix = True, os.path.join(folder, "p")
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            session.run(None, {"x": np.ones((2, 3), np.float32)})
            with open(session.end_profiling()) as file: events = json.load(file)
        nodes = [e for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time")]
        print(json.dumps([[e["args"][k] for k in ("op_name", "provider", "input_type_shape", "output_type_shape")] for e in nodes]
                         + [sorted(nodes[0])] + [all(e["dur"] >= 0 and e["ts"] >= 0 for e in nodes)]))
        """
    ours = result(standin(code))
    assert ours == [["Neg", "CPUExecutionProvider", [{"float": [2, 3]}], [{"float": [2, 3]}]], ["args", "cat", "dur", "name", "ph", "pid", "tid", "ts"], True]
    if importlib.util.find_spec("onnxruntime"):
        assert ours == result(real(code))


DIMENSIONS = """
    import onnxruntime
    from onnx import numpy_helper
    def shapes(source, wanted, nodes, level=99):
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, source)], [helper.make_tensor_value_info("y", 1, wanted)],
                                  [numpy_helper.from_array(np.int64([-1, 4]), "four")])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
        return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"]).get_outputs()[0].shape
    negated, doubled, cut = ([helper.make_node(*n, ["y"], **k)] for n, k in ((("Neg", ["x"]), {}), (("Concat", ["x", "x"]), {"axis": 1}), (("Reshape", ["x", "four"]), {})))
    print(json.dumps([shapes([2, 3], ["N", "M"], negated), shapes(["B", 3], ["N", "M"], negated), shapes(["B", 3], [None, None], negated),
                      shapes(["B", None], ["N", 7], negated), shapes(["B", "C"], ["N", "past + new"], doubled), shapes(["B", "C"], ["N", "C"], cut),
                      shapes(["B", "C"], ["N", "twice"], doubled, level=0)]))
    """


def test_outputs_have_the_dimensions_that_onnx_runtime_says():
    ours = result(standin(DIMENSIONS))
    assert ours == [[2, 3], ["N", 3], ["B", 3], ["N", 7], ["N", "past + new"], ["N", 4], ["N", "twice"]]
    if importlib.util.find_spec("onnxruntime"):
        assert ours == result(real(DIMENSIONS))


def test_the_backend_interface_under_its_name():
    done = standin("""
        import onnxruntime.backend as backend
        x = np.float32([[1, -2, 3]])
        prepared = backend.prepare(model, "CPU", intra_op_num_threads=1)
        try: backend.prepare(model, optimized_model_filepath="x")
        except RuntimeError as error: refused = str(error)
        print(json.dumps([prepared.run(x)[0].tolist(), backend.run(model, [x])[0].tolist(), type(prepared).__name__, backend.supports_device("CPU"),
                          backend.supports_device("CUDA"), backend.is_compatible(None), refused]))
        """)
    first, second, name, cpu, cuda, fits, refused = result(done)
    assert first == second == [[-1, 2, -3]] and name == "OnnxRuntimeBackendRep" and cpu and fits and not cuda
    assert "'optimized_model_filepath' is not permitted via the backend API" in refused


def negation():
    """y = -x of three numbers."""
    x, y = (helper.make_tensor_value_info(name, 1, [3]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def test_files_of_onnx_runtimes_own_format_are_not_written_under_its_name(tmp_path):
    import kapell
    options = kapell.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    with pytest.raises(kapell.NotImplemented, match="m.ort: Kapell writes ONNX files"):
        kapell.InferenceSession(negation(), options)
    assert not (tmp_path / "m.ort").exists()


@pytest.mark.full
def test_the_optimizer_of_an_installed_onnx_runtime(root):
    """onnxruntime.transformers fuses an encoder and makes it float16; what it writes runs on Kapell."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    done = standin(f"""
        import logging, os, tempfile
        logging.disable()
        sys.path.append({str(root / 'test' / 'py')!r})
        from models import trained
        import onnx, onnxruntime
        from onnxruntime.transformers import optimizer
        feed = trained.tokenize(["hello world", "what a day it was"])
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            onnx.save(trained.minilm(), "m.onnx")
            made = optimizer.optimize_model("m.onnx", model_type="bert", num_heads=12, hidden_size=384, opt_level=0)
            made.save_model_to_file("o.onnx")
            made.convert_float_to_float16()
            made.save_model_to_file("h.onnx")
            first, *others = (onnxruntime.InferenceSession(name).run(None, feed)[0] for name in ("m.onnx", "o.onnx", "h.onnx"))
        print(json.dumps([made.get_fused_operator_statistics()["SkipLayerNormalization"], *(float(np.abs(first - other).max()) for other in others)]))
        """)
    fused, exact, half = result(done)
    assert fused == 12 and exact < 1e-5 and half < 2e-3


def test_arrays_of_this_process_are_numpys():
    import kapell.onnxruntime as onnxruntime
    session = onnxruntime.InferenceSession(negation())
    np.testing.assert_array_equal(session.run(None, {"x": np.float32([1, 2, 3])})[0], np.float32([-1, -2, -3]))
