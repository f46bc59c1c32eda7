"""Whole architectures, small, against ONNX Runtime: the shapes that a symbolic dimension takes in turn in one session."""

import json

import kapell_c
import models
import numpy as np
import onnxruntime as ort
import pytest

FEEDS = {
    "resnet": [models.image_inputs(64, n, n) for n in (1, 3, 2, 1)],
    "mobilenet_v2": [models.image_inputs(64, n, n) for n in (2, 1, 5)],
    "bert": [models.bert_inputs(b, s, 100, seed=s) for b, s in ((2, 16), (1, 5), (3, 32), (1, 1), (2, 16))],
}


@pytest.fixture(scope="module", params=sorted(models.SMALL))
def architecture(request):
    """Name and serialized model; one session of ONNX Runtime on it."""
    model = models.SMALL[request.param][0]().SerializeToString()
    return request.param, model, ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def assert_agree(got, want):
    """f32: within 1e-4 of the largest output."""
    assert len(got) == len(want)
    for mine, theirs in zip(got, want):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        assert np.abs(mine - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.asan_slice
@pytest.mark.parametrize("threads", [1, 2])
def test_agrees_with_onnx_runtime_on_every_shape(architecture, threads):
    name, model, reference = architecture
    session = kapell_c.Session(model, threads=threads)
    for feeds in FEEDS[name]:
        assert_agree(session.run(feeds), reference.run(None, feeds))
    counters = session.counters()
    assert counters["runs"] == len(FEEDS[name])
    assert counters["signature_hits"] == 1 if name != "mobilenet_v2" else counters["signature_hits"] == 0


def test_agrees_without_optimisation(architecture):
    name, model, reference = architecture
    session = kapell_c.Session(model, no_optimize=True)
    for feeds in FEEDS[name][:2]:
        assert_agree(session.run(feeds), reference.run(None, feeds))


@pytest.mark.parametrize("mask", ["scalar", "avx2"])
def test_agrees_on_older_instruction_sets(architecture, mask):
    name, model, reference = architecture
    session = kapell_c.Session(model, cpu_mask=mask)
    assert_agree(session.run(FEEDS[name][0]), reference.run(None, FEEDS[name][0]))


def test_outputs_one_by_one_are_the_same(architecture):
    name, model, _ = architecture
    session = kapell_c.Session(model, threads=1)
    together = session.run(FEEDS[name][0])
    for output, expected in zip(session.outputs, together):
        np.testing.assert_array_equal(session.run(FEEDS[name][0], names=[output])[0], expected)


def test_a_picture_does_not_depend_on_its_neighbours(architecture):
    """A batch gives what its members give alone, up to the rounding of another order of additions."""
    name, model, _ = architecture
    session = kapell_c.Session(model, threads=2)
    feeds = FEEDS[name][1]
    if name == "bert":
        feeds = FEEDS[name][2]
    batch = session.run(feeds)[0]
    for i in range(len(batch)):
        alone = session.run({key: value[i : i + 1] for key, value in feeds.items()})[0]
        assert_agree([alone], [batch[i : i + 1]])


def test_counters_tell_bytes_by_provider():
    session = kapell_c.Session(models.SMALL["resnet"][0]().SerializeToString(), threads=1)
    for _ in range(3):
        session.run(models.image_inputs(64))
    counters = session.counters()
    cpu = counters["providers"]["CPUExecutionProvider"]
    assert counters["runs"] == cpu["runs"] == 3
    assert cpu["nodes"] == 3 * session_nodes(session)
    assert cpu["bytes"] == 3 * 4 * (3 * 64 * 64 + 10)  # one partition: the picture in, ten classes out
    assert cpu["time_ns"] > 0


def session_nodes(session):
    return sum(node["how"] == "run" for node in json.loads(session.placement_json())["nodes"])
