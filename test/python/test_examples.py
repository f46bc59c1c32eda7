"""The examples in the package's docstrings and in README.md run."""

import doctest
import importlib
import os
import pkgutil

import numpy
import pytest
from onnx import TensorProto, helper

import kapell

pytestmark = pytest.mark.asan_slice

SKIPPED = {"kapell.__main__"}  # ends the process
if "asan" in os.environ.get("KAPELL_PRESET", ""):
    SKIPPED.add("kapell.tools")  # starts the command, which is not for a Python that has the sanitizer's runtime preloaded


def modules():
    names = [info.name for info in pkgutil.walk_packages(kapell.__path__, "kapell.")]
    return ["kapell", *(name for name in names if name not in SKIPPED and not name.startswith(("kapell._", "kapell.onnxruntime")))]


def doubling():
    """y = x + x, float, [N, 2]: the |model| of the examples."""
    io = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"], "add")], "doubling", io[:1], io[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


@pytest.mark.parametrize("name", modules())
def test_examples(name, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"kapell": kapell, "np": numpy, "numpy": numpy, "model": doubling(),
             "digits": str(root / "examples" / "digits" / "digits.onnx")}
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    if name == "kapell.values":
        assert result.attempted > 20


def test_readme(root, monkeypatch):
    monkeypatch.chdir(root)
    text = (root / "README.md").read_text(encoding="utf-8")
    block = text.partition("```python\n>>>")[2].partition("```")[0]
    test = doctest.DocTestParser().get_doctest(">>>" + block, {}, "README.md", "README.md", 0)
    assert len(test.examples) > 5
    with pytest.warns(kapell.KapellWarning, match="CUDA"):
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(test)
    assert result.failed == 0
