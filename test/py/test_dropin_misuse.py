"""Wrong calls to the C API: what ours answers to each, beside ONNX Runtime's own library (test/tools/ort_misuse.c)."""

import pathlib
import re
import subprocess

import pytest

import client_models

NOT_WRITTEN = "NOT_IMPLEMENTED, docs/onnxruntime-abi.md"
# Where ours answers otherwise, and why.
DIFFERENCES = {
    "tensor_complex": "ours makes complex tensors too",
    "run_async_no_callback": "ours refuses it at once, ONNX Runtime crashes when the run ends",
    "free_dimension_negative": "ours refuses what could hold for no input",
    "initializer_empty_name": "ours refuses a name that no model has",
    "initializer_wrong_shape": "ours refuses weights that do not fit, ONNX Runtime reads on",
    "domain_of_two_names": "ours joins the domains",
    "editor_empty_graph": "a model that breaks a rule of ONNX is INVALID_GRAPH wherever it comes from",
    "adapter_missing": NOT_WRITTEN,
    "adapter_garbage": NOT_WRITTEN,
}


def outcomes(program, library, models):
    """case -> "ok", "error CODE" or "crash"."""
    done = subprocess.run([program, library, models], capture_output=True, text=True, errors="replace", timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(re.findall(r"^(\w+): (.*)$", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of the models that the calls open."""
    folder = tmp_path_factory.mktemp("models")
    client_models.write(folder)
    return folder


@pytest.mark.asan_programs
def test_wrong_calls(build_dir, models, preset):
    program = build_dir / "test" / "ort_misuse"
    ours = outcomes(program, build_dir / "lib" / "libonnxruntime.so.1", models)
    assert len(ours) > 150
    assert not [name for name, said in ours.items() if said == "crash"]
    if preset == "asan":
        return
    import onnxruntime

    real = outcomes(program, next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")), models)
    assert real.keys() == ours.keys()
    wrong = [f"{name}: {ours[name]}, ONNX Runtime: {real[name]}" for name in real if real[name] != ours[name] and real[name] != "crash" and name not in DIFFERENCES]
    wrong += [f"{name}: as in ONNX Runtime, but listed" for name in DIFFERENCES if real[name] == ours[name]]
    assert not wrong, "\n".join(wrong)
