"""Real architectures over chains of mock devices and the CPU: ONNX Runtime's numbers, whoever runs the nodes."""

import pathlib
import sys

import numpy as np
import onnxruntime
import pytest

import kapell_c
import models

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples" / "digits"))


def _digits():
    pixels = np.random.default_rng(3).random((3, 1, 8, 8), np.float32)
    return (ROOT / "examples" / "digits" / "digits.onnx").read_bytes(), {"image": pixels}


def _built(build, inputs):
    return build().SerializeToString(), inputs()


SMALL = {"digits": _digits, **{name: lambda pair=pair: _built(*pair) for name, pair in models.SMALL.items()}}
REAL = {name: lambda pair=pair: _built(*pair) for name, pair in models.REAL.items()}

CHAINS = {
    "half, splittable": ("Mock,CPU", {"Mock.ops": "half"}),
    "half, atomic": ("Mock,CPU", {"Mock.ops": "half", "Mock.atomic": 1}),
    "every second node": ("Mock,CPU", {"Mock.ops": "alternate"}),
    "every second node, atomic, streams": ("Mock,CPU", {"Mock.ops": "alternate", "Mock.atomic": 1, "Mock.streams": 1}),
    "all, static": ("Mock,CPU", {"Mock.static": 1}),
    "two devices": ("Mock,Mock2,CPU", {"Mock.ops": "half", "Mock2.streams": 1}),
}


@pytest.fixture(scope="module")
def known():
    """Models with ONNX Runtime's results, made once."""
    return {}


def _known(known, name, make):
    if name not in known:
        model, feeds = make()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        feeds = {i.name: feeds[i.name] if i.name in feeds else next(iter(feeds.values())) for i in session.get_inputs()}
        known[name] = model, feeds, session.run(None, feeds)
    return known[name]


def _compare(known, name, make, chain):
    model, feeds, wanted = _known(known, name, make)
    providers, options = CHAINS[chain]
    session = kapell_c.Session(model, providers=providers, options=options)
    for _ in range(2):
        for got, reference in zip(session.run(feeds), wanted):
            assert got.shape == reference.shape
            assert np.abs(got - reference).max() <= 1e-4 * np.abs(reference).max()
    session.close()


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", SMALL)
def test_small(known, name, chain):
    _compare(known, name, SMALL[name], chain)


@pytest.mark.full
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("chain", ["half, splittable", "half, atomic"])
def test_real(known, name, chain):
    _compare(known, name, REAL[name], chain)
