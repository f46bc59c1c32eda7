"""If, Loop, Scan and SequenceMap with every type and version that their schemas allow, through the public API, against numpy."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import kapell_c
from draws.base import array, dims, dtypes


def versions(name):
    """Versions of the operator's schema, as opsets."""
    return sorted({s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == name and not s.domain})


def element_of(dtype):
    """The element type of ONNX that numpy's |dtype| stands for."""
    return TensorProto.STRING if dtype.kind == "O" else helper.np_dtype_to_tensor_dtype(dtype)


def info(name, dtype, rank):
    """A tensor of unknown dims."""
    return helper.make_tensor_value_info(name, element_of(np.dtype(dtype)), [None] * rank)


def model(nodes, inputs, outputs, opset):
    """The bytes of a model; |outputs| are names."""
    graph = helper.make_graph(nodes, "control", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=13 if opset > 20 else 8).SerializeToString()


def same(got, wanted):
    """True if two results are alike: tensors with their types, lists item by item."""
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(same(g, w) for g, w in zip(got, wanted))
    if wanted.dtype.kind == "O":
        return got.shape == wanted.shape and got.tolist() == wanted.tolist()
    return got.dtype == wanted.dtype and got.shape == wanted.shape and got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("version", versions("If"))
def test_if_gives_every_type(version):
    rng = np.random.default_rng(version)
    for dtype in dtypes("If", version, "V"):
        branches = {name: helper.make_graph([helper.make_node("Identity", [value], [name])], name, [],
                                            [helper.make_empty_tensor_value_info(name)])
                    for name, value in (("then_branch", "a"), ("else_branch", "b"))}
        data = model([helper.make_node("If", ["c"], ["y"], **branches)],
                     [info("c", bool, 0), info("a", dtype, 2), info("b", dtype, 1)], ["y"], max(version, 7))
        session, feeds = kapell_c.Session(data), {"a": array(rng, [3, 2], dtype), "b": array(rng, [5], dtype)}
        for condition in (True, False):
            got = session.run({"c": np.asarray(condition), **feeds})[0]
            assert same(got, feeds["a" if condition else "b"]), dtype


@pytest.mark.parametrize("version", versions("Loop"))
def test_loop_carries_and_stacks_every_type(version):
    rng = np.random.default_rng(version)
    for dtype in dtypes("Loop", version, "V"):
        body = helper.make_graph(
            [helper.make_node("Identity", ["c"], ["co"]), helper.make_node("Identity", ["v"], ["each"]),
             helper.make_node("Identity", ["w"], ["vo"]), helper.make_node("Identity", ["v"], ["wo"])],
            "body", [info("i", np.int64, 0), info("c", bool, 0), info("v", dtype, 1), info("w", dtype, 1)],
            [info("co", bool, 0), info("vo", dtype, 1), info("wo", dtype, 1), info("each", dtype, 1)])
        data = model([helper.make_node("Loop", ["n", "", "a", "b"], ["x", "y", "z"], body=body)],
                     [info("n", np.int64, 0), info("a", dtype, 1), info("b", dtype, 1)], ["x", "y", "z"], max(version, 7))
        session, a, b = kapell_c.Session(data), array(rng, [3], dtype), array(rng, [3], dtype)
        for rounds in (3, 0, 4):
            got = session.run({"n": np.asarray(rounds), "a": a, "b": b})
            x, y = (a, b) if rounds % 2 == 0 else (b, a)
            assert same(got[0], x) and same(got[1], y), dtype
            if rounds:
                assert same(got[2], np.stack([a if i % 2 == 0 else b for i in range(rounds)])), dtype


@pytest.mark.parametrize("version", [v for v in versions("Loop") if v >= 13])
def test_loop_carries_sequences(version):
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["co"]), helper.make_node("SequenceInsert", ["s", "i"], ["so"])],
        "body", [info("i", np.int64, 0), info("c", bool, 0), helper.make_tensor_sequence_value_info("s", TensorProto.INT64, None)],
        [info("co", bool, 0), helper.make_tensor_sequence_value_info("so", TensorProto.INT64, None)])
    nodes = [helper.make_node("SequenceEmpty", [], ["e"], dtype=TensorProto.INT64),
             helper.make_node("Loop", ["n", "", "e"], ["y"], body=body)]
    session = kapell_c.Session(model(nodes, [info("n", np.int64, 0)], ["y"], version))
    for rounds in (4, 0, 2):
        assert same(session.run({"n": np.asarray(rounds)})[0], [np.asarray(i) for i in range(rounds)])


@pytest.mark.parametrize("version", [v for v in versions("If") if v >= 16])
def test_if_gives_optionals(version):
    some = helper.make_graph([helper.make_node("Optional", ["a"], ["o"])], "some", [], [helper.make_empty_tensor_value_info("o")])
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    none = helper.make_graph([helper.make_node("Optional", [], ["p"], type=kind)], "none", [], [helper.make_empty_tensor_value_info("p")])
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=some, else_branch=none), helper.make_node("OptionalHasElement", ["y"], ["z"])]
    session = kapell_c.Session(model(nodes, [info("c", bool, 0), info("a", np.float32, 1)], ["z"], version))
    for condition in (True, False):
        assert session.run({"c": np.asarray(condition), "a": np.ones(2, np.float32)})[0] == condition


def scan_model(version, dtype, rank, attrs, state_rank, inputs=2):
    """Gives back the slices of its inputs, and as state the last slice of the first."""
    prefix = [] if version > 8 else [""]
    slices = [f"x{i}" for i in range(inputs)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["x0"], ["so"])] + [helper.make_node("Identity", [x], [x + "o"]) for x in slices], "body",
        [info("s", dtype, state_rank)] + [info(x, dtype, rank) for x in slices],
        [info("so", dtype, state_rank)] + [info(x + "o", dtype, rank) for x in slices])
    batch = 1 if version == 8 else 0
    names = ["a"] + [f"b{i}" for i in range(inputs)]
    if version == 8 and attrs.pop("lengths", False):
        prefix, names = ["n"], ["n"] + names
    node = helper.make_node("Scan", prefix + names[-inputs - 1:], ["y"] + [f"z{i}" for i in range(inputs)], body=body,
                            num_scan_inputs=inputs, **attrs)
    infos = [info("n", np.int64, 1)] if prefix == ["n"] else []
    infos += [info("a", dtype, state_rank + batch)] + [info(f"b{i}", dtype, rank + 1 + batch) for i in range(inputs)]
    return kapell_c.Session(model([node], infos, ["y"] + [f"z{i}" for i in range(inputs)], max(version, 7)))


@pytest.mark.parametrize("version", [v for v in versions("Scan") if v > 8])
def test_scan_of_every_type(version):
    rng = np.random.default_rng(version)
    for dtype in dtypes("Scan", version, "V"):
        for _ in range(4):
            shape, length = dims(rng, 2, 1), int(rng.integers(1, 5))
            low = -3 if version >= 11 else 0
            axes, out_axes = rng.integers(low, 3, 2).tolist(), rng.integers(low, 3, 2).tolist()
            turned, out_turned = rng.integers(0, 2, 2).tolist(), rng.integers(0, 2, 2).tolist()
            session = scan_model(version, dtype, 2, {"scan_input_axes": axes, "scan_output_axes": out_axes, "scan_input_directions": turned,
                                                     "scan_output_directions": out_turned}, 2)
            steps = [[array(rng, shape, dtype) for _ in range(length)] for _ in range(2)]
            feeds = {f"b{i}": np.stack(s[::-1] if turned[i] else s, axis=axes[i]) for i, s in enumerate(steps)}
            wanted = [steps[0][-1]] + [np.stack(s[::-1] if out_turned[i] else s, axis=out_axes[i]) for i, s in enumerate(steps)]
            for _ in range(2):
                assert same(session.run({"a": array(rng, shape, dtype), **feeds}), wanted), (dtype, axes, out_axes)


def test_scan_8_of_every_type():
    rng = np.random.default_rng(8)
    for dtype in dtypes("Scan", 8, "V"):
        for lengths in (False, True):
            batch, length, shape, turned = 3, 4, dims(rng, 1, 1), rng.integers(0, 2, 2).tolist()
            session = scan_model(8, dtype, 1, {"directions": turned, "lengths": lengths}, 1)
            ends = rng.integers(1, length + 1, batch) if lengths else np.full(batch, length)
            feeds = {f"b{i}": array(rng, [batch, length] + shape, dtype) for i in range(2)}
            steps = [[x[k, :n][::-1] if turned[i] else x[k, :n] for k, n in enumerate(ends)] for i, x in enumerate(feeds.values())]
            empty = "" if dtype.kind == "O" else np.zeros([], dtype)
            padded = [np.full([batch, length] + shape, empty, dtype) for _ in range(2)]
            for i in range(2):
                for k, n in enumerate(ends):
                    padded[i][k, :n] = steps[i][k]
            wanted = [np.stack([s[-1] for s in steps[0]])] + padded
            feeds.update({"n": ends.astype(np.int64)} if lengths else {})
            assert same(session.run({"a": array(rng, [batch] + shape, dtype), **feeds}), wanted), (dtype, lengths)


def test_scan_8_refuses_lengths():
    session = scan_model(8, np.dtype(np.float32), 1, {"lengths": True}, 1)
    feeds = {"a": np.zeros([2, 3], np.float32), "b0": np.zeros([2, 4, 3], np.float32), "b1": np.zeros([2, 4, 3], np.float32)}
    for bad in ([0, 1], [5, 1], [1]):
        with pytest.raises(kapell_c.KapellError, match="sequence_lens"):
            session.run({"n": np.asarray(bad), **feeds})


def test_sequence_map_mixes_sequences_and_tensors():
    body = helper.make_graph([helper.make_node("Add", ["x", "y"], ["z"]), helper.make_node("Mul", ["z", "outer"], ["w"])], "body",
                             [info("x", np.float32, 1), info("y", np.float32, 1)], [info("z", np.float32, 1), info("w", np.float32, 1)])
    nodes = [helper.make_node("SequenceConstruct", ["a", "b"], ["s"]),
             helper.make_node("SequenceMap", ["s", "t"], ["p", "q"], body=body),
             helper.make_node("SequenceMap", ["p", "q"], ["r", ""], body=body)]
    session = kapell_c.Session(model(nodes, [info(n, np.float32, 1) for n in ("a", "b", "t", "outer")], ["p", "q", "r"], 17))
    a, b, t, outer = (np.full(3, v, np.float32) for v in (1, 2, 10, 3))
    p = [a + t, b + t]
    q = [v * outer for v in p]
    assert same(session.run({"a": a, "b": b, "t": t, "outer": outer}), [p, q, [x + y for x, y in zip(p, q)]])
