"""extensions_run.py LIBRARY: runs operators of onnxruntime-extensions in the given library and prints what came as JSON: {case: [[dims, items], ...]}.

A program of its own, since the extensions' library keeps the API that it is given first, and needs Python's symbols.
"""

import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime_extensions import get_library_path

from ort_c import Api, OrtError, Session

S, I64, I32, F32, BOOL = TensorProto.STRING, TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT, TensorProto.BOOL
FROM = {"O": S, "i": I64, "f": F32, "b": BOOL}


def texts(*items):
    return np.array(items, dtype=object)


BERT = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "un", "##want", "##ed", "wa", "runn", "##ing", ",", "low", "##er"]
GPT2_VOCAB = {"l": 0, "o": 1, "w": 2, "e": 3, "r": 4, "lo": 5, "low": 6, "er": 7, "\u0120": 8, "\u0120low": 9, "n": 10, "<|endoftext|>": 11}
GPT2_MERGES = "#version: 0.2\nl o\nlo w\ne r\n\u0120 low\n"

# name -> (operator, inputs, outputs' types, attributes)
CASES = {
    "upper": ("StringUpper", [texts("abc", "Gr\u00fc\u00dfe")], [S], {}),
    "lower": ("StringLower", [texts("ABC", "d")], [S], {}),
    "length": ("StringLength", [texts("abc", "", "\u00fc\u00dfe")], [I64], {}),
    "strip": ("StringStrip", [texts("  a b ", "c\n")], [S], {}),
    "concat": ("StringConcat", [texts("a", "b"), texts("c", "d")], [S], {}),
    "equal": ("StringEqual", [texts("a", "b"), texts("a", "c")], [BOOL], {}),
    "join": ("StringJoin", [texts("a", "b", "c"), texts("-"), np.array([0], np.int64)], [S], {}),
    "split": ("StringSplit", [texts("a,b", "c"), texts(","), np.array([True])], [I64, S, I64], {}),
    "regex": ("StringRegexReplace", [texts("def f(x):", "pass"), texts(r"def\s+([a-z]+)\("), texts(r"fn \1(")], [S], {"global_replace": 1}),
    "ecma": ("StringECMARegexReplace", [texts("a1b22"), texts("([0-9]+)"), texts("<$1>")], [S], {"global_replace": 1}),
    "hash": ("StringToHashBucketFast", [texts("a", "b", "hello"), np.array([1000], np.int64)], [I64], {}),
    "mapping": ("StringMapping", [texts("a", "b", "q")], [S], {"map": "a\tapple\nb\tberry"}),
    "from_vector": ("VectorToString", [np.array([0, 1, 7], np.int64)], [S], {"map": "zero\t0\none\t1", "unk": "?"}),
    "masked": ("MaskedFill", [texts("a", "b", "c"), np.array([True, False, True])], [S], {}),
    "inverse": ("Inverse", [np.array([[2.0, 0.0], [0.0, 4.0]], np.float32)], [F32], {}),
    "bert": ("BertTokenizer", [texts("UNwanted running, lower")], [I64, I64, I64], {"vocab_file": "\n".join(BERT) + "\n", "do_lower_case": 1}),
    "gpt2": ("GPT2Tokenizer", [texts("low lower", "newer")], [I64, I64], {"vocab": json.dumps(GPT2_VOCAB), "merges": GPT2_MERGES, "padding_length": 6}),
    "wordpiece": ("WordpieceTokenizer", [texts("unwanted running"), np.array([0, 1], np.int64)], [S, I64, I64, I64],
                  {"vocab": json.dumps({word: i for i, word in enumerate(BERT)}), "suffix_indicator": "##", "unknown_token": "[UNK]"}),
}
# Calls that the extensions themselves refuse.
FAILURES = {
    "throws_when_made": ("StringToVector", [texts("a", "b", "none")], [I64], {"map": "a\t0 1\nb\t2 3", "unmapping_value": "-1 -1"}),
    "no_vocab": ("BertTokenizer", [texts("a")], [I64, I64, I64], {}),
}


def model_of(op, inputs, outputs, attributes):
    names = [f"i{k}" for k in range(len(inputs))], [f"o{k}" for k in range(len(outputs))]
    node = helper.make_node(op, *names, domain="ai.onnx.contrib", **attributes)
    shapes = [helper.make_tensor_value_info(name, FROM[array.dtype.kind], [None] * array.ndim) for name, array in zip(names[0], inputs)]
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names[1], outputs)]
    graph = helper.make_graph([node], op, shapes, results)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)])


def run(api, op, inputs, outputs, attributes):
    session = Session(api, model_of(op, inputs, outputs, attributes).SerializeToString(), [get_library_path()])
    try:
        made = []
        for _ in range(2):  # the second run finds the kernel warm
            made = session.run({f"i{k}": array for k, array in enumerate(inputs)}, [f"o{k}" for k in range(len(outputs))])
        return [[list(array.shape), array.reshape(-1).tolist()] for array in made]
    finally:
        session.close()


def said(api, *case):
    try:
        return run(api, *case)
    except OrtError as error:
        return f"error {error}"


def main():
    api = Api(sys.argv[1])
    results = {name: said(api, *case) for name, case in {**CASES, **FAILURES}.items()}
    # A tokenizer before operators of ONNX's own: its ids are looked up in a table and averaged.
    nodes = [helper.make_node("StringLower", ["text"], ["folded"], domain="ai.onnx.contrib"),
             helper.make_node("BertTokenizer", ["folded"], ["ids", "types", "mask"], domain="ai.onnx.contrib", vocab_file="\n".join(BERT) + "\n"),
             helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0), helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[0], keepdims=0)]
    table = onnx.numpy_helper.from_array(np.arange(28, dtype=np.float32).reshape(14, 2), "table")
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("text", S, [None])], [helper.make_tensor_value_info("mean", F32, [2])], [table])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)])
    session = Session(api, model.SerializeToString(), [get_library_path()])
    results["sentence"] = session.run({"text": texts("LOWER")}, ["mean"])[0].tolist()
    session.close()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
