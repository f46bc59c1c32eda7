"""Graphs that break a rule: names, counts, circles, opsets, functions, bodies, shapes, initializers, sparse tensors, quantization."""

import numpy as np
from onnx import TensorProto, helper

from .base import Case
from .make import BOOL, F, I64, STRING, body, const, function, graph, info, model, node, tensor

INVALID = "INVALID_MODEL"
SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2, 17: 1, 18: 1, 19: 1, 20: 1,
         24: 1}  # bytes of an element, by type; the others are packed


def names():
    relu = node("Relu", ["x"])
    yield Case("unknown_input", model([node("Add", ["x", "ghost"])]), ("'ghost'", "the_Add"), code=INVALID)
    yield Case("unknown_output", model([relu], outputs=[info("ghost")]), ("'ghost'",), code=INVALID)
    yield Case("output_twice", model([relu, node("Neg", ["x"])]), ("'y'",), code=INVALID)
    yield Case("output_twice_in_node", model([node("Split", ["x"], ["y", "y"], num_outputs=2)]), ("'y'",), code=INVALID)
    yield Case("output_is_input", model([node("Relu", ["x"], ["x"])], outputs=[info("x")]), ("'x'",), code=INVALID)
    yield Case("output_is_constant", model([node("Relu", ["x"], ["w"]), relu], constants=[const("w", [1.0], "f4")]), ("'w'",), code=INVALID)
    yield Case("input_twice", model([relu], [info("x"), info("x")]), ("'x'",), code=INVALID)
    yield Case("initializer_twice", model([relu], constants=[const("w", [1.0]), const("w", [2.0])]), ("'w'",), code=INVALID)
    yield Case("nameless_input", model([relu], [info("x"), info("")]), ("no name",), code=INVALID)
    yield Case("nameless_output", model([relu], outputs=[info("")]), ("no name",), code=INVALID)
    yield Case("nameless_initializer", model([relu], constants=[const("", [1.0])]), ("no name",), code=INVALID)
    yield Case("same_node_names", model([node("Relu", ["x"], ["a"], "n"), node("Neg", ["a"], ["y"], "n")]), runs=True)
    yield Case("output_listed_twice", model([relu], outputs=[info("y"), info("y")]), runs=None)
    yield Case("no_nodes", model([], outputs=[info("x")]), runs=True)
    yield Case("nothing_at_all", model([], [], []), runs=None)
    yield Case("no_output", model([relu], outputs=[]), runs=None)
    yield Case("empty_op", model([node("", ["x"])]), ("the_",))
    yield Case("unknown_op", model([node("Frobnicate", ["x"])]), ("Frobnicate", "the_Frobnicate"))
    yield Case("unknown_domain", model([node("Relu", ["x"], domain="nowhere")], domains=[("nowhere", 1)]), ("nowhere",))
    yield Case("domain_not_imported", model([node("Relu", ["x"], domain="nowhere")]), ("nowhere",))


def circles():
    yield Case("circle_of_one", model([node("Add", ["x", "y"])]), ("[Cc]ircle|cycle", "the_Add"), code=INVALID)
    yield Case("circle_of_two", model([node("Add", ["x", "b"], ["a"], "one"), node("Relu", ["a"], ["b"], "two"),
                                       node("Neg", ["a"])]), ("[Cc]ircle|cycle", "one|two"), code=INVALID)
    ring = [node("Relu", [f"v{i}"], [f"v{(i + 1) % 5000}"], f"n{i}") for i in range(5000)]
    yield Case("circle_of_5000", model([*ring, node("Relu", ["x"])]), ("[Cc]ircle|cycle",), code=INVALID)
    inner = body([node("Relu", ["y"], ["r"])], [], ["r"])
    yield Case("circle_through_if", model([node("If", ["c"], then_branch=inner, else_branch=inner)], [info("c", (), BOOL)]),
               ("[Cc]ircle|cycle|'y'",), code=INVALID)
    later = body([node("Identity", ["late"], ["r"])], [], ["r"])
    yield Case("capture_of_what_needs_it", model([node("If", ["c"], ["m"], then_branch=later, else_branch=later),
                                                  node("Neg", ["m"], ["late"]), node("Relu", ["late"])], [info("c", (), BOOL)]),
               ("[Cc]ircle|cycle|'late'",), code=INVALID)
    loop = body([node("Add", ["v", "y"], ["o"]), node("Identity", ["k"], ["ko"])], [info("i", (), I64), info("k", (), BOOL), info("v")],
                ["ko", "o"])
    yield Case("circle_through_loop", model([node("Loop", ["n", "", "x"], body=loop)], constants=[const("n", 3)]),
               ("[Cc]ircle|cycle|'y'",), code=INVALID)
    f = function("F", ["a"], ["b"], [node("Add", ["a", "q"], ["p"]), node("Relu", ["p"], ["q"]), node("Neg", ["q"], ["b"])])
    yield Case("circle_in_function", model([node("F", ["x"], domain="f")], functions=[f], domains=[("f", 1)]), ("[Cc]ircle|cycle",))


def counts():
    plain = {"Relu": (0, 2), "Add": (1, 3), "Conv": (1, 4), "Gemm": (1, 4), "Concat": (0,), "Where": (2, 4), "Clip": (0, 4),
             "Gather": (1, 3), "Slice": (2, 6), "LSTM": (2, 9), "If": (0, 2), "Loop": (0, 1), "Constant": (1,), "Split": (0, 3),
             "TopK": (1, 3), "BatchNormalization": (4, 6), "MatMulInteger": (1, 5), "QLinearConv": (7, 10), "Resize": (0, 5),
             "Scan": (0,), "SequenceInsert": (1, 4), "Einsum": (0,), "NonMaxSuppression": (1, 6), "Attention": (1, 2)}
    for op, sizes in plain.items():
        for count in sizes:
            opset = 23 if op == "Attention" else 21
            yield Case(f"inputs_{op}_{count}", model([node(op, ["x"] * count)], opset=opset), (f"the_{op}",))
    for op, count in {"Relu": 2, "Add": 0, "TopK": 3, "LSTM": 4, "MaxPool": 3, "Dropout": 3, "Unique": 5}.items():
        ins = {"Add": 2, "TopK": 2, "LSTM": 3}.get(op, 1)
        yield Case(f"outputs_{op}_{count}", model([node(op, ["x"] * ins, [f"o{i}" for i in range(count)])], outputs=[info("x")]),
                   (f"the_{op}",) if count else (), None if count == 0 else False)
    yield Case("absent_required", model([node("Add", ["x", ""])]), ("the_Add",))


def attributes():
    yield Case("attr_missing", model([node("Cast", ["x"])]), ("'to'", "the_Cast"), code=INVALID)
    yield Case("attr_wrong_type", model([node("Cast", ["x"], to="f")]), ("to", "the_Cast"), code=INVALID)
    yield Case("attr_wrong_kind_ints", model([node("Concat", ["x", "x"], axis=[0, 1])]), ("axis", "the_Concat"), code=INVALID)
    yield Case("attr_wrong_kind_float", model([node("Concat", ["x", "x"], axis=0.5)]), ("axis", "the_Concat"), code=INVALID)
    yield Case("attr_tensor_for_graph", model([node("If", ["x"], then_branch=const("t", 1), else_branch=const("t", 1))]),
               ("branch", "the_If"), code=INVALID)
    twice = node("Concat", ["x", "x"], axis=0)
    twice.attribute.append(helper.make_attribute("axis", 1))
    yield Case("attr_twice", model([twice]), ("axis",), code=INVALID)
    yield Case("attr_unknown", model([node("Relu", ["x"], frob=1)]), ("frob", "the_Relu"), None)
    for op, attrs, ins in [("Cast", {"to": 99}, 1), ("Cast", {"to": 0}, 1), ("Cast", {"to": -1}, 1), ("Cast", {"to": 1 << 40}, 1),
                           ("Concat", {"axis": 7}, 2), ("Concat", {"axis": -(1 << 63)}, 2), ("Softmax", {"axis": 1 << 62}, 1),
                           ("Flatten", {"axis": 9}, 1), ("Gather", {"axis": -5}, 2), ("Transpose", {"perm": [1]}, 1),
                           ("Transpose", {"perm": [0, 0]}, 1), ("Transpose", {"perm": [-1]}, 1), ("Split", {"num_outputs": 0}, 1),
                           ("Split", {"num_outputs": -3}, 1), ("Split", {"num_outputs": 1 << 62}, 1), ("EyeLike", {"k": -(1 << 63)}, 1),
                           ("DepthToSpace", {"blocksize": 0}, 1), ("SpaceToDepth", {"blocksize": -2}, 1),
                           ("OneHot", {"axis": 50}, 3), ("ArgMax", {"axis": 3}, 1), ("Hardmax", {"axis": -9}, 1),
                           ("LpNormalization", {"p": 7}, 1), ("CumSum", {}, 1), ("TopK", {"axis": 44}, 2), ("LRN", {"size": -1}, 1),
                           ("LRN", {"size": 1 << 62}, 1), ("GroupNormalization", {"num_groups": 0}, 3), ("Einsum", {"equation": ""}, 1),
                           ("Einsum", {"equation": "ij,jk->zz"}, 2), ("Einsum", {"equation": "i" * 100000 + "->"}, 1),
                           ("Einsum", {"equation": "i->" + "i" * 70}, 1), ("Einsum", {"equation": "\x00\x01..."}, 1)]:
        tag = "_".join(f"{k}_{v}"[:24] for k, v in attrs.items()).replace("\x00", "0").replace("\x01", "1").replace("/", "_")
        good = op == "EyeLike" or (op, attrs.get("equation")) in ()
        yield Case(f"attr_{op}_{tag}", model([node(op, ["x"] * ins, **attrs)]), (f"the_{op}",), None if good else False)
    image = [info("x", (1, 1, 5, 5))]
    for op in ("MaxPool", "AveragePool", "LpPool"):
        for tag, attrs in {"none": {}, "zero": {"kernel_shape": [0, 0]}, "negative": {"kernel_shape": [-1, 2]},
                           "huge": {"kernel_shape": [1 << 62, 1 << 62]}, "three": {"kernel_shape": [1, 1, 1]},
                           "stride0": {"kernel_shape": [2, 2], "strides": [0, 1]}, "stride_neg": {"kernel_shape": [2, 2], "strides": [-1, 1]},
                           "pads": {"kernel_shape": [2, 2], "pads": [-(1 << 62)] * 4}, "pads2": {"kernel_shape": [2, 2], "pads": [1, 1]},
                           "pads_huge": {"kernel_shape": [2, 2], "pads": [1 << 61] * 4},
                           "dilation": {"kernel_shape": [2, 2], "dilations": [1 << 62, 1]},
                           "dilation0": {"kernel_shape": [2, 2], "dilations": [0, 0]},
                           "auto_pad": {"kernel_shape": [2, 2], "auto_pad": "SIDEWAYS"}}.items():
            yield Case(f"pool_{op}_{tag}", model([node(op, ["x"], **attrs)], image), (f"the_{op}",))
    for op in ("Conv", "ConvTranspose"):
        for tag, attrs in {"group0": {"group": 0}, "group_neg": {"group": -1}, "group_huge": {"group": 1 << 62}, "group7": {"group": 7},
                           "kernel": {"kernel_shape": [5, 5]}, "stride0": {"strides": [0, 0]}, "pads": {"pads": [1 << 61] * 4},
                           "pads_neg": {"pads": [-(1 << 61)] * 4}, "dilation": {"dilations": [1 << 62, 1 << 62]},
                           "strides_huge": {"strides": [1 << 62, 1 << 62]}, "pads3": {"pads": [0, 0, 0]}}.items():
            ok = None if tag in ("group_huge", "strides_huge", "kernel") else False
            yield Case(f"conv_{op}_{tag}", model([node(op, ["x", "w"], **attrs)], image,
                                                 constants=[const("w", np.ones((1, 1, 2, 2), "f4"))]), (f"the_{op}",), ok)
        for tag, shape in {"rank1": (2,), "rank7": (1,) * 7, "channels": (1, 3, 2, 2), "zero": (0, 1, 2, 2), "empty": (1, 1, 0, 2)}.items():
            yield Case(f"conv_{op}_weight_{tag}", model([node(op, ["x", "w"])], image, constants=[const("w", np.ones(shape, "f4"))]),
                       (f"the_{op}",), None if tag in ("zero", "empty") or (op, tag) == ("ConvTranspose", "channels") else False)


def vocabularies():
    """Attributes whose text is one of a few words, with another."""
    image, boxes = [info("x", (1, 4, 5, 5))], [const("r", np.ones((1, 4)), "f4"), const("b", [0])]
    three = [info("x", (2, 1, 3))]
    weights = [const("w", np.ones((1, 12, 3)), "f4"), const("r", np.ones((1, 12, 3)), "f4")]
    cases_ = {"Pad": (["x", "p"], image, [const("p", [0] * 8)], ["mode"]),
              "Resize": (["x", "", "s"], image, [const("s", [1, 1, 2, 2], "f4")],
                         ["mode", "coordinate_transformation_mode", "nearest_mode", "keep_aspect_ratio_policy"]),
              "DepthToSpace": (["x"], image, [], ["mode"]), "MaxPool": (["x"], image, [], ["auto_pad"]),
              "Conv": (["x", "k"], image, [const("k", np.ones((1, 4, 2, 2)), "f4")], ["auto_pad"]),
              "ConvTranspose": (["x", "k"], image, [const("k", np.ones((4, 1, 2, 2)), "f4")], ["auto_pad"]),
              "RoiAlign": (["x", "r", "b"], image, boxes, ["mode", "coordinate_transformation_mode"]),
              "GridSample": (["x", "g"], image, [const("g", np.zeros((1, 2, 2, 2)), "f4")], ["mode", "padding_mode"]),
              "ScatterElements": (["x", "i", "u"], [info("x", (3,))], [const("i", [0]), const("u", [1.0], "f4")], ["reduction"]),
              "ScatterND": (["x", "i", "u"], [info("x", (3,))], [const("i", [[0]]), const("u", [1.0], "f4")], ["reduction"]),
              "Gelu": (["x"], three, [], ["approximate"]), "LSTM": (["x", "w", "r"], three, weights, ["direction"]),
              "BitShift": (["i", "i"], [], [const("i", [1], "u1")], ["direction"]),
              "StringNormalizer": (["t"], [info("t", (1,), STRING)], [], ["case_change_action"]),
              "NegativeLogLikelihoodLoss": (["x", "i"], [info("x", (1, 3))], [const("i", [0])], ["reduction"]),
              "SoftmaxCrossEntropyLoss": (["x", "i"], [info("x", (1, 3))], [const("i", [0])], ["reduction"])}
    for op, (ins, infos, constants, attrs) in cases_.items():
        more = {"MaxPool": {"kernel_shape": [2, 2]}, "DepthToSpace": {"blocksize": 2}, "LSTM": {"hidden_size": 3}}.get(op, {})
        for attr in attrs:
            yield Case(f"word_{op}_{attr}", model([node(op, ins, **more, **{attr: "nonsense"})], infos, constants=constants), (f"the_{op}",))
    for op, attr in {"Normalizer": "norm", "LinearClassifier": "post_transform", "TreeEnsembleClassifier": "post_transform"}.items():
        more = {"LinearClassifier": {"coefficients": [1.0, 2.0, 3.0, 4.0], "classlabels_ints": [0, 1]}}.get(op, {})
        outs = ["y", "z"] if "Classifier" in op else ["y"]
        yield Case(f"word_{op}_{attr}", model([node(op, ["x"], outs, domain="ai.onnx.ml", **more, **{attr: "nonsense"})], [info("x", (1, 2))],
                                              domains=[("ai.onnx.ml", 3)]), (f"the_{op}",))


def opsets():
    relu = [node("Relu", ["x"])]
    for version in (0, -1, -(1 << 63)):
        yield Case(f"opset_{version}", model(relu, opset=version), ("version",), code=INVALID)
    for version in (1000, (1 << 63) - 1):
        yield Case(f"opset_{version}", model(relu, opset=version), runs=None)
    yield Case("opset_twice", model(relu, domains=[("", 7)]), ("imported",), code=INVALID)
    yield Case("opset_before_op", model([node("Gelu", ["x"])], opset=13), ("Gelu",))
    for ir in (0, -1):
        yield Case(f"ir_{ir}", model(relu, ir=ir), ("IR",))
    yield Case("ir_million", model(relu, ir=1000000), runs=None)
    bare = helper.make_model(graph(relu), ir_version=10)
    del bare.opset_import[:]
    yield Case("no_opset", bare.SerializeToString(), ("opset",))
    for op in ("Upsample", "GRUUnit", "ATen", "Scatter", "Affine", "Crop", "ImageScaler", "ParametricSoftplus", "ScaledTanh"):
        yield Case(f"gone_{op}", model([node(op, ["x"])]), (op,), None)


def functions():
    def calls(functions_, op="F", opset=(("f", 1),)):
        return model([node(op, ["x"], domain="f")], functions=functions_, domains=opset)
    relu = node("Relu", ["a"], ["b"])
    yield Case("function_itself", calls([function("F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="f")])]), ("F", "itself"), code=INVALID)
    two = [function("F", ["a"], ["b"], [node("G", ["a"], ["b"], domain="f")]), function("G", ["a"], ["b"], [node("F", ["a"], ["b"], domain="f")])]
    yield Case("functions_each_other", calls(two), ("itself",), code=INVALID)
    ring = [function(f"F{i}", ["a"], ["b"], [node(f"F{(i + 1) % 40}", ["a"], ["b"], domain="f")]) for i in range(40)]
    yield Case("functions_ring", calls(ring, "F0"), ("itself",), code=INVALID)
    in_body = body([node("F", ["a"], ["r"], domain="f")], [], ["r"])
    yield Case("function_itself_in_if", calls([function("F", ["a"], ["b"], [
        node("Constant", [], ["c"], value=const("c", True)), node("If", ["c"], ["b"], then_branch=in_body, else_branch=in_body)])]), ("itself",))
    for depth in (30, 60):
        double = [function(f"F{i}", ["a"], ["b"], [node(f"F{i + 1}", ["a"], ["m"], domain="f"),
                                                   node(f"F{i + 1}", ["m"], ["b"], domain="f")]) for i in range(depth)]
        double.append(function(f"F{depth}", ["a"], ["b"], [relu]))
        yield Case(f"functions_double_{depth}", calls(double, "F0"), ("nodes",), code="LIMIT", options={"max_nodes": 20000})
        yield Case(f"functions_double_untrusted_{depth}", calls(double, "F0"), ("nodes",), code="LIMIT", options={"untrusted": 1})
        empty = [*double[:-1], function(f"F{depth}", ["a"], ["b"], [node("Identity", ["a"], ["b"])])]
        yield Case(f"functions_double_identity_{depth}", calls(empty, "F0"), ("nodes",), code="LIMIT", options={"untrusted": 1})
        hollow = [function(f"F{i}", ["a"], ["a"], [node(f"F{i + 1}", ["a"], ["m"], domain="f"), node(f"F{i + 1}", ["a"], ["n"], domain="f")])
                  for i in range(depth)] + [function(f"F{depth}", ["a"], ["a"], [])]
        yield Case(f"functions_double_hollow_{depth}", calls(hollow, "F0"), (), code="LIMIT", options={"untrusted": 1})
    chain = [function(f"F{i}", ["a"], ["b"], [node(f"F{i + 1}", ["a"], ["b"], domain="f")]) for i in range(10000)]
    yield Case("functions_chain_10000", calls([*chain, function("F10000", ["a"], ["b"], [relu])], "F0"), ("deep",), code="LIMIT")
    yield Case("function_twice", calls([function("F", ["a"], ["b"], [relu])] * 2), ("twice",), code=INVALID)
    yield Case("function_no_output", calls([function("F", ["a"], ["b"], [])]), ("'b'",), code=INVALID)
    yield Case("function_unknown_input", calls([function("F", ["a"], ["b"], [node("Add", ["a", "x"], ["b"])])]), ("'x'",), code=INVALID)
    yield Case("function_input_twice", calls([function("F", ["a", "a"], ["b"], [relu])]), ("'a'",), code=INVALID)
    yield Case("function_output_twice", calls([function("F", ["a"], ["b", "b"], [relu])]), runs=None)
    yield Case("function_value_twice", calls([function("F", ["a"], ["b"], [relu, relu])]), ("'b'",), code=INVALID)
    yield Case("function_too_many", model([node("F", ["x", "x"], domain="f")], functions=[function("F", ["a"], ["b"], [relu])],
                                          domains=[("f", 1)]), ("F",), code=INVALID)
    yield Case("function_too_few", model([node("F", [], domain="f")], functions=[function("F", ["a"], ["b"], [relu])],
                                         domains=[("f", 1)]), (), code=INVALID)
    yield Case("function_attr_unknown", model([node("F", ["x"], domain="f", z=1)], functions=[function("F", ["a"], ["b"], [relu])],
                                              domains=[("f", 1)]), ("'z'",), code=INVALID)
    cast = node("Cast", ["a"], ["b"])
    ref = cast.attribute.add()
    ref.name, ref.ref_attr_name, ref.type = "to", "kind", 2
    yield Case("function_attr_missing", calls([function("F", ["a"], ["b"], [cast], ["kind"])]), ("to|kind",))
    yield Case("function_attr_of_nobody", calls([function("F", ["a"], ["b"], [cast])]), ("to|kind",))
    yield Case("attr_reference_outside", model([helper.make_node("Cast", ["x"], ["y"], name="the_Cast")]), ("to",))
    outside = helper.make_node("Cast", ["x"], ["y"], name="the_Cast")
    outside.attribute.append(ref)
    yield Case("attr_reference_in_main", model([outside]), ("the_Cast",), code=INVALID)
    no_import = function("F", ["a"], ["b"], [relu])
    del no_import.opset_import[:]
    yield Case("function_no_opset", calls([no_import]), runs=None)
    yield Case("function_like_an_operator", model([node("Relu", ["x"])], functions=[function("Relu", ["a"], ["b"], [node("Neg", ["a"], ["b"])],
                                                                                             domain="")]), runs=None)


def bodies():
    c = [info("x"), info("c", (), BOOL)]
    one = body([node("Relu", ["x"], ["r"])], [], ["r"])
    yield Case("if_without_else", model([node("If", ["c"], then_branch=one)], c), ("else_branch",), code=INVALID)
    two = body([node("Relu", ["x"], ["r"])], [], ["r", "r"])
    yield Case("if_branches_differ", model([node("If", ["c"], then_branch=one, else_branch=two)], c), ("the_If",), code=INVALID)
    yield Case("if_too_many_outputs", model([node("If", ["c"], ["y", "z"], then_branch=one, else_branch=one)], c), ("the_If",), code=INVALID)
    yield Case("if_body_with_input", model([node("If", ["c"], then_branch=body([], ["q"], ["q"]), else_branch=one)], c), ("the_If",), code=INVALID)
    yield Case("if_unknown_capture", model([node("If", ["c"], then_branch=body([node("Relu", ["ghost"], ["r"])], [], ["r"]),
                                                 else_branch=one)], c), ("'ghost'",), code=INVALID)
    yield Case("if_unknown_result", model([node("If", ["c"], then_branch=body([], [], ["ghost"]), else_branch=one)], c), ("'ghost'",), code=INVALID)
    yield Case("if_condition_float", model([node("If", ["x"], then_branch=one, else_branch=one)]), ("the_If|cond",))
    yield Case("if_condition_many", model([node("If", ["m"], then_branch=one, else_branch=one)], [info("x"), info("m", (3,), BOOL)]), ("the_If|cond",))
    yield Case("if_condition_empty", model([node("If", ["m"], then_branch=one, else_branch=one)], [info("x"), info("m", (0,), BOOL)]), ("the_If|cond",))
    ints = body([node("Cast", ["x"], ["r"], to=7)], [], ["r"])
    yield Case("if_types_differ", model([node("If", ["c"], then_branch=one, else_branch=ints)], c), ("the_If",))
    i, k, v = info("i", (), I64), info("k", (), BOOL), info("v")
    keep = [node("Identity", ["k"], ["ko"]), node("Relu", ["v"], ["vo"])]
    n = [const("n", 3)]
    for tag, ins, outs, given in [("no_io", [], [], ["n", "", "x"]), ("few_inputs", [i, k], ["ko"], ["n", "", "x"]),
                                  ("many_inputs", [i, k, v, info("w")], ["ko", "vo"], ["n", "", "x"]),
                                  ("few_outputs", [i, k, v], ["ko"], ["n", "", "x"]), ("no_condition", [i, k, v], ["vo", "ko"], ["n", "", "x"]),
                                  ("absent_state", [i, k, v], ["ko", "vo"], ["n", "", ""])]:
        yield Case(f"loop_{tag}", model([node("Loop", given, body=body(keep if outs else [], ins, outs))], constants=n), ("the_Loop|Loop",))
    same = node("Loop", ["n", "", "x"], body=body(keep, [i, k, v], ["ko", "vo"]))
    yield Case("loop_shadow", model([node("Loop", ["n", "", "x"], body=body([node("Identity", ["k"], ["ko"]), node("Relu", ["v"], ["x"])],
                                                                           [i, k, v], ["ko", "x"]))], constants=n), runs=None)
    yield Case("loop_trip_float", model([node("Loop", ["x", "", "x"], body=body(keep, [i, k, v], ["ko", "vo"]))]), ("the_Loop|Loop",))
    yield Case("loop_trip_many", model([same], constants=[const("n", [1, 2])]), ("the_Loop|Loop|trip",))
    yield Case("loop_trip_negative", model([same], constants=[const("n", -5)]), runs=True)
    grow = [node("Identity", ["k"], ["ko"]), node("Concat", ["v", "v"], ["vo"], axis=0)]
    yield Case("loop_stack_of_growing", model([node("Loop", ["n", "", "x"], ["f", "y"], body=body(grow, [i, k, v], ["ko", "vo", "vo"]))],
                                              constants=n), ("the_Loop|Loop",))
    for tag, attrs in {"none": {}, "zero": {"num_scan_inputs": 0}, "many": {"num_scan_inputs": 5}, "negative": {"num_scan_inputs": -1},
                       "axes": {"num_scan_inputs": 1, "scan_input_axes": [9]}, "axes2": {"num_scan_inputs": 1, "scan_input_axes": [0, 0]},
                       "directions": {"num_scan_inputs": 1, "scan_input_directions": [1, 1, 1]},
                       "out_axes": {"num_scan_inputs": 1, "scan_output_axes": [-9]},
                       "huge": {"num_scan_inputs": 1 << 62}}.items():
        yield Case(f"scan_{tag}", model([node("Scan", ["x"], body=body([node("Relu", ["s"], ["so"])], [info("s", ())], ["so"]), **attrs)]),
                   ("Scan",))
    yield Case("scan_of_scalar", model([node("Scan", ["x"], body=body([node("Relu", ["s"], ["so"])], ["s"], ["so"]), num_scan_inputs=1)],
                                       [info("x", ())]), ("Scan",))
    yield Case("scan_lengths_differ", model([node("Scan", ["x", "w"], body=body([node("Add", ["s", "t"], ["so"])], ["s", "t"], ["so"]),
                                                  num_scan_inputs=2)], [info("x", (2,)), info("w", (3,))]), ("Scan",))
    deep = one
    for _ in range(25):
        deep = body([node("If", ["c"], ["r"], then_branch=deep, else_branch=one)], [], ["r"])
    yield Case("if_nested_25", model([node("If", ["c"], then_branch=deep, else_branch=one)], c), runs=True)


def shapes():
    relu = [node("Relu", ["x"])]
    for tag, dims in {"2_62": [1 << 62], "product": [1 << 32, 1 << 32], "product3": [1 << 21] * 3, "max": [(1 << 63) - 1],
                      "max2": [(1 << 63) - 1] * 2, "terabytes": [1 << 20, 1 << 20]}.items():
        yield Case(f"input_dims_{tag}", model(relu, [info("x", dims)]), ("x|the_Relu|tensor",))
        yield Case(f"stated_dims_{tag}", model(relu, value_info=[info("y", dims)]), runs=None)
        for element in (F, STRING, TensorProto.INT4, TensorProto.COMPLEX128):
            yield Case(f"initializer_dims_{tag}_{element}", model(relu, constants=[tensor("w", element, dims)]), ("'w'",))
        fill = node("ConstantOfShape", ["s"], ["y"], value=const("v", [1.0], "f4"))
        yield Case(f"constant_of_shape_{tag}", model([fill], [], constants=[const("s", dims)]), ("the_ConstantOfShape",),
                   code="LIMIT|OUT_OF_MEMORY|INVALID_MODEL|UNSUPPORTED|RUN_FAILED|INVALID_INPUT|INVALID_ARGUMENT", options={"max_memory": 200 << 20})
        yield Case(f"expand_{tag}", model([node("Expand", ["x", "s"])], [info("x", (1,))], constants=[const("s", dims)]), ("the_Expand",),
                   options={"max_memory": 200 << 20})
        yield Case(f"reshape_{tag}", model([node("Reshape", ["x", "s"])], constants=[const("s", dims)]), ("the_Reshape",))
        yield Case(f"tile_{tag}", model([node("Tile", ["x", "s"])], [info("x", (1,) * len(dims))], constants=[const("s", dims)]), ("the_Tile",),
                   options={"max_memory": 200 << 20})
        yield Case(f"random_{tag}", model([node("RandomNormal", [], shape=dims)], []), ("the_RandomNormal",), options={"max_memory": 200 << 20})
    for tag, dims in {"minus": [-5], "minus_min": [-(1 << 63)], "minus_two": [2, -1]}.items():
        yield Case(f"input_negative_{tag}", model(relu, [info("x", dims)]), runs=None)
        yield Case(f"initializer_negative_{tag}", model(relu, constants=[tensor("w", F, dims, bytes(8))]), ("'w'", "negative|-"))
        for op in ("ConstantOfShape", "Expand", "Tile", "Reshape"):
            ins = ["s"] if op == "ConstantOfShape" else ["x", "s"]
            ok = None if op in ("Expand", "Reshape") and tag == "minus_two" else False
            yield Case(f"negative_{op}_{tag}", model([node(op, ins)], [info("x", (1,) * len(dims))], constants=[const("s", dims)]),
                       (f"the_{op}",), ok)
    yield Case("rank_33", model(relu, [info("x", [1] * 33)]), ("x",))
    yield Case("rank_1000_initializer", model(relu, constants=[tensor("w", F, [1] * 1000, bytes(4))]), ("'w'",))
    yield Case("unsqueeze_to_rank_40", model([node("Unsqueeze", ["x", "a"])], constants=[const("a", list(range(39)))]), ("the_Unsqueeze",))
    yield Case("reshape_to_rank_40", model([node("Reshape", ["x", "a"])], constants=[const("a", [1] * 39 + [2])]), ("the_Reshape",))
    yield Case("loop_unsqueezes", model([node("Loop", ["n", "", "x"], body=body(
        [node("Identity", ["k"], ["ko"]), node("Unsqueeze", ["v", "z"], ["vo"])], [info("i", (), I64), info("k", (), BOOL), info("v", None)],
        ["ko", "vo"]))], constants=[const("n", 100), const("z", [0])]), ("Loop", "Unsqueeze"))
    for op, n_in in {"Add": 2, "MatMul": 2, "Gemm": 2, "Concat": 2, "Where": 3, "Max": 2}.items():
        dims = [(3,), (4,), (5,)] if op in ("Add", "Where", "Max") else [(2, 3), (4, 5)]
        ins = [info(f"x{i}", dims[i]) for i in range(n_in)]
        attrs = {"axis": 0} if op == "Concat" else {}
        yield Case(f"mismatch_{op}", model([node(op, [i.name for i in ins], **attrs)], ins), (f"the_{op}",))
        free = [info(f"x{i}", [f"D{i}{d}" for d in range(len(dims[i]))]) for i in range(n_in)]
        lines = [f"input x{i} 1 {','.join(map(str, dims[i]))} -" for i in range(n_in)]
        if op == "Where":
            continue
        yield Case(f"mismatch_at_run_{op}", model([node(op, [i.name for i in free], **attrs)], free), (f"the_{op}",), lines=lines)


def initializers():
    relu = [node("Relu", ["x"])]
    for element, size in SIZES.items():
        for tag, raw in {"short": bytes(size * 4 - 1), "long": bytes(size * 4 + 1), "empty": b""}.items():
            yield Case(f"raw_{tag}_{element}", model(relu, constants=[tensor("w", element, [4], raw)]), ("'w'",))
    for element in (21, 22, 23, 25, 26):
        yield Case(f"raw_packed_{element}", model(relu, constants=[tensor("w", element, [5], bytes(9))]), ("'w'",))
    for element in (0, 29, 99, -1, 1 << 30):
        yield Case(f"type_{element}", model(relu, constants=[tensor("w", element, [1], bytes(4))]), ("'w'",))
        yield Case(f"input_type_{element}", model(relu, [info("x", (2,), element)]), ("x|element type",))
    for field, element in {"float_data": 1, "int32_data": 6, "int64_data": 7, "double_data": 11, "uint64_data": 13}.items():
        for tag, count in {"short": 3, "long": 5}.items():
            yield Case(f"{field}_{tag}", model(relu, constants=[tensor("w", element, [4], None, **{field: [1] * count})]), ("'w'",))
        yield Case(f"{field}_and_raw", model(relu, constants=[tensor("w", element, [4], bytes(SIZES[element] * 4), **{field: [1] * 4})]), (), None)
    yield Case("field_of_other_type", model(relu, constants=[tensor("w", F, [2], None, int64_data=[1, 2])]), ("'w'",))
    yield Case("strings_short", model(relu, constants=[tensor("w", STRING, [3], None, string_data=[b"a"])]), ("'w'",))
    yield Case("strings_raw", model(relu, constants=[tensor("w", STRING, [1], b"abc")]), ("'w'",))
    for tag, text in {"latin": b"\xe9t\xe9", "lone": b"\x80", "surrogate": b"\xed\xa0\x80", "nul": b"a\0b", "long": b"a" * 60000}.items():
        texts = tensor("w", STRING, [1], None, string_data=[text])
        yield Case(f"string_data_{tag}", model([node("Identity", ["w"])], outputs=[info("y", (1,), STRING)], constants=[texts]), (), None)
        yield Case(f"string_attribute_{tag}", model([node("Pad", ["x", "w"], mode=text)], constants=[const("w", [1, 1])]), ("the_Pad",))
    yield Case("bool_7", model([node("Where", ["w", "x", "x"])], constants=[tensor("w", BOOL, [2], b"\x07\xff")]), runs=True)
    yield Case("int32_data_over", model([node("Cast", ["w"], to=1)], constants=[tensor("w", 3, [1], None, int32_data=[70000])]), (), None)
    seg = tensor("w", F, [2], bytes(8))
    seg.segment.begin, seg.segment.end = 0, 1
    yield Case("segment", model(relu, constants=[seg]), ("'w'",))
    used = [node("Add", ["x", "w"])]
    yield Case("constant_short", model([node("Constant", [], value=tensor("t", F, [9], bytes(8)))]), ("the_Constant|'t'",))
    yield Case("constant_two_values", model([node("Constant", [], value_int=1, value_float=2.0)]), ("the_Constant",))
    yield Case("constant_no_value", model([node("Constant", [])]), ("the_Constant",))
    yield Case("initializer_is_input_of_other_shape", model(used, [info("x"), info("w", (9,))], constants=[const("w", [1.0, 2.0], "f4")]), runs=None)
    yield Case("initializer_is_input_of_other_type", model(used, [info("x"), info("w", (2,), I64)], constants=[const("w", [1.0, 2.0], "f4")]), runs=None)
    many = [info(f"w{i}", (1,)) for i in range(30000)]
    yield Case("many_overridable", model(relu, [info("x"), *many], constants=[const(f"w{i}", [1.0], "f4") for i in range(30000)]), runs=True)
    backwards = [const(f"w{i}", [1.0], "f4") for i in reversed(range(30000))]
    yield Case("many_overridable_backwards", model(relu, [info("x"), *many], constants=backwards), runs=True)


def sparse():
    def with_sparse(values, indices, dims):
        s = helper.make_sparse_tensor(values, indices, dims)
        s.values.name = "w"
        return model([node("Add", ["x", "w"])], sparse_initializer=[s])
    values = const("w", [1.0, 2.0], "f4")
    bad = {"over": ([0, 2], [2]), "negative": ([0, -1], [2]), "min": ([0, -(1 << 63)], [2]), "max": ([0, (1 << 63) - 1], [2]),
           "axis_over": ([[0, 0], [0, 5]], [2, 2]), "axis_negative": ([[0, 0], [-1, 0]], [2, 2]), "few": ([0], [2]), "many": ([0, 1, 1], [2]),
           "wrong_width": ([[0, 0, 0], [0, 0, 0]], [2, 2]), "rank3": ([[[0]], [[1]]], [2]), "scalar": (0, [2]),
           "negative_dims": ([0, 1], [-2]), "huge": ([0, 1], [1 << 62]), "overflow": ([0, 1], [1 << 40, 1 << 40]),
           "terabyte": ([0, 1], [1 << 38])}
    for tag, (indices, dims) in bad.items():
        yield Case(f"sparse_{tag}", with_sparse(values, const("i", indices, "i8"), dims), ("'w'|sparse",), options={"max_memory": 200 << 20})
    yield Case("sparse_int32_indices", with_sparse(values, const("i", [0, 1], "i4"), [2]), runs=True)  # as ONNX Runtime takes them
    yield Case("sparse_int32_outside", with_sparse(values, const("i", [0, 9], "i4"), [2]), ("'w'|sparse",))
    yield Case("sparse_int8_negative", with_sparse(values, const("i", [0, -1], "i1"), [2]), ("'w'|sparse",))
    yield Case("sparse_float_indices", with_sparse(values, const("i", [0, 1], "f4"), [2]), ("'w'|sparse",))
    yield Case("sparse_values_rank2", with_sparse(const("w", [[1.0, 2.0]], "f4"), const("i", [0, 1]), [2]), ("'w'|sparse",))
    yield Case("sparse_strings", with_sparse(const("w", np.array(["a", "b"], object)), const("i", [0, 1]), [2]), ("'w'|sparse",))
    yield Case("sparse_short_indices", with_sparse(values, tensor("i", I64, [2], bytes(9)), [2]), ("'w'|sparse|'i'",))
    yield Case("sparse_short_values", with_sparse(tensor("w", F, [2], bytes(7)), const("i", [0, 1]), [2]), ("'w'|sparse",))
    yield Case("sparse_twice_the_same", with_sparse(values, const("i", [1, 1]), [2]), runs=None)
    s = helper.make_sparse_tensor(values, const("i", [0, 9]), [2])
    yield Case("sparse_constant", model([node("Constant", [], ["y"], sparse_value=s)]), ("the_Constant|sparse",))


def quantized():
    x8 = [info("x", (2, 3), TensorProto.UINT8)]
    one, zero = const("s", 1.0, "f4"), const("z", 0, "u1")
    def quant(op, tag, inputs, ins=None, constants=(), ok=False, **attrs):
        return Case(f"quant_{op}_{tag}", model([node(op, inputs, **attrs)], ins or [info("x", (2, 3))], constants=constants), (f"the_{op}",), ok)
    for op, ins in (("QuantizeLinear", None), ("DequantizeLinear", x8)):
        yield quant(op, "scale_shape", ["x", "s"], ins, [const("s", np.ones(5), "f4")])
        yield quant(op, "scale_rank2", ["x", "s"], ins, [const("s", np.ones((5, 2)), "f4")])
        yield quant(op, "scale_empty", ["x", "s"], ins, [const("s", np.ones(0), "f4")])
        yield quant(op, "zero_shape", ["x", "s", "z"], ins, [const("s", np.ones(3), "f4"), const("z", np.zeros(2), "u1")])
        yield quant(op, "zero_scalar", ["x", "s", "z"], ins, [const("s", np.ones(3), "f4"), zero])
        yield quant(op, "scale_type", ["x", "s"], ins, [const("s", 1, "i8")])
        yield quant(op, "axis", ["x", "s"], ins, [const("s", np.ones(3), "f4")], axis=7)
        yield quant(op, "axis_min", ["x", "s"], ins, [const("s", np.ones(3), "f4")], axis=-(1 << 63))
        for block in (-1, 7, 1 << 62):
            yield quant(op, f"block_{block}", ["x", "s"], ins, [const("s", np.ones((2, 1)), "f4")], axis=1, block_size=block, ok=None)
        yield quant(op, "block_shape", ["x", "s"], ins, [const("s", np.ones((2, 9)), "f4")], axis=1, block_size=2)
    yield quant("DequantizeLinear", "zero_type", ["x", "s", "z"], x8, [one, const("z", 0, "i1")])
    yield quant("QuantizeLinear", "output_type", ["x", "s"], None, [one], output_dtype=1)
    yield quant("QuantizeLinear", "output_differs", ["x", "s", "z"], None, [one, zero], output_dtype=3)
    w8 = const("w", np.ones((3, 4)), "u1")
    for op, tag, extra in [("MatMulInteger", "a_zero", [const("z", np.zeros(9), "u1")]), ("MatMulInteger", "zero_type", [const("z", 0, "i4")])]:
        yield quant(op, tag, ["x", "w", "z"], x8, [w8, *extra])
    yield quant("MatMulInteger", "b_zero", ["x", "w", "", "z"], x8, [w8, const("z", np.zeros(9), "u1")])
    yield quant("MatMulInteger", "floats", ["x", "x"])
    full = {"x": None, "xs": one, "xz": zero, "w": w8, "ws": one, "wz": zero, "ys": one, "yz": zero}
    for wrong, value in {"xs": np.ones(7, "f4"), "xz": np.zeros(7, "u1"), "ws": np.ones(7, "f4"), "wz": np.zeros(7, "u1"),
                         "ys": np.ones(7, "f4"), "yz": np.zeros(7, "u1"), "ws2": np.ones((9, 9), "f4")}.items():
        key = wrong.rstrip("2")
        parts = [const(k, value if k == key else 1.0 if k.endswith("s") else 0, "f4" if k.endswith("s") else "u1")
                 for k in full if k not in ("x", "w")] + [w8]
        yield quant("QLinearMatMul", wrong, list(full), x8, parts)
        image = [info("x", (1, 1, 4, 4), TensorProto.UINT8)]
        parts[-1] = const("w", np.ones((1, 1, 2, 2)), "u1")
        yield quant("QLinearConv", wrong, list(full), image, parts)
    yield quant("DynamicQuantizeLinear", "type", ["x"], x8)


def cases():
    for part in (names, circles, counts, attributes, vocabularies, opsets, functions, bodies, shapes, initializers, sparse, quantized):
        yield from part()
