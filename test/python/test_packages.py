"""Packages that use onnxruntime, unchanged, on the stand-in: their answers are right, and those of ONNX Runtime where it is here to ask."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

PROGRAMS = pathlib.Path(__file__).parent / "programs"
PRELUDE = """
import json, sys, warnings
import numpy as np, onnxruntime
warnings.simplefilter("ignore")
def done(*results): print(json.dumps([hasattr(onnxruntime.InferenceSession, "placement"), *results]))
"""


def program(code, *words):
    """What a program that ends with done(...) gives; |words| before -c choose whose onnxruntime it imports."""
    found = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *(p for p in sys.path if p)]
    ran = subprocess.run([sys.executable, *words, "-c", PRELUDE + textwrap.dedent(code)], env={**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(found))},
                         capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def on_kapell(code):
    is_kapell, *results = program(code, "-m", "kapell.onnxruntime")
    assert is_kapell
    return results


def on_onnx_runtime(code):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    is_kapell, *results = program(code)
    assert not is_kapell
    return results


RAPIDOCR = """
    from PIL import Image, ImageDraw, ImageFont
    from rapidocr_onnxruntime import RapidOCR
    def draw(lines, size):
        picture = Image.new("RGB", (16 * size, 60 + 2 * size * len(lines)), "white")
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
        for i, line in enumerate(lines):
            pen.text((30, 30 + 2 * size * i), line, fill="black", font=font)
        return np.asarray(picture)[:, :, ::-1].copy()
    read = RapidOCR()
    texts = []
    for lines, size in LINES:
        result, _ = read(draw(lines, size))
        texts.append([[one[1].replace(" ", ""), float(one[2])] for one in result])
    done(texts)
    """
LINES = [(["Kapell reads 2026", "ONNX models run here", "Line three: 98765"], 40), (["small print 1234", "second line"], 24)]


def test_rapidocr_reads_drawn_pictures():
    pytest.importorskip("rapidocr_onnxruntime", reason="rapidocr-onnxruntime is not installed")
    [texts] = on_kapell(f"LINES = {LINES!r}\n" + textwrap.dedent(RAPIDOCR))
    assert [[text for text, _ in picture] for picture in texts] == [[line.replace(" ", "") for line in lines] for lines, _ in LINES]
    assert min(score for picture in texts for _, score in picture) > 0.8


SENTENCES = """
    sys.path += PATHS
    from models import trained
    class Embedder:
        def __init__(self, path):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            options.log_severity_level = 3
            self.session = onnxruntime.InferenceSession(path, options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
            self.names = [i.name for i in self.session.get_inputs()]
        def encode(self, sentences, batch=4):
            parts = []
            for at in range(0, len(sentences), batch):
                words = trained.tokenize(sentences[at : at + batch])
                binding = self.session.io_binding()
                for name in self.names:
                    binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(words[name]))
                binding.bind_output(self.session.get_outputs()[0].name, "cpu")
                self.session.run_with_iobinding(binding)
                parts.append(binding.copy_outputs_to_cpu()[0])
            return np.concatenate(parts)
    import onnx, os, tempfile
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(trained.minilm(), os.path.join(folder, "m.onnx"))
        embedder = Embedder(os.path.join(folder, "m.onnx"))
    done(embedder.encode([s for topic in TOPICS for s in topic]).tolist(), embedder.session.get_providers())
    """


def test_sentences_of_one_topic_are_nearest(root):
    from test_trained import TOPICS
    code = f"PATHS, TOPICS = {[str(root / 'test' / 'py')]!r}, {TOPICS!r}\n" + textwrap.dedent(SENTENCES)
    vectors, providers = on_kapell(code)
    vectors = np.array(vectors)
    assert providers == ["CPUExecutionProvider"]
    scores = vectors @ vectors.T
    for i in range(9):
        alike = [scores[i, j] for j in range(9) if j // 3 == i // 3 and j != i]
        assert min(alike) > max(scores[i, j] for j in range(9) if j // 3 != i // 3) + 0.2
    theirs = np.array(on_onnx_runtime(code)[0])
    assert np.abs(vectors - theirs).max() <= 1e-5


SKLEARN = """
    import skl2onnx
    from sklearn import datasets
    sys.path += PATHS
    import test_skl2onnx as cases
    far = {}
    x, y = datasets.make_classification(300, 8, n_informative=6, n_redundant=0, n_classes=3, random_state=1)
    x = x.astype(np.float32)
    def session(model, **options):
        data = skl2onnx.to_onnx(model, x[:1], target_opset={"": 20, "ai.onnx.ml": 3}, **options).SerializeToString()
        return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for name in CLASSIFIERS:
        model = cases.CLASSIFIERS[name].fit(x[:200], y[:200])
        labels, scores = session(model, options={id(model): {"zipmap": False}}).run(None, {"X": x[200:]})[:2]
        far[name] = [float(np.abs(scores - model.predict_proba(x[200:])).max()), float((labels != model.predict(x[200:])).mean())]
    model = cases.CLASSIFIERS["logistic"].fit(x, y)
    labels, maps = session(model).run(None, {"X": x})  # a list of dicts
    far["maps"] = [float(np.abs(np.array([[m[c] for c in model.classes_] for m in maps]) - model.predict_proba(x)).max()), 0.0]
    x, y = datasets.make_regression(300, 8, random_state=3, noise=2)
    x = x.astype(np.float32)
    for name in REGRESSORS:
        model = cases.REGRESSORS[name].fit(x[:200], y[:200])
        got = session(model).run(["variable"], {"X": x[200:]})[0].ravel()
        far["regressor " + name] = [float((np.abs(got - model.predict(x[200:])) / (1 + np.abs(got))).max()), 0.0]
    done(far)
    """


def test_models_of_scikit_learn_agree_with_it(root):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    names = ["tree", "forest", "boosting", "logistic", "ovr", "scaled", "pca", "bayes", "neighbors", "network"], ["tree", "boosting", "linear", "svr", "imputed"]
    code = f"PATHS, (CLASSIFIERS, REGRESSORS) = {[str(root / 'test' / 'py')]!r}, {names!r}\n" + textwrap.dedent(SKLEARN)
    [far] = on_kapell(code)
    assert len(far) == 16
    for name, (score, labels) in far.items():
        assert score < (2e-3 if name.startswith("regressor") else 2e-5) and labels <= 0.01, (name, score, labels)


MAGIKA = """
    import magika
    identify = magika.Magika()
    texts = {"python": "import os\\n\\ndef f(x):\\n    return os.path.join(x, 'a')\\n", "c": "#include <stdio.h>\\n\\nint main(void) {\\n  return 0;\\n}\\n",
             "html": "<html><head><title>t</title></head><body><p>hi</p></body></html>\\n"}
    done({kind: identify.identify_bytes((text * 5).encode()).output.label for kind, text in texts.items()})
    """


def test_magika_tells_kinds_of_files():
    pytest.importorskip("magika", reason="magika is not installed")
    [labels] = on_kapell(MAGIKA.replace("\\\\n", "\\n"))
    assert all(kind == label for kind, label in labels.items()) and len(labels) == 3


NUDENET = """
    import nudenet
    detector = nudenet.NudeDetector()
    x = np.random.default_rng(0).random((1, 3, 320, 320), np.float32)
    done(detector.onnx_session.run(None, {detector.input_name: x})[0][0, :, ::50].tolist(), detector.detect(np.full((64, 64, 3), 128, np.uint8)))
    """


def test_nudenet_detects_as_on_onnx_runtime():
    pytest.importorskip("nudenet", reason="nudenet is not installed")
    ours, theirs = on_kapell(NUDENET), on_onnx_runtime(NUDENET)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-3, atol=1e-3)
    assert ours[1] == theirs[1] == []


EXTENSIONS = """
    from onnx import helper
    from onnxruntime_extensions import OrtPyFunction, get_library_path
    io = [helper.make_tensor_value_info(n, 8, ["N"]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("StringUpper", ["x"], ["y"], domain="ai.onnx.contrib")], "g", io[:1], io[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    texts = np.array(["abc", "straße"], object)
    done(session.run(None, {"x": texts})[0].tolist(), OrtPyFunction.from_model(model)(texts).tolist())
    """


def test_onnxruntime_extensions_brings_its_operators():
    pytest.importorskip("onnxruntime_extensions", reason="onnxruntime-extensions is not installed")
    first, second = on_kapell(EXTENSIONS)
    assert first == second and first[0] == "ABC"
    assert [first, second] == on_onnx_runtime(EXTENSIONS)


@pytest.mark.full
@pytest.mark.optimum
def test_optimum_runs_what_it_exported():
    """In the Python of test/requirements-optimum.txt: exporters, ORTModel classes with caches and bindings, a quantizer."""
    ran = subprocess.run([sys.executable, "-m", "kapell.onnxruntime", str(PROGRAMS / "optimum_models.py")],
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}, capture_output=True, text=True, timeout=1500, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    results = json.loads(ran.stdout.splitlines()[-1])
    assert results.pop("engine") == "kapell.onnxruntime._session" and results.pop("providers") == ["CPUExecutionProvider"]
    assert results.pop("quantized") < 0.02
    for name, value in results.items():
        assert value is True or (value is not False and value < 2e-5), (name, value)
    assert len(results) == 7
