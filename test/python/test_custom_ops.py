"""Custom operators of a real library that others built for onnxruntime: onnxruntime-extensions, beside onnxruntime."""

import json

import kapell
import numpy as np
import pytest
from little import python
from onnx import TensorProto, helper

extensions = pytest.importorskip("onnxruntime_extensions", reason="onnxruntime-extensions is not installed (test/requirements.txt has it)")
S, I64 = TensorProto.STRING, TensorProto.INT64
VOCAB = "\n".join(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "un", "##want", "##ed", "runn", "##ing"]) + "\n"
CASES = {
    "upper": ("StringUpper", [np.array(["abc", "Grüße"], object)], [S], {}),
    "join": ("StringJoin", [np.array(["a", "b"], object), np.array(["-"], object), np.array([0])], [S], {}),
    "length": ("StringLength", [np.array(["abc", "", "üße"], object)], [I64], {}),
    "tokenizer": ("BertTokenizer", [np.array(["UNwanted running"], object)], [I64, I64, I64], {"vocab_file": VOCAB, "do_lower_case": 1}),
}


def model_of(name):
    op, inputs, outputs, attributes = CASES[name]
    kinds = [S if a.dtype == object else I64 for a in inputs]
    ins = [helper.make_tensor_value_info(f"x{i}", kind, [None]) for i, kind in enumerate(kinds)]
    outs = [helper.make_tensor_value_info(f"y{i}", kind, None) for i, kind in enumerate(outputs)]
    node = helper.make_node(op, [i.name for i in ins], [o.name for o in outs], domain="ai.onnx.contrib", **attributes)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.contrib", 1)]
    return helper.make_model(helper.make_graph([node], "g", ins, outs), opset_imports=imports, ir_version=9).SerializeToString()


def results(package, name):
    options = package.SessionOptions()
    options.register_custom_ops_library(extensions.get_library_path())
    session = package.InferenceSession(model_of(name), options, providers=["CPUExecutionProvider"])
    del options
    return [y.tolist() for y in session.run(None, {f"x{i}": x for i, x in enumerate(CASES[name][1])})]


def all_results(package):
    """In a process of its own: the library keeps the tables of whoever loads it first."""
    done = python(f"import json, {package}, test_custom_ops as t; print(json.dumps({{name: t.results({package}, name) for name in t.CASES}}))")
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_as_in_onnxruntime():
    ours = all_results("kapell")
    assert ours == all_results("onnxruntime") and ours["upper"] == [["ABC", "GR\u00fc\u00dfE"]] and ours["tokenizer"][0] == [1, 5, 6, 7, 8, 9, 2]


def test_wrong_libraries(tmp_path):
    options = kapell.SessionOptions()
    with pytest.raises(kapell.Fail, match="no/such"):
        options.register_custom_ops_library("/no/such.so")
    with pytest.raises(kapell.InvalidArgument, match="RegisterCustomOps"):
        options.register_custom_ops_library(kapell._core.__file__)
    with pytest.raises(TypeError):
        kapell._core.Session(None, model_of("upper"), {"custom_op_libraries": [3]})
    with pytest.raises(kapell.KapellError, match="StringUpper"):
        kapell.InferenceSession(model_of("upper"))
