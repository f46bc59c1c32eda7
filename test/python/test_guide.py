"""The examples of docs/python.md run, and what it says of names and versions is so."""

import doctest
import re

import pytest

import kapell


@pytest.fixture
def text(root):
    return (root / "docs" / "python.md").read_text(encoding="utf-8")


def test_examples(text, root):
    names = {"digits": str(root / "examples" / "digits" / "digits.onnx")}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    runner = doctest.DocTestRunner(optionflags=flags)
    assert runner.run(doctest.DocTestParser().get_doctest(text, names, "python.md", "docs/python.md", 0)).failed == 0
    assert runner.tries > 15


def test_errors_are_the_ones_that_are_shown(text, root):
    """Doctest does not look at the texts of exceptions."""
    digits = str(root / "examples" / "digits" / "digits.onnx")
    shown = re.findall(r"kapell\.(\w+): (error KAPELL-E\d+ \w+): ", text)
    assert len(shown) == 2
    for (name, words), providers in zip(shown, (["CUDA", "CPU"], ["Tuba"])):
        with pytest.raises(getattr(kapell, name), match="^" + words):
            kapell.InferenceSession(digits, providers=providers)


def test_versions_of_packages(text, root):
    """Those that the suite pins are those that the guide names."""
    pinned = dict(line.split("==") for name in ("requirements.txt", "requirements-optimum.txt")
                  for line in (root / "test" / name).read_text(encoding="utf-8").splitlines() if "==" in line)
    said = dict(re.findall(r"([a-z0-9-]+) (\d+\.\d+\.\d+)", text[text.index("In the test suite, unchanged"):text.index("Tried by hand")]))
    assert {name: pinned.get(name) for name in said if name not in ("learn", "scikit-learn")} == {n: v for n, v in said.items() if n not in ("learn", "scikit-learn")}
    assert len(said) >= 8
