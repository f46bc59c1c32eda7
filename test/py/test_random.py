"""Random operators against docs/random.md, written again in numpy: the same words, the same numbers, run by run."""

import numpy as np
import onnx
import pytest
from onnx import helper

import kapell_c


def philox(key, counters):
    """Philox 4x32-10: [n, 4] words for [n, 4] counters."""
    c = counters.astype(np.uint64)
    k0, k1 = (int(k) for k in key)
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c[:, 0] * np.uint64(0xD2511F53), c[:, 2] * np.uint64(0xCD9E8D57)
        c = np.stack([(b >> np.uint64(32)) ^ c[:, 1] ^ np.uint64(k0), b & mask, (a >> np.uint64(32)) ^ c[:, 3] ^ np.uint64(k1), a & mask],
                     axis=1)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def words(seed, run, count):
    return key_words((np.float32(seed).view(np.uint32), 0), run, count)


def key_words(key, run, count):
    blocks = (count + 3) // 4
    counters = np.zeros((blocks, 4), np.uint64)
    counters[:, 0], counters[:, 2] = np.arange(blocks), run
    return philox(key, counters).reshape(-1)[:count]


def units(seed, run, count):
    """Multiples of 2^-53, two words each."""
    pairs = words(seed, run, 2 * count).reshape(-1, 2)
    return ((pairs[:, 0] >> np.uint64(5)) * 2.0 ** 26 + (pairs[:, 1] >> np.uint64(6))) * 2.0 ** -53


def uniform(seed, run, count, dtype):
    if dtype == np.float64:
        return units(seed, run, count)
    return ((words(seed, run, count) >> np.uint64(8)) * 2.0 ** -24).astype(dtype)


def normal(seed, run, count, dtype):
    if dtype == np.float64:
        u = units(seed, run, count + count % 2).reshape(-1, 2)
        a, b = 1 - u[:, 0], u[:, 1]
    else:
        w = words(seed, run, count + count % 2).reshape(-1, 2)
        a, b = (w[:, 0] + 1.0) * 2.0 ** -32, w[:, 1] * 2.0 ** -32
    radius = np.sqrt(-2 * np.log(a))
    return np.stack([radius * np.cos(2 * np.pi * b), radius * np.sin(2 * np.pi * b)], axis=1).reshape(-1)[:count].astype(dtype)


def session(tmp_path, op, inputs=None, threads=2, **attrs):
    inputs = inputs or {}
    node = helper.make_node(op, list(inputs), ["y"], **attrs)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in inputs.items()]
    graph = helper.make_graph([node], "g", infos, [helper.make_empty_tensor_value_info("y")])
    path = tmp_path / f"{op}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path)
    return kapell_c.Session(path, threads=threads)


def first(result):
    return next(iter(result.values())) if isinstance(result, dict) else result[0]


@pytest.mark.parametrize("op,numbers", [("RandomUniform", uniform), ("RandomNormal", normal)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers(tmp_path, op, numbers, dtype):
    for threads in (1, 2):
        made = session(tmp_path, op, threads=threads, shape=[30001], seed=7.25, dtype=int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))
        for run in range(3):
            np.testing.assert_allclose(first(made.run({})), numbers(7.25, run, 30001, dtype), rtol=3e-7, atol=1e-9)


def test_bernoulli(tmp_path):
    p = np.random.default_rng(1).random(5000)
    made = session(tmp_path, "Bernoulli", {"p": p}, seed=3.0)
    for run in range(2):
        np.testing.assert_array_equal(first(made.run({"p": p})), (units(3.0, run, 5000) < p).astype(np.float64))


def test_multinomial(tmp_path):
    x = np.random.default_rng(2).normal(0, 2, (3, 7)).astype(np.float32)
    made = session(tmp_path, "Multinomial", {"x": x}, seed=3.0, sample_size=2000)
    sums = np.cumsum(np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True)), axis=1)
    at = units(3.0, 0, 6000).reshape(3, 2000) * sums[:, -1:]
    wanted = np.stack([np.searchsorted(s, a, side="right") for s, a in zip(sums, at)])
    np.testing.assert_array_equal(first(made.run({"x": x})), wanted)


def test_sessions_without_seed_differ(tmp_path):
    a, b = (first(session(tmp_path, "RandomNormal", shape=[100]).run({})) for _ in range(2))
    assert not (a == b).any()


@pytest.mark.parametrize("version,dtype", [(1, np.float32), (6, np.float64), (12, np.float64), (13, np.float16), (22, np.float32)])
def test_dropout(version, dtype):
    x = np.random.default_rng(5).normal(0, 2, 5001).astype(dtype)
    attrs, names = {"ratio": 0.25}, ["x"]
    if version >= 12:
        attrs, names = {"seed": 3}, ["x", "r", "t"]
    feeds = {"x": x, "r": np.asarray(0.25, np.float32), "t": np.asarray(True)}
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(feeds[n].dtype), feeds[n].shape) for n in names]
    graph = helper.make_graph([helper.make_node("Dropout", names, ["y", "m"], **attrs)], "g", infos,
                              [helper.make_empty_tensor_value_info(n) for n in "ym"])
    made = kapell_c.Session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10).SerializeToString())
    for run in range(2):
        y, mask = made.run({n: feeds[n] for n in names})
        kept = mask.astype(bool)
        np.testing.assert_allclose(y.astype(np.float64), np.where(kept, x.astype(np.float64) / 0.75, 0), rtol=2e-3 if dtype == np.float16 else 1e-6)
        assert mask.dtype == (np.bool_ if version >= 10 else dtype) and 0.72 < kept.mean() < 0.78
        if version >= 12:
            np.testing.assert_array_equal(kept, np.random.RandomState(3 + run).uniform(size=5001) >= 0.25)
    if version >= 12:
        y, mask = made.run({**feeds, "t": np.asarray(False)})
        assert mask.all() and y.tobytes() == x.tobytes()
        with pytest.raises(kapell_c.KapellError, match="outside of"):
            made.run({**feeds, "r": np.asarray(1, np.float32)})
