"""Whole architectures, small, against ONNX Runtime: the shapes that a symbolic dimension takes in turn in one session."""

import json

import kapell_c
import models
import numpy as np
import onnxruntime as ort
import pytest

# Shapes in turn; what is not here has its one feed.
FEEDS = {
    "resnet": [models.image_inputs(64, n, n) for n in (1, 3, 2, 1)],
    "mobilenet_v2": [models.image_inputs(64, n, n) for n in (2, 1, 5)],
    "bert": [models.bert_inputs(b, s, 100, seed=s) for b, s in ((2, 16), (1, 5), (3, 32), (1, 1), (2, 16))],
    "gpt2_cache": [models.decoder_inputs(2, 4, 16, 100, b, s, p) for b, s, p in ((1, 5, 0), (1, 1, 5), (2, 3, 4), (1, 1, 5))],
    "llama_cache": [models.decoder_inputs(2, 2, 16, 100, b, s, p) for b, s, p in ((1, 5, 0), (1, 1, 5), (2, 3, 4), (1, 1, 5))],
    "lstm": [models.sequence_inputs(b, t, 8) for b, t in ((2, 12), (1, 1), (5, 7))],
    "gru": [models.sequence_inputs(b, t, 8) for b, t in ((2, 12), (1, 1), (5, 7))],
    "dlrm": [models.dlrm_inputs(3, 50, batch=b, bag=n) for b, n in ((4, 4), (1, 1), (7, 2))],
}
for _name, (_, _feeds) in models.SMALL.items():
    FEEDS.setdefault(_name, [_feeds()])


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
        if mine.dtype.kind != "f":
            np.testing.assert_array_equal(mine, theirs)
        elif mine.size:
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
    shapes = [tuple((key, value.shape) for key, value in feeds.items()) for feeds in FEEDS[name]]
    assert counters["signature_hits"] == len(shapes) - len(set(shapes))


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
    feeds = next((f for f in FEEDS[name][1:] if len(next(iter(f.values()))) > 1), None)
    if feeds is None:
        pytest.skip(f"{name} has one feed, of one picture")
    session = kapell_c.Session(model, threads=2)
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


@pytest.mark.parametrize("name", ["gpt2_cache", "llama_cache"])
def test_a_cache_that_grows_gives_what_the_whole_text_gives(name):
    """Tokens one by one, each run's cache fed to the next, beside one run over all of them without a cache."""
    plain = kapell_c.Session(models.SMALL[name.removesuffix("_cache")][0]().SerializeToString(), threads=1)
    cached = kapell_c.Session(models.SMALL[name][0]().SerializeToString(), threads=1)
    tokens = np.random.default_rng(3).integers(0, 100, (1, 12))
    heads = 4 if name == "gpt2_cache" else 2
    feeds = {k: v for k, v in models.decoder_inputs(2, heads, 16, 100, 1, 1, 0).items()}
    steps = []
    for i in range(tokens.shape[1]):
        feeds["input_ids"] = tokens[:, i : i + 1]
        logits, *cache = cached.run(feeds)
        feeds.update(zip([n for n in feeds if n.startswith("past")], cache))
        steps.append(logits)
    assert_agree([np.concatenate(steps, 1)], plain.run({"input_ids": tokens}))


def test_a_cache_in_one_buffer_is_written_in_place():
    """past and present bound to the same memory: each step writes one position, the rest stays; beside ONNX Runtime on copies."""
    model = models.SMALL["llama_shared"][0]().SerializeToString()
    session, reference = kapell_c.Session(model, threads=1), ort.InferenceSession(model)
    feeds = models.shared_inputs(2, 2, 16, 100, 32, past=0)
    buffers = {n: feeds[n].copy() for n in feeds if n.startswith("past")}
    for buffer in buffers.values():
        buffer[:, :, 6:] = 7  # a copy of the cache would have zeros there
    values = {n: kapell_c.Value.of(b) for n, b in buffers.items()}
    outputs = {n.replace("past", "present"): v for n, v in values.items()}
    for step in range(6):
        feeds["input_ids"] = np.array([[step * 7 % 100]])
        feeds["seqlens_k"], feeds["total_sequence_length"] = np.array([step], np.int32), np.asarray(step + 1, np.int32)
        want = reference.run(None, feeds)
        got = session.run({**feeds, **values}, bound=outputs)
        feeds.update(zip(buffers, want[1:]))
        assert_agree(got[:1], want[:1])
        for name, theirs in zip(buffers, want[1:]):
            np.testing.assert_allclose(buffers[name][:, :, : step + 1], theirs[:, :, : step + 1], atol=1e-4)
    assert all((buffer[:, :, 6:] == 7).all() for buffer in buffers.values())
