"""Arrays in and out: every type, layout and kind of value, beside numpy and onnxruntime; and that large ones are not copied."""

import gc
import os
import resource
import weakref

import kapell
import numpy as np
import onnxruntime
import pytest
from little import ADD, IDENTITY, model, python

pytestmark = pytest.mark.asan_slice
measures = pytest.mark.skipif(os.environ.get("KAPELL_PRESET") == "asan", reason="ASan keeps freed memory, so memory is not measured under it")
CPU = ["CPUExecutionProvider"]
NUMBERS = {"float": "f4", "double": "f8", "float16": "f2", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1",
           "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "?"}


def identity(kind):
    return kapell.InferenceSession(model(f"g ({kind} x) => ({kind} y) {{ y = Identity(x) }}"))


@pytest.fixture(scope="module")
def floats():
    return kapell.InferenceSession(model(IDENTITY))


def through(session, x):
    return session.run(None, {"x": x})[0]


# --- types and layouts ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", NUMBERS)
def test_every_type_and_layout(kind):
    session = identity(f"{kind}[a, b]")
    base = (np.random.default_rng(1).random((40, 60)) * 100).astype(NUMBERS[kind])
    raw = np.frombuffer(b"\0" + base.tobytes(), np.uint8)
    read_only = base.copy()
    read_only.setflags(write=False)
    layouts = {
        "dense": base, "transposed": base.T, "fortran": np.asfortranarray(base), "every second": base[::2, ::3], "backwards": base[::-1],
        "byte-swapped": base.astype(base.dtype.newbyteorder()), "swapped and strided": base.astype(base.dtype.newbyteorder())[:, ::2],
        "unaligned": raw[1:].view(base.dtype).reshape(40, 60) if base.itemsize > 1 else base, "read-only": read_only,
        "broadcast": np.broadcast_to(base[:1], (5, 60)), "empty": base[:0], "empty, strided": base[::2, :0], "subclass": base.view(np.matrix),
        "a column": base[:, 3:4], "masked": np.ma.array(base)}
    for name, x in layouts.items():
        before = x.tobytes()
        y = through(session, x)
        assert y.dtype == base.dtype and y.dtype.isnative and np.array_equal(y, np.asarray(x).astype(base.dtype)), name
        assert y.flags.c_contiguous and y.flags.writeable and not np.shares_memory(x, y) and x.tobytes() == before, name


def test_scalars_and_high_ranks():
    assert through(identity("int64"), np.array(7)).shape == () and through(identity("int64"), 7) == 7
    assert through(identity("float"), np.float32(1.5)) == 1.5 and through(identity("bool"), True) == True  # noqa: E712
    x = np.arange(2, dtype=np.float32).reshape((1,) * 31 + (2,))
    many = "g (float[" + ", ".join("1" for _ in range(31)) + ", 2] x) => (float[n] y) { y = Reshape(x, m) m = Constant<value = int64[1] {-1}>() }"
    assert through(kapell.InferenceSession(model(many)), x).tolist() == [0, 1]
    with pytest.raises(kapell.InvalidArgument):
        through(identity("float[n]"), np.zeros((1,) * 33, np.float32))


def test_lists_get_the_type_that_is_expected():
    assert through(identity("int64[n]"), [1, 2]).dtype == np.int64 and through(identity("float16[n]"), [1, 2]).dtype == np.float16
    assert through(identity("float[a, b]"), [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]] and through(identity("float[n]"), []).shape == (0,)
    assert through(identity("float[n]"), (1, 2)).tolist() == [1, 2]
    with pytest.raises(ValueError):
        through(identity("float[a, b]"), [[1, 2], [3]])
    with pytest.raises(ValueError):
        through(identity("float[n]"), ["a"])


@pytest.mark.parametrize("x", [np.zeros(2, "f8"), np.zeros(2, "i8"), np.zeros(2, "c8"), np.zeros(2, "U1"), np.zeros(2, "V4"), np.zeros(2, "m8[s]"),
                               np.zeros(2, [("a", "f4")]), np.zeros(2, object), np.zeros(2, np.longdouble), {"a": 1.0}, [np.zeros(1)] * 2, None,
                               np.float64(1)])
def test_wrong_types_are_errors(x):
    session = identity("float[n]")
    if isinstance(x, list):
        with pytest.raises((kapell.InvalidArgument, ValueError)):
            through(session, x)
    else:
        with pytest.raises((kapell.InvalidArgument, ValueError)):
            through(session, x)
    assert through(session, np.zeros(2, "f4")).shape == (2,)


def test_what_knows_how_to_become_an_array():
    class Own:
        def __array__(self, dtype=None, copy=None):
            return np.ones((1, 2), np.float32)

    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise KeyError("mine")

    session = identity("float[a, b]")
    assert through(session, Own()).tolist() == [[1, 1]]
    with pytest.raises(KeyError, match="mine"):
        through(session, Broken())
    assert through(session, memoryview(np.ones((1, 2), np.float32))).tolist() == [[1, 1]]


def test_a_feed_that_changes_while_it_is_read():
    feed = {}

    class Clearing:
        def __array__(self, dtype=None, copy=None):
            feed.clear()
            return np.ones((1, 2), np.float32)

    session = kapell.InferenceSession(model(ADD))
    feed.update(x=Clearing(), y=np.ones(1, np.float32))
    with pytest.raises(ValueError, match="missing"):
        session.run(None, feed)


# --- memory ----------------------------------------------------------------------------------------------------------------------------
@measures
def test_a_hundred_megabytes_are_not_copied():
    """In a process of its own: neither inputs nor outputs are held twice."""
    done = python("""
import resource, kapell, numpy as np
from little import model
session = kapell.InferenceSession(model("g (float[n] x) => (float[n] y) { y = Neg(x) }"), threads=1)
session.run(None, {"x": np.ones(10, np.float32)})
x = np.ones(25_000_000, np.float32)
raw = np.ones(100_000_001, np.uint8)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
y = session.run(None, {"x": x})[0]
one = peak() - before
del y
y = session.run(None, {"x": raw[1:].view(np.float32)})[0]   # not aligned
print(one, peak() - before, y.base is not None, y[0])
""")
    one, two, has_base, _ = done.stdout.split()
    # Operators of the CPU may assume that memory is aligned to its elements: what is not is copied inside of the run.
    assert float(one) < 110 and float(two) < 205 and has_base == "True", done.stdout + done.stderr


def test_a_result_keeps_its_memory_and_nothing_else():
    x = np.arange(10000, dtype=np.float32).reshape(100, 100)
    session = kapell.InferenceSession(model(IDENTITY))
    gone, y = weakref.ref(session), through(session, x)
    row = y[5]
    del session, y
    gc.collect()
    assert gone() is None and row.tolist() == x[5].tolist()
    row[:] = 1
    assert x[5, 0] == 500


def test_deleted_inputs(floats):
    x = np.ones((300, 300), np.float32)
    feed = {"x": x}
    alive = weakref.ref(x)
    y = floats.run(None, feed)[0]
    del x, feed
    gc.collect()
    assert alive() is None and y.sum() == 90000


def test_small_and_large_results_are_the_same(floats):
    for count in (1, 63, 64, 65, 66, 1000):
        x = np.arange(count, dtype=np.float32).reshape(1, -1)
        y = through(floats, x)
        assert y.flags.writeable and np.array_equal(x, y)
        y += 1


# --- texts -----------------------------------------------------------------------------------------------------------------------------
BYTES_AMONG_TEXTS = np.array([[b"a", "b"], [np.str_("c"), "d"]], object)
TEXTS = [["a", "bcd"], ["é漢字", ""]]


@pytest.mark.parametrize("x", [np.array(TEXTS), np.array(TEXTS, object), TEXTS, np.char.encode(np.array(TEXTS), "utf-8"), np.array(TEXTS)[:, ::-1],
                               np.array(TEXTS).astype(">U3"), np.array([["a\0b", "x"], ["y", "z" * 1000]], object),
                               BYTES_AMONG_TEXTS, np.array([[1, None], [2.5, True]], object), np.zeros((0, 2), object)],
                         ids=range(10))
def test_texts(x):
    session = identity("string[a, b]")
    y = through(session, x)
    theirs = onnxruntime.InferenceSession(model("g (string[a, b] x) => (string[a, b] y) { y = Identity(x) }"), providers=CPU)
    swapped = isinstance(x, np.ndarray) and not x.dtype.isnative
    # onnxruntime reads swapped texts wrongly, and bytes among objects as their repr.
    expected = np.array([["a", "b"], ["c", "d"]]) if x is BYTES_AMONG_TEXTS else theirs.run(None, {"x": x.astype("=U3") if swapped else x})[0]
    assert y.dtype == object and y.tolist() == expected.tolist() and y.shape == expected.shape


def test_texts_that_are_no_utf8():
    raw = np.array([b"\xff\xfe", b"ok"])
    y = through(identity("string[n]"), raw)
    assert y.tolist() == [b"\xff\xfe".decode("utf-8", "surrogateescape"), "ok"]
    assert through(identity("string[n]"), y).tolist() == y.tolist()
    with pytest.raises(UnicodeError):
        through(identity("string[n]"), np.array(["\ud800 alone"], object))


def test_texts_of_numpys_own_kind():
    if not hasattr(np.dtypes, "StringDType"):
        pytest.skip("numpy before 2 has no StringDType")
    assert through(identity("string[n]"), np.array(["a", "bé"], np.dtypes.StringDType())).tolist() == ["a", "bé"]


# --- sequences, maps, optionals ------------------------------------------------------------------------------------------------------------
KINDS = {
    "a sequence": ("g (seq(float[a]) x) => (seq(float[a]) y, int64 n) { y = SequenceInsert(x, c) c = Constant<value = float[1] {5}>() n = SequenceLength(x) }",
                   {"x": [np.ones(2, np.float32), np.zeros(0, np.float32)]}),
    "an empty sequence": ("g (seq(float[a]) x) => (int64 n) { n = SequenceLength(x) }", {"x": []}),
    "a sequence of texts": ("g (seq(string[a]) x) => (string[a] y) { y = SequenceAt(x, i) i = Constant<value = int64 {0}>() }", {"x": [np.array(["a", "b"])]}),
    "maps": ("g (float[a, b] x) => (seq(map(int64, float)) y) { y = ai.onnx.ml.ZipMap<classlabels_int64s = [5, 6]>(x) }",
             {"x": np.array([[1, 2], [3, 4]], np.float32)}),
    "maps of texts": ('g (float[a, b] x) => (seq(map(string, float)) y) { y = ai.onnx.ml.ZipMap<classlabels_strings = ["p", "q"]>(x) }',
                      {"x": np.array([[1, 2], [3, 4]], np.float32)}),
    "an optional": ("g (optional(float[a]) x) => (bool y, float[a] z) { y = OptionalHasElement(x) z = OptionalGetElement(x) }", {"x": np.ones(2, np.float32)}),
    "no optional": ("g (optional(float[a]) x) => (bool y) { y = OptionalHasElement(x) }", {"x": None}),
    "an optional left out": ("g (optional(float[a]) x) => (bool y) { y = OptionalHasElement(x) }", {}),
    "an optional sequence": ("g (optional(seq(float[a])) x) => (bool y, seq(float[a]) z) { y = OptionalHasElement(x) z = OptionalGetElement(x) }",
                             {"x": [np.ones(2, np.float32)]}),
}


def plain(value):
    if isinstance(value, np.ndarray):
        return value.tolist(), str(value.dtype), value.shape
    return [plain(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", KINDS)
def test_other_kinds_as_onnxruntime(name):
    text, feed = KINDS[name]
    ours = kapell.InferenceSession(model(text)).run(None, feed)
    theirs = onnxruntime.InferenceSession(model(text), providers=CPU).run(None, feed)
    assert [plain(v) for v in ours] == [plain(v) for v in theirs]


def test_a_map_as_input():
    from onnx import TensorProto, helper
    for keys, values in (("string", {"b": 2.0, "a": 1.5}), ("int64", {2: 2.0, 1: 1.5})):
        proto = helper.make_map_type_proto(TensorProto.STRING if keys == "string" else TensorProto.INT64,
                                           helper.make_tensor_type_proto(TensorProto.FLOAT, None))
        words = {"string_vocabulary": ["a", "b"]} if keys == "string" else {"int64_vocabulary": [1, 2]}
        graph = helper.make_graph([helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", **words)], "g",
                                  [helper.make_value_info("x", proto)], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=9)
        session = kapell.InferenceSession(data.SerializeToString())
        assert session.run(None, {"x": values})[0].tolist() == [[1.5, 2.0]]
        assert session.run(None, {"x": {}})[0].tolist() == [[0.0, 0.0]]
        with pytest.raises((kapell.InvalidArgument, ValueError)):
            session.run(None, {"x": {("no", "key"): 1.0}})


def test_values_in_and_out(floats):
    x = np.ones((200, 2), np.float32)
    value = kapell._core.Value.from_object(x)
    assert value.type_string == "tensor(float)" and value.shape == (200, 2) and value.byte_count == 1600 and value.data_ptr == x.ctypes.data
    (result,) = floats.run_values(None, {"x": value})
    assert result.kind == 1 and result.numpy().tolist() == x.tolist() and np.shares_memory(result.numpy(), result.numpy())
    out = kapell._core.Value.empty((200, 2), 1)
    (same,) = floats.run_bound(["x"], [value], ["y"], [out])
    assert same.data_ptr == out.data_ptr and out.numpy().tolist() == x.tolist()
    assert through(floats, value).tolist() == x.tolist()
    with pytest.raises(TypeError):
        floats.run_bound(["x"], [x], ["y"], [None])
    with pytest.raises(kapell.InvalidArgument):
        floats.run_bound(["x"], [value], ["y"], [kapell._core.Value.empty((3, 2), 1)])
    with pytest.raises(kapell.InvalidArgument):
        kapell._core.Value.empty((2,), 99)
    with pytest.raises(TypeError):
        kapell._core.Value()


@measures
def test_memory_of_ours_stays_when_many_results_go(floats):
    x = np.ones((1000, 1000), np.float32)
    for _ in range(3):
        through(floats, x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50):
        through(floats, x)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12 << 10  # KiB: three of them
