"""What is valid and endless or huge: loops, foldings, expansions; each must end at a limit that its error names."""

import numpy as np
from onnx import helper

from .base import Case
from .make import BOOL, F, I64, STRING, body, const, function, info, model, node

MILLISECOND = 1_000_000
TIGHT = {"untrusted": 1, "max_memory": 180 << 20, "run_timeout_ns": 500 * MILLISECOND, "open_timeout_ns": 600 * MILLISECOND,
         "fold_ns": 100 * MILLISECOND, "fold_bytes": 32 << 20, "max_iterations": 30000}
STOP = "LIMIT|TIMEOUT"
I, K = info("i", (), I64), info("k", (), BOOL)
AGAIN = node("Identity", ["k"], ["ko"])


SEQUENCE = helper.make_value_info("v", helper.make_sequence_type_proto(helper.make_tensor_type_proto(F, None)))


def loop(nodes, outs=("ko", "vo"), given=("n", "", "x"), results=("y",), of=None):
    """A Loop over |nodes| with state v."""
    return node("Loop", list(given), list(results), body=body([AGAIN, *nodes], [I, K, of or "v"], list(outs)))


def loops():
    forever = const("n", (1 << 63) - 1)
    step = [node("Add", ["v", "v"], ["vo"])]
    yield Case("loop_forever", model([loop(step)], constants=[forever]), ("Loop", "iteration"), code="LIMIT", options=TIGHT)
    yield Case("loop_forever_by_time", model([loop(step)], constants=[forever]), ("time limit",), code="TIMEOUT",
               options={"run_timeout_ns": 200 * MILLISECOND})
    yield Case("loop_no_count", model([loop(step, given=("", "c", "x"))], constants=[const("c", True)]), ("iteration",), code="LIMIT", options=TIGHT)
    yield Case("loop_neither", model([loop(step, given=("", "", "x"))]), ("iteration",), code="LIMIT", options=TIGHT)
    yield Case("loop_without_state", model([node("Loop", ["n", ""], ["y"], body=body([AGAIN, node("Identity", ["i"], ["s"])], [I, K], ["ko", "s"]))],
                                           constants=[forever]), ("Loop",), code=STOP, options=TIGHT)
    yield Case("loop_stacks", model([loop(step, outs=("ko", "vo", "vo"), results=("f", "y"))], [info("x", (100000,))], constants=[forever]),
               ("Loop",), code=STOP, options=TIGHT)
    double = [node("Concat", ["v", "v"], ["vo"], axis=0)]
    yield Case("loop_doubles", model([loop(double)], constants=[forever]), ("Loop",), code=STOP, options=TIGHT)
    inner = body([AGAIN, node("Add", ["w", "w"], ["wo"])], [I, K, info("w", None)], ["ko", "wo"])
    nested = [node("Loop", ["n", "", "v"], ["vo"], "the_inner", body=inner)]
    yield Case("loop_in_loop", model([loop(nested)], constants=[forever]), ("the_inner", "iteration"), code="LIMIT", options=TIGHT)
    million = const("n", 1 << 20)
    yield Case("loop_in_loop_counted", model([loop(nested)], constants=[million]), ("iteration",), code="LIMIT", options=TIGHT)
    sequences = [node("SequenceInsert", ["v", "x"], ["vo"])]
    yield Case("loop_sequence_grows", model([node("SequenceEmpty", [], ["s"]), loop(sequences, given=("n", "", "s"), results=("t",), of=SEQUENCE),
                                             node("SequenceLength", ["t"])], [info("x", (50000,))], constants=[forever]), ("Loop",), code=STOP, options=TIGHT)
    strings = [node("StringConcat", ["v", "v"], ["vo"])]
    yield Case("loop_strings_double", model([loop(strings)], [info("x", (2,), STRING)], constants=[forever]), ("Loop",), code=None, options=TIGHT)
    scan = body([node("Add", ["s", "t"], ["so"]), node("Identity", ["so"], ["u"])], [info("s", ()), info("t", ())], ["so", "u"])
    yield Case("scan_long", model([node("ConstantOfShape", ["n"], ["t"], value=const("v", [1.0], "f4")),
                                   node("Scan", ["z", "t"], ["f", "y"], body=scan, num_scan_inputs=1)], [info("z", ()), info("n", (1,), I64)]),
               ("Scan",), code=STOP, options=TIGHT, lines=("input z 1 - 0", "input n 7 1 5000000"))
    tower = body([AGAIN, node("Relu", ["q"], ["qo"])], [I, K, info("q", None)], ["ko", "qo"])
    for level in range(8):
        tower = body([AGAIN, node("Loop", ["n", "", "q"], ["qo"], f"level{level}", body=tower)], [I, K, info("q", None)], ["ko", "qo"])
    yield Case("loop_tower", model([node("Loop", ["n", "", "x"], body=tower)], constants=[const("n", 1000)]), ("iteration",), code="LIMIT", options=TIGHT)


def work():
    """Single nodes that would take hours or terabytes."""
    def case(name, nodes, ins, constants=(), words=("the_",), **more):
        return Case(name, model(nodes, ins, constants=constants), words, more.pop("runs", False), more.pop("code", STOP), options=TIGHT, **more)
    n = 20000
    yield case("matmul_huge", [node("Expand", ["x", "s"], ["a"]), node("MatMul", ["a", "a"])], [info("x", (1, 1)), info("s", (2,), I64)],
               lines=("input x 1 1,1 1", f"input s 7 2 {n},{n}"))
    yield case("matmul_long", [node("Expand", ["x", "s"], ["a"]), node("Transpose", ["a"], ["b"]), node("MatMul", ["a", "b"], ["c"]),
                               node("ReduceSum", ["c"])], [info("x", (1, 1)), info("s", (2,), I64)], lines=("input x 1 1,1 1", "input s 7 2 4000,8000"))
    yield case("conv_long", [node("Expand", ["x", "s"], ["a"]), node("Expand", ["x", "t"], ["w"]), node("Conv", ["a", "w"], ["c"]),
                             node("ReduceMax", ["c"])], [info("x", (1, 1, 1, 1)), info("s", (4,), I64), info("t", (4,), I64)],
               lines=("input x 1 1,1,1,1 1", "input s 7 4 1,64,300,300", "input t 7 4 64,64,31,31"))
    yield case("gather_long", [node("Range", ["z", "m", "o"], ["r"]), node("Gather", ["x", "i"], ["g"]), node("CumSum", ["g", "z"])],
               [info("x", (1,)), info("i", (40_000_000,), I64), info("z", (), I64), info("m", (), I64), info("o", (), I64)], runs=None, code=None,
               lines=("input x 1 1 1", "input i 7 1 0", "input z 7 - 0", "input m 7 - 2000000000", "input o 7 - 1"), words=())
    yield case("topk_long", [node("RandomUniform", [], ["r"], shape=[3_000_000]), node("TopK", ["r", "k"], ["y", "j"])], [info("k", (1,), I64)],
               runs=None, code=None, words=(), lines=("input k 7 1 3000000",))
    yield case("unique_long", [node("RandomUniform", [], ["r"], shape=[4_000_000]), node("Unique", ["r"])], [], runs=None, code=None, words=())
    yield case("einsum_long", [node("Expand", ["x", "s"], ["a"]), node("Einsum", ["a", "a"], equation="ij,kl->")], [info("x", (1, 1)), info("s", (2,), I64)],
               runs=None, code=None, words=(), lines=("input x 1 1,1 1", "input s 7 2 3000,3000"))
    yield case("nms_long", [node("NonMaxSuppression", ["b", "s", "m"])], [info("b", (1, 30000, 4)), info("s", (1, 1, 30000)), info("m", (), I64)],
               runs=None, code=None, words=(), lines=("input b 1 1,30000,4 -", "input s 1 1,1,30000 -", f"input m 7 - {1 << 60}"))
    yield case("cumsum_long", [node("Expand", ["x", "s"], ["a"]), node("CumSum", ["a", "z"], ["c"]), node("CumSum", ["c", "z"], ["d"]),
                               node("ReduceMax", ["d"])], [info("x", (1, 1)), info("s", (2,), I64), info("z", (), I64)], runs=None, code=None, words=(),
               lines=("input x 1 1,1 1", "input s 7 2 4000,2000", "input z 7 - 0"))
    many = [node("Relu", ["x" if i == 0 else f"v{i - 1}"], [f"v{i}"], f"n{i}") for i in range(120000)]
    yield Case("nodes_over", model(many, outputs=[info("v119999")]), ("100000 nodes",), code="LIMIT", options={"untrusted": 1})
    wide = [node("Concat", ["x"] * 50, [f"c{i}"], f"n{i}", axis=0) for i in range(1500)]
    yield Case("concat_wide", model([*wide, node("Concat", [f"c{i}" for i in range(1500)], axis=0)], [info("x", (1000,))]), ("Concat|n",), code=STOP,
               options=TIGHT)
    lstm = [node("LSTM", ["x", "w", "r"], hidden_size=1)]
    yield Case("lstm_long", model(lstm, [info("x", (20_000_000, 1, 1))], constants=[const("w", np.ones((1, 4, 1)), "f4"), const("r", np.ones((1, 4, 1)), "f4")]),
               ("the_LSTM",), code=None, options=TIGHT)


def foldings():
    def chain(op, count, start, **attrs):
        ins = {"Concat": lambda a: [a, a], "Add": lambda a: [a, a], "StringConcat": lambda a: [a, a]}[op]
        return [node(op, ins(start if i == 0 else f"v{i - 1}"), [f"v{i}"], f"fold{i}", **attrs) for i in range(count)]
    def case(name, nodes, constants, out, **more):
        return Case(name, model(nodes, [], [info(out, None, more.pop("element", F))], constants), more.pop("words", ("fold",)), more.pop("runs", False),
                    more.pop("code", STOP), options=TIGHT, **more)
    w = [const("w", np.ones(1024), "f4")]
    for count in (30, 50, 200):
        yield case(f"fold_concat_{count}", chain("Concat", count, "w", axis=0), w, f"v{count - 1}", code=None)
    yield case("fold_strings", chain("StringConcat", 40, "t"), [const("t", np.array(["abcdefgh"], object))], "v39", element=STRING, code=None)
    yield case("fold_tile", [node("Tile", ["w", "r"], ["a"], "fold0"), node("Tile", ["a", "r"], ["b"], "fold1"), node("Tile", ["b", "r"], ["y"], "fold2")],
               [*w, const("r", [100000])], "y", code=None)
    yield case("fold_expand_reduce", [node("Expand", ["o", "s"], ["a"], "fold0"), node("ReduceSum", ["a"], ["y"], "fold1")],
               [const("o", [1.0], "f4"), const("s", [1 << 34])], "y", code=None)
    yield case("fold_expand_many", [n for i in range(200) for n in (
        node("Expand", ["o", "s"], [f"a{i}"], f"fold{i}"), node("ReduceSum", [f"a{i}"], [f"b{i}"], f"sum{i}"))]
        + [node("Concat", [f"b{i}" for i in range(200)], ["y"], "join", axis=0)],
               [const("o", [1.0], "f4"), const("s", [1 << 22])], "y", runs=None, code=None, words=())
    yield case("fold_range", [node("Range", ["a", "b", "c"], ["r"], "fold0"), node("ReduceSum", ["r"], ["y"], "fold1")],
               [const("a", 0.0, "f4"), const("b", 1e30, "f4"), const("c", 1e-3, "f4")], "y", code=None)
    yield case("fold_matmul", [node("MatMul", ["m", "m"], ["a"], "fold0"), *[node("MatMul", ["a" if i == 1 else f"a{i - 1}", "m"], [f"a{i}"], f"fold{i}")
                                                                             for i in range(1, 300)]], [const("m", np.ones((1500, 1500)), "f4")], "a299")
    yield case("fold_constant_of_shape", [node("ConstantOfShape", ["s"], ["a"], "fold0"), node("NonZero", ["a"], ["y"], "fold1")], [const("s", [1 << 36])], "y",
               element=I64, code=None)
    yield case("fold_pad", [node("Pad", ["w", "p"], ["a"], "fold0"), node("ReduceMax", ["a"], ["y"], "fold1")], [*w, const("p", [1 << 35, 1 << 35])], "y", code=None)
    yield case("fold_onehot", [node("OneHot", ["i", "d", "v"], ["a"], "fold0"), node("ReduceMax", ["a"], ["y"], "fold1")],
               [const("i", np.arange(1000)), const("d", 1 << 30), const("v", [0.0, 1.0], "f4")], "y", code=None)
    yield case("fold_eyelike", [node("ConstantOfShape", ["s"], ["a"], "fold0"), node("EyeLike", ["a"], ["y"], "fold1")], [const("s", [200000, 200000])], "y", code=None)
    yield case("fold_sequence", [node("SequenceConstruct", ["w"] * 1000, ["s0"], "fold0")] + [
        node("ConcatFromSequence", ["s0"], ["c"], "fold1", axis=0), node("SequenceConstruct", ["c"] * 1000, ["s1"], "fold2"),
        node("ConcatFromSequence", ["s1"], ["y"], "fold3", axis=0)], w, "y", code=None)
    yield case("fold_loop", [node("Loop", ["n", ""], ["y"], "fold0", body=body([AGAIN, node("Identity", ["i"], ["s"])], [I, K], ["ko", "s"]))],
               [const("n", 1 << 40)], "y", element=I64, words=("fold0",))
    yield case("fold_split", [node("Split", ["w"], [f"p{i}" for i in range(1024)], "fold0", num_outputs=1024), node("Concat", [f"p{i}" for i in range(1024)], ["y"], "f",
                                                                                                                     axis=0)], w, "y", runs=True)


def symbols():
    """Shapes whose algebra grows."""
    x = [info("x", ("A", "B", "C"))]
    shape = [node("Shape", ["x"], ["s"])]
    def case(name, nodes, out="y", **more):
        return Case(name, model(nodes, more.pop("ins", x), [info(out, None, I64)], more.pop("constants", ())), (), None, options=TIGHT, **more)
    for op in ("Mul", "Add"):
        grow = [node(op, ["s" if i == 0 else f"v{i - 1}", "s" if i == 0 else f"v{i - 1}"], [f"v{i}"]) for i in range(2000)]
        yield case(f"symbols_{op}", shape + grow, "v1999")
        swap = [node("Gather", ["s" if i == 0 else f"v{i - 1}", "p"], [f"g{i}"]) if k == 0 else node(op, ["s" if i == 0 else f"v{i - 1}", f"g{i}"], [f"v{i}"])
                for i in range(300) for k in (0, 1)]
        yield case(f"symbols_swap_{op}", shape + swap, "v299", constants=[const("p", [1, 2, 0])])
    cat = [node("Concat", ["s" if i == 0 else f"v{i - 1}"] * 2, [f"v{i}"], axis=0) for i in range(60)]
    yield case("symbols_concat", shape + cat, "v59")
    reshape = [node("Concat", ["x" if i == 0 else f"v{i - 1}"] * 2, [f"v{i}"], axis=i % 3) for i in range(30)]
    yield Case("symbols_shapes_double", model([*reshape, node("Shape", ["v29"])], x, [info("y", None, I64)]), ("Concat",), None, STOP, TIGHT)
    many = [info(f"x{i}", [f"D{i}{d}" for d in range(8)]) for i in range(300)]
    sums = [node("Shape", [f"x{i}"], [f"s{i}"]) for i in range(300)]
    sums += [node("Mul", ["s0" if i == 1 else f"m{i - 1}", f"s{i}"], [f"m{i}"]) for i in range(1, 300)]
    yield Case("symbols_polynomials", model(sums, many, [info("m299", None, I64)]), (), None, options=TIGHT)
    broadcast = [node("Add", ["x0" if i == 1 else f"b{i - 1}", f"x{i}"], [f"b{i}"]) for i in range(1, 300)]
    yield Case("symbols_broadcast", model(broadcast, many, [info("b299", None)]), (), None, options=TIGHT)


def structure():
    """Many small things whose number is the trouble."""
    c = [info("x"), info("c", (), BOOL)]
    one = body([node("Relu", ["x"], ["r"])], [], ["r"])
    ifs = [node("If", ["c"], [f"y{i}"], f"if{i}", then_branch=one, else_branch=one) for i in range(4000)]
    yield Case("many_ifs", model(ifs, c, [info("y0", None)]), (), None, options=TIGHT)
    capture = body([node("Add", [f"v{i}", f"v{i + 1}"], [f"r{i}"]) for i in range(2000)], [], ["r0"])
    chain = [node("Relu", ["x" if i == 0 else f"v{i - 1}"], [f"v{i}"]) for i in range(2001)]
    yield Case("many_captures", model([*chain, node("If", ["c"], then_branch=capture, else_branch=capture)], c), runs=True)
    fan = [node("Add", ["x", "x"], [f"v{i}"], f"n{i}") for i in range(50000)]
    yield Case("fan_out", model(fan, outputs=[info("v0")]), runs=True)
    yield Case("many_outputs", model(fan[:60], outputs=[info(f"v{i}") for i in range(60)]), runs=True)
    sumall = [node("Sum", ["x"] * 50000)]
    yield Case("sum_50000", model(sumall), runs=None, options=TIGHT)
    f = function("F", ["a"], ["b"], [node("Relu", ["a"], ["b"])])
    calls = [node("F", ["x" if i == 0 else f"v{i - 1}"], [f"v{i}"], f"call{i}", domain="f") for i in range(20000)]
    yield Case("many_calls", model(calls, outputs=[info("v19999")], functions=[f], domains=[("f", 1)]), runs=True)
    ladder = [node("Add", ["x" if i == 0 else f"v{i - 1}"] * 2, [f"v{i}"]) for i in range(20000)]
    yield Case("ladder", model(ladder, outputs=[info("v19999")]), runs=True)
    unused = [helper.make_node("Frobnicate", ["x"], [f"z{i}"]) for i in range(1000)]
    yield Case("unknown_unused", model([node("Relu", ["x"]), *unused]), (), None)
    same_prefix = [info("p" * 200 + str(i), ()) for i in range(20000)]
    yield Case("many_inputs", model([node("Relu", ["x"])], [info("x"), *same_prefix]), (), None, lines=("input x 1 2 -",))


def estimates():
    """A limit of what the estimate says lets the run pass; less does not."""
    net = [node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]), node("Relu", ["a"], ["b"]), node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1]),
           node("MaxPool", ["c"], kernel_shape=[2, 2], strides=[2, 2])]
    weights = [const("w", np.ones((16, 3, 3, 3)), "f4"), const("w2", np.ones((16, 16, 3, 3)), "f4")]
    raw = model(net, [info("x", ("N", 3, 128, 128))], constants=weights)
    for threads in (1, 2):
        yield Case(f"estimate_{threads}", raw, runs=True, lines=("estimate 100",), options={"threads": threads})
        yield Case(f"estimate_less_{threads}", raw, ("the_Conv", "memory limit"), code="LIMIT", lines=("estimate 60",), options={"threads": threads})
    mlp = [node("MatMul", ["x" if i == 0 else f"v{i - 1}", f"w{i}"], [f"v{i}"]) for i in range(6)]
    dense = model(mlp, [info("x", (3000, 64))], [info("v5")], [const(f"w{i}", np.ones((64, 64)), "f4") for i in range(6)])
    yield Case("estimate_dense", dense, runs=True, lines=("estimate 100",))
    yield Case("estimate_dense_less", dense, ("the_MatMul|v5", "memory limit"), code="LIMIT", lines=("estimate 60",))


def defaults():
    """What the untrusted mode allows where nothing is set: docs/untrusted.md's numbers in the words of the error."""
    big = model([node("ConstantOfShape", ["s"], ["a"]), node("Relu", ["a"])], [info("s", (1,), I64)])
    yield Case("default_memory", big, ("1 GiB",), code="LIMIT", options={"untrusted": 1}, lines=(f"input s 7 1 {300 << 20}",))
    yield Case("no_default_memory", big, ("the_ConstantOfShape|the_Relu",), code="OUT_OF_MEMORY|LIMIT", lines=(f"input s 7 1 {1 << 45}",))
    m = [const("m", np.ones((1200, 1200)), "f4")]
    slow = [node("MatMul", ["m" if i == 0 else f"a{i - 1}", "m"], [f"a{i}"], f"fold{i}") for i in range(20)]
    yield Case("open_time", model(slow, [], [info("a19")], m), ("took too long",), code="TIMEOUT", options={"open_timeout_ns": 200 * MILLISECOND})
    yield Case("fold_time_alone", model(slow, [], [info("a19")], m), ("time limit",), code="TIMEOUT",
               options={"fold_ns": 100 * MILLISECOND, "run_timeout_ns": 200 * MILLISECOND})
    few = [node("Concat", ["w", "w"], ["a"], axis=0), node("Relu", ["a"])]
    yield Case("fold_bytes_left_for_the_run", model(few, [], constants=[const("w", np.ones(100000), "f4")]), runs=True, options={"fold_bytes": 1000})


def cases():
    for part in (defaults, loops, work, foldings, symbols, structure, estimates):
        yield from part()
