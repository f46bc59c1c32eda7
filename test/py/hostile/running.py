"""Calls of a run that do not fit the model, and contents of tensors that no operator may trust."""

import numpy as np
from onnx import TensorProto

from .base import Case, escape
from .make import BOOL, F, I32, I64, STRING, body, const, info, model, node

RELU = model([node("Relu", ["x"])])
BIG, LOW = (1 << 63) - 1, -(1 << 63)


def calls():
    def call(name, lines, words, code="INVALID_INPUT", raw=RELU, runs=False):
        return Case(f"call_{name}", raw, words, runs, code, lines=tuple(lines))
    yield call("fits", ["input x 1 2 1,2"], (), None, runs=True)
    for element in (2, 6, 7, 8, 9, 10, 11, 14, 21):
        yield call(f"type_{element}", [f"input x {element} 2 -"], ("'x'", "float32"))
    for tag, dims in {"rank0": "-", "rank2": "2,1", "rank32": ",".join(["1"] * 32), "short": "1", "long": "3", "empty": "0"}.items():
        yield call(f"shape_{tag}", [f"input x 1 {dims} -"], ("'x'",))
    for tag, dims in {"negative": "-1", "min": "-9223372036854775808", "huge": str(1 << 62), "overflow": f"{1 << 40},{1 << 40}",
                      "rank33": ",".join(["1"] * 33)}.items():
        yield call(f"tensor_{tag}", [f"input x 1 {dims} -"], (), "INVALID_ARGUMENT|OUT_OF_MEMORY")
    for element in (0, 29, 99, -1):
        yield call(f"tensor_type_{element}", [f"input x {element} 2 -"], ("type",), "INVALID_ARGUMENT")
    yield call("missing", ["string unknown text"], ("'unknown'|'x'",))
    yield call("unknown", ["input x 1 2 -", "input z 1 2 -"], ("'z'", "hint.*x"))
    yield call("twice", ["input x 1 2 -", "input x 1 2 -"], ("'x'", "twice"))
    yield call("empty_name", ["input %20 1 2 -"], ("no input",))
    yield call("output_unknown", ["input x 1 2 -", "want z"], ("'z'",))
    yield call("output_twice", ["input x 1 2 -", "want y", "want y"], ("'y'",), "INVALID_ARGUMENT")
    yield call("output_is_input_name", ["input x 1 2 -", "want x"], ("'x'",))
    for tag, bound in {"type": "11 2", "short": "1 1", "long": "1 3", "rank": "1 2,1", "empty": "1 0", "strings": "8 2"}.items():
        yield call(f"bound_{tag}", ["input x 1 2 -", f"output y {bound} -"], ("'y'",), "INVALID_ARGUMENT")
    yield call("bound_fits", ["input x 1 2 -", "output y 1 2 -"], (), None, runs=True)
    yield call("many_runs", ["input x 1 2 -", "runs 200"], (), None, runs=True)
    texts = model([node("Identity", ["x"])], [info("x", (1,), STRING)], [info("y", (1,), STRING)])
    for tag, text in {"latin": b"\xe9t\xe9", "nul": b"a\0b", "lone": b"\x80", "surrogate": b"\xed\xa0\x80", "long": b"a" * 60000,
                      "empty": b""}.items():
        yield call(f"string_{tag}", [f"string x {escape(text)}"], (), None, texts, None)
        for op, attrs in {"StringNormalizer": {"case_change_action": "UPPER"}, "RegexFullMatch": {"pattern": ".*"}, "StringSplit": {}}.items():
            raw = model([node(op, ["x"], **attrs)], [info("x", (1,), STRING)])
            yield call(f"string_{tag}_{op}", [f"string x {escape(text)}"], (f"the_{op}",), None, raw, None)
    for tag, pattern in {"nested": "(a+)+$", "alternatives": "(a|aa)+$", "backreference": "(a)\\1", "open": "(", "range": "[z-a]",
                         "count": "a{1000000000}", "deep": "(" * 20000 + ")" * 20000, "empty": "", "nested_count": "((a{99}){99}){99}"}.items():
        raw = model([node("RegexFullMatch", ["x"], pattern=pattern)], [info("x", (1,), STRING)])
        yield call(f"regex_{tag}", [f"string x {'a' * 40}b"], ("the_RegexFullMatch",), None, raw, None)
    overridable = model([node("Add", ["x", "w"])], [info("x"), info("w")], constants=[const("w", [1.0, 2.0], "f4")])
    yield call("override", ["input x 1 2 -", "input w 1 2 -"], (), None, overridable, True)
    yield call("override_type", ["input x 1 2 -", "input w 7 2 -"], ("'w'",), raw=overridable)
    yield call("override_shape", ["input x 1 2 -", "input w 1 3 -"], ("'w'",), raw=overridable)
    named = model([node("Add", ["x", "w"])], [info("x", ("N",)), info("w", ("N",))])
    yield call("symbol_differs", ["input x 1 2 -", "input w 1 3 -"], ("the_Add|N",), None, named)


def indices():
    """Index-like inputs far off, at run time and as constants."""
    x = info("x", (3, 4))
    for tag, value in {"over": 99, "under": -99, "max": BIG, "min": LOW, "edge": 3, "edge_under": -4}.items():
        for when in ("run", "constant"):
            def put(op, inputs, value=value, when=when, shape=(1,), ins=(x,), **attrs):
                index = np.full(shape, value, "i8")
                given = [*ins, info("i", shape, I64)] if when == "run" else list(ins)
                raw = model([node(op, inputs, **attrs)], given, constants=[const("i", index)] if when == "constant" else [])
                lines = [f"input {i.name} {i.type.tensor_type.elem_type} "
                         f"{','.join(str(d.dim_value) for d in i.type.tensor_type.shape.dim) or '-'} "
                         f"{','.join(map(str, index.reshape(-1))) if i.name == 'i' else '1,2,3'}" for i in given]
                return Case(f"index_{op}_{tag}_{when}", raw, (f"the_{op}",), None if op == "OneHot" else False, lines=tuple(lines))
            yield put("Gather", ["x", "i"])
            yield put("GatherElements", ["x", "i"], shape=(1, 1))
            yield put("GatherND", ["x", "i"], shape=(1, 2))
            yield put("ScatterElements", ["x", "i", "u"], shape=(1, 1), ins=(x, info("u", (1, 1))))
            yield put("ScatterND", ["x", "i", "u"], shape=(1, 2), ins=(x, info("u", (1,))))
            yield put("OneHot", ["i", "d", "v"], ins=(info("d", (), I64), info("v", (2,))))
            yield put("Unsqueeze", ["x", "i"])
            yield put("Squeeze", ["x", "i"])
            yield put("ReduceSum", ["x", "i"])
            yield put("CumSum", ["x", "i"], shape=())
            yield put("Compress", ["x", "c"], ins=(x, info("c", (3,), BOOL)), axis=max(min(value, 1 << 60), -(1 << 60)))
    for tag, (k, ok) in {"over": (99, False), "negative": (-1, False), "min": (LOW, False), "max": (BIG, False), "zero": (0, True)}.items():
        yield Case(f"topk_{tag}", model([node("TopK", ["x", "k"], ["y", "i"])], [info("x"), info("k", (1,), I64)]), ("the_TopK",), ok,
                   lines=("input x 1 2 1,2", f"input k 7 1 {k}"))
    seq = [node("SequenceConstruct", ["x", "x"], ["s"])]
    for tag, at in {"over": 5, "under": -5, "max": BIG, "min": LOW}.items():
        for op in ("SequenceAt", "SequenceErase"):
            yield Case(f"sequence_{op}_{tag}", model([*seq, node(op, ["s", "i"], ["t"]), node("SequenceLength" if op != "SequenceAt" else "Relu", ["t"])],
                                                     [info("x"), info("i", (), I64)]), (f"the_{op}",),
                       lines=("input x 1 2 -", f"input i 7 - {at}"))
        yield Case(f"sequence_insert_{tag}", model([*seq, node("SequenceInsert", ["s", "x", "i"], ["t"]), node("SequenceLength", ["t"])],
                                                   [info("x"), info("i", (), I64)]), ("the_SequenceInsert",),
                   lines=("input x 1 2 -", f"input i 7 - {at}"))


def sizes():
    """Shapes and amounts that come as data: at run time and as constants, under a limit of memory."""
    bounded = {"max_memory": 200 << 20, "run_timeout_ns": 600_000_000, "fold_ns": 300_000_000}
    amounts = {"huge": 1 << 62, "max": BIG, "min": LOW, "negative": -3, "terabytes": 1 << 38, "gigabyte": 1 << 28}
    for tag, n in amounts.items():
        for when in ("run", "constant"):
            def put(op, inputs, values, ins=(info("x"),), when=when, ok=False, x="1,2", **attrs):
                given, lines, constants = list(ins), [], []
                for name, value in values.items():
                    array = np.asarray(value, "f4" if isinstance(value, float) else "i8")
                    if when == "constant":
                        constants.append(const(name, array))
                    else:
                        given.append(info(name, array.shape, F if isinstance(value, float) else I64))
                for i in given:
                    dims = ",".join(str(d.dim_value) for d in i.type.tensor_type.shape.dim) or "-"
                    data = ",".join(str(v) for v in np.asarray(values[i.name]).reshape(-1)) if i.name in values else x
                    lines.append(f"input {i.name} {i.type.tensor_type.elem_type} {dims} {data}")
                return Case(f"size_{op}_{tag}_{when}_{'_'.join([*inputs, *attrs])}", model([node(op, inputs, **attrs)], given, constants=constants),
                            (f"the_{op}",), ok, options=bounded, lines=tuple(lines))
            yield put("ConstantOfShape", ["s"], {"s": [n]}, ins=())
            yield put("Expand", ["x", "s"], {"s": [n]}, ins=(info("x", (1,)),), x="1", ok=None if tag == "negative" else False)
            yield put("Tile", ["x", "s"], {"s": [n]})
            yield put("Reshape", ["x", "s"], {"s": [n]})
            yield put("Pad", ["x", "s"], {"s": [n, 0]}, ok=None)
            yield put("Pad", ["x", "s"], {"s": [n, n]}, ok=None, mode="edge")
            yield put("OneHot", ["i", "d", "v"], {"d": n}, ins=(info("i", (1,), I64), info("v", (2,))))
            yield put("Range", ["a", "b", "c"], {"a": 0, "b": n, "c": 1}, ins=(), ok=None)
            yield put("Range", ["b", "a", "c"], {"a": 0, "b": n, "c": 1}, ins=(), ok=None)
            yield put("Resize", ["x", "", "", "s"], {"s": [n]}, ok=None)
            yield put("Split", ["x", "s"], {"s": [n]}, ok=None)
            yield put("Trilu", ["x", "k"], {"k": n}, ins=(info("x", (2, 2)),), ok=True)
            yield put("Slice", ["x", "a", "b", "", "s"], {"a": [n], "b": [n], "s": [n]}, ok=None)
            yield put("HannWindow", ["n"], {"n": n}, ins=(), ok=None)
            yield put("CenterCropPad", ["x", "s"], {"s": [n]}, ok=None)
            yield put("DFT", ["x", "n"], {"n": n}, ins=(info("x", (1, 2, 1)),), ok=None)
            yield put("SplitToSequence", ["x", "s"], {"s": n}, ok=None)
    for tag, (a, b, c) in {"zero_step": ("0", "1", "0"), "tiny_step": ("0", "1e30", "1e-30"), "nan": ("nan", "1", "1"), "inf": ("0", "inf", "1"),
                           "minus": ("0", "10", "-1"), "inf_step": ("0", "1", "inf"), "nan_step": ("0", "1", "nan")}.items():
        for when in ("run", "constant"):
            ins = [info(k, ()) for k in "abc"]
            values = [const(k, float(v), "f4") for k, v in zip("abc", (a, b, c))]
            yield Case(f"range_{tag}_{when}", model([node("Range", ["a", "b", "c"])], ins if when == "run" else [],
                                                    constants=values if when == "constant" else []), ("the_Range",), None, options=bounded,
                       lines=tuple(f"input {k} 1 - {v}" for k, v in zip("abc", (a, b, c))) if when == "run" else ())
    for tag, scale in {"huge": "1e18", "inf": "inf", "nan": "nan", "negative": "-2", "zero": "0", "tiny": "1e-30"}.items():
        for op, ins in {"Resize": ["x", "", "s"], "Upsample": ["x", "s"]}.items():
            yield Case(f"scale_{op}_{tag}", model([node(op, ins)], [info("x"), info("s", (1,))], opset=9 if op == "Upsample" else 21), (f"the_{op}",),
                       None, options=bounded, lines=("input x 1 2 1,2", f"input s 1 1 {scale}"))
    for step in (0, LOW, BIG):
        yield Case(f"slice_step_{step}", model([node("Slice", ["x", "a", "b", "", "s"])], [info("x"), *[info(k, (1,), I64) for k in "abs"]]),
                   ("the_Slice",), None if step else False,
                   lines=("input x 1 2 1,2", "input a 7 1 0", f"input b 7 1 {BIG}", f"input s 7 1 {step}"))
    boxes = model([node("NonMaxSuppression", ["b", "s", "m"])], [info("b", (1, 3000, 4)), info("s", (1, 1, 3000)), info("m", (), I64)])
    for m in (LOW, -1, BIG):
        yield Case(f"nms_{m}", boxes, ("the_NonMaxSuppression",), None, lines=("input b 1 1,3000,4 nan", "input s 1 1,1,3000 nan", f"input m 7 - {m}"))
    yield Case("roi_batch", model([node("RoiAlign", ["x", "r", "b"], output_height=2, output_width=2)],
                                  [info("x", (1, 1, 4, 4)), info("r", (2, 4)), info("b", (2,), I64)]), ("the_RoiAlign",), None,
               lines=("input x 1 1,1,4,4 -", "input r 1 2,4 nan,inf,1e30,-1e30", f"input b 7 2 {BIG},{LOW}"))
    yield Case("roi_sampling", model([node("RoiAlign", ["x", "r", "b"], output_height=1 << 30, output_width=1 << 30, sampling_ratio=1 << 30)],
                                     [info("x", (1, 1, 4, 4)), info("r", (2, 4)), info("b", (2,), I64)]), ("the_RoiAlign",), options=bounded)
    yield Case("grid_nan", model([node("GridSample", ["x", "g"])], [info("x", (1, 1, 4, 4)), info("g", (1, 2, 2, 2))]), ("the_GridSample",), None,
               lines=("input x 1 1,1,4,4 -", "input g 1 1,2,2,2 nan,inf,-inf,1e30,-1e30,3e38,1e18,-1e18"))


def arithmetic():
    for element, low in {3: -128, 5: -(1 << 15), 6: -(1 << 31), 7: LOW, 2: 0, 12: 0, 13: 0}.items():
        for op in ("Div", "Mod"):
            raw = model([node(op, ["x", "w"])], [info("x", (2,), element), info("w", (2,), element)])
            yield Case(f"{op}_zero_{element}", raw, (f"the_{op}",), None, lines=(f"input x {element} 2 5,{low}", f"input w {element} 2 0,0"))
            if low:
                yield Case(f"{op}_min_{element}", raw, (f"the_{op}",), None, lines=(f"input x {element} 2 {low},{low}", f"input w {element} 2 -1,-1"))
            ones = model([node(op, ["a", "b"], ["y"])], [], constants=[const("a", [low, low], _NP[element]), const("b", [0, 0], _NP[element])])
            yield Case(f"{op}_folded_{element}", ones, (f"the_{op}",), None)
        for op in ("BitShift",):
            if low == 0:
                yield Case(f"shift_{element}", model([node(op, ["x", "w"], direction="LEFT")], [info("x", (2,), element), info("w", (2,), element)]),
                           (f"the_{op}",), None, lines=(f"input x {element} 2 1,1", f"input w {element} 2 200,64"))
    for element in (2, 3, 6, 7, 9, 12, 13, 10, 17, 21, 22):
        yield Case(f"cast_nan_{element}", model([node("Cast", ["x"], to=element)], outputs=[info("y", (8,), element)], inputs=[info("x", (8,))]),
                   ("the_Cast",), None, lines=("input x 1 8 nan,inf,-inf,1e38,-1e38,1e-45,-0,3e9",))
    for text in ("", "abc", "1e999", "0x10", "nan", "9" * 60, "1,5", " 1", "\x00"):
        for element in (1, 7):
            yield Case(f"cast_text_{element}_{escape(text)}", model([node("Cast", ["x"], to=element)], [info("x", (1,), STRING)],
                                                                    [info("y", (1,), element)]), ("the_Cast",), None, lines=(f"string x {escape(text)}",))
    yield Case("pow_ints", model([node("Pow", ["x", "w"])], [info("x", (2,), I32), info("w", (2,), I32)]), ("the_Pow",), None,
               lines=("input x 6 2 2147483647,0", "input w 6 2 2147483647,-1"))
    yield Case("softmax_nan", model([node("Softmax", ["x"])]), runs=True, lines=("input x 1 2 nan,inf",))
    yield Case("argmax_nan", model([node("ArgMax", ["x"])]), runs=True, lines=("input x 1 2 nan,nan",))


_NP = {2: "u1", 3: "i1", 5: "i2", 6: "i4", 7: "i8", 12: "u4", 13: "u8"}


def empties():
    """Tensors without elements, scalars where vectors are meant."""
    for op, attrs in {"ReduceMax": {}, "ReduceMean": {}, "ArgMax": {}, "Softmax": {}, "TopK": {}, "Unique": {}, "NonZero": {}, "Concat": {"axis": 0},
                      "Split": {"num_outputs": 2}, "MaxPool": {"kernel_shape": [1]}, "MatMul": {}, "LayerNormalization": {}, "Resize": {}, "CumSum": {},
                      "Gather": {}, "Einsum": {"equation": "i,i->"}, "Det": {}, "LpNormalization": {}, "Hardmax": {}, "ReduceLogSumExp": {}}.items():
        for tag, dims in {"empty": "0", "scalar": "-", "empty2": "0,0", "empty3": "2,0,2"}.items():
            n_in = {"MatMul": 2, "Concat": 2, "TopK": 2, "Gather": 2, "Einsum": 2, "LayerNormalization": 2, "CumSum": 2}.get(op, 1)
            shape = [] if dims == "-" else [int(d) for d in dims.split(",")]
            ins = [info("x", shape)]
            lines = [f"input x 1 {dims} -"]
            names = ["x"] * n_in
            if op in ("TopK", "Gather", "CumSum"):
                ins.append(info("k", (1,) if op != "CumSum" else (), I64))
                lines.append(f"input k 7 {'1' if op != 'CumSum' else '-'} 0")
                names[1] = "k"
            yield Case(f"empty_{op}_{tag}", model([node(op, names, **attrs)], ins), (f"the_{op}|x",), None, lines=tuple(lines))
    image = TensorProto.UINT8
    yield Case("image_decoder_junk", model([node("ImageDecoder", ["x"])], [info("x", (100,), image)]), ("the_ImageDecoder",), None)
    one = body([node("Relu", ["v"], ["vo"]), node("Identity", ["k"], ["ko"])], [info("i", (), I64), info("k", (), BOOL), info("v", None)], ["ko", "vo"])
    yield Case("loop_zero_trips", model([node("Loop", ["n", "", "x"], body=one)], constants=[const("n", 0)]), runs=True)


def cases():
    for part in (calls, indices, sizes, arithmetic, empties):
        yield from part()
